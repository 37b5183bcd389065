"""The packages of alphagrad stand on floors, and files import only what is beneath them."""

import pytest
from import_graph import circles, import_graph

# What each part may import, beside itself and what all stand on.
# The version, lines of help, what says which extra is missing, and what hears Ctrl-C.
GROUND = {"", "_columns", "_interrupts", "_require_train"}
BENEATH = {
    "__main__": {"cli"},
    "cli": {"commands", "doctor"},
    "commands": {"completion", "demo", "orders", "schemes", "zero", "layers", "run", "matmul", "tasks"},
    "completion": {"run"},
    "demo": {"orders", "run", "tasks"},
    "doctor": set(),
    "orders": {"zero", "layers", "run", "tasks"},
    "schemes": {"zero", "layers", "run", "matmul"},
    "zero": {"layers", "run"},
    "layers": set(),
    "run": set(),
    "matmul": set(),
    "tasks": set(),
}


@pytest.fixture(scope="module")
def graph():
    return import_graph("alphagrad")


def test_no_imports_go_in_a_circle(graph):
    assert len(graph) > 40
    assert not circles(graph)


def test_imports_lead_downwards(graph):
    parts = {(name + ".").split(".")[1]: set() for name in graph}
    for name, imported in graph.items():
        part = (name + ".").split(".")[1]
        parts[part] |= {(other + ".").split(".")[1] for other in imported} - {part}
    assert all(not parts.pop(part) for part in GROUND)
    assert all(parts[part] <= BENEATH[part] | GROUND for part in parts), parts
