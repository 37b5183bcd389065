"""Fewer operations for the same derivatives, by what is used only once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ._scalars import LEAVES, Scalars, operands


def simplify(scalars: Scalars, roots: Sequence[int], values: int) -> list[int]:
    """Expressions for the same derivatives that take fewer operations, and differ in rounding alone.

    - ``x * (1 / y)`` is a division, if nothing else takes the reciprocal;
    - ``-(c * x)`` has the sign in the constant;
    - ``a * b + a * c`` is ``a * (b + c)``, if nothing else takes the products.

    Args:
        scalars: the table in which they stand.
        roots: the derivatives.
        values: expressions before this one are values of the user's program, and stay as they are.

    Returns:
        one expression for every root.
    """
    count = len(roots)
    for _ in range(_PASSES):
        inside = [x for loop in scalars.loops for x in (*loop.first, *loop.after)]
        found = iter(_rewritten(scalars, [*roots, *inside], values))
        roots = [next(found) for _ in range(count)]
        for loop in scalars.loops:
            loop.first = [next(found) for _ in loop.first]
            loop.after = [next(found) for _ in loop.after]
    return list(roots)


_PASSES = 3


def _rewritten(scalars: Scalars, roots: Sequence[int], values: int) -> list[int]:
    order, uses = _reached(scalars, roots)
    new: dict[int, int] = {}
    for x in order:
        if x < values:
            new[x] = x
            continue
        op, args = scalars.ops[x], scalars.args[x]
        if op in LEAVES:
            new[x] = x
            continue
        if op == "given":
            new[x] = new[args[0]]
            continue
        simple = [new[y] for y in args]
        once = [uses[y] == 1 and y >= values for y in args]
        new[x] = _simpler(scalars, op, simple, once) or scalars.operation(op, simple, scalars.kinds[x])
    return [new[x] for x in roots]


def _simpler(s: Scalars, op: str, operands: list[int], once: list[bool]) -> int | None:
    """A cheaper expression for an operation on operands, each with whether nothing else takes it."""
    if op == "mul" and s.kinds[operands[0]][0] == "f":
        for x, y, free in (operands[0], operands[1], once[1]), (operands[1], operands[0], once[0]):
            if free and s.ops[y] == "div" and s.value(s.args[y][0]) == 1:
                return s.div(x, s.args[y][1])
    if op == "neg" and once[0]:
        (x,) = operands
        if s.ops[x] in ("mul", "div"):
            a, b = s.args[x]
            for c, other in ((a, b), (b, a)) if s.ops[x] == "mul" else ((a, b),):
                if s.value(c) is not None:
                    return s.binary(s.ops[x], s.neg(c), other)
        if s.ops[x] == "sub":
            return s.sub(*s.args[x][::-1])
    if op in ("add", "sub") and all(once):
        return _factored(s, op, *operands)
    return None


def _factored(s: Scalars, op: str, x: int, y: int) -> int | None:
    """The sum or the difference of two products with a common factor."""
    if s.ops[x] != "mul" or s.ops[y] != "mul":
        return None
    common = set(s.args[x]) & set(s.args[y])
    if not common:
        return None
    factor = max(common, key=lambda z: (s.value(z) is None, z))
    rests = [s.args[z][1] if s.args[z][0] == factor else s.args[z][0] for z in (x, y)]
    return s.mul(factor, s.binary(op, *rests))


def _reached(scalars: Scalars, roots: Sequence[int]) -> tuple[list[int], Counter[int]]:
    """What the roots need, operands first, and how often each expression is used."""
    uses: Counter[int] = Counter(roots)
    seen = set(roots)
    pending = list(seen)
    while pending:
        x = pending.pop()
        args = operands(scalars, x)
        uses.update(args)
        for y in args:
            if y not in seen:
                seen.add(y)
                pending.append(y)
    return sorted(seen), uses
