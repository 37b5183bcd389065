"""Search for schemes modulo 2 of low rank by walks through flip graphs."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._bits import pack, unpack
from ._known import KNOWN, KNOWN_OVER_INTEGERS
from ._library import best_known
from ._lift import lifts_once
from ._scheme import Format, Scheme, as_format, sorted_format, standard
from ._transform import extend, project, reduce_modulo

if TYPE_CHECKING:
    from ._flip_walk import FlipWalk

_ENTRIES = 64  # of a matrix, as many as there are bits in an integer
_PROGRESS_SECONDS = 0.2
SLICE = 500_000  # flips between two looks at the clock and at what other walks found
LENGTH = 150_000  # flips for every product without a lower rank, after which a walk begins again elsewhere
POOL = 1000  # schemes kept of the lowest rank
_SHARE = 0.25  # of the budget that is left, for each format on the way to the last, at most
_FRUITLESS = 4_000_000  # flips for every product, after which a search without a lower rank ends ...
_GROWTH = 1.2  # ... and by how much longer it may take the next time
_GATHER = 500_000  # flips for every product, in which schemes of the known rank of a format are gathered
_ANEW = 0.2  # how often what is extended to a format whose known rank was reached is searched for again
_HANDED = 32  # schemes of a format that are kept for later


class FlipProgress(NamedTuple):
    """Where a search is.

    Attributes:
        seconds: since it began.
        flips: made so far, by all workers.
        format: the format that is being searched; on the way to the last one, a smaller one.
        rank: the lowest so far in that format.
        scheme: the best scheme so far of the format that was asked for, verified.
    """

    seconds: float
    flips: int
    format: Format
    rank: int
    scheme: Scheme


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
    they can; plus transitions lead out of where they can't. Without a `start`, they begin at the best known
    scheme, and at extensions, by one row or column, of the best of smaller formats, which are walked from in
    the same way.

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
        starts = [_known(sizes, True, lifting) if known else standard(*sizes, ring="Z2")]
    best = min(starts, key=lambda scheme: scheme.rank)
    target = max(_least(sizes), target or 0)
    if best.rank <= target:
        return best
    walks = _FlipSearch(best, seed, workers, seconds, steps, target, progress)
    if start is not None:
        walks.stage(sizes, starts)
        return walks.best
    extensions, patience = _Extensions(walks, known, lifting, seed), float(_FRUITLESS)
    while not walks.over:
        extensions.search(sizes, patience)
        patience *= _GROWTH
    return walks.best


def searchable(format: Format) -> Format:
    """A format that walks can hold.

    Raises:
        ValueError: for what is not three positive sizes, or has matrices of more than 64 entries.
    """
    try:
        n, m, p = as_format(format)
    except TypeError as error:
        raise ValueError(str(error)) from error
    if max(n * m, m * p, p * n) > _ENTRIES:
        raise ValueError(
            f"the format {n}x{m}x{p} has matrices of more than {_ENTRIES} entries, "
            f"the most that a walk can hold"
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
        known: whether to begin with what `best_known` gives, or with the standard algorithm.
        lifting: see `flip_search`.
        seed: of what is drawn: smaller formats, and whether they are searched again.
    """

    def __init__(self, walks: _FlipSearch, known: bool, lifting: bool, seed: int) -> None:
        self._walks, self._known, self._lifting = walks, known, lifting
        self._random = np.random.default_rng(seed)
        self._reached: dict[Format, _Reached] = {}

    def search(self, format: Format, patience: float) -> list[Scheme]:
        """Search a format; schemes of the lowest rank so far.

        Args:
            format: the format.
            patience: see `_FlipSearch.stage`.
        """
        walks, last = self._walks, format == self._walks.format
        if format not in self._reached:
            self._reached[format] = _Reached([], [_known(format, last, self._lifting)] if self._known else [])
        starts, before = self._reached[format]
        # A smaller format of which a scheme is known is seldom searched from still smaller ones.
        done = bool(before) and (before[0].rank <= walks.goal(format) or (self._known and not last))
        if not done or self._random.random() < _ANEW:
            if max(format) > 2:
                smaller, axis = _smaller(format, self._random)
                starts = [extend(scheme, axis) for scheme in self.search(smaller, patience)]
            else:
                starts = [standard(*format, ring="Z2")]
        found = walks.stage(format, starts or before, [] if done else before, patience)
        lowest = min(scheme.rank for scheme in found + before)
        best = [scheme for scheme in found + before if scheme.rank == lowest][:_HANDED]
        # Of larger formats that would take seconds for each.
        if self._lifting and not last and sorted_format(format) in KNOWN_OVER_INTEGERS:
            best = [scheme for scheme in best if lifts_once(scheme, lambda: walks.over)] or best
        self._reached[format] = _Reached(starts, best)
        return best


