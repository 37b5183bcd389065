"""Columns that are pushed forward through loops: in one loop with the values, and no zero meets a pole."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend import core
from oracle import assert_same_jacobian, together

from graphax import _modes, _pushed_columns, jacve, value_and_jacve
from graphax._trace import inline
from graphax.rules import Dependent, State
from graphax.rules._pole_exposure import followed
from graphax.timing import constants_for

RANDOM = np.random.default_rng(8)
W = RANDOM.normal(size=(3, 3)) / 2
X, SLICES = np.array([0.3, 0.7, 1.2]), RANDOM.normal(size=(4, 3))


@pytest.fixture(autouse=True)
def without_modes(monkeypatch):
    monkeypatch.setenv("GRAPHAX_CANDIDATES", "kernels")


@pytest.fixture
def always(monkeypatch):
    """Columns are pushed wherever that is the question."""
    for limit in ("_FEW", "_FAR_FEWER", "_NEAR_THE_VALUE"):
        monkeypatch.setattr(_pushed_columns, limit, np.inf)


@pytest.fixture
def pushed(monkeypatch):
    """The names of the primitives through which columns were pushed."""
    names, way = [], _pushed_columns.Incoming.pushed_edges

    def spy(incoming, arrays, holes):
        names.append(incoming.equation.primitive.name)
        return way(incoming, arrays, holes)

    monkeypatch.setattr(_pushed_columns.Incoming, "pushed_edges", spy)
    return names


def recurrent(x):
    def step(h, s):
        h = jnp.tanh(W @ h + x * s)
        return h, (jnp.sum(h), jnp.argmax(h))

    return lax.scan(step, jnp.sin(x), SLICES)


def sequence(x):
    """Every step reads a slice that is differentiated, the last first."""
    return lax.scan(lambda h, s: (h * s[0] + x[1], h * jnp.sin(s)), x[0], jnp.outer(x, x), reverse=True)


def until_large(x):
    return lax.while_loop(lambda h: jnp.sum(h) < 9, lambda h: 1.5 * h + x * jnp.cos(h[::-1]), x)


def nested(x):
    def inner(_, h):
        return h + 0.1 * jnp.sin(W @ h) * x[0]

    return lax.scan(lambda h, s: (lax.fori_loop(0, 3, inner, h) * s, h[0]), x, SLICES)


def branching(x):
    def step(h, s):
        return lax.cond(s[0] > 0, lambda h: jnp.sin(h) * x, lambda h: jax.nn.relu(h - x[1]), h), None

    return lax.scan(step, x, SLICES)[0]


def oscillating(x):
    return lax.scan(lambda z, s: (z * (x[0] + 1j * s), jnp.real(z) * x[1]), x[2] + 1j, SLICES[0])


LOOPS = {
    "scan": recurrent,
    "differentiated slices": sequence,
    "while": until_large,
    "nested": nested,
    "branches": branching,
    "complex": oscillating,
}


@pytest.mark.parametrize("name", LOOPS)
def test_columns_go_through_loops(name, always, pushed):
    def fun(x):
        return jax.tree.map(lambda y: jnp.sin(y) * x[1] if y.dtype != int else y, LOOPS[name](x * x))

    stack = np.stack([X, X[::-1] + 0.1])
    options = {"allow_int": True, "kernel": False}
    ours, theirs = value_and_jacve(fun, **options), jax.jacfwd(fun)
    (value, found), expected, mapped, same = together(
        lambda s: ours(s[0]),
        lambda s: (fun(s[0]), theirs(s[0])),
        jax.vmap(jacve(fun, **options)),
        jax.vmap(theirs),
    )(stack)
    assert pushed
    for these, those in ((value, expected[0]), (found, expected[1]), (mapped, same)):
        moving = [at for at, leaf in enumerate(jax.tree.leaves(value)) if leaf.dtype != int]
        these, those = ([jax.tree.leaves(tree)[at] for at in moving] for tree in (these, those))
        assert_same_jacobian(these, those)


def test_values_and_columns_go_through_one_loop(always):
    def loops(jaxpr):
        for equation in jaxpr.eqns:
            yield from [equation.primitive.name] * (equation.primitive.name == "scan")
            for inner in core.jaxprs_in_params(equation.params):
                yield from loops(inner)

    jaxpr = jax.make_jaxpr(value_and_jacve(lambda x: recurrent(x)[0], kernel=False))(X)
    assert list(loops(jaxpr.jaxpr)) == ["scan"]


def test_what_is_estimated_to_be_faster_is_taken(monkeypatch, pushed):
    def fun(x):
        return recurrent(x)[0]

    monkeypatch.setattr(_modes, "_has_loops", lambda _: False)  # no other direction is tried
    monkeypatch.setattr(_pushed_columns, "_FEW", 0)
    for by_jacobian, by_columns in ((2.0, 1.0), (1.0, 2.0)):
        seconds = iter([by_jacobian, by_columns])
        monkeypatch.setattr(_pushed_columns.Staged, "seconds", property(lambda _, of=seconds: next(of)))
        pushed.clear()
        jax.make_jaxpr(jacve(fun, kernel=False))(X)
        assert bool(pushed) == (by_columns < by_jacobian)


def test_an_order_that_is_given_is_kept(always, pushed):
    jax.make_jaxpr(jacve(until_large, order="forward"))(X)
    assert not pushed


def test_columns_are_pushed_through_loops_where_every_kernel_takes_its_time(monkeypatch, pushed):
    def last(w):
        return lax.scan(lambda h, _: (jnp.tanh(w @ h), None), jnp.ones(4), None, 30)[0]

    w = jnp.linspace(-1.0, 1.0, 16).reshape(4, 4)

    def loops():
        program = jax.make_jaxpr(jacve(last, kernel=False))(w)
        return str(program).count("= scan[")

    assert loops() > 1
    gpu = replace(
        constants_for(), kernel=1e3, step=2e3, launched=2e4, captured=3.0, entry=1e-4, multiply=1e-4
    )
    monkeypatch.setattr("graphax.timing._estimate.constants_for", lambda device=None: gpu)
    monkeypatch.setattr(_modes, "constants_for", lambda device=None: gpu)
    assert loops() == 1
    np.testing.assert_allclose(jax.jit(jacve(last, kernel=False))(w), jax.jacfwd(last)(w), rtol=1e-12)


# ---- zeros next to poles


def roots(x):
    return lax.scan(lambda h, _: (jnp.sqrt(h) + 0.1 * h, None), x, None, 2)[0]


def root_beside(x):
    return lax.fori_loop(0, 3, lambda _, h: h + jnp.sqrt(x[0]) * x[1], x[2])


def quotients(x):
    return lax.scan(lambda h, s: (h + s / x, jnp.sum(h)), jnp.ones(3), SLICES)[0]


def until(x):
    return lax.while_loop(lambda h: h[2] < 5, lambda h: h * 1.5 + jnp.log(x + h), x)


def chosen(x):
    def step(h, _):
        return jnp.where(h > 0, jnp.sqrt(jnp.where(h > 0, h, 1.0)) * x[1], h), None

    return lax.scan(step, x, None, 2)[0]


def apart(x):
    """What follows the loop has a pole in the first of two values, which depend on different inputs."""
    a, b = lax.fori_loop(0, 3, lambda _, c: (c[0] * 1.5, jnp.sin(c[1])), (x[0], x[1:]))
    return jnp.cbrt(a), b


def infinite_factor(x):
    """A number without derivative is infinite."""
    return lax.fori_loop(0, 2, lambda _, h: h + x[1] * lax.stop_gradient(1 / x[0]) * x[2], 0.0)


def one_after_another(x):
    """The zeros of what the first loop returns meet the pole in the second."""
    a, b = lax.fori_loop(0, 3, lambda _, c: (c[0] * 1.5, jnp.sin(c[1])), (x[0], x[1:]))
    return lax.fori_loop(0, 2, lambda _, h: h * b[0] + jnp.sqrt(a), 1.0)


def arriving(x):
    """In the first step the root does not depend on what it does later."""
    return lax.scan(lambda h, _: (jnp.sqrt(h) * x[1] + x[2], h), 0.0, None, 3)[0]


def circuit(x):
    """A capacitor that is slow, beside one that loses all its charge at once."""

    def step(held, i):
        held = held + 0.1 * (i / x[:2] - held / (x[:2] * x[2]))
        return held, jnp.where(held > 1e3, 0.0, held)

    return lax.scan(step, jnp.ones(2), SLICES[:, 0])


def selected_root(x):
    """Which entries the root depends on is not known beforehand."""
    return lax.fori_loop(0, 3, lambda _, h: jnp.sqrt(jnp.where(h > 1, h, x[0])) * x[1], 0.5)


def kinetics(x):
    """The product of a reaction, which slows it down, depends on one input more after every step."""

    def step(held, _):
        substrate, product = held
        rate = x[0] * substrate / (1 + product / x[1] + substrate)
        return (substrate - 0.1 * rate, product + x[2] * rate), product

    return lax.scan(step, (2.0, 0.0), None, 5)[1]


def nested_roots(x):
    def inner(_, h):
        return lax.cond(h[1] > 0.1, lambda h: jnp.sqrt(h) + 0.1 * h, lambda h: h - jnp.log(1 + h), h)

    return lax.scan(lambda h, s: (lax.fori_loop(0, 2, inner, h), h * s), x, SLICES)


def until_roots(x):
    return lax.while_loop(lambda h: h[1] < 0.95, jnp.sqrt, x)


_FUNCTIONS = (
    *(roots, root_beside, quotients, until, chosen, apart, infinite_factor, one_after_another),
    *(arriving, circuit, kinetics, selected_root, nested_roots, until_roots),
)
POLES = {fun.__name__: fun for fun in _FUNCTIONS}


@pytest.mark.parametrize("name", POLES)
def test_what_is_finite_without_pushing_is_finite(name, always, monkeypatch):
    fun, x = POLES[name], np.array([0.0, 0.7, 1.2])
    found = jax.tree.leaves(jax.jit(jacve(fun, kernel=False))(x))
    monkeypatch.setattr(_pushed_columns, "is_pushable", lambda call: False)
    for ours, exact in zip(found, jax.tree.leaves(jax.jit(jacve(fun, kernel=False))(x)), strict=True):
        at = np.isfinite(exact)
        np.testing.assert_allclose(ours[at], exact[at], rtol=1e-9)


def variances(x, returns):
    def step(h, r):
        h = x[0] + x[1] * r**2 + x[2] * h
        return h, jnp.log(h) + r**2 / h

    return lax.scan(step, jnp.ones(()), returns)[1]


def test_poles_that_every_column_meets_are_no_obstacle(always, pushed):
    ours, theirs = jacve(variances, kernel=False), jax.jacfwd(variances)
    found, expected = together(ours, theirs)(X, SLICES[:, 0])
    assert pushed == ["scan"]
    assert_same_jacobian(found, expected)


KEPT = ("roots", "quotients", "root_beside", "infinite_factor", "circuit", "nested_roots", "until_roots")


@pytest.mark.parametrize("name", KEPT)
def test_zeros_are_put_back_where_poles_are_met(name, always, pushed):
    fun, at_poles = POLES[name], np.array([0.0, 0.7, 1.2])
    ours, theirs = jax.jit(jacve(fun, kernel=False)), jax.jit(jax.jacfwd(fun))
    assert_same_jacobian(jax.tree.leaves(ours(X)), jax.tree.leaves(theirs(X)))
    assert pushed
    lost = [np.isnan(array) for array in jax.tree.leaves(theirs(at_poles))]
    left = [np.isnan(array) for array in jax.tree.leaves(ours(at_poles))]
    assert sum(map(np.sum, left)) < sum(map(np.sum, lost))


@pytest.mark.parametrize("name", ["circuit", "kinetics"])
def test_columns_beside_which_zeros_are_put_back_are_differentiated_again(name, always, pushed):
    fun = POLES[name]
    ours, theirs = jacve(fun, kernel=False), jax.jacfwd(fun)
    again, mapped, *expected = together(
        lambda x: (jax.jacfwd(ours)(x), jax.jacrev(ours)(x)),
        lambda x: jax.vmap(ours)(jnp.stack([x, x + 0.1])),
        lambda x: (jax.jacfwd(theirs)(x), jax.jacfwd(theirs)(x)),
        lambda x: jax.vmap(theirs)(jnp.stack([x, x + 0.1])),
    )(X)
    assert pushed
    for these, those in zip((again, mapped), expected, strict=True):
        assert_same_jacobian(jax.tree.leaves(these), jax.tree.leaves(those))


def test_columns_that_arrive_after_a_pole_has_been_met_are_finite(always, pushed):
    ours, theirs = together(jacve(arriving, kernel=False), jax.jacrev(arriving))(np.array([0.3, 0.7, 1.2]))
    assert pushed
    assert_same_jacobian(ours, theirs)


def test_zeros_that_cannot_be_put_back_are_no_columns(always, pushed):
    jax.make_jaxpr(jacve(selected_root, kernel=False))(X)
    assert not pushed


# ---- which entries depend on what

A, B = RANDOM.normal(size=(2, 3, 2)), RANDOM.normal(size=(2, 2, 3))
PROGRAMS = {
    "slices": lambda x: jnp.concatenate([x[2:0:-1], x[1:], x[::4]]) * 2 - 1,
    "stacks": lambda x: (
        jnp.stack([x[0], *jnp.unstack(x[4:]), x[2]]) * jnp.pad(jnp.split(x, [2])[0], 1, constant_values=x[3])
    ),
    "tiles": lambda x: jnp.tile(x[:2], 3) * jnp.stack([x[:3], x[3:]], 1).reshape(-1),
    "places": lambda x: jnp.transpose(jnp.flip(x.reshape(2, 3), 1))[:, None] + jnp.zeros((3, 2, 2)),
    "sums": lambda x: jnp.sum(x.reshape(2, 3), 1) + jnp.sum(x[:2]),
    "products": lambda x: jnp.einsum("bij,bjk->bik", A * x[:2, None, None], B + x[2:5]),
    "squares": lambda x: (x.reshape(2, 3) @ x.reshape(3, 2)) / jnp.sum(x * x),
    "greatest": lambda x: jnp.maximum(x[:3], x[3:]) * jnp.max(x[1:3]),
    "branches": lambda x: jnp.where(x > 0.5, x * x[0], jnp.clip(x, 0.1, x[1])),
    "dynamic": lambda x: lax.dynamic_update_slice(x, x[:2] * x[4], (1,)) + lax.dynamic_slice(x, (2,), (1,)),
    "known zeros": lambda x: x * np.array([0.0, 1, 1, 0, 2, 1]) + (x @ np.eye(6))[0],
    "cumulated": lambda x: jnp.cumsum(x)[1:] + lax.cumsum(x[:5] * x[1:], reverse=True)[::-1],
    "sorted": lambda x: jnp.sort(x[:3]) * x[4],
    "stopped": lambda x: lax.stop_gradient(x) * x[0] + jnp.floor(x),
    "solutions": lambda x: jnp.linalg.solve(jnp.eye(2) * 3 + x[:4].reshape(2, 2), x[4:]),
    "loops": lambda x: lax.scan(lambda h, s: (h * s, h + x[0]), x[1], x[2:]),
    "repeated": lambda x: lax.fori_loop(0, 2, lambda _, h: h[::-1] * x[5], x),
    "either": lambda x: lax.cond(x[0] > 9, lambda x: x[1:] * x[0], lambda x: x[1:] + x[2], x),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_entries_depend_on_what_they_are_said_to_depend_on(name):
    fun, x = PROGRAMS[name], RANDOM.uniform(0.2, 0.9, 6)
    program = inline(jax.make_jaxpr(fun)(x))
    own = Dependent(np.eye(6, dtype=bool))
    found = followed(program, [State.moving(own, own, finite=True)]).results
    jacobians = list(map(np.asarray, jax.tree.leaves(jax.jacfwd(fun)(x))))
    for state, jacobian in zip(found, jacobians, strict=True):
        assert state.least.on.shape == state.most.on.shape == jacobian.shape
        assert not np.any(state.least.on & (jacobian == 0))
        assert not np.any(~state.most.on & (jacobian != 0))
    least = {"greatest", "branches", "dynamic", "known zeros", "sorted"}  # of which it is said of no entry
    assert name in least or not all(state.least.is_empty for state in found)
    if name in {"slices", "stacks", "pads", "tiles", "places", "sums", "squares", "cumulated", "stopped"}:
        assert all(state.most == Dependent(exact != 0) for state, exact in zip(found, jacobians, strict=True))
