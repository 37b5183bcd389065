"""Sparse Jacobians of functions whose indices are traced, or that order entries: exactly what is taken."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import graphax

RNG = np.random.default_rng(0)
LINE, GRID, TABLE = RNG.normal(size=7), RNG.normal(size=(4, 5)), RNG.normal(size=(6, 3))
WEIGHTS = RNG.normal(size=(3, 7))
INDEX = np.array([5, 0, 2, 2])
STATIC = np.array([3, 1, 1, 6, 0, 2, 2])

#: From a differentiated array and indices; each stands for a way in which places meet what is around them.
TAKES = {
    "entries": (lambda x, i: x[i] ** 2, LINE),
    "entries_many_times": (lambda x, i: jnp.sin(x[i]) * x[i] + jnp.cos(x)[i], LINE),
    "entries_of_entries": (lambda x, i: jnp.sin(x[i])[i[::-1] % 4], LINE),
    "entries_of_what_is_dense": (lambda x, i: (WEIGHTS.T @ x[:3])[i], LINE),
    "what_is_dense_of_entries": (lambda x, i: WEIGHTS[:, :4] @ jnp.tanh(x[i]), LINE),
    "sum": (lambda x, i: jnp.sum(x[i] ** 3), LINE),
    "sum_of_many": (lambda x, i: jnp.sum(x[jnp.concatenate([i, i, i])] ** 3), LINE),
    "running_sum": (lambda x, i: jnp.cumsum(x[i]), LINE),
    "entries_of_static_entries": (lambda x, i: (x[STATIC] ** 2)[i], LINE),
    "entries_between": (lambda x, i: jnp.pad(x**2, (2, 3))[::2][i], LINE),
    "entries_with_gaps": (lambda x, i: lax.pad(x**2, 0.0, ((1, 1, 1),))[2 * i + 1], LINE),
    "entries_of_several": (lambda x, i: jnp.concatenate([x**2, x[:3] * 2])[2 * i], LINE),
    "back_and_forth": (lambda x, i: jnp.zeros(7).at[i].add(x[i] ** 2)[i] * x[:4], LINE),
    "rolled": (lambda x, i: jnp.roll(x**2, i[0]) * x, LINE),
    "part_of_reversed": (lambda x, i: lax.dynamic_slice(x[::-1] * 2, (i[3],), (4,)), LINE),
    "at_largest": (lambda x, i: x[jnp.argmax(x)] * x, LINE),
    "interpolated": (lambda x, i: jnp.interp(1.3 * i - 0.2, jnp.arange(7.0), x**2), LINE),
    "added": (lambda x, i: jnp.zeros(7).at[i].add(-x[:4]) * x, LINE),
    "set": (lambda x, i: jnp.sin(x).at[i].set(x[:4] ** 2), LINE),
    "segments": (lambda x, i: jax.ops.segment_sum(x[:4] ** 2, i, 6)[:5], LINE),
    "row": (lambda m, i: m[i[2]] * m[0], GRID),
    "single_entry": (lambda m, i: m[i[2], i[1]] * m, GRID),
    "pairs": (lambda m, i: (m**2)[i % 4, i[::-1] % 5], GRID),
    "pairs_of_product": (lambda m, i: (m.T @ m)[i % 4, i[::-1] % 5], GRID),
    "along_rows": (lambda m, i: jnp.take_along_axis(m**2, i[:, None] % 5, 1), GRID),
    "of_each_row": (lambda m, i: jax.nn.softmax(m)[jnp.arange(4), i % 5], GRID),
    "box": (lambda m, i: lax.dynamic_slice(jnp.sin(m), (i[0] - 3, i[2]), (2, 3)).T, GRID),
    "columns": (lambda m, i: lax.dynamic_slice(jnp.sin(m), (0, i[2]), (4, 3)), GRID),
    "updated_box": (lambda m, i: lax.dynamic_update_slice(jnp.sin(m), m[:2, :3] ** 2, (i[2], i[2])), GRID),
    "of_reshaped": (lambda m, i: jnp.sin(m).reshape(5, 4)[i % 5], GRID),
    "of_flat": (lambda m, i: m.reshape(-1)[2 * i] ** 2, GRID),
    "of_transposed": (lambda m, i: jnp.sin(m).T[i % 5], GRID),
    "of_diagonal": (lambda m, i: jnp.diagonal(m**2)[i % 4], GRID),
    "set_in_grid": (lambda m, i: jnp.zeros((7, 5)).at[i].set(m**2), GRID),
    "added_in_grid": (lambda m, i: jnp.zeros((5, 6)).at[i % 5, i].add(m[:, 0] ** 2), GRID),
    "image": (
        lambda m, i: jax.scipy.ndimage.map_coordinates(m**2, [0.3 * i + 0.1, 0.7 * i + 0.1], order=1),
        GRID,
    ),
    "under_vmap": (lambda m, i: jax.vmap(lambda row, at: row[at] * row)(m, i % 5), GRID),
    "set_under_vmap": (
        lambda m, i: jax.vmap(lambda row, at: jnp.zeros(6).at[at].set(row[0] * row[1]))(m, i),
        GRID,
    ),
    "layer_of_embedded": (lambda t, i: jnp.tanh(t[i] @ WEIGHTS[:, :4]), TABLE),
    "sum_of_embedded": (lambda t, i: jnp.sum(jnp.tanh(t[i] @ WEIGHTS[:, :4]), 0), TABLE),
    "branches": (lambda x, i: lax.cond(i[0] > 3, lambda: x[i] ** 2, lambda: x[:4]), LINE),
    "steps": (lambda x, i: lax.scan(lambda c, at: (c * x[at], c + x[at]), 1.0, i)[1], LINE),
}
ORDERS = {
    "differences": lambda x: jnp.diff(jnp.sort(x**2)),
    "sums": lambda x: jnp.cumsum(jnp.sort(x**2)),
    "ranks": lambda x: jnp.sort(x)[jnp.argsort(jnp.argsort(x))],
    "largest": lambda x: lax.top_k(x**2, 3)[0] ** 2,
    "median": lambda x: jnp.median(x**2),
    "selected": lambda x: jnp.where(x > 0, x, x[jnp.argsort(x)]),
    "rows": lambda x: jnp.sort(x.reshape(-1, 1) * WEIGHTS[0, :3], 1) * 2,
    "columns": lambda x: jnp.sort(jnp.outer(x, WEIGHTS[0, :3]), 0),
    "by_keys": lambda x: lax.sort((jnp.cos(x), x**2), num_keys=1)[1],
}
#: Where branches or steps share places, or factors happen to be zero.
LOOSE = {"branches", "steps", "sum_of_many", "entries_of_what_is_dense", "what_is_dense_of_entries"}
LOOSE |= {"back_and_forth", "added"}


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def blocks_of(fun, *args):
    """The block outside of `jit`, and what comes of it within: the dense array, and that of a BCOO."""

    def inside(*args):
        block = graphax.jacve(fun, sparse=True)(*args)
        return block, block.todense(), block.T.todense(), block.to_bcoo().todense()

    return jax.jit(inside)(*map(jnp.asarray, args))


def assert_is_jacobian(fun, *args):
    """Compare all forms with JAX; the block, and JAX's array."""
    block, dense, turned, listed = blocks_of(fun, *args)
    want = np.asarray(jax.jacrev(fun)(*map(jnp.asarray, args)))
    matrix = want.reshape(block.matrix_shape)
    for found in (dense, listed, block.todense(), block.located().todense(), block.written_out().todense()):
        np.testing.assert_allclose(found, want, atol=1e-12)
    np.testing.assert_allclose(np.reshape(turned, matrix.T.shape), matrix.T, atol=1e-12)
    np.testing.assert_allclose(block.to_scipy().toarray(), matrix, atol=1e-12)
    return block, matrix


