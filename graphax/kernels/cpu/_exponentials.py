"""Exponentials, logarithms, powers and hyperbolic functions of vectors.

Arguments are reduced by powers of two (Cody & Waite, "Software Manual for the Elementary Functions",
1980): ``exp(x) = 2**k exp(r)`` with ``|r| <= log(2) / 2``, and ``log(2**k m) = k log(2) + log(m)`` with ``m``
between ``sqrt(1/2)`` and ``sqrt(2)``. What other functions need to be within a unit in the last place is
carried in pairs of numbers.
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np

from ._lanes import (
    Format,
    Lanes,
    Pair,
    exact_product,
    exact_sum,
    ordered_sum,
    product,
    quotient,
    root,
    where,
)
from ._polynomials import LN2, Series, coefficients


def _binomial(power: Decimal, n: int) -> Decimal:
    result = Decimal(1)
    for j in range(n):
        result *= (power - j) / (j + 1)
    return result


#: ``(exp(r) - 1 - r) / r**2``.
_EXP = Series(lambda n: Decimal(1) / math.factorial(n + 2), -0.347, 0.347, 0.35)
#: ``(log((1 + s) / (1 - s)) - 2 s) / s**3`` by ``s**2``, and the same without two terms, over ``s**5``.
_LOG_3 = Series(lambda n: Decimal(2) / (2 * n + 3), 0.0, 0.0295, 0.0295)
_LOG_5 = Series(lambda n: Decimal(2) / (2 * n + 5), 0.0, 0.0295, 0.5)
#: ``(1 + t)**(-2/3)``.
_CBRT = Series(lambda n: _binomial(Decimal(-2) / 3, n), math.sqrt(0.5) - 1.001, math.sqrt(2) - 1 + 1e-3)


# ---- powers of two


def _rounded(x: Lanes) -> Lanes:
    """The nearest integers, of numbers that are not large."""
    rounder = x.format.rounder
    return (x + rounder) - rounder


def _power_of_two(k: Lanes) -> Lanes:
    """``2**k`` for integers that are exponents of normal numbers."""
    f = k.format
    return ((k + (f.rounder + f.bias)).bits() << (f.bits - 1)).number()


def scaled(x: Lanes, k: Lanes) -> Lanes:
    """``x * 2**k``, rounded once, for integers up to twice the largest exponent."""
    half = _rounded(k * 0.5)
    return x * _power_of_two(half) * _power_of_two(k - half)


def _split(v: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """``k``, ``m`` and ``2**-k`` for positive normal numbers ``2**k m`` with ``m`` about one."""
    f = v.format
    one = f.bias << (f.bits - 1)
    below = _bits_of(f, math.sqrt(0.5))
    field = (v.bits() + (one - below)) >> (f.bits - 1)
    exact = 2.0 ** (f.bits - 1)
    k = (field | _bits_of(f, exact)).number() - (exact + f.bias)
    exponent = field << (f.bits - 1)
    return k, (v.bits() - exponent + one).number(), (v.same(0).bits() + 2 * one - exponent).number()


def _bits_of(f: Format, value: float) -> int:
    return int(np.float32(value).view(np.int32)) if f.kind == "f4" else int(np.float64(value).view(np.int64))


def _ln2(f: Format) -> tuple[float, ...]:
    """log(2) in two parts, of which the first times an exponent is exact."""
    return f.parts(LN2, 2, short=2 * f.bits - f.integer.width)


def _unless_tiny(x: Lanes, y: Lanes) -> Lanes:
    """``y``, but ``x`` itself where both are equal but for rounding; zeros keep their signs."""
    return where(abs(x) < 2.0 ** -(x.format.bits + 3), x, y)


# ---- exponentials


def _exp_reduced(x: Pair) -> tuple[Lanes, Pair]:
    """``k`` and ``r`` with ``x = k log(2) + r``, for numbers that are not large."""
    ln2_hi, ln2_lo = _ln2(x.hi.format)
    k = _rounded(x.hi * float(1 / LN2))
    return k, ordered_sum(k.times_plus(-ln2_hi, x.hi), k.times_plus(-ln2_lo, x.lo))


def _expm1_reduced(r: Pair) -> Pair:
    """``exp(r) - 1`` for ``|r| <= log(2) / 2``."""
    tail = r.hi * r.hi * r.hi.polynomial(coefficients(_EXP, r.hi.format.bits))
    return ordered_sum(r.hi, tail).plus(r.lo.times_plus(r.hi, r.lo))


def exp_parts(x: Pair) -> tuple[Lanes, Pair]:
    """``k`` and ``p`` with ``exp(x) = 2**k (1 + p)``, for pairs that are not large."""
    k, r = _exp_reduced(x)
    return k, _expm1_reduced(r)


def exp(x: Lanes) -> Lanes:
    f = x.format
    low, high = _exp_range(f)
    k, r = _exp_reduced(Pair(x.at_least(low).at_most(high), x.same(0)))
    tail = (r.hi * r.hi).times_plus(r.hi.polynomial(coefficients(_EXP, f.bits)), r.lo)
    return scaled(1.0 + (r.hi + tail), k)


def exp2(x: Lanes) -> Lanes:
    f = x.format
    x = x.at_least(-f.bias - f.bits - 2.0).at_most(f.bias + 2.0)
    k = _rounded(x)
    ln2_hi, ln2_lo = f.parts(LN2, 2)
    part = x - k
    r = exact_product(part, x.same(ln2_hi))
    p = _expm1_reduced(r.plus(part * ln2_lo))
    return scaled(1.0 + (p.hi + p.lo), k)


def _exp_range(f: Format) -> tuple[float, float]:
    """Below the first, exp is zero; above the second it is infinite."""
    return -(f.bias + f.bits + 1) * math.log(2), (f.bias + 2) * math.log(2)


def _exp_of_pair(x: Pair) -> Lanes:
    """The exponential of a pair; where the first number is infinite or NaN, the second does not count."""
    low, high = _exp_range(x.hi.format)
    lo = where((x.hi > low) & (x.hi < high), x.lo, 0.0)
    k, p = exp_parts(Pair(x.hi.at_least(low).at_most(high), lo))
    return scaled(ordered_sum(x.hi.same(1), p.hi).plus(p.lo).total(), k)


def expm1(x: Lanes) -> Lanes:
    f = x.format
    bounded = x.at_least(-(f.bits + 4) * math.log(2)).at_most(_exp_range(f)[1] - 0.75 * math.log(2))
    k, p = exp_parts(Pair(bounded, x.same(0)))
    # Half of it, which is finite where the result may be.
    power = _power_of_two(k - 1.0)
    ones = ordered_sum(power, x.same(-0.5))
    y = ordered_sum(ones.hi, power * p.hi).plus(ones.lo + power * p.lo).total()
    return _unless_tiny(x, y * 2.0)


# ---- hyperbolic functions


def _exponentials(a: Lanes) -> tuple[Lanes, Lanes, Pair, Pair]:
    """Of a number that is not negative: ``A``, ``B``, ``p`` and ``g`` with ``exp(a) = 4 A (1 + p)`` and
    ``exp(-a) = 4 B (1 - g)``; both powers of two."""
    f = a.format
    k, p = exp_parts(Pair(a.at_most((f.bias + 2) * math.log(2) + 0.01), a.same(0)))
    g = quotient(p, ordered_sum(a.same(1), p.hi).plus(p.lo))
    # Beyond this, exp(-a) is nothing beside exp(a).
    return _power_of_two(k - 2.0), _power_of_two(-k.at_most(f.bits + 5.0) - 2.0), p, g


def sinh(x: Lanes) -> Lanes:
    a = abs(x)
    up, down, p, g = _exponentials(a)
    ones = ordered_sum(up, -down)
    s = ordered_sum(ones.hi, up * p.hi)
    t = exact_sum(s.hi, down * g.hi)
    y = t.plus(s.lo + ones.lo + up * p.lo + down * g.lo).total() * 2.0
    y = where(a < math.inf, y, a).with_sign_of(x)
    return _unless_tiny(x, y)


def cosh(x: Lanes) -> Lanes:
    a = abs(x)
    up, down, p, g = _exponentials(a)
    ones = ordered_sum(up, down)
    s = ordered_sum(ones.hi, up * p.hi)
    t = ordered_sum(s.hi, -(down * g.hi))
    y = t.plus(s.lo + ones.lo + up * p.lo - down * g.lo).total() * 2.0
    return where(a < math.inf, y, a)


def tanh(x: Lanes) -> Lanes:
    a = abs(x)
    # -t / (2 + t) with t = exp(-2 a) - 1.
    k, p = exp_parts(Pair(-2.0 * a.at_most((a.format.bits + 6) * math.log(2) / 2), a.same(0)))
    power = _power_of_two(k)
    ones = ordered_sum(a.same(-1), power)
    t = ordered_sum(ones.hi, power * p.hi).plus(ones.lo + power * p.lo)
    y = quotient(-t, ordered_sum(a.same(2), t.hi).plus(t.lo)).total()
    return _unless_tiny(x, y.with_sign_of(x))


# ---- logarithms


def _log_of_ratio(s: Pair, k: Lanes) -> Pair:
    """``k log(2) + log((1 + s) / (1 - s))``."""
    f = k.format
    ln2_hi, ln2_lo = _ln2(f)
    z = s.hi * s.hi
    tail = s.hi.times_plus(z * z.polynomial(coefficients(_LOG_3, f.bits)), s.lo * 2.0)
    whole = ordered_sum(k * ln2_hi, s.hi * 2.0)
    return whole.plus(k.times_plus(ln2_lo, tail))


def _log_of_pair(v: Pair, more: Lanes | float = 0.0) -> Pair:
    """``log(v) + more log(2)`` for normal positive pairs, with all digits also next to one."""
    k, m, scale = _split(v.hi)
    low = where(v.hi < 2.0 ** (v.hi.format.bias - 2), v.lo * scale, 0.0)
    part = ordered_sum(m - 1.0, low)
    d = ordered_sum(m.same(2), part.hi).plus(part.lo)
    return _log_of_ratio(quotient(part, d), k + more)


def log(x: Lanes) -> Lanes:
    f = x.format
    ln2_hi, ln2_lo = _ln2(f)
    small = x < f.smallest
    k, m, _ = _split(where(small, x * 2.0**f.bits, x))
    k = k - where(small, x.same(f.bits), 0.0)
    part = m - 1.0
    s = part / (part + 2.0)
    z = s * s
    tail = z * z.polynomial(coefficients(_LOG_3, f.bits))
    half = part * part * 0.5
    rest = half - s.times_plus(half + tail, k * ln2_lo)
    return _log_at_edges(x, x, k.times_plus(ln2_hi, part - rest))


def _log_at_edges(x: Lanes, v: Lanes, y: Lanes) -> Lanes:
    """``y``, but for where ``v``, which ``y`` is the logarithm of and ``x`` belongs to, is not positive or
    not finite."""
    y = where(v < math.inf, y, x)
    y = where(v.equals(0.0), -math.inf, y)
    return where(v < 0.0, math.nan, y)


def log1p(x: Lanes) -> Lanes:
    v = exact_sum(x.same(1), x)
    y = _log_at_edges(x, v.hi, _log_of_pair(v).total())
    return _unless_tiny(x, y)


def asinh(x: Lanes) -> Lanes:
    a = abs(x)
    large = a > 2.0 ** (a.format.bits // 2 + 4)
    near = where(large, 1.0, a)
    square = exact_product(near, near)
    w = root(_plus_number(square, 1.0))
    # near + sqrt(1 + near**2) - 1, and that as near + near**2 / (1 + sqrt).
    rise = quotient(square, ordered_sum(w.hi, a.same(1)).plus(w.lo))
    less = exact_sum(near, rise.hi).plus(rise.lo)
    one = exact_sum(a.same(1), less.hi).plus(less.lo)
    v = Pair(where(large, a, one.hi), where(large, 0.0, one.lo))
    y = _log_of_pair(v, where(large, a.same(1), 0.0)).total()
    y = where(a < math.inf, y, a)
    return _unless_tiny(x, y.with_sign_of(x))


def _plus_number(x: Pair, number: float) -> Pair:
    total = exact_sum(x.hi, x.hi.same(number))
    return ordered_sum(total.hi, total.lo + x.lo)


def acosh(x: Lanes) -> Lanes:
    large = x > 2.0 ** (x.format.bits // 2 + 4)
    near = where(large, 1.0, x)
    w = root(_plus_number(exact_product(near, near), -1.0))
    v = ordered_sum(near, w.hi).plus(w.lo)
    y = _log_of_pair(
        Pair(where(large, x, v.hi), where(large, 0.0, v.lo)), where(large, x.same(1), 0.0)
    ).total()
    return where(x < 1.0, math.nan, where(x < math.inf, y, x))


def atanh(x: Lanes) -> Lanes:
    a = abs(x)
    # (1 + a) / (1 - a) = 2**k (1 + s) / (1 - s)
    k, _, _ = _split((1.0 + a) / (1.0 - a))
    more = ordered_sum(a.same(1), a)
    less = ordered_sum(a.same(1), -a).times(_power_of_two(k))
    n = exact_sum(more.hi, -less.hi)
    d = ordered_sum(more.hi, less.hi).plus(more.lo + less.lo)
    s = quotient(ordered_sum(n.hi, n.lo + (more.lo - less.lo)), d)
    y = _log_of_ratio(s, k).total() * 0.5
    y = where(a.equals(1.0), math.inf, where(a > 1.0, math.nan, y))
    return _unless_tiny(x, y.with_sign_of(x))


# ---- powers


def cbrt(x: Lanes) -> Lanes:
    f = x.format
    a = abs(x)
    small = a < f.smallest
    k, m, _ = _split(where(small, a * 2.0 ** (3 * f.bits), a))
    third = _rounded(k * (1 / 3))
    left = k - third * 3.0
    # The cube root of n is n / cbrt(n)**2, and the second factor is right to 20 bits.
    n = m * _power_of_two(left)
    two_thirds = where(left > 0.5, 2 ** (-2 / 3), where(left < -0.5, n.same(2 ** (2 / 3)), 1.0))
    w = (m - 1.0).polynomial(coefficients(_CBRT, 16)) * two_thirds
    y = n * w
    if f.bits > 24:
        y = y + (n - y * y * y) * w * (1 / 3)
    square = exact_product(y, y)
    cube = exact_product(square.hi, y)
    y = y + ((n - cube.hi) - (cube.lo + square.lo * y)) * w * (1 / 3)
    y = y * _power_of_two(third - where(small, y.same(f.bits), 0.0))
    return where((a > 0.0) & (a < math.inf), y.with_sign_of(x), x)


def _log_accurate(a: Lanes) -> Pair:
    """The logarithm of numbers that are not negative, with a dozen bits more than a number has."""
    f = a.format
    small = a < f.smallest
    k, m, _ = _split(where(small, a * 2.0**f.bits, a))
    k = k - where(small, a.same(f.bits), 0.0)
    part = m - 1.0
    s = quotient(Pair(part, a.same(0)), ordered_sum(a.same(2), part))
    z = product(s, s)
    inner = product(Pair(z.hi.polynomial(coefficients(_LOG_5, f.bits)), a.same(0)), z)
    factor = _plus_constant(inner, Fraction(2, 3))
    tail = product(product(s, z), factor)
    ln2_hi, ln2_lo = _ln2(f)
    y = ordered_sum(s.hi * 2.0, tail.hi).plus(s.lo.times_plus(2.0, tail.lo))
    y = ordered_sum(k * ln2_hi, y.hi).plus(k.times_plus(ln2_lo, y.lo))
    y = ordered_sum(y.hi, y.lo)
    ends = where(a.equals(0.0), -math.inf, a)
    inside = (a > 0.0) & (a < math.inf)
    return Pair(where(inside, y.hi, ends), where(inside, y.lo, 0.0))


def _plus_constant(x: Pair, constant: Fraction) -> Pair:
    """A pair plus a larger constant."""
    hi, lo = x.hi.format.parts(constant, 2)
    return ordered_sum(x.hi.same(hi), x.hi).plus(x.lo + lo)


def _power_by_pairs(a: Lanes, y: Lanes) -> Lanes:
    """``a**y`` for ``a >= 0`` other than 1."""
    log_a = _log_accurate(a)
    return _exp_of_pair(exact_product(y, log_a.hi).plus(y * log_a.lo))


def _power_by_float64(a: Lanes, y: Lanes) -> Lanes:
    """The same in float32: float64 has all the digits that are needed."""
    v, bits = a.widened(), 36
    k, m, _ = _split(v)
    part = m - 1.0
    s = part / (part + 2.0)
    z = s * s
    log_m = s.times_plus(2.0, s * z * z.polynomial(coefficients(_LOG_3, bits)))
    log_v = where(v < math.inf, k.times_plus(LN2, log_m), v)
    log_v = where(v.equals(0.0), -math.inf, log_v)
    low, high = _exp_range(a.format)
    x = (y.widened() * log_v).at_least(low).at_most(high)
    k = _rounded(x * float(1 / LN2))
    r = k.times_plus(-LN2, x)
    e = r.times_plus(r * r.polynomial(coefficients(_EXP, bits)), r) + 1.0
    return (e * _power_of_two(k)).narrowed()


def pow(x: Lanes, y: Lanes) -> Lanes:
    f = x.format
    a = abs(x)
    magnitude = _power_by_pairs(a, y) if f.kind == "f8" else _power_by_float64(a, y)
    magnitude = where(a.equals(1.0), 1.0, magnitude)
    # The last bit of a number below this, with it added, says whether it is odd.
    whole = 2.0 ** (f.bits - 1)
    b = abs(y)
    lifted = where(b < whole, b + whole, b)
    integer = (lifted - whole).equals(b) | (b >= whole)
    odd = integer & (b < 2.0 * whole) & (lifted.bits() & 1).equals(1)
    negative = (x.bits() >> (f.integer.width - 1)).equals(1)
    result = where(negative & odd, -magnitude, magnitude)
    result = where((x < 0.0) & (a < math.inf) & ~integer, math.nan, result)
    result = where(x.is_nan() | y.is_nan(), math.nan, result)
    return where(x.equals(1.0) | y.equals(0.0), 1.0, result)
