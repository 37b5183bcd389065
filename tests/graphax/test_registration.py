"""Rules are registered for several primitives at once, and what is asked of primitives is remembered."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import primitives

import graphax
from graphax.rules import find_rule
from graphax.rules._elementwise import remembered


@pytest.fixture
def kept_rules():
    found = {primitive: find_rule(primitive) for primitive in (primitives.sin_p, primitives.tanh_p)}
    yield
    for primitive, rule in found.items():
        graphax.register_rule(primitive)(rule)


def test_one_rule_serves_several_primitives_by_name_or_not(kept_rules):
    asked = []
    elementwise = find_rule(primitives.sin_p)

    @graphax.register_rule(primitives.sin_p, "tanh")
    def rule(call):
        asked.append(call.primitive.name)
        return elementwise(call)

    def fun(x):
        return jnp.sin(x) * jnp.tanh(x[::-1])

    x = jnp.linspace(0.2, 1.1, 3)
    np.testing.assert_allclose(graphax.jacve(fun, order="reverse")(x), jax.jacrev(fun)(x), rtol=1e-6)
    assert set(asked) == {"sin", "tanh"}


@pytest.mark.parametrize(("parameters", "calls"), [({"axis": 1, "name": "a"}, 1), ({"axis": [1]}, 2)])
def test_what_cannot_be_hashed_is_worked_out_again(parameters, calls):
    given = []

    @remembered
    def fun(primitive, params, wanted):
        given.append((primitive, params, wanted))
        return len(params)

    for _ in range(2):
        assert fun(primitives.sin_p, parameters, (True,)) == len(parameters)
    assert given == [(primitives.sin_p, parameters, (True,))] * calls
