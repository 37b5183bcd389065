"""What the benchmarks share: timing of compilations and runs, and the file that keeps a table."""

from __future__ import annotations

import functools
import json
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import provenance

from graphax.files import write_atomically
from graphax.timing import busy_seconds

Function = Callable[..., Any]
#: How many calls are profiled in a turn.
_PROFILED = 5


def compile_seconds(fun: Function, args: Sequence[Any]) -> tuple[float, Function]:
    """Trace, lower and compile; a new wrapper keeps JAX's caches out of it."""
    start = time.perf_counter()
    compiled = jax.jit(lambda *inputs: fun(*inputs)).lower(*args).compile()
    return time.perf_counter() - start, compiled


def run_seconds(fun: Function, args: Sequence[Any]) -> float:
    """One run, to the end."""
    start = time.perf_counter()
    jax.block_until_ready(fun(*args))
    return time.perf_counter() - start


def seconds_of_calls(fun: Function, args: Sequence[Any], calls: int) -> float:
    """Seconds a call takes: on a GPU when so many are queued and waited for once."""
    waited_for = on_cpu()
    start = time.perf_counter()
    for _ in range(calls):
        result = fun(*args)
        if waited_for:
            _wait(result)
    _wait(result)
    return (time.perf_counter() - start) / calls


def _wait(result: Any) -> None:
    """To look for arrays in a tree takes as long as a small function."""
    if isinstance(result, jax.Array):
        result.block_until_ready()
    else:
        jax.block_until_ready(result)


def calls_for(fun: Function, args: Sequence[Any], seconds: float) -> int:
    """How many calls take about so long."""
    once = min(seconds_of_calls(fun, args, 1) for _ in range(3))
    return int(np.clip(seconds / max(once, 1e-7), 1, 2000))


def busy_rounds(funs: dict[str, Function], args: Sequence[Any], rounds: int) -> dict[str, list[float]]:
    """Seconds of a call in which a GPU is busy, for every function and round; nothing on a CPU."""
    if on_cpu():
        return {}
    turns = [key for turn in range(rounds) for key in np.random.default_rng(turn).permutation(list(funs))]

    def calls(key: str) -> Any:
        return [funs[key](*args) for _ in range(_PROFILED)]

    found = busy_seconds([functools.partial(calls, key) for key in turns])
    if found is None:
        return {}
    table: dict[str, list[float]] = {key: [] for key in funs}
    for key, seconds in zip(turns, found, strict=True):
        table[key].append(seconds / _PROFILED)
    return table


def geometric_mean(values: Sequence[float]) -> float:
    return float(np.exp(np.mean(np.log(values))))


def on_cpu() -> bool:
    """Whether the benchmark runs on a CPU."""
    return jax.devices()[0].platform == "cpu"


def device_name() -> str:
    """What the benchmark runs on."""
    return f"CPU, {platform.machine()}" if on_cpu() else jax.devices()[0].device_kind


def save(path: Path, table: dict[str, Any]) -> None:
    """Write a table as JSON; its head says on what and by which command it was made. Makes the folder."""
    head = {"device": device_name(), "jax": jax.__version__, **provenance.head()}
    write_atomically(path, json.dumps({**head, **table}, indent=1) + "\n")
