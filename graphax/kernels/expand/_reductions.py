"""Reductions, products of arrays, and cumulative operations, on scalar expressions."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._scalars import KINDS, Scalars
from ._elementwise import extremum_of
from ._expansion import Call, Expansion, Expressions, register

Binary = Callable[[int, int], int]
#: Up to so many terms are combined one after another, more of them by halves: errors add up less.
_IN_A_ROW = 8


def combined(fun: Binary, terms: Sequence[int]) -> int:
    """One term of several, by an associative operation."""
    if len(terms) <= _IN_A_ROW:
        return functools.reduce(fun, terms)
    half = len(terms) // 2
    return fun(combined(fun, terms[:half]), combined(fun, terms[half:]))


def _rows(call: Call, axes: Sequence[int]) -> list[list[int]]:
    """The entries of the first operand that meet in every entry of the result."""
    operand = call.operands[0]
    kept = [axis for axis in range(operand.ndim) if axis not in axes]
    count = math.prod(operand.shape[axis] for axis in kept)
    return operand.transpose(*kept, *axes).reshape(count, -1 if operand.size else 0).tolist()


def _reduced(call: Call, fun: Binary, neutral: int) -> list[Expressions]:
    rows = _rows(call, call.params["axes"])
    return call.shaped([combined(fun, row) if row else neutral for row in rows])


@register("reduce_sum")
def _sum(call: Call) -> list[Expressions]:
    scalars, nothing = call.scalars, call.scalars.const(0, call.kind)
    # To zero, with which XLA begins, zeros add nothing.
    rows = [[x for x in row if scalars.value(x) != 0] for row in _rows(call, call.params["axes"])]
    return call.shaped([combined(scalars.add, row) if row else nothing for row in rows])


@register("reduce_prod")
def _product(call: Call) -> list[Expressions]:
    return _reduced(call, call.scalars.mul, call.scalars.const(1, call.kind))


@register("reduce_and", "reduce_or", "reduce_xor")
def _logical(call: Call) -> list[Expressions]:
    scalars, op = call.scalars, call.name.removeprefix("reduce_")
    nothing = scalars.const(0, call.kind)
    neutral = scalars.function("not", nothing) if op == "and" else nothing
    return _reduced(call, functools.partial(scalars.binary, op), neutral)


@register("reduce_max", "reduce_min")
def _extremum(call: Call) -> list[Expressions]:
    name, kind = call.name.removeprefix("reduce_"), call.kind
    fun = functools.partial(call.scalars.binary, extremum_of(name, kind))
    neutral = call.scalars.const(lowest(kind) if name == "max" else highest(kind), kind)

    def extremum(row: list[int]) -> int:
        if not row:
            return neutral
        found = combined(fun, row)
        # By the chain rule those that are equal would have unequal shares.
        return _shared(call.expansion, row, found, name) if len(row) > 2 and kind[0] == "f" else found

    return call.shaped(list(map(extremum, _rows(call, call.params["axes"]))))


def lowest(kind: str) -> float:
    return -np.inf if kind[0] == "f" else False if kind == "b1" else np.iinfo(KINDS[kind]).min


def highest(kind: str) -> float:
    return np.inf if kind[0] == "f" else True if kind == "b1" else np.iinfo(KINDS[kind]).max


def _shared(expansion: Expansion, row: list[int], found: int, name: str) -> int:
    """The greatest or least entry, its derivative shared by those that are equal to it; NaN where it is."""
    scalars = expansion.scalars
    if not expansion.order or scalars.value(found) is not None:
        return found
    kind = scalars.kinds[found]
    one, none, zero = scalars.const(1, kind), scalars.const(0, kind), scalars.zero(kind)
    misses = [scalars.compare("lt" if name == "max" else "gt", x, found) for x in row]
    count = combined(scalars.add, [scalars.select(missed, none, one) for missed in misses])
    share = scalars.select(
        scalars.compare("eq", found, found), scalars.div(one, count), scalars.const(np.nan, kind)
    )
    return expansion.given(found, row, [scalars.select(missed, zero, share) for missed in misses])


@register("argmax", "argmin")
def _arg_extremum(call: Call) -> list[Expressions]:
    """The first place of the greatest or least entry, or of the first NaN."""
    scalars, kind = call.scalars, call.kind
    real = call.kind_of(0)[0] == "f"
    name = "lt" if call.name == "argmax" else "gt"

    def better(x: int, best: int) -> int:
        if call.kind_of(0) == "b1":
            best, x = (best, x) if name == "lt" else (x, best)
            return scalars.binary("and", x, scalars.function("not", best))
        if not real:
            return scalars.compare(name, best, x)
        # Selections take the negation for nothing.
        stays = scalars.compare("ge" if name == "lt" else "le", best, x)
        stays = scalars.binary("or", stays, scalars.compare("ne", best, best))
        return scalars.function("not", stays)

    def place(row: list[int]) -> int:
        best, at = row[0], scalars.const(0, kind)
        for k, x in enumerate(row[1:], 1):
            wins = better(x, best)
            best, at = scalars.select(wins, x, best), scalars.select(wins, scalars.const(k, kind), at)
        return at

    return call.shaped(list(map(place, _rows(call, call.params["axes"]))))


# ---- products


@register("dot_general")
def _dot_general(call: Call) -> list[Expressions]:
    expansion, scalars = call.expansion, call.scalars
    (left_sum, right_sum), (left_stack, right_stack) = call.params["dimension_numbers"]
    left = _as_matrices(call.operands[0], left_stack, left_sum)
    right = _as_matrices(call.operands[1], right_stack, right_sum)
    kinds = call.kind_of(0), call.kind_of(1)
    present = [_present(scalars, array) for array in (left, right)]
    expansion.allow(int((present[0].sum(1) * present[1].sum(1)).sum()) if np.size(present[0]) else 0)
    if kinds != (call.kind, call.kind):
        left, right = (
            np.array([scalars.convert(x, call.kind) for x in a.ravel().tolist()], np.int64).reshape(a.shape)
            for a in (left, right)
        )
    nothing, sparse = scalars.const(0, call.kind), not (present[0].all() and present[1].all())
    matrices: Any = left.tolist(), right.tolist()
    entries = []
    for rows, columns in zip(*matrices, strict=True):
        for row, column in itertools.product(rows, columns):
            pairs: Any = zip(row, column, strict=True)
            if sparse:
                pairs = [pair for pair in pairs if _counts(expansion, *pair)]
            terms = [scalars.mul(x, y) for x, y in pairs]
            entries.append(combined(scalars.add, terms) if terms else nothing)
    return call.shaped(entries)


def _as_matrices(operand: Expressions, stack: Sequence[int], summed: Sequence[int]) -> Expressions:
    """Shape ``(stack, rows, summed)``."""
    free = [axis for axis in range(operand.ndim) if axis not in (*stack, *summed)]
    sizes = [math.prod(operand.shape[axis] for axis in axes) for axes in (stack, free, summed)]
    return operand.transpose(*stack, *free, *summed).reshape(sizes)


def _present(scalars: Scalars, array: Expressions) -> np.ndarray:
    """Where entries are not zero."""
    found = [scalars.value(x) != 0 for x in array.ravel().tolist()]
    return np.array(found, bool).reshape(array.shape)


def _counts(expansion: Expansion, x: int, y: int) -> bool:
    """Whether a product is a term: those of a matrix's zeros and what is finite are none."""
    value, finite = expansion.scalars.value, expansion.finite
    return not ((value(x) == 0 and finite(y)) or (value(y) == 0 and finite(x)))


