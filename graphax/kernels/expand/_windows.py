"""Windows that move over an array, and convolutions, on scalar expressions."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ._expansion import Call, Expansion, Expressions, register
from ._reductions import combined, highest, lowest


class _Moves(NamedTuple):
    """How a window moves along one dimension.

    Attributes:
        size: how many places of it there are.
        stride, dilation: how far two of its positions, and two of its places, are apart.
        room: how many entries the array has.
        low: how many entries are added in front.
        apart: how far two of the array's entries are apart.
    """

    size: int
    stride: int
    dilation: int
    room: int
    low: int
    apart: int

    def covered(self, position: int) -> list[tuple[int, int]]:
        """The places of the window that an entry of the array is at, with the number of the entry."""
        found = []
        for place in range(self.size):
            entry, between = divmod(position * self.stride + place * self.dilation - self.low, self.apart)
            if not between and 0 <= entry < self.room:
                found.append((place, entry))
        return found


def _covered(moves: Sequence[_Moves], shape: Sequence[int]) -> Iterator[list[tuple[tuple[int, ...], ...]]]:
    """For every position of a window the pairs of a place in it and an entry of the array."""
    along = [[each.covered(k) for k in range(count)] for each, count in zip(moves, shape, strict=True)]
    for position in itertools.product(*along):
        yield [tuple(zip(*pairs, strict=True)) or ((), ()) for pairs in itertools.product(*position)]


@register("reduce_window_sum", "reduce_window_max", "reduce_window_min")
def _reduce_window(call: Call) -> list[Expressions]:
    params, operand, scalars = call.params, call.operands[0], call.scalars
    name, kind = call.name.removeprefix("reduce_window_"), call.kind
    moves = [
        _Moves(size, stride, dilation, room, low, apart)
        for size, stride, dilation, room, (low, _), apart in zip(
            params["window_dimensions"],
            params["window_strides"],
            params["window_dilation"],
            operand.shape,
            params["padding"],
            params["base_dilation"],
            strict=True,
        )
    ]
    call.expansion.allow(math.prod(call.shape))
    start = {"sum": 0, "max": lowest(kind), "min": highest(kind)}[name]
    entries = []
    for window in _covered(moves, call.shape):
        terms = [int(operand[entry]) for _, entry in window]
        if not terms:
            entries.append(scalars.const(start, kind))
        elif name == "sum":
            entries.append(combined(scalars.add, terms))
        else:
            entries.append(_chosen(call.expansion, terms, name))
    return call.shaped(entries)


def _chosen(expansion: Expansion, terms: list[int], name: str) -> int:
    """The greatest or least term; its derivative is that of one of those that are equal to it."""
    scalars = expansion.scalars
    found = combined(functools.partial(scalars.binary, name), terms)
    kind = scalars.kinds[found]
    if kind[0] != "f" or not expansion.order:
        return found
    best, zero, one = terms[0], scalars.zero(kind), scalars.const(1, kind)
    weights = [one]
    for x in terms[1:]:
        kept = scalars.compare("ge" if name == "max" else "le", best, x)
        best = scalars.select(kept, best, x)
        weights = [scalars.select(kept, weight, zero) for weight in weights]
        weights.append(scalars.select(kept, zero, one))
    return expansion.given(found, terms, weights)


@register("conv_general_dilated")
def _convolution(call: Call) -> list[Expressions]:
    params, scalars, kind = call.params, call.scalars, call.kind
    left_spec, right_spec, out_spec = params["dimension_numbers"]
    left, right = call.operands[0].transpose(left_spec), call.operands[1].transpose(right_spec)
    shape = [call.shape[axis] for axis in out_spec]
    moves = [
        _Moves(size, stride, dilation, room, low, apart)
        for size, stride, dilation, room, (low, _), apart in zip(
            right.shape[2:],
            params["window_strides"],
            params["rhs_dilation"],
            left.shape[2:],
            params["padding"],
            params["lhs_dilation"],
            strict=True,
        )
    ]
    features, channels = right.shape[:2]
    call.expansion.allow(math.prod(shape) * channels)
    left, right = (
        np.array([scalars.convert(x, kind) for x in a.ravel().tolist()], np.int64).reshape(a.shape)
        for a in (left, right)
    )
    in_group = features // params["feature_group_count"]
    of_batch = features // params["batch_group_count"]
    result, nothing = np.empty(shape, np.int64), scalars.const(0, kind)
    windows = list(_covered(moves, shape[2:]))
    for row, feature in np.ndindex(*shape[:2]):
        lane = row + shape[0] * (feature // of_batch if params["batch_group_count"] > 1 else 0)
        first = channels * (feature // in_group) if params["feature_group_count"] > 1 else 0
        sums = []
        for window in windows:
            terms = [
                scalars.mul(int(left[(lane, first + c, *entry)]), int(right[(feature, c, *place)]))
                for c in range(channels)
                for place, entry in window
            ]
            sums.append(combined(scalars.add, terms) if terms else nothing)
            call.expansion.allow(0)
        result[row, feature] = np.array(sums, np.int64).reshape(shape[2:])
    return [result.transpose(np.argsort(out_spec))]
