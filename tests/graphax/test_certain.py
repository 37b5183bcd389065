"""What is certain of a program's values holds for all arguments, and zeros by their making are structure."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import graphax
from graphax._certain import Certain
from graphax._certain_forms import ANY, LOWEST, ODD, ZERO
from graphax._known import KnownValues
from graphax._trace import inline

RNG = np.random.default_rng(0)
TRIANGLE = np.tril(np.ones((4, 4)))
NEAR = abs(np.arange(4)[:, None] - np.arange(4)) <= 1
FAR = np.where(NEAR, 0.0, -np.inf)
PLACES = np.arange(4)


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def certain(fun, *args):
    program = inline(jax.make_jaxpr(fun)(*args))
    found = Certain(program, KnownValues(program))(program.outputs[0])
    shape = program.outputs[0].aval.shape
    return np.full(shape, ANY) if found is None else found


@jax.custom_jvp
def rectified(x):
    return jnp.maximum(x, 0.0)


rectified.defjvp(lambda primals, tangents: (rectified(*primals), jnp.where(primals[0] > 0, tangents[0], 0.0)))

# Functions of a matrix of four rows, and of a vector.
PROGRAMS = {
    "mask": lambda w, x: w * TRIANGLE,
    "mask of a mask": lambda w, x: (w * NEAR) * w.T * TRIANGLE,
    "triangle": lambda w, x: jnp.tril(w),
    "strict triangle": lambda w, x: -jnp.triu(w, 1),
    "diagonal": lambda w, x: jnp.diag(x),
    "diagonals": lambda w, x: jnp.diag(x) + jnp.diag(x[1:], 1) - jnp.diag(x[1:], -1),
    "quotient": lambda w, x: jnp.tril(w) / (1 + x**2),
    "zero over zero": lambda w, x: jnp.tril(w) / jnp.tril(w),
    "zero times infinity": lambda w, x: jnp.tril(w) * np.where(TRIANGLE, 1.0, np.inf),
    "powers": lambda w, x: jnp.tril(w) ** 3 + jnp.square(jnp.tril(w)) + jnp.sqrt(jnp.tril(w**2)),
    "to the power of zero": lambda w, x: jnp.tril(w) ** 0,
    "sines": lambda w, x: jnp.sin(jnp.tril(w)) + jnp.tanh(jnp.tril(w)) + jnp.expm1(jnp.abs(jnp.tril(w))),
    "cosine": lambda w, x: jnp.cos(jnp.tril(w)),
    "scores": lambda w, x: jnp.exp(jnp.where(NEAR, w, -jnp.inf)),
    "added scores": lambda w, x: jnp.exp(w + FAR),
    "scores less their maximum": lambda w, x: jnp.exp(w + FAR - (w + FAR).max(1, keepdims=True)),
    "softmax": lambda w, x: jax.nn.softmax(jnp.where(NEAR, w, -jnp.inf)),
    "softmax of nothing": lambda w, x: jax.nn.softmax(jnp.where(PLACES[:, None] > 0, w, -jnp.inf)),
    "larger": lambda w, x: jnp.maximum(jnp.tril(w), jnp.tril(w.T)),
    "smaller": lambda w, x: jnp.minimum(w + FAR, w),
    "moved": lambda w, x: jnp.flip(jnp.tril(w).T[1:, ::2], 0).reshape(2, 3),
    "together": lambda w, x: jnp.block([[w[:2, :2], np.zeros((2, 2))], [np.zeros((2, 2)), w[2:, 2:]]]),
    "padded": lambda w, x: lax.pad(jnp.tril(w), 0.0, ((1, -1, 0), (0, 1, 1))),
    "padded by a number": lambda w, x: lax.pad(jnp.tril(w), 1.0, ((1, -1, 0), (0, 1, 1))),
    "stack": lambda w, x: jnp.stack([jnp.tril(w), jnp.triu(w)]),
    "halves": lambda w, x: jnp.split(jnp.tril(w), 2, axis=1)[1],
    "rows": lambda w, x: list(jnp.unstack(jnp.tril(w)))[1],
    "tiles": lambda w, x: jnp.tile(jnp.tril(w), (1, 2)),
    "totals": lambda w, x: jnp.triu(w, 2).sum(1),
    "running totals": lambda w, x: jnp.cumsum(jnp.triu(w, 1), 1),
    "from the end": lambda w, x: lax.cumsum(jnp.tril(w), 1, reverse=True),
    "product": lambda w, x: jnp.tril(w) @ jnp.tril(w.T),
    "product of bands": lambda w, x: (w * NEAR) @ jnp.diag(x),
    "batched products": lambda w, x: jnp.einsum(
        "bij,bjk->bik", jnp.stack([w, w.T]) * TRIANGLE, jnp.stack([w, w]) * TRIANGLE
    ),
    "product with anything": lambda w, x: jnp.triu(w, 2) @ w,
    "set": lambda w, x: jnp.zeros((4, 4)).at[PLACES, PLACES].set(x),
    "set and added": lambda w, x: jnp.zeros((4, 4)).at[PLACES, PLACES].set(x).at[PLACES[1:], 0].add(x[1:]),
    "set to zero": lambda w, x: w.at[PLACES, PLACES].set(0.0),
    "packed triangle": lambda w, x: (
        jnp.zeros((4, 4)).at[np.tril_indices(4)].set(jnp.concatenate([x, x, x[:2]]))
    ),
    "written over": lambda w, x: lax.dynamic_update_slice(jnp.tril(w), w[:2, :2], (0, 2)),
    "taken": lambda w, x: jnp.tril(w)[np.array([2, 0])],
    "factor": lambda w, x: jnp.linalg.cholesky(w @ w.T + np.eye(4)),
    "upper factor": lambda w, x: jnp.linalg.qr(w)[1],
    "inverse of a triangle": lambda w, x: jax.scipy.linalg.solve_triangular(
        jnp.tril(w), np.eye(4), lower=True
    ),
    "inverse from the right": lambda w, x: lax.linalg.triangular_solve(w, jnp.triu(w.T), transpose_a=True),
    "rule": lambda w, x: rectified(jnp.tril(w)),
    "known choice": lambda w, x: lax.select_n(np.tile(PLACES % 3, (4, 1)), w, jnp.tril(w), jnp.zeros((4, 4))),
    "unknown choice": lambda w, x: jnp.where(w > 0, jnp.tril(w), jnp.tril(w.T)),
    "other types": lambda w, x: (9 * jnp.tril(w)).astype(np.float32).astype(np.int32),
    "complex": lambda w, x: jnp.abs(lax.complex(jnp.tril(w), jnp.tril(w, 1)) * 1j),
    "nothing": lambda w, x: w @ x,
}
#: Of these less is known than holds.
LESS = ("unknown choice",)


@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_certain_holds_for_all_arguments_and_is_all_that_does(name):
    fun = PROGRAMS[name]
    rng = np.random.default_rng(0)
    args = [(jnp.asarray(rng.normal(size=(4, 4))), jnp.asarray(rng.normal(size=4))) for _ in range(20)]
    found = certain(fun, *args[0])
    values = np.stack([np.asarray(fun(*one)) for one in args])
    zero, lowest = (values == 0).all(0), np.isneginf(values).all(0)
    assert zero[found == ZERO].all() and lowest[found == LOWEST].all()
    assert not np.isfinite(values[:, found == ODD]).any()
    if name not in LESS:
        np.testing.assert_array_equal(found == ZERO, zero)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_what_is_certain_of_made_up_programs_holds(data):
    """Products, sums and moves of masked matrices, and of what they leave."""
    masks = [
        np.array(data.draw(st.lists(st.booleans(), min_size=9, max_size=9))).reshape(3, 3) for _ in range(2)
    ]
    steps = data.draw(st.lists(st.sampled_from("+*@/-TcesmPd"), min_size=1, max_size=6))

    made = {
        "+": lambda x, y: x + y,
        "-": lambda x, y: x - y,
        "*": lambda x, y: x * y,
        "@": lambda x, y: x @ y,
        "/": lambda x, y: x / (2 + jnp.cos(y)),
        "T": lambda x, y: x.T,
        "c": lambda x, y: jnp.cumsum(x, 0),
        "e": lambda x, y: jnp.exp(jnp.where(masks[0], y, -jnp.inf)),
        "s": lambda x, y: jax.nn.relu(x),
        "m": lambda x, y: jnp.maximum(x, y),
        "P": lambda x, y: jnp.pad(x[1:], ((0, 1), (0, 0))),
        "d": lambda x, y: jnp.diag(jnp.diagonal(x)),
    }

    def fun(w, v):
        x, y = w * masks[0], jnp.where(masks[1], v, 0.0)
        for step in steps:
            x, y = made[step](x, y), x
        return x

    rng = np.random.default_rng(1)
    found = certain(fun, jnp.ones((3, 3)), jnp.ones((3, 3)))
    for _ in range(3):
        value = np.asarray(fun(*(jnp.asarray(rng.normal(size=(3, 3))) for _ in range(2))))
        assert (value[found == ZERO] == 0).all()


def layer(n):
    """Functions of matrices with zeros by their making, whose Jacobians have no other zeros."""
    lower, near = np.tril(np.ones((n, n))), abs(np.arange(n)[:, None] - np.arange(n)) <= 1
    ring = (near | near[::-1, ::-1].T) / 3.0
    at = np.arange(n)
    return {
        "masked layer": (lambda x, w, b: jnp.tanh((w * lower) @ x + b), lower),
        "two masked layers": (lambda x, w, b: (w * lower) @ jnp.tanh((w.T * lower) @ x), lower),
        "neighbours": (lambda x, w, b: jnp.where(near, w, 0.0) @ jnp.sin(x), near),
        "graph": (lambda x, w, b: (ring * w) @ x, ring),
        "diagonal": (lambda x, w, b: jnp.diag(b) @ jnp.exp(x), np.eye(n)),
        "from the left": (lambda x, w, b: jnp.sin(x @ jnp.triu(w)), lower),
        "set": (lambda x, w, b: jnp.zeros((n, n)).at[at, at].set(b).at[at[1:], at[:-1]].set(b[1:]) @ x, None),
        "factor": (lambda x, w, b: jnp.linalg.cholesky(w @ w.T + np.eye(n)) @ x, lower),
        "branches": (
            lambda x, w, b: lax.cond(b[0] > 0, lambda x: jnp.tril(w) @ x, lambda x: lower @ x, x),
            lower,
        ),
        "attention": (
            lambda x, w, b: jax.nn.softmax(jnp.where(near, w, -jnp.inf)) @ x,
            near,
        ),
        "stack": (
            lambda x, w, b: jnp.einsum("bij,j->bi", jnp.stack([w, w.T]) * lower, x),
            np.stack([lower, lower]),
        ),
    }


@pytest.mark.parametrize("name", layer(4))
def test_zeros_by_making_are_structure_and_of_all_sizes(name):
    for n in (5, 70):
        fun, wanted = layer(n)[name]
        x, w, b = (jnp.asarray(RNG.normal(size=shape)) for shape in (n, (n, n), n))
        found = jax.jit(graphax.jacve(fun, sparse=True))(x, w, b)
        true = jax.jit(jax.jacfwd(fun))(x, w, b)
        np.testing.assert_allclose(found.todense(), true, rtol=1e-9, atol=1e-10)
        wanted = np.asarray(true) != 0 if wanted is None else wanted != 0
        np.testing.assert_array_equal(graphax.jacobian_structure(fun)(x, w, b).todense(), wanted)
        assert found.nnz == wanted.sum()


def test_a_dense_jacobian_is_computed_as_it_was():
    """Nothing is asked about zeros where nobody wants a structure."""

    def fun(x, w):
        return jnp.tanh((w * TRIANGLE) @ x)

    x, w = jnp.ones(4), jnp.ones((4, 4))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("graphax._certain.Certain.__call__", lambda *_: pytest.fail("it is asked"))
        np.testing.assert_allclose(graphax.jacve(fun)(x, w), jax.jacfwd(fun)(x, w), rtol=1e-12)


def test_nothing_is_certain_of_what_a_function_closes_over_while_it_is_traced():
    @jax.jit
    def derivative(x, w):
        return graphax.jacve(lambda x: (w * TRIANGLE) @ jnp.tanh(w @ x), sparse=True)(x)

    x, w = jnp.arange(4.0), jnp.asarray(RNG.normal(size=(4, 4)))
    wanted = jax.jacfwd(lambda x: (w * TRIANGLE) @ jnp.tanh(w @ x))(x)
    np.testing.assert_allclose(derivative(x, w).todense(), wanted, rtol=1e-12)


def test_values_of_a_hidden_infinity_stay_outside_of_the_pattern():
    """As those of a constant do: a zero of a mask is no entry, whatever it is multiplied by."""
    w = jnp.asarray([[1.0, jnp.inf], [2.0, 3.0]])
    found = graphax.jacve(lambda x, w: (w * np.tri(2)) @ x, sparse=True)(jnp.ones(2), w)
    np.testing.assert_array_equal(found.todense(), [[1, 0], [2, 3]])
    assert found.nnz == 3
