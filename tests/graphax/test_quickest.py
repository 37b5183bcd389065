"""The order that "auto" is within a Jacobian: of few operations, or estimated to be faster."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from graphax import orders
from graphax.choose import _auto, _store, _time
from graphax.timing import constants_for

X = np.linspace(0.1, 1.0, 5)


def sums(p):
    t = jnp.linspace(0.0, 1.0, 40)
    return jnp.sum((p[0] * jnp.exp(-p[1] * t) + p[2] * jnp.exp(-p[3] * t) + p[4] - t) ** 2)


@pytest.fixture
def graph():
    return graphax.trace(graphax.gradient(sums))(X)


@pytest.fixture(autouse=True)
def nothing_is_known(monkeypatch):
    monkeypatch.setenv("GRAPHAX_ORDER_STORE", "off")
    _store.forget()
    _time.forget()
    yield
    _store.forget()
    _time.forget()


def test_many_products_of_matrices_take_longer_than_as_many_multiplications(graph):
    many = orders.auto(graph)
    quick = _time.quickest(graph)
    assert graph.cost(many).mults <= graph.cost(quick).mults
    assert _time.elimination_nanoseconds(graph, quick) < _time.elimination_nanoseconds(graph, many)
    assert orders.resolve_order(graph, "auto") == quick


def test_a_device_on_which_kernels_cost_nothing_takes_the_fewest_operations(graph, monkeypatch):
    free = dict.fromkeys(("kernel", "product", "reduced", "gathered", "scattered"), 0.0)
    plain = replace(constants_for(), **free, entry=1.0, multiply=1.0)
    monkeypatch.setattr(_time, "constants_for", lambda: plain)
    operations = sum(graph.cost(_time.quickest(graph)))
    assert operations <= sum(graph.cost(orders.reverse(graph)))
    assert operations <= sum(graph.cost(orders.forward(graph)))


def test_it_is_found_once(graph, monkeypatch):
    first = _time.quickest(graph)
    monkeypatch.setattr(_auto, "search_briefly", lambda *_: pytest.fail("searched again"))
    monkeypatch.setattr(_time, "_quickest", lambda *_: pytest.fail("searched again"))
    assert _time.quickest(graphax.trace(graphax.gradient(sums))(X)) == first


def test_what_is_remembered_later_is_considered(graph):
    _time.quickest(graph)
    better = orders.anneal(graph, steps=20_000)
    assert orders.remember(graph, better, method="annealing")
    assert _time._quickest(graph, _auto.known_order(graph), _time._Pricing(graph, constants_for())) in (
        better,
        orders.reverse(graph),
        orders.forward(graph),
    )
