"""A selection selects: what it does not take is zero, whatever stands there."""

import functools
import itertools
import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from oracle import together

import graphax
from graphax import hessve, jacve

NAMED = ("forward", "reverse", "auto")


def where_either_is_finite(forward, reverse):
    """What both of JAX's modes allow to know: the numbers, NaN where neither has one."""
    return jnp.where(jnp.isfinite(forward), forward, jnp.where(jnp.isfinite(reverse), reverse, jnp.nan))


def expected(fun):
    return lambda *args: where_either_is_finite(jax.jacfwd(fun)(*args), jax.jacrev(fun)(*args))


def assert_agrees(actual, wanted, rtol=1e-9):
    """Equal wherever there is a number to be equal to."""
    actual, wanted = np.asarray(actual), np.asarray(wanted)
    known = np.isfinite(wanted)
    assert actual.shape == wanted.shape
    scale = np.abs(wanted[known]).max(initial=1)
    np.testing.assert_allclose(actual[known], wanted[known], rtol=rtol, atol=rtol * scale)


def assert_agree_at(x, wanted, *found):
    """Functions that all have the values of the one wanted."""
    value, *others = together(wanted, *found)(x)
    for other in others:
        assert_agrees(other, value)


def explicit_orders(fun, *args, most=6):
    """All orders of a small graph, some of a larger one."""
    vertices = graphax.trace(fun)(*args).eliminable
    if len(vertices) <= 3:
        return list(itertools.permutations(vertices))
    shuffle = random.Random(len(vertices)).sample
    return [tuple(shuffle(vertices, len(vertices))) for _ in range(most)]


def array(*numbers):
    return np.array(numbers)


W = np.array([[1.0, -2.0, 0.5], [0.3, 1.5, -1.0], [2.0, 0.1, 0.7], [-0.4, 1.0, 1.0]])
POINTS = np.array([[0.0, 0.0, 0.0], [1.1, 0.2, 0.1], [0.1, 1.3, -0.2], [0.9, 1.0, 0.8]])


def masked_distances(x):
    """The distance matrix with a masked diagonal."""
    gap = x[:, None] - x[None]
    apart = ~np.eye(len(x), dtype=bool)
    return jnp.where(apart, jnp.sqrt(jnp.where(apart, jnp.sum(gap**2, -1), 0.0)), 0.0)


def pair_energy(x):
    """A Stillinger-Weber-like pair term with a cut-off, and v**-6 on the diagonal."""
    apart = ~np.eye(len(x), dtype=bool)
    gap = x[:, None] - x[None]
    square = jnp.sum(gap**2, -1)
    r = jnp.sqrt(jnp.where(apart, square, 0.0))
    near = apart & (r < 1.6)
    return jnp.sum(jnp.where(near, (r**-4 - 1) * jnp.exp(1 / (r - 1.8)), 0.0)) / 2


def three_body(x):
    """Angles at every particle, those that do not exist masked."""
    apart = ~np.eye(len(x), dtype=bool)
    gap = x[:, None] - x[None]
    r = jnp.sqrt(jnp.where(apart, jnp.sum(gap**2, -1), 0.0))
    r = jnp.where(apart, r, 1.0)
    cosine = jnp.sum(gap[:, :, None] * gap[:, None], -1) / (r[:, :, None] * r[:, None])
    exists = apart[:, :, None] & apart[:, None] & ~np.eye(len(x), dtype=bool)
    return jnp.sum(jnp.where(exists, (cosine + 1 / 3) ** 2, 0.0))


def soft_minimum(x):
    return jnp.where(x > 1, jnp.log(x), jnp.where(x > 0, jnp.sqrt(x), x**3))


