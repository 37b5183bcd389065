"""Functions of sequences: running ones, matrices with bands, splines, sums over neighbours."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import sparse

from ._problem import Collection, normal, uniform

sequences = Collection()


@sequences.problem(40_000, 10, kind="hessian")
def rosenbrock(length):
    """The chained function."""

    def valley(x):
        return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return valley, uniform(length)


@sequences.problem(1000, 12)
def banded_product(length):
    """A constant matrix of seven diagonals, between functions of every entry."""
    offset = np.abs(np.arange(length)[:, None] - np.arange(length))
    matrix = np.where(offset <= 3, 1.0 / (1 + offset), 0.0)

    def product(x):
        return jnp.sin(matrix @ x**3)

    return product, uniform(length)


@sequences.problem(10_000, 12)
def sparse_matrix_product(length):
    """A matrix in JAX's sparse format, four entries in a row, within a logistic model."""
    rng = np.random.default_rng(0)
    first = rng.integers(1, length // 4, (length, 4)).cumsum(1)  # no two alike in a row
    columns = np.sort((np.arange(length)[:, None] + first) % length, 1).reshape(-1)
    indices = np.stack([np.repeat(np.arange(length), 4), columns], 1)
    entries = rng.normal(size=len(indices))

    def model(x):
        matrix = sparse.BCOO((jnp.asarray(entries), jnp.asarray(indices)), shape=(length, length))
        return 1 / (1 + jnp.exp(-(matrix @ x)))

    return model, normal(length)


@sequences.problem(400, 10)
def cumulative_returns(length):
    """Wealth after every period: what has been earned so far, and a cost."""

    def wealth(rates):
        return jnp.exp(jnp.cumsum(jnp.log1p(0.01 * rates))) - 0.1 * rates**2

    return wealth, uniform(length)


@sequences.problem(300, 10)
def autoregression(length):
    """A recursive filter of second order with a limiter, by what comes in."""

    def filtered(x):
        def step(past, now):
            out = jnp.tanh(now + 0.5 * past[0] - 0.2 * past[1])
            return (out, past[0]), out

        return lax.scan(step, (0.0, 0.0), x)[1]

    return filtered, normal(length)


@sequences.problem(16_000, 20)
def spline_at_sites(sites):
    """A cubic B-spline through a sensor's law at given sites, by its coefficients."""
    knots = sites // 2
    where = np.sort(np.random.default_rng(0).uniform(0, knots, sites))
    at = where.astype(int)
    t = where - at
    basis = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6

    def sensed(coefficients):
        values = sum(basis[k] * coefficients[at + k] for k in range(4))
        return values / (1 + values**2)

    return sensed, normal(knots + 3)
