"""What random programs have found, each as the kind that it is a case of."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import assert_same_jacobian

from graphax import FallbackWarning, hessve, jacve

X = np.array([0.5, -1.2, 0.0])


@jax.custom_jvp
def series(x):
    return 1.0 + 0.0 * x


series.defjvp(lambda primals, tangents: (series(*primals), tangents[0] * (0.0 * primals[0])))


@jax.custom_vjp
def halted(x):
    return x * x


halted.defvjp(lambda x: (x * x, x), lambda x, ct: ((0.0 * x) * ct + 0.0 * x,))


@pytest.mark.parametrize(
    "fun",
    [
        jnp.sinc,
        lambda x: jnp.sinc(x + 2.5) * x,
        series,
        lambda x: series(x) * jnp.sin(x),
        lambda x: jax.vmap(lambda t: jnp.sinc(t) * t)(x),
        lambda x: halted(x) + x,
    ],
)
def test_rules_that_multiply_by_zero_are_linear(fun):
    with warnings.catch_warnings(action="error", category=FallbackWarning):
        for order in ("forward", "reverse"):
            assert_same_jacobian(jacve(fun, order=order)(X), jax.jacrev(fun)(X))
        hessian = jax.hessian(lambda x: jnp.sum(fun(x) ** 2))(X)
        assert_same_jacobian(hessve(lambda x: jnp.sum(fun(x) ** 2), order="reverse")(X), hessian)
