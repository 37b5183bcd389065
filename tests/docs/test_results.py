"""Figures in README and documentation are those of the result files, and old ones are told from new ones."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def pages(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("pages")


@pytest.fixture
def manifest(pages):
    return importlib.import_module("manifest")


@pytest.fixture
def copy(tmp_path):
    """The README, the documentation and the results in another place."""
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copytree(ROOT / "benchmarks/results", tmp_path / "benchmarks/results")
    return tmp_path


def test_pages_say_what_the_results_say(pages):
    assert pages.faults() == []


def test_every_table_is_on_some_page(pages):
    text = "".join(page.read_text() for page in pages.pages())
    missing = [name for name in pages.TABLES if f"<!-- table: {name} -->" not in text]
    assert not [name for name in missing if not name.startswith(("readme-", "compared-"))]


def test_a_changed_result_is_noticed(pages, copy):
    assert pages.faults(copy) == []
    path = copy / "benchmarks/results/cpu-loops/loops.json"
    table = json.loads(path.read_text())
    table["models"]["kinetics, trajectory"]["1000"]["run"]["jacve"] *= 2
    path.write_text(json.dumps(table))
    assert any("docs/results/loops.md" in fault for fault in pages.faults(copy))
    pages.write(copy)
    assert pages.faults(copy) == []


CHANGES = {
    "a figure in a table": (r"(<!-- table: loops -->[^\d]*)\d", r"\g<1>98765", "loops.md"),
    "a figure in a sentence": (r"<!-- figure: casadi-run -->", r"\g<0>9", "kernels.md"),
    "a table that there is not": (r"<!-- table: bratu -->", "<!-- table: burgers -->", "sparse.md"),
    "a table without an end": (r"<!-- end of table -->\Z", "", "layers.md"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_page_is_noticed(pages, copy, change):
    before, after, page = CHANGES[change]
    path = copy / "docs/results" / page
    text, count = re.subn(before, after, path.read_text().rstrip(), count=1)
    assert count == 1
    path.write_text(text)
    (fault,) = pages.faults(copy)
    assert fault.startswith(f"docs/results/{page}: ")


def test_a_changed_picture_is_noticed(pages, copy):
    (copy / "docs/results/pictures/sparse.png").write_bytes(b"another")
    assert pages.faults(copy) == ["docs/results/pictures/sparse.png: not cpu-sparse/sparse.png"]


def test_every_file_is_in_the_manifest_and_every_entry_has_files(pages, copy):
    (copy / "benchmarks/results/unheard_of.json").write_text("{}")
    assert pages.faults(copy) == ["unheard_of.json: no entry of the manifest is about it"]
    (copy / "benchmarks/results/unheard_of.json").unlink()
    (copy / "benchmarks/results/learning_RoeFlux_1d.png").unlink()
    assert "picture of learning: no file is learning_RoeFlux_1d.png" in pages.faults(copy)


SOURCE = b'''"""What it is about."""
from __future__ import annotations
__all__ = ["f"]
class C:
    x: int = 1
    def __repr__(self): return "C"
def f(x: int) -> int:
    """Says what it does."""
    if x < 0:
        raise ValueError(f"{x} is negative")
    return x + 1  # one more
'''
#: What figures do not depend on, and what they do.
WORDS = {
    "a docstring": (b"Says what it does.", b"Says it better."),
    "a docstring less": (b'    """Says what it does."""\n', b""),
    "a comment": (b"# one more", b"# the next one"),
    "an annotation": (b"x: int) -> int", b"x: float) -> float"),
    "an error": (b"is negative", b"is below zero: take a larger one"),
    "the list of names": (b'["f"]', b'["C", "f"]'),
    "what is shown": (b'return "C"', b'return "C()"'),
}
CODE = {
    "a value": (b"x + 1", b"x + 2"),
    "a condition": (b"x < 0", b"x <= 0"),
    "a field": (b"x: int = 1", b"y: int = 1"),
    "a default": (b"x: int)", b"x: int = 3)"),
    "what is raised": (b"raise ValueError", b"raise TypeError"),
}


@pytest.fixture
def measured(manifest):
    """A manifest of one result, as if its code had been measured as it stands above."""
    result = manifest.Result("f", [], "", "cpu", ["@all", "!graphax/other.py"])
    found = manifest.Manifest({"all": ["graphax/**/*.py"]}, {"f": result})
    result.measured["code"] = found.code(result, {"graphax/rules/f.py": SOURCE})
    return found


@pytest.mark.parametrize("change", WORDS)
def test_other_words_make_no_figure_old(measured, change):
    changed = SOURCE.replace(*WORDS[change])
    assert changed != SOURCE
    assert measured.stale({"graphax/rules/f.py": changed, "graphax/other.py": b"", "tests/f.py": b"x"}) == []


@pytest.mark.parametrize("change", CODE)
def test_other_code_makes_figures_old(measured, change):
    changed = SOURCE.replace(*CODE[change])
    assert changed != SOURCE
    assert measured.stale({"graphax/rules/f.py": changed}) == ["f"]


def test_a_file_more_or_less_makes_figures_old(measured):
    assert measured.stale({"graphax/rules/f.py": SOURCE, "graphax/g.py": b""}) == ["f"]
    assert measured.stale({}) == ["f"]


def test_patterns_take_files_of_this_repository(manifest):
    found, here = manifest.Manifest.load(), manifest.sources_here()
    for name, result in found.results.items():
        for pattern in found.patterns(result):
            assert manifest.chosen([pattern.removeprefix("!")], here), f"{name}: {pattern} takes no file"


def test_what_pieces_wrote_is_joined(pages):
    joined = importlib.import_module("remeasure").joined
    one = {"jax": "1", "rows": {"a": 1}, "list": [{"at": 1}]}
    other = {"jax": "1", "rows": {"b": 2}, "list": [{"at": 2}]}
    assert joined([one, other]) == {"jax": "1", "rows": {"a": 1, "b": 2}, "list": [{"at": 1}, {"at": 2}]}
    assert joined([one, one]) == one


def test_a_result_is_taken_whole_or_not_at_all(manifest, tmp_path, monkeypatch):
    remeasure = importlib.import_module("remeasure")
    monkeypatch.setattr(remeasure, "RESULTS", tmp_path / "results")
    head = {
        "device": "CPU",
        "jax": "1",
        "command": "python f.py --part a",
        "date": "2026-01-01",
        "commit": "c",
    }
    result = manifest.Result("f", ["f.*"], "python f.py", "cpu", [], pieces=["--part a", "--part b"])
    found = manifest.Manifest({}, {"f": result})
    pieces = [remeasure.Piece("f", result, words, tmp_path / words) for words in result.pieces]

    def write(folder, **files):
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, content in files.items():
            (folder / f"f.{suffix}").write_text(content)

    write(tmp_path / "results", json=json.dumps({"a": 0, "b": 0}), png="old")
    for piece, part in zip(pieces, "ab", strict=True):
        write(piece.folder / "benchmarks/results", json=json.dumps(head | {part: 1}))
    with pytest.raises(ValueError, match=r"did not write f\.png"):
        remeasure._take(found, "f", pieces, {})
    for piece in pieces:
        write(piece.folder / "benchmarks/results", png="new")
    with pytest.raises(ValueError, match=r"f\.json lacks what it had: b"):
        remeasure._take(found, "f", pieces[:1], {})
    assert result.measured == {} and (tmp_path / "results/f.png").read_text() == "old"
    remeasure._take(found, "f", pieces, {})
    assert json.loads((tmp_path / "results/f.json").read_text()) == head | {
        "command": "python f.py",
        "a": 1,
        "b": 1,
    }
    assert (tmp_path / "results/f.png").read_text() == "new"
    assert result.measured["command"] == "python f.py" and result.measured["commit"] == "c"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("taskset") is None, reason="cores are given out by taskset")
def test_a_result_is_measured_anew(copy):
    """A quick one, in a copy: its file and the manifest say by what, and the pages follow."""
    for place in ("graphax", "alphagrad"):
        (copy / place).symlink_to(ROOT / place)
    for path in (ROOT / "benchmarks").iterdir():
        if path.name not in ("results", "__pycache__"):
            target = copy / "benchmarks" / path.name
            shutil.copytree(path, target) if path.is_dir() else shutil.copy(path, target)
    settings = {"GRAPHAX_COMMIT": "abc1234", "PYTHONPATH": str(copy)}
    command = [sys.executable, "benchmarks/results.py", "run", "bounds on the exponent"]
    subprocess.run(command, cwd=copy, env=os.environ | settings, check=True, timeout=300)
    table = json.loads((copy / "benchmarks/results/omega/omega.json").read_text())
    assert table["command"] == "python benchmarks/omega.py --out benchmarks/results/omega"
    assert table["commit"] == "abc1234"
    entry = json.loads((copy / "benchmarks/results/manifest.json").read_text())["results"]
    assert entry["bounds on the exponent"]["measured"]["commit"] == "abc1234"
    assert "abc1234" in (copy / "docs/results/matrix_multiplication.md").read_text()
