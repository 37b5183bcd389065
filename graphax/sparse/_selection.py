"""Parts of blocks: rows, columns, entries, diagonals, triangles."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Self

import jax
import numpy as np
from jax import lax
from jax.core import Tracer

from ._arithmetic import Arithmetic
from ._batches import over_batches
from ._compose import accumulate_duplicates
from ._draft import Workspace
from ._equate import equate
from ._layout import entries_at, layout_of
from ._scaled import Scaled
from ._steps import Gather, Step
from ._structure import Structure, added_label, make_term, structure
from ._term import Digit, Kind, Table, Term, canonical, digit_table
from ._writing import densify, term_places


class Selections(Arithmetic):
    """A matrix of which parts can be taken."""

    def __getitem__(self, index: Any) -> Any:
        """Rows and columns, by the indices of the dense array of shape ``out_shape + in_shape``.

        Args:
            index: integers, slices, arrays of integers or booleans, and ``...``, static while tracing.

        Returns:
            a block, whose output and input are what is left of each; an array where nothing is left of
            both, and where arrays are given for rows and for columns, which pick entries, one for each pair.
            Batch dimensions, which lead, are indexed first.

        Raises:
            IndexError: when an index is out of range, or there are too many.
            TypeError: when an index is traced, or none of these.
            ValueError: when arrays for rows and columns stand beside slices.
        """
        items = _items(index, self.shape)
        many = len(self.batch_shape)
        one = self
        if not all(map(_is_whole, items[:many])):
            one = jax.tree.map(lambda array: array[items[:many]], self)
        return one._taken(items[many:])

    @over_batches
    def _taken(self, items: tuple[Any, ...]) -> Any:
        dims = len(self.out_shape)
        sides = items[:dims], items[dims:]
        arrays = [any(isinstance(item, np.ndarray) for item in side) for side in sides]
        _require_one_meaning(items, dims)
        if all(arrays):
            return self._entries_at(items)
        found = self
        if not all(map(_is_whole, sides[0])):
            found = _selector(found, self.out_shape, sides[0]).compose(found)
        if not all(map(_is_whole, sides[1])):
            found = found.compose(_selector(found, self.in_shape, sides[1]).T)
        return found if found.out_shape or found.in_shape else found.dense(self._require_dtype())

    def _entries_at(self, items: tuple[Any, ...]) -> jax.Array:
        dims = len(self.out_shape)
        picked = np.broadcast_arrays(*(np.asarray(item) for item in items))
        rows = np.ravel_multi_index(tuple(picked[:dims]), self.out_shape)
        columns = np.ravel_multi_index(tuple(picked[dims:]), self.in_shape)
        width = self.matrix_shape[1]
        one = self.located()
        found = layout_of(one.structure)
        keys, wanted = found.rows * width + found.columns, rows * width + columns
        at = np.searchsorted(keys, wanted)
        there = np.append(keys, -1)[at] == wanted
        data = jax.numpy.append(one.data(), 0)  # what stands where there is no entry
        return data[np.where(there, at, len(keys))]

    @over_batches
    def diagonal(self, k: int = 0) -> jax.Array:
        """The entries ``J[i..., i...]``, for an output and an input of one shape.

        Args:
            k: another diagonal, of a matrix whose sides are vectors, as for ``numpy.diagonal``.

        Returns:
            an array of the shape of the output.

        Raises:
            ValueError: when the shapes differ, or sides are not vectors where another diagonal is wanted.
        """
        if k:
            return self._other_diagonal(k)
        if self.out_shape != self.in_shape:
            raise ValueError(
                f"only a square Jacobian has a diagonal; this one has outputs of shape {self.out_shape} and "
                f"inputs of shape {self.in_shape}"
            )
        dtype = self._require_dtype()
        found = lax.full(self.out_shape, 0, dtype)
        for term, value in self.located()._terms():
            plan = _diagonal(term)
            if plan is not None:
                diagonal, steps, final = plan
                value = Scaled(value.numbers(dtype)).after(steps).arranged(final, diagonal.value_shape)
                found = lax.add(found, densify(diagonal, value, dtype))
        return found

    def _other_diagonal(self, k: int) -> jax.Array:
        if (len(self.out_shape), len(self.in_shape)) != (1, 1):
            raise ValueError(
                f"diagonals beside the main one are those of vectors, but this block is {self.out_shape} <- "
                f"{self.in_shape}"
            )
        rows, columns = self.matrix_shape
        first = max(0, -k)
        along = np.arange(first, max(first, min(rows, columns - k)))
        return self._entries_at((along, along + k))

    def trace(self) -> jax.Array:
        """The sum of the entries ``J[i..., i...]``; errors as for :meth:`diagonal`."""
        return self.diagonal().sum(range(len(self.batch_shape), len(self.batch_shape) + len(self.out_shape)))

    def tril(self, k: int = 0) -> Self:
        """The entries on and below a diagonal, as ``numpy.tril`` has them.

        Args:
            k: which diagonal; columns less rows, which are positions in the input and in the output.

        Returns:
            a block.
        """
        return self._between(None, int(k))

    def triu(self, k: int = 0) -> Self:
        """The entries on and above a diagonal, as ``numpy.triu`` has them.

        Args:
            k: which diagonal, as for :meth:`tril`.

        Returns:
            a block.
        """
        return self._between(int(k), None)

    @over_batches
    def _between(self, low: int | None, high: int | None) -> Self:
        one = self.located()
        terms: list[Term] = []
        values: list[Scaled] = []
        for term, value in one._terms():
            plan = _between(term, low, high)
            if plan is not None:
                within, steps = plan
                terms.append(within)
                values.append(value.after(steps))
        found = Structure(self.out_shape, self.in_shape, tuple(terms))
        return replace(one, structure=found, values=tuple(values))


# Indices ----------------------------------------------------------------------------------------------------


def _items(index: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """An integer, a slice or an array for every dimension."""
    given = index if isinstance(index, tuple) else (index,)
    items: list[Any] = [
        item if item is Ellipsis or isinstance(item, slice) else _checked(item) for item in given
    ]
    used = sum(0 if item is Ellipsis else item.ndim if _is_mask(item) else 1 for item in items)
    dots = sum(item is Ellipsis for item in items)
    if used > len(shape) or dots > 1:
        raise IndexError(f"a block of shape {shape} cannot be indexed by {len(given)} indices: {index!r}")
    at = next((at for at, item in enumerate(items) if item is Ellipsis), len(items))
    items[at : at + 1] = [slice(None)] * (len(shape) - used)
    found: list[Any] = []
    for item in items:
        if _is_mask(item):
            size = shape[len(found) : len(found) + item.ndim]
            if item.shape != size:
                raise IndexError(f"a mask of shape {item.shape} does not fit dimensions of sizes {size}")
            found.extend(np.nonzero(item))
        else:
            found.append(item if isinstance(item, slice) else _within(item, shape[len(found)], len(found)))
    return tuple(found)


def _checked(item: Any) -> Any:
    """An integer or an array of integers or booleans."""
    if isinstance(item, Tracer):
        raise TypeError(
            "a block is indexed by what is known while tracing, but an index is traced; "
            "a row is jax.nn.one_hot(i, rows) @ block then, and a column block @ jax.nn.one_hot(j, columns)"
        )
    array = np.asarray(item)
    if array.size == 0 and not isinstance(item, np.ndarray | jax.Array):
        array = array.astype(int)
    if item is None or array.dtype.kind not in "biu" or (array.dtype == bool and not array.ndim):
        raise TypeError(f"a block is indexed by integers, slices, arrays of these and ..., not by {item!r}")
    return array if array.ndim else int(array)


def _is_mask(item: Any) -> bool:
    return isinstance(item, np.ndarray) and item.dtype == bool


def _is_whole(item: Any) -> bool:
    return isinstance(item, slice) and item == slice(None)


def _within(item: Any, size: int, axis: int) -> Any:
    """An index that counts from the start."""
    array = np.asarray(item)
    if ((array < -size) | (array >= size)).any():
        raise IndexError(f"index {item} is out of range for dimension {axis} of size {size}")
    array = np.where(array < 0, array + size, array)
    return array if array.ndim else int(array)


def _require_one_meaning(items: Sequence[Any], dims: int) -> None:
    """Refuse what NumPy would answer with dimensions of both sides in one, or in another order."""
    advanced = [at for at, item in enumerate(items) if not isinstance(item, slice)]
    arrays = [at for at, item in enumerate(items) if isinstance(item, np.ndarray)]
    both = any(at < dims for at in advanced) and any(at >= dims for at in advanced)
    if not arrays or not both:
        return
    pairs = min(arrays) < dims <= max(arrays)
    apart = advanced != list(range(advanced[0], advanced[-1] + 1))
    if (pairs and len(advanced) < len(items)) or apart:
        raise ValueError(
            "an index array for rows and one for columns pick single entries, and leave no room for slices; "
            "index one after the other, as in block[rows][..., columns]"
        )


def _selector(like: Any, shape: tuple[int, ...], items: Sequence[Any]) -> Any:
    """The block that takes parts of an array of a shape."""
    key = tuple(
        (item.start, item.stop, item.step)
        if isinstance(item, slice)
        else (item.shape, Table(item))
        if isinstance(item, np.ndarray)
        else item
        for item in items
    )
    found = _selection(shape, key)
    return with_units(like, found)


def with_units(like: Any, found: Structure) -> Any:
    """The block of a structure whose entries are ones, to be multiplied by another."""
    values = (Scaled(None),) * len(found.terms)
    return replace(like, structure=found, values=values, dtype=None, finite=True, placed=())


@functools.lru_cache(maxsize=256)
def _selection(shape: tuple[int, ...], key: tuple[Any, ...]) -> Structure:
    """The structure of what takes these parts of an array of a shape."""
    sizes: list[int] = []
    in_: list[list[Digit | int]] = []
    out: list[list[int]] = []
    arrays = [item[0] for item in key if isinstance(item, tuple) and len(item) == 2]
    common = np.broadcast_shapes(*arrays)
    joint = [added_label(size, sizes) for size in common]  # of all arrays together
    labels = [label for dim in joint for label in dim]
    chosen = [at for at, item in enumerate(key) if not (isinstance(item, tuple) and len(item) == 3)]
    together = chosen == list(range(chosen[0], chosen[-1] + 1)) if chosen else True
    for at, (size, item) in enumerate(zip(shape, key, strict=True)):
        if arrays and at in chosen and at == chosen[0] and together:
            out.extend(joint)
        if isinstance(item, int):
            in_.append([Digit(size, (), item)])
        elif len(item) == 3:
            start, stop, step = slice(*item).indices(size)
            count = len(range(start, stop, step))
            label = added_label(count, sizes)
            out.append(label)
            in_.append([Digit(size, tuple(label), start, step if label else 1)])
        else:
            index = np.broadcast_to(item[1].indices.reshape(item[0]), common)
            in_.append([digit_table(size, labels, index)])
    if arrays and not together:
        out = [*joint, *out]
    found = make_term(out, in_, sizes, Kind.UNIT) if 0 not in sizes else None
    left = tuple(math.prod(sizes[label] for label in dim) for dim in out)
    return structure(found) if found else Structure(left, shape, ())


# Diagonals and triangles ------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1024)
def _diagonal(term: Term) -> tuple[Term, tuple[Step, ...], tuple[int, ...]] | None:
    """The diagonal of a term as a term without inputs, and what makes its value; None where it is zero."""
    space = Workspace()
    out, in_, operand = space.load(term)
    if not equate(space, out, in_):
        return None
    accumulate_duplicates(space, out, in_, operand)
    final = canonical(out.dims, (), space.sizes, Kind.VALUE, operand.axes)
    return final.term, tuple(operand.steps), tuple(operand.axes.index(label) for label in final.axes)


@functools.lru_cache(maxsize=1024)
def _between(term: Term, low: int | None, high: int | None) -> tuple[Term, tuple[Step, ...]] | None:
    """What is left of a term between two diagonals, and how its value is taken; None where nothing is."""
    rows, columns = term_places(term)
    kept = np.ones(len(rows), bool)
    if low is not None:
        kept &= columns - rows >= low
    if high is not None:
        kept &= columns - rows <= high
    if kept.all():
        return term, ()
    if not kept.any():
        return None
    (within,) = entries_at(term.out_shape, term.in_shape, rows[kept], columns[kept]).terms
    if not term.axes:
        return replace(within, kind=term.kind, axes=()), ()
    grids = np.unravel_index(np.flatnonzero(kept), term.sizes)
    places = np.ravel_multi_index([grids[label] for label in term.axes], term.value_shape)
    return within, (Gather(tuple(range(len(term.axes))), Table(places), within.value_shape),)
