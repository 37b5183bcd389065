"""Loops whose local Jacobians are computed for several steps at a time, and are held no longer than that."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from oracle import assert_same_jacobian, together

from graphax import jacve
from graphax.rules.loops import _products, _scan

WEIGHTS = np.linspace(-0.9, 1.1, 12).reshape(4, 3)


def filtered(length, reverse=False, returning=True):
    """What a small network hands on, and returns of every step, by its weights and by all inputs."""
    inputs = np.sin(np.arange(2.0 * length)).reshape(length, 2)

    def fun(weights, scale):
        def step(state, x):
            after = jnp.tanh(weights @ jnp.concatenate([state[:1], x])) * scale
            return after, (state[1] * x[0], after[2]) if returning else None

        return lax.scan(step, jnp.ones(4), inputs * scale, reverse=reverse)

    return fun


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("size", [1, 2**8])
@pytest.mark.parametrize("way", [_products.forward_products, _products.backward_products])
def test_any_number_of_steps_goes_into_batches(monkeypatch, way, size, reverse):
    backward = way is _products.backward_products
    monkeypatch.setattr(_scan, "_choose", lambda loop: way)
    monkeypatch.setattr(_products, "_BATCH", size)
    programs = [filtered(length, reverse, not backward) for length in (1, 2, 3, 7)]
    found, expected = together(
        lambda *args: [jacve(fun, (0, 1))(*args) for fun in programs],
        lambda *args: [jax.jacfwd(fun, (0, 1))(*args) for fun in programs],
    )(WEIGHTS, 0.7)
    assert_same_jacobian(found, expected)


def test_local_jacobians_are_held_for_a_few_steps_alone():
    def final(length):
        inputs = np.sin(np.arange(2.0 * length)).reshape(length, 2)

        def fun(gates):
            def step(state, x):
                both = jnp.concatenate([x, state])
                z, n = jax.nn.sigmoid(both @ gates[0]), jnp.tanh(both @ gates[1])
                return (1 - z) * n + z * state, None

            return lax.scan(step, jnp.zeros(4), inputs)[0]

        gates = [np.linspace(-0.9, 1.1, 24).reshape(6, 4) for _ in range(2)]
        memory = jax.jit(jacve(fun, order="reverse")).lower(gates).compile().memory_analysis()
        assert memory is not None
        return memory.temp_size_in_bytes

    of_step = 4 * (4 + 48) * 8
    assert final(2000) - final(1000) < 1000 * of_step / 4