X = array(0.0, 1.0, 4.0)
FUNCTIONS = {
    "a root within two selections": (lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, x, 0.0)), 0.0), X),
    "a root in one selection": (lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0), X),
    "factors around": (
        lambda x: jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, 3 * x * x[1], 0.0)), 0.0) * x[2],
        X,
    ),
    "a masked inverse": (lambda x: jnp.where(x != 0, 1 / jnp.where(x != 0, x, 0.0), 0.0) * x, X),
    "a masked logarithm": (lambda x: jnp.where(x > 0, x * jnp.log(x), 0.0) @ W.T, X),
    "a masked power": (lambda x: jnp.sum(jnp.where(x > 0.5, (x * x[1]) ** -6, 0.0)) * x, X),
    "a softplus that overflows": (lambda x: jnp.where(x > 3, x, jnp.log1p(jnp.exp(900 * x))) * x[1], X),
    "a norm of nothing": (
        lambda x: jnp.where(jnp.sum(x[:1] ** 2) > 0, jnp.sqrt(jnp.sum(x[:1] ** 2)), 0.0) * x,
        X,
    ),
    "a root of what is all left out": (lambda x: jnp.sqrt(jnp.sum(jnp.where(x > 9, x, 0.0))) * x[1], X),
    "a root of a dead layer": (lambda x: jnp.sqrt(jnp.sum(jax.nn.relu(-W @ W.T @ W @ x * 0 - 1))), X),
    "distances": (lambda x: masked_distances(x.reshape(4, 3)[:, :2]), POINTS.reshape(-1)),
    "three cases": (lambda x: lax.select_n(jnp.array([0, 1, 2]), jnp.sqrt(x), x * x[2], 1 / x) * x[1], X),
    "nested cases": (lambda x: soft_minimum(x * x[1]) * x, X),
    "both cases of one operand": (lambda x: jnp.where(x > 0, jnp.sqrt(x), jnp.sin(x)) * x[2], X),
    "a predicate of a row": (
        lambda x: jnp.where((x > 0)[None], jnp.log(jnp.outer(x[1:], x)), 0.0) @ x,
        X,
    ),
    "a scalar predicate": (lambda x: jnp.where(x[0] > 0, jnp.log(x[0] * x), x).sum() * x, X),
    "clamp": (lambda x: jnp.sqrt(lax.clamp(0.5, x, 3.0) - 0.5 * (x[0] >= 0)) @ W.T, X),
    "relu of an infinite unit": (lambda x: W @ jax.nn.relu(jnp.log(x)) * x[1], X),
    "relu beside an infinite slope": (lambda x: W @ (jax.nn.relu(x) ** 0.5) * x[1], X),
    "a stencil of roots": (lambda x: jnp.diff(jnp.sqrt(x * x[1])) * x[1:], X),
    "a stencil and its mean": (lambda x: (y := jnp.sqrt(x)) - jnp.mean(jnp.roll(y, 1)[1:]), X),
    "concatenated roots": (lambda x: jnp.concatenate([jnp.sqrt(x), x * x[1]])[1:5].reshape(2, 2) @ x[:2], X),
    "a matrix of parts": (
        lambda x: (
            jnp.array([[x[1], jnp.sqrt(x[0])], [0.0, x[2]]]) @ jnp.array([[x[2], 0.0], [1 / x[0], x[1]]])
        ),
        X,
    ),
    "a sorted logarithm": (lambda x: jnp.sort(jnp.log(x))[1:] * x[1], X),
    "the largest two": (lambda x: lax.top_k(jnp.log(x), 2)[0] * x[1], X),
    "pooled": (
        lambda x: lax.reduce_window(jnp.log(x), -jnp.inf, lax.max, (2,), (1,), "VALID") * x[1],
        X,
    ),
    "a triangle of inverses": (lambda x: jnp.tril(1 / (x[:, None] - x[None]), -1) @ x, X),
    "complex": (lambda x: jnp.abs(jnp.where(x > 0, jnp.sqrt(x + 0j), 0.0) * (1 + 2j) + x[1]), X),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_not_taken_is_zero_in_every_order(name):
    fun, x = FUNCTIONS[name][0], jnp.asarray(FUNCTIONS[name][1])
    orders = (*NAMED, *explicit_orders(fun, x))
    assert_agree_at(x, expected(fun), *(jacve(fun, order=order) for order in orders))


