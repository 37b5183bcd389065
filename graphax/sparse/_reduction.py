"""Sums and norms of blocks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Literal, SupportsIndex

import jax
import numpy as np

from ._batches import over_batches
from ._selection import Selections, with_units
from ._structure import Structure, label_dims, make_term, structure
from ._term import Kind


class Reductions(Selections):
    """A matrix whose entries are added up."""

    def sum(self, axis: SupportsIndex | Sequence[SupportsIndex] | None = None) -> jax.Array:
        """The sum of entries, an array.

        Args:
            axis: the dimensions of the dense array over which it goes; all of them if left out.

        Returns:
            an array with the dimensions that are left.

        Raises:
            ValueError: when there is no such dimension, or one is named twice.
        """
        axes = _checked_axes(axis, self.ndim)
        many = len(self.batch_shape)
        found = self._summed(tuple(at - many for at in axes if at >= many))
        batches = tuple(at for at in axes if at < many)
        return found.sum(batches) if batches else found

    @over_batches
    def _summed(self, axes: tuple[int, ...]) -> jax.Array:
        dtype, dims, found = self._require_dtype(), len(self.out_shape), self
        rows = tuple(at for at in axes if at < dims)
        columns = tuple(at - dims for at in axes if at >= dims)
        if rows:
            found = with_units(self, _summation(self.out_shape, rows)).compose(found)
        if columns:
            found = found.compose(with_units(self, _summation(self.in_shape, columns)).T)
        return found.dense(dtype)

    @over_batches
    def norm(self, ord: Literal["fro", 1] | float | None = None) -> jax.Array:
        """A norm of the matrix with a row for every output and a column for every input entry.

        Args:
            ord: ``"fro"``, the root of the sum of squares, also if left out; ``1``, the largest sum of the
                absolute values of a column; ``numpy.inf``, that of a row.

        Returns:
            a number.

        Raises:
            ValueError: for another one, which takes the dense array.
        """
        if ord in (None, "fro"):
            return jax.numpy.linalg.norm(self.located().data())
        if ord not in (1, np.inf):
            raise ValueError(
                f"ord must be 'fro', 1 or inf, got {ord!r}; jax.numpy.linalg.norm takes block.todense()"
            )
        dims = len(self.out_shape)
        axes = range(dims) if ord == 1 else range(dims, dims + len(self.in_shape))
        return abs(self).sum(tuple(axes)).max(initial=0)


def _checked_axes(axis: Any, dims: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(dims))
    given = [int(at) for at in ([axis] if isinstance(axis, SupportsIndex) else axis)]
    if any(not -dims <= at < dims for at in given) or len({at % dims for at in given}) < len(given):
        raise ValueError(f"axis must name some of {dims} dimensions, each once, got {axis!r}")
    return tuple(at % dims for at in given)


@functools.lru_cache(maxsize=256)
def _summation(shape: tuple[int, ...], axes: tuple[int, ...]) -> Structure:
    """The structure of what adds an array up over some dimensions."""
    dims, sizes = label_dims(shape)
    left = [dim for at, dim in enumerate(dims) if at not in axes]
    if 0 in sizes:
        return Structure(tuple(size for at, size in enumerate(shape) if at not in axes), shape, ())
    return structure(make_term(left, dims, sizes, Kind.UNIT))
