"""What the benchmarks share: timing of compilations and runs, and the file that keeps a table."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax

from graphax.files import write_atomically

Function = Callable[..., Any]


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


def device_name() -> str:
    """What the benchmark runs on."""
    device = jax.devices()[0]
    return device.device_kind if device.platform != "cpu" else f"CPU, {platform.machine()}"


def save(path: Path, table: dict[str, Any]) -> None:
    """Write a table as JSON, headed by the device and the release of JAX; makes the folder."""
    write_atomically(
        path, json.dumps({"device": device_name(), "jax": jax.__version__, **table}, indent=1) + "\n"
    )
