"""How much care LLVM takes with a kernel: as much as what it saves is worth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from graphax import jacve
from graphax.kernels.cpu import _native

X = np.linspace(0.3, 1.4, 8)


@pytest.fixture
def levels(monkeypatch):
    """Those at which kernels are compiled from now on."""
    found, link = [], _native._link

    def recorded(name, text, imports, level=2):
        if imports:  # a kernel, not what kernels share
            found.append(level)
        return link(name, text, imports, level)

    monkeypatch.setattr(_native, "_link", recorded)
    monkeypatch.setattr(_native, "_registered", set())
    return found


def long(x):
    for _ in range(3):
        x = jnp.sin(x * x[::-1]) + jnp.sum(x) * x
    return x


def test_what_is_computed_once_is_compiled_without_much_ado(levels):
    found = jax.jit(jacve(long, kernel=True))(X)
    np.testing.assert_allclose(found, jax.jacfwd(long)(X), rtol=1e-9)
    assert levels == [0]


@pytest.mark.parametrize("case", ["many rows", "a loop", "a short one"])
def test_what_is_computed_often_is_compiled_with_care(levels, case):
    if case == "many rows":
        jax.jit(jax.vmap(jacve(long, kernel=True)))(np.stack([X] * 64))
    elif case == "a loop":
        jax.jit(jacve(lambda x: lax.fori_loop(0, 500, lambda i, y: jnp.sin(y) * x[0] + y, x), kernel=True))(X)
    else:
        jax.jit(jacve(lambda x: jnp.sin(x) * x[0], kernel=True))(X)
    assert levels == [2]
