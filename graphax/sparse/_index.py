"""Where entries go that is known at run time only: integers, static or traced, over labels."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

from ._draft import Workspace
from ._scaled import expand
from ._steps import reshape
from ._term import Dim, Labels


class Index(NamedTuple):
    """Where the entries of a stand-in go in a dimension.

    Attributes:
        array: for every index of the stand-in that in the dimension, or its size for what is no entry.
        size: the size of the dimension.
        within: whether all are entries.
    """

    array: Any
    size: int
    within: bool = True

    def is_same(self, other: Index | None) -> bool:
        """Whether two are known to be equal."""
        return other is not None and self.array is other.array and self.size == other.size


Indices = tuple[Index | None, ...]  # for every dimension; None where it stands for itself


class Grid(NamedTuple):
    """Integers over some labels.

    Attributes:
        labels: the labels.
        array: an array with an axis for each.
        of: the index that it is, unchanged; None where it is another array.
    """

    labels: Labels
    array: Any
    of: Index | None = None

    @property
    def is_static(self) -> bool:
        return isinstance(self.array, np.ndarray)

    def over(self, labels: Labels) -> Any:
        """The array with an axis for each of these labels, of size 1 along those it does not vary along."""
        return expand(self.array, self.labels, labels)


def combined(operation: Callable[..., Any], *grids: Grid) -> Grid:
    """An operation, entry by entry, on grids."""
    labels = tuple(dict.fromkeys(itertools.chain.from_iterable(grid.labels for grid in grids)))
    found = operation(*(grid.over(labels) for grid in grids))
    return Grid(labels, np.asarray(found) if all(grid.is_static for grid in grids) else found)


def weighted(grids: Sequence[Grid], radices: Sequence[int]) -> Grid:
    """The number whose digits are given, major first."""

    def shifted(total: Grid, digit: tuple[Grid, int]) -> Grid:
        grid, radix = digit
        return combined(lambda x, y: x * radix + y, total, grid)

    return functools.reduce(shifted, zip(grids[1:], radices[1:], strict=True), grids[0])


def read(table: np.ndarray, grid: Grid) -> Grid:
    """The entries of a static array at the numbers of a grid; of those beyond it any."""
    if grid.is_static:
        return Grid(grid.labels, table[np.clip(grid.array, 0, len(table) - 1)])
    return Grid(grid.labels, taken(table, grid.array))


def own(label: int, size: int) -> Grid:
    """A label itself."""
    return Grid((label,), np.arange(size, dtype=np.int32))


def labels_of(dims: Iterable[Dim]) -> list[int]:
    """The labels of some dimensions."""
    return list(dict.fromkeys(label for dim in dims for digit in dim for label in digit.labels))


def place_of(dim: Dim, index: Index | None, sizes: dict[int, int]) -> Grid:
    """Where a dimension is, whose stand-in is given, over its labels."""
    space = Workspace()
    space.sizes.update(sizes)
    labels = tuple(labels_of([dim]))
    shape = [sizes[label] for label in labels]
    places = space.positions(dim, labels).astype(np.int32)
    if index is None:
        return Grid(labels, places.reshape(shape))
    count = index.array.shape[-1]
    if len(places) == count and (np.diff(places) == 1).all():
        return Grid(labels, reshape(index.array, shape), index)
    return Grid(labels, taken(index.array, places.reshape(shape)))


def is_known(array: Any) -> bool:
    """Whether the numbers of an array are at hand."""
    return hasattr(array, "__array__") and not isinstance(array, Tracer)


def added_at(total: Any, places: Sequence[Any], entries: Any) -> Any:
    """Entries added up at places along the first axes of an array; those beyond it are none."""
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=tuple(range(1, entries.ndim)),
        inserted_window_dims=tuple(range(len(places))),
        scatter_dims_to_operand_dims=tuple(range(len(places))),
    )
    at = jnp.stack([jnp.asarray(place) for place in places], -1)
    return lax.scatter_add(total, at, entries, numbers, mode=lax.GatherScatterMode.FILL_OR_DROP)


def taken(array: Any, places: Any, beyond: bool = False) -> Any:
    """Entries of the first axis; of those beyond it the last one, or zero."""
    numbers = lax.GatherDimensionNumbers(
        offset_dims=tuple(range(places.ndim, places.ndim + array.ndim - 1)),
        collapsed_slice_dims=(0,),
        start_index_map=(0,),
    )
    if isinstance(array, np.ndarray) and isinstance(places, np.ndarray) and not beyond:
        return array[np.clip(places, 0, len(array) - 1)]
    mode = lax.GatherScatterMode.FILL_OR_DROP if beyond else lax.GatherScatterMode.CLIP
    return lax.gather(
        jnp.asarray(array),
        jnp.expand_dims(places, -1),
        numbers,
        (1, *array.shape[1:]),
        mode=mode,
        fill_value=0 if beyond else None,
    )
