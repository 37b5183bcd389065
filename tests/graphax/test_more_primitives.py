"""Primitives in their less usual forms: applied functions, clipped indices, systems of several parts."""

from typing import Any

import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from oracle import assert_same_jacobian, together

import graphax
from graphax import hessve, jacve
from graphax.sparse import Digit, arranged_block, unit_block

X = np.array([0.7, -1.2, 2.1, 0.4])
M = np.linspace(-1.0, 1.0, 12).reshape(3, 4)
MASK = np.array([True, False, True, True])


def twice(x):
    return jnp.sin(jnp.sin(x))


# A function applied at some places, and the same said without it.
APPLIED = {
    "one": (lambda x, i: x.at[1].apply(jnp.sin), lambda x, i: x.at[1].set(jnp.sin(x[1]))),
    "all": (lambda x, i: x.at[:].apply(jnp.sin), lambda x, i: jnp.sin(x)),
    "slice": (lambda x, i: x.at[1:3].apply(jnp.exp), lambda x, i: x.at[1:3].set(jnp.exp(x[1:3]))),
    "stride": (lambda x, i: x.at[::2].apply(jnp.exp), lambda x, i: x.at[::2].set(jnp.exp(x[::2]))),
    "several": (
        lambda x, i: x.at[np.array([3, 0])].apply(jnp.tanh),
        lambda x, i: x.at[np.array([3, 0])].set(jnp.tanh(x[np.array([3, 0])])),
    ),
    "mask": (lambda x, i: x.at[MASK].apply(jnp.sin), lambda x, i: jnp.where(MASK, jnp.sin(x), x)),
    "traced": (lambda x, i: x.at[i[0]].apply(jnp.sin), lambda x, i: x.at[i[0]].set(jnp.sin(x[i[0]]))),
    "twice at one": (
        lambda x, i: x.at[np.array([1, 1, 2])].apply(jnp.sin),
        lambda x, i: x.at[1].set(twice(x[1])).at[2].set(jnp.sin(x[2])),
    ),
    "traced, twice at one": (
        lambda x, i: x.at[i].apply(jnp.sin),
        lambda x, i: x.at[2].set(twice(x[2])).at[0].set(jnp.sin(x[0])),
    ),
    "promised to differ": (
        lambda x, i: x.at[i[1:]].apply(jnp.sin, unique_indices=True),
        lambda x, i: x.at[i[1:]].set(jnp.sin(x[i[1:]])),
    ),
    "outside": (lambda x, i: x.at[i + 2].apply(jnp.sin), lambda x, i: x.at[2].set(jnp.sin(x[2]))),
    "clipped": (
        lambda x, i: x.at[7].apply(jnp.sin, mode="clip"),
        lambda x, i: x.at[3].set(jnp.sin(x[3])),
    ),
    "rows": (
        lambda x, i: jnp.outer(x, x).at[i[0]].apply(jnp.sin),
        lambda x, i: jnp.outer(x, x).at[i[0]].set(jnp.sin(x[i[0]] * x)),
    ),
    "in a batch": (
        lambda x, i: jax.vmap(lambda row, at: row.at[at].apply(jnp.sin))(jnp.stack([x, x * x, x]), i),
        lambda x, i: jax.vmap(lambda row, at: row.at[at].set(jnp.sin(row[at])))(jnp.stack([x, x * x, x]), i),
    ),
    "complex": (
        lambda x, i: jnp.abs((x + 1j * x[::-1]).at[1].apply(lambda z: jnp.exp(z) * jnp.conj(z))) ** 2,
        lambda x, i: (
            jnp.abs((x + 1j * x[::-1]).at[1].set(jnp.exp(x[1] + 1j * x[2]) * (x[1] - 1j * x[2]))) ** 2
        ),
    ),
}


@pytest.mark.parametrize("name", APPLIED)
def test_a_function_applied_at_some_places_is_differentiated_there(name):
    applied, said = APPLIED[name]
    index = np.array([2, 0, 2]) if name != "promised to differ" else np.array([3, 2, 0])
    index = jnp.array([0, 2, 9]) if name == "outside" else jnp.asarray(index)
    both = [graphax.value_and_jacve(applied, order=order) for order in ("forward", "reverse")]
    value, same, expected, *found = together(said, applied, jax.jacfwd(said), *both)(X, index)
    np.testing.assert_allclose(same, value)
    for result, jacobian in found:
        assert_same_jacobian(jacobian, expected)
        np.testing.assert_allclose(result, value)


@pytest.mark.parametrize("name", ("one", "twice at one", "traced", "in a batch"))
def test_a_function_applied_at_some_places_is_differentiated_twice(name):
    applied, said = APPLIED[name]
    index = jnp.array([2, 0, 2])
    ways = jacve(jacve(applied)), jax.jacfwd(jacve(applied)), jax.jacrev(jacve(applied))
    expected, *found = together(jax.hessian(said), *ways)(X, index)
    for hessian in found:
        assert_same_jacobian(hessian, expected)


