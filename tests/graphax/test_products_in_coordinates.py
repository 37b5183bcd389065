"""Products of JAX's sparse matrices have as many entries as these have numbers."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import sparse

import graphax

RNG = np.random.default_rng(0)
DENSE = np.where(RNG.uniform(size=(4, 5)) < 0.4, RNG.normal(size=(4, 5)), 0.0)
PLACES = np.argwhere(DENSE)
NUMBERS = DENSE[tuple(PLACES.T)]
TWICE = np.concatenate([PLACES, PLACES[:2]])
PADDED = np.concatenate([PLACES, [[4, 5], [4, 5]]])


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def matrix(numbers=NUMBERS, places=PLACES):
    return sparse.BCOO((jnp.asarray(numbers), jnp.asarray(places)), shape=DENSE.shape)


def more(numbers):
    return jnp.concatenate([jnp.asarray(numbers), jnp.full(2, 0.5)])


# Every function, the shape that it takes, and how many entries its Jacobian has.
PRODUCTS = {
    "with a vector": (lambda x: matrix() @ x, (5,), len(PLACES)),
    "from the left": (lambda x: jnp.sin(x @ matrix()), (4,), len(PLACES)),
    "with a matrix": (lambda x: matrix() @ x**2, (5, 2), 2 * len(PLACES)),
    "transposed": (lambda x: matrix().T @ x, (4,), len(PLACES)),
    "by the numbers": (lambda d: matrix(d) @ jnp.arange(1.0, 6.0), (len(PLACES),), len(PLACES)),
    "in rows": (lambda x: sparse.BCSR.from_bcoo(matrix()) @ x, (5,), len(PLACES)),
    "padded": (lambda x: matrix(more(NUMBERS), PADDED) @ x, (5,), len(PLACES)),
    "by padded numbers": (lambda d: matrix(d, PADDED) @ jnp.ones(5), (len(PADDED),), len(PLACES)),
    "twice there": (lambda x: matrix(more(NUMBERS), TWICE) @ x, (5,), None),
}


def columns(fun, x):
    """The Jacobian without `jax.vmap`, through which products in rows do not pass."""
    directions = np.eye(x.size).reshape(-1, *x.shape)
    found = [jax.jvp(fun, (x,), (jnp.asarray(direction),))[1] for direction in directions]
    return jnp.stack(found, -1).reshape(*found[0].shape, *x.shape)


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_has_an_entry_for_every_number(name):
    fun, shape, entries = PRODUCTS[name]
    x = jnp.asarray(RNG.uniform(0.5, 1.5, size=shape))
    wanted = columns(fun, x)
    found = jax.jit(graphax.jacve(fun, sparse=True))(x)
    np.testing.assert_allclose(found.todense(), wanted, rtol=1e-12, atol=1e-14)
    assert entries is None or found.nnz == entries
    if name != "in rows" and name != "twice there":
        for order in ("forward", "reverse", "auto"):
            np.testing.assert_allclose(graphax.jacve(fun, order=order)(x), wanted, rtol=1e-12, atol=1e-14)
