"""What a run that looked for an order leaves for its report, and the page that shows the elimination."""

from __future__ import annotations

import math
from collections.abc import Sequence

import graphax
from alphagrad.tasks import Task

from ..run.charts import Panel
from ..run.command import Run
from ..run.result import Cells, Findings, Text
from .report import CAPTION, in_unit, unit
from .searching import OrderSearch
from .task import OrderConfig

_DRAWN, _DRAWN_AT_ONCE = 3_000, 300  # vertices, up to which a page shows the elimination
_LINES = 2_000  # of a graph's text, in a report


def order_findings(
    run: Run,
    task: Task,
    config: OrderConfig,
    search: OrderSearch,
    cells: Sequence[Sequence[str]],
    verdict: str,
    panels: Sequence[Panel],
    on_jax: bool,
) -> Findings:
    """What a run that looked for an order has found, for its report.

    Args:
        run: the run.
        task: whose function the order is for.
        config: names the task.
        search: what looked for it, alone or beside an agent.
        cells: the table of costs, its headings first.
        verdict: how good the best order is.
        panels: curves of the run; the first curve of the first is that of the best.
        on_jax: whether JAX's device computed what counts.
    """
    best, objective = search.best, search.objective
    return Findings(
        best=in_unit(best.cost, objective) if math.isfinite(best.cost) else None,
        quantity=unit(objective, search.quantity),
        method=best.method,
        bound=search.bound,
        verdict=verdict,
        use=_use(run, config, task),
        on_jax=on_jax,
        panels=tuple(panels),
        tables=(Cells("Multiplications to accumulate the Jacobian", tuple(map(tuple, cells)), (CAPTION,)),),
        texts=(
            Text("Order", " ".join(map(str, best.order))),
            Text("Graph", _first_lines(str(search.graph)), places=True, folded=True),
        ),
    )


def elimination(search: OrderSearch, hurry: bool) -> str | None:
    """A page that shows how the best order eliminates the vertices; None for a graph that is too large.

    Args:
        search: what has found the order.
        hurry: whether there is no time to draw a graph of more than some hundred vertices.
    """
    if len(search.graph.vertices) > (_DRAWN_AT_ONCE if hurry else _DRAWN):
        return None
    return graphax.draw(search.graph, graphax.load_order(search.best.path)).html


def _first_lines(text: str) -> str:
    lines = text.split("\n")
    left = len(lines) - _LINES
    return text if left <= 0 else "\n".join([*lines[:_LINES], f"... and {left:,} lines more"])


def _use(run: Run, config: OrderConfig, task: Task) -> str:
    """Python that differentiates the task's function in the order found."""
    named = [repr(config.task)] + [f"args={config.args!r}"] * (config.args is not None)
    named += [f"argnums={task.argnums}"] * (config.argnums is not None)
    return (
        "import graphax\nfrom alphagrad import tasks\n\n"
        f"task = tasks.load({', '.join(named)})\n"
        f"order = graphax.load_order({str(run.folder.order)!r})\n"
        f"jacobian = graphax.jacve(task.fun, argnums={task.argnums}, order=order)\n"
        "print(jacobian(*task.args))"
    )