def test_what_is_applied_need_not_be_finite_elsewhere():
    found = jacve(lambda x: x.at[0].apply(jnp.log))(jnp.array([2.0, 0.0, -1.0]))
    np.testing.assert_allclose(found, np.diag([0.5, 1.0, 1.0]))


@pytest.mark.parametrize("method", ("max", "min"))
@pytest.mark.parametrize("place", (5, -9, 1))
def test_clipped_indices_of_extrema_are_those_that_they_are_clipped_to(method, place):
    sign = 1.0 if method == "max" else -1.0
    inside = min(max(place, 0), 3)

    def fun(x, place, **options):
        return getattr(x.at[place], method)(sign * (9.0 + 2.0 * x[0] ** 2), **options)

    expected = jax.jacfwd(lambda x: fun(x, inside))(X)
    assert_same_jacobian(jacve(lambda x: fun(x, place, mode="clip"))(X), expected)
    assert_same_jacobian(jax.jit(jacve(lambda x, i: fun(x, i, mode="clip")))(X, place), expected)


def test_several_clipped_indices_of_extrema_are_those_that_they_are_clipped_to():
    fun = lambda x, i, **mode: x.at[i].max(9.0 + x**2, **mode)  # noqa: E731
    found = jax.jit(jacve(lambda x, i: fun(x, i, mode="clip")))(X, jnp.array([0, 2, -7, 8]))
    assert_same_jacobian(found, jax.jit(jax.jacfwd(fun))(X, jnp.array([0, 2, 0, 3])))


# Structures hold Python's integers ------------------------------------------------------------------

INDEXED = {
    "stride of a pad": lambda x: jnp.sum(jnp.pad(x, (1, 1))[::2] ** 2),
    "stick breaking": lambda x: jnp.sum(
        (jnp.cumprod(1.0 - jax.nn.sigmoid(x))[:-1] * jnp.pad(x, (2, 1))[1:-1:2][:3].sum()) ** 2
    ),
    "pads inside": lambda x: jnp.sum(lax.pad(x, 0.0, ((1, 2, 2),))[1::3] ** 3),
    "strides of strides": lambda x: jnp.sum(jnp.pad(x, (3, 3))[::2][::-1][1::2] ** 2),
    "triangle": lambda x: jnp.sum(jnp.zeros((4, 4)).at[np.tril_indices(4, -1)].set(jnp.tile(x, 2)[:6]) ** 2),
    "rolled": lambda x: jnp.sum((jnp.roll(x, 1) - jnp.pad(x, (1, 0))[:-1]) ** 2),
}


@pytest.mark.parametrize("name", INDEXED)
def test_hessians_through_strides_and_pads(name):
    fun = INDEXED[name]
    assert_same_jacobian(*together(hessve(fun), jax.hessian(fun))(X))


def test_structures_hold_pythons_integers_whatever_they_are_made_of():
    n: Any = np.int64
    blocks = [
        unit_block([[Digit(n(5), (0,), n(1), n(2))]], [[n(0)]], [n(2)]),
        arranged_block([[n(0)]], [[n(0)], [n(1)]], [n(2), n(3)], jnp.ones((2, 3)), [n(0), n(1)]),
    ]
    blocks.append(blocks[0] @ blocks[1])
    blocks.append(blocks[2] + blocks[2])
    for block in blocks:
        assert all(type(size) is int for size in block.shape)
        for term in block.structure.terms:
            numbers = list(term.sizes)
            for dim in (*term.out, *term.in_):
                numbers += [number for digit in dim for number in (digit.radix, digit.start, digit.step)]
            assert all(type(number) is int for number in numbers)


# Linear systems -------------------------------------------------------------------------------------


def in_two_parts(x):
    a = jnp.diag(2.0 + x**2) + 0.1
    return jax.scipy.sparse.linalg.cg(lambda t: (a @ t[0] + t[1], 3.0 * t[1] + t[0]), (x, x**2), tol=1e-13)[0]


def of_a_tree(x):
    def solve(matvec, b):
        return {"u": b["u"] / x[0], "v": b["v"] / x[1:3]}

    b = {"u": jnp.sin(x), "v": x[:2]}
    return lax.custom_linear_solve(
        lambda t: {"u": t["u"] * x[0], "v": t["v"] * x[1:3]}, b, solve, lambda _, b: solve(None, b)
    )


def with_more_to_tell(x):
    def solve(matvec, b):
        return b / x[0], 7

    return lax.custom_linear_solve(lambda t: t * x[0], jnp.cos(x), solve, solve, has_aux=True)[0]


