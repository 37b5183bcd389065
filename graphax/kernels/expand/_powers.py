"""Powers: products and roots where exponents are known, on scalar expressions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._scalars import Scalars
from ._expansion import Call, Expansion, Expressions, NoKernel, register

#: Real exponents up to this one are taken for integers if they are; products add up errors.
_LARGEST = 4


@register("integer_pow")
def _integer_pow(call: Call) -> list[Expressions]:
    exponent = call.params["y"]
    return call.shaped([_to_an_integer(call.expansion, x, exponent) for x in call.spread(0)])


@register("pow")
def _pow(call: Call) -> list[Expressions]:
    scalars, expansion, kind = call.scalars, call.expansion, call.kind
    if kind[0] != "f":
        raise NoKernel("powers of integers are not expanded into scalars")
    real = call.kind_of(1) == kind

    def power(x: int, y: int) -> int:
        known = scalars.value(y) if real else None
        if known is not None and abs(known) <= _LARGEST and known == int(known) != 0:
            return _to_an_integer(expansion, x, int(known))
        if known is not None and abs(known) < _LARGEST and 2 * known == int(2 * known) != 0:
            return _to_a_half(expansion, x, float(known), expansion.order)
        if real:
            return scalars.binary("pow", x, y)
        return _to_a_whole(expansion, x, scalars.convert(y, kind), expansion.order)

    return call.shaped(list(map(power, call.spread(0), call.spread(1))))


def _to_an_integer(expansion: Expansion, x: int, exponent: int) -> int:
    scalars, kind = expansion.scalars, expansion.scalars.kinds[x]
    y = _repeated(scalars, x, abs(exponent))
    if exponent < 0:
        y = scalars.div(scalars.const(1, kind), y)
    if -2 < exponent < 3 or kind[0] != "f":
        return y
    factor = scalars.const(exponent, kind)

    def partial(y: int) -> list[int]:
        rest = _repeated(scalars, x, exponent - 1) if exponent > 0 else scalars.div(y, x)
        return [scalars.mul(factor, rest)]

    return expansion.given_by_itself(y, (x,), partial)


def _repeated(scalars: Scalars, x: int, times: int) -> int:
    """A power by repeated squaring, as JAX does it."""
    found = scalars.const(1, scalars.kinds[x])
    while times:
        if times & 1:
            found = scalars.mul(found, x)
        times >>= 1
        if times:
            x = scalars.mul(x, x)
    return found


def _to_a_half(expansion: Expansion, x: int, exponent: float, order: int) -> int:
    """A power with an exponent between two integers: of -0 it is that of 0, of -inf that of inf."""
    scalars, kind = expansion.scalars, expansion.scalars.kinds[x]
    positive = _not_negative(scalars, x)
    base = x if positive else scalars.add(x, scalars.const(0, kind))
    found = scalars.mul(_repeated(scalars, base, int(abs(exponent))), scalars.function("sqrt", base))
    if exponent < 0:
        found = scalars.div(scalars.const(1, kind), found)
    if not positive:
        lowest = scalars.compare("eq", x, scalars.const(-np.inf, kind))
        found = scalars.select(lowest, scalars.const(np.inf if exponent > 0 else 0, kind), found)
    if not order:
        return found
    rest = _to_a_half(expansion, x, exponent - 1, order - 1)
    return expansion.given(found, (x,), (scalars.mul(scalars.const(exponent, kind), rest),))


def _to_a_whole(expansion: Expansion, x: int, y: int, order: int) -> int:
    """A power with an exponent that is an integer at run time; of zero it has no derivative."""
    scalars, kind = expansion.scalars, expansion.scalars.kinds[x]
    found = scalars.binary("pow", x, y)
    if not order:
        return found
    rest = _to_a_whole(expansion, x, scalars.sub(y, scalars.const(1, kind)), order - 1)
    none = scalars.compare("eq", y, scalars.const(0, kind))
    partial = scalars.select(none, scalars.zero(kind), scalars.mul(y, rest))
    return expansion.given(found, (x,), (partial,))


def _not_negative(scalars: Scalars, x: int, depth: int = 8) -> bool:
    """Whether an expression is seen to be no negative number; the sign of a zero aside."""
    op, args, known = scalars.ops[x], scalars.args[x], scalars.value(x)

    def all_are(operands: Any) -> bool:
        return depth > 0 and all(_not_negative(scalars, y, depth - 1) for y in operands)

    if known is not None:
        return bool(known >= 0)
    if op in ("exp", "exp2", "abs", "sqrt") or (op == "mul" and args[0] == args[1]):
        return True
    if op in ("add", "mul", "div", "min"):
        return all_are(args)
    if op == "max":
        return all_are(args[:1]) or all_are(args[1:])
    if op == "select":
        return all_are(args[1:])
    return op in ("given", "convert") and all_are(args[:1])
