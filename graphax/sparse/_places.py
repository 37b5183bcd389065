"""Places of entries as NumPy arrays: found where they agree or meet, told apart and put in order."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

# Keys of places are int64: digits whose radices multiply to more are ranked on the way.
_LARGEST_KEY = np.iinfo(np.int64).max

# Up to so many pairs of places it is looked at which of them meet, which takes some seconds at most.
_MOST_MEETINGS = 1 << 36


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


def met(
    left: np.ndarray,
    left_axes: Sequence[int],
    right: np.ndarray,
    right_axes: Sequence[int],
    out: Sequence[int],
) -> np.ndarray:
    """Where two arrays of booleans both hold, for some values of the labels that are summed over.

    Args:
        left, right: the arrays.
        left_axes, right_axes: the labels of their axes.
        out: the labels of the result's axes, each of which one of the two has.

    Where there are too many pairs of places, those that hold for any of these values count as meeting.
    """
    (x, x_axes), (y, y_axes) = (
        _held(array, axes, {*others, *out})
        for array, axes, others in ((left, left_axes, right_axes), (right, right_axes, left_axes))
    )
    summed = [label for label in x_axes if label in y_axes and label not in out]
    sizes = dict(zip((*x_axes, *y_axes), (*x.shape, *y.shape), strict=True))
    many = math.prod(sizes.values()) > _MOST_MEETINGS
    # What holds everywhere says nothing of what the other one meets.
    if summed and (many or x.all()):
        x, x_axes = _held(x, x_axes, out)
    if summed and (many or y.all()):
        y, y_axes = _held(y, y_axes, out)
    x, x_axes = _held(x, x_axes, {*y_axes, *out})
    y, y_axes = _held(y, y_axes, {*x_axes, *out})
    summed = [label for label in x_axes if label in y_axes and label not in out]
    both = [label for label in x_axes if label in y_axes and label in out]
    rows = [label for label in x_axes if label not in y_axes]
    columns = [label for label in y_axes if label not in x_axes]

    def stacked(array: np.ndarray, axes: Sequence[int], groups: Sequence[Sequence[int]]) -> np.ndarray:
        order = [axes.index(label) for group in groups for label in group]
        shape = [math.prod(sizes[label] for label in group) for group in groups]
        return array.transpose(order).reshape(shape)

    x = stacked(x, x_axes, (both, rows, summed))
    y = stacked(y, y_axes, (both, summed, columns))
    found = (x.astype(np.float32) @ y.astype(np.float32)) > 0 if summed else x & y
    have = [*both, *rows, *columns]
    found = found.reshape([sizes[label] for label in have])
    return found.transpose([have.index(label) for label in out])


def _held(
    array: np.ndarray, axes: Sequence[int], kept: set[int] | Sequence[int]
) -> tuple[np.ndarray, list[int]]:
    """Where an array holds for some values of all but the labels that are kept, and these."""
    over = tuple(at for at, label in enumerate(axes) if label not in kept)
    return np.asarray(array.any(over)) if over else array, [label for label in axes if label in kept]
