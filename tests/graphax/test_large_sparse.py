"""Sparse Jacobians of large arrays: what tracing costs, and that places are compared rightly."""

import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from graphax import jacve, trace
from graphax.sparse import Digit, Kind, digit_table, make_term
from graphax.sparse._add import _Pair
from graphax.sparse._places import distinct_places, place_keys


def permutation(size):
    places = np.random.default_rng(size).permutation(size)
    return lambda x: jnp.sin(x)[places] * x


def gather(size):
    places = np.random.default_rng(size).integers(0, size, size)
    return lambda x: jnp.sin(x[places]) * x


def parts_in_another_order(size):
    places = np.random.default_rng(size).permutation(size // 10 * 10)
    return lambda x: jnp.concatenate([jnp.sin(part) for part in jnp.split(x, 10)])[places] * x


def scatter(size):
    places = np.random.default_rng(size).integers(0, size, size)
    return lambda x: jnp.zeros(size).at[places].add(jnp.sin(x)) + x


def bars(size):
    """The residual of a line of springs."""
    left, right = np.arange(size - 1), np.arange(1, size)

    def residual(u):
        force = jnp.sin(u[right] - u[left])
        ends = jax.ops.segment_sum(-force, left, size), jax.ops.segment_sum(force, right, size)
        return ends[0] + ends[1] + u**3

    return residual


def triangles(size):
    """The gradient of an energy of linear elements on a square grid, cut into triangles."""
    side = round(size**0.5)
    nodes = np.arange(side**2).reshape(side, side)
    corners = [part.ravel() for part in (nodes[:-1, :-1], nodes[1:, :-1], nodes[:-1, 1:], nodes[1:, 1:])]
    mesh = np.concatenate([np.stack(corners[:3], 1), np.stack(corners[:0:-1], 1)])

    def energy(u):
        at = u[mesh]
        slope = (at[:, 1] - at[:, 0]) ** 2 + (at[:, 2] - at[:, 0]) ** 2
        return jax.ops.segment_sum(slope + slope**2, mesh[:, 0], side**2).sum()

    return jax.grad(energy)


MODELS = [permutation, gather, parts_in_another_order, scatter, bars, triangles]


def argument(size):
    return jnp.asarray(np.random.default_rng(1).uniform(0.2, 1.0, size))


@pytest.mark.parametrize("order", ["forward", "reverse", "auto"])
@pytest.mark.parametrize("model", MODELS)
def test_large_models_have_the_jacobians_of_jax_when_they_are_small(model, order):
    fun, x = model(100), argument(100)

    @jax.jit
    def both(x):
        block = jacve(fun, order=order, sparse=True)(x)
        return jax.jacfwd(fun)(x), block.todense(), block.to_bcoo().todense()

    expected, *dense = both(x)
    for found in dense:
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_tracing_costs_grow_linearly_with_the_array(model):
    def seconds(size):
        fun, x = model(size), jax.ShapeDtypeStruct((size,), float)
        start = time.process_time()
        trace(fun)(x)
        jax.eval_shape(lambda x: jacve(fun, order="reverse", sparse=True)(x).to_bcoo(), x)
        return time.process_time() - start

    seconds(900)
    assert seconds(90_000) < 20 * max(seconds(10_000), 0.05)


def test_a_mesh_is_traced_in_the_time_of_some_sorts():
    fun, x = triangles(40_000), jax.ShapeDtypeStruct((40_000,), float)
    start = time.process_time()
    jax.eval_shape(jacve(fun, order="reverse", sparse=True), x)
    traced = time.process_time() - start
    numbers = np.random.default_rng(0).integers(0, 1 << 40, 1_000_000)
    start = time.process_time()
    np.sort(np.array(numbers), kind="stable")
    assert traced < 100 * (time.process_time() - start)


def test_more_parts_than_a_sum_may_have_terms_stay_sparse():
    order = np.random.default_rng(0).permutation(66)
    places = np.arange(1320).reshape(66, 20)[order].reshape(-1)
    x = argument(1320)

    def fun(x):
        parts = jnp.split(jnp.sin(x), 66)
        return jnp.concatenate([parts[at] for at in order])

    block = jax.jit(jacve(fun, order="reverse", sparse=True))(x)
    assert block.nnz == block.structure.numbers == 1320
    expected = np.zeros((1320, 1320))
    expected[np.arange(1320), places] = np.cos(x)[places]
    np.testing.assert_allclose(block.todense(), expected, rtol=1e-12)


@pytest.mark.parametrize(
    "radices", [(3, 2, 5), (7,), (2**31 - 1,) * 3, (2**31 - 1, 5, 2**31 - 1, 2**31 - 1), (1, 1)]
)
def test_places_are_told_apart_however_many_there_could_be(radices):
    rng = np.random.default_rng(len(radices))
    choices = [rng.integers(0, radix, 3) for radix in radices]
    columns = [choice[rng.integers(0, 3, 50)] for choice in choices]
    chosen, place = distinct_places(place_keys(columns, radices))
    rows, expected = np.unique(np.stack(columns), axis=1, return_inverse=True)
    np.testing.assert_array_equal(np.stack(columns)[:, chosen], rows)
    np.testing.assert_array_equal(place, expected.reshape(-1))


def test_the_numbers_of_a_common_refinement_are_known_before_it_is_made():
    table = digit_table(6, (0,), np.array([3, 0, 3, 5, 1, 2]))
    part = Digit(6, (0,), 1, 1)
    places = [
        ([[0], [1]], [[0]], [6, 6]),
        ([[0], [1]], [[1]], [6, 6]),
        ([[0], [1]], [[2]], [6, 6, 6]),
        ([[0], [0]], [[0]], [6]),
        ([[0], [0]], [[table]], [6]),
        ([[table], [1]], [[0]], [6, 6]),
        ([[part], [1]], [[0, 2]], [3, 6, 2]),
        ([[Digit(6, (), 2)], [1]], [[part]], [4, 6]),
    ]
    terms = []
    for out, in_, sizes in places:
        terms.append(make_term(out, in_, sizes, Kind.UNIT))
        terms += [make_term(out, in_, sizes, Kind.VALUE, axes) for axes in ((0,), range(len(sizes)))]
    for left, right in itertools.product(terms, terms):
        pair = _Pair(left, right)
        numbers = pair.refined_numbers()
        assert pair.refined().term.numbers == numbers
