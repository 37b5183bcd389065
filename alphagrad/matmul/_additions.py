"""The additions of a scheme, with the sums that several of its linear forms share computed once."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import combinations

import numpy as np
from jaxtyping import Int

from alphagrad.matmul._scheme import Scheme, characteristic

# A value's number and its coefficient.
Term = tuple[int, Fraction | int]
Terms = tuple[Term, ...]


@dataclass(frozen=True)
class Additions:
    """Linear forms as a straight-line program.

    Attributes:
        inputs: how many values there are at the start: numbers 0 ... inputs - 1.
        sums: shared sums of earlier values; the k-th gets the number `inputs + k`.
        forms: what is asked for, as sums of all these.
    """

    inputs: int
    sums: tuple[Terms, ...]
    forms: tuple[Terms, ...]

    @property
    def count(self) -> int:
        """How many additions and subtractions of two values the program takes."""
        return sum(max(len(terms) - 1, 0) for terms in self.sums + self.forms)

    def transposed(self) -> Additions:
        """The program for the transposed matrix of coefficients, by reading this one backwards.

        The transposition principle (Bordewijk, "Inter-reciprocity applied to electrical networks", 1956): its
        count is this one's, plus the number of forms, less that of inputs.
        """
        # The forms become the inputs; the sums follow, the last one first.
        backwards = [len(self.forms) + len(self.sums) - 1 - at for at in range(len(self.sums))]
        numbers = [*backwards, *range(len(self.forms))]
        uses: dict[int, list[Term]] = {}
        for number, terms in zip(numbers, self.sums + self.forms, strict=True):
            for value, coefficient in terms:
                uses.setdefault(value, []).append((number, coefficient))
        sums = [tuple(uses[self.inputs + at]) for at in reversed(range(len(self.sums)))]
        forms = [tuple(uses.get(value, ())) for value in range(self.inputs)]
        return Additions(len(self.forms), tuple(sums), tuple(forms))


def share(forms: Int[np.ndarray, "forms inputs"], denominator: int = 1) -> Additions:
    """Find sums that linear forms share, greedily.

    As long as two values appear together, with the same ratio of coefficients, in more than one form, the
    pair that does so most often becomes a value of its own (Paar, "Optimized arithmetic for Reed-Solomon
    encoders", 1997, with coefficients). That is done for the forms and for the transposed ones, and the
    better kept.

    Args:
        forms: their coefficients.
        denominator: of all coefficients.
    """
    program = min(_greedy(forms), _greedy(forms.T).transposed(), key=lambda program: program.count)
    if denominator == 1:
        return program
    scaled = [tuple((value, Fraction(c) / denominator) for value, c in terms) for terms in program.forms]
    return Additions(program.inputs, program.sums, tuple(scaled))


@lru_cache(maxsize=256)
def additions_of(scheme: Scheme) -> tuple[Additions, Additions, Additions]:
    """The additions before and after the products of a scheme.

    Returns:
        programs for the `rank` forms in the blocks of A, for those in the blocks of B, and for the blocks of
        A B, row by row, from the products.
    """
    n, _, p = scheme.format
    prime = characteristic(scheme.ring)
    outputs = scheme.w.T.reshape(p, n, -1).swapaxes(0, 1).reshape(n * p, -1)
    factors = (scheme.u, scheme.v, outputs)
    if prime:
        factors = tuple(np.where(factor > prime // 2, factor - prime, factor) for factor in factors)
    left, right, out = (share(*pair) for pair in zip(factors, scheme.denominators, strict=True))
    return left, right, out


def _greedy(forms: Int[np.ndarray, "forms inputs"]) -> Additions:
    inputs = forms.shape[1]
    rows = [{int(at): int(row[at]) for at in np.flatnonzero(row)} for row in forms]
    frequency = Counter(pair for row in rows for pair in _pairs(row))
    sums: list[Terms] = []
    while frequency:
        # The first of the most frequent pairs: the outcome depends on the forms alone.
        pair = max(frequency, key=lambda pair: (frequency[pair], tuple(-number for number in pair)))
        if frequency[pair] < 2:
            break
        first, one, second, other = pair
        new = inputs + len(sums)
        sums.append(((first, one), (second, other)))
        for row in rows:
            if first in row and second in row and _pair(row, first, second) == pair:
                before = Counter(_pairs(row))
                row[new] = row.pop(first) // one
                del row[second]
                frequency.subtract(before)
                frequency.update(_pairs(row))
        frequency = +frequency
    return Additions(inputs, tuple(sums), tuple(tuple(sorted(row.items())) for row in rows))


def _pairs(row: dict[int, int]) -> Iterator[tuple[int, int, int, int]]:
    return (_pair(row, first, second) for first, second in combinations(sorted(row), 2))


def _pair(row: dict[int, int], first: int, second: int) -> tuple[int, int, int, int]:
    """Two values with their coefficients, up to a common factor: the first is positive, the divisor 1."""
    one, other = row[first], row[second]
    divisor = math.gcd(one, other) if one > 0 else -math.gcd(one, other)
    return first, one // divisor, second, other // divisor
