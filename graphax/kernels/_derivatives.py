"""Sums and products of derivatives: zeros are structural in them, and their signs do not matter."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._scalars import Scalars, operands_first


def vanishes(scalars: Scalars, x: int) -> bool:
    """Whether a derivative is zero whatever the inputs are."""
    return scalars.value(x) == 0


def times(scalars: Scalars, x: int, y: int) -> int:
    """The product of two derivatives. What a selection leaves out is left out of the product."""
    if vanishes(scalars, x) or vanishes(scalars, y):
        return scalars.zero(scalars.kinds[x])
    for a, b in ((x, y), (y, x)):
        if scalars.ops[a] == "neg":
            return scalars.neg(times(scalars, scalars.args[a][0], b))
        arms = _selection(scalars, a)
        if arms is not None:
            predicate, on_true, on_false = arms
            return scalars.select(predicate, times(scalars, on_true, b), times(scalars, on_false, b))
    product = _product(scalars, x, y)
    for a, b in ((x, y), (y, x)):
        there = None if scalars.value(b) is not None else _where_there(scalars, a)
        if there is not None:
            product = scalars.select(there, product, scalars.zero(scalars.kinds[x]))
    return product


def _product(scalars: Scalars, x: int, y: int) -> int:
    """The product, with constant factors joined, unless they are such as cancel other factors."""
    one, other = _coefficient(scalars, x), _coefficient(scalars, y)
    if one and other and _moderate(scalars.value(one[0]), scalars.value(other[0])):
        product = scalars.mul(one[0], other[0])
        for rest in (one[1], other[1]):
            product = product if rest is None else scalars.mul(rest, product)
        return product
    return scalars.mul(x, y)


def of_kind(scalars: Scalars, x: int, kind: str) -> int:
    """A derivative of another kind; zeros stay structural."""
    if scalars.kinds[x] == kind:
        return x
    if scalars.is_zero(x):
        return scalars.zero(kind)
    arms = _selection(scalars, x)
    if arms is None:
        return scalars.convert(x, kind)
    return scalars.select(arms[0], *(of_kind(scalars, arm, kind) for arm in arms[1:]))


def _moderate(x: Any, y: Any) -> bool:
    """Whether the product of two numbers is far from overflow and from underflow."""
    return abs(math.frexp(x)[1] + math.frexp(y)[1]) < np.finfo(x.dtype).maxexp // 2


def _coefficient(scalars: Scalars, x: int) -> tuple[int, int | None] | None:
    """A constant factor and the other one, which None stands for where there is none."""
    if scalars.value(x) is not None:
        return x, None
    op, args = scalars.ops[x], scalars.args[x]
    if op == "mul":
        for a, b in (args, args[::-1]):
            if scalars.value(a) is not None:
                return a, b
    if op == "div" and scalars.value(args[0]) not in (None, 1):
        return args[0], scalars.div(scalars.const(1, scalars.kinds[x]), args[1])
    return None


def _selection(scalars: Scalars, x: int) -> tuple[int, int, int] | None:
    """Predicate and arms of a selection that leaves something out, or of its negative."""
    if scalars.ops[x] == "neg":
        arms = _selection(scalars, scalars.args[x][0])
        return arms and (arms[0], scalars.neg(arms[1]), scalars.neg(arms[2]))
    if scalars.ops[x] == "select" and any(map(scalars.is_zero, scalars.args[x][1:])):
        return scalars.args[x]  # type: ignore[return-value]
    return None


def _where_there(scalars: Scalars, root: int) -> int | None:
    """Where a derivative made of selections is not left out: a truth value; None where it never is."""
    known = scalars.where_there
    if root in known:
        return known[root]

    def parts(x: int) -> Sequence[int]:
        op = scalars.ops[x]
        return scalars.args[x][_PARTS[op]] if op in _PARTS else ()

    for x in operands_first([root], known, parts):
        known[x] = _there(scalars, scalars.ops[x], scalars.args[x], [known[y] for y in parts(x)])
    return known[root]


#: The operands that leave something out of a result by being left out themselves.
_PARTS = {
    "select": slice(1, 3),
    "add": slice(2),
    "sub": slice(2),
    "mul": slice(2),
    "div": slice(1),
    "neg": slice(1),
    "convert": slice(1),
}


def _there(scalars: Scalars, op: str, args: Sequence[int], parts: Sequence[int | None]) -> int | None:
    """The same for an operation, by where its parts are there."""
    if op == "zero":
        return scalars.const(False, "b1")
    found = [part for part in parts if part is not None]
    if not found:
        return None
    if op == "select":
        always = scalars.const(True, "b1")
        on_true, on_false = (always if part is None else part for part in parts)
        otherwise = scalars.function("not", args[0])
        arms = scalars.binary("and", args[0], on_true), scalars.binary("and", otherwise, on_false)
        return scalars.binary("or", *arms)
    if op in ("add", "sub"):
        return None if len(found) < len(parts) else scalars.binary("or", *found)
    return functools.reduce(functools.partial(scalars.binary, "and"), found)


def plus(scalars: Scalars, x: int, y: int) -> int:
    """The sum of two derivatives."""
    if scalars.ops[x] == "neg":
        if scalars.ops[y] == "neg":
            return scalars.neg(scalars.add(scalars.args[x][0], scalars.args[y][0]))
        x, y = y, x
    if vanishes(scalars, x):
        return y
    if vanishes(scalars, y):
        return x
    if x == y:
        return times(scalars, scalars.const(2, scalars.kinds[x]), x)
    one, other = _selection(scalars, x), _selection(scalars, y)
    if one and other and one[0] == other[0]:
        pairs = zip(one[1:], other[1:], strict=True)
        return scalars.select(one[0], *(plus(scalars, a, b) for a, b in pairs))
    return scalars.add(x, y)