@pytest.mark.parametrize(
    "name",
    [
        "a root within two selections",
        "a masked power",
        "nested cases",
        "relu of an infinite unit",
        "a stencil of roots",
        "the largest two",
    ],
)
def test_what_is_not_taken_is_zero_outside_compiled_programs_too(name):
    fun, x = FUNCTIONS[name][0], jnp.asarray(FUNCTIONS[name][1])
    wanted = jax.jit(expected(fun))(x)
    for order in ("forward", "reverse"):
        assert_agrees(jacve(fun, order=order)(x), wanted)


LOOPS = {
    "a selection in a loop": (
        lambda x: lax.fori_loop(0, 4, lambda _, c: jnp.where(c > 0, jnp.sqrt(c), c * x[1]), x),
        X,
    ),
    "two selections in a loop": (
        lambda x: lax.fori_loop(
            0, 3, lambda _, c: jnp.where(c > 0, jnp.sqrt(jnp.where(c > 0, c * x[2], 0.0)), 0.0) * x, x
        ),
        X,
    ),
    "a selection in a while loop": (
        lambda x: lax.while_loop(
            lambda c: c[0] < 3,
            lambda c: (c[0] + 1, jnp.where(c[1] > 0, jnp.log(c[1] + x[1]), c[1] * x)),
            (0, x),
        )[1],
        X,
    ),
    "lanes that end where the next step has an infinite derivative": (
        lambda x: jax.vmap(lambda a: lax.while_loop(lambda a: a > 1, lambda a: jnp.sqrt(a - 1), a))(x),
        np.array([1.0, 2.0, 27.0]),
    ),
    "a selection in a map": (lambda x: lax.map(lambda a: jnp.where(a > 0, jnp.log(a), 0.0), x) * x[1], X),
    "a selection in a scan of rows": (
        lambda x: lax.scan(
            lambda c, a: (jnp.where(a > 0, c / a, c), jnp.where(a > 0, jnp.sqrt(a), c)),
            x[::-1],
            jnp.outer(x, x),
        )[1],
        X,
    ),
    "a root of what an earlier step leaves out": (
        lambda x: lax.fori_loop(
            0, 3, lambda _, c: (jnp.where(c[0] > 1, c[0], 0.0), c[1] + jnp.sqrt(c[0])), (x, x)
        )[1],
        X,
    ),
    "roots of what loops keep apart": (lambda x: jnp.sqrt(lax.fori_loop(0, 3, lambda _, c: c * 2.0, x)), X),
    "a root of what a loop leaves out": (
        lambda x: jnp.sqrt(lax.fori_loop(0, 3, lambda _, c: jnp.where(c > 0, c, 0.0), x)),
        X,
    ),
    "branches of lanes": (
        lambda x: jax.vmap(lambda x: lax.cond(x > 0, jnp.log, lambda x: 0.0 * x, x))(x) * x[1],
        X,
    ),
    "a switch of lanes": (
        lambda x: jax.vmap(lambda i, x: lax.switch(i, [jnp.sqrt, jnp.log, lambda x: x**-2], x))(
            jnp.arange(3), x + np.array([0.0, -1.0, 0.0])
        ),
        X + np.array([1.0, 1.5, 0.0]),
    ),
    "branches in a loop": (
        lambda x: lax.scan(
            lambda c, a: (lax.cond(a > 0, lambda c: jnp.sqrt(c) * a, lambda c: c * a, c), c[0]), x, x
        )[0],
        X,
    ),
    "a root of a constant branch": (
        lambda x: jnp.sqrt(lax.cond(x[0] > 0, lambda x: x, lambda x: np.array([0.0, 1.0, 2.0]), x)),
        X,
    ),
    "a logarithm cut at a traced place": (
        lambda x: lax.dynamic_slice(jnp.log(x), (jnp.argmax(x) - 1,), (2,)) * x[1],
        X,
    ),
    "logarithms taken at traced places": (lambda x: (jnp.log(x)[jnp.argsort(x)[1:]] * x[1]) @ W[:2, :2], X),
    "a root overwritten at a traced place": (
        lambda x: jnp.sqrt(x).at[jnp.argmin(x)].set(x[1]) * x[2],
        X,
    ),
    "a root overwritten by a traced slice": (
        lambda x: lax.dynamic_update_slice(jnp.sqrt(x), x[1:2], (jnp.argmin(x),)) * x[2],
        X,
    ),
    "inverses added at traced places": (
        lambda x: jnp.zeros(4).at[jnp.argsort(x) + 1].add(1 / x, mode="drop")[2:] * x[1],
        X,
    ),
    "the largest out of bounds": (lambda x: x.at[7].max(2 * x[2], mode="clip"), X),
    "the smallest of several": (lambda x: x.at[jnp.array([0, 0, 2])].min(jnp.log(x)), X + 1),
}