@pytest.mark.parametrize("system", (in_two_parts, of_a_tree, with_more_to_tell))
def test_systems_with_several_right_hand_sides_and_results(system):
    assert_same_jacobian(jax.jit(jacve(system))(X), jax.jit(jax.jacrev(system))(X), rtol=1e-8)
    constant = lambda x: system(lax.stop_gradient(x) + 0.0 * x)  # noqa: E731
    assert_same_jacobian(jax.jit(jacve(constant))(X), jax.jit(jax.jacrev(constant))(X), rtol=1e-8)


@pytest.mark.parametrize("system", (of_a_tree, with_more_to_tell))
def test_hessians_of_systems_with_several_right_hand_sides_and_results(system):
    fun = lambda x: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(system(x)))  # noqa: E731
    assert_same_jacobian(jax.jit(hessve(fun))(X), jax.jit(jax.hessian(fun))(X))


def test_of_several_right_hand_sides_one_may_be_constant():
    def fun(x):
        b = (jnp.ones(4), jnp.sin(x))
        return lax.custom_linear_solve(
            lambda t: (2.0 * t[0] + t[1], 3.0 * t[1]),
            b,
            lambda _, b: ((b[0] - b[1] / 3.0) / 2.0, b[1] / 3.0),
            lambda _, b: (b[0] / 2.0, (b[1] - b[0] / 2.0) / 3.0),
        )

    third = np.diag(np.cos(X)) / 3.0
    assert_same_jacobian(jacve(fun)(X), (jnp.asarray(-third / 2.0), jnp.asarray(third)))


# Placement ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", (None, jnp.float32))
def test_an_array_put_on_a_device_is_differentiated(dtype):
    device = jax.devices()[0]
    fun = lambda x: jnp.sin(jnp.asarray(x * x, device=device, dtype=dtype))  # noqa: E731
    plain = lambda x: jnp.sin(jnp.asarray(x * x, dtype=dtype))  # noqa: E731
    assert_same_jacobian(jax.jit(jacve(fun))(X), jax.jit(jax.jacrev(plain))(X), rtol=1e-6)
    assert_same_jacobian(jax.jit(hessve(fun))(X), jax.jit(jax.hessian(plain))(X), rtol=1e-6)


# Equinox's own primitives ---------------------------------------------------------------------------


def looping(kind, test):
    options: dict[str, Any] = {"checkpoints": 3} if kind == "checkpointed" else {}

    def fun(x):
        return eqxi.while_loop(
            test, lambda s: (s[0] + 1, jnp.sin(s[1]) * x), (0, x), max_steps=6, kind=kind, **options
        )[1]

    return fun


def with_a_buffer(kind):
    options: dict[str, Any] = {"checkpoints": 2} if kind == "checkpointed" else {}

    def body(state):
        i, c, buffer = state
        return i + 1, jnp.sin(c), buffer.at[i].set(c)

    return lambda x: eqxi.while_loop(
        lambda s: s[0] < 3,
        body,
        (0, x[0], jnp.zeros(3)),
        max_steps=6,
        kind=kind,
        buffers=lambda s: s[2],
        **options,
    )[2]


@eqx.filter_custom_vjp
def doubled(x, y):
    return x * y


doubled.def_fwd(lambda perturbed, x, y: (x * y, y))
doubled.def_bwd(lambda y, g, perturbed, x, _: 2.0 * g * y)

FROM_EQUINOX = {
    "noinline": lambda x: eqxi.noinline(lambda a: jnp.sin(a) * a)(x),
    "nonbatchable": lambda x: eqxi.nonbatchable(lax.stop_gradient(x)) * x,
    "nondifferentiable": lambda x: eqxi.nondifferentiable(lax.stop_gradient(x)) * x,
    "unvmap_any": lambda x: jnp.where(eqxi.unvmap_any(x > 0), jnp.sin(x), x),
    "unvmap_all": lambda x: jax.vmap(lambda y: jnp.where(eqxi.unvmap_all(y > 0), jnp.sin(y), y))(x),
    "unvmap_max": lambda x: x**2 * eqxi.unvmap_max(jnp.array([1, 3])),
    "error_if": lambda x: jnp.sin(eqx.error_if(x, x[0] > 100, "too large")) ** 2,
    "filter_custom_vjp": lambda x: doubled(x, jnp.cos(lax.stop_gradient(x))),
    "while lax": looping("lax", lambda s: s[0] < 4),
    "while checkpointed": looping("checkpointed", lambda s: s[0] < 4),
    "while bounded": looping("bounded", lambda s: s[0] < 4),
    "buffer checkpointed": with_a_buffer("checkpointed"),
    "buffer bounded": with_a_buffer("bounded"),
    "lanes": lambda x: jax.vmap(looping("checkpointed", lambda s: s[0] < 3 + s[1]))(x),
}


