"""Ranges of values, and the poles that they exclude, against what programs compute."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import graphax
from graphax._trace import trace_program
from graphax.rules._poleless import is_poleless
from graphax.rules._ranges import Ranges

_X = np.array([[0.3, -1.2, 2.0], [0.0, 4.0, -0.5]])


def _all_poleless(fun, x=_X) -> bool:
    program, _ = trace_program(fun, x)
    ranges = Ranges(program)
    inner = [equation for equation in program.equations if equation.primitive.name != "custom_jvp_call"]
    return all(is_poleless(equation, ranges) for equation in inner)


_POLELESS = {
    "log_softmax": lambda x: jax.nn.log_softmax(x),
    "softmax along columns": lambda x: jax.nn.softmax(x, axis=0),
    "softmax of all": lambda x: jax.nn.softmax(x, axis=None),
    "logsumexp": lambda x: jax.nn.logsumexp(x, axis=1),
    "layer norm": lambda x: x * jax.lax.rsqrt(jnp.mean(x**2, axis=1, keepdims=True) + 1e-5),
    "elu": lambda x: jnp.where(x > 0, x, jnp.expm1(jnp.where(x > 0, 0.0, x))),
    "gelu": lambda x: jax.nn.gelu(x),
    "distance with a rest": lambda x: jnp.sqrt(jnp.sum(x * x) + 1.0),
    "Lorentzian": lambda x: 1 / (1 + x**2),
    "clipped logarithm": lambda x: jnp.log(jnp.clip(x, 0.1, 2.0)),
    "power of what is not negative": lambda x: jnp.abs(x) ** 1.5,
    "Gaussian": lambda x: jnp.exp(-(x**2)),
}
_WITH_POLES = {
    "logarithm": jnp.log,
    "root": lambda x: jnp.sqrt(x * x),
    "exponential": jnp.exp,
    "quotient": lambda x: x / x[0, 0],
    "power": lambda x: jnp.abs(x) ** 0.5,
    "log of a sum that may vanish": lambda x: jnp.log(jnp.sum(jnp.exp(-(x**2)))),
    "shifted by the maxima of other rows": lambda x: jnp.exp(x[:, :2] - jnp.max(x[:, :2], axis=0)[:, None]),
    "shifted by less than the maximum": lambda x: jnp.exp(x - jnp.max(x[:, :2])),
    "normalised along other axes": lambda x: jnp.log(
        jnp.sum(jnp.exp(x - jnp.max(x, axis=0, keepdims=True)), axis=1)
    ),
}


@pytest.mark.parametrize("name", _POLELESS)
def test_poles_are_excluded(name):
    assert _all_poleless(_POLELESS[name])


@pytest.mark.parametrize("name", _WITH_POLES)
def test_poles_are_not_overlooked(name):
    assert not _all_poleless(_WITH_POLES[name])


_UNARY = [
    jnp.abs, jnp.sin, jnp.tanh, jnp.square, jnp.negative, jnp.exp, jnp.log, jnp.log1p, jnp.sqrt, jnp.floor,
    jax.lax.rsqrt, jax.nn.sigmoid, jnp.cumsum, jnp.expm1, jnp.sign, jax.scipy.special.erf, jnp.max, jnp.sum,
    lambda x: x**3, lambda x: x**-2, lambda x: jnp.clip(x, -0.5, 1.5), lambda x: x - jnp.max(x),
    jax.nn.relu, lambda x: jnp.where(x > 0.5, x, -x), lambda x: jnp.where(0.25 >= x, x, 3.0),
    lambda x: 2.0 / x, lambda x: jnp.concatenate([x.ravel(), -x.ravel()]),
    lambda x: jnp.sum(jnp.exp(x - jnp.max(x))),
]  # fmt: skip
_BINARY = [
    jnp.add,
    jnp.subtract,
    jnp.multiply,
    jnp.divide,
    jnp.maximum,
    jnp.minimum,
    lambda x, y: jnp.sum(x) * y,
]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(_UNARY), st.sampled_from(_BINARY)), min_size=1, max_size=5), st.data()
)
def test_values_lie_in_their_ranges(steps, data):
    numbers = data.draw(st.lists(st.floats(-3, 3, width=32), min_size=4, max_size=4))
    x = jnp.asarray(numbers, jnp.float32)

    def fun(x):
        before = found = x
        for unary, binary in steps:
            before, found = found, binary(unary(found), jnp.ravel(before)[0])
        return found

    program, _ = trace_program(fun, x)
    ranges, values = Ranges(program), dict(zip(program.inputs, [x], strict=True))
    for equation in program.equations:
        operands = [values.get(atom, getattr(atom, "value", None)) for atom in equation.inputs]
        values.update(zip(equation.outputs, equation.evaluate(operands), strict=True))
        for output in equation.outputs:
            low, high = ranges.of(output)
            array = np.asarray(values[output], float)
            array = array[~np.isnan(array)]
            slack = 1e-5 * (1 + np.abs(array))
            assert (array >= low - slack).all() and (array <= high + slack).all(), equation.primitive


@pytest.mark.parametrize("fun", (lax.rsqrt, lambda z: 1 / z, lambda z: lax.pow(z, -1.0)))
def test_a_negative_zero_has_a_reciprocal_that_is_negative(fun):
    program, _ = trace_program(lambda x, sign: fun(jnp.abs(x) * sign), jnp.zeros(2), jnp.array(-1.0))
    (result,) = program.outputs
    assert Ranges(program).of(result).low == -np.inf
    program, _ = trace_program(lambda x: fun(jnp.abs(x)), jnp.zeros(2))
    (result,) = program.outputs
    assert Ranges(program).of(result).low == -np.inf


def test_the_loss_of_a_classifier_is_pulled_back_as_jax_does():
    def loss(w, x, labels):
        logits = jax.nn.log_softmax(x @ w)
        return -jnp.mean(jnp.take_along_axis(logits, labels[:, None], axis=1))

    arguments = np.ones((3, 4), np.float32), np.ones((5, 3), np.float32), np.arange(5) % 4
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRAPHAX_CANDIDATES", "modes")
        ours = jax.make_jaxpr(graphax.jacve(loss))(*arguments)
    assert len(ours.eqns) == len(jax.make_jaxpr(jax.grad(loss))(*arguments).eqns)
