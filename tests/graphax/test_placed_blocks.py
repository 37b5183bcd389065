"""Operations on blocks with entries at places that are known at run time only, against their dense twins."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from graphax.sparse import Block, Pattern, eye

RNG = np.random.default_rng(1)
LINE, GRID = RNG.normal(size=6), RNG.normal(size=(2, 3))
INDEX, BEYOND = np.array([4, 0, 2, 2, 5, 1]), np.array([4, -9, 2, 2, 12, 1])

CASES = {
    "taken": (lambda x, i: jnp.sin(x)[i] * x, LINE, INDEX),
    "filled": (lambda x, i: jnp.sin(x).at[i].get(mode="fill", fill_value=0.0) * 2, LINE, BEYOND),
    "added": (lambda x, i: jnp.zeros(6).at[i].add(x**2, mode="drop") + x, LINE, BEYOND),
    "both": (lambda x, i: jnp.zeros(6).at[i].add(x[i[::-1]] ** 2), LINE, INDEX),
    "grid": (lambda m, i: (m**2)[i % 2, i[::-1] % 3].reshape(2, 3) * m, GRID, INDEX),
}
VECTOR, MATRIX, FULL = RNG.normal(size=6), RNG.normal(size=(6, 2)), RNG.normal(size=(6, 6))


def _array(block, array, rank=1):
    """An array of vectors with the shape of the block's sides instead."""
    return array.reshape(*(block.in_shape * rank), *array.shape[rank:])


#: On a block, and the same on its matrix.
OPERATIONS = {
    "with_another_type": (lambda b: b.astype(np.float32), lambda d: d),
    "columns": (lambda b: b @ _array(b, MATRIX), lambda d: d @ MATRIX),
    "rows": (lambda b: _array(b, VECTOR) @ b, lambda d: VECTOR @ d),
    "transpose": (lambda b: b.T, lambda d: d.T),
    "negative": (lambda b: -b, lambda d: -d),
    "multiple": (lambda b: 2.5 * b / 2, lambda d: 1.25 * d),
    "times_array": (lambda b: b * _array(b, FULL, 2), lambda d: d * FULL),
    "times_itself": (lambda b: b * b, lambda d: d * d),
    "twice": (lambda b: b + b, lambda d: 2 * d),
    "less_transpose": (lambda b: b - b.T, lambda d: d - d.T),
    "plus_array": (lambda b: b + _array(b, FULL, 2), lambda d: d + FULL),
    "absolute": (abs, abs),
    "squared": (lambda b: b @ b, lambda d: d @ d),
    "gram": (lambda b: b @ b.T, lambda d: d @ d.T),
    "normal": (lambda b: b.T @ b, lambda d: d.T @ d),
    "sum": (lambda b: b.sum(), lambda d: d.sum()),
    "norm": (lambda b: b.norm(), np.linalg.norm),
    "norm_of_columns": (lambda b: b.norm(1), lambda d: np.linalg.norm(d, 1)),
    "diagonal": (lambda b: b.diagonal(), np.diagonal),
    "trace": (lambda b: b.trace(), np.trace),
    "lower": (lambda b: b.tril(), np.tril),
    "upper": (lambda b: b.triu(1), lambda d: np.triu(d, 1)),
    "as_bcoo": (lambda b: b.to_bcoo().todense(), lambda d: d),
    "rebuilt": (lambda b: jax.tree.map(lambda leaf: leaf, b), lambda d: d),
    "solved": (
        lambda b: (b + 5 * eye(b.out_shape)).solve(_array(b, VECTOR)),
        lambda d: np.linalg.solve(d + 5 * np.eye(6), VECTOR),
    ),
}
PARTS = {
    "row": np.index_exp[1],
    "rows": np.index_exp[np.array([1, 1, 0])],
    "steps": np.index_exp[::2],
    "column": np.index_exp[..., 1],
    "last": np.index_exp[..., 1:],
}


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def dense(found):
    return found.todense() if isinstance(found, Block) else found


@pytest.fixture(params=CASES)
def case(request):
    """A function, its arguments, its block and its dense Jacobian."""
    fun, x, index = CASES[request.param]
    x, index = jnp.asarray(x), jnp.asarray(index)
    block = jax.jit(graphax.jacve(fun, sparse=True))(x, index)
    return fun, x, index, block, np.asarray(jax.jacrev(fun)(x, index))


