"""The error function of vectors, and its complement.

Next to zero both are a power series. Elsewhere ``(1 + 2 a) exp(a**2) erfc(a)``, which is nearly constant, is
a polynomial in ``(a - c) / (a + c)`` (Shepherd & Laframboise, "Chebyshev approximation of
(1 + 2 x) exp(x**2) erfc x", 1981).
"""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

from ._exponentials import exp, exp_parts, scaled
from ._lanes import Lanes, Pair, exact_product, ordered_sum, product, quotient, where
from ._polynomials import PI, Sampled, Series, coefficients

CENTRE = 3.75
#: What the polynomial is added to.
MEAN = 1.25
#: Above these, erfc is zero.
_END = {"f4": 10.3, "f8": 27.3}
#: Above these, erf is one.
_ONE = {"f4": 4.0, "f8": 6.0}


def _root_of_pi() -> Decimal:
    return (Decimal(PI.numerator) / PI.denominator).sqrt()


def _scaled_erfc(x: Decimal) -> Decimal:
    """``exp(x**2) erfc(x)`` of a positive number, by the series of erf or the continued fraction of erfc."""
    if x > 4:
        below = x
        for n in range(160, 0, -1):
            below = x + Decimal(n) / 2 / below
        return 1 / (_root_of_pi() * below)
    term = total = 2 * x / _root_of_pi()
    for n in range(1, 160):
        term *= 2 * x * x / (2 * n + 1)
        total += term
    return (x * x).exp() - total


def _of_ratio(t: Decimal) -> Decimal:
    x = Decimal(CENTRE) * (1 + t) / (1 - t)
    return (1 + 2 * x) * _scaled_erfc(x) - Decimal(MEAN)


def _slope(t: Decimal) -> Decimal:
    """The derivative of :func:`_of_ratio`."""
    x = Decimal(CENTRE) * (1 + t) / (1 - t)
    y = _scaled_erfc(x)
    of_x = 2 * y + (1 + 2 * x) * (2 * x * y - 2 / _root_of_pi())
    return of_x * 2 * Decimal(CENTRE) / (1 - t) ** 2


def _ratio(x: float) -> float:
    return (x - CENTRE) / (x + CENTRE)


LARGE = Sampled(_of_ratio, _ratio(0.49), _ratio(_END["f8"]))
_LARGE_SLOPE = Sampled(_slope, LARGE.low, LARGE.high)
#: ``-log(erfc(a))``, for what is not needed to more than float32.
_LOG_ERFC = Sampled(lambda a: a * a - _scaled_erfc(a).ln(), 0.49, _ONE["f4"], 0.3)
#: ``(erf(x) sqrt(pi) / 2 - x) / x**3`` by ``x**2``.
SMALL = Series(lambda n: Decimal((-1) ** (n + 1)) / math.factorial(n + 1) / (2 * n + 3), 0.0, 0.2501, 0.3)


def _erf_small(x: Lanes) -> Pair:
    """erf between -1/2 and 1/2."""
    bits = x.format.bits
    z = x * x
    whole = ordered_sum(x, x * (z * z.polynomial(coefficients(SMALL, bits))))
    hi, lo = x.format.parts(Fraction(2 / _root_of_pi()), 2)
    y = exact_product(whole.hi, x.same(hi))
    return ordered_sum(y.hi, y.lo + whole.hi.times_plus(lo, whole.lo * hi))


def _erfc_large(a: Lanes) -> tuple[Pair, Lanes]:
    """erfc from 1/2 on: a pair, and the exponent of the power of two that it is to be scaled by."""
    square = exact_product(a, a)
    k, p = exp_parts(-square)
    t = quotient(ordered_sum(a.same(-CENTRE), a), ordered_sum(a.same(CENTRE), a))
    g = ordered_sum(a.same(MEAN), t.hi.polynomial(coefficients(LARGE, a.format.bits)))
    g = g.plus(t.lo * t.hi.polynomial(coefficients(_LARGE_SLOPE, 0)))
    e = ordered_sum(a.same(1), p.hi).plus(p.lo)
    return quotient(product(e, g), ordered_sum(a * 2.0, a.same(1))), k


def erf(x: Lanes) -> Lanes:
    a = abs(x)
    # Beyond this it is one.
    b = a.at_least(0.5).at_most(_ONE[x.format.kind])
    if x.format.kind == "f4":
        large = 1.0 - exp(-b.polynomial(coefficients(_LOG_ERFC, x.format.bits)))
    else:
        y, k = _erfc_large(b)
        large = ordered_sum(a.same(1), -scaled(y.hi, k)).plus(-scaled(y.lo, k)).total()
    return where(a < 0.5, _erf_small(x).total(), large).with_sign_of(x)


def erfc(x: Lanes) -> Lanes:
    a = abs(x)
    y, k = _erfc_large(a.at_least(0.5).at_most(_END[x.format.kind]))
    small = _erf_small(x)
    near = ordered_sum(a.same(1), -small.hi).plus(-small.lo).total()
    above = scaled(y.total(), k)
    return where(a < 0.5, near, where(x < 0.0, 2.0 - above, above))
