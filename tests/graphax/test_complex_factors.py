"""Complex arrays times real or imaginary constants that are spread along some of their axes."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax

K = np.linspace(0.5, 2.0, 3)
FACTORS = {
    "row": K,
    "column": K[:2, None],
    "imaginary row": 1j * K,
    "number": 2.0,
    "one entry": K[:1],
    "one by one": 1j * K[:1, None],
    "whole": np.outer(K[:2], K),
}


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


@pytest.mark.parametrize("factor", FACTORS.values(), ids=FACTORS)
def test_a_complex_array_times_a_constant_has_jax_s_jacobian(factor):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 3)))

    def multiplied(x):
        return jnp.stack([x * 1j * factor, (x + 1j * x) * factor])

    def parts(x):
        return jnp.stack([jnp.real(multiplied(x)), jnp.imag(multiplied(x))])

    wanted = jax.jacfwd(multiplied)(x)
    for order in ("forward", "reverse", "auto"):
        np.testing.assert_allclose(graphax.jacve(multiplied, order=order)(x), wanted, rtol=1e-12)
    found = graphax.jacve(parts, sparse=True)(x)
    np.testing.assert_allclose(found.todense(), jax.jacfwd(parts)(x), rtol=1e-12)
    assert found.nnz <= 4 * x.size
    batch = jnp.stack([x, 2 * x])
    for mapped in (jax.vmap(graphax.jacve(multiplied)), jax.jit(jax.vmap(graphax.jacve(multiplied)))):
        np.testing.assert_allclose(mapped(batch), jax.vmap(jax.jacfwd(multiplied))(batch), rtol=1e-12)
