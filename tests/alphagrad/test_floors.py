"""The packages of alphagrad stand on floors, and files import only what is beneath them."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# What each part may import, beside itself and what all stand on.
GROUND = {"", "_require_train"}  # the version, and what says which extra is missing
BENEATH = {
    "__main__": {"cli"},
    "cli": {"commands"},
    "commands": {"orders", "schemes", "zero", "layers", "run", "matmul", "tasks"},
    "orders": {"zero", "layers", "run", "tasks"},
    "schemes": {"zero", "layers", "run", "matmul"},
    "zero": {"layers", "run"},
    "layers": set(),
    "run": set(),
    "matmul": set(),
    "tasks": set(),
}


def imports_of(name, path, known):
    """The modules of the package that one of them imports anywhere, be it in functions."""
    package = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            candidates = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            inside = [f"{module}.{alias.name}" for alias in node.names]
            candidates = [one if one in known else module for one in inside]
        else:
            continue
        yield from (one for one in candidates if one in known and one != name)


@pytest.fixture(scope="module")
def graph():
    """For every module of alphagrad the modules of it that it imports."""
    known = {}
    for path in (ROOT / "alphagrad").rglob("*.py"):
        parts = path.relative_to(ROOT).with_suffix("").parts
        known[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {name: set(imports_of(name, path, known)) for name, path in known.items()}


def test_no_imports_go_in_a_circle(graph):
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph) > 40


def test_imports_lead_downwards(graph):
    parts = {(name + ".").split(".")[1]: set() for name in graph}
    for name, imported in graph.items():
        part = (name + ".").split(".")[1]
        parts[part] |= {(other + ".").split(".")[1] for other in imported} - {part}
    assert all(not parts.pop(part) for part in GROUND)
    assert all(parts[part] <= BENEATH[part] | GROUND for part in parts), parts
