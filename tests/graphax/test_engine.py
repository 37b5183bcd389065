"""What searches and proofs stand on: prices looked up, least cuts, and states that are forgotten."""

import itertools
import random

import numpy as np
import pytest
from small_graphs import least_cost, small_graphs

import graphax
from alphagrad import tasks
from graphax import orders
from graphax.search import _exact
from graphax.search._branch import cut_bounds, product_of_cuts
from graphax.search._engine import Engine, Prices
from graphax.search._flow import least_cut
from graphax.search._links import PRICE, eliminate, multiplications


def engine_of(name, counted=False):
    task = tasks.load(name)
    graph = graphax.trace(task.fun, task.argnums)(*task.args)
    graph = graph.counted() if counted else graph
    return Engine(graph, Prices(graph, additions=False)), graph


def shuffled(engine, graph, seed):
    vertices = list(graph.eliminable)
    random.Random(seed).shuffle(vertices)
    return engine.indices(vertices)


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("name", ["RoeFlux_1d", "Encoder", "random_tensor:seed=5"])
def test_what_an_elimination_would_take_is_what_it_takes(name, counted):
    engine, graph = engine_of(name, counted)
    for vertex in shuffled(engine, graph, 0):
        engine.call(multiplications, vertex)
        expected = engine.links.top[PRICE]
        engine.call(eliminate, vertex)
        assert engine.links.top[PRICE] == expected


def separates(edges, removed, ends):
    reached, ahead = set(), [0]
    while ahead:
        node = ahead.pop()
        if node in removed or node in reached:
            continue
        reached.add(node)
        ahead += [target for source, target in edges if source == node]
    return not reached & ends


def test_the_flow_is_as_large_as_the_least_of_all_cuts():
    rng = random.Random(0)
    for _ in range(40):
        size = rng.randint(3, 8)
        edges = [pair for pair in itertools.combinations(range(size), 2) if rng.random() < 0.5] or [(0, 1)]
        ends = {node for node in range(1, size) if rng.random() < 0.4} | {size - 1}
        weights = [np.inf, *(rng.choice([0.1, 1.0, 2.5, 40.0, np.inf]) for _ in range(size - 1))]
        weights = [
            3.0 if node in ends and weight == np.inf else weight for node, weight in enumerate(weights)
        ]
        subsets = itertools.chain.from_iterable(
            itertools.combinations(range(1, size), count) for count in range(size)
        )
        least = min(sum(weights[node] for node in cut) for cut in subsets if separates(edges, set(cut), ends))
        arcs = np.array([(source, target, 0) for source, target in edges], np.uint32)
        found = least_cut(arcs, np.array(weights), np.array([node in ends for node in range(size)]))
        assert found == pytest.approx(least)


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("name", ["RoeFlux_1d", "random_scalar:seed=1,operations=30"])
def test_products_of_cuts_do_not_fall_when_vertices_go_and_no_vertex_costs_less(name, counted):
    engine, graph = engine_of(name, counted)
    left = shuffled(engine, graph, 1)
    cuts = np.zeros((len(engine.links.nodes), 2, 2), np.int64)
    bounds = dict.fromkeys(map(int, left), 0)
    while len(left):
        total = cut_bounds(engine.links, engine.tables, left, engine.ends, cuts)
        found = {int(vertex): product_of_cuts(cuts[vertex]) for vertex in left}
        assert total == sum(found.values())
        for vertex in left:
            engine.call(multiplications, vertex)
            assert bounds[int(vertex)] <= found[int(vertex)] <= engine.links.top[PRICE]
        bounds = found
        engine.call(eliminate, left[-1])
        left = left[:-1].copy()


def test_a_proof_that_forgets_states_proves_the_same(monkeypatch):
    _, graph = engine_of("random_tensor:seed=7,operations=10", counted=True)
    proof = orders.exact(graph)
    monkeypatch.setattr(_exact, "_MOST_REMEMBERED", 1 << 11)
    assert orders.exact(graph)[1:] == proof[1:] == (360, 360)


def test_a_proof_looks_at_the_clock_while_products_are_worked_out(monkeypatch):
    monkeypatch.setattr(_exact, "_is_over", lambda deadline: deadline is not None)
    for graph in small_graphs(20):
        proof = orders.exact(graph, seconds=1.0)
        assert proof.bound <= least_cost(graph) <= proof.cost
