"""Orders: the classical ones, what a user may write, and files."""

import itertools
import json
import os
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import assert_same_jacobian
from small_graphs import in_convention

import graphax
from alphagrad import tasks
from graphax import jacve, orders


def fun(x):
    a = jnp.sin(x)
    b = jnp.cos(a)
    c = a * b
    d = jnp.exp(c)
    return d * b, c + d


GRAPH = graphax.trace(fun)(1.0)


def graph_of(name):
    task = tasks.load(name)
    return graphax.trace(task.fun, task.argnums)(*task.args)


def test_every_order_gives_the_same_jacobian():
    expected = jax.jacrev(fun)(0.7)
    for order in itertools.permutations(GRAPH.eliminable):
        assert_same_jacobian(jacve(fun, order=order)(0.7), expected, rtol=1e-12)


def test_forward_ascends_and_reverse_descends():
    assert orders.forward(GRAPH) == GRAPH.eliminable == tuple(sorted(GRAPH.eliminable))
    assert orders.reverse(GRAPH) == GRAPH.eliminable[::-1]


@pytest.mark.parametrize("unit_edges", ["free", "counted"])
@pytest.mark.parametrize("seed", range(5))
def test_markowitz_takes_the_cheapest_vertex_and_the_smallest_number(seed, unit_edges):
    task = tasks.random_scalar(seed, num_operations=15)
    graph = in_convention(graphax.trace(task.fun, task.argnums)(*task.args), unit_edges)
    order = orders.markowitz(graph)
    costing = graph.costing()
    left = set(graph.eliminable)
    for vertex in order:
        assert (costing.degree(vertex), vertex) == min((costing.degree(v), v) for v in left)
        before = costing.mults
        degree = costing.degree(vertex)
        costing.eliminate(vertex)
        assert costing.mults - before == degree
        left.remove(vertex)
    assert not left


@pytest.mark.parametrize("ties", ["first", "last", "fill", "low", "high"])
def test_markowitz_takes_a_cheapest_vertex_however_ties_are_broken(ties):
    graph = graph_of("random_scalar:seed=4,operations=30")
    order = orders.markowitz(graph, ties=ties)
    costing = graph.costing()
    left = set(graph.eliminable)
    for vertex in order:
        cheapest = min(costing.degree(v) for v in left)
        assert costing.degree(vertex) == cheapest
        if ties == "last":
            assert vertex == max(v for v in left if costing.degree(v) == cheapest)
        costing.eliminate(vertex)
        left.remove(vertex)
    assert not left


def test_ties_are_broken_differently():
    graph = graph_of("RobotArm_6DOF")
    assert len({orders.markowitz(graph, ties=ties) for ties in ("first", "last", "fill", "low", "high")}) == 5
    with pytest.raises(ValueError, match="ties must be one of 'first', 'last', 'fill', 'low', 'high', got"):
        orders.markowitz(graph, ties="middle")


def test_relative_markowitz_takes_the_vertex_with_the_lowest_relative_cost():
    graph = graph_of("random_scalar:seed=5,operations=25")
    last = {}
    for vertex in graph.eliminable:
        inputs = ancestors({vertex}, graph.edges) & set(graph.inputs)
        outputs = ancestors({vertex}, [(w, v) for v, w in graph.edges]) & graph.output_vertices
        last[vertex] = len(inputs) * len(outputs)
    costing = graph.costing()
    left = set(graph.eliminable)
    for vertex in orders.relative_markowitz(graph):
        assert (costing.degree(vertex) - last[vertex], vertex) == min(
            (costing.degree(v) - last[v], v) for v in left
        )
        costing.eliminate(vertex)
        left.remove(vertex)
    assert not left


def ancestors(nodes, edges):
    """The nodes from which these are reached, themselves left out."""
    found, new = set(), nodes
    while new:
        new = {v for v, w in edges if w in new} - found
        found |= new
    return found


def test_the_relative_cost_of_arrays_is_taken_for_dense_jacobians():
    from graphax.choose._heuristics import _last_costs

    def fun(x, w):
        y = w @ x  # 4 <- 3 and 12
        return jnp.sum(jnp.tanh(y)), jnp.outer(y, y)

    graph = graphax.trace(fun, (0, 1))(jnp.ones(3), jnp.ones((4, 3)))
    assert _last_costs(graph)[1] == (3 + 12) * 4 * (1 + 16)


def test_lookahead_minimises_what_a_vertex_costs_now_and_in_its_neighbours():
    graph = graph_of("random_scalar:seed=6,operations=25")
    costing = graph.costing(undoable=True)
    left = set(graph.eliminable)

    def added(vertex):
        before = {v: costing.degree(v) for v in left - {vertex}}
        cost = costing.eliminate(vertex)
        cost += sum(costing.degree(v) - degree for v, degree in before.items())
        costing.undo()
        return cost, costing.degree(vertex), vertex

    for vertex in orders.lookahead(graph, width=1000):
        assert added(vertex) == min(map(added, left))
        costing.eliminate(vertex)
        left.remove(vertex)
    assert not left