@pytest.mark.parametrize("name", LOOPS)
def test_loops_branches_and_traced_places_select_too(name):
    fun, x = LOOPS[name][0], jnp.asarray(LOOPS[name][1])
    orders = ("forward", "reverse", *explicit_orders(fun, x, most=2))
    found = [jacve(fun, order=order) for order in orders]
    try:
        assert_agree_at(x, expected(fun), *found)
    except ValueError:  # a while loop has no reverse mode
        assert_agree_at(x, jax.jacfwd(fun), *found)


@pytest.mark.parametrize("name", ["factors around", "a stencil of roots", "relu of an infinite unit"])
def test_selections_select_under_jit_and_vmap_and_in_sparse_jacobians(name):
    fun, x = FUNCTIONS[name][0], jnp.asarray(FUNCTIONS[name][1])
    lanes = jnp.stack([x, x[::-1], x + 1])
    jacobians = [jacve(fun, order=order) for order in NAMED]
    wanted, *found = together(jax.vmap(expected(fun)), *map(jax.vmap, jacobians))(lanes)
    blocks = together(*(jacve(fun, order=order, sparse=True) for order in NAMED))(x)
    for dense, block in zip(found, blocks, strict=True):
        assert_agrees(dense, wanted)
        assert_agrees(block.todense(), wanted[0])


def second(fun):
    """What some pair of JAX's modes knows of a Hessian."""
    pairs = [outer(inner(fun)) for outer, inner in itertools.product((jax.jacfwd, jax.jacrev), repeat=2)]
    either = functools.partial(jax.tree.map, where_either_is_finite)
    return lambda *args: functools.reduce(either, [pair(*args) for pair in pairs])


@pytest.mark.parametrize("energy", [pair_energy, three_body, lambda x: jnp.sum(masked_distances(x) ** 3)])
def test_hessians_of_masked_energies_are_finite(energy):
    def flat(x):
        return energy(x.reshape(-1, 3))

    x = jnp.asarray(POINTS[: 4 if energy is pair_energy else 3].reshape(-1))
    orders = ("forward", "reverse") if energy is pair_energy else ("reverse",)
    hessians = [hessve(flat, order=order) for order in orders]
    hessians.append(jacve(jacve(flat, order="reverse"), order="forward"))
    wanted, *found = together(second(flat), *hessians)(x)
    assert jnp.isfinite(wanted).all()
    for hessian in found:
        assert_agrees(hessian, wanted)


def unpacked(x):
    """Slices that leave nothing out, of what need not be finite."""
    inverse = 1 / x
    return inverse[0] * inverse[1] + inverse[2:] @ inverse[2:]


