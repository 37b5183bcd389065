"""Systems of linear equations whose matrix is a block."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import jax
import numpy as np

from ._arithmetic import applied
from ._banded import Band, narrow_band, rows_of_band, solve_band
from ._batches import over_batches
from ._cost import worth_a_band
from ._layout import layout_of
from ._reduction import Reductions
from ._structure import Structure


class Solutions(Reductions):
    """A matrix of which systems of equations are solved."""

    def solve(self, b: Any) -> jax.Array:
        """What the block has to be applied to, so that ``block @ x`` is ``b``.

        One entry in every row and column, tridiagonal, block-diagonal and triangular patterns are recognised,
        and narrow bands, in some order of the rows; others are solved as dense matrices. (For those that are
        large and sparse, :meth:`to_scipy` leads to ``scipy.sparse.linalg.splu``, and :meth:`csr` to
        ``jax.experimental.sparse.linalg.spsolve``.)

        Args:
            b: an array of shape ``out_shape + rest``: a vector, or the columns of a matrix, where the output
                is a vector. Batch dimensions, if there are any, lead.

        Returns:
            an array of shape ``in_shape + rest``; with infinities or NaN where the numbers are singular.

        Raises:
            ValueError: when the matrix is not square, has a row or column without entries, or the shape of
                ``b`` does not fit.
        """
        rows, columns = self.matrix_shape
        if rows != columns:
            raise ValueError(
                f"only square systems are solved, but these are {rows} rows and {columns} columns"
            )
        one = self.located()
        _plan_of(one.structure)
        return applied(_solved, one, jax.numpy.asarray(b), self.out_shape)


class _Plan(NamedTuple):
    """How a system is solved.

    Attributes:
        form: what has been recognised.
        block: the size of the blocks of a block-diagonal matrix.
        band: of a matrix with a narrow band.
    """

    form: str
    block: int = 1
    band: Band = Band(None, 0, 0)


@functools.lru_cache(maxsize=256)
def _plan_of(found: Structure) -> _Plan:
    layout, size = layout_of(found), math.prod(found.out_shape)
    rows, columns = layout.rows, layout.columns
    for name, places in (("row", rows), ("column", columns)):
        empty = np.flatnonzero(np.bincount(places, minlength=size) == 0)
        if len(empty):
            raise ValueError(f"the matrix is singular whatever its numbers are: {name} {empty[0]} is empty")
    if len(rows) == size:
        return _Plan("permuted")
    if (abs(rows - columns) <= 1).all():
        return _Plan("tridiagonal")
    band, block = narrow_band(rows, columns, size), _block_size(rows, columns, size)
    if worth_a_band(band.width, size) and band.width < block:
        return _Plan("banded", band=band)
    if block < size:
        return _Plan("blocks", block)
    if (columns <= rows).all():
        return _Plan("lower")
    return _Plan("upper" if (columns >= rows).all() else "dense")


def _block_size(rows: np.ndarray, columns: np.ndarray, size: int) -> int:
    """The size of equal blocks on the diagonal that hold all entries; that of the matrix where none do."""
    crossed = np.zeros(size + 1, np.intp)  # how many entries a cut before a position separates
    np.add.at(crossed, np.minimum(rows, columns) + 1, 1)
    np.add.at(crossed, np.maximum(rows, columns) + 1, -1)
    cut = np.cumsum(crossed) == 0
    sizes = (block for block in range(2, size) if size % block == 0 and cut[::block].all())
    return next(sizes, size)


@over_batches
def _solved(block: Any, b: jax.Array) -> jax.Array:
    dtype = jax.numpy.result_type(block.dtype, b, 1.0)
    block, rest = block.astype(dtype), b.shape[len(block.out_shape) :]
    size = block.matrix_shape[0]
    columns = b.astype(dtype).reshape(size, math.prod(rest))
    return _BY_FORM[_plan_of(block.structure).form](block, columns).reshape(*block.in_shape, *rest)


def _permuted(block: Any, b: jax.Array) -> jax.Array:
    _, columns = block.pattern()
    found = b / block.data()[:, None]
    return found if (np.diff(columns) == 1).all() else found[np.argsort(columns)]


def _tridiagonal(block: Any, b: jax.Array) -> jax.Array:
    rows, columns = block.pattern()
    data, size = block.data(), block.matrix_shape[0]
    bands = jax.numpy.zeros((3, size), data.dtype).at[columns - rows + 1, rows].set(data, unique_indices=True)
    return jax.lax.linalg.tridiagonal_solve(bands[0], bands[1], bands[2], b)


def _blockwise(block: Any, b: jax.Array) -> jax.Array:
    rows, columns = block.pattern()
    side, data = _plan_of(block.structure).block, block.data()
    count = block.matrix_shape[0] // side
    blocks = jax.numpy.zeros((count, side, side), data.dtype)
    blocks = blocks.at[rows // side, rows % side, columns % side].set(data, unique_indices=True)
    return jax.numpy.linalg.solve(blocks, b.reshape(count, side, -1)).reshape(b.shape)


def _banded(block: Any, b: jax.Array) -> jax.Array:
    rows, columns = block.pattern()
    band, data, size = _plan_of(block.structure).band, block.data(), block.matrix_shape[0]
    numbers = jax.lax.stop_gradient(data)

    def applied_to(x: jax.Array) -> jax.Array:
        return jax.numpy.zeros_like(x).at[rows].add(data[:, None] * x[columns])

    def solve(_: Any, b: jax.Array) -> jax.Array:
        return solve_band(rows_of_band(rows, columns, numbers, size, band), b, band)

    def solve_transposed(_: Any, b: jax.Array) -> jax.Array:
        transposed = Band(band.order, band.above, band.below)
        return solve_band(rows_of_band(columns, rows, numbers, size, transposed), b, transposed)

    return jax.lax.custom_linear_solve(applied_to, b, solve, solve_transposed)


def _matrix(block: Any) -> jax.Array:
    return block.dense(block.dtype).reshape(block.matrix_shape)


def _triangular(block: Any, b: jax.Array, lower: bool) -> jax.Array:
    return jax.scipy.linalg.solve_triangular(_matrix(block), b, lower=lower)


_BY_FORM = {
    "permuted": _permuted,
    "tridiagonal": _tridiagonal,
    "blocks": _blockwise,
    "banded": _banded,
    "lower": functools.partial(_triangular, lower=True),
    "upper": functools.partial(_triangular, lower=False),
    "dense": lambda block, b: jax.numpy.linalg.solve(_matrix(block), b),
}
