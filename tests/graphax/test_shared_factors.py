"""A factor of a matrix is read by several solves, through all of which derivatives pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy import linalg

from graphax import _matrix_free, _pushed_columns, hessve, jacve

X = np.sort(np.random.default_rng(0).normal(size=12))
Y = np.sin(X)
P = np.array([0.2, -0.4])


def matrix(p):
    kernel = jnp.exp(p[1] - 0.5 * (X[:, None] - X) ** 2 * jnp.exp(p[0]))
    return kernel + jnp.exp(p[1]) * jnp.eye(12)


def factor(p):
    return linalg.cho_factor(matrix(p), lower=True)


def solved(p):
    return linalg.cho_solve(factor(p), Y)


def solved_and_factor(p):
    found, lower = factor(p)
    return linalg.cho_solve((found, lower), Y), jnp.log(jnp.diagonal(found)) * p[0]


def factored_before_and_after(p):
    after = matrix(p)
    before = jnp.linalg.cholesky(after * after)
    return before @ Y, jnp.linalg.cholesky(after) @ Y


def likelihood(p):
    found, lower = factor(p)
    return 0.5 * Y @ linalg.cho_solve((found, lower), Y) + jnp.sum(jnp.log(jnp.diagonal(found)))


def same(found, wanted):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-11), found, wanted)


@pytest.mark.parametrize("fun", [solved, solved_and_factor, factored_before_and_after, likelihood])
def test_derivatives_pass_through_every_reader_of_a_factor(fun, monkeypatch):
    apart = []
    for module, way in ((_pushed_columns, "pushed_through"), (_matrix_free, "_pulled_through")):
        original = getattr(module, way)
        monkeypatch.setattr(module, way, lambda *args, of=original: apart.append(of) or of(*args))
    same(jax.jit(jacve(fun))(P), jax.jacfwd(fun)(P))
    assert len(apart) > 1


def test_hessians_pass_through_every_reader_of_a_factor():
    same(jax.jit(hessve(likelihood))(P), jax.hessian(likelihood)(P))
