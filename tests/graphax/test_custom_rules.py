"""Derivative rules of the user's own: what JAX makes of them, once and twice, linear or not."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from oracle import assert_same_jacobian, together

import graphax
from graphax import hessve, jacve
from graphax._trace import inline
from graphax.rules._linearity import is_linear

X = np.array([0.7, -1.2, 2.1])


def by_jvp(fun, rule):
    """A function with this rule for its jvp: ``(primals, tangents) -> (results, tangents)``."""
    custom = jax.custom_jvp(fun)
    custom.defjvp(rule)
    return custom


def by_vjp(fun, backward):
    """A function of one argument with this backward rule: ``(argument, cotangent) -> cotangent``."""
    custom = jax.custom_vjp(fun)
    custom.defvjp(lambda x: (fun(x), x), lambda x, g: (backward(x, g),))
    return custom


def two_results(x):
    return jnp.sum(x), x * 2.0


def accumulated(x, g):
    """A loop that is linear in what it adds up."""
    return lax.scan(lambda c, a: (0.5 * c + a * g, None), jnp.zeros(3), x)[0]


def repeated(x, g):
    return lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * x + g), (0, g))[1]


# Functions whose rules are linear: none is the function's derivative, and many are not elementwise.
LINEAR = {
    "centred": by_jvp(lambda x: x * 1.0, lambda p, t: (p[0] * 1.0, t[0] - jnp.mean(t[0]))),
    "straight through": by_jvp(lambda x: jnp.round(x), lambda p, t: (jnp.round(p[0]), t[0])),
    "spike": by_jvp(
        lambda x: (x > 0) * 1.0, lambda p, t: ((p[0] > 0) * 1.0, t[0] / (1.0 + 5.0 * jnp.abs(p[0])) ** 2)
    ),
    "another result": by_jvp(lambda x: x * x, lambda p, t: (jnp.sin(p[0]), 2.0 * t[0] + jnp.sum(t[0]))),
    "backward centred": by_vjp(lambda x: x * 1.0, lambda x, g: (g - jnp.mean(g)) * x),
    "backward straight through": by_vjp(lambda x: jnp.round(x), lambda x, g: g),
    "reversed gradient": by_vjp(lambda x: x, lambda x, g: -g),
    "backward scan": by_vjp(lambda x: x * 1.0, accumulated),
    "backward cond": by_vjp(
        lambda x: x * 1.0, lambda x, g: lax.cond(x[0] > 0, lambda: g * x, lambda: jnp.zeros(3))
    ),
    "backward index": by_vjp(lambda x: x * 1.0, lambda x, g: g.at[0].add(g[1]).at[2].set(g[0] * x[0])[::-1]),
}
pair = by_jvp(
    two_results,
    lambda p, t: (two_results(p[0]), (jnp.sum(t[0] * p[0]), t[0] - jnp.mean(t[0]))),
)
LINEAR["two results"] = lambda x: pair(x)[0] * pair(x)[1]


def composed(name):
    return lambda x: LINEAR[name](jnp.sin(x)) ** 3


@pytest.mark.parametrize("order", ("forward", "reverse"))
@pytest.mark.parametrize("name", LINEAR)
def test_a_linear_rule_is_the_derivative(name, order):
    fun = composed(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error", graphax.FallbackWarning)
        found, expected = together(jacve(fun, order=order), jax.jacrev(fun))(X)
    assert_same_jacobian(found, expected)


TWICE = {
    "hessve": hessve,
    "jacfwd of jacve": lambda fun: jax.jacfwd(jacve(fun)),
    "jacve of jacve": lambda fun: jacve(jacve(fun)),
    "jacve of jacrev": lambda fun: jacve(jax.jacrev(fun)),
    "jacrev of jacve": lambda fun: jax.jacrev(jacve(fun)),
}


@pytest.mark.parametrize("twice", TWICE)
@pytest.mark.parametrize("name", ("centred", "spike", "another result", "two results", "backward centred"))
def test_second_derivatives_go_on_with_the_results_of_the_rule(name, twice):
    fun = composed(name)
    assert_same_jacobian(*together(TWICE[twice](fun), jax.hessian(fun))(X))


def test_the_hessian_of_a_surrogate_has_its_known_numbers():
    found = hessve(lambda x: LINEAR["centred"](x) ** 3)(jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(found[0], [[3.0, 0.0], [-3.0, 0.0]])


WITHIN = {
    "scan": lambda f: lambda x: lax.scan(lambda c, _: (jnp.sin(f(c)) * x, c), x, None, length=2)[0],
    "slices": lambda f: lambda x: lax.scan(lambda c, a: (c + jnp.sum(f(a * x)), f(c * x)), 0.3, x)[1],
    "fori": lambda f: lambda x: lax.fori_loop(0, 2, lambda _, c: f(c) * x, x),
    "cond": lambda f: lambda x: lax.cond(x[0] > 0, lambda x: f(x) ** 2, lambda x: x, x),
    "vmap": lambda f: lambda x: jax.vmap(f)(jnp.stack([x, x * x])) ** 2,
    "remat": lambda f: lambda x: jax.checkpoint(lambda v: f(v) ** 2)(x),
}


@pytest.mark.parametrize("within", WITHIN)
@pytest.mark.parametrize("name", ("centred", "backward centred"))
def test_rules_stand_for_functions_inside_loops_branches_and_batches(name, within):
    fun = WITHIN[within](LINEAR[name])
    expected, *found = together(jax.hessian(fun), hessve(fun), jax.jacfwd(jacve(fun)))(X)
    for hessian in found:
        assert_same_jacobian(hessian, expected)


def test_a_loop_in_a_backward_rule_is_followed_to_its_results():
    fun = by_vjp(lambda x: x * 1.0, repeated)
    np.testing.assert_allclose(jacve(fun)(X), np.diag(1 + X + X**2 + X**3))


# Rules that are not linear in what they are given, or not seen to be.
NOT_LINEAR = {
    "clipped": lambda x, g: jnp.clip(g, -0.1, 0.1),
    "sign": lambda x, g: jnp.sign(g) * x,
    "normalised": lambda x, g: g / jnp.sqrt(1e-3 + jnp.sum(g**2)),
    "without it": lambda x, g: jnp.cos(x),
    "shifted": lambda x, g: g + x,
    "selected by itself": lambda x, g: jnp.where(g > 0, g, 2.0 * g),
    "without nan": lambda x, g: jnp.where(jnp.isnan(g), 0.0, g),
    "loop until small": lambda x, g: lax.while_loop(lambda g: jnp.max(g) > 0.1, lambda g: g * 0.5, g),
}


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_a_backward_rule_that_is_not_linear_gives_what_jacrev_gives(name):
    custom = by_vjp(lambda x: x * x, NOT_LINEAR[name])
    scalar = lambda x: jnp.sum(jnp.sin(custom(2.0 * x)) * X)  # noqa: E731
    vector = lambda x: jnp.sin(custom(2.0 * x)) * 3.0  # noqa: E731
    for fun in (scalar, vector):
        with pytest.warns(graphax.FallbackWarning, match="not seen to be linear"):
            found = jax.jit(jacve(fun))(X)
        assert_same_jacobian(found, jax.jit(jax.jacrev(fun))(X))
    # The gradient of a scalar holds the rule's program: nothing is left to fall back for.
    assert_same_jacobian(jax.jit(hessve(scalar))(X), jax.jit(jax.hessian(scalar))(X))


def test_a_custom_gradient_that_ignores_its_cotangent_gives_what_jacrev_gives():
    product = jax.custom_gradient(lambda x, y: (x * y, lambda g: (y, x)))
    with pytest.warns(graphax.FallbackWarning, match="jax.custom_vjp"):
        found = jacve(product, argnums=(0, 1))(3.0, 4.0)
    assert found == (4.0, 3.0)


def test_a_rule_inside_a_loop_that_is_not_linear_gives_what_jacrev_gives():
    custom = by_vjp(lambda x: x * x, NOT_LINEAR["clipped"])
    fun = lambda x: lax.scan(lambda c, a: (custom(c) * a, None), x, x)[0]  # noqa: E731
    with pytest.warns(graphax.FallbackWarning):
        found = jacve(fun)(X)
    assert_same_jacobian(found, jax.jacrev(fun)(X))


@pytest.mark.parametrize("rule", (lambda t: jnp.clip(t, -0.1, 0.1), lambda t: t * t, jnp.ones_like))
def test_a_jvp_rule_that_is_not_linear_gives_what_a_mode_of_jax_gives(rule):
    fun = lambda x: 3.0 * by_jvp(jnp.square, lambda p, t: (p[0] ** 2, rule(t[0])))(x[:2])  # noqa: E731
    with pytest.warns(graphax.FallbackWarning, match="jax.custom_jvp"):
        found = jacve(fun)(X)
    expected = []
    for mode in (jax.jacfwd, jax.jacrev):
        try:
            expected.append(mode(fun)(X))
        except (AssertionError, NotImplementedError):
            continue
    assert any(np.array_equal(found, one) for one in expected)


PROVED = {
    "sum": lambda g: g + 2.0 * g[::-1],
    "product": lambda g: jnp.exp(X) * g / (1.0 + X),
    "contraction": lambda g: jnp.outer(X, X) @ g + jnp.convolve(g, X, mode="same"),
    "selection": lambda g: jnp.where(X > 0, g, 0.0),
    "indices": lambda g: g.at[jnp.array([0, 2])].add(g[1]).at[1].multiply(3.0)[jnp.argsort(X)],
    "slices": lambda g: lax.dynamic_update_slice(g, g[:1], (jnp.argmax(X),)),
    "sorted by others": lambda g: lax.sort((jnp.asarray(X), g), num_keys=1)[1],
    "cumulative": lambda g: jnp.cumsum(jnp.pad(g, 1)),
    "half precision": lambda g: g.astype(jnp.float32).astype(g.dtype),
    "complex": lambda g: jnp.real(jnp.fft.fft(lax.complex(g, -g)) * 1j),
    "scan": lambda g: lax.scan(lambda c, a: (c * a + g, c), jnp.zeros(3), X)[1],
    "counter": lambda g: lax.fori_loop(0, 3, lambda i, c: c + i * g, jnp.zeros(3)),
    "while": lambda g: lax.while_loop(lambda s: s[0] < 9, lambda s: (s[0] * 2, s[1] + g), (1, g))[1],
    "branches": lambda g: lax.cond(X[0] > 0, lambda g: g, lambda g: jnp.zeros(3), g),
    "custom": lambda g: LINEAR["centred"](g) * 2.0,
    "solve": lambda g: jnp.linalg.solve(jnp.diag(X), g),
    "barrier": lambda g: lax.optimization_barrier((jnp.exp(X), g))[1],
    "nothing": lambda g: jnp.zeros(3),
    "a known zero": lambda g: g + jnp.asarray(np.zeros(3)),
}
NOT_PROVED = {
    "constant": lambda g: jnp.exp(X),
    "shift": lambda g: g + X,
    "square": lambda g: g * g,
    "quotient": lambda g: X / g,
    "absolute": jnp.abs,
    "comparison": lambda g: jnp.where(g > 0, g, -g),
    "selection beside a constant": lambda g: jnp.where(X > 0, g, X),
    "integer": lambda g: g.astype(int).astype(g.dtype),
    "indices": lambda g: jnp.asarray(X)[jnp.argmax(g)] * g,
    "sorted": jnp.sort,
    "maximum": lambda g: jnp.maximum(g, 0.0),
    "scan": lambda g: lax.scan(lambda c, a: (c * g, None), g, X)[0],
    "counter": lambda g: lax.fori_loop(0, 3, lambda i, c: c * g, jnp.ones(3)),
    "while": lambda g: lax.while_loop(lambda c: c[0] > 0.1, lambda c: 0.5 * c, g),
    "branches": lambda g: lax.cond(g[0] > 0, lambda g: g, lambda g: 2.0 * g, g),
    "solve": lambda g: jnp.linalg.solve(jnp.diag(1.0 + g), g),
    "applied": lambda g: g.at[0].apply(jnp.sin),
    "callback": lambda g: jax.pure_callback(lambda g: g, g, g),
}


@pytest.mark.parametrize(("programs", "expected"), ((PROVED, True), (NOT_PROVED, False)))
def test_programs_are_proved_to_be_linear_or_not(programs, expected):
    for name, fun in programs.items():
        program = inline(jax.make_jaxpr(fun)(X))
        assert is_linear(program, [0], [0]) == expected, name


def test_a_cotangent_that_is_known_to_be_zero_is_linear():
    product = jax.custom_vjp(lambda x, y: x * y)
    product.defvjp(lambda x, y: (x * y, y), lambda y, g: (g * y, jnp.zeros(3)))
    fun = lambda x: product(x, jnp.sin(x))  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("error", graphax.FallbackWarning)
        assert_same_jacobian(jacve(fun)(X), jax.jacrev(fun)(X))


def test_several_arguments_and_results_and_whole_numbers_pass_through_a_backward_rule():
    custom = jax.custom_vjp(lambda x, n, y: (x * y * n, jnp.sum(x), n))
    custom.defvjp(
        lambda x, n, y: ((x * y * n, jnp.sum(x), n), (x, n, y)),
        lambda kept, g: (g[0] * kept[2] * kept[1] + g[1], None, jnp.sum(g[0] * kept[0])),
    )

    def fun(x):
        product, total, n = custom(x, 3, x[0])
        return product * total * n

    assert_same_jacobian(jax.jit(jacve(fun))(X), jax.jit(jax.jacrev(fun))(X))
    assert_same_jacobian(jax.jit(hessve(fun))(X), jax.jit(jax.hessian(fun))(X))


def test_rules_of_complex_functions_are_those_of_jax():
    turned = by_jvp(lambda z: z * 1j, lambda p, t: (p[0] * 1j, 2j * t[0] + jnp.sum(t[0])))
    back = by_vjp(lambda z: z * z, lambda z, g: g * z + jnp.conj(g))
    for custom in (turned, back):
        fun = lambda x, custom=custom: jnp.abs(custom(x + 1j * x[::-1])) ** 2  # noqa: E731
        assert_same_jacobian(jax.jit(jacve(fun))(X), jax.jit(jax.jacrev(fun))(X))


def test_a_result_that_a_batch_shares_and_its_derivative_does_not_falls_back():
    shared = by_jvp(lambda x: jnp.ones(2), lambda p, t: (jnp.ones(2), jnp.stack([t[0], t[0] * p[0]])))
    fun = jax.vmap(shared)
    with pytest.warns(graphax.FallbackWarning, match="batch"):
        found = jacve(fun)(X)
    assert_same_jacobian(found, jax.jacrev(fun)(X))


def test_a_rule_is_told_of_the_tangents_that_jax_tells_it_of():
    @jax.custom_jvp
    def second(x, y):
        return y * 1.0

    def rule(primals, tangents):
        known = not isinstance(tangents[0], jax.custom_derivatives.SymbolicZero)
        return primals[1] * 1.0, tangents[1] * (5.0 if known else 7.0)

    second.defjvp(rule, symbolic_zeros=True)
    fun = lambda x: second(x, jnp.sin(x))  # noqa: E731
    assert_same_jacobian(jacve(fun)(X), jax.jacfwd(fun)(X))
    fun = lambda x: second(lax.stop_gradient(x), jnp.sin(x))  # noqa: E731
    assert_same_jacobian(jacve(fun)(X), jax.jacfwd(fun)(X))


def rule_of_one_argument(x, scale):
    """A function that refuses to be differentiated by its scale, as Equinox's `filter_custom_vjp` does."""

    @jax.custom_vjp
    def fun(x, scale):
        return jnp.sin(x) * scale

    def forward(x, scale):
        if scale.perturbed:
            raise ValueError("not by the scale")
        return fun(x.value, scale.value), (x.value, scale.value)

    def backward(residuals, g):
        x, scale = residuals
        return g * jnp.cos(x) * scale, None

    fun.defvjp(forward, backward, symbolic_zeros=True)
    return fun(x, scale)


def repeated_twice(fun):
    return lambda x, scale: lax.fori_loop(0, 2, lambda _, c: fun(c, scale), x)


@pytest.mark.parametrize("around", [lambda fun: fun, repeated_twice], ids=["once", "in a loop"])
def test_a_rule_is_asked_for_what_is_differentiated_alone(around):
    fun = jax.jit(around(rule_of_one_argument))  # traced once: JAX remembers what the rule was asked last
    expected = jax.jacrev(around(lambda x, scale: jnp.sin(x) * scale))(X, jnp.asarray(2.0))
    for order in ("auto", "reverse"):
        assert_same_jacobian(jacve(fun, order=order)(X, jnp.asarray(2.0)), expected)
        assert graphax.trace(fun)(X, jnp.asarray(2.0)).fingerprint
