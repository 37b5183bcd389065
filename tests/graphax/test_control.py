"""Loops and branches: the body is eliminated once, and its Jacobian carried through."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend import core
from oracle import assert_same_jacobian, together

import graphax
from graphax import jacve, value_and_jacve
from graphax.rules.loops import _products, _pulled, _scan, _stepwise

X = np.array([0.3, -1.2, 0.7])
M = np.array([[0.5, -0.1, 0.2], [0.3, 0.8, -0.6], [0.1, 0.4, 0.9]])
XS = np.linspace(-1, 1, 15).reshape(5, 3)
NAMES = ("forward", "reverse", "markowitz")


@jax.custom_jvp
def clipped(x):
    return jnp.clip(x, -1.0, 1.0)


clipped.defjvp(lambda p, t: (clipped(*p), jnp.where(jnp.abs(p[0]) < 1.0, t[0], 0.1 * t[0])))


@jax.custom_vjp
def scaled(x):
    return x


scaled.defvjp(lambda x: (x, jnp.cos(x)), lambda cos, ct: (3.0 * cos * ct,))


def scan(step, init, xs, **options):
    return lax.scan(step, init, xs, **options)


def cell(c, x):
    c = jnp.tanh(M @ c + x)
    return c, c * x


def tree_step(w):
    def step(state, x):
        count, p, (v,) = state
        p = p + 0.1 * v * w["a"]
        v = v - 0.1 * (w["k"] @ p) * x["f"] / (1.0 + count)
        return (count + 1, p, (v,)), {"p": p, "e": jnp.sum(v * v), "n": count}

    return step


def branching(c, x):
    c = lax.cond(jnp.sum(c) > 0, lambda c: jnp.sin(c) * x, lambda c: c * c + x, c)
    return c, c[0]


def nested(c, x):
    inner, ys = lax.scan(lambda d, y: (jnp.sin(d * y) + c, d * y), c, jnp.stack([x, c]))
    return jnp.cos(inner), jnp.sum(ys, 0) * c


def random_step(state, x):
    key, c = state
    key, sub = jax.random.split(key)
    c = jnp.tanh(c + x * jax.random.normal(sub, (3,)))
    return (key, c), c


def mixed_step(state, x):
    short, long = state
    return ((short * x).astype("float32"), long * x + short), short


def floating(fun):
    """The function without its integer results."""
    return lambda *args: [y for y in jax.tree.leaves(fun(*args)) if jnp.issubdtype(y.dtype, jnp.floating)]


# Functions of a vector and of five vectors.
LOOPS = {
    "recurrence": lambda c, xs: scan(cell, c, xs),
    "final only": lambda c, xs: scan(cell, c, xs)[0],
    "slices only": lambda c, xs: scan(cell, c, xs)[1],
    "backwards": lambda c, xs: scan(cell, c, xs, reverse=True),
    "backwards final": lambda c, xs: scan(cell, c, xs, reverse=True)[0],
    "unrolled": lambda c, xs: scan(cell, c, xs, unroll=2),
    "state returned before the step": lambda c, xs: scan(lambda c, x: (jnp.sin(c * x), c), c, xs),
    "state returned after the step": lambda c, xs: scan(lambda c, x: 2 * [jnp.sin(c * x)], c, xs),
    "constants": lambda c, xs: scan(lambda s, x: (jnp.sin(s * x) + c, s * c), jnp.ones(3), M),
    "constants, final only": lambda c, xs: scan(lambda s, x: (jnp.sin(s * x) + c, None), X, xs)[0],
    "no slices": lambda c, xs: scan(lambda s, _: (jnp.sin(s) * c, s[0]), c, None, length=4),
    "slices that bypass the state": lambda c, xs: scan(lambda s, x: (s * s, s * jnp.sin(x)), c, xs),
    "map": lambda c, xs: lax.map(lambda x: jnp.sin(x) * c + x[0], xs),
    "map of a constant": lambda c, xs: lax.map(lambda n: jnp.sin(c) * n, jnp.arange(4.0)),
    "map with a counter": lambda c, xs: scan(lambda n, x: (n + 1, x * c * n), 0, xs)[1],
    "batched map": lambda c, xs: lax.map(jnp.sin, xs, batch_size=2),
    "map that branches": lambda c, xs: lax.map(lambda x: lax.cond(x[0] > 0, jnp.sin, jnp.cos, x) * c, xs),
    "one number": lambda c, xs: scan(lambda s, x: (s + jnp.sum(jnp.sin(x * c)), None), 0.0, xs)[0],
    "trees": lambda c, xs: scan(tree_step({"a": c, "k": M}), (0, c, (c * 2,)), {"f": xs}),
    "unchanged state": lambda c, xs: scan(
        lambda s, x: ((jnp.sin(s[0] * s[1]), s[1]), s[1] * x), (jnp.ones(3), c), xs
    ),
    "swapped state": lambda c, xs: scan(lambda s, x: ((s[1], s[0] * x), None), (c, jnp.ones(3)), xs)[0],
    "state that nobody needs": lambda c, xs: scan(
        lambda s, x: ((jnp.sin(s[0]), s[1] * c + x), None), (c, c), xs
    )[0][0],
    "constant state": lambda c, xs: scan(lambda s, x: (jnp.cos(s), s * x), jnp.ones(3), xs),
    "random numbers": lambda c, xs: scan(random_step, (jax.random.key(0), c), xs)[1],
    "integer results": lambda c, xs: scan(lambda s, x: (s * x, jnp.argmax(s)), c, xs)[0],
    "no steps": lambda c, xs: scan(cell, c, xs[:0]),
    "no steps of a map": lambda c, xs: lax.map(jnp.sin, xs[:0]),
    "one step": lambda c, xs: scan(cell, c, xs[:1]),
    "branches inside": lambda c, xs: scan(branching, c, xs),
    "branches inside, final": lambda c, xs: scan(branching, c, xs)[0],
    "loops inside": lambda c, xs: scan(nested, c, xs),
    "while inside": lambda c, xs: scan(
        lambda s, x: (lax.while_loop(lambda y: jnp.sum(y) < 5, lambda y: y * y + 1.5, s), x * s), c, xs[:2]
    ),
    "custom derivatives inside": lambda c, xs: scan(
        lambda s, x: (jax.jit(clipped)(2 * s * x), jax.checkpoint(jnp.sin)(s)), c, xs
    ),
    "complex inside": lambda c, xs: scan(lambda s, x: (jnp.abs(jnp.exp(1j * s) + x), s), c, xs),
    "complex state": lambda c, xs: jnp.abs(scan(lambda s, x: (s * (x + 1j), None), c + 1j, xs)[0]),
    "mixed precision": lambda c, xs: scan(mixed_step, (c.astype("float32"), c), xs),
    "scan in cond": lambda c, xs: lax.cond(c[0] > 0, lambda c: scan(cell, c, xs)[0], lambda c: c, c),
    "fori": lambda c, xs: lax.fori_loop(0, 4, lambda i, s: jnp.sin(s) * c + xs[i], c),
    "updates": lambda c, xs: lax.fori_loop(0, 3, lambda i, s: s.at[i].set(jnp.sin(s[i - 1]) * c[i]), c),
    "associative scan": lambda c, xs: lax.associative_scan(jnp.multiply, xs * c),
    "cumulative": lambda c, xs: scan(lambda s, x: (s + x, s + x), c, xs)[1],
}  # fmt: skip


@pytest.mark.parametrize("name", LOOPS)
def test_scans_are_differentiated_as_jacfwd_does(name):
    fun = floating(LOOPS[name])
    both = lambda *args: (jacve(fun)(*args), jacve(fun, argnums=(0, 1))(*args))  # noqa: E731
    actual, expected = together(both, jax.jacfwd(fun, (0, 1)))(X, XS)
    tolerance = 1e-6 if name == "mixed precision" else 1e-9
    assert_same_values(actual, ([row[0] for row in expected], expected), tolerance)


WAYS = {
    "forward": _products.forward_products,
    "backward": _products.backward_products,
    "stepwise": _stepwise.stepwise,
    "pulled": _pulled.pulled,
}
FINALS = ("final only", "backwards final", "one number", "swapped state", "constants, final only", "trees")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", FINALS)
def test_every_way_gives_the_same(monkeypatch, name, way):
    fun = lambda c, xs: jax.tree.leaves(LOOPS[name](c, xs))[-1]  # noqa: E731
    if name == "trees":
        fun = lambda c, xs: LOOPS[name](c, xs)[0][1]  # noqa: E731
    monkeypatch.setattr(_scan, "_choose", lambda loop: WAYS[way])
    monkeypatch.setattr(_products, "_BATCH", 20)
    assert_same_values(*together(jacve(fun, argnums=(0, 1)), jax.jacfwd(fun, (0, 1)))(X, XS))


SLICES = (
    "recurrence",
    "backwards",
    "trees",
    "unchanged state",
    "slices that bypass the state",
    "mixed precision",
)


@pytest.mark.parametrize("way", ["forward", "stepwise"])
@pytest.mark.parametrize("name", SLICES)
def test_returned_slices_every_way(monkeypatch, name, way):
    fun = floating(LOOPS[name])
    monkeypatch.setattr(_scan, "_choose", lambda loop: WAYS[way])
    monkeypatch.setattr(_products, "_BATCH", 20)
    tolerance = 1e-6 if name == "mixed precision" else 1e-9
    both = together(jacve(fun, argnums=(0, 1)), jax.jacfwd(fun, (0, 1)))
    assert_same_values(*both(X, XS), tolerance)


def newton(c, xs):
    def holds(state):
        return (state[0] < 20) & (jnp.sum(jnp.abs(state[1] ** 2 - c**2 - 1)) > 1e-3)

    return lax.while_loop(
        holds, lambda s: (s[0] + 1, s[1] - (s[1] ** 2 - c**2 - 1) / (2 * s[1])), (0, xs[0] + 3)
    )[1]


OTHERS = {
    "while": lambda c, xs: lax.while_loop(lambda y: jnp.sum(y) < 50, lambda y: y * y + 1.5 + c, xs[0]),
    "while with a count": newton,
    "while over a tree": lambda c, xs: lax.while_loop(
        lambda s: s[0] < 3, lambda s: (s[0] + 1, {"a": s[1]["a"] * c, "b": s[1]["b"] * s[1]["a"][:, None]}),
        (0, {"a": c, "b": xs.T}),
    )[1],
    "while whose end alone depends on the input": lambda c, xs: c * lax.while_loop(
        lambda n: n < c[0], lambda n: n + 0.5, -2.0
    ),
    "while with unchanged values": lambda c, xs: lax.while_loop(
        lambda s: s[0] < 3, lambda s: (s[0] + 1, s[1] * s[2], s[2]), (0, xs[0], c)
    )[1:],
    "fori with as many steps as the data say": lambda c, xs: lax.fori_loop(
        0, jnp.argmax(c) + 2, lambda i, s: jnp.sin(s) * c + xs[i], c
    ),
    "scan in while": lambda c, xs: lax.while_loop(
        lambda s: jnp.sum(s) < 10, lambda s: jnp.abs(scan(cell, s, xs)[0]) + s + 1, c
    ),
    "cond": lambda c, xs: lax.cond(c[0] > 0, lambda c: (jnp.sin(c), c[0]), lambda c: (c, 2.0), c),
    "cond of constants": lambda c, xs: c * lax.cond(c[0] > 0, lambda: 1.0, lambda: 2.0),
    "switch": lambda c, xs: lax.switch(
        jnp.argmax(c), [lambda c, x: x[0] * c, lambda c, x: c, lambda c, x: jnp.sin(x).T @ x @ c], c, xs
    ),
    "switch out of range": lambda c, xs: lax.switch(7, [lambda c: c, lambda c: c * c], c),
    "cond in cond": lambda c, xs: lax.cond(
        c[0] > 0, lambda c: lax.cond(c[1] > 0, jnp.sin, lambda c: M @ c, c * c), jnp.cos, c
    ),
    "cond with integers": lambda c, xs: lax.cond(
        c[0] > 0, lambda c, n: (c * n, n), lambda c, n: (c, n + 1), c, jnp.argmax(c)
    )[0],
    "cond of mixed precision": lambda c, xs: lax.cond(
        c[0] > 0, lambda c: c.astype("float32") * 2, lambda c: jnp.ones(3, "float32"), c
    ),
    "cond with complex numbers": lambda c, xs: jnp.abs(
        lax.cond(c[0] > 0, lambda z: z * z, jnp.exp, c + 1j * xs[0])
    ),
    "cond with custom derivatives": lambda c, xs: lax.cond(c[0] > 0, clipped, jnp.sin, 2 * c),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_branches_and_while_loops(name):
    fun = floating(OTHERS[name])
    tolerance = 1e-6 if "mixed" in name else 1e-9
    both = together(jacve(fun, argnums=(0, 1)), jax.jacfwd(fun, (0, 1)))
    assert_same_values(*both(X, XS), tolerance)


@pytest.mark.parametrize("order", ["forward", "reverse", "markowitz", [3, 2, 1]])
def test_the_order_of_the_body_can_be_given(order):
    def step(c, x):
        c = jnp.sin(jnp.exp(c * x) * c)
        return c, None

    fun = lambda c: lax.scan(step, c, XS)[0] * c  # noqa: E731
    expected = jax.jacfwd(fun)(X)
    assert_same_jacobian(jax.jit(jacve(fun, body_order=order))(X), expected)
    assert_same_jacobian(jax.jit(value_and_jacve(fun, body_order=order))(X)[1], expected)


def test_an_order_that_does_not_fit_the_body_is_refused():
    fun = lambda c: lax.scan(lambda c, x: (jnp.sin(c * x), None), c, XS)[0]  # noqa: E731
    with pytest.raises(ValueError):
        jacve(fun, body_order=[7])(X)
    with pytest.raises(ValueError, match="did you mean 'markowitz'"):
        jacve(fun, body_order="markovitz")(X)


def test_sequences_hold_for_maps_and_not_for_what_is_further_inside():
    fun = lambda xs: lax.map(lambda x: jnp.sin(jnp.sin(jnp.sin(x)) * 2), xs)  # noqa: E731
    assert_same_jacobian(jax.jit(jacve(fun, body_order=[2, 1, 3]))(XS), jax.jacrev(fun)(XS))
    fun = lambda c: lax.scan(nested, c, XS)  # noqa: E731
    graph = graphax.trace(lambda c: nested(c, XS[0]))(X)
    order = graph.eliminable
    assert_same_jacobian(jax.jit(jacve(fun, body_order=order))(X), jax.jacfwd(fun)(X))


def test_a_body_is_not_unrolled():
    def size(length):
        fun = lambda c: lax.scan(cell, c, jnp.ones((length, 3)))  # noqa: E731
        return _equations(jax.make_jaxpr(jacve(fun))(X).jaxpr)

    assert size(10) == size(1000)


def _equations(jaxpr):
    inner = [_equations(inner) for eqn in jaxpr.eqns for inner in core.jaxprs_in_params(eqn.params)]
    return len(jaxpr.eqns) + sum(inner)


TRANSFORMED = {
    "scan": lambda c: lax.scan(cell, c, XS),
    "final": lambda c: lax.scan(lambda s, x: (jnp.sin(s * c + x), None), X, XS)[0],
    "cond": lambda c: lax.cond(c[0] > 0, jnp.sin, lambda c: c * c, c),
    "map": lambda c: lax.map(lambda x: jnp.sin(x * c), XS),
}


@pytest.mark.parametrize("name", TRANSFORMED)
def test_transformations(name):
    fun = TRANSFORMED[name]
    mine, theirs = jacve(fun), jax.jacfwd(fun)
    points = jnp.stack([jnp.asarray(X), jnp.asarray(X) * -2])

    def all_of(jacobian):
        total = lambda x: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(jacobian(x)))  # noqa: E731
        return jax.grad(total)(X), jax.jvp(jacobian, (X,), (X,)), jax.vmap(jacobian)(points)

    assert_same_jacobian(jax.jit(lambda: all_of(mine))(), jax.jit(lambda: all_of(theirs))())


@pytest.mark.parametrize("way", ["pulled", "stepwise", "backward"])
def test_every_way_can_be_differentiated_again(monkeypatch, way):
    monkeypatch.setattr(_scan, "_choose", lambda loop: WAYS[way])
    fun = TRANSFORMED["final"]
    second = jax.jacrev(jax.jacfwd(fun))(X)
    assert_same_jacobian(jax.jit(jax.jacrev(jacve(fun)))(X), second)


def test_jacve_of_jacve_of_a_scan():
    fun = lambda c: lax.scan(lambda s, x: (jnp.sin(s * c + x), None), jnp.ones(3), XS[:3])[0]  # noqa: E731
    assert_same_jacobian(jax.jit(jacve(jacve(fun)))(X), jax.jit(jax.jacfwd(jax.jacfwd(fun)))(X))


def test_while_loops_under_vmap():
    fun = lambda c: lax.while_loop(lambda y: jnp.sum(y) < 50, lambda y: y * y + 1.5, c)  # noqa: E731
    assert_same_jacobian(jax.vmap(jacve(fun))(XS), jax.vmap(jax.jacfwd(fun))(XS))


def test_a_map_keeps_the_structure_of_its_body():
    # Dense local Jacobians would be 10**10 numbers.
    fun = lambda x: jnp.sum(lax.map(lambda y: jnp.sin(y) * y, x))  # noqa: E731
    x = jnp.linspace(0, 1, 10**5).reshape(10, -1)
    assert_same_jacobian(jax.jit(jacve(fun, order="forward"))(x), jax.grad(fun)(x))


LARGE = {
    "cond": lambda x: lax.cond(x[0] > 0, jnp.sin, lambda x: -x, x),
    "switch": lambda x: lax.switch(jnp.argmax(x) * 0 + 1, [jnp.sin, lambda x: -x, jnp.ones_like], x),
    "scan": lambda x: lax.scan(lambda c, _: (c + 0.1 * jnp.sin(c * x), None), x, None, 20)[0],
    "swap": lambda x: lax.scan(lambda c, _: ((c[1], -c[0] * c[1]), None), (x, x * x), None, 5)[0][1],
    "while": lambda x: lax.while_loop(lambda s: s[0] < 8, lambda s: (s[0] + 1, s[1] - s[1] ** 2 / 9), (0, x))[
        1
    ],
}


@pytest.mark.parametrize("name", LARGE)
def test_structure_passes_through_branches_and_loops(name):
    # Dense Jacobians would be 10**10 numbers.
    fun = lambda x: jnp.sum(LARGE[name](x))  # noqa: E731
    x = jnp.linspace(0.1, 1, 10**5)
    ones = (jnp.ones_like(x),)
    expected = jax.jvp(LARGE[name], (x,), ones)[1]  # elementwise: the diagonal
    assert_same_jacobian(jax.jit(jacve(fun, order="forward"))(x), expected)


def test_effects_happen_once_a_step():
    seen = []

    def step(c, x):
        jax.debug.callback(lambda c: seen.append(float(c)), c[0], ordered=False)
        return jnp.sin(c * x), None

    jacobian = jax.jit(jacve(lambda c: lax.scan(step, c, XS)[0]))(X)
    jax.effects_barrier()
    assert len(seen) == len(XS)
    assert_same_jacobian(
        jacobian, jax.jacfwd(lambda c: lax.scan(lambda c, x: (jnp.sin(c * x), 0), c, XS)[0])(X)
    )


def assert_same_values(actual, expected, tolerance=1e-9):
    """As `assert_same_jacobian`, but dtypes may differ: jacve's follow jacrev's, not jacfwd's."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    expected = jax.tree.map(lambda a, e: e.astype(a.dtype), actual, expected)
    assert_same_jacobian(actual, expected, tolerance)
