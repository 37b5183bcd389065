"""The notebooks run from top to bottom, and what they hold is small and of no machine."""

import importlib.util
import pathlib
import re

import nbformat
import pytest

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs"
NOTEBOOKS = sorted((DOCS / "notebooks").glob("*.ipynb"))
by_name = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@pytest.mark.slow
@by_name
def test_all_cells_of_a_notebook_run(path):
    spec = importlib.util.spec_from_file_location("run_notebooks", DOCS / "run_notebooks.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    notebook = script.run(path)
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert outputs and not any(output.output_type == "error" for output in outputs)


@by_name
def test_a_notebook_is_small_and_names_no_folder_of_a_machine(path):
    text = path.read_text(encoding="utf-8")
    assert len(text) < 300_000
    assert not re.search(r"/(?:home|root|tmp|work|Users)/", text)


@by_name
def test_a_notebook_holds_what_it_gave_and_no_counts_of_runs(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert any(cell.outputs for cell in cells)
    for cell in cells:
        assert cell.execution_count is None
        assert all(output.output_type != "error" for output in cell.outputs)


@by_name
def test_what_a_notebook_links_to_is_there(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
    links = re.findall(r"\]\((?!https?:)([^)#]+)", "\n".join(cell.source for cell in cells))
    assert links
    for link in links:
        assert (path.parent / link).exists(), f"{path.name} links to {link}, which is not there"
