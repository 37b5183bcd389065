"""A graph in the counted convention: the same graph, unless costs are asked for; never what is executed."""

import pytest

import graphax
from alphagrad import tasks
from graphax import orders
from graphax.choose import _store

NAMES = ["RoeFlux_1d", "Encoder", "random_tensor:seed=5"]


def graph_of(name):
    task = tasks.load(name)
    return graphax.trace(task.fun, task.argnums)(*task.args)


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHAX_ORDER_STORE", str(tmp_path))
    _store.forget()
    yield tmp_path
    _store.forget()


def test_counted_and_executed_lead_to_and_fro():
    graph = graph_of("RoeFlux_1d")
    counted = graph.counted()
    assert counted.is_counted and not graph.is_counted
    assert counted is graph.counted() is counted.counted()
    assert graph is counted.executed() is graph.executed()


@pytest.mark.parametrize("name", NAMES)
def test_a_counted_graph_has_the_vertices_and_the_fingerprint_of_the_graph(name):
    graph = graph_of(name)
    counted = graph.counted()
    assert counted.edges.keys() == graph.edges.keys() and counted.edges != graph.edges
    assert (counted.inputs, counted.outputs) == (graph.inputs, graph.outputs)
    assert (counted.vertices, counted.eliminable) == (graph.vertices, graph.eliminable)
    assert counted.fingerprint == graph.fingerprint and str(counted) == str(graph)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_executed_costs_no_more_than_what_is_counted(name):
    graph = graph_of(name)
    for order in (orders.forward(graph), orders.reverse(graph), orders.markowitz(graph)):
        assert graph.cost(order).mults <= graph.counted().cost(order).mults


@pytest.mark.parametrize("unit_edges", ["free", "counted"])
def test_count_ops_counts_on_the_graph_of_its_convention(unit_edges):
    task = tasks.load("RoeFlux_1d")
    graph = graph_of("RoeFlux_1d")
    graph = graph.counted() if unit_edges == "counted" else graph
    for order in ("forward", "reverse", "markowitz", "auto"):
        count = graphax.count_ops(task.fun, task.argnums, order=order, unit_edges=unit_edges)
        assert count(*task.args) == graph.cost(orders.resolve_order(graph, order))


def test_another_convention_is_refused_before_anything_is_traced():
    with pytest.raises(ValueError, match="unit_edges must be 'free' or 'counted', got 'dear'"):
        graphax.count_ops(lambda x: x, unit_edges="dear")  # type: ignore[arg-type]


def test_markowitz_compares_counted_costs_on_a_counted_graph():
    graph = graph_of("RoeFlux_1d").counted()
    order = orders.resolve_order(graph, "markowitz")
    assert graph.cost(order).mults == 407
    assert order != orders.resolve_order(graph.executed(), "markowitz")


def test_auto_and_the_order_store_are_about_what_is_executed(store):
    graph = graph_of("RoeFlux_1d")
    found = orders.auto(graph.counted())
    assert orders.auto(graph) == found
    assert orders.resolve_order(graph.counted(), "auto") == orders.resolve_order(graph, "auto")
    (path,) = store.iterdir()
    assert graphax.load_order(path).free == graph.cost(found).mults
    _store.forget()  # as if in another process
    assert orders.auto(graph.counted()) == found
    known = _store.recall(graph)
    assert known is not None and known.cost == graph.cost(found).mults


def test_what_is_remembered_of_a_counted_graph_is_judged_by_what_is_executed(store):
    graph = graph_of("RoeFlux_3d")
    better = orders.anneal(graph, steps=100_000)
    assert (
        graph.cost(better).mults < graph.cost(orders.auto(graph)).mults < graph.counted().cost(better).mults
    )
    assert orders.remember(graph.counted(), better, method="annealing")
    assert orders.auto(graph) == better
    assert not orders.remember(graph.counted(), better, method="annealing")


def test_an_order_file_is_of_both(tmp_path):
    graph = graph_of("RoeFlux_1d")
    order = orders.reverse(graph)
    saved = graphax.save_order(tmp_path / "counted.json", graph.counted(), order, method="reverse")
    assert saved == graphax.save_order(tmp_path / "free.json", graph, order, method="reverse")
    assert (saved.counted, saved.free) == (graph.counted().cost(order).mults, graph.cost(order).mults)
    assert saved.for_graph(graph.counted()) == saved.for_graph(graph) == order
    assert saved.priced(graph.counted()) == saved.priced(graph) == saved


def test_run_times_are_those_of_the_program():
    graph = graph_of("Simple")
    (seconds,) = orders.measure(graph.counted(), [orders.reverse(graph)], repeats=1, batch=1)
    assert 0 < seconds < 10


def test_pictures_say_in_which_convention_they_count():
    graph = graph_of("Simple")
    assert "(unit edges free)" in graphax.draw(graph, "reverse").svg
    counted = graphax.draw(graph.counted(), "reverse")
    assert "(unit edges counted)" in counted.svg and "as published tables do" in counted.html
