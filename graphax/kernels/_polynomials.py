"""Polynomials for functions on intervals, made from power series when they are asked for.

A power series is cut where it is exact, written in Chebyshev polynomials of the interval, and shortened there:
the terms that may go are those whose sum stays below the tolerance (Lanczos, "Applied Analysis", telescoping;
within a small factor of the minimax polynomial). All of it in decimal arithmetic of 50 digits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

#: Sixty digits, for parts that are subtracted one after another.
PI = Fraction("3.14159265358979323846264338327950288419716939937510582097494")
LN2 = Fraction("0.693147180559945309417232121458176568075500134360255254120680")


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


@lru_cache(maxsize=256)
def coefficients(series: Series, bits: int) -> tuple[float, ...]:
    """The polynomial for a function, the constant first.

    Args:
        series: the function.
        bits: of results; its weighted error is below a thirty-second of the last one.
    """
    with localcontext() as context:
        context.prec = 50
        tolerance = Decimal(2) ** -(bits + 5) / Decimal(series.weight)
        low, high = Decimal(series.low), Decimal(series.high)
        middle, half = (low + high) / 2, (high - low) / 2
        exact = _cut(series.coefficient, max(abs(low), abs(high)), tolerance / 1000)
        chebyshev = _in_chebyshev(_shifted(exact, middle, half))
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
    """A polynomial by the factors of Chebyshev polynomials."""
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
    size = len(chebyshev)
    result = [Decimal(0)] * size
    before, now = [Decimal(1)], [Decimal(0), Decimal(1)]
    for factor in chebyshev:
        for power, c in enumerate(before):
            result[power] += factor * c
        after = [Decimal(0), *(2 * c for c in now)]
        for power, c in enumerate(before):
            after[power] -= c
        before, now = now, after
    return result
