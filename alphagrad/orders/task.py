"""The function that an elimination order is for, as settings name it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeVar

import graphax
from alphagrad import tasks

from ..run.command import RunConfig
from ..run.settings import ConfigError

#: What may be named, for help.
TASK = (
    "a task's name, or file.py:function, which returns an alphagrad.tasks.Task or, with args=, is to be "
    "differentiated itself"
)


@dataclass(frozen=True, kw_only=True)
class TaskConfig:
    """What to work on; all settings of `alphagrad show`."""

    task: str = field(metadata={"help": TASK})
    args: str | None = field(
        default=None,
        metadata={"help": 'types of the arguments of file.py:function, such as "f32[3],f32[3,3],i32[]"'},
    )
    argnums: str | None = field(
        default=None,
        metadata={"help": "which of them to differentiate, such as 0,1; by default all floating ones"},
    )


@dataclass(frozen=True, kw_only=True)
class OrderConfig(RunConfig, TaskConfig):
    """What all runs are told that look for an order."""

    task: str = field(metadata={"help": TASK})
    unit_edges: str | None = field(
        default=None,
        metadata={
            "help": "what costs count: 'free' what is executed, 'counted' as in published tables; by default "
            "'counted' for tasks whose figures are published, 'free' for others",
            "choices": ("counted", "free"),
        },
    )

    def __post_init__(self):
        if self.unit_edges not in (None, "counted", "free"):
            raise ConfigError(f"unit_edges={self.unit_edges} must be 'counted' or 'free'")
        super().__post_init__()


OrderConfigT = TypeVar("OrderConfigT", bound=OrderConfig)


def load_task(config: TaskConfig) -> tasks.Task:
    """`tasks.load`, with what is wrong with the settings or the file said as a :class:`ConfigError`."""
    try:
        return tasks.load(config.task, config.args, _read_argnums(config.argnums))
    except (ValueError, TypeError) as error:
        raise ConfigError(str(error)) from error


def trace_task(task: tasks.Task) -> graphax.ComputationalGraph:
    """The graph of a task, with what keeps it from being differentiated said as a :class:`ConfigError`."""
    try:
        return graphax.trace(task.fun, task.argnums)(*task.args)
    except Exception as error:
        place = tasks.where(error)
        if not place and not isinstance(error, (ValueError, TypeError)):
            raise  # it is ours
        raised = f" raised {type(error).__name__}{place}" if place else ""
        raise ConfigError(f"task {task.name}{raised}: {error}") from error


def load_graph(
    config: OrderConfigT, purpose: str
) -> tuple[OrderConfigT, tasks.Task, graphax.ComputationalGraph]:
    """A task and its graph, in the convention that is asked for; there is something to eliminate in it.

    Args:
        config: names the task and the convention.
        purpose: what is to be done.

    Returns:
        the settings, which say what costs count, the task and the graph.

    Raises:
        ConfigError: when the task cannot be used.
    """
    task = load_task(config)
    graph = trace_task(task)
    if not graph.eliminable:
        raise ConfigError(f"task {task.name}: there is no vertex to eliminate, hence nothing to {purpose}")
    unit_edges = config.unit_edges or ("counted" if task.published else "free")
    graph = graph.counted() if unit_edges == "counted" else graph
    return replace(config, unit_edges=unit_edges), task, graph


def describe(graph: graphax.ComputationalGraph, quantity: str) -> str:
    """How large a task is, and what is to be small, in some words."""
    count = len(graph.eliminable)
    vertices = f"{count} {'vertex' if count == 1 else 'vertices'} to eliminate"
    if quantity.startswith("a run"):
        return f"{vertices} in little time of {quantity}"
    meaning = "as published tables count" if graph.is_counted else "as they are executed"
    return f"{vertices} with few {quantity}, {meaning}"


def _read_argnums(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(word) for word in text.strip("()[] ").rstrip(",").split(","))
    except ValueError:
        raise ConfigError(f"argnums={text} must be positions of arguments, such as 0,1") from None
