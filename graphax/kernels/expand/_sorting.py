"""Sorting a few entries: neighbours that are out of order are exchanged, by selections."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .._scalars import Scalars
from ._expansion import Call, Expressions, NoKernel, register

#: The longest line that is sorted; exchanges grow with its square.
LONGEST = 16
Line = list[int]


@register("sort")
def _sort(call: Call) -> list[Expressions]:
    axis, keys = call.params["dimension"], call.params["num_keys"]
    kinds = [call.kind_of(at) for at in range(keys)]

    def before(row: list[int], other: list[int]) -> int:
        """In the order of the first keys that differ."""
        scalars, found = call.scalars, -1
        for at in reversed(range(keys)):
            less = _less(scalars, row[at], other[at], kinds[at])
            if at < keys - 1:
                more = _less(scalars, other[at], row[at], kinds[at])
                less = scalars.binary("or", less, scalars.binary("and", scalars.function("not", more), found))
            found = less
        return found

    return _sorted_lines(call, call.operands, axis, before)


@register("top_k")
def _top_k(call: Call) -> list[Expressions]:
    operand = call.operands[0]
    axis, kind = call.params.get("axis", -1) % operand.ndim, call.kind_of(0)
    size, index = operand.shape[axis], call.equation.outputs[1].aval.dtype.str[1:]
    places = np.array([call.scalars.const(k, index) for k in range(size)], np.int64)
    places = np.broadcast_to(
        places.reshape([-1 if dim == axis else 1 for dim in range(operand.ndim)]), operand.shape
    )
    found = _sorted_lines(
        call, [operand, places], axis, lambda row, other: _less(call.scalars, other[0], row[0], kind)
    )
    return [np.moveaxis(np.moveaxis(a, axis, 0)[: call.params["k"]], 0, axis) for a in found]


@register("lt_to", "le_to", "eq_to")
def _total_order(call: Call) -> list[Expressions]:
    """Comparisons in which NaN comes last, and negative zero before zero."""
    scalars, kind = call.scalars, call.kind_of(0)

    def less(x: int, y: int) -> int:
        found = _less(scalars, x, y, kind)
        if kind[0] != "f" or scalars.value(x) or scalars.value(y):
            return found
        nothing, one = scalars.const(0, kind), scalars.const(1, kind)
        zeros = [scalars.compare("eq", z, nothing) for z in (x, y)]
        signed = scalars.compare("lt", scalars.div(one, x), scalars.div(one, y))
        return scalars.binary("or", found, scalars.binary("and", scalars.binary("and", *zeros), signed))

    def compared(x: int, y: int) -> int:
        if call.name == "lt_to":
            return less(x, y)
        not_more = scalars.function("not", less(y, x))
        if call.name == "le_to":
            return not_more
        return scalars.binary("and", not_more, scalars.function("not", less(x, y)))

    pairs = zip(call.spread(0), call.spread(1), strict=True)
    return call.shaped([compared(x, y) for x, y in pairs])


def _less(scalars: Scalars, x: int, y: int, kind: str) -> int:
    """Whether one comes before another; NaN comes last."""
    if kind == "b1":
        return scalars.binary("and", scalars.function("not", x), y)
    if kind[0] != "f":
        return scalars.compare("lt", x, y)
    # Selections take the negation for nothing.
    not_less = scalars.binary("or", scalars.compare("le", y, x), scalars.compare("ne", x, x))
    return scalars.function("not", not_less)


def _sorted_lines(
    call: Call, operands: list[Expressions], axis: int, before: Callable[[Line, Line], int]
) -> list[Expressions]:
    """Arrays whose lines along an axis are sorted together, those that are equal as they were.

    Raises:
        NoKernel: if the lines are too long.
    """
    shape, size = operands[0].shape, operands[0].shape[axis]
    if size > LONGEST:
        raise NoKernel(f"'{call.name}' of {size} entries is not expanded into scalars, of {LONGEST} it is")
    lines = np.stack([np.moveaxis(operand, axis, -1) for operand in operands], -1)
    call.expansion.allow(lines.size // max(size, 1) * size * (size - 1))
    select, found = call.scalars.select, []
    for rows in lines.reshape(-1, size, len(operands)).tolist():
        for turn in range(size):
            for at in range(turn % 2, size - 1, 2):
                first, second = rows[at : at + 2]
                swap = before(second, first)
                rows[at] = [select(swap, y, x) for x, y in zip(first, second, strict=True)]
                rows[at + 1] = [select(swap, x, y) for x, y in zip(first, second, strict=True)]
        found.append(rows)
    stacked = np.array(found, np.int64).reshape(lines.shape)
    return [np.moveaxis(stacked[..., at], -1, axis).reshape(shape) for at in range(len(operands))]