def stepped(x):
    step = lambda c, a: (jnp.where(a > 0.1, c[::-1] / a, c), c[0] * a)  # noqa: E731
    return lax.scan(step, jnp.stack([x[0], 1 / x[1]]), x)


SELECTING = {
    "root": lambda x: jnp.sum(jnp.where(x > 0, jnp.sqrt(x), 0.0)),
    "power": lambda x: jnp.sum(jnp.where(x > 0, x**1.5 + jnp.power(x, x[0]), 0.0)),
    "quotient": lambda x: jnp.where(x != 0, jnp.sin(x) / x, 1.0) @ x,
    "one of several": lambda x: jnp.sqrt(jnp.abs(x))[0] ** 2,
    "some of several": lambda x: jnp.sum(jnp.log(x * x)[jnp.array([0, 3, 0])] ** 2),
    "overwritten": lambda x: jnp.prod((1 / x).at[2].set(x[0])),
    "clipped": lambda x: jnp.sum(jnp.clip(jnp.log(x), -1.0, 1.0) * x),
    "scan": lambda x: sum(map(jnp.sum, stepped(x))),
    "scan of a scan": lambda x: jnp.sum(lax.map(lambda a: jnp.sum(stepped(x * a)[0]), x[:2])),
    "several scalars": lambda x: {"a": jnp.where(x[2] > 0, 1 / x[2], x[0] ** 2), "b": jnp.sum(x**3)},
}


@pytest.mark.parametrize("name", SELECTING)
def test_hessians_are_finite_where_a_pair_of_modes_is(name):
    fun, x = SELECTING[name], jnp.array([0.5, -1.2, 0.0, 2.0])
    order = graphax.trace(graphax.gradient(fun))(x).eliminable
    hessians = [hessve(fun, order=named) for named in ("auto", order[::-1])]
    of_jax, *found = map(jax.tree.leaves, together(jax.hessian(fun), second(fun), *hessians)(x))
    assert not all(jnp.isfinite(leaf).all() for leaf in of_jax)
    wanted, *found = found
    for hessian in found:
        for one, leaf in zip(hessian, wanted, strict=True):
            assert_agrees(one, leaf)


def test_hessians_are_finite_where_what_is_left_out_is_auxiliary_data():
    def fun(x):
        inverse = 1 / x
        return jnp.sum(jnp.where(x > 0, inverse, 0.0)), (inverse, jnp.sum(inverse))

    x = jnp.array([0.5, 0.0, 2.0])
    found, aux = jax.jit(hessve(fun, has_aux=True))(x)
    assert_agrees(found, jnp.diag(jnp.where(x > 0, 2 / x**3, 0.0)))
    assert jnp.isinf(aux[0][1])


@pytest.mark.parametrize("fun", [lambda x: jnp.sum(jnp.where(x > 0, jnp.sin(x), x**2)), unpacked])
def test_gradients_of_what_spoils_no_zeros_are_those_of_jax(fun):
    x = jnp.asarray(X)
    ours, theirs = graphax.trace(graphax.gradient(fun))(x), graphax.trace(jax.grad(fun))(x)
    assert ours.fingerprint == theirs.fingerprint


def chain(x):
    return jnp.where(x > 0, jnp.sqrt(jnp.where(x > 0, 3 * x[2] * x, 0.0)), 0.0) * x[1]


def test_second_derivatives_of_selections_are_zero_where_nothing_is_taken():
    x = jnp.asarray(X)
    ways = (
        jacve(jacve(chain, order="reverse"), order="markowitz"),
        jax.jacfwd(jacve(chain, order="forward")),
        jax.jacrev(jacve(chain, order="reverse")),
    )
    assert_agree_at(x, second(chain), *ways)


