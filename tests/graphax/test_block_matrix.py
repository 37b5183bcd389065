"""Blocks as matrices: every operation against the same one on the dense array."""

import math
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_blocks import Draw, by_definition

import graphax
from graphax.sparse import Block, arranged_block, diag, digit_table, eye, eye_like
from graphax.sparse._solve import _plan_of

SEEDS = st.integers(0, 10**6)


def flat(block, dense):
    return np.reshape(dense, (math.prod(block.out_shape), math.prod(block.in_shape)))


def drawn(seed):
    """Two blocks of one shape, one that they can be applied to, and arrays of their sides' shapes."""
    draw = Draw(seed)
    out_shape, in_shape = draw.shapes(2)
    blocks = [
        draw.block(*shapes).astype("float64")
        for shapes in ((out_shape, in_shape), (out_shape, in_shape), (in_shape, out_shape))
    ]
    arrays = [draw.rng.integers(1, 5, shape).astype(float) for shape in (out_shape, in_shape)]
    return blocks, arrays, draw.rng


def of_matrices(J, K, L, out, in_, number, array=jnp.asarray):
    """Operations that are written alike for blocks and for arrays."""
    return {
        "sum": J + K,
        "difference": J - K,
        "with an array": J + array(np.ones(J.shape)),
        "from an array": np.ones(J.shape) - J,
        "with a number": J + 1.5,
        "negative": -J,
        "absolute": abs(J - K),
        "scaled": J * 3,
        "scaled by a traced number": number * J,
        "halved": J / 2,
        "divided": J / array(in_),
        "by columns": J * array(in_),
        "by an array of NumPy": in_ * J,
        "entrywise": J * K,
        "entrywise by all": J * array(np.arange(1.0, 1 + math.prod(J.shape)).reshape(J.shape)),
        "rows": J[_rows(J.shape)],
        "all of it": J[...],
        "added up": J.sum(),
        "added up along the first": J.sum(0) if J.ndim else J.sum(),
        "added up along the last": (J + K).sum(-1) if J.ndim else J.sum(),
    }


