"""Kernels of loops whose steps would be too long are refused before their derivatives are written down."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from graphax import jacve
from graphax.kernels import _eliminate

WEIGHTS = np.linspace(-0.7, 0.9, 64).reshape(8, 8)


def dense(weights):
    """A step that mixes all that is carried, with respect to 64 numbers."""
    return lax.fori_loop(0, 30, lambda _, state: jnp.tanh(weights @ state), jnp.ones(8))


def thin(weights):
    """A step of which every number that is carried has its own."""
    return lax.fori_loop(0, 30, lambda _, state: jnp.sin(weights * state), jnp.ones(8))


@pytest.fixture
def differentiated(monkeypatch):
    """How often derivatives of expressions are asked for within a loop."""
    found, accumulated = [], _eliminate.accumulated

    def counted(graph, *others):
        found.append(len(graph.inner))
        return accumulated(graph, *others)

    monkeypatch.setattr(_eliminate, "accumulated", counted)
    return found


def test_a_loop_that_mixes_many_numbers_is_refused_at_once(differentiated):
    found = jax.jit(jacve(dense))(WEIGHTS)
    assert not differentiated
    np.testing.assert_allclose(found, jax.jacfwd(dense)(WEIGHTS), rtol=1e-9, atol=1e-12)


def test_a_loop_with_few_derivatives_is_not(differentiated):
    found = jax.jit(jacve(thin))(WEIGHTS[0])
    assert differentiated
    np.testing.assert_allclose(found, jax.jacfwd(thin)(WEIGHTS[0]), rtol=1e-9, atol=1e-12)
