"""Files of graphax import each other in no circles but those that are listed here."""

from import_graph import circles, import_graph

PIPELINE = """
_describe _elimination _graph _linearize orders
orders._anneal orders._auto orders._bound orders._check orders._engine orders._exact orders._heuristics
orders._objective orders._remember orders._resolve orders._store orders._sweeps orders._walk
"""
ALLOWED = [{f"graphax.{module}" for module in PIPELINE.split()}]


def test_no_circle_of_imports_is_new_or_larger():
    graph = import_graph("graphax")
    assert len(graph) > 60
    new = [circle for circle in circles(graph) if not any(circle <= allowed for allowed in ALLOWED)]
    assert not new


def test_circles_are_found_and_told_apart():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": {"e"}, "e": {"f"}, "f": {"d"}, "g": {"a"}}
    assert sorted(map(sorted, circles(graph))) == [["b", "c"], ["d", "e", "f"]]
