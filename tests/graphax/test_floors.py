"""The files of graphax stand on floors, those of ARCHITECTURE.md, and import only what is beneath them."""

import pytest
from import_graph import circles, import_graph

# From the ground up; a file imports from its own floor and those beneath.
FLOORS = """
_trace sparse files compiled spelling _numbers _remembered _notebook
_known _certain _certain_forms _repetitions timing
rules
_numbering _tables _fingerprint _describe _graph _linearize _elimination
choose
_accumulate
search orders
_tuned _staged
_arguments _application _assemble _fallback _pullback _reverse_mode
_incoming_columns _pushed_columns _matrix_free _coloured _modes
kernels
_rows
_ways
_jacobian _gradient _hessian _hessian_diagonal
_patterns _check
drawing equinox lineax tuning
"""


@pytest.fixture(scope="module")
def graph():
    return import_graph("graphax")


def test_no_imports_go_in_a_circle(graph):
    assert len(graph) > 60
    assert not circles(graph)


def test_imports_lead_downwards(graph):
    floors = [line.split() for line in FLOORS.strip().splitlines()] + [["graphax"], ["__main__"]]
    height = {part: at for at, floor in enumerate(floors) for part in floor}

    def part(module):
        return module.split(".")[1] if "." in module else module

    assert height.keys() == {part(module) for module in graph}
    upwards = [
        (module, other)
        for module, imported in graph.items()
        for other in imported
        if height[part(other)] > height[part(module)]
    ]
    assert not upwards


def test_circles_are_found_and_told_apart():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"e"}, "e": {"f"}, "f": {"d"}, "g": {"a"}}
    assert sorted(map(sorted, circles(graph))) == [["b", "c"], ["d", "e", "f"]]
