"""Whether the entries of two terms meet: seen from few digits, or from their places in order."""

from __future__ import annotations

import functools
import math

import numpy as np

from ._draft import Workspace
from ._places import any_repeated
from ._term import Term

# Digits that take so few values together are looked at first.
_FEW = 1 << 10


def are_apart(left: Term, right: Term) -> bool:
    """Whether no entry of one term stands where one of the other does; the shapes are equal."""
    if left.radices == right.radices and not (_taken(left) & _taken(right)).any():
        return True
    return not any_repeated(np.concatenate([_places(left), _places(right)]))


@functools.lru_cache(maxsize=1 << 12)
def _taken(term: Term) -> np.ndarray:
    """Which values the digits of small radices take together, those of equal radices being the same."""
    chosen, radices = [], []
    for digit in sorted(term.digits, key=lambda digit: digit.radix):
        if math.prod(radices) * digit.radix > _FEW:
            break
        chosen.append(digit)
        radices.append(digit.radix)
    space = Workspace()
    space.load(term)
    labels = list(dict.fromkeys(label for digit in chosen for label in digit.labels))
    found = np.zeros(math.prod(radices), bool)
    found[space.positions(chosen, labels)] = True
    return found


@functools.lru_cache(maxsize=1 << 5)  # they may be large
def _places(term: Term) -> np.ndarray:
    """Where the entries of a term are, in order."""
    space, labels = Workspace(), range(len(term.sizes))
    space.load(term)
    rows, columns = (
        space.positions([digit for dim in side for digit in dim], labels) for side in (term.out, term.in_)
    )
    places = rows * math.prod(term.in_shape) + columns
    places.sort(kind="stable")
    return places
