"""`alphagrad show`: print the numbered graph of a task, and what the classical orders cost."""

from __future__ import annotations

from ..run.command import Invocation, Kind
from .report import cost_cells, cost_rows, cost_table
from .task import TaskConfig, load_task, trace_task


def show(config: TaskConfig, call: Invocation) -> bool:
    """Print; see :class:`alphagrad.run.command.Kind`.

    Raises:
        ConfigError: when the task cannot be used.
    """
    task = load_task(config)
    graph = trace_task(task)
    print(graph)
    call.console.print(cost_table(task, cost_cells(cost_rows(graph, task))))
    return True


SHOW = Kind("an elimination order", "NAME", bool, TaskConfig, show)
