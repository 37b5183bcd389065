"""Indexing: with known indices entries are picked while expanding, with others selected in the kernel."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jax.lax import GatherScatterMode

from ..._trace import Program, inline
from ...rules._scatter_apply import applied_function
from .._scalars import KINDS, Scalars
from ._expansion import Call, Expressions, NoKernel, register


class _Start(NamedTuple):
    """Where a window begins along a dimension: at one of ``places``, numbered from 0.

    Attributes:
        places: how many places there are.
        index: the expression of the number; None where there is no choice but ``known``.
        known: the number, which may be out of bounds.
    """

    places: int
    index: int | None
    known: int = 0


def _starts(call: Call, indices: Sequence[int], dims: Sequence[int], sizes: Sequence[int]) -> list[_Start]:
    """Where a window of certain sizes begins along every dimension of the first operand.

    Args:
        call: the call.
        indices: expressions of the indices along ``dims``; along others windows begin at 0.
        dims: the dimensions.
        sizes: the sizes of the window.
    """
    places = [room - size + 1 for room, size in zip(call.operands[0].shape, sizes, strict=True)]
    starts = [_Start(count, None) for count in places]
    for index, dim in zip(indices, dims, strict=True):
        known = call.scalars.value(index)
        starts[dim] = _Start(places[dim], index) if known is None else _Start(places[dim], None, int(known))
    return starts


def _choices(starts: Sequence[_Start]) -> int:
    """At how many places a window may be."""
    return math.prod(start.places for start in starts if start.index is not None)


def _read(call: Call, array: Expressions, starts: Sequence[_Start], sizes: Sequence[int]) -> list[int]:
    """The entries of a window that begins within bounds, if need be at the nearest place there."""
    choose, places = call.expansion.choose, list[int]()

    def window(dim: int) -> list[int]:
        if dim == len(starts):
            return array[tuple(slice(p, p + n) for p, n in zip(places, sizes, strict=True))].ravel().tolist()
        start = starts[dim]
        among = [min(max(start.known, 0), start.places - 1)] if start.index is None else range(start.places)
        found = []
        for place in among:
            places.append(place)
            found.append(window(dim + 1))
            places.pop()
        if start.index is None:
            return found[0]
        return [choose(start.index, options) for options in zip(*found, strict=True)]

    return window(0)


def _inside(scalars: Scalars, starts: Sequence[_Start]) -> int:
    """Whether a window is within bounds."""
    found = scalars.const(True, "b1")
    for start in starts:
        if start.index is None:
            found = scalars.binary("and", found, scalars.const(0 <= start.known < start.places, "b1"))
            continue
        kind = scalars.kinds[start.index]
        low = scalars.compare("ge", start.index, scalars.const(0, kind))
        high = scalars.compare("lt", start.index, scalars.const(start.places, kind))
        found = scalars.binary("and", found, scalars.binary("and", low, high))
    return found


def _placements(
    scalars: Scalars, starts: Sequence[_Start], clamped: bool
) -> Iterator[tuple[tuple[int, ...], int]]:
    """The places where a window may be, with whether it is there.

    Args:
        scalars: the expressions.
        starts: where it begins.
        clamped: whether a window that is out of bounds is moved to the nearest place; else it is nowhere.
    """

    def along(start: _Start) -> list[tuple[int, int]]:
        if start.index is None:
            inside = 0 <= start.known < start.places
            place = min(max(start.known, 0), start.places - 1)
            return [(place, scalars.const(True, "b1"))] if inside or clamped else []
        kind, found = scalars.kinds[start.index], []
        for place in range(start.places):
            op = "eq"
            if clamped and start.places > 1:
                op = {0: "le", start.places - 1: "ge"}.get(place, "eq")
            there = scalars.compare(op, start.index, scalars.const(place, kind))
            alone = clamped and start.places == 1
            found.append((place, scalars.const(True, "b1") if alone else there))
        return found

    for pairs in itertools.product(*map(along, starts)):
        there = scalars.const(True, "b1")
        for _, condition in pairs:
            there = scalars.binary("and", there, condition)
        yield tuple(place for place, _ in pairs), there


def _write(
    call: Call,
    array: Expressions,
    starts: Sequence[_Start],
    update: Expressions,
    combine: Callable[[int, int], int],
    clamped: bool,
) -> None:
    """Put a window into an array, in place.

    Args:
        call: the call.
        array: the array.
        starts: where the window begins.
        update: the window.
        combine: what becomes of an entry of the array and one of the window.
        clamped: as of :func:`_placements`.
    """
    select, old = call.scalars.select, array.copy()
    call.expansion.allow(_choices(starts) * update.size)
    for places, there in _placements(call.scalars, starts, clamped):
        window = tuple(slice(p, p + n) for p, n in zip(places, update.shape, strict=True))
        entries = [
            select(there, combine(x, u), current)
            for x, u, current in zip(
                old[window].ravel().tolist(),
                update.ravel().tolist(),
                array[window].ravel().tolist(),
                strict=True,
            )
        ]
        array[window] = np.array(entries, np.int64).reshape(update.shape)


# ---- slices


@register("dynamic_slice")
def _dynamic_slice(call: Call) -> list[Expressions]:
    operand, *indices = call.operands
    sizes = call.params["slice_sizes"]
    starts = _starts(call, [index.item() for index in indices], range(operand.ndim), sizes)
    call.expansion.allow(_choices(starts) * math.prod(sizes))
    return call.shaped(_read(call, operand, starts, sizes))


@register("dynamic_update_slice")
def _dynamic_update_slice(call: Call) -> list[Expressions]:
    operand, update, *indices = call.operands
    starts = _starts(call, [index.item() for index in indices], range(operand.ndim), update.shape)
    result = operand.copy()
    if update.size:
        _write(call, result, starts, update, lambda _, new: new, clamped=True)
    return [result]


# ---- gather and scatter


@register("gather")
def _gather(call: Call) -> list[Expressions]:
    params, operand = call.params, call.operands[0]
    numbers, sizes = params["dimension_numbers"], params["slice_sizes"]
    mode = _mode(call)
    left_out = (*numbers.collapsed_slice_dims, *numbers.operand_batching_dims)
    window_shape = tuple(size for dim, size in enumerate(sizes) if dim not in left_out)
    batch = call.operands[1].shape[:-1]
    if not math.prod(call.shape):
        return call.shaped([])
    windows = list(
        _windows(
            call,
            numbers.start_index_map,
            numbers.operand_batching_dims,
            numbers.start_indices_batching_dims,
            sizes,
        )
    )
    call.expansion.allow(sum(_choices(starts) - 1 for starts in windows) * math.prod(window_shape))
    fill = None
    if mode is GatherScatterMode.FILL_OR_DROP:
        fill = call.scalars.const(_fill_value(call), call.kind)
    rows = []
    for starts in windows:
        entries = _read(call, operand, starts, sizes)
        if fill is not None:
            inside = _inside(call.scalars, starts)
            entries = [call.scalars.select(inside, x, fill) for x in entries]
        rows.append(entries)
    found = np.array(rows, np.int64).reshape(batch + window_shape)
    rank = len(batch) + len(window_shape)
    order = [dim for dim in range(rank) if dim not in numbers.offset_dims] + list(numbers.offset_dims)
    return [found.transpose(np.argsort(order))]


def _mode(call: Call) -> GatherScatterMode:
    mode = GatherScatterMode.from_any(call.params["mode"])
    if mode not in (
        GatherScatterMode.CLIP,
        GatherScatterMode.FILL_OR_DROP,
        GatherScatterMode.PROMISE_IN_BOUNDS,
    ):
        raise NoKernel(f"the mode {mode} of '{call.name}' is not expanded into scalars")
    return mode


def _fill_value(call: Call) -> float:
    given = call.params["fill_value"]
    if given is not None:
        return given
    kind = call.kind
    if kind[0] == "f":
        return math.nan
    if kind == "b1":
        return True
    limits = np.iinfo(KINDS[kind])
    return limits.min if kind[0] == "i" else limits.max


def _windows(
    call: Call,
    dims: Sequence[int],
    stacked: Sequence[int],
    stacked_in_indices: Sequence[int],
    sizes: Sequence[int],
) -> Iterator[list[_Start]]:
    """Where the window of every row of indices begins.

    Args:
        call: the call; its first operands are an array and the indices.
        dims: the dimensions of the array that a row of indices is for.
        stacked: dimensions of the array that dimensions of the indices go along with.
        stacked_in_indices: these.
        sizes: the sizes of the windows.
    """
    indices = call.operands[1]
    places = [room - size + 1 for room, size in zip(call.operands[0].shape, sizes, strict=True)]
    for at in np.ndindex(indices.shape[:-1]):
        starts = _starts(call, indices[at].tolist(), dims, sizes)
        for dim, along in zip(stacked, stacked_in_indices, strict=True):
            starts[dim] = _Start(places[dim], None, at[along])
        yield starts


@register("scatter", "scatter-add", "scatter-sub", "scatter-mul", "scatter-min", "scatter-max")
def _scatter(call: Call) -> list[Expressions]:
    operand, _, updates = call.operands
    numbers, clamped = call.params["dimension_numbers"], _mode(call) is GatherScatterMode.CLIP
    result = operand.copy()
    if not updates.size:
        return [result]
    left_out = (*numbers.inserted_window_dims, *numbers.operand_batching_dims)
    kept = [dim for dim in range(operand.ndim) if dim not in left_out]
    sizes = [1] * operand.ndim
    for dim, along in zip(kept, numbers.update_window_dims, strict=True):
        sizes[dim] = updates.shape[along]
    batch = [dim for dim in range(updates.ndim) if dim not in numbers.update_window_dims]
    rows = updates.transpose(*batch, *numbers.update_window_dims).reshape(-1, *sizes)
    windows = _windows(
        call,
        numbers.scatter_dims_to_operand_dims,
        numbers.operand_batching_dims,
        numbers.scatter_indices_batching_dims,
        sizes,
    )
    for starts, update in zip(windows, rows, strict=True):
        _write(call, result, starts, update, _combine(call), clamped)
    return [result]


def _combine(call: Call) -> Callable[[int, int], int]:
    op, scalars = call.name.removeprefix("scatter").removeprefix("-"), call.scalars
    function = None if op else applied_function(call.params)
    if function is not None:
        return functools.partial(_applied, call, inline(function))
    if not op:
        return lambda _, new: new
    if op == "add":  # mostly of derivatives, whose zeros stand for nothing
        return lambda old, new: new if scalars.value(old) == 0 else scalars.add(old, new)
    return lambda old, new: scalars.binary(op, old, new)


def _applied(call: Call, program: Program, old: int, new: int) -> int:
    """What a function makes of an entry and its update."""
    pair = [np.array(x, np.int64) for x in (old, new)]
    (result,), _ = call.expansion.run(program, pair, [call.moving[0], call.moving[2]])
    return result.item()
