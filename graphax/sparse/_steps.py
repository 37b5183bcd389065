"""What happens to a term's value while its labels are rewritten: a list of small array operations."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jax import lax

from ._cost import LARGEST_STATIC, worth_gathering
from ._holes import (
    Holed,
    Holes,
    Mask,
    Support,
    Zeros,
    holes_after,
    numbers_of,
    numeric,
    raw_parts,
    support_of,
    widened,
    with_holes,
    with_support,
)
from ._places import any_repeated
from ._term import Table

Value = Any  # a JAX array, one with holes, a static NumPy array, or None


class Reshape(NamedTuple):
    shape: tuple[int, ...]

    def __call__(self, value: Value) -> Value:
        return reshape(value, self.shape)


class Slice(NamedTuple):
    """Take ``size`` entries of an axis from ``start`` on, ``step`` apart."""

    axis: int
    start: int
    step: int
    size: int

    def __call__(self, value: Value) -> Value:
        last = self.start + self.step * (self.size - 1)
        low, high = min(self.start, last), max(self.start, last) + 1
        if (low, high, self.step) == (0, value.shape[self.axis], 1):
            return value
        if isinstance(value, np.ndarray):
            return value[_along(self.axis, self.start, self.step, self.size)]
        value = lax.slice_in_dim(value, low, high, abs(self.step), self.axis)
        return lax.rev(value, (self.axis,)) if self.step < 0 else value


class Gather(NamedTuple):
    """Merge some axes and take entries of them; what was taken becomes leading axes of shape ``shape``."""

    axes: tuple[int, ...]
    table: Table
    shape: tuple[int, ...]

    def __call__(self, value: Value) -> Value:
        value = take(_merged(value, self.axes), self.table.indices)
        return reshape(value, (*self.shape, *value.shape[1:]))


class Broadcast(NamedTuple):
    """Append axes along which the value does not vary."""

    shape: tuple[int, ...]

    def __call__(self, value: Value) -> Value:
        shape = (*value.shape, *self.shape)
        if isinstance(value, np.ndarray):
            return np.broadcast_to(reshape(value, value.shape + (1,) * len(self.shape)), shape)
        return lax.broadcast_in_dim(value, shape, range(value.ndim))


class Place(NamedTuple):
    """Spread an axis out over a longer one, zeros elsewhere: the reverse of `Slice`."""

    axis: int
    start: int
    step: int
    size: int

    def __call__(self, value: Value) -> Value:
        count = value.shape[self.axis]
        if isinstance(value, np.ndarray):
            shape = list(value.shape)
            shape[self.axis] = self.size
            total = np.zeros(shape, value.dtype)
            total[_along(self.axis, self.start, self.step, count)] = value
            return total
        if self.step < 0:
            value = lax.rev(value, (self.axis,))
        return _padded(value, {self.axis: self.padding(count)})

    def padding(self, count: int) -> tuple[int, int, int]:
        """How many zeros stand before, after and between so many entries."""
        low = min(self.start, self.start + self.step * (count - 1))
        interior = abs(self.step) - 1
        return low, self.size - low - count - interior * (count - 1), interior


class Places(NamedTuple):
    """Several axes are spread out, none of them backwards."""

    steps: tuple[Place, ...]

    def __call__(self, value: Value) -> Value:
        if isinstance(value, np.ndarray):
            return functools.reduce(lambda array, step: step(array), self.steps, value)
        return _padded(value, {step.axis: step.padding(value.shape[step.axis]) for step in self.steps})


class Scatter(NamedTuple):
    """Merge some axes and add their entries up at places, which become leading axes of shape ``shape``."""

    axes: tuple[int, ...]
    table: Table  # for every entry its place
    shape: tuple[int, ...]

    def __call__(self, value: Value) -> Value:
        value = numeric(_merged(value, self.axes))
        shape = (math.prod(self.shape), *value.shape[1:])
        if isinstance(value, np.ndarray):
            total = np.zeros(shape, value.dtype)
            np.add.at(total, self.table.indices, value)
        else:
            total = _scattered(value, self.table.indices, shape[0])
        return reshape(total, (*self.shape, *shape[1:]))


class Untie(NamedTuple):
    """Write a Kronecker delta out: a new last axis, zero off the diagonal with ``axis``."""

    axis: int

    def __call__(self, value: Value) -> Value:
        size = value.shape[self.axis]
        mask_shape = [1] * (value.ndim + 1)
        mask_shape[self.axis] = mask_shape[-1] = size
        mask = np.eye(size, dtype=bool).reshape(mask_shape)
        value = reshape(value, (*value.shape, 1))
        if isinstance(value, np.ndarray):
            return np.where(mask, value, np.zeros((), value.dtype))
        shape = np.broadcast_shapes(mask.shape, value.shape)
        value = lax.broadcast_in_dim(value, shape, range(len(shape)))
        return lax.select(np.broadcast_to(mask, shape), value, lax.full_like(value, 0))


DIGGING = Place | Places | Scatter | Untie  # they write zeros
Step = Reshape | Slice | Gather | Broadcast | Place | Places | Scatter | Untie


def run_steps(steps: Sequence[Step], value: Value) -> Value:
    """The array after the steps."""
    for step in _joined(tuple(steps), tuple(map(type, steps))):
        value = step(value) if isinstance(step, Reshape) else _after(step, value)
    return value


@functools.lru_cache(maxsize=4096)
def _joined(steps: tuple[Step, ...], kinds: tuple[type, ...]) -> tuple[Step, ...]:
    """The same steps, with axes that are spread out one after another spread out at once.

    Their kinds tell apart, in the cache, what are equal as tuples.
    """
    found: list[Step] = []
    for step in steps:
        last = found[-1] if found else None
        if isinstance(last, Places):
            if isinstance(step, Broadcast) and set(step.shape) <= {1}:  # it may as well come before
                found.insert(-1, step)
                continue
            if isinstance(step, Place) and step.step > 0 and all(step.axis != one.axis for one in last.steps):
                found[-1] = Places((*last.steps, step))
                continue
        found.append(Places((step,)) if isinstance(step, Place) and step.step > 0 else step)
    return tuple(found)


def _padded(value: Value, by_axis: dict[int, tuple[int, int, int]]) -> Value:
    """An array with zeros before, after and between its entries along some axes."""
    if not any(map(any, by_axis.values())):
        return value
    config = [by_axis.get(axis, (0, 0, 0)) for axis in range(value.ndim)]
    return lax.pad(value, np.zeros((), value.dtype), config)


def _along(axis: int, start: int, step: int, size: int) -> tuple[Any, ...]:
    """The index of some places of an axis."""
    return (slice(None),) * axis + (start + step * np.arange(size),)


def _merged(value: Value, axes: Sequence[int]) -> Value:
    """The value with some axes as one, its first."""
    rest = [axis for axis in range(value.ndim) if axis not in axes]
    value = transpose(value, [*axes, *rest])
    return reshape(value, (-1, *value.shape[len(axes) :]))


def _after(step: Step, value: Value) -> Value:
    """The value after a step that may write zeros."""
    if isinstance(value, np.ndarray):
        return step(value)
    raw, holes, filled = raw_parts(value)
    if isinstance(step, Scatter) or raw.size > LARGEST_STATIC:  # what adds up, and where holes are lost
        raw, filled = numbers_of(value), False
    after = step(raw)
    if after is raw:
        return value
    if isinstance(holes, Mask):
        holes = _mask_after(step, holes, raw.shape)
    digs = isinstance(step, DIGGING)
    found = with_holes(after, holes_after(holes, raw.shape, step, digs), filled)
    return with_support(found, _support_after(step, value, digs))


def _support_after(step: Any, value: Value, digs: bool) -> Support | None:
    """Where a value may have numbers after a step."""
    support = support_of(value)
    if support is not None:
        return support.map(step)
    return Support(lambda: np.asarray(step(np.ones(value.shape, bool)) != 0)) if digs else None


def _mask_after(step: Step, holes: Mask, shape: Sequence[int]) -> Holes:
    """The mask of a value of this shape after a step; where it does not vary, it stays small."""
    if isinstance(step, DIGGING):
        return Zeros.OF_SELECTION
    return holes._replace(taken=_taken_after(step, holes.taken, shape))


def _taken_after(step: Any, mask: Any, shape: Sequence[int]) -> Any:
    if isinstance(step, Broadcast):
        return reshape(mask, mask.shape + (1,) * len(step.shape))
    if isinstance(step, Slice):
        return mask if mask.shape[step.axis] == 1 else step(mask)
    merged = [shape[axis] if axis in step.axes else size for axis, size in enumerate(mask.shape)]
    return step(widened(mask, merged))


def _moved(value: Holed, move: Any, how: Sequence[int]) -> Any:
    holes, support = value.holes, value.support
    if support is not None:
        support = support.map(lambda array: move(array, how))
    if holes is None:
        return with_support(move(value.raw, how), support)
    if isinstance(holes, Mask):
        holes = holes._replace(taken=_moved_mask(holes.taken, value.shape, move, how))
    elif not isinstance(holes, Zeros):
        holes = move(holes, how)
    return Holed(move(value.raw, how), holes, value.filled, support=support)


def _moved_mask(mask: Any, shape: Sequence[int], move: Any, how: Sequence[int]) -> Any:
    """The mask of a value of this shape after a move; where axes of size 1 come and go, it stays small."""
    if move is transpose or mask.shape == tuple(shape):
        return move(mask, how)
    if [size for size in shape if size != 1] != [size for size in how if size != 1]:
        return move(widened(mask, shape), how)
    sizes = iter([size for size, whole in zip(mask.shape, shape, strict=True) if whole != 1])
    return move(mask, [1 if size == 1 else next(sizes) for size in how])


def reshape(value: Value, shape: Sequence[int]) -> Value:
    if value.shape == tuple(shape):
        return value
    if isinstance(value, Holed):
        return _moved(value, reshape, shape)
    if isinstance(value, np.ndarray):
        return value.reshape(shape)
    return lax.reshape(value, shape) if -1 not in shape else value.reshape(shape)


def transpose(value: Value, permutation: Sequence[int]) -> Value:
    if tuple(permutation) == tuple(range(value.ndim)):
        return value
    if isinstance(value, Holed):
        return _moved(value, transpose, permutation)
    if isinstance(value, np.ndarray):
        return np.transpose(value, permutation)
    return lax.transpose(value, permutation)


def take(value: Value, indices: np.ndarray) -> Value:
    """Entries of the first axis."""
    if isinstance(value, np.ndarray):
        return value[indices]
    numbers = lax.GatherDimensionNumbers(
        offset_dims=tuple(range(1, value.ndim)), collapsed_slice_dims=(0,), start_index_map=(0,)
    )
    return lax.gather(
        value, indices[:, None], numbers, (1, *value.shape[1:]), mode=lax.GatherScatterMode.PROMISE_IN_BOUNDS
    )


def _scattered(value: Value, places: np.ndarray, size: int) -> Value:
    """Entries of the first axis at their places on a longer one, those of one place added up.

    A gather is a loop over the result that is fused with its neighbours, a scatter one over the entries that
    is not, and several times slower for each.
    """
    entries = len(places)
    if not worth_gathering(entries, size) or any_repeated(places):
        return scatter_add(lax.full((size, *value.shape[1:]), 0, value.dtype), places, value)
    sources = np.full(size, entries, np.int32)
    sources[places] = np.arange(entries)
    if size > entries:
        padding = [(0, 1, 0), *[(0, 0, 0)] * (value.ndim - 1)]
        value = lax.pad(value, np.zeros((), value.dtype), padding)
    return take(value, sources)


def scatter_add(total: Value, places: np.ndarray, value: Value) -> Value:
    """Add entries of the first axis at their places."""
    steps = np.diff(places)
    numbers = lax.ScatterDimensionNumbers(
        update_window_dims=tuple(range(1, total.ndim)),
        inserted_window_dims=(0,),
        scatter_dims_to_operand_dims=(0,),
    )
    return lax.scatter_add(
        total,
        places[:, None],
        value,
        numbers,
        indices_are_sorted=bool((steps >= 0).all()),
        unique_indices=bool((steps > 0).all()),
        mode=lax.GatherScatterMode.PROMISE_IN_BOUNDS,
    )
