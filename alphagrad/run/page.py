"""The report of a run: one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from graphax.files import write_atomically

from ..orders.table import CAPTION, Row

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem; border-bottom: 1px solid #ccc; }
td + td, th + th { text-align: right; } pre { overflow-x: auto; background: #f6f6f6; padding: .6rem; }
img { max-width: 100%; } code { word-break: break-word; }
"""


class Cells(NamedTuple):
    """A table with its heading, the names of its columns first, and what is to be said below it."""

    heading: str
    rows: Sequence[Sequence[str]]
    remarks: Sequence[str]


class Picture(NamedTuple):
    """A picture with its heading, as PNG."""

    heading: str
    description: str
    png: bytes


class Text(NamedTuple):
    """Text with its heading: lines as they are, or else one that is broken where the page ends."""

    heading: str
    text: str
    lines: bool = True


def write_page(path: Path, title: str, sections: Sequence[Cells | Picture | Text]) -> None:
    """Write a page, atomically.

    Args:
        path: the file.
        title: what was learned or searched for.
        sections: one below the other.
    """
    body = "\n".join(f"<h2>{escape(section.heading)}</h2>\n{_html(section)}" for section in sections)
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head><body>
<h1>{escape(title)}</h1>
{body}
</body></html>
"""
    write_atomically(path, page)


def write_report(
    path: Path,
    title: str,
    cells: Sequence[Sequence[str]],
    remark: str,
    picture: Picture,
    order: Sequence[int] | None,
    config: str,
    graph: str,
) -> None:
    """Write the page of a run that looked for an elimination order.

    Args:
        path: the file.
        title: what was learned or searched for.
        cells: the table of costs, its headings first.
        remark: what is to be said below the table.
        picture: how the run went.
        order: the order found; None if no game was played to its end.
        config: the settings of the run, as YAML.
        graph: the numbered graph.
    """
    written = " ".join(map(str, order)) if order is not None else "no game was played to its end"
    sections = (
        Cells("Multiplications", cells, (CAPTION, remark)),
        picture,
        Text("Order", written, lines=False),
        Text("Graph", graph),
        Text("Settings", config),
    )
    write_page(path, title, sections)


def _html(section: Cells | Picture | Text) -> str:
    if isinstance(section, Picture):
        data = base64.b64encode(section.png).decode()
        return f'<img alt="{escape(section.description)}" src="data:image/png;base64,{data}">'
    if isinstance(section, Text):
        text = escape(section.text)
        return f"<pre>{text}</pre>" if section.lines else f"<p><code>{text}</code></p>"
    head = "".join(f"<th>{escape(name)}</th>" for name in section.rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in section.rows[1:]
    )
    remarks = "".join(f"\n<p>{escape(remark)}</p>" for remark in section.remarks)
    return f"<table><tr>{head}</tr>{body}</table>{remarks}"


def learning_curve(metrics: Sequence[Mapping[str, Any]], rows: Sequence[Row], unit_edges: str) -> Picture:
    """Costs of the games over time, with lines for the classical orders."""
    figure, axes, top = _games(metrics, f"multiplications ({unit_edges})")
    costs = {row.method: row.free if unit_edges == "free" else row.counted for row in rows}
    _classical_lines(axes, costs, top)
    axes.legend()
    return Picture("Learning", "cost of the games over time", _png(figure))


def rank_of_games(metrics: Sequence[Mapping[str, Any]]) -> Picture:
    """Moves of the games over time, and what those paid besides that left something over."""
    figure, axes, _ = _games(metrics, "products, and the bound on what is left")
    axes.legend()
    return Picture("Learning", "moves of the games over time", _png(figure))


def _games(metrics: Sequence[Mapping[str, Any]], quantity: str) -> tuple[Any, Any, float | None]:
    """A figure of the mean and the best game over time, and up to where there is something to see."""
    figure, axes = _figure(quantity)
    played = [line for line in metrics if line["mean"] is not None]
    seconds = [line["seconds"] for line in played]
    best = [math.nan if line["best"] is None else -line["best"] for line in played]
    axes.plot(seconds, [-line["mean"] for line in played], color="tab:blue", alpha=0.6, label="mean game")
    axes.step(seconds, best, where="post", color="tab:blue", label="best game")
    return figure, axes, max((-line["mean"] * 1.3 for line in played), default=None)


def search_curve(
    metrics: Sequence[Mapping[str, Any]],
    costs: Mapping[str, float | None],
    bound: float | None,
    quantity: str,
) -> Picture:
    """The cost of the best order over time, with lines for the classical orders and the bound.

    Args:
        metrics: the lines of the run's metrics.
        costs: of orders by name.
        bound: that no order is below, or None.
        quantity: what costs are of.
    """
    figure, axes = _figure(quantity)
    steps = [(line["seconds"], line["best"]) for line in metrics if line["best"] is not None]
    best = [cost for _, cost in steps]
    axes.step([at for at, _ in steps], best, where="post", color="tab:blue", label="best order")
    _classical_lines(axes, costs, max(best) * 1.5 if best else None)
    if bound is not None:
        axes.axhline(bound, color="black", linestyle=":", label="lower bound")
    axes.legend()
    return Picture("Search", "cost of the best order over time", _png(figure))


def rank_curve(metrics: Sequence[Mapping[str, Any]], known: int | None) -> Picture:
    """The lowest rank over time, with a line for the literature's.

    Args:
        metrics: the lines of the run's metrics.
        known: the lowest rank modulo 2 in the literature, or None.
    """
    figure, axes = _figure("rank")
    seconds = [line["seconds"] for line in metrics]
    for key, colour, label in (("best", "tab:blue", "modulo 2"), ("lifted", "tab:orange", "lifted")):
        ranks = [line[key] for line in metrics]
        if any(rank is not None for rank in ranks):
            axes.step(
                seconds,
                [math.nan if rank is None else rank for rank in ranks],
                where="post",
                color=colour,
                label=label,
            )
    if known is not None:
        axes.axhline(known, color="black", linestyle=":", label="literature, modulo 2")
    axes.legend()
    return Picture("Search", "rank of the best scheme over time", _png(figure))


def run_times(seconds: Mapping[str, float]) -> Picture:
    """How long a run takes in each order.

    Args:
        seconds: for each order, by name.
    """
    figure, axes = _figure("", "microseconds")
    bars = axes.barh(list(seconds), [1e6 * taken for taken in seconds.values()])
    axes.bar_label(bars, fmt="%.3g", padding=3)
    axes.invert_yaxis()
    return Picture("Run times", "seconds that a run takes in each order", _png(figure))


def _figure(quantity: str, over: str = "seconds") -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel(over)
    axes.set_ylabel(quantity)
    return figure, axes


def _classical_lines(axes: Any, costs: Mapping[str, float | None], top: float | None) -> None:
    """A line for each classical order, if it does not lie far above the rest."""
    for method, colour in (("forward", "tab:red"), ("reverse", "tab:green"), ("markowitz", "tab:orange")):
        cost = costs.get(method)
        if cost is not None and (top is None or cost <= top):
            axes.axhline(cost, color=colour, linestyle="--", label=method)


def _png(figure: Any) -> bytes:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()
