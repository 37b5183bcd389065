"""Walks side by side through the flip graph of one format, until a rank or a limit is reached."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ._bits import pack, unpack
from ._known import KNOWN_OVER_INTEGERS
from ._scheme import Format, Scheme, sorted_format

if TYPE_CHECKING:
    from ._flip_walk import FlipWalk

_PROGRESS_SECONDS = 0.2
SLICE = 500_000  # flips between two looks at the clock and at what other walks found
LENGTH = 150_000  # flips for every product without a lower rank, after which a walk begins again elsewhere
POOL = 1000  # schemes kept of the lowest rank
HANDED = 32  # schemes of a format that are kept for later
_GATHER = 500_000  # flips for every product, in which schemes of the known rank of a format are gathered


class FlipProgress(NamedTuple):
    """Where a search is.

    Attributes:
        seconds: since it began.
        flips: made so far, by all workers.
        format: the format that is being searched; on the way to the last one, a smaller one.
        rank: the lowest so far in that format.
        scheme: the best scheme so far of the format that was asked for, verified.

    Example:
        >>> def enough(progress):  # called some five times a second; the search ends where it is true
        ...     return progress.rank <= 23 or progress.seconds > 60
        >>> scheme = matmul.flip_search((2, 2, 2), steps=1000, workers=1, progress=enough)
    """

    seconds: float
    flips: int
    format: Format
    rank: int
    scheme: Scheme


class Walks:
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
        return max(least(format), KNOWN_OVER_INTEGERS.get(sorted_format(format), 0))

    def stage(
        self,
        format: Format,
        starts: Sequence[Scheme],
        best: Sequence[Scheme] = (),
        patience: float = math.inf,
        share: float = 1.0,
    ) -> list[Scheme]:
        """Search one format.

        A format on the way is searched until its known rank is reached, and a little longer, so that there
        are several schemes.

        Args:
            format: of the schemes.
            starts: schemes to begin with.
            best: the best schemes known, to go on from as well.
            patience: flips for every product without a lower rank, after which the search ends.
            share: of the budget that is left, at most.

        Returns:
            some schemes of the lowest rank, of which one is verified.
        """
        self._starts = [self._walks[0].reduced(pack(scheme)) for scheme in starts]
        packed = [*map(pack, best), *self._starts]
        self._rank = min(factors.shape[1] for factors in packed)
        self._pool = [factors for factors in packed if factors.shape[1] == self._rank][:POOL]
        self._improved = self._flips
        self._keep(format)
        gather, now = 0 if format == self.format else _GATHER, time.monotonic()
        until = now + share * max(0.0, self._end - now)
        with ThreadPoolExecutor(len(self._walks)) as threads:
            pending = set()
            for walk in self._walks:
                left = math.inf if self._steps is None else share * max(0, self._steps - walk.flips)
                limits = _Limits(self.goal(format), gather, until, walk.flips + left, patience)
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
        chosen = self._walks[0].random.permutation(len(self._pool))[:HANDED]
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
            done = idle >= limits.gather or len(self._pool) >= HANDED
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


def least(format: Format) -> int:
    """A rank that no scheme is below: the entries of the largest matrix."""
    n, m, p = format
    return max(n * m, m * p, p * n)
