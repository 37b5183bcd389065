"""An index of runs: one HTML page with a table to be sorted, and their curves over each other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from graphax.files import write_atomically

from .charts import picture, points
from .document import document, escaped, section
from .folder import REPORT
from .page import chart, duration, written
from .runs import COUNTS, FoundRun

_HEADS = ("task", "run", "best", "lower bound", "found by", "command", "seed", "time", "ended", "device")
_NUMBERS = {"best", "lower bound", "seed", "time"}


def write_index(path: Path, runs: Sequence[FoundRun], passed: Sequence[str]) -> None:
    """Write a page that compares runs, atomically.

    Args:
        path: the file.
        runs: what to compare.
        passed: folders that were passed over, and why.

    Raises:
        OSError: if it cannot be written.
    """
    pictures = _pictures(path.parent, runs)
    curves = "".join(chart(at, each) for at, each in enumerate(pictures))
    lines = "".join(f"<p>{escaped(line)}</p>" for line in passed)
    parts = [
        section("Runs", _table(path.parent, runs)) if runs else "<p>There is no run here.</p>",
        section("Curves", f'<div class="charts each">{curves}</div>') if curves else "",
        section("Passed over", lines, folded=True) if passed else "",
    ]
    count = f"{len(runs)} {'run' if len(runs) == 1 else 'runs'}"
    tasks = len({run.task for run in runs})
    header = (
        '<p class="over">alphagrad report</p><h1>Runs</h1>'
        f'<p class="lead">{count} of {tasks} {"task" if tasks == 1 else "tasks"}.</p>'
    )
    scripts = ["uplot/uPlot.iife.min.js", "page.js", "index.js"]
    write_atomically(path, document(f"{count} of alphagrad", header, "\n".join(parts), scripts, pictures))


def _table(base: Path, runs: Sequence[FoundRun]) -> str:
    head = "".join(
        f'<th scope="col" aria-sort="none" class="{"number" if name in _NUMBERS else "words"}">'
        f'<button type="button">{name}</button></th>'
        for name in _HEADS
    )
    body = "\n".join(f"<tr>{_cells(base, run)}</tr>" for run in runs)
    return (
        '<div class="wide" tabindex="0">'
        '<table class="runs"><caption>Runs, to be sorted by any column</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cells(base: Path, run: FoundRun) -> str:
    """A row of the table: what is shown, and for numbers by what they are sorted."""
    result = run.result
    if result is not None:
        found = result.findings
        best, quantity, method, bound = found.best, found.quantity, found.method, found.bound
        ended, device = result.ended.replace("T", " "), result.device
    else:
        last = points(run.curve, ("seconds",), run.metrics)
        best, quantity = last["y"][-1] if last else None, ""
        method, bound, ended, device = "", None, "" if _reported(run) else "did not end", ""
    texts = {
        "task": run.task,
        "command": run.command,
        "best": written(best, quantity).strip(),
        "lower bound": "" if bound is None else f"{bound:,}",
        "found by": method,
        "seed": "" if run.seed is None else str(run.seed),
        "time": "" if run.seconds is None else duration(run.seconds),
        "ended": ended,
        "device": device,
    }
    cells = {name: escaped(text) for name, text in texts.items()}
    cells["run"] = escaped(os.path.relpath(run.path, base))
    if _reported(run):
        cells["run"] = f'<a href="{quote(os.path.relpath(run.path / REPORT, base))}">{cells["run"]}</a>'
    numbers = {"best": best, "lower bound": bound, "seed": run.seed, "time": run.seconds}
    return "".join(
        f'<td data-number="{_number(numbers[name])}">{cells[name]}</td>'
        if name in numbers
        else f"<td>{cells[name]}</td>"
        for name in _HEADS
    )


def _reported(run: FoundRun) -> bool:
    return (run.path / REPORT).is_file()


def _number(value: float | None) -> str:
    return "" if value is None else str(value)


def _pictures(base: Path, runs: Sequence[FoundRun]) -> list[dict[str, Any]]:
    """A picture for each task and quantity, with a curve for each run."""

    def about(run: FoundRun) -> tuple[str, str]:
        return run.task, run.result.findings.panels[0].unit if run.result is not None else "best"

    pictures: list[dict[str, Any]] = []
    for (task, unit), group in groupby(sorted(runs, key=about), about):
        curves: list[dict[str, Any]] = []
        for run in group:
            curve = points(run.curve, run.over, run.metrics)
            if curve:
                name = os.path.relpath(run.path, base)
                curves.append({**curve, "label": f"{name}, {run.command}, seed {run.seed}"})
        over = [name for name in ("seconds", *COUNTS) if any(name in curve["x"] for curve in curves)]
        drawn = picture(task, unit, over, curves, ())
        if drawn:
            pictures.append(drawn)
    return pictures
