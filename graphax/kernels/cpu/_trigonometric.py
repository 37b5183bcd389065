"""Trigonometric functions of vectors, and their inverses.

Angles are reduced to an eighth of a turn with a quarter turn in three parts (Cody & Waite, "Software Manual
for the Elementary Functions", 1980), where a fused product makes the first difference exact. Beyond a
thousand million (float32: 65,536) the platform's function is called lane by lane (it reduces as Payne &
Hanek, 1983); where no lane is so large that costs a branch.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from ._lanes import Lanes, Pair, exact_product, ordered_sum, quotient, rarely, where
from ._libm import by_lanes
from ._polynomials import PI, Series, coefficients

_EIGHTH_SQUARED = (math.pi / 4) ** 2 * 1.001
#: ``(sin(x) - x) / x**3`` and ``(cos(x) - 1 + x**2 / 2) / x**4`` by ``x**2``.
_SIN = Series(lambda n: Decimal((-1) ** (n + 1)) / math.factorial(2 * n + 3), 0.0, _EIGHTH_SQUARED, 0.7)
_COS = Series(lambda n: Decimal((-1) ** n) / math.factorial(2 * n + 4), 0.0, _EIGHTH_SQUARED, 0.6)
#: ``(atan(x) - x) / x**3`` and ``(asin(x) - x) / x**3`` by ``x**2``.
_ATAN = Series(lambda n: Decimal((-1) ** (n + 1)) / (2 * n + 3), 0.0, 0.1716, 0.1716)
_ASIN = Series(lambda n: Decimal(math.comb(2 * n + 2, n + 1)) / 4 ** (n + 1) / (2 * n + 3), 0.0, 0.2501, 0.25)


def _quarters(x: Lanes) -> tuple[Lanes, Pair]:
    """The integers whose last two bits count quarter turns, and what is left of an angle."""
    f = x.format
    first, second, third = f.parts(PI / 2, 3)
    shifted = x.times_plus(float(2 / PI), f.rounder)
    minus = f.rounder - shifted
    product = exact_product(minus, x.same(second))
    # The first number is zero or a multiple of the last digit of the second, so that the error is exact.
    left = ordered_sum(minus.fused(first, x), product.hi)
    rest = left.lo + minus.times_plus(third, product.lo)
    return shifted.bits(), ordered_sum(left.hi, rest)


def _beyond(x: Lanes) -> Lanes:
    """Where an angle is too large to be reduced, but finite."""
    a = abs(x)
    return (a > 2.0 ** (30 if x.format.bits == 53 else 16)) & (a < math.inf)


def _sin_and_cos(r: Pair) -> tuple[Pair, Pair]:
    """Of an eighth of a turn at most."""
    bits = r.hi.format.bits
    z = r.hi * r.hi
    half = z * 0.5
    w = 1.0 - half
    sine = Pair(r.hi, r.hi.times_plus(z * z.polynomial(coefficients(_SIN, bits)), r.lo * w))
    tail = z * z * z.polynomial(coefficients(_COS, bits))
    # What squaring lost counts where the cosine is to be divided by.
    lost = r.hi.fused(r.hi, -z).times_plus(0.5, r.hi * r.lo)
    return sine, Pair(w, ((1.0 - w) - half) + (tail - lost))


def _bit_is_set(integers: Lanes, bit: int) -> Lanes:
    return ~(integers & (1 << bit)).equals(0)


def _negated(y: Lanes, integers: Lanes) -> Lanes:
    """Negated where the second bit of an integer is set."""
    return (y.bits() ^ ((integers & 2) << (y.format.integer.width - 2))).number()


def sin(x: Lanes) -> Lanes:
    turns, r = _quarters(x)
    sine, cosine = _sin_and_cos(r)
    y = _negated(where(_bit_is_set(turns, 0), cosine.total(), sine.total()), turns)
    # Keeps the sign of zero.
    y = where(x.equals(0.0), x, y)
    return rarely(_beyond(x), lambda: [by_lanes("sin", x)], [y])[0]


def cos(x: Lanes) -> Lanes:
    turns, r = _quarters(x)
    sine, cosine = _sin_and_cos(r)
    y = _negated(where(_bit_is_set(turns, 0), sine.total(), cosine.total()), turns + 1)
    return rarely(_beyond(x), lambda: [by_lanes("cos", x)], [y])[0]


def sincos(x: Lanes) -> tuple[Lanes, Lanes]:
    """Sine and cosine of one angle, reduced once."""
    turns, r = _quarters(x)
    sine, cosine = (part.total() for part in _sin_and_cos(r))
    swapped = _bit_is_set(turns, 0)
    of_sin = where(x.equals(0.0), x, _negated(where(swapped, cosine, sine), turns))
    of_cos = _negated(where(swapped, sine, cosine), turns + 1)
    first, second = rarely(_beyond(x), lambda: [by_lanes("sin", x), by_lanes("cos", x)], [of_sin, of_cos])
    return first, second


def tan(x: Lanes) -> Lanes:
    turns, r = _quarters(x)
    sine, cosine = (ordered_sum(*part) for part in _sin_and_cos(r))
    swapped = _bit_is_set(turns, 0)
    n = Pair(where(swapped, -cosine.hi, sine.hi), where(swapped, -cosine.lo, sine.lo))
    d = Pair(where(swapped, sine.hi, cosine.hi), where(swapped, sine.lo, cosine.lo))
    y = where(x.equals(0.0), x, quotient(n, d).total())
    return rarely(_beyond(x), lambda: [by_lanes("tan", x)], [y])[0]


# ---- inverses


def _angle(n: Lanes, d: Lanes) -> Pair:
    """The arc tangent of ``n / d`` for ``0 <= n <= d``, ``d`` about one or more."""
    steep = n > d * math.tan(math.pi / 8)
    less, more = ordered_sum(d, -n), ordered_sum(d, n)
    zero = n.same(0)
    q = quotient(
        Pair(where(steep, less.hi, n), where(steep, less.lo, zero)),
        Pair(where(steep, more.hi, d), where(steep, more.lo, zero)),
    )
    q = ordered_sum(*q)
    z = q.hi * q.hi
    t = Pair(q.hi, q.hi.times_plus(z * z.polynomial(coefficients(_ATAN, n.format.bits)), q.lo))
    hi, lo = n.format.parts(PI / 4, 2)
    base = ordered_sum(n.same(hi), -t.hi).plus(lo - t.lo)
    return Pair(where(steep, base.hi, t.hi), where(steep, base.lo, t.lo))


def _from(constant: Fraction, angle: Pair) -> Pair:
    """A constant minus an angle that is not larger."""
    hi, lo = angle.hi.format.parts(constant, 2)
    return ordered_sum(angle.hi.same(hi), -angle.hi).plus(lo - angle.lo)


def _chosen(mask: Lanes, on_true: Pair, on_false: Pair) -> Pair:
    return Pair(where(mask, on_true.hi, on_false.hi), where(mask, on_true.lo, on_false.lo))


def atan(x: Lanes) -> Lanes:
    # Larger ones give a quarter turn as well.
    a = abs(x).at_most(2.0 ** (x.format.bits + 4))
    over = a > 1.0
    angle = _angle(where(over, 1.0, a), where(over, a, 1.0))
    y = _chosen(over, _from(PI / 2, angle), angle).total()
    return where(a.equals(0.0), x, y.with_sign_of(x))


def atan2(y: Lanes, x: Lanes) -> Lanes:
    f = x.format
    a, b = abs(y), abs(x)
    over = a > b
    n, d = where(over, b, a), where(over, a, b)
    # A power of two brings d near one; what is infinite is what a large ratio, or one, is as well.
    one = f.bias << (f.bits - 1)
    field = d.bits() & (((1 << (f.integer.width - f.bits)) - 1) << (f.bits - 1))
    scale = where(d >= 2.0**f.bias, f.smallest, (d.same(0).bits() + 2 * one - field).number())
    infinite = d.equals(math.inf)
    near = where(infinite, where(n.equals(math.inf), n.same(1), 0.0), n * scale)
    angle = _angle(near, where(infinite | d.equals(0.0), 1.0, d * scale))
    backwards = (x.bits() >> (f.integer.width - 1)).equals(1)
    whole = _chosen(over, _from(PI / 2, angle), angle)
    result = _chosen(backwards, _from(PI, whole), whole).total()
    return where(x.is_nan() | y.is_nan(), math.nan, result.with_sign_of(y))


def _asin_core(a: Lanes) -> tuple[Lanes, Pair]:
    """Where ``a`` is above a half, and its arc sine, there of ``sqrt((1 - a) / 2)``; for ``0 <= a <= 1``."""
    large = a > 0.5
    rest = (1.0 - a) * 0.5
    z = where(large, rest, a * a)
    high = rest.sqrt()
    left = (-high).fused(high, rest)
    s = where(large, high, a)
    lost = where(large & (high > 0.0), left / (high + high), 0.0)
    return large, Pair(s, s.times_plus(z * z.polynomial(coefficients(_ASIN, a.format.bits)), lost))


def asin(x: Lanes) -> Lanes:
    a = abs(x)
    large, s = _asin_core(a)
    y = _chosen(large, _from(PI / 2, s.times(2.0)), s).total()
    return y.with_sign_of(x)


def acos(x: Lanes) -> Lanes:
    large, s = _asin_core(abs(x))
    negative = x < 0.0
    signed = Pair(s.hi.with_sign_of(x), where(negative, -s.lo, s.lo))
    twice = s.times(2.0)
    y = _chosen(large, _chosen(negative, _from(PI, twice), twice), _from(PI / 2, signed))
    return y.total()
