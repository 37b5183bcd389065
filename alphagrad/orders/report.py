"""What is reported of orders: their costs beside the published figures, and how a run found them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import graphax
from alphagrad.tasks import Task
from graphax import ComputationalGraph

from ..run.charts import Line, Panel, Series
from ..run.command import Run
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


def unit(objective: str, quantity: str) -> str:
    """What numbers in a report are of: those of seconds are in microseconds there."""
    return f"µs {quantity}" if objective in SECONDS else quantity


def in_unit(cost: float, objective: str) -> float:
    return float(f"{1e6 * cost:.6g}") if objective in SECONDS else cost


def search_panels(
    costs: Mapping[str, float], bound: float | None, objective: str, quantity: str
) -> tuple[Panel, ...]:
    """Curves of a search: the cost of the best order, and how many are looked at in a second.

    Args:
        costs: of orders by name.
        bound: that no order is below, or None.
        objective, quantity: what was to be small.
    """
    others = {name: cost for name, cost in costs.items() if name != "search"}
    over = ("seconds", "evaluations")
    best = Series("best order", "best", 1e6 if objective in SECONDS else 1.0, steps=True)
    cost = Panel("Cost", unit(objective, quantity), (best,), over, known_lines(others, bound, objective))
    pace = Series("all workers", "evaluations", rate=True)
    return cost, Panel("Throughput", "orders evaluated / s", (pace,), over)


def known_lines(
    costs: Mapping[str, float],
    bound: float | None,
    objective: str = "mults",
    published: Mapping[str, int] | None = None,
) -> tuple[Line, ...]:
    """Lines for known orders, published figures and the bound."""
    known = [
        Line(name, in_unit(costs[name], objective))
        for name in ("auto", "search", *CLASSICAL)
        if math.isfinite(costs.get(name, math.inf))
    ]
    figures = {name: value for name, value in (published or {}).items() if name not in CLASSICAL}
    known += [Line(f"{name}, published", value) for name, value in figures.items()]
    return (*known, *([] if bound is None else [Line("lower bound", bound)]))
