"""Sparse Jacobians through loops and branches have the same pattern for few numbers as for many."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import graphax

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def bidiagonal(x):
    return jnp.sin(x) + 0.1 * jnp.pad(x[1:], (0, 1))


# Every function with how many entries its Jacobian has for n numbers.
FUNCTIONS = {
    "elementwise steps": (lambda x: lax.fori_loop(0, 5, lambda _, y: jnp.sin(y) + y, x), lambda n: n),
    "until it is done": (
        lambda x: lax.while_loop(lambda c: c[1] < 4, lambda c: (jnp.cos(c[0]), c[1] + 1), (x, 0))[0],
        lambda n: n,
    ),
    "loops under vmap": (
        jax.vmap(lambda x: lax.while_loop(lambda y: abs(y) > 0.2, lambda y: 0.5 * y, x)),
        lambda n: n,
    ),
    "two steps of a band": (
        lambda x: lax.fori_loop(0, 2, lambda _, y: bidiagonal(y), x),
        lambda n: 3 * n - 3,
    ),
    "a condition": (
        lambda x: lax.cond(x[0] > 0, jnp.sin, lambda y: y[::-1] ** 2, x),
        lambda n: 2 * n - n % 2,
    ),
    "a branch that is known": (lambda x: lax.switch(1, (jnp.cumsum, jnp.sin, jnp.flip), x), lambda n: n),
    "a condition that is known": (
        lambda x: lax.cond(np.bool_(False), jnp.cumsum, lambda y: y * y[::-1], x),
        lambda n: 2 * n - n % 2,
    ),
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("n", (6, 7, 80))
def test_the_pattern_does_not_depend_on_the_size(name, n):
    fun, entries = FUNCTIONS[name]
    x = jnp.asarray(RNG.normal(size=n))
    found = jax.jit(graphax.jacve(fun, sparse=True))(x)
    np.testing.assert_allclose(found.todense(), jax.jit(jax.jacfwd(fun))(x), rtol=1e-12, atol=1e-14)
    assert found.nnz == entries(n)


def test_a_branch_that_is_known_is_taken_in_any_jacobian():
    x = jnp.asarray(RNG.normal(size=(2, 3)))
    branches = (lambda y: y.sum(0), lambda y: jnp.prod(y, 0))
    for which in (-1, 0, 1, 5):
        fun = lambda y, which=which: lax.switch(which, branches, jnp.sin(y))  # noqa: E731
        wanted = jax.jacrev(fun)(x)
        for order in ("forward", "reverse", "auto"):
            np.testing.assert_allclose(graphax.jacve(fun, order=order)(x), wanted, rtol=1e-12)
        batch = jnp.stack([x, 2 * x])
        mapped = jax.vmap(graphax.jacve(fun))(batch)
        np.testing.assert_allclose(mapped, jax.vmap(jax.jacrev(fun))(batch), rtol=1e-12)
