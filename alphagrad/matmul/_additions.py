"""The additions of linear forms, with the sums that several of them share computed once."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from jaxtyping import Int

# A value's number and its coefficient.
Term = tuple[int, Fraction | int]
Terms = tuple[Term, ...]
# Two values with the ratio of their coefficients: first, its coefficient, second, its coefficient.
Pair = tuple[int, int, int, int]


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


def _greedy(forms: Int[np.ndarray, "forms inputs"]) -> Additions:
    inputs = forms.shape[1]
    rows = [{int(at): int(row[at]) for at in np.flatnonzero(row)} for row in forms]
    users = [{int(row) for row in np.flatnonzero(column)} for column in forms.T]
    frequency = Counter(pair for row in rows for pair in _pairs(row, row))
    # The first of the most frequent pairs comes first: the outcome depends on the forms alone.
    queue = [(-count, pair) for pair, count in frequency.items() if count > 1]
    heapq.heapify(queue)
    sums: list[Terms] = []
    while queue:
        count, pair = heapq.heappop(queue)
        if frequency[pair] != -count:
            # Other pairs have used it up, in part, since it was queued.
            if frequency[pair] > 1:
                heapq.heappush(queue, (-frequency[pair], pair))
            continue
        first, one, second, other = pair
        new = inputs + len(sums)
        sums.append(((first, one), (second, other)))
        using = [at for at in users[first] & users[second] if _pair(rows[at], first, second) == pair]
        users.append(set(using))
        gained: Counter[Pair] = Counter()
        for at in using:
            row = rows[at]
            frequency.subtract(_pairs(row, (first, second)))
            row[new] = row.pop(first) // one
            del row[second]
            users[first].remove(at)
            users[second].remove(at)
            gained.update(_pairs(row, (new,)))
        frequency.update(gained)
        for gain, number in gained.items():
            if number > 1:
                heapq.heappush(queue, (-number, gain))
    return Additions(inputs, tuple(sums), tuple(tuple(sorted(row.items())) for row in rows))


def _pairs(row: dict[int, int], values: Iterable[int]) -> Iterator[Pair]:
    """The pairs that some values form with the others of a row; each once."""
    done: set[int] = set()
    for value in values:
        done.add(value)
        yield from (_pair(row, *sorted((value, other))) for other in row if other not in done)


def _pair(row: dict[int, int], first: int, second: int) -> Pair:
    """Two values with their coefficients, up to a common factor: the first is positive, the divisor 1."""
    one, other = row[first], row[second]
    divisor = math.gcd(one, other) if one > 0 else -math.gcd(one, other)
    return first, one // divisor, second, other // divisor
