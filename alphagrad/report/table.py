"""The table of a task: what the classical orders and a learned one cost, beside the published figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.table import Table

import graphax
from graphax import ComputationalGraph
from tasks import Task


class Row(NamedTuple):
    """One method's multiplications.

    Attributes:
        method: its name.
        counted: with the ones of unit edges counted.
        free: what is executed.
        published: the published figure with unit edges counted, if there is one.
    """

    method: str
    counted: int
    free: int
    published: int | None


def cost_rows(graph: ComputationalGraph, task: Task, learned: Sequence[int] | None = None) -> list[Row]:
    """The costs of forward, reverse and Markowitz order and, if given, of a learned one.

    The Markowitz order is made anew for each convention: its degrees are counted in that convention.
    """
    orders = {
        "forward": (graphax.orders.forward(graph),) * 2,
        "reverse": (graphax.orders.reverse(graph),) * 2,
        "markowitz": (
            graphax.orders.markowitz(graph, unit_edges="counted"),
            graphax.orders.markowitz(graph, unit_edges="free"),
        ),
    }
    if learned is not None:
        orders["learned"] = (tuple(learned),) * 2
    published = task.published or {}
    return [
        Row(
            method,
            graph.cost(counted, "counted").mults,
            graph.cost(free, "free").mults,
            published.get(method),
        )
        for method, (counted, free) in orders.items()
    ]


def cost_table(task: Task, rows: Sequence[Row]) -> Table:
    """The rows as a table for the terminal."""
    table = Table(title=f"{task.name}: multiplications to accumulate the Jacobian")
    table.add_column("order")
    table.add_column("counted", justify="right")
    table.add_column("free", justify="right")
    table.add_column("published", justify="right")
    for row in rows:
        published = "-" if row.published is None else str(row.published)
        table.add_row(row.method, str(row.counted), str(row.free), published)
    table.caption = "counted: unit edges hold ones, as in published tables; free: what is executed"
    return table
