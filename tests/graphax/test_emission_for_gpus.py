"""Jacobians as they are emitted for GPUs: zeros beside entries, and sums of products, within one kernel."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from graphax.sparse import _compose, _cost, _execution


def forget_plans():
    for name, module in list(sys.modules.items()):
        if name.startswith("graphax.sparse."):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    forget_plans()
    monkeypatch.setattr(_cost, "are_zeros_written_at_once", lambda places: places <= _cost._WRITTEN_AT_ONCE)
    for module in (_compose, _execution):
        monkeypatch.setattr(module, "worth_summing", lambda products: products <= _cost._SUMMED_AT_ONCE)
    yield
    forget_plans()


X = np.linspace(0.1, 2.0, 36).reshape(12, 3)


def jacobian_that_is_jaxs(fun):
    """The Jacobian by arrays, which is held against JAX's, alone and in a batch."""
    made = jax.jit(graphax.jacve(fun, kernel=False))
    np.testing.assert_allclose(made(X), jax.jacfwd(fun)(X), rtol=1e-12, atol=1e-14)
    in_batch = jax.vmap(made)(jnp.stack([X, 2 * X]))
    np.testing.assert_allclose(in_batch[1], jax.jacfwd(fun)(2 * X), rtol=1e-12, atol=1e-14)
    return made


def distances(x):
    return jnp.sqrt(((x[:, None] - x[None]) ** 2).sum(-1) + 1e-3)


def pooled(x):
    return jax.lax.reduce_window(jnp.sin(x), 0.0, jax.lax.add, (2, 1), (2, 1), "VALID") * x[::2]


def strided(x):
    return x.at[1::3].multiply(x[::3]).at[5].set(2.0)


@pytest.mark.parametrize(
    "fun", [distances, pooled, strided, lambda x: jnp.sin(x).T.reshape(-1) * x.reshape(-1)]
)
def test_zeros_and_entries_are_written_by_one_kernel(fun, as_on_a_gpu):
    made = jacobian_that_is_jaxs(fun)
    assert "scatter-add" not in str(made.trace(X).jaxpr)


def network(x):
    return jnp.tanh(jnp.tanh(x @ jnp.ones((3, 4)) * 0.1) @ jnp.ones((4, 2))).sum(0) * x[0, 0]


def least_squares(x):
    return jnp.stack([jnp.sum(jnp.exp(-x * k) * x.sum()) for k in (1.0, 2.0)])


@pytest.mark.parametrize("fun", [network, least_squares])
def test_small_contractions_are_products_and_sums(fun, as_on_a_gpu):
    jacobian_that_is_jaxs(fun)
    hessian = jax.jit(graphax.hessve(lambda x: fun(x).sum(), kernel=False))
    np.testing.assert_allclose(hessian(X), jax.hessian(lambda x: fun(x).sum())(X), rtol=1e-11, atol=1e-13)


def test_many_places_are_scattered_to_all_the_same(as_on_a_gpu):
    x = jnp.linspace(0.1, 2.0, 600)
    found = jax.jit(graphax.jacve(lambda x: jnp.sin(x), kernel=False)).trace(x)
    assert "scatter" in str(found.jaxpr)
