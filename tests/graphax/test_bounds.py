"""Bounds and proofs: no order beats a bound, and the exact search finds the cheapest of all orders."""

import itertools
import time

import jax.numpy as jnp
import pytest
from small_graphs import in_convention, least_cost, small_graphs

import graphax
from alphagrad import tasks
from graphax import orders
from graphax.search import _bound
from graphax.search._bound import group_bounds

CONVENTIONS = ["free", "counted"]


def graph_of(name, unit_edges="free"):
    task = tasks.load(name)
    return in_convention(graphax.trace(task.fun, task.argnums)(*task.args), unit_edges)


def grouped_bound(graph, most):
    """The bound when so many vertices are looked at together; for one, the sum of the products of cuts."""
    return sum(int(group.table[0]) for group in group_bounds(graph, most))


def check_against_all_orders(graph):
    least = least_cost(graph)
    for most in (1, 3):
        assert grouped_bound(graph, most) <= least
    assert orders.lower_bound(graph) <= least
    proof = orders.exact(graph)
    assert proof.optimal and proof.cost == proof.bound == least
    assert graph.cost(proof.order).mults == least


@pytest.mark.parametrize("unit_edges", CONVENTIONS)
def test_on_small_graphs_exact_is_the_least_of_all_orders_and_bounds_are_not_above_it(unit_edges):
    for graph in small_graphs(60):
        check_against_all_orders(in_convention(graph, unit_edges))


@pytest.mark.slow
@pytest.mark.parametrize("unit_edges", CONVENTIONS)
def test_on_300_small_graphs_exact_is_the_least_of_all_orders_and_bounds_are_not_above_it(unit_edges):
    graphs = small_graphs(300)
    assert {len(graph.eliminable) for graph in graphs} == set(range(1, 10))
    for graph in graphs:
        check_against_all_orders(in_convention(graph, unit_edges))


@pytest.mark.parametrize("unit_edges", CONVENTIONS)
def test_the_quick_bounds_of_large_graphs_are_sound_too(unit_edges, monkeypatch):
    monkeypatch.setattr(_bound, "_MOST_SCALARS", 0)
    monkeypatch.setattr(_bound, "_MOST_ARRAYS", 0)
    for graph in small_graphs(150):
        graph = in_convention(graph, unit_edges)
        assert orders.lower_bound(graph) <= least_cost(graph)


@pytest.mark.parametrize("unit_edges", CONVENTIONS)
def test_large_arrays_whose_sums_stay_apart_are_bounded_soundly(unit_edges, monkeypatch):
    monkeypatch.setattr(_bound, "ONE_TERM", 0)
    for graph in small_graphs(60):
        graph = in_convention(graph, unit_edges)
        assert orders.lower_bound(graph) <= least_cost(graph)


@pytest.mark.parametrize("unit_edges", CONVENTIONS)
def test_the_yardstick_is_the_least_of_all_permutations(unit_edges):
    for graph in small_graphs(40, 5):
        graph = in_convention(graph, unit_edges)
        costs = [graph.cost(order).mults for order in itertools.permutations(graph.eliminable)]
        assert least_cost(graph) == min(costs)


def copies(x, y):
    z = jnp.reshape(jnp.reshape(x * y, (1,)), ())
    return jnp.sin(z) * x, jnp.reshape(z, (1, 1)) * y


def read_output(x, y):
    z = x * y
    w = jnp.sin(z) + z
    return z, w, w * jnp.cos(w)


def slices_that_do_not_meet(x, y):
    z = jnp.concatenate([jnp.sin(x), jnp.cos(y)])
    return z[:2] * z[2:], z[1:] * 2.0


def table_lookups(x):
    y = jnp.sin(x)[jnp.array([0, 0, 2, 1])]
    return jnp.cos(y).reshape(2, 2) @ y.reshape(2, 2), y[jnp.array([1, 1])] * 3.0


def constants(x):
    y = 2.0 * jnp.sum(x) * jnp.ones(3)
    z = y + x
    return 0.5 * z * jnp.sin(z), y - 3.0 * z


def diagonals(x, y):
    a = jnp.outer(x, y)
    b = a * a.T
    return jnp.trace(b), jnp.diagonal(a) @ b


