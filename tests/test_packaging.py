"""What is installed, what each part needs, and that nothing of a user's own gets in the way."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import alphagrad
import graphax
from alphagrad import _require_train
from alphagrad.cli import main

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
SOURCES = [
    path for place in ("graphax", "alphagrad", "benchmarks", "tests") for path in (ROOT / place).rglob("*.py")
]


def names(requirements):
    """The distributions of a list such as ``["numba>=0.61"]``."""
    return {requirement.replace(">", "[").split("[")[0] for requirement in requirements}


def python(program, *words, at=ROOT, executable=sys.executable, **environment):
    """What a program prints in a process of its own; it must end well."""
    command = [executable, *words] if program is None else [executable, "-c", program, *words]
    return output(command, at, **environment)


def output(command, at, **environment):
    done = subprocess.run(command, cwd=at, env={**os.environ, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}:\n{done.stdout}{done.stderr}"
    return done.stdout


HOSTILE = "raise RuntimeError('somebody took the tasks of a user for ours')\n"


@pytest.fixture
def working_folder(tmp_path):
    """A folder with a user's own ``tasks.py``, as Invoke, Celery or Django have it."""
    folder = tmp_path / "work"
    folder.mkdir()
    (folder / "tasks.py").write_text(HOSTILE)
    return folder


# --- names -------------------------------------------------------------------------------------------------


