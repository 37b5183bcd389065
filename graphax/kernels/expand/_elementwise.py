"""Elementwise primitives, on scalar expressions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from .._scalars import COMPARISONS, FUNCTIONS, KINDS
from ._expansion import Call, Expressions, NoKernel, register


def _each(call: Call, fun: Callable[..., int]) -> list[Expressions]:
    """A function of scalars, entry by entry."""
    return call.shaped(list(map(fun, *map(call.spread, range(len(call.operands))))))


# ---- of one operand


@register(*(FUNCTIONS.keys() - {"round"}), "neg", "not", "sign")
def _function(call: Call) -> list[Expressions]:
    function, name = call.scalars.function, call.name
    return _each(call, lambda x: function(name, x))


@register(
    "copy",
    "copy_p",
    "device_put",
    "layout_constraint",
    "name",
    "optimization_barrier",
    "pvary",
    "reshard",
    "sharding_constraint",
)
def _same(call: Call) -> list[Expressions]:
    return call.operands


@register("stop_gradient")
def _stop_gradient(call: Call) -> list[Expressions]:
    given = call.expansion.given
    return _each(call, lambda x: given(x, (), ()))


@register("square")
def _square(call: Call) -> list[Expressions]:
    mul = call.scalars.mul
    return _each(call, lambda x: mul(x, x))


@register("one_minus_square")
def _one_minus_square(call: Call) -> list[Expressions]:
    scalars, one = call.scalars, call.scalars.const(1, call.kind)
    return _each(call, lambda x: scalars.sub(one, scalars.mul(x, x)))


@register("log2")
def _log2(call: Call) -> list[Expressions]:
    scalars, base = call.scalars, call.scalars.const(math.log(2), call.kind)
    return _each(call, lambda x: scalars.div(scalars.function("log", x), base))


@register("rsqrt")
def _rsqrt(call: Call) -> list[Expressions]:
    scalars, given = call.scalars, call.expansion.given_by_itself
    one, half = scalars.const(1, call.kind), scalars.const(-0.5, call.kind)

    def rsqrt(x: int) -> int:
        y = scalars.div(one, scalars.function("sqrt", x))
        return given(y, (x,), lambda y: [scalars.mul(half, scalars.div(y, x))])

    return _each(call, rsqrt)


@register("logistic")
def _logistic(call: Call) -> list[Expressions]:
    scalars, given = call.scalars, call.expansion.given_by_itself
    one = scalars.const(1, call.kind)

    def logistic(x: int) -> int:
        y = scalars.div(one, scalars.add(one, scalars.function("exp", scalars.neg(x))))
        # By the chain rule it would be zero times infinity for large negative numbers.
        return given(y, (x,), lambda y: [scalars.mul(y, scalars.sub(one, y))])

    return _each(call, logistic)


@register("round")
def _round(call: Call) -> list[Expressions]:
    scalars, given = call.scalars, call.expansion.given
    if int(call.params["rounding_method"]):
        return _each(call, lambda x: scalars.function("round", x))
    one, half = scalars.const(1, call.kind), scalars.const(0.5, call.kind)

    def away_from_zero(x: int) -> int:
        size = scalars.function("abs", x)
        below = scalars.function("floor", size)
        up = scalars.compare("ge", scalars.sub(size, below), half)
        rounded = scalars.select(up, scalars.add(below, one), below)
        return given(scalars.mul(scalars.function("sign", x), rounded), (), ())

    return _each(call, away_from_zero)


@register("reduce_precision")
def _reduce_precision(call: Call) -> list[Expressions]:
    own = np.finfo(KINDS[call.kind])
    if call.params["exponent_bits"] < own.nexp or call.params["mantissa_bits"] < own.nmant:
        raise NoKernel("the primitive 'reduce_precision' rounds to fewer bits than scalars have")
    return call.operands


@register("convert_element_type")
def _convert(call: Call) -> list[Expressions]:
    convert, old, new = call.scalars.convert, call.kind_of(0), call.kind
    if old == new:
        return call.operands
    if old[0] == "f" and new[0] in "iu":
        return _each(call, lambda x: _truncated(call, x, new))
    return _each(call, lambda x: convert(x, new))


def _truncated(call: Call, x: int, kind: str) -> int:
    """The integer of a real number; the nearest one where there is none, and zero for NaN, as XLA has it."""
    scalars, old = call.scalars, call.scalars.kinds[x]
    limits = np.iinfo(KINDS[kind])
    above = scalars.compare("ge", x, scalars.const(limits.max + 1, old))
    below = scalars.compare("le", x, scalars.const(limits.min, old))
    there = scalars.compare("eq", x, x)
    y = scalars.select(there, scalars.convert(x, kind), scalars.const(0, kind))
    y = scalars.select(below, scalars.const(limits.min, kind), y)
    return scalars.select(above, scalars.const(limits.max, kind), y)


# ---- of several operands


@register("add", "sub", "mul")
def _arithmetic(call: Call) -> list[Expressions]:
    return _each(call, getattr(call.scalars, call.name))


@register("add_any")
def _add_derivatives(call: Call) -> list[Expressions]:
    """Of derivatives, whose zeros stand for nothing: the sign of one does not matter."""
    add, value = call.scalars.add, call.scalars.value
    return _each(call, lambda x, y: y if value(x) == 0 else x if value(y) == 0 else add(x, y))


@register("atan2", "and", "or", "xor")
def _binary(call: Call) -> list[Expressions]:
    binary, name = call.scalars.binary, call.name
    return _each(call, lambda x, y: binary(name, x, y))


@register("max", "min")
def _extremum(call: Call) -> list[Expressions]:
    binary, name = call.scalars.binary, extremum_of(call.name, call.kind)
    return _each(call, lambda x, y: binary(name, x, y))


def extremum_of(name: str, kind: str) -> str:
    """The operation for the greater or lesser of two of a kind."""
    return {"max": "or", "min": "and"}[name] if kind == "b1" else name


@register("div", "rem")
def _quotient(call: Call) -> list[Expressions]:
    scalars, name, kind = call.scalars, call.name, call.kind
    if kind[0] == "f":
        return _each(call, lambda x, y: scalars.binary(name, x, y))
    one, nothing = scalars.const(1, kind), scalars.const(0, kind)
    lowest = scalars.const(np.iinfo(KINDS[kind]).min, kind)
    all_ones = scalars.function("not", nothing)

    def quotient(x: int, y: int) -> int:
        """What processors trap on is defined in XLA: by zero all bits are set, or all of x remains."""
        by_zero = scalars.compare("eq", y, nothing)
        unsafe = by_zero
        if kind[0] == "i":
            overflow = scalars.binary(
                "and", scalars.compare("eq", x, lowest), scalars.compare("eq", y, all_ones)
            )
            unsafe = scalars.binary("or", by_zero, overflow)
        found = scalars.binary(name, x, scalars.select(unsafe, one, y))
        return scalars.select(by_zero, all_ones if name == "div" else x, found)

    return _each(call, quotient)


@register("shift_left", "shift_right_logical", "shift_right_arithmetic")
def _shift(call: Call) -> list[Expressions]:
    """By numbers that are known: products and quotients with powers of two."""
    scalars, name, kind = call.scalars, call.name, call.kind
    limits = np.iinfo(KINDS[kind])

    def shift(x: int, by: int) -> int:
        count = scalars.value(by)
        if count is None or not 0 <= count < limits.bits - 1:
            raise NoKernel(f"'{name}' is expanded into scalars for known numbers of bits alone")
        power = scalars.const(2 ** int(count), kind)
        if name == "shift_left":
            return scalars.mul(x, power)
        rest = scalars.binary("and", x, scalars.const(2 ** int(count) - 1, kind))
        found = scalars.binary("div", scalars.sub(x, rest), power)
        if kind[0] == "u" or name == "shift_right_arithmetic":
            return found
        return (
            scalars.binary("and", found, scalars.const(limits.max >> max(int(count) - 1, 0), kind))
            if count
            else x
        )

    return _each(call, shift)


@register(*COMPARISONS, "gt", "ge")
def _comparison(call: Call) -> list[Expressions]:
    scalars, name = call.scalars, call.name
    if call.kind_of(0) != "b1" or name in ("eq", "ne"):
        return _each(call, lambda x, y: scalars.compare(name, x, y))
    # Truth values: x < y says that y holds and x does not, and x <= y that it is not so the other way round.
    swapped, negated = name in ("gt", "le"), name in ("ge", "le")

    def compared(x: int, y: int) -> int:
        if swapped:
            x, y = y, x
        less = scalars.binary("and", scalars.function("not", x), y)
        return scalars.function("not", less) if negated else less

    return _each(call, compared)


@register("clamp")
def _clamp(call: Call) -> list[Expressions]:
    """The derivatives are JAX's: none by what is not strictly what is taken."""
    scalars, given, kind = call.scalars, call.expansion.given, call.kind
    binary, compare, select = scalars.binary, scalars.compare, scalars.select
    greatest, least = extremum_of("max", kind), extremum_of("min", kind)

    def clamp(low: int, x: int, high: int) -> int:
        y = binary(least, binary(greatest, x, low), high)
        if kind[0] != "f":
            return y
        one, none = scalars.const(1, kind), scalars.zero(kind)
        takes = (
            binary("and", compare("gt", low, x), compare("lt", low, high)),
            binary("and", compare("gt", x, low), compare("lt", x, high)),
            compare("lt", high, x),
        )
        return given(y, (low, x, high), [select(taken, one, none) for taken in takes])

    return _each(call, clamp)


@register("select_n")
def _select(call: Call) -> list[Expressions]:
    which, *cases = map(call.spread, range(len(call.operands)))
    if call.kind_of(0) == "b1":
        select = call.scalars.select
        return call.shaped([select(p, x, y) for p, y, x in zip(which, *cases, strict=True)])
    choose = call.expansion.choose
    return call.shaped([choose(p, options) for p, *options in zip(which, *cases, strict=True)])
