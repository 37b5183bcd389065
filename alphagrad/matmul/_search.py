"""Search for schemes modulo 2 of low rank by walks through flip graphs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ._known import KNOWN, KNOWN_OVER_INTEGERS
from ._library import best_known
from ._lift import lifts_once
from ._scheme import Format, Scheme, as_format, sorted_format, standard
from ._transform import extend, project, reduce_modulo
from ._walks import HANDED, FlipProgress, Walks, least

_ENTRIES = 64  # of a matrix, as many as there are bits in an integer
_FRUITLESS = 4_000_000  # flips for every product, after which a search without a lower rank ends ...
_GROWTH = 1.2  # ... and by how much longer it may take the next time
_SHARE = 0.25  # of the budget that is left, for walks from the best and for each format on the way, at most
_ANEW = 0.2  # how often what is extended to a format whose known rank was reached is searched for again


def flip_search(
    format: Format,
    *,
    seconds: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    start: Scheme | Sequence[Scheme] | None = None,
    known: bool = True,
    workers: int = 2,
    target: int | None = None,
    lifting: bool = False,
    progress: Callable[[FlipProgress], Any] | None = None,
) -> Scheme:
    """Search for a scheme modulo 2 of low rank.

    Walks begin at random schemes of the lowest rank so far, flip pairs of products, and merge products where
    they can; plus transitions lead out of where they can't. Without a `start`, they begin in turns at the
    best known scheme and at extensions, by one row or column, of the best schemes of a smaller format, which
    are found in the same way.

    Args:
        format: (n, m, p), for an n x m by an m x p matrix.
        seconds: how long to search. The first search on a machine also compiles, some ten seconds more.
        steps: flips of every worker. With `steps` alone and one worker the result depends on the seed only.
        seed: of the random moves.
        start: schemes to begin with, of this or another format: rows and columns are then struck out, or
            left to the standard algorithm. Their entries are taken modulo 2.
        known: False to begin, if there is no `start`, with nothing but the standard algorithm of a small
            format, and to extend what is found from there.
        workers: threads, one for each core, if you like.
        target: the search ends when it reaches this rank.
        lifting: begin with schemes that are known over the integers, and extend those that have a counterpart
            modulo 4 where there are any: what is found from them lifts more often to the integers.
        progress: called about five times a second; the search ends when it returns something true.

    Returns:
        the best scheme found, verified, over "Z2"; never one of higher rank than the best of `start`, or than
        that of `best_known` if there is none.

    Raises:
        ValueError: for a format that is not three positive sizes or has matrices of more than 64 entries;
            budgets, seeds, workers or targets out of range; neither `seconds` nor `steps`, nor a `target`.
        SchemeError: for a `start` that is wrong modulo 2.

    Example:
        >>> matmul.flip_search((2, 2, 2), seconds=30, target=7, known=False, workers=1)
        Scheme(2x2x2, rank 7, Z2)

    Flips: M. Kauers and J. Moosbauer, "Flip graphs for matrix multiplication", 2022 (arXiv 2212.01175). Plus
    transitions: Y. Arai, Y. Ichikawa and K. Hukushima, "Adaptive flip graph algorithm for matrix
    multiplication", 2024 (arXiv 2312.16960). Extension and projection: M. Kauers and I. Wood, "Exploring the
    meta flip graph for matrix multiplication", 2025 (arXiv 2510.19787).
    """
    sizes = searchable(format)
    for name, value in (("seconds", seconds), ("steps", steps), ("workers", workers), ("target", target)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be positive, got {value!r}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed!r}")
    if seconds is None and steps is None and target is None:
        raise ValueError("the search has no end: give seconds, steps or a target")
    if start is not None:
        starts = [_brought_to(scheme, sizes) for scheme in _several(start)]
    else:
        starts = [_known(sizes, True, lifting)] if known else []
    best = min([*starts, standard(*sizes, ring="Z2")], key=lambda scheme: scheme.rank)
    target = max(least(sizes), target or 0)
    if best.rank <= target:
        return best
    walks = Walks(best, seed, workers, seconds, steps, target, progress)
    if start is not None:
        walks.stage(sizes, starts)
        return walks.best
    extensions, patience = _Extensions(walks, known, lifting, seed), float(_FRUITLESS)
    while not walks.over:
        if known:
            walks.stage(sizes, [walks.best], patience=patience, share=_SHARE)
        extensions.search(sizes, patience)
        patience *= _GROWTH
    return walks.best


def searchable(format: Format) -> Format:
    """A format that walks, and the states of games, can hold.

    Args:
        format: the format.

    Returns:
        the same, as a tuple of integers.

    Raises:
        ValueError: for what is not three positive sizes, or has matrices of more than 64 entries.

    Example:
        >>> matmul.searchable((3, 4, 5))
        (3, 4, 5)
    """
    try:
        n, m, p = as_format(format)
    except TypeError as error:
        raise ValueError(str(error)) from error
    if max(n * m, m * p, p * n) > _ENTRIES:
        raise ValueError(
            f"the format {n}x{m}x{p} has matrices of more than {_ENTRIES} entries, the most that are "
            "searched; alphagrad.matmul.best_known puts schemes together for larger ones"
        )
    return n, m, p


class _Reached(NamedTuple):
    """What a format was searched from, and the best schemes that were found."""

    starts: list[Scheme]
    best: list[Scheme]


class _Extensions:
    """Searches of formats from extensions of what is found, in the same way, for smaller ones.

    What is extended makes a difference: from some schemes of the lowest rank known for the smaller format a
    short walk leads further down than a long one from others, or from schemes above that rank. So a search
    stays with a smaller format until that rank is reached, though not for ever, and then gathers several
    schemes by walks that have nothing in common.

    Args:
        walks: what walks.
        known: whether smaller formats begin with what `best_known` gives, too.
        lifting: see `flip_search`.
        seed: of what is drawn: smaller formats, and whether they are searched again.
    """

    def __init__(self, walks: Walks, known: bool, lifting: bool, seed: int) -> None:
        self._walks, self._known, self._lifting = walks, known, lifting
        self._random = np.random.default_rng(seed)
        self._reached: dict[Format, _Reached] = {}

    def search(self, format: Format, patience: float) -> list[Scheme]:
        """Search a format; schemes of the lowest rank so far.

        Args:
            format: the format.
            patience: see `Walks.stage`.
        """
        walks, last = self._walks, format == self._walks.format
        known = self._known and not last
        if format not in self._reached:
            self._reached[format] = _Reached([], [_known(format, False, self._lifting)] if known else [])
        starts, before = self._reached[format]
        done = bool(before) and before[0].rank <= walks.goal(format)
        # A smaller format of which a scheme is known is seldom searched from still smaller ones.
        if not (done or known) or self._random.random() < _ANEW:
            if max(format) > 2:
                smaller, axis = _smaller(format, self._random)
                starts = [extend(scheme, axis) for scheme in self.search(smaller, patience)]
            else:
                starts = [standard(*format, ring="Z2")]
        share = 1.0 if last else _SHARE
        found = walks.stage(format, starts or before, [] if done else before, patience, share)
        lowest = min(scheme.rank for scheme in found + before)
        best = [scheme for scheme in found + before if scheme.rank == lowest][:HANDED]
        # Of larger formats that would take seconds for each.
        if self._lifting and not last and sorted_format(format) in KNOWN_OVER_INTEGERS:
            best = [scheme for scheme in best if lifts_once(scheme, lambda: walks.over)] or best
        self._reached[format] = _Reached(starts, best)
        return best


def _known(format: Format, last: bool, lifting: bool) -> Scheme:
    """The best known scheme modulo 2; one that is known over the integers where others would lead nowhere."""
    integral = lifting or (not last and sorted_format(format) in KNOWN_OVER_INTEGERS)
    return reduce_modulo(best_known(format, "Z" if integral else "Z2"))


def _several(start: Scheme | Sequence[Scheme]) -> Sequence[Scheme]:
    schemes = [start] if isinstance(start, Scheme) else list(start)
    if not schemes or not all(isinstance(scheme, Scheme) for scheme in schemes):
        raise TypeError(f"start is {start!r}; expected a Scheme or a sequence of them")
    return schemes


def _brought_to(scheme: Scheme, format: Format) -> Scheme:
    """A scheme modulo 2, right there, extended and projected; what is struck out leaves the lowest rank."""
    scheme = reduce_modulo(scheme, 2)
    scheme.verify()
    for axis in range(3):
        while scheme.format[axis] > format[axis]:
            smaller = [project(scheme, axis, index) for index in range(scheme.format[axis])]
            scheme = min(smaller, key=lambda one: one.rank)
        if scheme.format[axis] < format[axis]:
            scheme = extend(scheme, axis, format[axis] - scheme.format[axis])
    return scheme


def _smaller(format: Format, random: np.random.Generator) -> tuple[Format, int]:
    """A format with one row or column less, and where; one of those whose extension has the lowest rank."""
    choices = []
    for axis in range(3):
        if format[axis] > 2:
            smaller = as_format(size - (i == axis) for i, size in enumerate(format))
            rank = KNOWN.get(sorted_format(smaller), math.prod(smaller))
            choices.append((rank + math.prod(format) // format[axis], smaller, axis))
    lowest = min(choices)[0]
    good = [choice for choice in choices if choice[0] == lowest]
    _, smaller, axis = good[random.integers(len(good))]
    return smaller, axis