def test_the_version_stands_in_one_place(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"alphagrad {graphax.__version__}\n"
    assert alphagrad.__version__ == graphax.__version__
    assert "version" not in PROJECT and "version" in PROJECT["dynamic"]
    with pytest.raises(AttributeError, match="no attribute 'version'"):
        _ = alphagrad.version


def test_types_travel_with_the_packages():
    assert (ROOT / "graphax/py.typed").exists() and (ROOT / "alphagrad/py.typed").exists()


@pytest.mark.skipif(not (ROOT / "tasks").exists(), reason="the link is in the repository alone")
def test_the_folder_at_the_top_is_the_package_of_tasks():
    assert (ROOT / "tasks").resolve() == ROOT / "alphagrad/tasks"


def test_nobody_imports_a_top_level_package_of_tasks():
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            imported = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                imported = [node.module]
            assert not [name for name in imported if name.split(".")[0] == "tasks"], path


def test_tasks_of_a_users_own_in_the_working_folder_break_nothing(working_folder):
    (working_folder / "test_mine.py").write_text(
        "from alphagrad import tasks\n\ndef test_it():\n    assert tasks.load('Simple').name == 'Simple'\n"
    )
    path = {"PYTHONPATH": str(ROOT)}
    assert "Lighthouse" in python(
        None, "-m", "alphagrad", "show", "task=Lighthouse", at=working_folder, **path
    )
    assert "1 passed" in python(None, "-m", "pytest", "-q", "test_mine.py", at=working_folder, **path)
    script = str(ROOT / "benchmarks/jacobians.py")
    assert "--tasks" in python(None, script, "--help", at=working_folder, **path)


# --- extras ------------------------------------------------------------------------------------------------


def test_extras_hold_what_is_asked_for():
    assert names(PROJECT["dependencies"]) == {"jax", "jaxlib", "llvmlite", "numpy"}
    brought = names(EXTRAS["train"]) | names(EXTRAS["search"])
    assert brought - {"alphagrad"} == {{"yaml": "PyYAML"}.get(name, name) for name in _require_train.MODULES}
    assert "alphagrad[search]" in EXTRAS["train"] and "alphagrad[train]" in EXTRAS["test"]
    gathered = {name for name in EXTRAS if name in EXTRAS["all"][0]} | {"search", "train", "test", "all"}
    assert gathered == set(EXTRAS)


def test_the_readme_marks_two_commands():
    marked = re.findall(
        r"^<!-- command: (\w+) -->\n```sh\n(.*)$", (ROOT / "README.md").read_text(), re.MULTILINE
    )
    assert [(name, command.split(" && ")[0]) for name, command in marked] == [
        ("main", "pip install '.[train]'"),
        ("tests", "pip install '.[test]'"),
    ]


WITHOUT_EXTRAS = """
import sys
import jax, jax.numpy as jnp, numpy as np
import graphax
from alphagrad import tasks

def f(x):
    return jnp.sin(x) * (jnp.roll(x, -1) - jnp.roll(x, 1))

x = jnp.linspace(0.1, 1.0, 8)
wanted = jax.jacrev(f)(x)
np.testing.assert_allclose(graphax.jacve(f)(x), wanted, rtol=1e-5)
sparse = graphax.jacve(f, sparse=True)(x)
assert sparse.nnz == 24
np.testing.assert_allclose(sparse.todense(), wanted, rtol=1e-5)
np.testing.assert_allclose(graphax.hessve(lambda x: f(x)[0])(x), jax.hessian(lambda x: f(x)[0])(x), atol=1e-5)
task = tasks.load("RoeFlux_1d")
graph = graphax.trace(task.fun, task.argnums)(*task.args)
order = graphax.orders.auto(graph)  # a graph that is searched
assert graph.cost(order).mults < graph.cost(graphax.orders.reverse(graph)).mults
graphax.draw(graph, order).save("graph.html")

def refused(call, extra):
    try:
        call()
    except ImportError as error:
        assert f"'alphagrad[{extra}]'" in str(error), error
    else:
        raise AssertionError(f"{call} does without {extra}")

refused(lambda: graphax.orders.anneal(graph, steps=10), "search")
refused(lambda: graphax.orders.exact(graph, seconds=1), "search")
refused(lambda: graphax.orders.lower_bound(graph), "search")
refused(lambda: __import__("graphax.equinox"), "train")
refused(lambda: __import__("graphax.lineax"), "solvers")
for package in sys.argv[1:]:
    refused(lambda: __import__(package), "train")

from alphagrad.cli import main
assert main(["--help"]) == main(["--version"]) == 0
assert main(["search", "task=Simple"]) == 2
"""
PACKAGES = sorted(
    f"alphagrad.{path.parent.name}"
    for path in (ROOT / "alphagrad").glob("*/__init__.py")
    if path.parent.name != "tasks"
)


def test_without_its_extras_graphax_works_and_the_rest_names_them(tmp_path):
    absent = f"import sys; sys.modules.update(dict.fromkeys({_require_train.MODULES!r}))\n"
    python(absent + WITHOUT_EXTRAS, *PACKAGES, at=tmp_path, PYTHONPATH=str(ROOT))


def test_graphax_is_imported_in_a_tenth_of_a_second(tmp_path):
    program = """
import gc, sys, time
begin = time.process_time()
import jax
gc.disable()  # a collection goes through all of JAX, and falls on whoever is the next to import something
middle = time.process_time()
import graphax
print(middle - begin, time.process_time() - middle, *sys.modules)
"""
    # Where no bytecode is kept, its compilation would be measured.
    kept = {"PYTHONPYCACHEPREFIX": str(tmp_path), "PYTHONDONTWRITEBYTECODE": ""}
    times = []
    for _ in range(6):
        of_jax, of_graphax, *modules = python(program, **kept).split()
        times.append((float(of_graphax), float(of_jax)))
        assert not {"llvmlite", "alphagrad", *_require_train.MODULES} & set(modules)
    of_graphax, of_jax = min(times)
    assert of_graphax < max(0.1, of_jax / 4)  # a busy or slow machine is slow for JAX, too


# --- installations -----------------------------------------------------------------------------------------


class Environment:
    """A virtual environment in a folder."""

    def __init__(self, folder):
        self.folder, self.python = folder, folder / "bin/python"
        output([sys.executable, "-m", "venv", folder], ROOT)

    def install(self, *words):
        output([self.python, "-m", "pip", "install", "--quiet", *words], self.folder, PYTHONPATH="")

    def lend(self):
        """The libraries of this process's environment, which are taken where the folder has none."""
        (site,) = self.folder.glob("lib/python*/site-packages")
        (site / "lent.pth").write_text(
            "".join(f"{path}\n" for path in sys.path if path.endswith("-packages"))
        )

    def run(self, *words, at):
        return output([self.python, *words], at, PYTHONPATH="", GRAPHAX_ORDER_STORE="off")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the sources with nothing that was built, and a user's own ``tasks.py`` beside the link."""
    folder = tmp_path_factory.mktemp("project")
    reached = ["download", "--quiet", "--no-deps", "--retries=0", "--timeout=10", "setuptools>=77"]
    if subprocess.run([sys.executable, "-m", "pip", *reached], cwd=folder, capture_output=True).returncode:
        pytest.skip("there is nowhere to install from")
    copy = folder / "alphagrad"
    left_out = shutil.ignore_patterns(
        ".git", "build", "dist", "runs", "*.egg-info", "__pycache__", ".*_cache", ".venv"
    )
    shutil.copytree(ROOT, copy, symlinks=True, ignore=left_out)
    (copy / "tasks.py").write_text(HOSTILE)
    return copy


@pytest.fixture(scope="module")
def source_distribution(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    environment = Environment(folder / "venv")
    environment.install("setuptools>=77")
    environment.run("-c", f"import setuptools.build_meta as b; b.build_sdist({str(folder)!r})", at=project)
    (archive,) = folder.glob("*.tar.gz")
    return archive


@pytest.mark.slow
def test_the_source_distribution_holds_the_tests_and_each_file_once(source_distribution):
    with tarfile.open(source_distribution) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    sources = {str(path.relative_to(ROOT)) for path in SOURCES}
    assert sources <= held and {"graphax/py.typed", "alphagrad/py.typed", "README.md", ".ci/run"} <= held
    assert not [
        name for name in held if name.split("/")[0] in ("tasks", "tasks.py", "build") or "__pycache__" in name
    ]


@pytest.mark.slow
def test_the_wheel_holds_two_packages(project, tmp_path):
    environment = Environment(tmp_path / "venv")
    environment.run(
        "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, project, at=tmp_path
    )
    (wheel,) = tmp_path.glob("*.whl")
    held = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in held if ".dist-info" not in name} == {"alphagrad", "graphax"}
    assert {"alphagrad/tasks/fluid.py", "alphagrad/py.typed", "graphax/py.typed"} <= set(held)
    for best in ("alphagrad/matmul/library", "alphagrad/tasks/orders"):
        files = {str(path.relative_to(ROOT)) for path in ROOT.glob(f"{best}/*.json")}
        assert files and files <= set(held)


@pytest.mark.slow
def test_installed_alone_graphax_works_and_the_rest_names_its_extras(project, working_folder, tmp_path):
    environment = Environment(tmp_path / "venv")
    environment.install(str(project))
    environment.run("-c", WITHOUT_EXTRAS, *PACKAGES, at=working_folder)
    assert environment.run("-m", "alphagrad", "--version", at=working_folder).startswith("alphagrad ")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["folder", "editable", "source distribution"])
def test_installed_in_each_way_everything_is_found(how, request, working_folder, tmp_path):
    project = request.getfixturevalue("project")
    environment = Environment(tmp_path / "venv")
    environment.lend()
    what = {"folder": [project], "editable": ["--editable", project]}
    found = what.get(how) or [request.getfixturevalue("source_distribution")]
    environment.install("--no-deps", *map(str, found))
    where = environment.run("-c", "import alphagrad.tasks as t; print(t.__file__)", at=working_folder)
    assert where.startswith(str(project if how == "editable" else tmp_path / "venv"))
    assert environment.run("-m", "alphagrad", "--version", at=working_folder).startswith("alphagrad ")
    assert "Lighthouse" in environment.run("-m", "alphagrad", "show", "task=Lighthouse", at=working_folder)
    for folder in (working_folder, project):
        tests = project / "tests/tasks/test_loading.py"
        assert "passed" in environment.run("-m", "pytest", "-q", tests, "-p", "no:cacheprovider", at=folder)
        assert "--tasks" in environment.run(project / "benchmarks/jacobians.py", "--help", at=folder)
