"""How much work the default spends on an order: in proportion to what the order costs to compile and run."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from alphagrad import tasks
from graphax import orders
from graphax._elimination import OutOfWork
from graphax.choose import _auto, _store


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch):
    monkeypatch.setenv("GRAPHAX_ORDER_STORE", "off")
    _store.forget()
    yield
    _store.forget()


def graph_of(name):
    task = tasks.load(name)
    return graphax.trace(task.fun, task.argnums)(*task.args)


def chain(links):
    def fun(x):
        for k in range(links):
            x = jnp.sin(x) * x + jnp.roll(x, 1) * (k + 1.0)
        return x

    return graphax.trace(fun)(jnp.ones(3))


def work_of_search(graph, monkeypatch):
    """The work of the classical orders, of running the best once more, and of all."""
    found, costings = [], []
    costing_of, worthwhile = _auto._costing, _auto._worthwhile

    def costing(graph):
        costings.append(costing_of(graph))
        return costings[-1]

    def worth(costing, best):
        before = costing.work
        allowed = worthwhile(costing, best)
        found.extend([before, costing.work - before, allowed])
        return allowed

    monkeypatch.setattr(_auto, "_costing", costing)
    monkeypatch.setattr(_auto, "_worthwhile", worth)
    _auto.search_briefly(graph)
    return *found, costings[0].work


@pytest.mark.parametrize("name", ["RoeFlux_1d", "BlockTermAttention", "SpikingLIF", "chain"])
def test_after_the_classical_orders_work_is_bounded_by_what_an_order_costs(name, monkeypatch):
    graph = chain(6) if name == "chain" else graph_of(name)
    classical, once, allowed, all_of_it = work_of_search(graph, monkeypatch)
    assert once < classical
    assert allowed <= 3 * 300 * once
    # A step that has begun is finished.
    assert all_of_it <= classical + 1.3 * allowed + 20_000


def test_many_multiplications_make_a_search_longer(monkeypatch):
    def fun(x):
        a = jnp.sin(x) * jnp.cumsum(x)
        return jnp.tanh(a[:, None] * x).sum(0) * jnp.exp(a) + jnp.cos(a) * x

    few, many = (work_of_search(graphax.trace(fun)(jnp.ones(n)), monkeypatch)[2] for n in (2, 64))
    assert few < many


def test_a_gradient_is_searched_no_further_than_the_classical_orders(monkeypatch):
    def forbidden(*args):
        raise AssertionError("searched")

    monkeypatch.setattr(_auto, "sweeps", forbidden)
    monkeypatch.setattr(_auto, "_greedy", forbidden)

    def loss(w, x):
        for k in range(4):
            x = jnp.tanh(w[k] * x) * x
        return jnp.sum(x**2)

    graph = graphax.trace(loss, (0, 1))(jnp.ones(4), jnp.ones(3))
    assert len(graph.eliminable) > 7
    assert orders.auto(graph) == orders.reverse(graph)

    def curve(t):
        y = jnp.sin(t) * jnp.ones(3)
        for _ in range(4):
            y = jnp.cos(y) * t + jnp.roll(y, 1)
        return y

    graph = graphax.trace(curve)(0.5)
    assert graph.cost(orders.auto(graph)) == graph.cost(orders.forward(graph))


@pytest.mark.parametrize("name", ["RoeFlux_3d", "BlockTermAttention"])
def test_an_elimination_that_runs_out_of_work_leaves_the_graph_as_it_was(name):
    graph = graph_of(name)
    order = orders.markowitz(graph)
    wanted = graph.cost(order)
    allowances = np.random.default_rng(0).integers(1, 60_000, 8)
    raised = 0
    for allowance in map(int, allowances):
        costing = graph.costing(undoable=True)
        costing.allowance = allowance
        done = 0
        try:
            for vertex in orders.reverse(graph):
                costing.eliminate(vertex)
                done += 1
        except OutOfWork:
            raised += 1
        assert len(costing._log) == done
        costing.rewind()
        assert costing.mults == costing.adds == 0
        costing.allowance = math.inf
        costing.run(order)
        assert (costing.mults, costing.adds) == (wanted.mults, wanted.adds)
    assert raised