# ---- cumulative


@register("cumsum", "cumprod")
def _running(call: Call) -> list[Expressions]:
    fun = call.scalars.add if call.name == "cumsum" else call.scalars.mul

    def running(line: list[int]) -> list[int]:
        found = line[:1]
        for x in line[1:]:
            found.append(fun(found[-1], x))
        return found

    return _cumulative(call, running)


@register("cummax", "cummin", "cumlogsumexp")
def _scanned(call: Call) -> list[Expressions]:
    """By the tree that JAX differentiates, so that equal entries have the same shares."""
    if call.name == "cumlogsumexp":
        fun = functools.partial(_log_add_exp, call.expansion)
    else:
        fun = functools.partial(call.scalars.binary, extremum_of(call.name.removeprefix("cum"), call.kind))

    def scan(line: list[int]) -> list[int]:
        if len(line) < 2:
            return line
        odd = scan([fun(x, y) for x, y in zip(line[:-1:2], line[1::2], strict=True)])
        even = [line[0], *(fun(x, y) for x, y in zip(odd, line[2::2], strict=False))]
        found = [0] * len(line)
        found[::2], found[1::2] = even, odd
        return found

    return _cumulative(call, scan)


def _cumulative(call: Call, fun: Callable[[list[int]], list[int]]) -> list[Expressions]:
    operand, axis, reverse = call.operands[0], call.params["axis"], call.params["reverse"]
    if not operand.size:
        return [operand]
    step = -1 if reverse else 1
    lines = np.moveaxis(operand, axis, -1)
    found = [fun(line[::step])[::step] for line in lines.reshape(-1, lines.shape[-1]).tolist()]
    return [np.moveaxis(np.array(found, np.int64).reshape(lines.shape), -1, axis)]


def _log_add_exp(expansion: Expansion, x: int, y: int) -> int:
    scalars, kind = expansion.scalars, expansion.scalars.kinds[x]
    distance = scalars.sub(x, y)
    small = scalars.function("exp", scalars.neg(scalars.function("abs", distance)))
    usual = scalars.add(scalars.binary("max", x, y), scalars.function("log1p", small))
    there = scalars.compare("eq", distance, distance)
    found = scalars.select(there, usual, scalars.add(x, y))
    none, infinite = scalars.const(0, kind), scalars.const(np.inf, kind)

    def replaced(z: int) -> int:
        return scalars.select(scalars.compare("eq", z, infinite), none, z)

    def partials(found: int) -> list[int]:
        return [scalars.function("exp", scalars.sub(replaced(z), replaced(found))) for z in (x, y)]

    return expansion.given_by_itself(found, (x, y), partials)
