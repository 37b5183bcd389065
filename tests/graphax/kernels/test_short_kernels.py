"""`kernel="auto"` takes kernels that are compiled sooner than operations on arrays, and finds out quickly."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from graphax import jacve
from graphax.kernels import _differentiate
from graphax.kernels._primitive import kernel_p
from graphax.kernels._scalars import Scalars, TooManyScalars
from graphax.kernels.cpu import _native

pytestmark = pytest.mark.skipif(_native.available() is not None, reason=str(_native.available()))
RNG = np.random.default_rng(0)


def has_kernel(fun, *args):
    return any(eqn.primitive is kernel_p for eqn in jax.make_jaxpr(fun)(*args).jaxpr.eqns)


def flux(x):
    return jnp.stack([x[0] * x[1], jnp.sin(x[1]) * x[2], x[0] / x[2]])


def layers(x):
    w = jnp.asarray(RNG.normal(size=(24, 24)))
    return jnp.tanh(w @ jnp.tanh(w @ x))


def distances(x):
    return jnp.sqrt(jnp.sum((x[:, None] - x[None]) ** 2, axis=-1) + 0.1)


def looked_up(table, words):
    return jnp.tanh(table[words])


def repeated(x):
    return jax.lax.fori_loop(0, 9, lambda _, a: jnp.sin(a @ a.T), x)


LONG = {
    "layers": (layers, (RNG.normal(size=24),)),
    "distances": (distances, (RNG.normal(size=(9, 3)),)),
    "looked up": (looked_up, (RNG.normal(size=(9, 6)), np.array([1, 0, 3, 8, 4, 4]))),
    "repeated": (repeated, (RNG.normal(size=(5, 5)),)),
}


@pytest.mark.parametrize("name", LONG)
def test_long_programs_are_left_to_operations_on_arrays(name):
    fun, args = LONG[name]
    auto = jacve(fun, kernel="auto")
    assert not has_kernel(auto, *args)
    start = time.process_time()
    jax.make_jaxpr(auto)(*args)
    assert time.process_time() - start < 1.5


def test_values_are_the_same_without_a_kernel():
    fun, args = LONG["looked up"]
    found = jax.jit(jacve(fun, kernel="auto"))(*args)
    np.testing.assert_allclose(found, jax.jacrev(fun)(*args), rtol=1e-12, atol=1e-13)


def test_short_programs_are_kernels_and_whoever_insists_gets_longer_ones(monkeypatch):
    x = np.array([0.3, 0.5, 0.7])
    assert has_kernel(jacve(flux, kernel="auto"), x)
    monkeypatch.setattr(_differentiate, "_SHORT", 5)
    monkeypatch.setattr(_differentiate, "_PER_EQUATION", 0)
    assert not has_kernel(jacve(flux, kernel="auto"), x)
    assert has_kernel(jacve(flux, kernel=True), x)


def test_a_long_program_of_many_operations_on_arrays_is_a_kernel():
    def body(x):
        for k in range(40):
            x = jnp.sin(x) * (k + 1.0) + jnp.cumsum(x) * x
        return x

    x = np.array([0.3, 0.5, 0.7])
    assert has_kernel(jacve(body, kernel="auto"), x)


def test_expressions_are_no_more_than_there_may_be():
    scalars = Scalars()
    scalars.most = 3
    x = scalars.input(0, 0, "f8")
    y = scalars.function("sin", x)
    assert scalars.function("sin", x) == y
    scalars.function("cos", x)
    with pytest.raises(TooManyScalars):
        scalars.function("exp", x)
