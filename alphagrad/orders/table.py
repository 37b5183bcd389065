"""The table of a task: what the classical orders and a found one cost, beside the published figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from rich.table import Table

import graphax
from graphax import ComputationalGraph
from graphax.sparse import UnitEdges
from tasks import Task

CAPTION = "counted: unit edges hold ones, as in published tables; free: what is executed"

_MANY = 2_000  # vertices from which on a further Markowitz order would take its time
_HEADS = {"flops": "flops", "memory": "numbers held", "runtime": "run time"}


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
    markowitz: Mapping[UnitEdges, Sequence[int]] | None = None,
) -> list[Row]:
    """The costs of forward, reverse and Markowitz order and of others that were found.

    The Markowitz order is made anew for each convention: its degrees are counted in that convention.

    Args:
        graph: the task's graph.
        task: the task.
        found: further orders by name.
        markowitz: Markowitz orders that are known already, by convention. A graph of thousands of vertices
            gets no other.
    """
    known = dict(markowitz or {})
    for unit_edges in ("counted", "free"):
        if unit_edges not in known and (markowitz is None or len(graph.eliminable) < _MANY):
            known[unit_edges] = graphax.orders.markowitz(graph, unit_edges=unit_edges)
    same = {
        "forward": graphax.orders.forward(graph),
        "reverse": graphax.orders.reverse(graph),
        "markowitz": None,
        **(found or {}),
    }
    orders = {name: (order, order) for name, order in same.items()}
    orders["markowitz"] = known.get("counted"), known.get("free")
    published = task.published or {}
    return [
        Row(
            method,
            None if counted is None else graph.cost(counted, "counted").mults,
            None if free is None else graph.cost(free, "free").mults,
            published.get(method),
        )
        for method, (counted, free) in orders.items()
    ]


def cost_cells(rows: Sequence[Row], objective: str = "mults") -> list[tuple[str, ...]]:
    """The rows as text, under a row of headings."""
    cells: list[tuple[str, ...]] = [("order", "counted", "free", "published")]
    cells += [(row.method, *map(_number, (row.counted, row.free, row.published))) for row in rows]
    if objective in _HEADS:
        shown = [_HEADS[objective], *(write_value(row.value, objective) for row in rows)]
        cells = [(*line, value) for line, value in zip(cells, shown, strict=True)]
    return cells


def cost_table(task: Task, rows: Sequence[Row], objective: str = "mults") -> Table:
    """The rows as a table for the terminal."""
    heads, *lines = cost_cells(rows, objective)
    table = Table(title=f"{task.name}: multiplications to accumulate the Jacobian", caption=CAPTION)
    for head in heads:
        table.add_column(head, justify="left" if head == "order" else "right")
    for line in lines:
        table.add_row(*line)
    return table


def write_value(value: float | None, objective: str = "mults") -> str:
    """What an order is worth, as text."""
    if value is None or objective != "runtime":
        return _number(value)
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def _number(value: Any) -> str:
    return "-" if value is None else str(value)
