"""Sparse Jacobians of what is done to many rows: a kernel for a row, elimination around it."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import graphax
from graphax import _rows, _ways
from graphax.kernels import NoKernel
from graphax.sparse import Block, Pattern

N = 70
RNG = np.random.default_rng(0)
START, END = RNG.integers(0, 20, (2, N))


@pytest.fixture(autouse=True)
def in_double_precision_with_kernels(monkeypatch):
    monkeypatch.setenv("GRAPHAX_CANDIDATES", "kernels")
    with jax.enable_x64(True):
        yield


@pytest.fixture
def taken(monkeypatch):
    """For every Jacobian whether it went by rows."""
    found = []
    by_rows = _ways.jacobians_by_rows

    def noted(*args):
        result = by_rows(*args)
        found.append(result is not None)
        return result

    monkeypatch.setattr(_ways, "jacobians_by_rows", noted)
    return found


def step(state, force):
    sine, cosine = jnp.sin(state[1]), jnp.cos(state[1])
    push = (force + sine * (state[3] ** 2 + cosine)) / (1 + sine**2)
    return state + 0.1 * jnp.stack([state[2], state[3], push, -push * cosine - jnp.tanh(sine)])


def shooting(z):
    states, forces = z[: 4 * (N + 1)].reshape(-1, 4), z[4 * (N + 1) :]
    return (jax.vmap(step)(states[:-1], forces) - states[1:]).reshape(-1)


def edges(x):
    apart = jnp.sin(x[START]) - x[END] * jnp.exp(x[START])
    apart = jnp.cos(apart) * apart / (1 + jnp.exp(-apart))
    return jnp.zeros(20).at[START].add(apart / (1 + apart**2)).at[END].add(jnp.tanh(apart))


def selecting(x):
    rows = x.reshape(3, N)
    kept = jnp.where(rows[0] > 0, jnp.log(rows[1]), jnp.sin(rows[2])) * jnp.cos(rows[0])
    kept = kept * jnp.exp(-(kept**2)) / (2 + jnp.sin(kept))
    return kept / (1 + kept**2) + jnp.tanh(jnp.abs(rows[1])) + jnp.flip(x)[:N]


def forms(x):
    """Rows along the second axis, and the third, in every operation that keeps them apart."""
    rows = jnp.transpose(x.reshape(2, N, 3), (2, 1, 0))
    outer = lax.dot_general(rows, rows, (((2,), (2,)), ((1,), (1,))))
    both = jnp.concatenate([jnp.sin(outer), jnp.cos(outer[:, :2])], 1)
    padded = jnp.pad(both[:, 1:4], ((0, 0), (1, 0), (0, 1)))
    total = jnp.exp(-(padded.sum(2) ** 2))[:, :, None] * padded.reshape(N, 4, 2, 2).sum(3)
    return jnp.stack([total[:, 0], jnp.squeeze(total[:, 1:2], 1)], 2)


def energy(x):
    apart = x[START] - x[END]
    return jnp.sum((jnp.sqrt(jnp.sum(apart**2, 1) + 0.1) - 1.0) ** 2 * jnp.exp(-apart[:, 0]))


JACOBIANS = {
    "shooting": (shooting, 5 * N + 4),
    "edges": (edges, 20),
    "selections": (selecting, 3 * N),
    "every form": (forms, 6 * N),
}


@pytest.mark.parametrize("name", JACOBIANS)
def test_jacobians_by_rows_have_the_values_of_jax_and_the_pattern_of_elimination(name, taken):
    fun, size = JACOBIANS[name]
    x = jnp.asarray(RNG.uniform(0.2, 1.0, size))
    value, found = jax.jit(graphax.value_and_jacve(fun, sparse=True))(x)
    assert taken == [True]
    np.testing.assert_allclose(found.todense(), jax.jacfwd(fun)(x), rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(value, fun(x), rtol=1e-12)
    assert Pattern.of(found) == Pattern.of(graphax.jacve(fun, sparse=True)(x))


@pytest.mark.slow
def test_hessians_by_rows_are_those_of_jax_and_may_be_differentiated_and_batched(taken):
    x = jnp.asarray(RNG.normal(size=(20, 2)))
    hessian = graphax.hessve(energy, sparse=True)
    found = jax.jit(hessian)(x)
    assert taken == [True]
    np.testing.assert_allclose(found.todense(), jax.hessian(energy)(x), rtol=1e-9, atol=1e-11)
    assert Pattern.of(found) == Pattern.of(hessian(x))
    batch = jax.jit(jax.vmap(hessian))(jnp.stack([x, 2 * x]))
    np.testing.assert_allclose(batch.todense()[1], jax.hessian(energy)(2 * x), rtol=1e-9, atol=1e-11)

    def of_blocks(x):
        return (hessian(x).data() ** 2).sum()

    def of_arrays(x):
        return (jax.hessian(energy)(x) ** 2).sum()

    np.testing.assert_allclose(jax.jit(jax.grad(of_blocks))(x), jax.grad(of_arrays)(x), rtol=1e-8)


def test_several_arguments_results_and_auxiliary_data_go_by_rows(taken):
    def fun(states, count, parameters, forces):
        after = jax.vmap(step)(states, forces)
        total = {"a": after * parameters["p"], "b": (after[1:, 0] - states[:-1, 1], parameters["p"] ** 2)}
        return total, count + 1

    states, forces = jnp.asarray(RNG.normal(size=(N, 4))), jnp.linspace(0, 1, N)
    args = states, 3, {"p": jnp.arange(1.0, 5.0)}, forces
    found, aux = jax.jit(graphax.jacve(fun, (3, 0, 2), has_aux=True, sparse=True))(*args)
    wanted, _ = jax.jacfwd(fun, (3, 0, 2), has_aux=True)(*args)
    assert taken == [True] and aux == 4
    dense = jax.tree.map(lambda block: block.todense(), found, is_leaf=lambda leaf: isinstance(leaf, Block))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11), dense, wanted)


def test_what_a_selection_leaves_out_is_zero_in_rows_as_it_is_by_elimination(taken):
    x = jnp.asarray(RNG.normal(size=3 * N))  # logarithms of negative numbers among those left out
    found = jax.jit(graphax.jacve(selecting, sparse=True))(x).todense()
    assert taken == [True]
    np.testing.assert_allclose(
        found, graphax.jacve(selecting, sparse=True)(x).todense(), rtol=1e-9, atol=1e-11
    )


@pytest.mark.parametrize(
    ("fun", "options"),
    [
        (lambda x: x[1:] * jnp.sin(x[:-1]), {}),  # few operations
        (lambda x: jnp.cumsum(x) * x, {}),  # no rows
        (shooting, {"order": "reverse"}),
        (shooting, {"kernel": False}),
    ],
    ids=["few operations", "no rows", "an order", "no kernel wanted"],
)
def test_other_functions_and_other_wishes_are_eliminated(fun, options, taken):
    x = jnp.asarray(RNG.uniform(0.2, 1.0, 5 * N + 4 if fun is shooting else N))
    found = jax.jit(graphax.jacve(fun, sparse=True, **options))(x)
    assert True not in taken
    np.testing.assert_allclose(found.todense(), jax.jacfwd(fun)(x), rtol=1e-9, atol=1e-11)


def test_rows_without_a_kernel_are_eliminated(taken, monkeypatch):
    def none(entries):
        def fused(*args):
            raise TypeError("there is no kernel") from NoKernel("of a reason")

        return fused

    monkeypatch.setattr(_rows, "fuse", none)
    x = jnp.asarray(RNG.uniform(0.2, 1.0, 20))
    found = jax.jit(graphax.jacve(edges, sparse=True))(x)
    assert taken == [False]
    np.testing.assert_allclose(found.todense(), jax.jacfwd(edges)(x), rtol=1e-9, atol=1e-11)
