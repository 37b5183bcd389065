"""Ways to a Jacobian, compiled and timed side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

_ROUND_SECONDS = 0.02
_ROUNDS = 30  # at most; a median of so many is steady


class Timed(NamedTuple):
    """What a way takes.

    Attributes:
        seconds: of a call, a median; None where it does not work.
        compiling: seconds to trace and compile it.
        deviation: how far its result is from that of the first way, as part of the largest entry there.
        reason: why it does not work.
    """

    seconds: float | None
    compiling: float = 0.0
    deviation: float = 0.0
    reason: str = ""


def timed(ways: Mapping[str, Callable[..., Any]], args: Sequence[Any], seconds: float) -> dict[str, Timed]:
    """Compile ways to one result, and measure what calls of them take, in turns.

    Args:
        ways: functions of the same arguments, by name; results may be sparse blocks.
        args: the arguments.
        seconds: how long to measure each of them, compiling aside.
    """
    found: dict[str, Timed] = {}
    calls: dict[str, Callable[[], Any]] = {}
    first: Any = None
    for name, way in ways.items():
        begun = time.perf_counter()
        try:
            compiled = jax.jit(way).lower(*args).compile()
            result = jax.block_until_ready(compiled(*args))
        except Exception as error:  # JAX says so of some loops in reverse mode, and of what memory lacks
            found[name] = Timed(None, reason=f"{type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        compiling = time.perf_counter() - begun
        entries = _entries(result)
        first = entries if first is None else first
        found[name] = Timed(None, compiling, _deviation(entries, first))
        calls[name] = lambda compiled=compiled: jax.block_until_ready(compiled(*args))
    for name, taken in _in_turns(calls, seconds).items():
        found[name] = found[name]._replace(seconds=taken)
    return found


def _in_turns(calls: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """The median over rounds of what a call takes: whatever else goes on slows all of them down."""
    repeats = {name: max(1, int(_ROUND_SECONDS / _seconds_of(call, 1))) for name, call in calls.items()}
    rounds: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds * len(calls)
    for _ in range(_ROUNDS):
        for name, call in calls.items():
            rounds[name].append(_seconds_of(call, repeats[name]))
        if time.perf_counter() > end:
            break
    return {name: statistics.median(taken) for name, taken in rounds.items()}


def _seconds_of(call: Callable[[], Any], repeats: int) -> float:
    begun = time.perf_counter()
    for _ in range(repeats):
        call()
    return max((time.perf_counter() - begun) / repeats, 1e-9)


def _entries(result: Any) -> np.ndarray:
    """All numbers of a Jacobian, dense, one after another."""
    blocks = jax.tree.leaves(result, is_leaf=lambda leaf: hasattr(leaf, "todense"))
    dense = [block.todense() if hasattr(block, "todense") else block for block in blocks]
    return np.concatenate([np.ravel(np.asarray(array)) for array in dense])


def _deviation(entries: np.ndarray, wanted: np.ndarray) -> float:
    largest = np.max(np.abs(wanted), initial=0.0) or 1.0
    return float(np.max(np.abs(entries - wanted), initial=0.0) / largest)
