"""Places of entries as NumPy arrays: found where they agree, told apart and put in order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Keys of places are int64: digits whose radices multiply to more are ranked on the way.
_LARGEST_KEY = np.iinfo(np.int64).max


def matches(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of positions at which two arrays hold the same number, by the position in the first."""
    order = np.argsort(right, kind="stable")
    ranked = right[order]
    first, last = np.searchsorted(ranked, left, "left"), np.searchsorted(ranked, left, "right")
    counts = last - first
    at = np.repeat(np.arange(len(left)), counts)
    offsets = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
    return at, order[np.repeat(first, counts) + offsets]


def place_keys(columns: Sequence[np.ndarray], radices: Sequence[int]) -> np.ndarray:
    """A number for the place of every entry, in the order of the places.

    Of the digits of a place it has the mixed radix; numbers are sorted faster than rows of digits, by an
    order of magnitude.

    Args:
        columns: for every digit its value at every entry.
        radices: how many values each digit can take.
    """
    keys, span = np.zeros(len(columns[0]), np.int64), 1
    for column, radix in zip(columns, radices, strict=True):
        if span * radix > _LARGEST_KEY:
            found, keys = np.unique(keys, return_inverse=True)
            span = len(found)
        keys *= radix
        keys += column
        span *= radix
    return keys


def distinct_places(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places of some entries, without repetition and in the order of their keys.

    Returns:
        for every place an entry that stands there, and for every entry its place.
    """
    order = np.argsort(keys, kind="stable")
    ranked = keys[order]
    new = np.ones(len(keys), bool)
    np.not_equal(ranked[1:], ranked[:-1], out=new[1:])
    place = np.empty(len(keys), np.intp)
    place[order] = np.cumsum(new) - 1
    return order[new], place


def any_repeated(keys: np.ndarray) -> bool:
    """Whether two entries stand at one place."""
    ranked = np.sort(keys, kind="stable")  # linear where the keys are a few ascending runs
    return bool((ranked[1:] == ranked[:-1]).any())
