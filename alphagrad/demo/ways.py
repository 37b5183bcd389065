"""Ways to a Jacobian, compiled and timed side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from graphax.tuning import Arguments, interleaved


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
    compiled: dict[str, Callable[..., Any]] = {}
    first: Any = None
    for name, way in ways.items():
        begun = time.perf_counter()
        try:
            call = jax.jit(way).lower(*args).compile()
            result = jax.block_until_ready(call(*args))
        except Exception as error:  # JAX says so of some loops in reverse mode, and of what memory lacks
            found[name] = Timed(None, reason=f"{type(error).__name__}: {str(error).splitlines()[0]}")
            continue
        compiling = time.perf_counter() - begun
        entries = _entries(result)
        first = entries if first is None else first
        found[name] = Timed(None, compiling, _deviation(entries, first))
        compiled[name] = call
    if compiled:
        for name, taken in interleaved(compiled, Arguments(args, {}), seconds * len(compiled)).items():
            found[name] = found[name]._replace(seconds=statistics.median(taken))
    return found


def _entries(result: Any) -> np.ndarray:
    """All numbers of a Jacobian, dense, one after another."""
    blocks = jax.tree.leaves(result, is_leaf=lambda leaf: hasattr(leaf, "todense"))
    dense = [block.todense() if hasattr(block, "todense") else block for block in blocks]
    return np.concatenate([np.ravel(np.asarray(array)) for array in dense])


def _deviation(entries: np.ndarray, wanted: np.ndarray) -> float:
    largest = np.max(np.abs(wanted), initial=0.0) or 1.0
    return float(np.max(np.abs(entries - wanted), initial=0.0) / largest)