def test_a_zero_that_moves_keeps_its_derivative():
    # Numbers that happen to be zero beside holes are no constants.
    def fun(x):
        squares = lax.fori_loop(0, 2, lambda _, c: jnp.concatenate([c[:1] * c[:1] / 2, c[1:] * c[0] / 3]), x)
        return squares * jnp.where(x > 1, x * squares[0], squares)

    x = jnp.asarray(X)
    ways = []
    for order in ("forward", "reverse"):
        first = jacve(fun, order=order)
        ways += [jacve(first, order=order), jax.jacrev(first)]
    assert_agree_at(x, jax.jacfwd(jax.jacfwd(fun)), *ways)


@pytest.mark.parametrize("size", [3, 12, 70])
def test_matrices_contracted_with_masked_vectors_select(size):
    # Below and above the sizes at which products are selected one by one.
    matrix = np.random.default_rng(0).normal(size=(size, size))

    def fun(x, inverse):
        dead = jnp.where(jnp.arange(size) > 0, matrix @ x, jnp.inf)
        masked = jnp.where(jnp.isfinite(dead), x * x[::-1], 0.0)
        return (inverse(x)[:, None] * matrix) @ (masked * inverse(masked + 1))

    for inverse in (jnp.log, lambda x: 1 / x):
        f = lambda x, inverse=inverse: fun(x, inverse)  # noqa: E731
        x = jnp.asarray(np.linspace(0.0, 1.0, size)[::-1])
        orders = ("forward", "reverse", "markowitz")
        assert_agree_at(x, expected(f), *(jacve(f, order=order) for order in orders))


def test_dense_layers_are_not_spoilt_by_units_that_are_left_out():
    rng = np.random.default_rng(1)
    first, last = rng.normal(size=(40, 20)), rng.normal(size=(6, 40))

    def fun(x):
        hidden = jnp.where(first @ x > 0, jnp.log(first @ x), 0.0)
        return last @ jnp.where(hidden > 0.5, 1 / (hidden - 0.5), hidden)

    x = jnp.asarray(rng.normal(size=20))
    orders = (*NAMED, *explicit_orders(fun, x, most=3))
    wanted, *found = together(jax.jacfwd(fun), *(jacve(fun, order=order) for order in orders))(x)
    assert jnp.isfinite(wanted).all()
    for jacobian in found:
        assert_agrees(jacobian, wanted)


def test_what_is_missing_in_the_data_is_left_out_of_a_loss():
    rng = np.random.default_rng(2)
    inputs, targets = rng.normal(size=(5, 3)), rng.normal(size=5)
    targets[2] = np.nan

    def loss(weights, inputs, targets):
        return jnp.mean(jnp.where(jnp.isnan(targets), 0.0, (inputs @ weights - targets) ** 2))

    modes = jax.jacfwd(loss), *(jacve(loss, order=order) for order in NAMED)
    wanted, *found = together(*modes)(jnp.ones(3), inputs, targets)
    for gradient in found:
        assert_agrees(gradient, wanted)


WITH_GAPS = array(1.0, np.nan, 4.0, np.inf, 3.0)
RANKS = np.arange(1.0, 6.0)
ORDERED = {
    "sorted": lambda x: jnp.sort(x) ** 3 * RANKS,
    "the largest": lambda x: lax.top_k(x, 4)[0] ** 3 * RANKS[:4],
    "scaled before and after": lambda x: (1 - 2 * jnp.sort(3 * x)) ** 2 * RANKS,
    "columns": lambda x: jnp.sort(jnp.stack([x, x[::-1]]), axis=0) ** 2 * RANKS,
    "carried along": lambda x: lax.sort_key_val(x[::-1], x**2)[1] * RANKS,
    "padded": lambda x: jnp.sort(jnp.append(x, -np.inf))[1:] ** 2 * RANKS,
    "what is there": lambda x: jnp.where(jnp.isfinite(y := jnp.sort(x)), y**3, 0.0) * RANKS,
}