@pytest.mark.parametrize("name", TAKES)
def test_what_indices_take_is_all_that_is_held(name):
    fun, x = TAKES[name]
    block, matrix = assert_is_jacobian(fun, x, INDEX)
    if name not in LOOSE:
        assert block.nnz == np.count_nonzero(matrix)


@pytest.mark.parametrize("name", ORDERS)
def test_what_stands_where_in_an_order_is_all_that_is_held(name):
    block, matrix = assert_is_jacobian(ORDERS[name], LINE)
    assert block.nnz == np.count_nonzero(matrix)


def test_outside_of_jit_it_is_the_same():
    fun, x = TAKES["entries_many_times"]
    block = graphax.jacve(fun, sparse=True)(x, INDEX)
    np.testing.assert_allclose(block.todense(), jax.jacrev(fun)(x, INDEX))
    assert (block.nnz, block.numbers) == (4, 4)


MODES = {
    "fill": lambda x, i: x.at[i].get(mode="fill", fill_value=0.0) ** 2,
    "nan": lambda x, i: jnp.exp(x).at[i].get(mode="fill") * x[:4],
    "clip": lambda x, i: x.at[i].get(mode="clip") ** 2,
    "add": lambda x, i: jnp.sin(x).at[i].add(x[:4] ** 2, mode="drop"),
    "add_clipped": lambda x, i: jnp.sin(x).at[i].add(x[:4] ** 2, mode="clip"),
    "set": lambda x, i: x.at[i].set(x[:4] ** 2, mode="drop"),
    "set_clipped": lambda x, i: x.at[i].set(x[:4] ** 2, mode="clip"),
    "maximum": lambda x, i: x.at[i].max(x[:4] ** 2, mode="drop"),
    "multiply": lambda x, i: x.at[i[:1]].multiply(x[:1], mode="drop", unique_indices=True),
    "slice": lambda x, i: lax.dynamic_slice(x**2, (i[0],), (4,)),
    "update": lambda x, i: lax.dynamic_update_slice(x**2, x[:4], (i[0],)),
}


