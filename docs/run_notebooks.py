"""Runs the notebooks and keeps what they gave: `python docs/run_notebooks.py [NAME ...]`, by default all.

Each runs in an empty folder, by this interpreter. Folders of this machine are left out of what is kept.
"""

import os
import pathlib
import re
import sys
import tempfile

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

DOCS = pathlib.Path(__file__).resolve().parent
NOTEBOOKS = DOCS / "notebooks"
SECONDS = 600  # for a cell, on a busy machine


class ThisInterpreter(AsyncKernelManager):
    """Kernels of the interpreter that runs this, whatever else is installed."""

    @property
    def kernel_spec(self):
        return KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])


def run(path):
    """The notebook with its outputs.

    Args:
        path: of the notebook.

    Raises:
        nbclient.exceptions.CellExecutionError: for a cell that raises, with the cell and its traceback.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=SECONDS,
            kernel_manager_class=ThisInterpreter,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=os.environ | _first("PATH", sys.executable) | _first("PYTHONPATH", DOCS))
    return _cleaned(notebook, folder)


def _first(variable, path):
    """The variable of the environment with the folder of a path before all others: ours is the one to run."""
    folders = str(pathlib.Path(path).parent), os.environ.get(variable)
    return {variable: os.pathsep.join(filter(None, folders))}


def _cleaned(notebook, folder):
    """Without what differs from machine to machine."""
    places = "|".join(map(re.escape, (os.path.realpath(folder), folder, str(DOCS.parent))))
    places = re.compile(rf"(?:{places}|/tmp/ipykernel_\d+)/")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count, cell.outputs = None, [_without(places, x) for x in cell.outputs]
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def _without(places, output):
    if isinstance(output, str):
        return places.sub("", output)
    if isinstance(output, list):
        return [_without(places, x) for x in output]
    if isinstance(output, dict):
        kept = {key: _without(places, value) for key, value in output.items() if key != "execution_count"}
        if "execution_count" in output:
            kept["execution_count"] = None
        return nbformat.from_dict(kept)
    return output


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb")):
        path = NOTEBOOKS / f"{name}.ipynb"
        nbformat.write(run(path), path)
