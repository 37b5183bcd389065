"""Re-labellings: every entry of a result is an entry of an operand, or a constant."""

from __future__ import annotations

import itertools

import numpy as np

from .._scalars import KINDS
from ._expansion import Call, Expressions, register


@register("reshape")
def _reshape(call: Call) -> list[Expressions]:
    operand, dimensions = call.operands[0], call.params.get("dimensions")
    operand = operand if dimensions is None else operand.transpose(dimensions)
    return [operand.reshape(call.shape)]


@register("expand_dims", "squeeze")
def _same_entries(call: Call) -> list[Expressions]:
    return [call.operands[0].reshape(call.shape)]


@register("transpose")
def _transpose(call: Call) -> list[Expressions]:
    return [call.operands[0].transpose(call.params["permutation"])]


@register("broadcast_in_dim")
def _broadcast_in_dim(call: Call) -> list[Expressions]:
    operand, shape = call.operands[0], call.shape
    spread = [1] * len(shape)
    for axis, size in zip(call.params["broadcast_dimensions"], operand.shape, strict=True):
        spread[axis] = size
    return [np.broadcast_to(operand.reshape(spread), shape)]


@register("rev")
def _rev(call: Call) -> list[Expressions]:
    return [np.flip(call.operands[0], call.params["dimensions"])]


@register("slice")
def _slice(call: Call) -> list[Expressions]:
    params = call.params
    strides = params["strides"] or itertools.repeat(1)
    return [call.operands[0][tuple(map(slice, params["start_indices"], params["limit_indices"], strides))]]


@register("pad")
def _pad(call: Call) -> list[Expressions]:
    operand, value = call.operands
    result = np.full(call.shape, value.item(), np.int64)
    into, taken = [], []
    for (low, _, between), size, room in zip(
        call.params["padding_config"], operand.shape, call.shape, strict=True
    ):
        # Negative padding cuts entries off.
        first = -(low // (between + 1)) if low < 0 else 0
        last = min(size, (room - low + between) // (between + 1))
        taken.append(slice(first, max(first, last)))
        start = low + first * (between + 1)
        into.append(
            slice(start, start + (last - first - 1) * (between + 1) + 1, between + 1)
            if last > first
            else slice(0, 0)
        )
    result[tuple(into)] = operand[tuple(taken)]
    return [result]


@register("concatenate")
def _concatenate(call: Call) -> list[Expressions]:
    return [np.concatenate(call.operands, axis=call.params["dimension"])]


@register("stack")
def _stack(call: Call) -> list[Expressions]:
    return [np.stack(call.operands, axis=call.params["axis"])]


@register("tile")
def _tile(call: Call) -> list[Expressions]:
    return [np.tile(call.operands[0], call.params["reps"])]


@register("split")
def _split(call: Call) -> list[Expressions]:
    ends = list(itertools.accumulate(call.params["sizes"]))
    return np.split(call.operands[0], ends[:-1], axis=call.params["axis"])


@register("unstack")
def _unstack(call: Call) -> list[Expressions]:
    axis = call.params["axis"]
    return [np.take(call.operands[0], at, axis) for at in range(call.operands[0].shape[axis])]


@register("iota")
def _iota(call: Call) -> list[Expressions]:
    kind, shape, dimension = call.kind, call.shape, call.params["dimension"]
    numbers = np.arange(shape[dimension])
    entries = np.array([call.scalars.const(KINDS[kind](n), kind) for n in numbers], np.int64)
    return [np.broadcast_to(entries.reshape([-1 if d == dimension else 1 for d in range(len(shape))]), shape)]


@register("empty")
def _empty(call: Call) -> list[Expressions]:
    return [np.full(call.shape, call.scalars.const(0, call.kind), np.int64)]