def test_looking_at_one_vertex_ahead_is_markowitz():
    for name in ("RobotArm_6DOF", "random_tensor:seed=1"):
        graph = graph_of(name)
        assert orders.lookahead(graph, width=1) == orders.markowitz(graph)
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        orders.lookahead(graph, width=0)


@pytest.mark.parametrize("heuristic", [orders.markowitz, orders.relative_markowitz, orders.lookahead])
@pytest.mark.parametrize("name", ["RoeFlux_3d", "Encoder", "Simple", "random_tensor:seed=2"])
def test_heuristics_give_orders_in_both_conventions(heuristic, name):
    graph = graph_of(name)
    for each in (graph, graph.counted()):
        order = heuristic(each)
        assert orders.check_order(graph, order) == order


@pytest.mark.slow
@pytest.mark.parametrize(("operations", "limit"), [(2000, 1.0), (10000, 15.0)])
def test_markowitz_is_fast_on_large_graphs(operations, limit):
    graph = graph_of(f"random_scalar:seed=0,operations={operations},inputs=20,outputs=20")
    start = time.process_time()
    orders.markowitz(graph)
    assert time.process_time() - start < limit


@pytest.mark.parametrize("unit_edges", ["free", "counted"])
@pytest.mark.parametrize(
    "name", ["random_scalar:seed=7", "random_tensor:seed=7", "random_tensor:seed=2", "Hole"]
)
def test_eliminations_can_be_taken_back(name, unit_edges):
    graph = in_convention(graph_of(name), unit_edges)
    costing = graph.costing(undoable=True)
    rng = np.random.default_rng(0)
    for _ in range(5):
        order = [int(vertex) for vertex in rng.permutation(graph.eliminable)]
        states = []
        for vertex in order:
            states.append(state(costing, graph))
            costing.eliminate(vertex)
        assert (costing.mults, costing.adds) == graph.cost(order)
        for _ in order[3:]:
            costing.undo()
            assert state(costing, graph) == states.pop()
        costing.rewind()
        assert state(costing, graph) == states[0]


def state(costing, graph):
    """All that can be seen of a graph under elimination."""
    degrees = [costing.degree(vertex) for vertex in graph.eliminable]
    neighbours = [costing.neighbours(vertex) for vertex in graph.eliminable]
    return costing.mults, costing.adds, degrees, neighbours


@pytest.mark.parametrize(
    ("order", "error", "message"),
    [
        ((1, 2, 3), ValueError, "misses 1 of 4 eliminable vertices: 4"),
        ((1, 2, 2, 3, 4), ValueError, "names vertex 2 twice"),
        ((1, 2, 3, 4, 99), ValueError, "vertex 99, which cannot be eliminated: no vertex"),
        ((1, 2, 3, 4, 5), ValueError, "vertex 5, which cannot be eliminated: it is an output"),
        ((1, 2, 3, 4.0), TypeError, "sequence of vertex numbers"),
        (7, TypeError, "sequence of vertex numbers"),
        (None, TypeError, "sequence of vertex numbers"),
        ("markovitz", ValueError, "did you mean 'markowitz'"),
        ("", ValueError, "named orders are 'forward', 'reverse', 'markowitz'"),
    ],
)
def test_wrong_orders_are_refused(order, error, message):
    with pytest.raises(error, match=message):
        jacve(fun, order=order)(1.0)
    if not isinstance(order, str):
        with pytest.raises(error, match=message):
            GRAPH.cost(order)


@pytest.mark.parametrize(
    "take",
    [
        orders.forward,
        orders.reverse,
        orders.markowitz,
        orders.relative_markowitz,
        orders.lookahead,
        orders.auto,
        orders.anneal,
        orders.exact,
        orders.lower_bound,
        lambda wrong: orders.evaluate(wrong, (1,)),
        lambda wrong: orders.estimate(wrong, (1,)),
        lambda wrong: orders.measure(wrong, [(1,)]),
        lambda wrong: orders.fastest(wrong, [(1,)]),
        lambda wrong: orders.check_order(wrong, (1,)),
        lambda wrong: orders.resolve_order(wrong, "markowitz"),
        lambda wrong: orders.remember(wrong, (1,), method="mine"),
        lambda wrong: orders.save_order("order.json", wrong, (1,), method="mine"),
    ],
)
def test_what_takes_a_graph_refuses_a_function(take):
    with pytest.raises(TypeError, match=r"takes a graph, got function; make one with graphax\.trace"):
        take(fun)


