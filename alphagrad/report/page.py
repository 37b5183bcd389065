"""The report of a run: one HTML page that needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from ..files import write_atomically
from .table import Row

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; } td, th { padding: .2rem .8rem; border-bottom: 1px solid #ccc; }
td + td, th + th { text-align: right; } pre { overflow-x: auto; background: #f6f6f6; padding: .6rem; }
img { max-width: 100%; } code { word-break: break-word; }
"""


def write_report(
    path: Path,
    title: str,
    rows: Sequence[Row],
    order: Sequence[int] | None,
    metrics: Sequence[Mapping[str, Any]],
    config: str,
    graph: str,
    unit_edges: str,
) -> None:
    """Write the page, atomically.

    Args:
        path: the file.
        title: what was learned.
        rows: of the table of costs.
        order: the learned order; None if no game was played to its end.
        metrics: the lines of the run's metrics.
        config: its settings, as YAML.
        graph: the numbered graph.
        unit_edges: the convention that the games were played in.
    """
    head = "".join(f"<th>{name}</th>" for name in ("order", "counted", "free", "published"))
    body = "".join(
        "<tr>" + "".join(f"<td>{'-' if cell is None else escape(str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    written = " ".join(map(str, order)) if order is not None else "no game was played to its end"
    curve = base64.b64encode(learning_curve(metrics, rows, unit_edges)).decode()
    page = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head><body>
<h1>{escape(title)}</h1>
<h2>Multiplications</h2>
<table><tr>{head}</tr>{body}</table>
<p>counted: unit edges hold ones, as in published tables; free: what is executed</p>
<h2>Learning</h2>
<img alt="cost of the games over time" src="data:image/png;base64,{curve}">
<h2>Order</h2>
<p><code>{escape(written)}</code></p>
<h2>Graph</h2>
<pre>{escape(graph)}</pre>
<h2>Settings</h2>
<pre>{escape(config)}</pre>
</body></html>
"""
    write_atomically(path, lambda file: file.write(page.encode()))


def learning_curve(metrics: Sequence[Mapping[str, Any]], rows: Sequence[Row], unit_edges: str) -> bytes:
    """Costs of the games over time, as a PNG picture, with lines for the classical orders."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.add_subplot()
    played = [line for line in metrics if line["mean"] is not None]
    seconds = [line["seconds"] for line in played]
    axes.plot(seconds, [-line["mean"] for line in played], color="tab:blue", alpha=0.6, label="mean game")
    axes.step(seconds, [-line["best"] for line in played], where="post", color="tab:blue", label="best game")
    colours = {"forward": "tab:red", "reverse": "tab:green", "markowitz": "tab:orange"}
    top = max((-line["mean"] for line in played), default=0) * 1.3
    for row in rows:
        cost = row.free if unit_edges == "free" else row.counted
        if row.method in colours and (not played or cost <= top):
            axes.axhline(cost, color=colours[row.method], linestyle="--", label=row.method)
    axes.set_xlabel("seconds")
    axes.set_ylabel(f"multiplications ({unit_edges})")
    axes.legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=110)
    return picture.getvalue()
