"""Loops further in: second derivatives, what is carried beside a derivative, and loops under `vmap`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from oracle import assert_same_jacobian, together

from graphax import hessve, jacve
from graphax.rules.loops import _products, _pulled, _scan, _stepwise

X = np.array([0.4, -1.1, 0.7])
W, K = np.array([10.0, 20.0, 30.0]), np.array([1.0, 5.0, 7.0])


def last(step, init, xs=None, **options):
    return lax.scan(lambda c, a: (step(c, a), None), init, xs, **options)[0]


def total(tree):
    return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(tree))


# Scalar functions of a vector: what their gradients carry mixes values with and without derivatives.
SCALARS = {
    "a vector accumulates": lambda x: last(lambda c, a: c + a**3 * W, jnp.zeros(3), x) @ K,
    "a number accumulates": lambda x: last(lambda c, a: c + a**3, 0.0, x),
    "a matrix accumulates": lambda x: total(last(lambda c, a: c + a**3 * jnp.outer(W, K), jnp.eye(3) / 9, x)),
    "accumulates backwards": lambda x: (
        last(lambda c, a: c * 0.5 + a**3 * W, jnp.zeros(3), x, reverse=True) @ K
    ),
    "two numbers, one of them accumulates": lambda x: total(
        last(lambda c, a: (jnp.tanh(c[0] + a), c[1] + a**3), (0.0, 0.0), x)
    ),
    "under vmap": lambda x: total(jax.vmap(lambda w: last(lambda c, a: c + a**3 * w, 0.0, x))(W)),
    "counters and returned slices": lambda x: total(
        lax.scan(lambda c, a: ((c[0] + 1, c[1] * 0.5), a**2 * c[0] + c[1] * a), (0.0, 1.0), x)[1]
    ),
    "nested": lambda x: last(lambda c, a: last(lambda d, b: d + b**2 * a, c, x), 0.0, x),
    "no steps": lambda x: last(lambda c, a: c + a**3, jnp.sum(x**2), x[:0]),
    "one step": lambda x: last(lambda c, a: c * a**3, jnp.sum(x**2), x[:1]),
    "fori": lambda x: lax.fori_loop(0, 3, lambda i, c: c + x[i] ** 3 * c, 1.0),
    "unchanged beside accumulating": lambda x: total(
        last(lambda c, a: (c[0], c[1] + a**2 * c[0], c[2]), (x[1], jnp.zeros(3), 2.0), x)
    ),
}  # fmt: skip


def test_a_gradient_of_a_scan_is_differentiated():
    for fun in (SCALARS["a vector accumulates"], SCALARS["a number accumulates"]):
        assert_same_jacobian(jax.jit(jacve(jax.grad(fun)))(X), jax.jit(jax.hessian(fun))(X))


@pytest.mark.parametrize("name", SCALARS)
def test_second_derivatives_of_scans(name):
    fun = SCALARS[name]
    expected, *found = together(jax.hessian(fun), hessve(fun, order="reverse"), jacve(jacve(fun)))(X)
    assert_same_jacobian(found, [expected] * 2)


def mixed(length, reverse=False):
    """Carries of many kinds: with and without derivatives, a count, a switch, a key, an unchanged one."""

    def step(state, a):
        active, total, count, off, decay, key, short, same = state
        key, sub = jax.random.split(key)
        noise = jax.random.normal(sub) * short
        y = jnp.where(off, decay, active * noise) * count + same
        active = jnp.tanh(active * a + decay[:2] * 0.1 + same[0])
        state = active, total + a**3 * decay[0], count + 1, ~off, decay * 0.5, key, short * 0.9, same
        return state, (y, count)

    def fun(x, same):
        init = (
            x[:2],
            jnp.ones(()),
            2,
            True,
            jnp.array([1.0, 2.0]),
            jax.random.key(0),
            jnp.float32(1.5),
            same,
        )
        state, (y, _) = lax.scan(step, init, jnp.linspace(-1, 1, length) * jnp.sum(x), reverse=reverse)
        return state[0], state[1], state[4], state[7], y

    return fun


WAYS = {
    "chosen": lambda loop, choose=_scan._choose: choose(loop),
    "forward": lambda loop: _products.forward_products,
    "stepwise": lambda loop: _stepwise.stepwise,
    "pulled": lambda loop: _pulled.pulled,
}


@pytest.mark.parametrize("way", WAYS)
def test_carried_values_of_every_kind(monkeypatch, way):
    monkeypatch.setattr(_scan, "_choose", WAYS[way])
    monkeypatch.setattr(_products, "_BATCH", 20)
    same = np.array([0.2, 0.3])
    programs = [mixed(4), mixed(3, reverse=True)] + [mixed(1), mixed(0)] * (way == "chosen")
    both = lambda transform: [transform(fun, argnums=(0, 1)) for fun in programs]  # noqa: E731
    actual = jax.jit(lambda *args: [one(*args) for one in both(jacve)])(X, same)
    expected = jax.jit(lambda *args: [one(*args) for one in both(jax.jacrev)])(X, same)
    assert_same_jacobian(actual, expected)


def until(limit):
    return lambda y: lax.while_loop(lambda y: jnp.sum(y) < limit, lambda y: y * y + 1.5, y)


def keyed(n, x):
    """Lanes carry keys, counts and what they never change."""

    def step(state):
        count, y, key, same = state
        key, sub = jax.random.split(key)
        return count + 1, jnp.sin(y) * same + jax.random.normal(sub), key, same

    return lax.while_loop(lambda s: s[0] < n, step, (0, x, jax.random.key(1), x * 2))[1]


def each(n, x):
    return lax.fori_loop(0, n, lambda i, c: jnp.sin(c) * x * (i + 1.0), x)


def bounded(a, b):
    """A limit of each lane; the steps are counted, so that it ends for all."""
    return lax.while_loop(lambda s: (s[0] < 6) & (s[1] < a), lambda s: (s[0] + 1, s[1] * b + 0.5), (0, b))[1]


def scanning(x):
    step = lambda s: (s[0] + 1, last(lambda c, a: c + x * a, s[1], W) / 9)  # noqa: E731
    return lax.while_loop(lambda s: (s[0] < 4) & (s[1] < 5), step, (0, x))[1]


def looping(x):
    step = lambda s: (s[0] + 1, until(3.0)(s[1] / 2) + x)  # noqa: E731
    return lax.while_loop(lambda s: s[0] < 3 + x, step, (0, x))[1]


POINTS = np.outer([0.1, 1.0, 2.0, 9.0], X + 2)
COUNTS = np.array([0, 1, 3])
LANES = {
    "values": (jax.vmap(until(50.0)), POINTS),
    "as many steps as the data say": (lambda x: jax.vmap(each)(COUNTS, x), X),
    "one operand for all lanes": (lambda x: jax.vmap(keyed, (0, None))(COUNTS, x), X),
    "lanes of lanes": (lambda x: jax.vmap(jax.vmap(keyed, (None, 0)), (0, None))(COUNTS, x), X),
    "a limit of each lane": (lambda x: jax.vmap(bounded)(x * 3, x**2), X),
    "in a scan": (lambda x: lax.scan(lambda c, a: (jax.vmap(until(4.0))(c * a), c), x, x), X),
    "of a scan": (jax.vmap(scanning), X),
    "a loop in a loop": (jax.vmap(looping), X),
}


@pytest.mark.parametrize("name", LANES)
def test_under_vmap_every_lane_of_a_while_loop_ends_by_itself(name):
    fun, x = LANES[name]
    orders = ("forward", "reverse")
    expected, *found = together(jax.jacfwd(fun), *(jacve(fun, order=order) for order in orders))(x)
    assert_same_jacobian(found, [expected] * 2)


def test_vmap_of_the_jacobian_of_a_while_loop():
    fun = lambda n, x: lax.fori_loop(0, n, lambda i, c: jnp.sin(c) * x, x)  # noqa: E731
    twice = lambda one: lambda x: jax.vmap(one(fun, argnums=1), (0, None))(COUNTS, x)  # noqa: E731
    assert_same_jacobian(jax.jit(twice(jacve))(X), jax.jit(twice(jax.jacfwd))(X))
    assert_same_jacobian(jax.jit(jacve(twice(jacve)))(X), jax.jit(jax.jacfwd(twice(jax.jacfwd)))(X))


def test_lanes_keep_their_structure():
    # A dense Jacobian would be 10**10 numbers.
    loop = jax.vmap(until(10.0))
    x = jnp.linspace(0.0, 2.0, 10**5)
    fun = lambda x: jnp.sum(loop(x))  # noqa: E731
    expected = jax.jvp(loop, (x,), (jnp.ones_like(x),))[1]  # elementwise: the diagonal
    assert_same_jacobian(jax.jit(jacve(fun, order="forward"))(x), expected)


WHILES = {
    "grows": lambda x: lax.while_loop(lambda y: y < 50, lambda y: y * (1 + jnp.sum(x**2)) + 1, x[0] + 1),
    "as many steps as the data say": lambda x: lax.fori_loop(
        0, jnp.argmax(x) + 1, lambda i, c: jnp.sin(c * x[i]) + c, x[0]
    ),
    "beside other scalars": lambda x: {"a": until(50.0)(x[0] * x[1] + 3), "b": x[2] ** 3},
    "under vmap": lambda x: jnp.sum(jax.vmap(until(50.0))(x) ** 2),
    "in a scan": lambda x: last(lambda c, a: until(2.0)(c * a), x[0], x),
}  # fmt: skip


@pytest.mark.parametrize("name", WHILES)
def test_hessians_of_scalar_functions_with_while_loops(name):
    fun = WHILES[name]
    expected = jax.jit(jax.jacfwd(jax.jacfwd(fun)))(X)
    assert_same_jacobian(jax.jit(hessve(fun))(X), expected)
    if name == "grows":
        found, aux = hessve(lambda x, n: (fun(x), n), has_aux=True, argnums=(0,))(X, 3)
        assert_same_jacobian(found, ((expected,),))
        assert aux == 3


POINT = np.array([-0.5, 0.3, 0.9])
SPOILT = {
    "a root taken outside": lambda a: lax.fori_loop(
        0, 3, lambda _, t: jnp.where(a > 0.1, t * 0.5 + jnp.sqrt(a) * 0.5, t), a * 0.5
    ),
    "a root of slices": lambda a: lax.scan(
        lambda t, b: (jnp.where(a > 0.1, t * b + jnp.log(a), t), t), a, jnp.outer(a, jnp.sqrt(a))
    )[1],
    "overwritten at a traced place": lambda a: (
        lambda b: lax.fori_loop(
            0, 2, lambda _, t: lax.dynamic_update_slice(t * b, a[1:2], (jnp.argmin(a),)), a
        )
    )(jnp.log(a)),
    "cut at a traced place": lambda a: lax.while_loop(
        lambda c: c[0] < 2,
        lambda c: (c[0] + 1, c[1], lax.dynamic_slice(c[1], (jnp.argmin(a) + 1,), (2,)) * c[2]),
        (0, jnp.log(a), a[1:]),
    )[2],
    "in a branch": lambda a: lax.cond(
        a[1] > 0,
        lambda t, b: lax.dynamic_update_slice(t * b, a[1:2], (jnp.argmin(a),)),
        jnp.add,
        a,
        jnp.log(a),
    ),
    "lanes": lambda a: jax.vmap(
        lambda a, b: lax.fori_loop(
            0, 2, lambda _, t: lax.cond(a > 0.1, lambda t: t * b, lambda t: t * a, t), a
        )
    )(a, jnp.log(a)),
}


def either(forward, reverse):
    return np.where(np.isfinite(forward), forward, reverse)


@pytest.mark.parametrize("name", SPOILT)
def test_what_is_not_finite_before_a_loop_spoils_no_other_lane_in_it(name):
    fun = SPOILT[name]

    def tangent(x):
        return total(jax.jvp(fun, (x,), (jnp.ones(3),))[1])

    def derivatives(x, *modes):
        if name == "cut at a traced place":
            return [mode(fun)(x) for mode in modes]
        return [of(x) for mode in modes for of in (mode(fun), mode(jax.grad(tangent)))]

    orders = [lambda f, order=order: jacve(f, order=order) for order in ("forward", "reverse")]
    found = jax.jit(lambda x: derivatives(x, *orders))(POINT)
    wanted = jax.jit(lambda x: derivatives(x, jax.jacfwd))(POINT)
    if len(wanted) > 1:
        wanted = list(map(either, wanted, jax.jit(lambda x: derivatives(x, jax.jacrev))(POINT)))
    assert any(np.isfinite(w).any() for w in wanted)
    for actual, expected in zip(found, [*wanted, *wanted], strict=True):
        known = np.isfinite(expected)
        np.testing.assert_allclose(np.asarray(actual)[known], expected[known], rtol=1e-9, atol=1e-9)
