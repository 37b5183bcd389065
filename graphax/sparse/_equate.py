"""Equations between digits: where the dimensions that two terms share point to the same entry."""

from __future__ import annotations

import math

import numpy as np

from ._draft import Side, Workspace
from ._places import matches
from ._term import Digit, Term


def partners(left: Term, right: Term) -> dict[int, int]:
    """The labels of one term's output that are labels of another one's input, where these are the same digit.

    Args:
        left: a term.
        right: another one, whose output is shaped like the first one's input.

    Returns:
        for labels of the second term those of the first that take their values, each at most once.
    """
    found: dict[int, int] = {}
    taken: set[int] = set()
    for xs, ys in zip(left.in_, right.out, strict=True):
        if len(xs) != len(ys) or any(x.radix != y.radix for x, y in zip(xs, ys, strict=True)):
            continue
        for x, y in zip(xs, ys, strict=True):
            if x.covers(left.sizes) and y.covers(right.sizes):
                p, q = x.labels[0], y.labels[0]
                if p not in taken and q not in found:
                    found[q] = p
                    taken.add(p)
    return found


def equate(space: Workspace, left: Side, right: Side) -> bool:
    """Keep only the values of the labels at which two sides agree; False where there are none."""
    space.align((left, right))
    pending = [
        (d, p)
        for d, (xs, ys) in enumerate(zip(left.dims, right.dims, strict=True))
        for p, (x, y) in enumerate(zip(xs, ys, strict=True))
        if x != y
    ]

    def pair(place: tuple[int, int]) -> tuple[Digit, Digit]:
        d, p = place
        return left.dims[d][p], right.dims[d][p]

    # What can be substituted goes first: that keeps labels apart where others have to be tabulated.
    while pending:
        place = min(pending, key=lambda place: _difficulty(space, *pair(place)))
        pending.remove(place)
        if not _equate(space, *pair(place)):
            return False
    return True


def _difficulty(space: Workspace, x: Digit, y: Digit) -> int:
    if x == y or _substitutes(space, x, y) or _substitutes(space, y, x):
        return 0
    return 1 if x.table is None and y.table is None else 2


def _substitutes(space: Workspace, x: Digit, y: Digit) -> bool:
    return x.covers(space.sizes) and x.labels[0] not in y.labels


def _equate(space: Workspace, x: Digit, y: Digit) -> bool:
    if x == y:
        return True
    if _substitutes(space, y, x):
        space.replace(y.labels[0], x)
    elif _substitutes(space, x, y):
        space.replace(x.labels[0], y)
    elif x.table is None and y.table is None:
        return _equate_affine(space, x, y)
    else:
        return _join(space, x, y)
    return True


def _equate_affine(space: Workspace, x: Digit, y: Digit) -> bool:
    if not x.labels and not y.labels:
        return x.start == y.start
    if x.labels == y.labels:
        x, y = x._replace(start=x.start - y.start, step=x.step - y.step), Digit(y.radix)
        if x.step == 0:
            return False  # the starts differ, as the digits do
    if not x.labels:
        x, y = y, x
    if not y.labels:
        index, rest = divmod(y.start - x.start, x.step)
        if rest or not 0 <= index < space.sizes[x.labels[0]]:
            return False
        space.replace(x.labels[0], Digit(space.sizes[x.labels[0]], (), index))
        return True
    return _intersect(space, x, y)


def _intersect(space: Workspace, x: Digit, y: Digit) -> bool:
    """The common values of two progressions are a progression."""
    (p,), (q,) = x.labels, y.labels
    divisor = math.gcd(x.step, y.step)
    gap = y.start - x.start
    if gap % divisor:
        return False
    # x.start + x.step * p = y.start + y.step * q has the solutions p0 + dp * k, q0 + dq * k.
    dp, dq = abs(y.step) // divisor, x.step // divisor * (1 if y.step > 0 else -1)
    p0 = gap // divisor * pow(x.step // divisor, -1, dp) % dp if dp > 1 else 0
    q0 = (x.start + x.step * p0 - y.start) // y.step
    ends = (-q0, space.sizes[q] - 1 - q0) if dq > 0 else (space.sizes[q] - 1 - q0, -q0)
    first = max(0, -(-ends[0] // dq))
    last = min((space.sizes[p] - 1 - p0) // dp, ends[1] // dq)
    size = last - first + 1
    if size <= 0:
        return False
    new = space.new_label(size)
    for label, start, step in ((p, p0 + dp * first, dp), (q, q0 + dq * first, dq)):
        space.replace(label, Digit(space.sizes[label], (new,), start, step))
    return True


def _join(space: Workspace, x: Digit, y: Digit) -> bool:
    """Tabulate all values of the labels at which two digits agree."""
    if not set(x.labels).isdisjoint(y.labels):
        labels = list(dict.fromkeys(x.labels + y.labels))
        grids = space.grids(labels)
        keep = space.digit_at(x, grids) == space.digit_at(y, grids)
        if keep.all():
            return True
        found = {label: grid[keep] for label, grid in grids.items()}
    else:
        at, to = matches(x.indices(space.sizes), y.indices(space.sizes))
        every = np.arange(math.prod(space.sizes[label] for label in x.labels))
        if x.labels and np.array_equal(at, every):
            # Every x has one partner: its labels stay.
            grids = space.grids(y.labels)
            space.tabulate({label: grids[label][to] for label in y.labels}, x.labels)
            return True
        x_grids, y_grids = space.grids(x.labels), space.grids(y.labels)
        found = {label: x_grids[label][at] for label in x.labels}
        found |= {label: y_grids[label][to] for label in y.labels}
    size = len(next(iter(found.values())))
    if size == 0:
        return False
    space.tabulate(found, [space.new_label(size)])
    return True
