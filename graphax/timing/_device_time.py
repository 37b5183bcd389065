"""How long a device is busy with what it was asked for, as JAX's profiler tells.

Calls of small programs are queued more slowly than a GPU carries them out: their number a second tells what a
host can do, not how long the kernels run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.profiler import ProfileData, TraceAnnotation


def busy_seconds(works: Sequence[Callable[[], Any]]) -> list[float] | None:
    """How long GPUs are busy with each of several pieces of work, which are done one after the other.

    Args:
        works: functions that start something, and return the arrays to be waited for.

    Returns:
        seconds in which at least one kernel or copy ran, for every piece of work; None where the profiler
        tells nothing of the device, as it does for a CPU.
    """
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            for at, work in enumerate(works):
                with TraceAnnotation(f"{_NAME}{at}"):
                    jax.block_until_ready(work())
        files = sorted(Path(folder).rglob("*.xplane.pb"))
        if not files:
            return None
        return _busy(ProfileData.from_file(str(files[-1])), len(works))


_NAME = "graphax work "


def _busy(profile: Any, count: int) -> list[float] | None:
    spans: dict[int, tuple[float, float]] = {}
    kernels: list[tuple[float, float]] = []
    for plane in profile.planes:
        for line in plane.lines:
            on_device = "GPU" in plane.name and (line.name or "").startswith("Stream")
            for event in line.events:
                if on_device:
                    kernels.append((event.start_ns, event.end_ns))
                elif event.name.startswith(_NAME):
                    spans[int(event.name.removeprefix(_NAME))] = (event.start_ns, event.end_ns)
    if not kernels or len(spans) != count:
        return None
    busy = list(_joined(kernels))
    return [
        sum(end - begin for begin, end in busy if spans[at][0] <= begin < spans[at][1]) * 1e-9
        for at in range(count)
    ]


def _joined(intervals: Iterable[tuple[float, float]]) -> Iterable[tuple[float, float]]:
    """Intervals that meet, as one."""
    last: tuple[float, float] | None = None
    for begin, end in sorted(intervals):
        if last is not None and begin <= last[1]:
            last = (last[0], max(last[1], end))
            continue
        if last is not None:
            yield last
        last = (begin, end)
    if last is not None:
        yield last
