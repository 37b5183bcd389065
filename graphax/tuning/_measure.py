"""Calls of several compiled functions, timed in turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import jax

K = TypeVar("K", bound=str)
# So often everything is run at least.
_ROUNDS = 5


class Arguments(NamedTuple):
    """What functions are called with."""

    positional: Sequence[Any]
    keywords: Mapping[str, Any]


def compiled_with_seconds(fun: Callable[..., Any], given: Arguments) -> tuple[Callable[..., Any], float]:
    """A function under jit, compiled for some arguments, and how long its first call took."""
    start = time.perf_counter()
    compiled = jax.jit(lambda *args, **kwargs: fun(*args, **kwargs))
    jax.block_until_ready(compiled(*given.positional, **given.keywords))
    return compiled, time.perf_counter() - start


def interleaved(
    compiled: Mapping[K, Callable[..., Any]], given: Arguments, seconds: float
) -> dict[K, list[float]]:
    """Seconds of a call of every function, in rounds that take turns: a busy machine slows all alike.

    Args:
        compiled: the functions.
        given: the arguments.
        seconds: how long to measure.
    """
    once = {name: min(_seconds(fun, given, 1) for _ in range(3)) for name, fun in compiled.items()}
    share = seconds / len(compiled) / (2 * _ROUNDS)
    calls = {name: max(1, round(share / max(taken, 1e-7))) for name, taken in once.items()}
    times: dict[K, list[float]] = {name: [] for name in compiled}
    end, rounds = time.perf_counter() + seconds, 0
    while rounds < _ROUNDS or time.perf_counter() < end:
        rounds += 1
        for name, fun in compiled.items():
            times[name].append(_seconds(fun, given, calls[name]))
    return times


def _seconds(fun: Callable[..., Any], given: Arguments, calls: int) -> float:
    """Seconds a call takes: on a GPU when so many are queued and waited for once."""
    queued = jax.default_backend() != "cpu"
    start = time.perf_counter()
    for _ in range(calls):
        result = fun(*given.positional, **given.keywords)
        if not queued:
            jax.block_until_ready(result)
    jax.block_until_ready(result)
    return (time.perf_counter() - start) / calls
