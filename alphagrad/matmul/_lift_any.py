"""Schemes over the integers or rationals where those found modulo 2 do not lift: others are looked for."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ._assemble import assemble, parts
from ._bits import pack, unpack
from ._known import KNOWN_OVER_INTEGERS
from ._library import best_known
from ._lift import LiftError, lift
from ._scheme import Format, Scheme, sorted_format
from ._search import flip_search
from ._walks import LENGTH, POOL, SLICE

# Parts of the time that is left to lift a scheme, for walks from the first one, and from others.
_NEARBY = (0.25, 0.05)
_LEAST_SECONDS = 1e-3  # of a search


def lift_nearby(
    scheme: Scheme,
    *,
    ring: str = "Q",
    seconds: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    stop: Callable[[], Any] | None = None,
) -> Scheme:
    """Lift a scheme modulo 2, or one of the same rank that walks from it lead to.

    Not every scheme lifts; plus transitions lead to schemes of the same rank that may.

    Args:
        scheme: over "Z2".
        ring: "Z" to walk on where a scheme lifts to the rationals alone.
        seconds: how long to walk, at most.
        steps: flips, at most.
        seed: of the random moves.
        stop: asked many times a second; the walks end when it returns something true.

    Returns:
        a scheme over "Z" or "Q", verified, of the same rank or a lower one; over "Q" only if `ring` says so
        or no other was found in time.

    Raises:
        LiftError: if none was found in time; that of the scheme itself.
        ValueError: if neither `seconds` nor `steps` nor `stop` is given, or for another ring.

    Example:
        >>> matmul.lift_nearby(matmul.best_known((2, 2, 3), "Z2"), seconds=60)
        Scheme(2x2x3, rank 11, Z)
    """
    if seconds is None and steps is None and stop is None:
        raise ValueError("the walks have no end: give seconds, steps or stop")
    if ring not in ("Z", "Q"):
        raise ValueError(f'ring is {ring!r}; expected "Z" or "Q"')
    rational, failure = None, None
    try:
        rational = lift(scheme, stop=stop)
        if rational.ring in ("Z", ring):
            return rational
    except LiftError as error:
        failure = error
    from ._flip_walk import FlipWalk

    walk = FlipWalk(seed, 0)
    walk.compile()
    end = math.inf if seconds is None else time.monotonic() + seconds
    pool = [pack(scheme)]
    over = False
    while not over and time.monotonic() < end and (steps is None or walk.flips < steps):
        walk.begin(pool[walk.random.integers(len(pool))])
        rank = pool[0].shape[1]
        for _ in range(LENGTH * rank // SLICE):
            walk.wander(SLICE, rank)
            over = stop is not None and bool(stop())
            if over:
                break
            if walk.rank > rank:
                continue
            try:
                found = lift(unpack(scheme.format, walk.factors()), stop=stop)
                if found.ring in ("Z", ring):
                    return found
                rational = found if rational is None or found.rank < rational.rank else rational
            except LiftError:
                pass
            pool = ([] if walk.rank < rank else pool[-POOL:]) + [walk.factors()]
            break
    if rational is not None:
        return rational
    assert failure is not None
    raise failure


def lift_any(
    scheme: Scheme,
    *,
    ring: str = "Q",
    rank: int | None = None,
    seconds: float,
    seed: int = 0,
    known: bool = True,
    workers: int = 2,
    stop: Callable[[], Any] | None = None,
) -> Scheme:
    """Lift a scheme modulo 2, or another one of its format and rank, or of a given rank.

    Where neither it lifts nor what walks from it lead to, it is the one that `best_known` puts together over
    the integers, if the rank allows it. Otherwise others are searched for, by extending schemes that lift.

    Args:
        scheme: over "Z2".
        ring: "Z" to go on where a scheme lifts to the rationals alone.
        rank: the highest that will do; by default that of the scheme.
        seconds: how long to go on, at most.
        seed: of the random moves.
        known: False for schemes that are searched for from the standard algorithm alone, those that are put
            together as well.
        workers: threads of the searches.
        stop: asked several times a second; nothing goes on when it returns something true.

    Returns:
        a scheme over "Z" or "Q", verified, of that rank or a lower one; over "Q" only if `ring` says so or no
        other was found in time.

    Raises:
        LiftError: if none was found in time.
        ValueError: for another ring, a rank below that of the scheme, or no workers.

    Example:
        >>> matmul.lift_any(matmul.best_known((3, 3, 3), "Z2"), seconds=60)
        Scheme(3x3x3, rank 23, Z)
    """
    end = time.monotonic() + seconds
    if rank is not None and rank < scheme.rank:
        raise ValueError(f"rank is {rank}, below that of {scheme!r}")
    share = _NEARBY[0] if rank in (None, scheme.rank) else 0.0
    rank = scheme.rank if rank is None else rank
    rationals: list[Scheme] = []
    failure = None
    for attempt in itertools.count():
        nearby = max(0.0, share * (end - time.monotonic()))
        try:
            found = lift_nearby(scheme, ring=ring, seconds=nearby, seed=seed + attempt, stop=stop)
            if found.ring in ("Z", ring):
                return found
            rationals.append(found)
        except LiftError as error:
            failure = error
        if end <= time.monotonic() or (stop is not None and stop()):
            break
        if attempt == 0:
            if known:
                whole = best_known(scheme.format, "Z")
            else:
                whole = _from_parts(scheme.format, rank, ring, end, seed, workers, stop)
            if whole is not None and whole.rank <= rank:
                if whole.ring in ("Z", ring):
                    return whole
                rationals.append(whole)
        scheme = _another(scheme.format, rank, end, seed + attempt + 1, known, workers, stop)
        if scheme.rank > rank:
            break
        share = _NEARBY[1]
    if rationals:
        return min(rationals, key=lambda one: one.rank)
    assert failure is not None
    raise failure


def _another(
    format: Format,
    target: int,
    end: float,
    seed: int,
    known: bool,
    workers: int,
    stop: Callable[[], Any] | None,
) -> Scheme:
    """A scheme modulo 2 found by extending ones that lift; above the target if there is no time for it."""
    return flip_search(
        format,
        seconds=max(_LEAST_SECONDS, end - time.monotonic()),
        seed=seed,
        known=known,
        workers=workers,
        target=target,
        lifting=True,
        progress=None if stop is None else lambda at: stop(),
    )


def _from_parts(
    format: Format,
    rank: int,
    ring: str,
    end: float,
    seed: int,
    workers: int,
    stop: Callable[[], Any] | None,
) -> Scheme | None:
    """A scheme of the given rank, if they are found, put together from ones of smaller formats over the ring.

    Args:
        format: of the whole.
        end: when there must be an end to it; half of the time until then may be spent.
        rank, ring, seed, workers, stop: see `lift_any`.

    Returns:
        the scheme, verified; None if the literature has no parts of so low a rank.
    """
    ranks = {
        smaller: least for smaller, least in KNOWN_OVER_INTEGERS.items() if smaller != sorted_format(format)
    }
    lowest, needed = parts(format, ranks)
    if lowest > rank:
        return None
    found = []
    for count, part in zip(range(len(needed), 0, -1), sorted(needed), strict=True):
        until = time.monotonic() + (end - time.monotonic()) / (2 * count)
        scheme = _another(part, ranks[part], until, seed, False, workers, stop)
        with suppress(LiftError):
            left = max(0.0, until - time.monotonic())
            goal = max(ranks[part], scheme.rank)
            how: dict[str, Any] = {
                "ring": ring,
                "seed": seed,
                "known": False,
                "workers": workers,
                "stop": stop,
            }
            found.append(lift_any(scheme, rank=goal, seconds=left, **how))
    whole = assemble(format, found)
    whole.verify()
    return whole
