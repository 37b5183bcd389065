"""Where the entries of a structure stand, in the orders that other packages want them in."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from ._scaled import Scaled
from ._steps import reshape
from ._structure import Structure, Values, make_term, structure
from ._sum_of_terms import SumOfTerms
from ._term import Kind, digit_table

Places = Any  # a slice or an array of positions


class Compressed(NamedTuple):
    """The places of entries, row by row, or column by column.

    Attributes:
        indptr: where the entries of every row begin; the number of all in the end.
        indices: the column of every entry, ascending in every row.
        order: for every entry its place in row-major order; None where that is this order.
    """

    indptr: np.ndarray
    indices: np.ndarray
    order: np.ndarray | None


class Layout:
    """The places of a structure's entries, each once, in row-major order; arrays are found when asked for.

    Attributes:
        rows, columns: row-major positions in the output and in the input.
        order: for every entry the place among those of all terms that it is taken from; None where they are
            in order already, or several stand at one place.
        merge: for every place among those of all terms the entry that it is added to, where several stand at
            one place; else None.
    """

    def __init__(self, of: Structure) -> None:
        self._shapes = of.out_shape, of.in_shape
        self._matrix_shape = math.prod(of.out_shape), math.prod(of.in_shape)
        self._counts = [math.prod(term.sizes) for term in of.terms]
        rows, columns = SumOfTerms(of, ()).places()
        keys = rows * self._matrix_shape[1] + columns
        self.order = self.merge = None
        if (keys[1:] <= keys[:-1]).any():
            order = np.argsort(keys, kind="stable")  # linear where there are a few ascending runs
            keys = keys[order]
            new = np.ones(len(keys), bool)
            np.not_equal(keys[1:], keys[:-1], out=new[1:])
            if new.all():
                self.order = _frozen(order.astype(_index_type(len(order))))
            else:
                merge = np.empty(len(keys), np.intp)
                merge[order] = np.cumsum(new) - 1
                self.merge = _frozen(merge)
            first = order if self.merge is None else order[new]
            rows, columns = rows[first], columns[first]
        self.rows, self.columns = _frozen(rows), _frozen(columns)

    @functools.cached_property
    def by_rows(self) -> Compressed:
        """The entries row by row."""
        return compressed(self.rows, self.columns, self._matrix_shape)

    @functools.cached_property
    def by_columns(self) -> Compressed:
        """The entries column by column."""
        order = np.argsort(self.columns, kind="stable")
        found = compressed(
            self.columns[order], self.rows[order], (self._matrix_shape[1], self._matrix_shape[0])
        )
        return found if (np.diff(order) == 1).all() else found._replace(order=_frozen(order))

    @functools.cached_property
    def runs(self) -> tuple[tuple[tuple[Places, Places], ...], ...]:
        """For every term where its entries go: some of them, and their places, slices where that are few.

        Only where no two entries stand at one place.
        """
        places = np.arange(len(self.rows))
        if self.order is not None:
            places[self.order] = np.arange(len(self.rows))
        ends = np.cumsum([0, *self._counts])
        return tuple(_runs(places[first:last]) for first, last in itertools.pairwise(ends))

    @functools.cached_property
    def indices(self) -> np.ndarray:
        """For every entry its index in the dense Jacobian, ``[entries, dimensions]``."""
        sides = zip(self._shapes, (self.rows, self.columns), strict=True)
        places = [index for shape, flat in sides if shape for index in np.unravel_index(flat, shape)]
        if not places:
            return _frozen(np.zeros((len(self.rows), 0), np.int32))
        return _frozen(np.stack(places, -1).astype(np.int32))


def compressed(major: np.ndarray, minor: np.ndarray, shape: tuple[int, int]) -> Compressed:
    """Entries in order, line by line.

    Args:
        major, minor: for every entry its line and its place in it.
        shape: how many lines there are, and places in each.
    """
    starts = np.searchsorted(major, np.arange(shape[0] + 1))
    dtype = _index_type(max(len(major), *shape))
    return Compressed(_frozen(starts.astype(dtype)), _frozen(minor.astype(dtype)), None)


# Entries go to their places by slices if these are at most so many.
_MOST_RUNS = 8


def _runs(places: np.ndarray) -> tuple[tuple[Places, Places], ...]:
    """Which entries go where, progression by progression."""
    changes = np.flatnonzero(np.diff(places, 2)) + 1
    if len(changes) > 2 * _MOST_RUNS:
        return ((slice(None), _frozen(places)),)
    found, first = [], 0
    for last in [*changes.tolist(), len(places) - 1]:
        if last >= first:
            low, high = int(places[first]), int(places[last])
            step = (high - low) // (last - first) if last > first else 1
            end = high + (1 if step > 0 else -1)
            found.append((slice(first, last + 1), slice(low, end if end >= 0 else None, step)))
            first = last + 1
    return tuple(found)


layout_of = functools.lru_cache(maxsize=256)(Layout)


def _index_type(largest: int) -> type[np.signedinteger[Any]]:
    return np.int32 if largest <= np.iinfo(np.int32).max else np.int64


def _frozen(array: np.ndarray) -> np.ndarray:
    """An array that many will share."""
    array = array.view()
    array.setflags(write=False)
    return array


@functools.lru_cache(maxsize=256)
def listed(found: Structure) -> Structure:
    """The structure of a list of the entries of another one."""
    layout = layout_of(found)
    return entries_at(found.out_shape, found.in_shape, layout.rows, layout.columns)


def entries_at(
    out_shape: tuple[int, ...], in_shape: tuple[int, ...], rows: np.ndarray, columns: np.ndarray
) -> Structure:
    """The structure of a list of entries at these row-major positions, without any where there are none."""
    if not len(rows):
        return Structure(out_shape, in_shape, ())
    sides = ((out_shape, rows), (in_shape, columns))
    out, in_ = ([[digit_table(size, [0], index)] for size, index in _indices(*side)] for side in sides)
    return structure(make_term(out, in_, [len(rows)], Kind.VALUE, [0]))


def entry_values(found: Structure, data: Any) -> Values:
    """The values of such a list, of these numbers; batch dimensions may lead.

    Raises:
        ValueError: when there are more or fewer numbers than entries.
    """
    count = sum(term.numbers for term in found.terms)
    if data.shape[-1:] != (count,):
        raise ValueError(f"there are {count} entries, but data has the shape {data.shape}")
    return tuple(Scaled(reshape(data, data.shape[:-1] + term.value_shape)) for term in found.terms)


def _indices(shape: tuple[int, ...], flat: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    return zip(shape, np.unravel_index(flat, shape) if shape else (), strict=True)