@pytest.mark.parametrize(
    ("take", "message"),
    [
        (lambda: orders.anneal(GRAPH, seconds="1"), "seconds must be a number, got '1'"),
        (lambda: orders.anneal(GRAPH, steps=1.5), "steps must be an integer, got 1.5"),
        (lambda: orders.anneal(GRAPH, steps=1, workers="2"), "workers must be an integer, got '2'"),
        (lambda: orders.anneal(GRAPH, steps=1, seed="a"), "seed must be an integer, got 'a'"),
        (lambda: orders.exact(GRAPH, seconds="1"), "seconds must be a number"),
        (lambda: graphax.tune(fun, seconds="1")(1.0), "seconds must be a number"),
        (lambda: graphax.calibrate(seconds="1"), "seconds must be a number"),
    ],
)
def test_numbers_are_numbers(take, message):
    with pytest.raises(TypeError, match=message):
        take()


def test_numpy_integers_and_iterators_are_orders():
    expected = jax.jacrev(fun)(0.7)
    assert_same_jacobian(jacve(fun, order=np.array(GRAPH.eliminable))(0.7), expected)


def test_saved_orders_are_loaded_as_they_were(tmp_path):
    path = tmp_path / "deep" / "order.json"
    order = orders.reverse(GRAPH)
    saved = graphax.save_order(path, GRAPH, order, method="reverse", seed=3, seconds=0.5, task="mine")
    assert graphax.load_order(path) == saved
    data = json.loads(path.read_text())
    assert set(data) == {
        "version", "fingerprint", "order", "counted", "free", "method", "seed", "seconds", "task",
    }  # fmt: skip
    assert data["counted"] == GRAPH.counted().cost(order).mults
    assert data["free"] == GRAPH.cost(order).mults
    assert_same_jacobian(jacve(fun, order=graphax.load_order(path))(0.7), jax.jacrev(fun)(0.7))
    assert os.listdir(path.parent) == ["order.json"]


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "order.json"
    graphax.save_order(path, GRAPH, orders.reverse(GRAPH), method="reverse")
    before = path.read_text()
    with pytest.raises(ValueError, match="misses"):
        graphax.save_order(path, GRAPH, (1, 2), method="mine")
    with pytest.raises(TypeError):
        graphax.save_order(path, GRAPH, orders.reverse(GRAPH), method=object())  # not JSON
    assert path.read_text() == before and os.listdir(tmp_path) == ["order.json"]


def test_orders_of_another_graph_are_refused(tmp_path):
    path = tmp_path / "order.json"
    graphax.save_order(path, GRAPH, orders.reverse(GRAPH), method="reverse", task="mine")
    loaded = graphax.load_order(path)
    with pytest.raises(ValueError, match=r"task mine.*made for another graph"):
        jacve(lambda x: fun(x)[0], order=loaded)(1.0)
    with pytest.raises(ValueError, match="made for another graph"):
        jacve(fun, order=loaded)(np.ones(3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not an order file"),
        ('{"version": 1, "order": [1', "not an order file"),
        ("[1, 2]", "expected a JSON object"),
        ('{"version": 2}', "missing keys: counted, fingerprint"),
        ("VERSION", "version 99 is not supported"),
        ("ORDER", "'order' must be a list of integers"),
    ],
)
def test_broken_files_are_refused(tmp_path, text, message):
    path = tmp_path / "order.json"
    graphax.save_order(path, GRAPH, orders.reverse(GRAPH), method="reverse")
    good = json.loads(path.read_text())
    if text in ("VERSION", "ORDER"):
        good |= {"version": 99} if text == "VERSION" else {"order": [1, "2"]}
        text = json.dumps(good)
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        graphax.load_order(path)


PROGRAM = """
import sys, jax, numpy, graphax
from alphagrad import tasks
jax.config.update("jax_enable_x64", True)
task = tasks.load("RobotArm_6DOF")
order = graphax.load_order(sys.argv[1])
actual = graphax.jacve(task.fun, task.argnums, order=order)(*task.args)
expected = jax.jacrev(task.fun, task.argnums)(*task.args)
for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
    numpy.testing.assert_allclose(a, e, rtol=1e-10)
print(order.counted)
"""


def test_an_order_saved_in_float32_runs_in_float64_in_another_process(tmp_path):
    with jax.enable_x64(False):
        task = tasks.load("RobotArm_6DOF")
        graph = graphax.trace(task.fun, task.argnums)(*task.args)
        graphax.save_order(tmp_path / "o.json", graph, orders.markowitz(graph), method="markowitz")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "o.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) == graphax.load_order(tmp_path / "o.json").counted