@pytest.mark.parametrize("unit_edges", CONVENTIONS)
@pytest.mark.parametrize(
    ("fun", "args"),
    [
        (copies, (1.0, 2.0)),
        (read_output, (1.0, 2.0)),
        (slices_that_do_not_meet, (jnp.arange(2.0), jnp.arange(2.0))),
        (table_lookups, (jnp.arange(3.0),)),
        (constants, (jnp.arange(3.0),)),
        (diagonals, (jnp.arange(3.0), jnp.arange(3.0))),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_copies_read_outputs_slices_tables_and_constants_are_bounded_soundly(fun, args, unit_edges):
    graph = graphax.trace(fun, tuple(range(len(args))))(*args)
    assert 1 <= len(graph.eliminable) <= 12
    check_against_all_orders(in_convention(graph, unit_edges))


@pytest.mark.parametrize(
    ("name", "unit_edges", "optimum"),
    [
        ("RobotArm_6DOF", "counted", 221),
        ("HumanHeartDipole", "counted", 148),
        ("PropaneCombustion", "counted", 88),
        ("HumanHeartDipole", "free", 48),
        ("PropaneCombustion", "free", 24),
    ],
)
def test_the_best_known_orders_of_three_tasks_are_optimal(name, unit_edges, optimum):
    assert orders.lower_bound(graph_of(name, unit_edges)) == optimum


@pytest.mark.parametrize(
    ("name", "bound"),
    [("RoeFlux_1d", 223), ("RobotArm_6DOF", 221), ("HumanHeartDipole", 148), ("PropaneCombustion", 88)],
)
def test_products_of_cuts_give_the_published_bounds(name, bound):
    assert grouped_bound(graph_of(name, "counted"), 1) == bound


@pytest.mark.parametrize(
    ("name", "counted", "free"),
    [
        ("RoeFlux_1d", 295, 184),
        ("RoeFlux_3d", 639, 383),
        ("Perceptron", 308, 199),
        ("RobotArm_6DOF", 221, 151),
        ("CloudMicrophysics", 98, 47),
    ],
)
def test_bounds_of_tasks_are_not_above_the_best_known_costs(name, counted, free):
    executed = graph_of(name)
    for graph, best in ((executed.counted(), counted), (executed, free)):
        bound = orders.lower_bound(graph)
        assert grouped_bound(graph, 1) <= bound <= best


def test_layers_that_only_copy_cost_nothing_and_are_proved_so():
    graph = graphax.trace(lambda x: -(x.reshape(2, 3).T))(jnp.arange(6.0))
    assert orders.exact(graph) == (orders.forward(graph), 0, 0)


@pytest.mark.parametrize(
    ("name", "unit_edges", "optimum"), [("KerrSen", "counted", 72), ("Perceptron", "counted", 308)]
)
@pytest.mark.slow
def test_tasks_of_thirty_vertices_are_solved(name, unit_edges, optimum):
    proof = orders.exact(graph_of(name, unit_edges))
    assert proof.optimal and proof.cost == optimum


@pytest.mark.parametrize("name", ["random_scalar:seed=1,operations=20", "random_tensor:seed=7,operations=10"])
@pytest.mark.parametrize("unit_edges", CONVENTIONS)
def test_out_of_time_the_optimum_lies_between_bound_and_cost(name, unit_edges):
    graph = graph_of(name, unit_edges)
    optimum = orders.exact(graph)
    assert optimum.optimal
    for seconds in (1e-9, 0.02, 0.1):
        proof = orders.exact(graph, seconds=seconds)
        assert orders.lower_bound(graph) <= proof.bound <= optimum.cost <= proof.cost
        assert graph.cost(proof.order).mults == proof.cost


def test_a_time_limit_is_kept_on_a_graph_that_cannot_be_solved():
    graph = graph_of("random_scalar:seed=1,operations=80")
    orders.exact(graph, seconds=0.01)  # compiled, or read from the cache
    began = time.perf_counter()
    proof = orders.exact(graph, seconds=1.0)
    assert time.perf_counter() - began < 10
    assert proof.bound <= proof.cost


def test_a_start_is_kept_unless_something_better_is_found():
    graph = graph_of("HumanHeartDipole")
    best = min(
        (orders.forward(graph), orders.reverse(graph), orders.markowitz(graph)),
        key=lambda order: graph.cost(order).mults,
    )
    proof = orders.exact(graph, start=best)
    assert proof == (best, 48, 48) and proof.optimal
    worse = orders.exact(graph, start=orders.forward(graph), seconds=0.01)
    assert worse.cost <= graph.cost(orders.forward(graph)).mults


def test_the_same_search_gives_the_same_order():
    graph = graph_of("random_tensor:seed=7,operations=10")
    assert orders.exact(graph) == orders.exact(graph)


def test_wrong_arguments_are_refused():
    graph = graph_of("Simple")
    for seconds in (0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="seconds must be positive"):
            orders.exact(graph, seconds=seconds)
    with pytest.raises(ValueError, match="order misses 2 of 2 eliminable vertices"):
        orders.exact(graph, start=())
    with pytest.raises(TypeError, match="order must be"):
        orders.exact(graph, start=["a"])


def test_graphs_without_vertices_to_eliminate_cost_nothing():
    graph = graphax.trace(jnp.sin)(1.0)
    assert orders.lower_bound(graph) == 0
    assert orders.exact(graph) == ((), 0, 0)


def test_two_thousand_vertices_are_bounded_within_seconds():
    graph = graph_of("random_scalar:seed=1,operations=2000")
    began = time.perf_counter()
    for each in (graph, graph.counted()):
        assert orders.exact(each).bound > 0
    assert time.perf_counter() - began < 20
