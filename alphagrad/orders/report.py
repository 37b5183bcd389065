"""What is reported of orders: their costs beside the published figures, and how a run found them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import graphax
from alphagrad.tasks import Task
from graphax import ComputationalGraph

from ..run.command import Run
from ..run.page import Cells, Picture, Section, Text, figure, picture
from ..run.table import Rows
from .best import BestOrder

CAPTION = "counted: unit edges hold ones, as in published tables; free: what is executed"

_MANY = 2_000  # vertices from which on a further Markowitz order would take its time
_HEADS = {"flops": "flops", "memory": "numbers held", "time": "estimated", "runtime": "run time"}
#: The objectives that are seconds.
SECONDS: Sequence[str] = ("time", "runtime")
#: The orders that need no search.
CLASSICAL = ("forward", "reverse", "markowitz")


class Row(NamedTuple):
    """One method's multiplications.

    Attributes:
        method: its name.
        counted: with the ones of unit edges counted.
        free: what is executed.
        published: the published figure with unit edges counted, if there is one.
        value: what was to be small, where that is something else than multiplications.
    """

    method: str
    counted: int | None
    free: int | None
    published: int | None = None
    value: float | None = None


def cost_rows(
    graph: ComputationalGraph,
    task: Task,
    found: Mapping[str, Sequence[int]] | None = None,
    markowitz: Sequence[int] | None = None,
) -> list[Row]:
    """The costs of forward, reverse and Markowitz order and of others that were found, in both conventions.

    The Markowitz order is made anew for each convention: its degrees are counted in that convention.

    Args:
        graph: the task's graph.
        task: the task.
        found: further orders by name.
        markowitz: the Markowitz order of this graph in its own convention, if it is known already. A graph of
            thousands of vertices then gets none in the other convention.
    """

    def markowitz_of(each: ComputationalGraph) -> Sequence[int] | None:
        if markowitz is not None and each is graph:
            return markowitz
        too_many = markowitz is not None and len(graph.eliminable) >= _MANY
        return None if too_many else graphax.orders.markowitz(each)

    counted, executed = graph.counted(), graph.executed()
    forward, reverse = graphax.orders.forward(graph), graphax.orders.reverse(graph)
    orders = {
        "forward": (forward, forward),
        "reverse": (reverse, reverse),
        "markowitz": (markowitz_of(counted), markowitz_of(executed)),
        **{method: (order, order) for method, order in (found or {}).items()},
    }
    published = task.published or {}
    return [
        Row(method, _mults(counted, first), _mults(executed, second), published.get(method))
        for method, (first, second) in orders.items()
    ]


def _mults(graph: ComputationalGraph, order: Sequence[int] | None) -> int | None:
    return None if order is None else graph.cost(order).mults


def cost_cells(rows: Sequence[Row], objective: str = "mults") -> list[tuple[str, ...]]:
    """The rows as text, under a row of headings."""
    cells: list[tuple[str, ...]] = [("order", "counted", "free", "published")]
    cells += [(row.method, *map(_number, (row.counted, row.free, row.published))) for row in rows]
    if objective in _HEADS:
        shown = [_HEADS[objective], *(write_value(row.value, objective) for row in rows)]
        cells = [(*line, value) for line, value in zip(cells, shown, strict=True)]
    return cells


def cost_table(task: Task, cells: Sequence[Sequence[str]]) -> Rows:
    """The cells as a table for the terminal."""
    return Rows(f"{task.name}: multiplications to accumulate the Jacobian", cells, ("order",), CAPTION)


def order_page(
    graph: ComputationalGraph,
    cells: Sequence[Sequence[str]],
    remark: str,
    picture: Picture,
    order: Sequence[int] | None,
) -> tuple[Section, ...]:
    """The page of a run that looked for an order.

    Args:
        graph: whose vertices are eliminated.
        cells: the table of costs, its headings first.
        remark: what is to be said below the table.
        picture: how the run went.
        order: the order found; None if no game was played to its end.
    """
    written = " ".join(map(str, order)) if order is not None else "no game was played to its end"
    return (
        Cells("Multiplications", cells, (CAPTION, remark)),
        picture,
        Text("Order", written, lines=False),
        Text("Graph", str(graph)),
    )


def order_words(run: Run, best: BestOrder, task: Task) -> tuple[str, ...]:
    """The last words of a run: where the best order is, and how to use it for the task's function."""
    path = run.folder.order
    argnums = "" if task.argnums == (0,) else f", argnums={task.argnums}"
    return (
        f"order ({best.method}): {path}",
        f"to use it: jacve(f, order=graphax.load_order({str(path)!r}){argnums})",
    )


def write_value(value: float | None, objective: str = "mults") -> str:
    """What an order is worth, as text."""
    if value is None or math.isinf(value):  # not known, or not yet
        return _number(None)
    if objective not in SECONDS:
        return _number(value)
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def _number(value: Any) -> str:
    return "-" if value is None else str(value)


def search_curve(
    metrics: Sequence[Mapping[str, Any]],
    costs: Mapping[str, float],
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
    drawn, axes = figure(quantity)
    steps = [(line["seconds"], line["best"]) for line in metrics if line["best"] is not None]
    best = [cost for _, cost in steps]
    axes.step([at for at, _ in steps], best, where="post", color="tab:blue", label="best order")
    others = {name: cost for name, cost in costs.items() if name != "search"}
    known_lines(axes, others, bound, max(best) * 1.5 if best else None)
    axes.legend()
    return picture("Search", "cost of the best order over time", drawn)


def run_times(seconds: Mapping[str, float]) -> Picture:
    """How long a run takes in each order.

    Args:
        seconds: for each order, by name.
    """
    drawn, axes = figure("", "microseconds")
    bars = axes.barh(list(seconds), [1e6 * taken for taken in seconds.values()])
    axes.bar_label(bars, fmt="%.3g", padding=3)
    axes.invert_yaxis()
    return picture("Run times", "seconds that a run takes in each order", drawn)


def known_lines(axes: Any, costs: Mapping[str, float], bound: float | None, top: float | None) -> None:
    """Lines for known orders and the bound, where they do not lie far above the rest."""
    colours = {
        "forward": "tab:red",
        "reverse": "tab:green",
        "markowitz": "tab:orange",
        "auto": "tab:purple",
        "search": "tab:brown",
    }
    for method, colour in colours.items():
        cost = costs.get(method, math.inf)
        if math.isfinite(cost) and (top is None or cost <= top):
            axes.axhline(cost, color=colour, linestyle="--", label=method)
    if bound is not None:
        axes.axhline(bound, color="black", linestyle=":", label="lower bound")