@pytest.mark.parametrize("name", FROM_EQUINOX)
def test_what_equinox_adds_to_jax_is_differentiated_as_jax_does(name, recwarn):
    fun = FROM_EQUINOX[name]
    try:
        expected, found = together(jax.jacrev(fun), jacve(fun))(X)
    except ValueError:  # loops that JAX differentiates forward alone
        expected, found = together(jax.jacfwd(fun), jacve(fun))(X)
    assert_same_jacobian(found, expected)
    assert not [w for w in recwarn if issubclass(w.category, graphax.FallbackWarning)]


@pytest.mark.parametrize("wrapped", (eqxi.nontraceable, eqxi.nondifferentiable))
def test_what_equinox_forbids_to_differentiate_is_refused(wrapped):
    with pytest.raises((TypeError, RuntimeError, ValueError)):
        jacve(lambda x: wrapped(jnp.sin(x)) * x)(X)


def test_a_callback_is_not_called_while_tracing():
    called = []

    def callback(x):
        called.append(x)
        return x

    def fun(x):
        ones = jax.pure_callback(callback, jax.ShapeDtypeStruct((4,), x.dtype), np.ones(4))
        return jnp.where(ones > 0, jnp.sin(x), 0.0)

    jax.make_jaxpr(jacve(fun))(X)
    assert not called


@pytest.mark.parametrize(
    ("shape", "other"), [((1, 3), (2, 3)), ((2, 1), (2, 3)), ((1, 1), (2, 3)), ((1, 0), (0, 0))]
)
def test_complex_sums_repeat_operands_along_axes_of_size_one(shape, other):
    there = np.full(other, 2 - 1j)

    def fun(x):
        z = x * (1 + 2j)
        sums = lax.add(z, there), lax.sub(z, there), lax.sub(there, z), lax.add(z, z)
        return [part(y * y) for y in sums for part in (jnp.real, jnp.imag)]

    x = jnp.arange(1.0, 1 + np.prod(shape)).reshape(shape)
    orders = ("forward", "reverse", "auto")
    expected, *found = together(jax.jacfwd(fun), *(jacve(fun, order=order) for order in orders))(x)
    for jacobian in found:
        assert_same_jacobian(jacobian, expected)


def entrywise_primitive(name, fun, derivative):
    """A primitive with a jvp that no table knows, as releases of JAX bring them."""
    primitive = Primitive(name)
    primitive.def_impl(fun)
    primitive.def_abstract_eval(lambda *avals: avals[0])
    mlir.register_lowering(primitive, mlir.lower_fun(fun, multiple_results=False))
    ad.defjvp(primitive, *derivative)
    batching.defvectorized(primitive)
    return primitive.bind


falls = entrywise_primitive("falls", lambda x: 1 - x * x, [lambda t, x: t * (-2.0 * x)])
mixes = entrywise_primitive(
    "mixes", lambda x, y: x * jnp.sin(y), [lambda t, x, y: t * jnp.sin(y), lambda t, x, y: x * t * jnp.cos(y)]
)
hangs = entrywise_primitive("hangs", lambda x: jnp.sqrt(x), [lambda t, x: 0.5 * t / jnp.sqrt(x)])


@pytest.mark.parametrize(
    "fun",
    [
        falls,
        lambda x: mixes(x, jnp.cos(x)),
        lambda x: mixes(jnp.exp(x), x),
        hangs,
        lambda x: falls(hangs(x)) * x,
    ],
)
def test_a_new_entrywise_primitive_has_a_diagonal(fun):
    x = X**2
    found = jacve(fun, sparse=True)(x)
    assert found.nnz == x.size
    np.testing.assert_allclose(found.todense(), jax.jit(jax.jacfwd(fun))(x), rtol=1e-12)
    second = jax.jit(jax.vmap(hessve(lambda x: jnp.sum(fun(x)))))(jnp.stack([x, x + 1]))
    expected = jax.jit(jax.hessian(lambda x: jnp.sum(fun(x))))(x)
    np.testing.assert_allclose(second[0], expected, rtol=1e-12)


def test_the_derivatives_of_inverse_functions_are_diagonal():
    # Newer releases of JAX write them with primitives of their own.
    x = X / 4
    for fun in (jnp.tanh, jnp.arcsin, jnp.arccos, jnp.arctanh, lambda x: jnp.log2(x + 1)):
        found = jacve(jax.vmap(jax.grad(fun)), sparse=True)(x)
        assert found.nnz == x.size
        np.testing.assert_allclose(found.todense(), np.diag(jax.vmap(jax.grad(jax.grad(fun)))(x)), rtol=1e-9)
