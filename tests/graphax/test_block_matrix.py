"""Blocks as matrices: every operation against the same one on the dense array."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_blocks import Draw, by_definition

from graphax.sparse import Block, eye

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


def of_blocks(J, K, L, out, in_, number):
    found = of_matrices(J, K, L, out, in_, number)
    found["applied"] = J @ in_
    found["applied to two"] = J @ jnp.stack([in_, 2 * in_], -1)
    found["pulled back"] = out @ J
    found["chained"] = J @ L
    found["transposed"] = (J + K).T
    found |= {f"lower {k}": J.tril(k) for k in (-1, 0, 2)}
    found |= {f"upper {k}": (J - K).triu(k) for k in (-2, 0, 1)}
    found |= {f"norm {ord}": (J - K).norm(ord) for ord in ("fro", 1, np.inf)}
    found["shifted"] = J @ L + number * eye(J.out_shape)
    found["trace"] = (J @ L).trace()
    return {name: value.todense() if isinstance(value, Block) else value for name, value in found.items()}


def of_arrays(J, K, L, out, in_, number, shapes):
    out_shape, in_shape = shapes
    rows, columns = math.prod(out_shape), math.prod(in_shape)
    found = of_matrices(J, K, L, out, in_, number, np.asarray)
    found["applied"] = np.tensordot(J, in_, len(in_shape))
    found["applied to two"] = np.tensordot(J, np.stack([in_, 2 * in_], -1), len(in_shape))
    found["pulled back"] = np.tensordot(out, J, len(out_shape))
    found["chained"] = chained = np.tensordot(J, L, len(in_shape))
    one, other = J.reshape(rows, columns), (J - K).reshape(rows, columns)
    found["transposed"] = (J + K).reshape(rows, columns).T.reshape(in_shape + out_shape)
    found |= {f"lower {k}": np.tril(one, k).reshape(J.shape) for k in (-1, 0, 2)}
    found |= {f"upper {k}": np.triu(other, k).reshape(J.shape) for k in (-2, 0, 1)}
    found |= {f"norm {ord}": np.linalg.norm(other, ord) for ord in ("fro", 1, np.inf)}
    found["shifted"] = chained + number * np.eye(rows).reshape(out_shape + out_shape)
    found["trace"] = np.trace(chained.reshape(rows, rows))
    return found


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.shape(found[name]) == np.shape(value), name
        np.testing.assert_allclose(found[name], value, rtol=1e-12, atol=1e-12, err_msg=name)


def check_operations(seed):
    (J, K, L), (out, in_), _ = drawn(seed)
    found = jax.jit(of_blocks)(J, K, L, out, in_, 0.5)
    dense = map(by_definition, (J, K, L))
    assert_same(found, of_arrays(*dense, out, in_, 0.5, (J.out_shape, J.in_shape)))


def check_formats(seed):
    (J, K, _), _, _ = drawn(seed)
    for block in (J, J + K):
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
    for _ in range(3):
        index = random_index(rng, block.shape, len(block.out_shape))
        np.testing.assert_array_equal(np.asarray(block[index]), dense[index], err_msg=str(index))


def random_index(rng, shape, rows):
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


@settings(max_examples=12, deadline=None, derandomize=True)
@given(SEEDS)
def test_formats_of_other_packages_hold_the_same_entries_in_order(seed):
    check_formats(seed)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(SEEDS)
def test_indices_mean_what_they_mean_for_arrays(seed):
    check_indices(seed)


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(SEEDS)
def test_all_of_this_100_times(seed):
    check_operations(seed)
    check_formats(seed)
    check_indices(seed)