@pytest.mark.parametrize("name", ORDERED)
def test_infinity_and_nan_in_an_order_spoil_their_own_entries_alone(name):
    def total(x):
        return jnp.sum(ORDERED[name](x))

    x = jnp.asarray(WITH_GAPS)
    lanes = jnp.stack([x, x[::-1]])
    orders = ("forward", "reverse", *explicit_orders(total, x, most=1))
    gradients = [jacve(total, order=order) for order in orders]
    wanted, *found = together(*map(jax.vmap, (expected(total), *gradients)))(lanes)
    for gradient in found:
        assert_agrees(gradient, wanted)
    assert_agrees(jacve(total, sparse=True)(x).todense(), wanted[0])
    assert_agree_at(x, expected(ORDERED[name]), jacve(ORDERED[name]))
    assert_agree_at(x, second(total), jacve(jacve(total, order="reverse"), order="reverse"))


def test_a_layer_under_vmap_stays_one_product_of_matrices():
    weights = np.random.default_rng(3).normal(size=(2, 16, 16))

    def fun(x, weights):
        return weights[1] @ jax.nn.relu(weights[0] @ x)

    jacobian = jax.vmap(jacve(fun, order="reverse"), (0, None))
    products = [
        equation.params["dimension_numbers"]
        for equation in jax.make_jaxpr(jacobian)(jnp.ones((4, 16)), weights).eqns
        if equation.primitive.name == "dot_general"
    ]
    assert products
    assert all(batch == ((), ()) for _, batch in products)


def test_the_derivative_of_a_product_with_a_selection_is_that_of_jax_where_both_are_not_finite():
    def fun(x):
        return jnp.where(x > -1, jnp.sqrt(x), 0.0) * x[1]

    found = jacve(fun, order="reverse")(jnp.asarray(X))
    assert jnp.isinf(found[0, 0])


def weighted(values):
    return jnp.sum(jnp.cos(1.0 + jnp.arange(values.size, dtype=float).reshape(values.shape)) * values)


Y = array(0.8, -0.7, 0.0, 0.9)
STEEP = {
    "a root": lambda x: jnp.where(x[2:] > 0.5, jnp.sqrt(x[2:]) * x[:2] * x[2:], 0.0),
    "a broken power": lambda x: jnp.where(x[2:] > 0.5, x[2:] ** 1.5 * x[:2], 0.0) * 0.4,
    "a variable power": lambda x: jnp.where(x[2:] > 0.5, jnp.power(x[2:], 0.7 * x[:2]), 0.0),
    "a power of what a loop returns": lambda x: jnp.where(
        x[2:] > 0.5,
        jnp.power(
            x[2:],
            lax.while_loop(lambda c: c[0] < 2, lambda c: (c[0] + 1, W[:2, :2] @ x[:2]), (0, x[:2]))[1],
        ),
        0.0,
    ),
    "a matrix of roots": lambda x: jnp.where(jnp.outer(x, x) > 0.3, jnp.outer(x, x) ** 1.5, x) @ x,
    "roots behind a matrix": lambda x: W.T @ jnp.where(x > 0.5, x**1.5 * x[::-1], 0.0),
    "roots in three places": lambda x: (
        jnp.concatenate([jnp.where(x > 0.5, x**1.5, x), jnp.where(x > 0.1, jnp.arccos(x) ** 1.5, 0.0)[::-1]])[
            2:7
        ].reshape(5, 1)
        * jnp.where(x < -0.1, jnp.abs(x) ** 1.2, 0.0)
    ),
}


@pytest.mark.parametrize("name", STEEP)
def test_what_is_left_out_may_have_infinite_derivatives(name):
    # Its value is finite, and so is every factor of its first derivative.
    def fun(x):
        return weighted(STEEP[name](x))

    pairs = itertools.product(("forward", "reverse"), repeat=2)
    ways = [jacve(jacve(fun, order=inner), order=outer) for inner, outer in pairs]
    wanted, *found = together(jax.jacfwd(jax.jacfwd(fun)), *ways)(jnp.asarray(Y))
    assert jnp.isfinite(wanted).all()
    for actual in found:
        assert_agrees(actual, wanted)


