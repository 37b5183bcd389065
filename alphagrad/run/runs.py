"""Runs below a folder, as an index tells them: those that have ended, and what is left of others."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .charts import Series
from .document import GENERATOR
from .folder import REPORT, read_metrics
from .page import write_report
from .plain import plain
from .result import Result, load_result
from .settings import written_settings

_CONFIG, _METRICS = "config.yaml", "metrics.jsonl"
#: Columns that metrics are drawn over, beside seconds.
COUNTS = ("games", "evaluations", "flips")
_HEAD_BYTES = 2_000  # of a page, in which it says what has made it


@dataclass(frozen=True)
class FoundRun:
    """A run in a folder.

    Attributes:
        path: of the folder.
        task, command, seed: as its settings, or its result, say.
        result: what it came to; None if it has not ended, or was killed.
        metrics: its lines.
        curve: which column of them is that of the best.
    """

    path: Path
    task: str
    command: str
    seed: int | None
    result: Result | None
    metrics: Sequence[Mapping[str, Any]]
    curve: Series

    @property
    def seconds(self) -> float | None:
        """That it took, as far as it is known."""
        if self.result is not None:
            return self.result.seconds
        return self.metrics[-1]["seconds"] if self.metrics else None

    @property
    def over(self) -> tuple[str, ...]:
        """The columns of its metrics that a curve can be drawn over."""
        columns = self.metrics[0] if self.metrics else ()
        return ("seconds", *(name for name in COUNTS if name in columns))


def find_runs(folders: Sequence[Path]) -> tuple[list[FoundRun], list[str]]:
    """The runs in and below folders.

    Args:
        folders: where to look. What is below a run's folder is not looked at.

    Returns:
        the runs by their paths, and what was passed over: the folder, and why.

    Raises:
        NotADirectoryError: for a folder that is none.
    """
    runs: dict[Path, FoundRun] = {}
    passed: list[str] = []
    for folder in folders:
        if not folder.is_dir():
            raise NotADirectoryError(f"{folder} is no folder; name one that holds runs, such as runs/")
        for name, below, files in os.walk(folder):
            path = Path(name)
            below.sort()
            if not {_CONFIG, _METRICS} & set(files):
                if not below and files and path not in folders:
                    passed.append(f"{path}: no run, for it has no {_CONFIG}")
                continue
            below.clear()
            try:
                runs[path.resolve()] = _read_run(path)
            except (OSError, ValueError) as error:
                passed.append(f"{path}: {plain(str(error))}")
    return sorted(runs.values(), key=lambda run: (run.task, str(run.path))), passed


def remake_report(run: FoundRun) -> bool:
    """Make the report of a run again if it is older than its result, or than what makes reports now.

    Returns:
        whether it was made.

    Raises:
        OSError: if it cannot be written.
        ValueError: if something else is in the place of what goes into it.
    """
    if run.result is None or _is_current(run.path):
        return False
    write_report(run.path)
    return True


def _is_current(path: Path) -> bool:
    with suppress(OSError):
        report = path / REPORT
        with report.open("rb") as file:
            made = GENERATOR.encode() in file.read(_HEAD_BYTES)
        return made and report.stat().st_mtime >= (path / "result.json").stat().st_mtime
    return False


def _read_run(path: Path) -> FoundRun:
    """The run of a folder.

    Raises:
        OSError: if something cannot be read.
        ValueError: if it is no run.
    """
    said = written_settings(path / _CONFIG)
    metrics = read_metrics(path)
    try:
        result = load_result(path)
    except FileNotFoundError:
        result = None
    if metrics and not isinstance(metrics[0].get("seconds"), int | float):
        raise ValueError(f"{path / _METRICS} does not tell the seconds")
    columns = metrics[0] if metrics else {}
    if not {"iteration", "best"} <= set(columns) and not {"seconds", "best"} <= set(columns) and metrics:
        raise ValueError(f"{path / _METRICS} does not tell what was best")
    if result is not None:
        curve = result.findings.panels[0].series[0] if result.findings.panels else Series("best", "best")
        return FoundRun(path, result.task, result.command, result.seed, result, metrics, curve)
    trained = "iteration" in columns
    curve = Series("best", "best", -1.0 if trained else 1.0, steps=True)
    seed = said.get("seed", "")
    return FoundRun(
        path,
        said.get("task", "?"),
        "train" if trained else "search" if columns else "?",
        int(seed) if seed.isdecimal() else None,
        None,
        metrics,
        curve,
    )
