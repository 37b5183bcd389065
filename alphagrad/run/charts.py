"""Curves of a run: what is drawn of its metrics, and how many points of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_MOST_POINTS = 1_000  # of a curve; a screen has no more columns
_RATES = 200  # of a curve of rates, so that each is over a while
_LEAST_SECONDS = 0.2  # of such a while

#: What the columns of metrics are called that curves are drawn over.
NAMES = {"evaluations": "orders evaluated"}


@dataclass(frozen=True)
class Series:
    """A column of the metrics as a curve.

    Attributes:
        label: what it is called.
        column: of the metrics.
        scale: what its numbers are multiplied by; -1 makes costs of returns.
        steps: whether it keeps a value until the next.
        rate: whether it is drawn how much the column grows in a second.
    """

    label: str
    column: str
    scale: float = 1.0
    steps: bool = False
    rate: bool = False


@dataclass(frozen=True)
class Line:
    """A level to compare with, drawn from side to side."""

    label: str
    value: float


@dataclass(frozen=True)
class Panel:
    """Curves of one unit in one picture.

    Attributes:
        heading: what is to be seen.
        unit: of all numbers in it.
        series: the curves.
        over: columns of the metrics, of which a reader chooses one to draw over.
        lines: what to compare with.
    """

    heading: str
    unit: str
    series: tuple[Series, ...]
    over: tuple[str, ...] = ("seconds",)
    lines: tuple[Line, ...] = ()


Metrics = Sequence[Mapping[str, Any]]


def drawn(panel: Panel, metrics: Metrics) -> dict[str, Any] | None:
    """A panel as the script of the page draws it; None if nothing is known, or only of one moment.

    Args:
        panel: what to draw.
        metrics: the lines of a run's metrics.
    """
    curves = [curve for series in panel.series if (curve := points(series, panel.over, metrics))]
    return picture(panel.heading, panel.unit, panel.over, curves, panel.lines)


def picture(
    heading: str, unit: str, over: Sequence[str], curves: Sequence[Mapping[str, Any]], lines: Sequence[Line]
) -> dict[str, Any] | None:
    """Curves in one picture, as the script of the page draws it; see :class:`Panel` and :func:`points`.

    Returns:
        None where nothing is known, or only of one moment: a single point is no curve.
    """
    if len({moment for name in over[:1] for curve in curves for moment in curve["x"].get(name, ())}) < 2:
        return None
    return {
        "heading": heading,
        "unit": unit,
        "over": [{"column": column, "name": NAMES.get(column, column)} for column in over],
        "curves": curves,
        "lines": [[line.label, line.value] for line in lines if math.isfinite(line.value)],
    }


def points(series: Series, over: Sequence[str], metrics: Metrics) -> dict[str, Any] | None:
    """A curve as the script of the page draws it: its label, its numbers, and what they are over.

    Long ones are thinned, and say of how many points: of every stretch the lowest and the highest are left.

    Returns:
        None where no number is known.
    """
    columns = [series.column, "seconds", *over]
    known = [line for line in metrics if all(line.get(column) is not None for column in columns)]
    if any(isinstance(line[column], str) for line in known[:1] for column in columns):
        return None
    if series.rate:
        known, values = _rates(series.column, known)
    else:
        values = [line[series.column] for line in known]
    kept = _extremes(values)
    if not kept:
        return None
    return {
        "label": series.label,
        "steps": series.steps,
        "x": {column: [_short(known[at][column]) for at in kept] for column in over},
        "y": [_short(series.scale * values[at]) for at in kept],
        "of": len(values),
    }


def _rates(column: str, lines: Metrics) -> tuple[list[Mapping[str, Any]], list[float]]:
    """How much a column grows in a second, over stretches of some time, and the lines where these end."""
    ends: list[Mapping[str, Any]] = []
    rates: list[float] = []
    if not lines:
        return ends, rates
    begun = lines[0]
    least = max(_LEAST_SECONDS, (lines[-1]["seconds"] - begun["seconds"]) / _RATES)
    for line in lines[1:]:
        seconds = line["seconds"] - begun["seconds"]
        if seconds >= least:
            ends.append(line)
            rates.append((line[column] - begun[column]) / seconds)
            begun = line
    return ends, rates


def _extremes(values: Sequence[float]) -> list[int]:
    """Which of many values to draw: the first, the last, and the lowest and highest of every stretch."""
    count = len(values)
    if count <= _MOST_POINTS:
        return list(range(count))
    stretches = (_MOST_POINTS - 2) // 2
    kept = {0, count - 1}
    for at in range(stretches):
        stretch = range(at * count // stretches, (at + 1) * count // stretches)
        kept |= {min(stretch, key=values.__getitem__), max(stretch, key=values.__getitem__)}
    return sorted(kept)


def _short(number: float) -> float | None:
    """A number in six digits, as far as it is an ordinary one."""
    if not math.isfinite(number):
        return None
    return number if isinstance(number, int) else float(f"{number:.6g}")
