"""Fewer operations for the same derivatives, by what is used only once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ._scalars import LEAVES, Scalars, operands


def simplify(scalars: Scalars, roots: Sequence[int], values: int) -> list[int]:
    """Expressions for the same derivatives that take fewer operations, and differ in rounding alone.

    - ``x * (1 / y)`` is a division, if nothing else takes the reciprocal;
    - ``-(c * x)`` has the sign in the constant;
    - ``a * b + a * c`` is ``a * (b + c)``, if nothing else takes the products or the sum is there already;
      ``a`` may be a factor of a factor;
    - ``x - y`` is ``-(y - x)``, if that is there already.

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
        before = [*roots, *inside]
        after = _rewritten(scalars, before, values)
        if after == before:
            break
        found = iter(after)
        roots = [next(found) for _ in range(count)]
        for loop in scalars.loops:
            loop.first = [next(found) for _ in loop.first]
            loop.after = [next(found) for _ in loop.after]
    return list(roots)


_PASSES = 3


def _rewritten(scalars: Scalars, roots: Sequence[int], values: int) -> list[int]:
    order, uses = _reached(scalars, roots)
    rewriting = _Rewriting(scalars, uses, values)
    for x in order:
        rewriting.rewrite(x)
    return [rewriting.new[x] for x in roots]


class _Rewriting:
    """One pass through expressions, operands first.

    Attributes:
        uses: how often each expression is used.
        new: what stands in the place of each that was rewritten.
        taken: how often what stands there is used.
    """

    def __init__(self, scalars: Scalars, uses: Counter[int], values: int) -> None:
        self.scalars, self.uses, self.values = scalars, uses, values
        self.new: dict[int, int] = {}
        self.taken: dict[int, int] = {}

    def rewrite(self, x: int) -> None:
        """Put something in the place of an expression whose operands were rewritten."""
        scalars = self.scalars
        op, args = scalars.ops[x], scalars.args[x]
        if x < self.values or op in LEAVES:
            found = x
        elif op == "given":
            found = self.new[args[0]]
        else:
            simple = [self.new[y] for y in args]
            found = self.simpler(op, simple, [self.uses[y] == 1 and y >= self.values for y in args])
            if found is None:
                found = scalars.operation(op, simple, scalars.kinds[x])
        self.new[x] = found
        self.taken[found] = self.taken.get(found, 0) + self.uses[x]

    def simpler(self, op: str, operands: list[int], once: list[bool]) -> int | None:
        """A cheaper expression for an operation on operands, each with whether nothing else takes it."""
        s = self.scalars
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
        if op in ("add", "sub"):
            return self.factored(op, operands, once) if any(once) else self.turned(op, *operands)
        return None

    def is_there(self, x: int) -> bool:
        """Whether an expression is computed anyway, be it with the other sign."""
        if self.scalars.ops[x] == "neg":
            x = self.scalars.args[x][0]
        return x in self.taken or x in self.uses or self.scalars.value(x) is not None

    def turned(self, op: str, x: int, y: int) -> int | None:
        """A difference as the negative of the opposite one, if that was put somewhere before."""
        s = self.scalars
        if op == "add" or (opposite := s.sub(y, x)) not in self.taken:
            return None
        return s.neg(opposite)

    def joined(self, op: str, x: int, y: int) -> int:
        """A sum or a difference; the negative of the opposite one if only that is there."""
        s = self.scalars
        found = s.binary(op, x, y)
        if op == "sub" and not self.is_there(found) and self.is_there(opposite := s.sub(y, x)):
            return s.neg(opposite)
        return found

    def factored(self, op: str, operands: list[int], once: list[bool]) -> int | None:
        """The sum or the difference of two products with a common factor, where that takes less."""
        s = self.scalars
        if any(s.ops[x] != "mul" for x in operands):
            return self.turned(op, *operands)
        best, most = None, 0
        others = self.factors(operands[1])
        for factor, (rest, inner) in self.factors(operands[0]).items():
            if factor not in others:
                continue
            other, other_inner = others[factor]
            parts = [s.mul(*each) if len(each) == 2 else each[0] for each in (rest, other)]
            joined = self.joined(op, *parts)
            gain = sum(1 + gone for free, gone in zip(once, (inner, other_inner), strict=True) if free)
            gain -= sum(not self.is_there(x) for x in (*parts, joined))
            if gain > most or (gain == most and best is not None and s.value(factor) is None):
                best, most = s.mul(factor, joined), gain
        return self.turned(op, *operands) if best is None else best

    def factors(self, x: int) -> dict[int, tuple[tuple[int, ...], bool]]:
        """The factors of a product, and those of its factors that are products themselves.

        Returns:
            for each what the rest is a product of, and whether a product is gone when it is taken out.
        """
        s = self.scalars
        found: dict[int, tuple[tuple[int, ...], bool]] = {}
        pairs = s.args[x], s.args[x][::-1]
        for a, b in pairs:
            if s.ops[a] == "mul":
                for c, d in (s.args[a], s.args[a][::-1]):
                    found[c] = (d, b), self.taken.get(a) == 1
        return found | {a: ((b,), False) for a, b in pairs}


def _reached(scalars: Scalars, roots: Sequence[int]) -> tuple[list[int], Counter[int]]:
    """What the roots need, operands first, and how often each expression is used."""
    uses: Counter[int] = Counter(roots)
    seen = set(roots)
    pending = list(seen)
    while pending:
        x = pending.pop()
        for y in operands(scalars, x):
            uses[y] += 1
            if y not in seen:
                seen.add(y)
                pending.append(y)
    return sorted(seen), uses
