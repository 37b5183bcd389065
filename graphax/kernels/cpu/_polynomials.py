"""Polynomials for functions on intervals, made when they are asked for.

A function is a power series, or given by its values. It is written in Chebyshev polynomials of the
interval, exactly for all that matters, and shortened there: the terms that may go are those whose sum stays
below the tolerance (Lanczos, "Applied Analysis", on telescoping; within a small factor of the minimax
polynomial). All of it is in decimal arithmetic of 50 digits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

#: Sixty digits, for parts that are subtracted one after another.
PI = Fraction("3.14159265358979323846264338327950288419716939937510582097494")
LN2 = Fraction("0.693147180559945309417232121458176568075500134360255254120680")
_SAMPLES = 64


@dataclass(frozen=True)
class Series:
    """A function as a power series about zero, and where it is wanted.

    Attributes:
        coefficient: the factor of a power, by the power.
        low, high: the interval.
        weight: how large the function's error comes to be, relative to the result it is used for.
    """

    coefficient: Callable[[int], Decimal]
    low: float
    high: float
    weight: float = 1.0


@dataclass(frozen=True)
class Sampled:
    """A smooth function by its values, and where it is wanted; otherwise as :class:`Series`."""

    value: Callable[[Decimal], Decimal]
    low: float
    high: float
    weight: float = 1.0


@lru_cache(maxsize=256)
def coefficients(function: Series | Sampled, bits: int) -> tuple[float, ...]:
    """The polynomial for a function, the constant first.

    Args:
        function: the function.
        bits: of results; its weighted error is below a thirty-second of the last one.
    """
    with localcontext() as context:
        context.prec = 50
        tolerance = Decimal(2) ** -(bits + 5) / Decimal(function.weight)
        low, high = Decimal(function.low), Decimal(function.high)
        middle, half = (low + high) / 2, (high - low) / 2
        if isinstance(function, Series):
            powers = _cut(function.coefficient, max(abs(low), abs(high)), tolerance / 1000)
            chebyshev = _in_chebyshev(_shifted(powers, middle, half))
        else:
            chebyshev = _interpolated(function.value, middle, half)
        dropped = Decimal(0)
        while len(chebyshev) > 1 and dropped + abs(chebyshev[-1]) < tolerance:
            dropped += abs(chebyshev.pop())
        short = _shifted(_in_powers(chebyshev), -middle / half, 1 / half)
        return tuple(float(c) for c in short)


def _cut(coefficient: Callable[[int], Decimal], radius: Decimal, tolerance: Decimal) -> list[Decimal]:
    """The terms of a power series up to where they are negligible."""
    found: list[Decimal] = []
    power = Decimal(1)
    while len(found) < 4 or abs(found[-1]) * power > tolerance:
        found.append(coefficient(len(found)))
        power *= radius
    return found


def _interpolated(value: Callable[[Decimal], Decimal], middle: Decimal, half: Decimal) -> list[Decimal]:
    """A function's factors of Chebyshev polynomials, from its values at their nodes."""
    step = Decimal(PI.numerator) / PI.denominator / (2 * _SAMPLES)
    first = _sum((-1) ** n * step ** (2 * n) / math.factorial(2 * n) for n in range(20))
    cosines = [Decimal(1), first]
    while len(cosines) < 4 * _SAMPLES:
        cosines.append(2 * cosines[1] * cosines[-1] - cosines[-2])
    values = [value(middle + half * cosines[2 * j + 1]) for j in range(_SAMPLES)]
    sums = [
        _sum(v * cosines[k * (2 * j + 1) % (4 * _SAMPLES)] for j, v in enumerate(values))
        for k in range(_SAMPLES)
    ]
    return [sums[0] / _SAMPLES, *(2 * total / _SAMPLES for total in sums[1:])]


def _sum(terms: Iterable[Decimal]) -> Decimal:
    return sum(terms, Decimal(0))


def _shifted(polynomial: list[Decimal], constant: Decimal, slope: Decimal) -> list[Decimal]:
    """The polynomial in t that one in ``constant + slope * t`` is."""
    result = [polynomial[-1]]
    for c in polynomial[-2::-1]:
        longer = [constant * r for r in result] + [Decimal(0)]
        for power, r in enumerate(result):
            longer[power + 1] += slope * r
        longer[0] += c
        result = longer
    return result


def _in_chebyshev(polynomial: list[Decimal]) -> list[Decimal]:
    """A polynomial by its factors of Chebyshev polynomials."""
    result = [polynomial[-1]]
    for c in polynomial[-2::-1]:
        longer = [Decimal(0)] * (len(result) + 1)
        for k, r in enumerate(result):
            longer[k + 1] += r if k == 0 else r / 2
            if k > 0:
                longer[k - 1] += r / 2
        longer[0] += c
        result = longer
    return result


def _in_powers(chebyshev: list[Decimal]) -> list[Decimal]:
    """The inverse of :func:`_in_chebyshev`."""
    result = [Decimal(0)] * len(chebyshev)
    before, now = [Decimal(1)], [Decimal(0), Decimal(1)]
    for factor in chebyshev:
        for power, c in enumerate(before):
            result[power] += factor * c
        after = [Decimal(0), *(2 * c for c in now)]
        for power, c in enumerate(before):
            after[power] -= c
        before, now = now, after
    return result