I = array(1, 9, 0)  # noqa: E741
A = np.linspace(0.2, 1.2, 9).reshape(3, 3)
FILLED = {
    "columns": lambda a, i: jnp.take(a, i, axis=1) ** 3,
    "rows": lambda a, i: jnp.sin(jnp.take(a, i, axis=0)),
    "infinities": lambda a, i: a.at[:, i].get(mode="fill", fill_value=np.inf) ** 2,
    "entries": lambda a, i: a.at[i, i[::-1]].get(mode="fill") ** 3,
    "zeros": lambda a, i: jnp.take(a, i, axis=0, fill_value=0.0) ** 1.5,
    "a layer behind": lambda a, i: W @ jnp.sin(jnp.take(a @ a, i, axis=1)),
    "units behind": lambda a, i: W @ jax.nn.relu(jnp.take(a, i, axis=1) ** 3)[1:].reshape(2, 3).T,
    "means of the others": lambda a, i: jnp.nanmean(jnp.take(a, i, axis=0) ** 3, axis=0),
    "along an axis": lambda a, i: (
        jnp.take_along_axis(a, jnp.stack([i, i, i[::-1]]), axis=1, mode="fill") ** 3
    ),
    "lanes": lambda a, i: jax.vmap(lambda a, i: jnp.take(a, i) ** 3)(a, jnp.stack([i, i, i[::-1]])),
    "complex": lambda a, i: jnp.abs(jnp.take(a * (1 + 2j), i, axis=1) ** 2),
}


@pytest.mark.parametrize("name", FILLED)
def test_what_a_gather_fills_in_depends_on_nothing(name):
    def fun(a, i):
        return FILLED[name](a, i)

    def scalar(a, i):
        return weighted(fun(a, i))

    @jax.jit
    def found(a, i):
        first = [jacve(fun, order=order)(a, i) for order in ("forward", "reverse")]
        pairs = (("forward", "reverse"), ("reverse", "forward"), ("reverse", "reverse"))
        return first, [jacve(jacve(scalar, order=inner), order=outer)(a, i) for inner, outer in pairs]

    @jax.jit
    def of_jax(a, i):
        modes = jax.jacfwd, jax.jacrev
        return expected(fun)(a, i), [outer(inner(scalar))(a, i) for outer in modes for inner in modes]

    of_first, of_second = of_jax(jnp.asarray(A), jnp.asarray(I))
    assert jnp.isfinite(of_first).all()
    wanted = of_second[0]
    for other in of_second[1:]:
        wanted = where_either_is_finite(wanted, other)
    first, second = found(jnp.asarray(A), jnp.asarray(I))
    for actual in first:
        assert_agrees(actual, of_first)
    for actual in second:
        assert_agrees(actual, wanted)


def test_matrices_are_finite_whatever_they_are_multiplied_by():
    weights = np.random.default_rng(4).normal(size=(2, 40, 40))

    def fun(x):
        return weights[1] @ jax.nn.relu(weights[0] @ jnp.log(x))

    for order in ("forward", "reverse"):
        jaxpr = jax.make_jaxpr(jacve(fun, order=order))(jnp.ones(40))
        # Two for the value, one for the Jacobian, none for what infinity would spoil.
        assert [equation.primitive.name for equation in jaxpr.eqns].count("dot_general") == 3


def test_holes_of_what_is_summed_and_turned_round_are_as_large_as_it_is():
    def fun(x):
        rows = jax.vmap(lambda a: a / (1.5 + x * x))(x)
        return jnp.flip(lax.map(lambda row: row, jnp.cumsum(rows, axis=0)), 1) ** 2

    x = jnp.asarray(X)
    orders = ("forward", "reverse", *explicit_orders(fun, x, most=2))
    assert_agree_at(x, expected(fun), *(jacve(fun, order=order) for order in orders))
