"""Search for schemes modulo 2 of low rank by walks through flip graphs."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from alphagrad.matmul._scheme import Format, Scheme, standard
from alphagrad.matmul._transform import extend, project

if TYPE_CHECKING:
    from alphagrad.matmul._flips import Walk

_PROGRESS_SECONDS = 0.2
_SLICE = 500_000  # flips between two looks at the clock and at what other walks found
_LENGTH = 20_000_000  # flips of a walk, after which it begins again somewhere else
_PATIENCE = (3e3, 3e5)  # flips until a plus transition; drawn for every walk
_MARGIN = 3  # products above the best rank to which plus transitions may lead, at most
_POOL = 1000  # schemes kept of the best rank
_SHARE = 0.25  # of the budget that is left, for each format on the way to the last

# The lowest ranks modulo 2 in the literature (the catalogue at fmm.univ-lille.fr; Kauers and Moosbauer, "Flip
# graphs for matrix multiplication", 2022): the search stays with a format on the way no longer than that.
_KNOWN = {
    (2, 2, 2): 7,
    (2, 2, 3): 11,
    (2, 2, 4): 14,
    (2, 2, 5): 18,
    (2, 3, 3): 15,
    (2, 3, 4): 20,
    (2, 3, 5): 25,
    (2, 4, 4): 26,
    (2, 4, 5): 33,
    (2, 5, 5): 40,
    (3, 3, 3): 23,
    (3, 3, 4): 29,
    (3, 3, 5): 36,
    (3, 4, 4): 38,
    (3, 4, 5): 47,
    (3, 5, 5): 58,
    (4, 4, 4): 47,
    (4, 4, 5): 60,
}


class FlipProgress(NamedTuple):
    """Where a search is.

    Attributes:
        seconds: since it began.
        flips: made so far, by all workers.
        format: the format that is being searched; on the way to the last one, a smaller one.
        rank: the lowest so far in that format.
        scheme: the best scheme so far of the format that was asked for, verified; None before there is one.
    """

    seconds: float
    flips: int
    format: Format
    rank: int
    scheme: Scheme | None


def flip_search(
    format: Format,
    *,
    seconds: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    start: Scheme | Sequence[Scheme] | None = None,
    workers: int = 2,
    target: int | None = None,
    progress: Callable[[FlipProgress], Any] | None = None,
) -> Scheme:
    """Search for a scheme modulo 2 of low rank.

    Walks begin at random schemes of the lowest rank so far, flip pairs of products, and merge products where
    they can; plus transitions lead out of where they can't. Without a `start`, the search begins with the
    standard algorithm of a small format and extends the best schemes, one row or column at a time.

    Args:
        format: (n, m, p), for an n x m by an m x p matrix.
        seconds: how long to search. The first search on a machine also compiles, some ten seconds more.
        steps: flips of every worker. With `steps` alone and one worker the result depends on the seed only.
        seed: of the random moves.
        start: schemes to begin with, of this or another format: rows and columns are then struck out, or
            left to the standard algorithm. Their entries are taken modulo 2.
        workers: threads, one for each core, if you like.
        target: the search ends when it reaches this rank.
        progress: called about five times a second; the search ends when it returns something true.

    Returns:
        the best scheme found, verified, over "Z2"; never one of higher rank than the best of `start`.

    Raises:
        ValueError: for a format that is not three positive sizes or has matrices of more than 64 entries;
            budgets, seeds, workers or targets out of range; neither `seconds` nor `steps`, nor a `target`.
        SchemeError: for a `start` that is wrong modulo 2.

    Flips: M. Kauers and J. Moosbauer, "Flip graphs for matrix multiplication", 2022 (arXiv 2212.01175). Plus
    transitions: Y. Arai, Y. Ichikawa and K. Hukushima, "Adaptive flip graph algorithm for matrix
    multiplication", 2024 (arXiv 2312.16960). Extension and projection: M. Kauers and I. Wood, "Exploring the
    meta flip graph for matrix multiplication", 2025 (arXiv 2510.19787).
    """
    sizes = standard(*_three(format)).format
    n, m, p = sizes
    if max(n * m, m * p, p * n) > 64:
        raise ValueError(
            f"the format {n}x{m}x{p} has matrices of more than 64 entries, which is as many as a walk can hold"
        )
    for name, value in (("seconds", seconds), ("steps", steps), ("workers", workers), ("target", target)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be positive, got {value!r}")
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed!r}")
    if seconds is None and steps is None and target is None:
        raise ValueError("the search has no end: give seconds, steps or a target")
    if start is None:
        route = _route(sizes)
        starts = [standard(*route[0], ring="Z2")]
    else:
        route = [sizes]
        starts = [_brought_to(_modulo_2(scheme), sizes) for scheme in _several(start)]
    search = _Search(seed, workers, seconds, steps, progress)
    for place, stage in enumerate(route):
        last = stage == sizes
        goal = (target or 0) if last else _KNOWN.get(_sorted(stage), 0)
        found = search.stage(stage, starts, goal, 1.0 if last else _SHARE, last)
        if not last:
            axis = next(i for i in range(3) if stage[i] != route[place + 1][i])
            starts = [extend(scheme, axis) for scheme in found]
    assert search.best is not None
    return search.best


class _Search:
    """Walks side by side, one in every thread, and the schemes that they have found."""

    def __init__(
        self,
        seed: int,
        workers: int,
        seconds: float | None,
        steps: int | None,
        progress: Callable[[FlipProgress], Any] | None,
    ) -> None:
        # Numba takes half a second to import, which only those who search shall pay.
        from alphagrad.matmul import _flips

        self._flips = _flips
        self._walkers = [_Walker(_flips, seed, worker) for worker in range(workers)]
        for walker in self._walkers:
            walker.compile()  # before the clock is read
        self._seconds, self._steps, self._report = seconds, steps, progress
        self._begin = time.monotonic()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._pool: list[np.ndarray] = []
        self._rank = 0
        self._goal = 0
        self.best: Scheme | None = None

    def stage(
        self, format: Format, starts: Sequence[Scheme], goal: int, share: float, last: bool
    ) -> list[Scheme]:
        """Search one format for a share of the budget that is left; returns the schemes of the lowest rank.

        Args:
            format: of the schemes.
            starts: schemes to begin with.
            goal: the rank that is enough.
            share: of seconds and steps that are left.
            last: whether this is the format that was asked for.
        """
        packed = [self._walkers[0].reduced(pack(scheme)) for scheme in starts]
        self._rank = min(factors.shape[1] for factors in packed)
        self._pool = [factors for factors in packed if factors.shape[1] == self._rank][:_POOL]
        self._goal = goal
        now = time.monotonic()
        until = math.inf
        if self._seconds is not None:
            until = now + share * max(0.0, self._begin + self._seconds - now)
        with ThreadPoolExecutor(len(self._walkers)) as threads:
            pending = set()
            for walker in self._walkers:
                left = math.inf if self._steps is None else math.ceil(share * (self._steps - walker.flips))
                pending.add(threads.submit(self._walk, walker, until, left))
            try:
                while pending:
                    done, pending = wait(pending, _PROGRESS_SECONDS)
                    for future in done:
                        future.result()
                    if last:
                        self._keep(format)
                    if self._report and not self._stop.is_set() and self._report(self._progress(format)):
                        self._stop.set()
            finally:
                self._stop.set() if pending else None
        found = [unpack(format, factors) for factors in self._pool]
        found[0].verify()
        return found

    def _keep(self, format: Format) -> None:
        with self._lock:
            factors = self._pool[0]
        if self.best is None or factors.shape[1] < self.best.rank:
            scheme = unpack(format, factors)
            scheme.verify()
            self.best = scheme

    def _progress(self, format: Format) -> FlipProgress:
        flips = sum(walker.flips for walker in self._walkers)
        return FlipProgress(time.monotonic() - self._begin, flips, format, self._rank, self.best)

    def _walk(self, walker: _Walker, until: float, flips: float) -> None:
        """Walk again and again, until the time or the flips are over or the goal is reached."""
        flips += walker.flips
        length = 0
        while not self._over(until) and walker.flips < flips:
            with self._lock:
                rank, pool = self._rank, self._pool
                if length <= 0 or walker.rank > rank + _MARGIN:
                    walker.begin(pool[walker.random.integers(len(pool))])
                    length = _LENGTH
            count = int(min(_SLICE, flips - walker.flips))
            length = length - count if walker.wander(count, rank) else 0
            with self._lock:
                if self._offer(walker):
                    length = 0

    def _offer(self, walker: _Walker) -> bool:
        """Take a scheme into the pool if it is as good as those in there; True if it is better."""
        if walker.rank > self._rank:
            return False
        better = walker.rank < self._rank
        if better:
            self._rank, self._pool = walker.rank, []
        if len(self._pool) < _POOL:
            self._pool.append(walker.factors())
        else:
            self._pool[walker.random.integers(_POOL)] = walker.factors()
        return better

    def _over(self, until: float) -> bool:
        return self._stop.is_set() or self._rank <= self._goal or time.monotonic() >= until


class _Walker:
    """One walk and its random choices."""

    def __init__(self, flips: Any, seed: int, number: int) -> None:
        self._module = flips
        self.random = np.random.default_rng((seed, number))
        self._walk: Walk = flips.new_walk(2, int(self.random.integers(2**62)))

    @property
    def rank(self) -> int:
        return int(self._walk.top[self._module.RANK])

    @property
    def flips(self) -> int:
        return int(self._walk.top[self._module.FLIPS])

    def factors(self) -> np.ndarray:
        return self._walk.factors[:, : self.rank].copy()

    def compile(self) -> None:
        self.begin(pack(standard(1, 1, 2)))
        self.wander(0, 2)

    def reduced(self, factors: np.ndarray) -> np.ndarray:
        self.begin(factors)
        return self.factors()

    def begin(self, factors: np.ndarray) -> None:
        """Go to a scheme, and draw when plus transitions are made."""
        module, need = self._module, factors.shape[1] + _MARGIN + 2
        # The tables are the faster the smaller they are.
        if not need <= self._walk.factors.shape[1] <= max(64, 2 * need):
            top = self._walk.top
            self._walk = module.new_walk(need, 0)
            self._walk.top[module.RANDOM] = top[module.RANDOM]
            self._walk.top[module.FLIPS] = top[module.FLIPS]
        module.begin(self._walk, factors)
        lower, upper = np.log(_PATIENCE)
        self._walk.top[module.PATIENCE] = int(np.exp(self.random.uniform(lower, upper)))
        self._margin = int(self.random.integers(1, _MARGIN + 1))

    def wander(self, flips: int, rank: int) -> bool:
        """Walk for some flips or until the rank is below the given one; False at a dead end."""
        module, top = self._module, self._walk.top
        top[module.CEILING] = rank + self._margin
        return bool(module.wander(self._walk, np.uint64(flips), np.uint64(rank - 1)))


def pack(scheme: Scheme) -> np.ndarray:
    """The factors of a scheme modulo 2 as bits, (3, rank) integers of 64 bits; products that vanish left out."""
    factors = [
        (factor.astype(np.uint64) << np.arange(factor.shape[1], dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
        for factor in (scheme.u & 1, scheme.v & 1, scheme.w & 1)
    ]
    packed = np.stack(factors)
    return packed[:, packed.all(axis=0)]


def unpack(format: Format, factors: np.ndarray) -> Scheme:
    """The scheme over "Z2" of factors as bits."""
    n, m, p = format
    u, v, w = (
        (factor[:, None] >> np.arange(width, dtype=np.uint64) & np.uint64(1)).astype(np.int64)
        for factor, width in zip(factors, (n * m, m * p, p * n), strict=True)
    )
    return Scheme(format, u, v, w, "Z2")


def _three(format: Iterable[int]) -> tuple[int, int, int]:
    try:
        n, m, p = format
    except (TypeError, ValueError):
        raise ValueError(f"the format is {format!r}; expected three positive sizes (n, m, p)") from None
    return n, m, p


def _several(start: Scheme | Sequence[Scheme]) -> Sequence[Scheme]:
    schemes = [start] if isinstance(start, Scheme) else list(start)
    if not schemes or not all(isinstance(scheme, Scheme) for scheme in schemes):
        raise TypeError(f"start is {start!r}; expected a Scheme or a sequence of them")
    return schemes


def _modulo_2(scheme: Scheme) -> Scheme:
    """A scheme over the integers, the rationals or modulo 2 as one modulo 2."""
    if scheme.ring not in ("Z", "Q", "Z2") or any(denominator % 2 == 0 for denominator in scheme.denominators):
        raise ValueError(
            f"start is {scheme!r}; expected a scheme over Z2 or Z, or over Q with odd denominators"
        )
    reduced = Scheme(scheme.format, scheme.u, scheme.v, scheme.w, "Z2")
    reduced.verify()
    return reduced


def _brought_to(scheme: Scheme, format: Format) -> Scheme:
    """A scheme extended and projected to a format; what is struck out is what leaves the lowest rank."""
    for axis in range(3):
        while scheme.format[axis] > format[axis]:
            smaller = [project(scheme, axis, index) for index in range(scheme.format[axis])]
            scheme = min(smaller, key=lambda one: one.rank)
        if scheme.format[axis] < format[axis]:
            scheme = extend(scheme, axis, format[axis] - scheme.format[axis])
    return scheme


def _route(format: Format) -> list[Format]:
    """Formats from a small one to the given one, each with one row or column more, as square as may be."""
    route: list[Format] = [tuple(min(size, 2) for size in format)]  # type: ignore[list-item]
    while route[-1] != format:
        sizes = list(route[-1])
        axis = min((i for i in range(3) if sizes[i] < format[i]), key=lambda i: sizes[i])
        sizes[axis] += 1
        route.append((sizes[0], sizes[1], sizes[2]))
    return route


def _sorted(format: Format) -> Format:
    n, m, p = sorted(format)
    return n, m, p
