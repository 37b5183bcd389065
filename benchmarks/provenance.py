"""Where a figure is from: command, commit, machine and day, as the head of a result file has them."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
#: What a change of makes figures those of no commit.
_CODE = ("graphax", "alphagrad", "benchmarks", ":(exclude)benchmarks/results")


def head() -> dict[str, Any]:
    """What the head of a result file says beside device and JAX.

    Returns:
        `python`, `machine` (the CPU's model, and how many cores this process may use), `date` (UTC, to the
        second), `commit`, `changed` where the working tree had changes beyond it, and `command`, as it can be
        typed from the repository's root.
    """
    return {
        "python": platform.python_version(),
        "machine": machine(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **commit(),
        "command": command(sys.argv),
    }


def commit() -> dict[str, Any]:
    """The commit of the working tree, or the one that GRAPHAX_COMMIT names, where there is no repository."""
    if named := os.environ.get("GRAPHAX_COMMIT"):
        return {"commit": named}
    try:
        found = _git("rev-parse", "HEAD").strip()
        changes = _git("status", "--porcelain", "--untracked-files=no", "--", *_CODE)
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None}
    return {"commit": found, **({"changed": True} if changes else {})}


def machine() -> str:
    """The CPU's model, and how many of the machine's cores this process may use."""
    return f"{_model()}, {cores()} of {os.cpu_count()} cores"


def cores() -> int:
    """How many cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # on Linux alone
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def command(argv: list[str]) -> str:
    """The words of a command, with the script as it is named from the repository's root."""
    script, *words = argv
    try:
        script = str(Path(script).resolve().relative_to(ROOT))
    except ValueError:
        pass  # a script of another place
    return shlex.join(["python", script, *words])


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
        platform.machine(),
    )