def _rows(shape):
    """A slice of every dimension, some of them backwards."""
    return tuple(slice(None, None, -1) if at % 2 else slice(size // 3, None) for at, size in enumerate(shape))


def of_sides(J, K, L, out, in_, number):
    """Operations that take blocks for matrices with a row for every output and a column for every input."""
    found = {
        "applied": J @ in_,
        "applied to two": J @ jnp.stack([in_, 2 * in_], -1),
        "pulled back": out @ J,
        "chained": J @ L,
        "transposed": (J + K).T,
        "shifted": J @ L + number * eye(J.out_shape),
        "trace": (J @ L).trace(),
    }
    found |= {f"lower {k}": J.tril(k) for k in (-1, 0, 2)}
    found |= {f"upper {k}": (J - K).triu(k) for k in (-2, 0, 1)}
    return found | {f"norm {ord}": (J - K).norm(ord) for ord in ("fro", 1, np.inf)}


def of_dense_sides(shapes, np, J, K, L, out, in_, number):
    out_shape, in_shape = shapes
    rows, columns = math.prod(out_shape), math.prod(in_shape)
    chained = np.tensordot(J, L, len(in_shape))
    one, other = J.reshape(rows, columns), (J - K).reshape(rows, columns)
    found = {
        "applied": np.tensordot(J, in_, len(in_shape)),
        "applied to two": np.tensordot(J, np.stack([in_, 2 * in_], -1), len(in_shape)),
        "pulled back": np.tensordot(out, J, len(out_shape)),
        "chained": chained,
        "transposed": (J + K).reshape(rows, columns).T.reshape(in_shape + out_shape),
        "shifted": chained + number * np.eye(rows).reshape(out_shape + out_shape),
        "trace": np.trace(chained.reshape(rows, rows)),
    }
    found |= {f"lower {k}": np.tril(one, k).reshape(J.shape) for k in (-1, 0, 2)}
    found |= {f"upper {k}": np.triu(other, k).reshape(J.shape) for k in (-2, 0, 1)}
    return found | {f"norm {ord}": np.linalg.norm(other, ord) for ord in ("fro", 1, np.inf)}


def densified(part):
    return part.todense() if isinstance(part, Block) else part


def written_out(found):
    return {name: densified(value) for name, value in found.items()}


@jax.jit
def of_blocks(*operands):
    return written_out(of_matrices(*operands)), written_out(of_sides(*operands))


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.shape(found[name]) == np.shape(value), name
        np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


def check_operations(seed):
    (J, K, L), (out, in_), _ = drawn(seed)
    alike, sides = of_blocks(J, K, L, out, in_, 0.5)
    dense = [by_definition(block) for block in (J, K, L)]
    assert_same(alike, of_matrices(*dense, out, in_, 0.5, np.asarray))
    assert_same(sides, of_dense_sides((J.out_shape, J.in_shape), np, *dense, out, in_, 0.5))


def stacked(block):
    return jax.tree.map(lambda array: jnp.stack([array, -2 * array, array + 1]), block)


def each_by_definition(block):
    if not block.batch_shape:
        return [by_definition(block)] * 3
    return [by_definition(jax.tree.map(lambda array, at=at: array[at], block)) for at in range(3)]


def check_batches(seed):
    """Three blocks at once; for operations on matrices one is the same for all."""
    blocks, (out, in_), _ = drawn(seed)
    shapes = blocks[0].out_shape, blocks[0].in_shape
    many = [stacked(block) for block in blocks]
    alike, _ = of_blocks(*many, out, in_, 0.5)
    dense = [np.stack(each_by_definition(block)) for block in many]
    assert_same(alike, of_matrices(*dense, out, in_, 0.5, np.asarray))
    many[seed % 3] = blocks[seed % 3]
    _, sides = of_blocks(*many, out, in_, 0.5)
    dense = zip(*map(each_by_definition, many), strict=True)
    each = [of_dense_sides(shapes, np, *one, out, in_, 0.5) for one in dense]
    expected = {name: np.stack([one[name] for one in each]) for name in sides}
    assert_same(
        {name: np.broadcast_to(found, expected[name].shape) for name, found in sides.items()}, expected
    )


def check_formats(seed):
    (J, K, _), _, _ = drawn(seed)
    block = J + K if seed % 2 else J
    dense = by_definition(block)
    matrix = flat(block, dense)
    np.testing.assert_array_equal(np.asarray(block), dense)
    rows, columns = block.pattern()
    keys = rows * matrix.shape[1] + columns
    assert (np.diff(keys) > 0).all() and len(keys) == block.nnz
    outside = np.ones(matrix.shape, bool)
    outside[rows, columns] = False
    assert not matrix[outside].any()
    for name in ("csr", "csc", "coo"):
        found = block.to_scipy(name)
        assert found.format == name and found.nnz == block.nnz
        np.testing.assert_array_equal(found.toarray(), matrix)
    indptr, indices, data = block.csc()
    by_columns = block.to_scipy("csc")
    np.testing.assert_array_equal(by_columns.indptr, indptr)
    np.testing.assert_array_equal(by_columns.indices, indices)
    np.testing.assert_array_equal(by_columns.data, data)
    bcoo, bcsr = block.to_bcoo(), block.to_bcsr()
    assert bcoo.indices_sorted and bcoo.unique_indices and bcoo.nse == block.nnz
    np.testing.assert_array_equal(bcoo.todense(), dense)
    np.testing.assert_array_equal(bcsr.todense(), matrix)


def check_indices(seed):
    (J, K, _), _, rng = drawn(seed)
    block = J + K
    dense = by_definition(block)
    indices = [random_index(rng, block.shape) for _ in range(4)]
    parts = jax.jit(lambda block: written_out({str(index): block[index] for index in indices}))(block)
    assert_same(parts, {str(index): dense[index] for index in indices})


def random_index(rng, shape):
    """Integers and slices everywhere, or an index array in the place of one of them on one side."""
    items = []
    for size in shape:
        if rng.random() < 0.3:
            items.append(int(rng.integers(-size, size)))
        else:
            start, stop = (int(end) for end in rng.integers(-size - 1, size + 2, 2))
            items.append(slice(start, stop, int(rng.choice([-2, -1, 1, 2]))))
    if shape and rng.random() < 0.5:
        at = int(rng.integers(len(shape)))
        items = [slice(None) if isinstance(item, int) else item for item in items]
        items[at] = rng.integers(-shape[at], shape[at], 3)
    return tuple(items[: int(rng.integers(len(items) + 1))] if rng.random() < 0.3 else items)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(SEEDS)
def test_operations_are_those_of_the_dense_array(seed):
    check_operations(seed)


@pytest.mark.slow
@settings(max_examples=12, deadline=None, derandomize=True)
@given(SEEDS)
def test_formats_of_other_packages_hold_the_same_entries_in_order(seed):
    check_formats(seed)


@settings(max_examples=8, deadline=None, derandomize=True)
@given(SEEDS)
def test_indices_mean_what_they_mean_for_arrays(seed):
    check_indices(seed)
    check_batches(seed)


@settings(max_examples=5, deadline=None, derandomize=True)
@given(SEEDS)
def test_operations_on_many_blocks_at_once_are_those_on_each(seed):
    check_batches(seed)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_all_of_this_100_times(seed):
    check_operations(seed)
    check_batches(seed)
    check_formats(seed)
    check_indices(seed)


def stencil(u):
    return 0.1 * (jnp.roll(u, -1) - 2 * u) - u * (jnp.roll(u, -1) - jnp.roll(u, 1))


def planar(u):
    return jnp.sin(u) * jnp.roll(u, 1, 0) + u[:, ::-1]


EDGES = np.array([[0, 1, 2, 3, 0, 2], [1, 2, 3, 4, 2, 5]])


def power_flow(angle):
    flow = jnp.sin(angle[EDGES[0]] - angle[EDGES[1]])
    return jnp.zeros(6).at[EDGES[0]].add(flow).at[EDGES[1]].add(-flow)


FUNCTIONS = {"planar": (planar, (2, 3)), "power flow": (power_flow, (6,))}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_operations_are_differentiated_and_mapped(name):
    fun, shape = FUNCTIONS[name]
    us = jnp.asarray(np.random.default_rng(3).uniform(0.5, 1.5, (2, *shape)))
    shift = jnp.asarray(np.random.default_rng(4).uniform(0.5, 1.5, (*shape, *shape)))

    def by_blocks(u):
        J = graphax.jacve(fun, sparse=True)(u)
        K = J * shift
        found = of_matrices(J, K, J.T, u, 2 * u, u.sum()) | of_sides(J, K, J.T, u, 2 * u, u.sum())
        found["solved"] = (J @ J.T + eye_like(J)).solve(u)
        return sum(jnp.cos(value).sum() for value in written_out(found).values())

    def by_arrays(u):
        J = jax.jacrev(fun)(u)
        K, rows = J * shift, u.size
        transposed = J.reshape(rows, rows).T.reshape(J.shape)
        found = of_matrices(J, K, transposed, u, 2 * u, u.sum())
        found |= of_dense_sides((shape, shape), jnp, J, K, transposed, u, 2 * u, u.sum())
        matrix = J.reshape(rows, rows)
        found["solved"] = jnp.linalg.solve(matrix @ matrix.T + jnp.eye(rows), u.reshape(-1))
        return sum(jnp.cos(value).sum() for value in found.values())

    def mapped(loss):
        return jax.vmap(jax.value_and_grad(loss))

    found, expected = jax.jit(lambda us: (mapped(by_blocks)(us), mapped(by_arrays)(us)))(us)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-11)
    np.testing.assert_allclose(found[1], expected[1], rtol=1e-9, atol=1e-11)


def table(size, indices):
    return digit_table(size, [0], np.asarray(indices))


def listed(out_shape, in_shape, dense):
    """The block that lists what is not zero in a matrix."""
    rows, columns = np.nonzero(dense)
    out, in_ = (
        [[table(size, index)] for size, index in zip(shape, np.unravel_index(flat, shape), strict=True)]
        for shape, flat in ((out_shape, rows), (in_shape, columns))
    )
    return arranged_block(out, in_, [len(rows)], jnp.asarray(dense[rows, columns]), [0]).astype(dense.dtype)


def systems():
    rng = np.random.default_rng(0)
    full = rng.uniform(1, 2, (6, 6)) + 6 * np.eye(6)
    near = abs(np.subtract.outer(np.arange(6), np.arange(6)))
    yield "diagonal", np.diag(np.arange(1.0, 7)), "permuted"
    yield "permutation", np.diag(np.arange(1.0, 7))[rng.permutation(6)], "permuted"
    yield "tridiagonal", np.where(near <= 1, full, 0), "tridiagonal"
    yield "block-diagonal", full * np.kron(np.eye(2), np.ones((3, 3))), "blocks"
    yield "lower", np.tril(full), "lower"
    yield "upper", np.triu(full), "upper"
    yield "banded", np.where(near <= 2, full, 0), "dense"


@pytest.mark.parametrize("name, matrix, form", list(systems()))
def test_systems_are_solved_by_their_form(name, matrix, form):
    block = listed((2, 3), (3, 2), matrix)
    assert _plan_of(block.structure).form == form
    many = jax.tree.map(lambda array: jnp.stack([array, 2 * array]), block)
    b = np.random.default_rng(1).uniform(-1, 1, (2, 3, 4))

    @jax.jit
    def solved(block, many, b):
        loss = lambda block, b: jnp.sin(block.solve(b)).sum()  # noqa: E731
        gradients = jax.grad(loss, (0, 1))(block, b)
        return block.solve(b), block.solve(b[..., 0]), many.solve(b), gradients

    columns, vector, twice, (of_block, of_b) = solved(block, many, b)
    expected = np.linalg.solve(matrix, b.reshape(6, 4)).reshape(3, 2, 4)
    np.testing.assert_allclose(columns, expected, rtol=1e-11)
    np.testing.assert_allclose(vector, expected[..., 0], rtol=1e-11)
    np.testing.assert_allclose(twice, [expected, expected / 2], rtol=1e-11)
    pulled = np.linalg.solve(matrix.T, np.cos(expected).reshape(6, 4))
    np.testing.assert_allclose(of_b.reshape(6, 4), pulled, rtol=1e-9)
    wanted = np.where(matrix, -pulled @ expected.reshape(6, 4).T, 0)
    np.testing.assert_allclose(of_block.todense().reshape(6, 6), wanted, rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("offsets", [(-2, 0, 1), (-1, 0, 1, 2)])
@pytest.mark.parametrize("wraps", [False, True])
def test_narrow_bands_are_found_in_some_order_and_solved_along(offsets, wraps):
    rng = np.random.default_rng(5)
    size, matrix = 96, np.zeros((96, 96))
    for offset in offsets:
        rows = np.arange(size)
        columns = (rows + offset) % size
        there = wraps | (abs(rows - columns) < size // 2)
        matrix[rows[there], columns[there]] = rng.uniform(-1, 1, there.sum())
    order = rng.permutation(size) if wraps else np.arange(size)
    matrix = matrix[order][:, order]
    block = listed((size,), (size,), matrix)
    assert _plan_of(block.structure).form == "banded"
    b = jnp.asarray(rng.uniform(-1, 1, (2, size)))

    def loss(solve, matrix, b):
        return jnp.sin(solve(matrix, b)).sum()

    @jax.jit
    def both(block, dense, b):
        mapped = jax.vmap(jax.value_and_grad(loss, (1, 2)), (None, None, 0))
        return mapped(Block.solve, block, b), mapped(jnp.linalg.solve, dense, b)

    (value, (of_block, of_b)), (dense_value, (of_dense, of_dense_b)) = both(block, jnp.asarray(matrix), b)
    np.testing.assert_allclose(value, dense_value, rtol=1e-9)
    scale = abs(of_dense).max()
    np.testing.assert_allclose(of_block.todense() / scale, np.where(matrix, of_dense, 0) / scale, atol=1e-9)
    np.testing.assert_allclose(of_b, of_dense_b, rtol=1e-7, atol=1e-9 * abs(of_dense_b).max())


def test_identities_and_diagonals_hold_no_zeros():
    for shape, k in (((4, 4), 0), ((3, 5), 1), ((5, 3), -2), ((2, 2), 7), ((1, 1), 0), ((0, 3), 0)):
        found = eye(*shape, k=k)
        assert found.structure.numbers == 0 and found.dtype == jnp.zeros(()).dtype
        np.testing.assert_array_equal(found.todense(), np.eye(*shape, k=k))
    u = jnp.arange(1.0, 7).reshape(2, 3)
    np.testing.assert_array_equal(diag(u).todense().reshape(6, 6), np.diag(np.arange(1.0, 7)))
    np.testing.assert_array_equal(eye_like(diag(u)).todense(), eye((2, 3)).todense())
    jacobian = graphax.jacve(stencil, sparse=True)(jnp.arange(1.0, 101))
    normal = jacobian.T @ jacobian + 0.1 * eye(100)
    assert isinstance(normal, Block) and normal.nnz == 500
    dense = np.asarray(jacobian)
    np.testing.assert_allclose(normal.todense(), dense.T @ dense + 0.1 * np.eye(100), rtol=1e-12, atol=1e-9)


def test_what_vmap_makes_of_blocks_without_numbers_knows_how_many_there_are():
    us = jnp.ones((3, 4))
    found = jax.vmap(graphax.jacve(lambda u: 2 * u + jnp.roll(u, 1), sparse=True))(us)
    one = 2 * np.eye(4) + np.roll(np.eye(4), 1, 0)
    assert found.shape == (3, 4, 4) and found.structure.numbers == 0
    np.testing.assert_array_equal(found.todense(), np.stack([one] * 3))
    np.testing.assert_array_equal(jax.vmap(lambda block, u: block @ u)(found, us), us @ one.T)
    np.testing.assert_array_equal(found[1].todense(), one)
    nothing = jax.vmap(graphax.jacve(lambda u: jnp.ones(2), sparse=True))(us)
    assert nothing.shape == (3, 2, 4) and not nothing.todense().any()
    twice = jax.vmap(jax.vmap(graphax.jacve(stencil, sparse=True)))(jnp.ones((2, 3, 6)))
    assert twice.shape == (2, 3, 6, 6)
    np.testing.assert_array_equal((twice @ jnp.ones(6)).shape, (2, 3, 6))
    np.testing.assert_array_equal((twice.T @ twice[0, 0]).shape, (2, 3, 6, 6))


def test_index_arrays_are_those_of_the_structure_and_kept():
    jacobian = jax.jit(graphax.jacve(stencil, sparse=True))
    first, second = jacobian(jnp.arange(6.0)), jacobian(jnp.zeros(6))
    places = lambda block: (*block.csr()[:2], *block.csc()[:2])  # noqa: E731
    for one, other in zip(places(first), places(second), strict=True):
        assert one is other and not one.flags.writeable
    assert second.to_scipy().nnz == first.to_scipy().nnz == first.nnz == 18  # zeros are entries
    changed = first.to_scipy()
    changed.data[:] = 0
    changed.eliminate_zeros()
    assert first.to_scipy().nnz == 18


def test_large_blocks_print_in_a_line_and_are_looked_at_in_few():
    u = jnp.ones(100_000)
    block = graphax.jacve(stencil, sparse=True)(u)
    assert len(repr(block)) < 400
    assert repr(block).startswith("Block((100000,) <- (100000,), float64, nnz 300000, density 3e-05: ")
    picture = block.spy()
    lines = str(picture).splitlines()
    assert len(lines) == 33 and lines[-1] == "100000 x 100000, 300000 nonzeros"
    assert picture.svg == picture._repr_svg_() and picture.svg.count("<rect") < 1000
    assert str(diag(jnp.arange(3.0)).spy()).splitlines()[:3] == ["█··", "·█·", "··█"]


def test_pictures_are_saved(tmp_path):
    picture = eye(3).spy()
    picture.save(tmp_path / "eye.svg")
    picture.save(tmp_path / "eye.txt")
    assert (tmp_path / "eye.svg").read_text().startswith("<svg")
    assert (tmp_path / "eye.txt").read_text().startswith("█")
    with pytest.raises(ValueError, match=r"\.svg"):
        picture.save(tmp_path / "eye.png")


def test_what_makes_no_sense_is_refused_in_words():
    block = graphax.jacve(lambda u: u[1:] * u[:-1], sparse=True)(jnp.arange(1.0, 5))
    other = eye(4)
    for wrong in (lambda: block + other, lambda: block * other):
        with pytest.raises(ValueError, match="entry by entry"):
            wrong()
    with pytest.raises(ValueError, match="cannot be multiplied by one with outputs"):
        block @ block
    with pytest.raises(ValueError, match="outputs of shape"):
        jnp.ones(4) @ block
    many = jax.vmap(lambda u: diag(u))(jnp.ones((2, 4)))
    for wrong in (lambda: many * jnp.ones((3, 4, 4)), lambda: many + jax.vmap(diag)(jnp.ones((3, 4)))):
        with pytest.raises(ValueError, match="do not match"):
            wrong()
    with pytest.raises(ValueError, match="3 entries"):
        diag(jnp.ones(3)).with_data(jnp.ones(4))
    with pytest.raises(ValueError, match="broadcast"):
        block * jnp.ones((4, 3))
    with pytest.raises(TypeError, match="divided"):
        other / other
    for nothing in (None, "two", {}, object()):
        for operation in (operator.add, operator.sub, operator.mul, operator.truediv, operator.matmul):
            with pytest.raises(TypeError):
                operation(other, nothing)
    with pytest.raises(IndexError, match="out of range"):
        block[3]
    with pytest.raises(IndexError, match="indices"):
        block[0, 0, 0]
    for index in (None, 1.5, "row"):
        with pytest.raises(TypeError, match="indexed by"):
            block[index]
    with pytest.raises(TypeError, match="one_hot"):
        jax.jit(lambda at: block[at])(1)
    with pytest.raises(ValueError, match="axis"):
        block.sum(2)
    with pytest.raises(ValueError, match="ord"):
        block.norm(2)
    with pytest.raises(ValueError, match="format"):
        block.to_scipy("dok")
    with pytest.raises(ValueError, match="square"):
        block.solve(jnp.ones(3))
    with pytest.raises(ValueError, match="row 3 is empty"):
        eye(4, k=1).solve(jnp.ones(4))
    with pytest.raises(TypeError, match="todense"):
        jax.jit(lambda u: jnp.asarray(graphax.jacve(stencil, sparse=True)(u)))(jnp.ones(4))
    with pytest.raises(ValueError, match="batch"):
        jax.vmap(graphax.jacve(stencil, sparse=True))(jnp.ones((2, 4))).to_scipy()
    with pytest.raises(ValueError, match="out_axes=0"):
        jax.vmap(graphax.jacve(stencil, sparse=True), out_axes=-1)(jnp.ones((2, 4))).todense()
    with pytest.raises(ValueError, match="square"):
        eye_like(block)


def test_blocks_of_empty_arrays_are_matrices_too():
    for fun, shape in (
        (jnp.sin, (0,)),
        (jnp.sin, (2, 0)),
        (lambda u: jnp.append(u, 1.0), (0,)),
        (lambda u: u[:0], (2,)),
    ):
        u = jnp.ones(shape)
        block, dense = graphax.jacve(fun, sparse=True)(u), np.asarray(jax.jacrev(fun)(u))
        for operation in (
            lambda J: J + J,
            lambda J: J * 2,
            lambda J: J * np.ones(J.shape),
            abs,
            lambda J: J.sum(),
            lambda J: J.sum(0),
            lambda J: J[:0],
        ):
            np.testing.assert_array_equal(np.asarray(operation(block)), operation(dense))
        assert block.to_scipy("csc").shape == block.matrix_shape and block.norm(1) == block.norm() == 0
        assert (block @ u).shape == fun(u).shape and (fun(u) @ block).shape == u.shape
        assert str(block.spy()).endswith("0 nonzeros") and block.to_bcoo().nse == 0


def test_pairs_of_index_arrays_and_masks_pick_entries():
    block = graphax.jacve(stencil, sparse=True)(jnp.arange(1.0, 7))
    dense, rows, columns = np.asarray(block), np.array([[0, 1], [5, -6]]), np.array([1, 3])
    mask = dense > 1
    indices = [
        (rows, columns),
        mask,
        (3, columns),
        (rows, 2),
        mask[0],
        (slice(None), mask[1]),
        ([], 0),
        (-1, 5),
    ]
    found = jax.jit(lambda block: [jnp.asarray(densified(block[index])) for index in indices])(block)
    for array, index in zip(found, indices, strict=True):
        np.testing.assert_array_equal(array, dense[index])
    many = jax.vmap(graphax.jacve(stencil, sparse=True))(jnp.ones((3, 6)))
    np.testing.assert_array_equal(np.asarray(many[1:, ..., 2]), np.asarray(many)[1:, ..., 2])
    np.testing.assert_array_equal(many[2, rows, columns], np.asarray(many)[2][rows, columns])
    with pytest.raises(ValueError, match="one after the other"):
        eye((2, 3))[[0, 1], :, [0, 1]]


def test_many_blocks_are_exported_at_once():
    us = jnp.arange(1.0, 13).reshape(2, 6)
    many, dense = (jax.vmap(of(stencil))(us) for of in (lambda f: graphax.jacve(f, sparse=True), jax.jacrev))
    indptr, indices, data = many.csc()
    assert data.shape == (2, 18) and indptr.shape == (7,) and indices.shape == (18,)
    np.testing.assert_array_equal(data[1], many[1].to_scipy("csc").data)
    np.testing.assert_allclose(many.to_bcoo().todense(), dense, atol=1e-14)
    np.testing.assert_allclose(many.to_bcsr().todense(), dense, atol=1e-14)
    np.testing.assert_allclose(jax.vmap(lambda block: block.to_bcoo().todense())(many), dense, atol=1e-14)
    np.testing.assert_allclose(many.with_data(many.data()).todense(), dense, atol=1e-14)
