"""Where derivatives flow: as far as JAX's own do, and per result."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend import core
from jax.interpreters import ad, mlir
from oracle import assert_same_jacobian

import graphax
from graphax import jacve
from graphax.rules import _registry

X = np.array([0.3, -1.2, 2.7])

# A primitive that knows nothing but its value: no derivative, no vmap.
opaque_p = core.Primitive("opaque")
opaque_p.def_impl(lambda x: 2 * x)
opaque_p.def_abstract_eval(lambda x: x)
mlir.register_lowering(opaque_p, mlir.lower_fun(lambda x: 2 * x, multiple_results=False))
opaque = opaque_p.bind

# Two results, of which one alone has a derivative; it refuses derivatives with respect to its second operand.
halves_p = core.Primitive("halves")
halves_p.multiple_results = True
halves_p.def_impl(lambda x, y: [x / 2, y / 2])
halves_p.def_abstract_eval(lambda x, y: [x, y])
mlir.register_lowering(halves_p, mlir.lower_fun(lambda x, y: [x / 2, y / 2], multiple_results=True))


def _halves_jvp(primals, tangents):
    results = halves_p.bind(*primals)
    assert isinstance(tangents[1], ad.Zero)
    return results, [tangents[0] / 2, ad.Zero(jax.typeof(results[1]))]


ad.primitive_jvps[halves_p] = _halves_jvp


def count_beside(x):
    return lax.scan(lambda c, _: ((c[0] + 1, c[1] * 2), None), (0.0, x), None, length=3)[0]


def fixed_step_solver(x):
    """What a stage knows of its past reaches the step's size only through what is stopped."""

    def step(state):
        t, h, y = state
        new = y + h * jnp.sin(y * x)
        error = lax.stop_gradient(jnp.max(jnp.abs(new - y)))
        return t + h, opaque(jnp.minimum(0.3, 0.1 / error)), new

    return lax.while_loop(lambda state: state[0] < 1.0, step, (0.0, 0.1, x))[2]


@jax.custom_jvp
def pair(x, y):
    return x * y, jnp.floor(y)


@pair.defjvp
def _pair_jvp(primals, tangents):
    (x, y), (dx, dy) = primals, tangents
    return pair(x, y), (dx * y + x * dy, jnp.zeros_like(y))


def seldom(x, n):
    return lax.cond(n > 1, lambda x: (jnp.sin(x), opaque(jnp.ones(3))), lambda x: (x, jnp.zeros(3)), x)


PASSED = {
    "stopped": lambda x: x * opaque(lax.stop_gradient(x)),
    "rounded": lambda x: x * lax.nextafter(jnp.floor(x), jnp.ceil(x) + jnp.round(x)),
    "signs": lambda x: jnp.sin(x) * opaque(jnp.sign(x)) + x,
    "integers on the way": lambda x: x * opaque(x.astype(int).astype(float)),
    "compared": lambda x: x * opaque(jnp.where(x > 0, 2.0, 3.0)),
    "a counter in a scan": lambda x: opaque(count_beside(x)[0]) * count_beside(x)[1],
    "a counter inside a scan": lambda x: lax.scan(
        lambda c, a: ((opaque(c[0]), c[1] * c[0] + a), opaque(c[0]) * a), (1.0, x), x
    ),
    "a counter in a map": lambda x: lax.scan(lambda c, a: (opaque(c), c * a**2), 1.0, x)[1],
    "a state that two steps reach": lambda x: lax.scan(
        lambda c, a: ((opaque(jnp.floor(c[1])), c[1] + a, c[2] * c[0]), None), (1.0, 0.5, x[0]), x
    )[0],
    "a counter in a while loop": lambda x: lax.while_loop(
        lambda s: s[0] < 9, lambda s: (opaque(s[0]), s[1] * x), (1.0, x)
    )[1],
    "the size of steps": fixed_step_solver,
    "a branch's other result": lambda x: seldom(x, 2)[0] * opaque(seldom(x, 1)[1]),
    "a sorted companion": lambda x: opaque(lax.sort((jnp.arange(3.0)[::-1], x))[0])
    * lax.sort((jnp.arange(3.0)[::-1], x))[1],
    "one of two results": lambda x: (lambda a, b: a * opaque(b))(*halves_p.bind(x, jnp.ones(3))),
    "an operand that must not move": lambda x: sum(halves_p.bind(x, jnp.floor(x))),
    "a loop in a branch in a loop": lambda x: lax.scan(
        lambda c, a: (
            lax.cond(
                a > 0,
                lambda c: lax.fori_loop(0, 2, lambda i, s: (opaque(s[0]), s[1] * a), c),
                lambda c: (c[0] + 1, c[1]),
                c,
            ),
            None,
        ),
        (1.0, x),
        x,
    )[0][1],
}  # fmt: skip