def _known(format: Format, last: bool, lifting: bool) -> Scheme:
    """The best known scheme modulo 2; one that is known over the integers where others would lead nowhere."""
    integral = lifting or (not last and sorted_format(format) in KNOWN_OVER_INTEGERS)
    return reduce_modulo(best_known(format, "Z" if integral else "Z2"))


class _FlipSearch:
    """Walks side by side, one in every thread, and the schemes that they have found."""

    def __init__(
        self,
        best: Scheme,
        seed: int,
        workers: int,
        seconds: float | None,
        steps: int | None,
        target: int,
        progress: Callable[[FlipProgress], Any] | None,
    ) -> None:
        # Numba takes half a second to import, which only those who search shall pay.
        from ._flip_walk import FlipWalk

        self.best, self.format, self._target = best, best.format, target
        self._walks = [FlipWalk(seed, worker) for worker in range(workers)]
        for walk in self._walks:
            walk.compile()  # before the clock is read
        self._steps, self._report = steps, progress
        self._begin = time.monotonic()
        self._end = math.inf if seconds is None else self._begin + seconds
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._starts: list[np.ndarray] = []
        self._pool: list[np.ndarray] = []
        self._rank = 0
        self._improved = 0  # flips when the rank last fell

    @property
    def over(self) -> bool:
        """Whether the budget is spent, the target reached, or someone asked to stop."""
        spent = self._steps is not None and all(walk.flips >= self._steps for walk in self._walks)
        return spent or self._stop.is_set() or self.best.rank <= self._target or time.monotonic() >= self._end

    def goal(self, format: Format) -> int:
        """The rank at which the search of a format ends.

        On the way to another, where it is known over the integers: schemes that hold modulo 2 alone lead
        nowhere when extended.
        """
        if format == self.format:
            return self._target
        return max(_least(format), KNOWN_OVER_INTEGERS.get(sorted_format(format), 0))

    def stage(
        self,
        format: Format,
        starts: Sequence[Scheme],
        best: Sequence[Scheme] = (),
        patience: float = math.inf,
    ) -> list[Scheme]:
        """Search one format, with a share of the budget if it is not the one that was asked for.

        A format on the way is searched until its known rank is reached, and a little longer, so that there
        are several schemes.

        Args:
            format: of the schemes.
            starts: schemes to begin with.
            best: the best schemes known, to go on from as well.
            patience: flips for every product without a lower rank, after which the search ends.

        Returns:
            some schemes of the lowest rank, of which one is verified.
        """
        last = format == self.format
        self._starts = [self._walks[0].reduced(pack(scheme)) for scheme in starts]
        packed = [*map(pack, best), *self._starts]
        self._rank = min(factors.shape[1] for factors in packed)
        self._pool = [factors for factors in packed if factors.shape[1] == self._rank][:POOL]
        self._improved = self._flips
        self._keep(format)
        share, now = 1.0 if last else _SHARE, time.monotonic()
        until = now + share * max(0.0, self._end - now)
        with ThreadPoolExecutor(len(self._walks)) as threads:
            pending = set()
            for walk in self._walks:
                left = math.inf if self._steps is None else share * max(0, self._steps - walk.flips)
                limits = _Limits(
                    self.goal(format), 0 if last else _GATHER, until, walk.flips + left, patience
                )
                pending.add(threads.submit(self._walk, walk, limits))
            try:
                while pending:
                    done, pending = wait(pending, _PROGRESS_SECONDS)
                    for future in done:
                        future.result()
                    self._keep(format)
                    if self._report and not self._stop.is_set() and self._report(self._progress(format)):
                        self._stop.set()
            except BaseException:
                self._stop.set()
                raise
        chosen = self._walks[0].random.permutation(len(self._pool))[:_HANDED]
        return [unpack(format, self._pool[at]) for at in chosen]

    @property
    def _flips(self) -> int:
        return sum(walk.flips for walk in self._walks)

    def _keep(self, format: Format) -> None:
        """Verify what was found, and keep it if it is the best of the format that was asked for."""
        with self._lock:
            factors = self._pool[0]
        scheme = unpack(format, factors)
        scheme.verify()
        if format == self.format and scheme.rank < self.best.rank:
            self.best = scheme

    def _progress(self, format: Format) -> FlipProgress:
        return FlipProgress(time.monotonic() - self._begin, self._flips, format, self._rank, self.best)

    def _walk(self, walk: FlipWalk, limits: _Limits) -> None:
        """Walk again and again, until a limit is reached.

        The longer no lower rank has been found, the more walks begin where the search began, not at one of
        the best schemes.
        """
        while not self._over(walk, limits):
            with self._lock:
                starts = self._starts if walk.random.random() < self._stuck(limits) else self._pool
                walk.begin(starts[walk.random.integers(len(starts))])
            rank, fell, alive = walk.rank, walk.flips, True
            while alive and walk.flips - fell < LENGTH * rank:
                alive = walk.wander(math.ceil(min(SLICE, limits.flips - walk.flips)), rank)
                if walk.rank < rank:
                    rank, fell = walk.rank, walk.flips
                with self._lock:
                    self._offer(walk)
                if self._over(walk, limits):
                    return
                if rank <= limits.goal:
                    break

    def _offer(self, walk: FlipWalk) -> None:
        """Take a scheme into the pool if it is as good as those in there."""
        if walk.rank > self._rank:
            return
        if walk.rank < self._rank:
            self._rank, self._pool, self._improved = walk.rank, [], self._flips
        if len(self._pool) < POOL:
            self._pool.append(walk.factors())
        else:
            self._pool[walk.random.integers(1, POOL)] = walk.factors()

    def _stuck(self, limits: _Limits) -> float:
        """How much of the patience is used up; 1 where the goal is reached."""
        if self._rank <= limits.goal:
            return 1.0
        return (self._flips - self._improved) / (limits.patience * self._rank)

    def _over(self, walk: FlipWalk, limits: _Limits) -> bool:
        idle = (self._flips - self._improved) / self._rank
        if self._rank <= limits.goal:
            done = idle >= limits.gather or len(self._pool) >= _HANDED
        else:
            done = idle >= limits.patience
        spent = walk.flips >= limits.flips or time.monotonic() >= limits.until
        return done or spent or self._stop.is_set()


class _Limits(NamedTuple):
    """What ends the search of a format.

    Attributes:
        goal: the rank to be reached.
        gather: flips for every product after the goal is reached.
        until: a time.
        flips: of the walk, in all.
        patience: flips for every product without a lower rank.
    """

    goal: int
    gather: float
    until: float
    flips: float
    patience: float


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


def _least(format: Format) -> int:
    """A rank that no scheme is below: the entries of the largest matrix."""
    n, m, p = format
    return max(n * m, m * p, p * n)