@functools.cache
def both_ways(name):
    """The dense Jacobian by blocks and by JAX, and rows times the block."""
    fun = MODES[name]

    def ours(x, i, rows):
        block = graphax.jacve(fun, sparse=True)(x, i)
        return block.todense(), rows @ block, block

    def by_jax(x, i, rows):
        want = jax.jacrev(fun)(x, i)
        return want, rows @ want

    return jax.jit(ours), jax.jit(by_jax)


@pytest.mark.parametrize("name", MODES)
@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-12, 12), min_size=4, max_size=4))
def test_whatever_the_indices_are(name, index):
    with jax.enable_x64(True):
        ours, by_jax = both_ways(name)
        found = MODES[name](jnp.asarray(LINE), jnp.asarray(index))
        args = jnp.asarray(LINE), jnp.asarray(index), jnp.ones(found.shape)
        dense, rows, block = ours(*args)
        want, wanted_rows = by_jax(*args)
        np.testing.assert_allclose(dense, want, atol=1e-12)
        np.testing.assert_allclose(rows, wanted_rows, atol=1e-12)
        np.testing.assert_allclose(block.to_scipy().toarray(), want, atol=1e-12)


@pytest.mark.parametrize("kind", ["sort", "gather"])
def test_what_is_not_taken_may_be_anything(kind):
    x = jnp.array([2.0, -jnp.inf, 1.0, jnp.inf, 0.5])
    fun = (
        (lambda x: 2 * jnp.sort(x)[1:4]) if kind == "sort" else (lambda x: jnp.sqrt(x)[jnp.array([0, 2]) + 0])
    )
    block = jax.jit(graphax.jacve(fun, sparse=True))(x)
    assert np.isfinite(block.data()).all()
    np.testing.assert_allclose(
        block.todense().sum(1), jnp.ones(3) * 2 if kind == "sort" else [0.25**0.5 / 2**0.5, 0.5]
    )


def test_hessians_of_what_indices_take():
    def loss(table, tokens):
        return jnp.sum(jnp.tanh(table[tokens] @ WEIGHTS[:, :2]) ** 2)

    block = jax.jit(graphax.hessve(loss, sparse=True))(jnp.asarray(TABLE), jnp.asarray([5, 0, 2]))
    np.testing.assert_allclose(block.todense(), jax.hessian(loss)(TABLE, np.array([5, 0, 2])), atol=1e-12)
    assert block.nnz == 27


def test_equal_indices_are_one_however_often_they_are_made():
    def fun(x, i):
        return x[i - 1] * jnp.sin(x)[i - 1] + jnp.tan(x)[i - 1]

    block = jax.jit(graphax.jacve(fun, sparse=True))(jnp.asarray(LINE), INDEX)
    assert (len(block.placed), block.numbers) == (1, 4)


def test_static_blocks_hold_all_that_may_be_taken_and_know_where_that_is():
    fun, x = TAKES["entries"]

    def inside(x, i):
        block = graphax.jacve(fun, sparse="static")(x, i)
        indptr, columns, data = block.csr()
        assert (len(indptr), len(columns)) == (5, 28)
        return block, data

    block, _ = jax.jit(inside)(jnp.asarray(x), INDEX)
    with pytest.warns(graphax.DenseWarning):
        pattern = graphax.jacobian_structure(fun)(jnp.asarray(x), jnp.asarray(INDEX))
    assert block.nnz == 28 == pattern.nnz
    np.testing.assert_allclose(block.todense(), jax.jacrev(fun)(x, INDEX))


@pytest.mark.parametrize("of", [graphax.jacve, graphax.value_and_jacve, graphax.hessve])
def test_another_word_for_sparse_is_refused(of):
    with pytest.raises(ValueError, match="sparse must be True, False or 'static', got 'exact'"):
        of(jnp.sort, sparse="exact")
