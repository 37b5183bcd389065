"""Loops that mix what they carry keep their sparsity, however many steps and entries there are."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import graphax

RNG = np.random.default_rng(0)
W = jnp.asarray(RNG.normal(size=(3, 3)) / 2)


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def diffusion(x, steps=6):
    return lax.fori_loop(0, steps, lambda _, u: u + 0.1 * (jnp.roll(u, 1) + jnp.roll(u, -1) - 2 * u) * u, x)


def with_sources(x, rate):
    def step(u, source):
        wide = jnp.pad(u, 1)
        u = u + rate * (wide[2:] - 2 * u + wide[:-2]) + jnp.sin(source)
        return u, u[::2]

    last, rows = lax.scan(step, x[0], x[1:])
    return {"last": last, "rows": rows}


def backwards(x):
    return lax.scan(lambda c, xi: (jnp.tanh(0.5 * c + xi), c * xi), 0.1, x, reverse=True)[1]


def hidden_states(x):
    def step(h, xi):
        h = jnp.tanh(W @ h + xi)
        return h, h

    return lax.scan(step, jnp.zeros(3), x.reshape(-1, 3))[1]


def two_fields(x):
    def step(state, _):
        h, v = state
        return (h - 0.1 * (v - jnp.roll(v, 1)) * h, v - 0.1 * (jnp.roll(h, -1) - h)), v

    (h, _), rows = lax.scan(step, (x, 2 * x), None, length=4)
    return h, rows


CASES = {
    "diffusion": (diffusion, (RNG.uniform(0.5, 1, 30),)),
    "with_sources": (lambda x: with_sources(x, 0.2), (RNG.uniform(0.5, 1, (5, 24)),)),
    "constants_too": (with_sources, (RNG.uniform(0.5, 1, (5, 24)), 0.2 * np.ones(24))),
    "backwards": (backwards, (RNG.uniform(0.5, 1, 20),)),
    "hidden_states": (hidden_states, (RNG.uniform(0.5, 1, 18),)),
    "two_fields": (two_fields, (RNG.uniform(0.5, 1, 20),)),
}


def leaves(tree):
    return jax.tree.leaves(tree, is_leaf=lambda leaf: isinstance(leaf, graphax.sparse.Block))


@pytest.mark.parametrize("name", CASES)
def test_the_pattern_is_where_the_derivative_is_nonzero(name):
    fun, args = CASES[name]
    args, argnums = tuple(map(jnp.asarray, args)), tuple(range(len(args)))
    blocks = leaves(jax.jit(graphax.jacve(fun, argnums, sparse=True))(*args))
    dense = jax.tree.leaves(jax.jit(jax.jacfwd(fun, argnums))(*args))
    for block, wanted in zip(blocks, dense, strict=True):
        np.testing.assert_allclose(block.todense(), wanted, rtol=1e-10, atol=1e-13)
        assert block.nnz == np.count_nonzero(wanted)
        assert block.structure.numbers <= block.nnz


@pytest.mark.parametrize("steps", (3, 12, 100))
def test_a_stencil_is_a_band_as_wide_as_there_are_steps(steps):
    x = jax.ShapeDtypeStruct((500,), np.float64)
    pattern = graphax.jacobian_structure(lambda x: diffusion(x, steps))(x)
    assert pattern.nnz == (2 * steps + 1) * 500
    equations = jax.make_jaxpr(graphax.jacve(lambda x: diffusion(x, steps), sparse=True))(jnp.ones(500)).eqns
    assert len(equations) < 30  # the loop stays one


def each_by_its_neighbour(x):
    return lax.fori_loop(1, len(x), lambda i, y: y.at[i].set(x[i] * x[i - 1]), jnp.zeros_like(x))


def each_by_the_one_before(x):
    start = jnp.zeros_like(x).at[0].set(x[0])
    return lax.fori_loop(1, len(x), lambda i, y: y.at[i].set(x[i] * jnp.sin(y[i - 1])), start)


def added_by_slices(x):
    def step(y, numbers):
        i, j = numbers
        piece = lax.dynamic_slice(x, (i,), (3,))
        return lax.dynamic_update_slice(y, piece**2, (j,)), jnp.sin(y[j]) + x[i] ** 2

    at = np.arange(0, len(x) - 3, 2)
    return lax.scan(step, jnp.zeros_like(x), (at, at[::-1].copy()), reverse=True)


@pytest.mark.parametrize("size", (10, 60))  # the longer ones have too many equations to be written out
@pytest.mark.parametrize("fun", (each_by_its_neighbour, each_by_the_one_before, added_by_slices))
def test_entries_go_by_the_number_of_the_step_however_many_there_are(fun, size):
    x = jnp.asarray(RNG.uniform(0.5, 1, size))
    blocks = leaves(jax.jit(graphax.jacve(fun, sparse=True))(x))
    for block, wanted in zip(blocks, jax.tree.leaves(jax.jit(jax.jacfwd(fun))(x)), strict=True):
        np.testing.assert_allclose(block.todense(), wanted, rtol=1e-10, atol=1e-300)
        assert block.nnz == np.count_nonzero(wanted)


def test_hessians_through_loops_that_mix():
    def energy(x):
        return jnp.sum(diffusion(x, 3) ** 2)

    x = jnp.asarray(RNG.uniform(0.5, 1, 24))
    found = jax.jit(graphax.hessve(energy, sparse=True))(x)
    wanted = jax.jit(jax.hessian(energy))(x)
    np.testing.assert_allclose(found.todense(), wanted, rtol=1e-9, atol=1e-12)
    assert found.nnz == np.count_nonzero(abs(wanted) > 1e-14)


def test_zeros_of_structure_stay_zeros_next_to_a_pole():
    def fun(x):  # the derivative of the root at zero is infinite
        return lax.fori_loop(0, 3, lambda _, u: jnp.sqrt(u) + 0.1 * jnp.roll(u, 1), x)

    x = jnp.ones(12).at[4].set(0.0)
    found = jax.jit(graphax.jacve(fun, sparse=True))(x).todense()
    wanted = jax.jit(jax.jacrev(fun))(x)
    finite = np.isfinite(wanted)
    assert np.isfinite(np.asarray(found))[finite].all()
    np.testing.assert_allclose(np.asarray(found)[finite], np.asarray(wanted)[finite], rtol=1e-10)


def test_triangles_of_two_sweeps_are_multiplied_as_arrays():
    def thomas(b):
        def forward(before, bi):
            now = -1 / (2.5 + before[0]), (bi + before[1]) / (2.5 + before[0])
            return now, now

        def back(x, factors):
            x = factors[1] - factors[0] * x
            return x, x

        _, factors = lax.scan(forward, (0.0, 0.0), b)
        return lax.scan(back, 0.0, factors, reverse=True)[1]

    b = jnp.asarray(RNG.uniform(0.5, 1, 60))
    found = jax.jit(graphax.jacve(thomas, sparse=True))(b)
    np.testing.assert_allclose(found.todense(), jax.jacfwd(thomas)(b), rtol=1e-10, atol=1e-13)
