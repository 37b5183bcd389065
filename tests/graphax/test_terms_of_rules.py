"""What a rule adds for an operand that does not move is zero, and nothing is computed for it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core

from graphax import jacve


def primitives(jaxpr):
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        if equation.primitive.name != "custom_jvp_call":  # the value, which nobody asks for
            for inner in core.jaxprs_in_params(equation.params):
                yield from primitives(inner)


@pytest.mark.parametrize("order", ["auto", "forward", "reverse"])
def test_softplus_takes_one_exponential_for_its_derivative(order):
    def fun(x):
        return jax.nn.softplus(x) * 2

    with jax.enable_x64(True):
        x = np.array([-800.0, -3.0, 0.0, 2.0, 900.0])
        jaxpr = jax.make_jaxpr(jacve(fun, order=order, kernel=False))(x)
        assert list(primitives(jaxpr.jaxpr)).count("exp") <= 2  # one of them for the value that it takes
        found = jax.jit(jacve(fun, order=order, kernel=False))(x)
        np.testing.assert_allclose(found, jax.jacrev(fun)(x), rtol=1e-12)


def test_a_rule_may_subtract_from_what_does_not_move():
    @jax.custom_jvp
    def difference(x, y):
        return x * x - y

    @difference.defjvp
    def _(primals, tangents):
        (x, y), (dx, dy) = primals, tangents
        return difference(x, y), jnp.cos(y) * dy - (-2 * x) * dx

    with jax.enable_x64(True):
        x, y = np.linspace(0.1, 1, 5), np.linspace(2, 3, 5)
        for argnums in (0, 1, (0, 1)):
            wanted = jax.jacfwd(difference, argnums)(x, y)
            for found in (jacve(difference, argnums), jax.jit(jacve(difference, argnums, kernel=False))):
                jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), found(x, y), wanted)
