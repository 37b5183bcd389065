"""Diagonals and traces of Hessians beside those of `jax.hessian`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core

import graphax
from graphax import hessian_diagonal, laplacian

RNG = np.random.default_rng(0)
X = jnp.asarray(RNG.uniform(0.2, 1, 12))
U, V, W = (jnp.asarray(RNG.normal(size=size) / 3) for size in ((9, 12), (7, 9), (7,)))

FUNCTIONS = {
    "network": lambda x: W @ jnp.tanh(V @ jnp.tanh(U @ x)),
    "rosenbrock": lambda x: jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2),
    "pairs": lambda x: jnp.sum(jnp.triu(jnp.exp(-(jnp.abs(x[:, None] - x[None]) ** 2)), 1)),
    "square": lambda x: 0.5 * x @ x,
    "linear": lambda x: jnp.sum(3 * x),
    "few": lambda x: jnp.sin(x[0]) * x[1] ** 3 + 0 * jnp.sum(x),
    "loop": lambda x: jax.lax.fori_loop(0, 3, lambda i, y: jnp.sin(y) * jnp.roll(x, 1) + y, x).sum(),
    "determinant": lambda x: jnp.log(jnp.linalg.det(jnp.eye(3) + jnp.outer(x[:3], x[3:6]))) * x[6],
}


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("order", ("auto", "reverse", "markowitz"))
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_diagonal_is_that_of_the_hessian(name, order):
    fun, x = FUNCTIONS[name], jnp.asarray(X, float)
    wanted = jnp.diagonal(jax.hessian(fun)(x))
    diagonal = jax.jit(hessian_diagonal(fun, order=order))
    np.testing.assert_allclose(diagonal(x), wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(hessian_diagonal(fun, order=order)(x), wanted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(jax.jit(laplacian(fun, order=order))(x), wanted.sum(), rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_trees_several_arguments_and_auxiliary_data():
    def fun(tree, y, scale):
        value = scale * jnp.sum(jnp.sin(tree["a"]) * tree["b"][0] ** 2) * jnp.prod(y)
        return value, {"value": value, "name": "energy"}

    tree, y = {"a": X[:4].reshape(2, 2), "b": (X[4:6],)}, X[6:9]
    (first, second), aux = hessian_diagonal(fun, (0, 1), has_aux=True)(tree, y, 2.0)
    hessian = jax.hessian(lambda tree, y: fun(tree, y, 2.0)[0], (0, 1))(tree, y)
    own = hessian[0]["a"][0]["a"], hessian[0]["b"][0][0]["b"][0], hessian[1][1]
    found = first["a"], first["b"][0], second
    for block, diagonal in zip(own, found, strict=True):
        wanted = jnp.diagonal(block.reshape(diagonal.size, -1)).reshape(diagonal.shape)
        np.testing.assert_allclose(diagonal, wanted, rtol=1e-9, atol=1e-12)
    assert aux["name"] == "energy"
    total, _ = laplacian(fun, (0, 1), has_aux=True)(tree, y, 2.0)
    np.testing.assert_allclose(total, sum(one.sum() for one in found), rtol=1e-9)


@pytest.mark.slow
def test_they_go_under_other_transformations():
    u, points = FUNCTIONS["network"], jnp.asarray(RNG.normal(size=(5, 12)))
    by_jax = lambda x: jnp.trace(jax.hessian(u)(x))  # noqa: E731
    np.testing.assert_allclose(jax.vmap(laplacian(u))(points), jax.vmap(by_jax)(points), rtol=1e-9)
    np.testing.assert_allclose(jax.grad(laplacian(u))(points[0]), jax.grad(by_jax)(points[0]), rtol=1e-9)


def largest(jaxpr):
    inner = [largest(one) for eqn in jaxpr.eqns for one in core.jaxprs_in_params(eqn.params)]
    return max([0, *inner, *(var.aval.size for eqn in jaxpr.eqns for var in eqn.outvars)])


def test_there_is_no_matrix_with_a_row_and_a_column_for_every_entry():
    wide = jnp.asarray(RNG.normal(size=(8, 400)))
    fun = lambda x: jnp.sum(jnp.tanh(V[:, :8] @ jnp.tanh(wide @ x)))  # noqa: E731
    x = jnp.asarray(RNG.normal(size=400))
    assert largest(jax.make_jaxpr(laplacian(fun))(x).jaxpr) <= 8 * 400
    assert largest(jax.make_jaxpr(graphax.hessve(fun))(x).jaxpr) >= 400 * 400


def test_what_has_no_diagonal_is_refused():
    with pytest.raises(TypeError, match="one real number"):
        hessian_diagonal(jnp.sin)(X)
    with pytest.raises(TypeError, match="dtype complex"):
        laplacian(lambda z: jnp.sum(jnp.abs(z)))(X + 1j)
    with pytest.raises(TypeError, match="got int"):
        laplacian(3)
    with pytest.raises(ValueError, match="argnums"):
        laplacian(FUNCTIONS["square"], 1)(X)
