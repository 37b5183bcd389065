"""Sparse Jacobians by sums of columns, or of rows, that do not meet: JAX's modes on fewer tangents."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import graphax
from graphax import _modes
from graphax._coloured import Sides, colouring
from graphax.sparse import Block, Pattern


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True)
def modes_are_candidates(monkeypatch):
    monkeypatch.setenv("GRAPHAX_CANDIDATES", "modes")


@pytest.fixture
def taken(monkeypatch):
    """Which modes have been evaluated on sums, all of which seem to be fast."""
    found = []
    shared = _modes.jacobians_by_colours

    def noted(numbering, num_outputs, groups, *values):
        found.append(groups.mode)
        return shared(numbering, num_outputs, groups, *values)

    monkeypatch.setattr(_modes, "jacobians_by_colours", noted)
    monkeypatch.setattr(_modes, "_MARGIN", 1e6)
    return found


def only(monkeypatch, mode):
    modes = _modes._modes
    monkeypatch.setattr(_modes, "_modes", lambda *args: {mode: modes(*args)[mode]})


def steps(state):
    def step(carried, _):
        u, v = carried
        v = v + 0.1 * (jnp.roll(u, 1) - 2 * u + jnp.roll(u, -1) - jnp.sin(u))
        return (u + 0.1 * v, v), None

    return jnp.stack(lax.scan(step, (state[0], state[1]), length=2)[0])


def convolutions(image):
    kernel = jnp.arange(1.0, 10.0).reshape(1, 1, 3, 3) / 10
    return lax.conv(jnp.tanh(lax.conv(image[None, None], kernel, (1, 1), "SAME")), kernel, (1, 1), "SAME")[
        0, 0
    ]


CASES = {"a wave": (steps, (2, 40)), "convolutions": (convolutions, (7, 8))}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", ["jacfwd", "jacrev"])
def test_sums_of_columns_or_rows_give_the_jacobian_and_the_pattern_of_elimination(
    name, mode, taken, monkeypatch
):
    only(monkeypatch, mode)
    fun, shape = CASES[name]
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape))
    value, found = jax.jit(graphax.value_and_jacve(fun, sparse=True))(x)
    assert taken == [mode]
    np.testing.assert_allclose(found.todense(), jax.jacfwd(fun)(x), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(value, fun(x), rtol=1e-12)
    assert Pattern.of(found) == Pattern.of(graphax.jacve(fun, sparse=True)(x))
    batch = jax.jit(jax.vmap(graphax.jacve(fun, sparse=True)))(jnp.stack([x, 2 * x]))
    np.testing.assert_allclose(batch.todense()[1], jax.jacfwd(fun)(2 * x), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("mode", ["jacfwd", "jacrev"])
def test_blocks_of_several_arguments_and_results_are_taken_from_shared_sums(mode, taken, monkeypatch):
    only(monkeypatch, mode)

    def fun(x, steps, y):
        both = jnp.sin(x) * y[::-1]
        return {"a": both[1:] + x[:-1] ** 2, "b": (jnp.cos(y.reshape(2, 4)), 3 * x)}, steps + 1

    x, y = jnp.linspace(0.1, 1.0, 8), jnp.linspace(1.0, 2.0, 8)
    found, aux = jax.jit(graphax.jacve(fun, (2, 0), has_aux=True, sparse=True))(x, 3, y)
    wanted, _ = jax.jacfwd(fun, (2, 0), has_aux=True)(x, 3, y)
    assert taken == [mode] and aux == 4
    dense = jax.tree.map(lambda block: block.todense(), found, is_leaf=lambda leaf: isinstance(leaf, Block))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-12), dense, wanted)


def test_hessians_may_be_taken_from_sums_and_gradients_of_both(taken):
    def energy(x):
        return jnp.sum(jnp.cos(x[1:] - x[:-1])) + jnp.sum(x**4)

    x = jnp.linspace(0.1, 1.0, 9)
    found = jax.jit(graphax.hessve(energy, sparse=True))(x)
    assert taken
    np.testing.assert_allclose(found.todense(), jax.hessian(energy)(x), rtol=1e-12, atol=1e-14)

    def trace_of_square(hessian, x):
        return (hessian(x) ** 2).sum()

    def by_blocks(x):
        return graphax.hessve(energy, sparse=True)(x).todense()

    of_dense = jax.grad(functools.partial(trace_of_square, jax.hessian(energy)))(x)
    np.testing.assert_allclose(
        jax.jit(jax.grad(functools.partial(trace_of_square, by_blocks)))(x), of_dense, rtol=1e-10
    )


@pytest.mark.parametrize(
    "fun",
    [
        lambda x: jnp.sqrt(x) * jnp.roll(x, 1),
        lambda x: jnp.cumsum(jnp.sin(x)),
        lambda x: jnp.sin(x) @ jnp.arange(144.0).reshape(12, 12),
    ],
    ids=["a pole", "a triangle", "dense"],
)
def test_modes_are_left_where_zeros_may_meet_poles_or_few_columns_can_share(fun, taken):
    x = jnp.linspace(0.1, 1.0, 12)
    found = jax.jit(graphax.jacve(fun, sparse=True))(x)
    assert not taken
    np.testing.assert_allclose(found.todense(), jax.jacfwd(fun)(x), rtol=1e-12, atol=1e-14)


def test_an_order_that_is_asked_for_or_no_candidates_leave_elimination(taken, monkeypatch):
    x = jnp.ones((2, 12))
    jax.jit(graphax.jacve(steps, sparse=True, order="reverse"))(x)
    monkeypatch.setenv("GRAPHAX_CANDIDATES", "kernels")
    jax.jit(graphax.jacve(steps, sparse=True))(x)
    assert not taken


def test_what_takes_few_operations_is_eliminated():
    def burgers(u):
        left, right = jnp.roll(u, 1), jnp.roll(u, -1)
        return 0.1 * (right - 2 * u + left) - 0.5 * u * (right - left)

    program = jax.make_jaxpr(graphax.jacve(burgers, sparse=True))(jnp.ones(64))
    assert len(program.jaxpr.outvars) > 1


@settings(deadline=None)
@given(st.data())
def test_columns_of_one_group_meet_in_no_row(data):
    rows, columns = (data.draw(st.integers(1, 8)) for _ in range(2))
    dense = data.draw(
        st.lists(st.lists(st.booleans(), min_size=columns, max_size=columns), min_size=rows, max_size=rows)
    )
    places = np.nonzero(np.array(dense))
    block = Pattern((rows,), (columns,), *places).filled(np.ones(len(places[0])))
    for mode, lines in (("jacfwd", np.array(dense)), ("jacrev", np.array(dense).T)):
        found = colouring(mode, Sides([[block]], [rows], [columns]))
        (groups,) = found.groups
        assert groups.max(initial=0) < max(1, found.count)
        assert found.count <= max(1, lines.shape[1])
        for group in range(found.count):
            assert lines[:, groups == group].sum(1).max(initial=0) <= 1


def test_a_hundred_million_entries_are_neither_listed_nor_coloured():
    derivative = graphax.jacve(lambda x: jnp.sin(x) * jnp.roll(x, 1), sparse=True)
    block = jax.eval_shape(derivative, jax.ShapeDtypeStruct((10**8,), np.float32))
    assert block.structure.numbers == 2 * 10**8