@pytest.mark.parametrize("name", PASSED)
def test_what_carries_no_derivative_needs_no_rule(name):
    fun = PASSED[name]
    orders = ("forward", "reverse", "auto")
    actual = jax.jit(lambda x: [jacve(fun, order=order)(x) for order in orders])(X)
    expected = jax.jit(jax.jacfwd(fun))(X)
    assert_same_jacobian(actual, [expected] * 3)


def test_each_result_of_a_custom_rule_has_its_own_derivatives():
    fun = lambda x: pair(jnp.sin(x), x)[0] * opaque(pair(x, 2 * x)[1])  # noqa: E731
    expected = np.diag((np.cos(X) * X + np.sin(X)) * 2 * np.floor(2 * X))
    assert_same_jacobian(jacve(fun)(X), jnp.asarray(expected))


def test_results_that_nobody_needs_need_no_rule():
    def step(c, a):
        return (c[0] * a, opaque(c[1] + a)), opaque(c[0])

    fun = lambda x: lax.scan(step, (1.0, 0.0), x)[0][0]  # noqa: E731
    assert_same_jacobian(jacve(fun)(X), jax.grad(jnp.prod)(X))
    fun = lambda x: lax.cond(x[0] > 0, lambda x: (x**2, opaque(x)), lambda x: (x, x), x)[0]  # noqa: E731
    assert_same_jacobian(jacve(fun)(X), jnp.diag(2 * X))
    fun = lambda x: lax.while_loop(  # noqa: E731
        lambda s: s[0] < 2, lambda s: (s[0] + 1, s[1] * x, opaque(s[1])), (0, x, x)
    )[1]
    assert_same_jacobian(jacve(fun)(X), jnp.diag(3 * X**2))


def test_a_derivative_through_a_primitive_that_has_none_is_refused():
    for fun in (opaque, lambda x: lax.scan(lambda c, a: (opaque(c) + a, None), 0.0, x)[0]):
        with pytest.raises(TypeError, match="opaque"):
            jacve(fun)(X)


def test_a_rule_that_asks_which_tangents_there_are_is_told_the_same():
    @jax.custom_jvp
    def unless_still(x, y):
        return y

    def rule(primals, tangents):
        still = isinstance(tangents[0], jax.custom_derivatives.SymbolicZero)
        return primals[1], jnp.zeros_like(tangents[1]) if still else tangents[1]

    unless_still.defjvp(rule, symbolic_zeros=True)
    fun = lambda x, y: unless_still(jnp.sin(x), y * y)  # noqa: E731
    for argnums in (1, (0, 1)):
        assert_same_jacobian(jacve(fun, argnums=argnums)(X, 2 * X), jax.jacfwd(fun, argnums)(X, 2 * X))


def test_a_rule_of_ones_own_decides_what_carries_a_derivative(monkeypatch):
    monkeypatch.setattr(_registry, "_RULES", dict(_registry._RULES))
    monkeypatch.setattr(_registry, "_DEPENDENCES", dict(_registry._DEPENDENCES))
    assert not np.any(jacve(jnp.floor)(X))
    straight_through = lambda call: (call.evaluate(), [[graphax.sparse.identity_block((3,))]])  # noqa: E731
    graphax.register_rule("floor")(straight_through)
    np.testing.assert_array_equal(jacve(jnp.floor)(X), np.eye(3))


def test_stopped_equations_keep_their_numbers():
    fun = lambda x: jnp.sin(lax.stop_gradient(jnp.exp(x)) * jnp.floor(x) * x)  # noqa: E731
    graph = graphax.trace(fun)(X)
    assert graph.vertices == (5, 6) and graph.eliminable == (5,)


@pytest.mark.slow
def test_linear_solves_and_checkpointed_loops_of_other_packages():
    lineax = pytest.importorskip("lineax")
    internal = pytest.importorskip("equinox.internal")

    def fun(x):
        operator = lineax.MatrixLinearOperator(jnp.outer(x, x) + 3 * jnp.eye(3))
        y = lineax.linear_solve(operator, jnp.sin(x), lineax.LU()).value
        step = lambda s: (s[0] + 1, jnp.sin(s[1]) * x)  # noqa: E731
        return internal.while_loop(lambda s: s[0] < 3, step, (0, y), kind="checkpointed", max_steps=4)[1]

    assert_same_jacobian(jax.jit(jacve(fun))(X), jax.jit(jax.jacrev(fun))(X))
