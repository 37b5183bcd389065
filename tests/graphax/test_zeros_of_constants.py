"""Zeros of constants are no entries of sparse Jacobians."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from graphax.sparse import arranged_block, without_zeros

RNG = np.random.default_rng(0)
N = 8
BAND = np.triu(np.tril(RNG.normal(size=(N, N)), 1))
MASK = RNG.uniform(size=(3, 4)) < 0.4
EDGE = np.arange(N) % (N - 1) == 0
SECOND = np.diag(np.ones(2), 1) - 2 * np.eye(3) + np.diag(np.ones(2), -1)


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def line(size=N):
    return jnp.asarray(RNG.normal(size=size))


# Every function with its arguments, and how many numbers are no more than it takes.
FUNCTIONS = {
    "product with a band": (lambda x: BAND @ x, (N,), 2 * N - 1),
    "product from the left": (lambda x: jnp.sin(x @ BAND), (N,), 2 * N - 1),
    "two products": (lambda x: BAND @ jnp.tanh(BAND @ x) + x, (N,), 3 * N - 2),
    "band times a matrix": (lambda x: BAND @ x, (N, 2), 2 * N - 1),
    "both sides of a plane": (lambda u: SECOND @ u + jnp.exp(u @ np.eye(4)[::-1]), (3, 4), 19),
    "contraction": (lambda u: jnp.einsum("ij,kj->ik", u, np.eye(4)[:2]), (3, 4), 0),
    "mask": (lambda x: jnp.sin(x) * MASK, (3, 4), int(MASK.sum())),
    "mask along an axis": (lambda x: x**2 * MASK[:, :1], (3, 4), 12),
    "selection": (lambda x: jnp.where(MASK, x, x[::-1] ** 2), (3, 4), 12),
    "boundary": (lambda u: jnp.where(EDGE, u**2, jnp.roll(u, 1)), (N,), N),
    "upper triangle": (lambda x: jnp.triu(x) ** 2, (4, 4), 10),
    "triangle of weights": (lambda x: jnp.tril(x) @ jnp.ones(4), (4, 4), 10),
    "running sum": (lambda x: jnp.cumsum(x), (N,), 0),
    "sums that follow": (lambda x: jnp.cumsum(jnp.exp(jnp.cumsum(x))), (N,), N * (N + 1) // 2),
    "nothing": (lambda x: x * np.zeros(N), (N,), 0),
    "a number": (lambda x: jnp.where(True, x, 2 * x), (N,), 0),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_pattern_has_the_nonzeros_of_jax_alone(name):
    fun, shape, numbers = FUNCTIONS[name]
    x = jnp.asarray(RNG.normal(size=shape))
    wanted = jax.jacfwd(fun)(x)
    for order in ("forward", "reverse", "auto"):
        found = graphax.jacve(fun, order=order, sparse=True)(x)
        np.testing.assert_allclose(found.todense(), wanted, rtol=1e-12, atol=1e-14)
        assert found.nnz == np.count_nonzero(wanted)
        assert found.structure.numbers <= numbers
    under_jit = jax.jit(graphax.jacve(fun, sparse=True))(x)
    np.testing.assert_allclose(under_jit.todense(), wanted, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(graphax.jacve(fun)(x), wanted, rtol=1e-12, atol=1e-14)


def test_the_hessian_of_a_banded_form_holds_the_band():
    x = line()
    found = graphax.hessve(lambda x: x @ (BAND @ x), sparse=True)(x)
    np.testing.assert_allclose(found.todense(), BAND + BAND.T, rtol=1e-12)
    assert found.nnz == found.structure.numbers == 3 * N - 2


def test_a_box_that_a_mask_leaves_is_a_slice():
    inside = (np.arange(N) > 0) & (np.arange(N) < N - 1)
    found = graphax.jacve(lambda u: jnp.where(inside, u, 0.0), sparse=True)(line())
    assert found.nnz == N - 2 and all(
        digit.table is None for term in found.structure.terms for dim in term.out for digit in dim
    )


def test_few_zeros_are_left_in_a_dense_factor_but_not_in_the_pattern():
    nearly = np.where(np.arange(N * N).reshape(N, N) % 7 == 0, 0.0, 1.5)
    found = graphax.jacve(lambda x: jnp.sin(nearly @ x), sparse=True)(line())
    assert found.nnz == np.count_nonzero(nearly)


@pytest.mark.parametrize("seed", range(6))
def test_a_block_without_zeros_is_the_same_array(seed):
    rng = np.random.default_rng(seed)
    sizes = [3, 4, 2]
    value = rng.normal(size=sizes) * (rng.uniform(size=sizes) < (0.2, 0.5)[seed % 2])
    value[rng.integers(3)] = 0
    if seed >= 4:
        value = np.asarray(value != 0)
    block = arranged_block([[0], [1]], [[1, 2], [0]], sizes, value, [0, 1, 2]).astype(np.float64)
    plain = arranged_block([[0], [1]], [[1, 2], [0]], sizes, value, [0, 1, 2])
    found = without_zeros(plain).astype(np.float64)
    np.testing.assert_array_equal(found.todense(), block.todense())
    assert found.nnz == np.count_nonzero(value) or found.nnz < block.nnz
    last = without_zeros(plain, at_last=True).astype(np.float64)
    np.testing.assert_array_equal(last.todense(), block.todense())
    assert last.nnz == np.count_nonzero(value)
    np.testing.assert_array_equal(last.T.todense(), np.moveaxis(block.todense(), (0, 1), (2, 3)))


def test_what_constants_multiply_by_zero_may_be_infinite():
    x = jnp.asarray([0.0, 1.0, 4.0])
    found = graphax.jacve(lambda x: np.eye(3)[1:] @ jnp.sqrt(x), sparse=True)(x)
    np.testing.assert_allclose(found.todense(), [[0, 0.5, 0], [0, 0, 0.25]])
