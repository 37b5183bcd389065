"""What a run runs on, and with which versions."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version

import jax

import graphax


def versions() -> dict[str, str]:
    """The versions that results depend on, by name."""
    return {
        "graphax": graphax.__version__,
        "jax": jax.__version__,
        "jaxlib": version("jaxlib"),
        "numpy": version("numpy"),
        "python": platform.python_version(),
    }


def device(on_jax: bool) -> str:
    """What a run computes on, as `Xeon Platinum 8481C, 2 cores` or `NVIDIA H100`.

    Args:
        on_jax: whether JAX's device computes what counts, not the processor alone.
    """
    if on_jax:
        first, *others = jax.devices()
        if first.platform != "cpu":
            return f"{first.device_kind} x {1 + len(others)}" if others else first.device_kind
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return f"{_processor()}, {cores} {'core' if cores == 1 else 'cores'}"


def _processor() -> str:
    """The processor's name as far as the system tells it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            names = (line.partition(":")[2].strip() for line in file if line.startswith("model name"))
            name = next(names, "")
    except OSError:  # no Linux
        name = platform.processor()
    name = name.replace("(R)", "").replace("(TM)", "").replace("(tm)", "").partition(" @ ")[0]
    return " ".join(name.split()) or platform.machine()