def test_operations_mean_what_they_mean_on_matrices(case):
    fun, x, index, block, array = case
    matrix = array.reshape(6, 6)

    @jax.jit
    def traced(x, index):
        block = graphax.jacve(fun, sparse=True)(x, index)
        return {name: dense(of_block(block)) for name, (of_block, _) in OPERATIONS.items()}

    inside = traced(x, index)
    for name, (of_block, of_matrix) in OPERATIONS.items():
        want = of_matrix(matrix)
        tolerance = {"rtol": 1e-6} if name == "with_another_type" else {"atol": 1e-12}
        for found in (inside[name], dense(of_block(block))):
            np.testing.assert_allclose(np.reshape(found, want.shape), want, **tolerance, err_msg=name)


def test_parts_are_those_of_the_array(case):
    *_, block, array = case
    for name, items in PARTS.items():
        np.testing.assert_allclose(dense(block[items]), array[items], err_msg=name)
    np.testing.assert_allclose(block[(1,) * array.ndim], array[(1,) * array.ndim])
    np.testing.assert_allclose(block.sum(0), array.sum(0))
    np.testing.assert_allclose(block.sum(-1), array.sum(-1))


def test_entries_are_told_in_order_and_once(case):
    *_, block, array = case
    matrix = array.reshape(6, 6)
    rows, columns = block.pattern()
    assert (np.diff(rows * 6 + columns) > 0).all()
    np.testing.assert_allclose(matrix[rows, columns], block.data())
    assert block.nnz == np.count_nonzero(matrix) == Pattern.of(block).nnz
    for format in ("csr", "csc", "coo"):
        np.testing.assert_allclose(block.to_scipy(format).toarray(), matrix)
    np.testing.assert_allclose(block.to_bcsr().todense(), matrix)
    listed = block.to_bcoo()
    assert (listed.nse, listed.unique_indices, listed.indices_sorted) == (block.nnz, True, True)
    np.testing.assert_allclose(dense(block.with_data(2 * block.data())), 2 * array)
    assert f"nnz {block.nnz}" in repr(block)
    assert f"{block.nnz} nonzeros" in block.spy().text


@pytest.mark.parametrize("what", ["nnz", "pattern", "data", "csr", "csc", "to_bcsr"])
def test_while_tracing_it_is_not_told_where_entries_are(what):
    fun, x, index = CASES["taken"]

    def ask(x, index):
        found = getattr(graphax.jacve(fun, sparse=True)(x, index), what)
        return found() if callable(found) else found

    with pytest.raises(TypeError, match=r"indices that are traced.*todense.*sparse='static'"):
        jax.jit(ask)(x, index)


def test_in_another_trace_known_indices_are_known():
    fun, x, index = CASES["taken"]
    block = jax.jit(graphax.jacve(fun, sparse=True))(x, index)
    rows, columns = jax.jit(lambda data: block.with_data(data).pattern())(block.data())
    np.testing.assert_array_equal((rows, columns), block.pattern())


@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
def test_there_may_be_many(case, axes):
    fun, x, index, one, _ = case
    args = [
        jnp.stack([array, array[::-1], array]) if axis == 0 else array
        for array, axis in zip((x, index), axes, strict=True)
    ]
    blocks = jax.vmap(graphax.jacve(fun, sparse=True), axes)(*args)
    arrays = np.asarray(jax.vmap(jax.jacrev(fun), axes)(*args))
    vector = _array(one, VECTOR)
    assert blocks.shape == arrays.shape
    np.testing.assert_allclose(blocks.todense(), arrays)
    np.testing.assert_allclose(blocks.to_bcoo().todense(), arrays)
    np.testing.assert_allclose(blocks[1].todense(), arrays[1])
    np.testing.assert_allclose(abs(blocks).todense(), abs(arrays))
    products = np.stack([(array.reshape(6, 6) @ VECTOR).reshape(one.out_shape) for array in arrays])
    np.testing.assert_allclose(blocks @ vector, products, atol=1e-12)
    if axes[1] is None:
        assert blocks.data().shape == (3, blocks.nnz)
    else:
        with pytest.raises(ValueError, match=r"other places in every Jacobian.*batch \(3,\)"):
            blocks.pattern()


def test_what_is_made_of_blocks_is_differentiated(case):
    fun, x, index, one, _ = case
    vector = _array(one, VECTOR)

    def of_block(x):
        block = graphax.jacve(fun, sparse=True)(x, index)
        return jnp.sum((block @ vector) ** 2) + jnp.sum(block.to_bcoo().data ** 2)

    def of_array(x):
        matrix = jax.jacrev(fun)(x, index).reshape(6, 6)
        return jnp.sum((matrix @ VECTOR) ** 2) + jnp.sum(by_parts(x) ** 2)

    def by_parts(x):
        return graphax.jacve(fun, sparse=True)(x, index).to_bcoo().data

    np.testing.assert_allclose(jax.grad(of_block)(x), jax.grad(of_array)(x), atol=1e-10)
