"""`alphagrad search`: find a good elimination order for a task, and say how far it can be from the best."""

from __future__ import annotations

import math
import time
import typing
from dataclasses import dataclass, field
from functools import partial

import graphax
from alphagrad import tasks
from graphax import orders
from graphax.orders import Objective

from ..run.command import Invocation, Kind, Run
from ..run.settings import ConfigError, check_counts, nearest
from .best import BestOrder
from .findings import elimination, order_findings
from .report import SECONDS, cost_cells, cost_table, order_words, search_panels
from .searching import QUANTITIES, OrderSearch
from .task import OrderConfig, describe, load_graph

_CLOSING_SECONDS = 3.0  # for the table and the report of a small graph
_TUNING_SECONDS = 1.0  # for runs of all ways to a Jacobian, compiling aside


@dataclass(frozen=True, kw_only=True)
class OrderSearchConfig(OrderConfig):
    """The settings of `alphagrad search` for an elimination order."""

    objective: str = field(
        default="mults",
        metadata={
            "help": "what is to be small: 'mults' multiplications, 'flops' these and additions, 'memory' the "
            "most numbers held at once, 'time' seconds on this device as estimated, 'runtime' as measured",
            "choices": typing.get_args(Objective),
        },
    )
    workers: int = field(default=2, metadata={"help": "how many searches go on side by side"})
    steps: int | None = field(
        default=None, metadata={"help": "how many orders each of them evaluates at most, whatever the time"}
    )
    remember: bool = field(
        default=True,
        metadata={
            "help": "whether jacve takes what was found from now on: order='auto' the order of fewest "
            "multiplications that are executed, jacve with nothing said the fastest way (objective=runtime)"
        },
    )

    def __post_init__(self):
        super().__post_init__()
        objectives = typing.get_args(Objective)
        if self.objective not in objectives:
            raise ConfigError(f"unknown objective {self.objective!r}; {nearest(self.objective, objectives)}")
        check_counts(workers=self.workers, steps=self.steps)


def search(config: OrderSearchConfig, call: Invocation) -> bool:
    """Search, report, and leave everything in the run's folder; see :class:`alphagrad.run.command.Kind`.

    Raises:
        ConfigError: when the task cannot be used.
        OSError: when the folder cannot be used.
    """
    config, task, graph = load_graph(config, "search for")
    objective = typing.cast(Objective, config.objective)  # the configuration checked it
    run = Run(config, task.name, describe(graph, QUANTITIES[objective]), call)
    best = BestOrder(run, graph, run.folder.order)
    found = OrderSearch(graph, objective, best, lambda: run.over, config.seed, config.workers, lambda: note())

    def note() -> None:
        """Add a line to the metrics."""
        cost = best.cost if math.isfinite(best.cost) else None
        run.note(evaluations=found.evaluations, best=cost, bound=found.bound)

    def work() -> None:
        begun = time.perf_counter()
        found.begin()
        note()
        run.leave(_CLOSING_SECONDS + 3 * (time.perf_counter() - begun))
        run.show(lambda: found.line)
        found.search(run.left, config.steps)
        note()

    run.watch(work)
    found.settle()
    best.save()
    cells = cost_cells(found.rows(task), objective)
    panels = search_panels(found.costs, found.bound, objective, found.quantity)
    verdict = f"found: {found.quality}"
    findings = order_findings(run, task, config, found, cells, verdict, panels, on_jax=objective in SECONDS)
    words = (*_remembered(config, task, graph, best), *order_words(run, best, task))
    return run.end("search", cost_table(task, cells), findings, words, partial(elimination, found))


def _remembered(
    config: OrderSearchConfig, task: tasks.Task, graph: graphax.ComputationalGraph, best: BestOrder
) -> list[str]:
    """Have `jacve` take the order from now on, if it is better than what it takes; says so."""
    if not config.remember:
        return []
    if config.objective == "runtime" and math.isfinite(best.cost):
        tuned = graphax.tune(task.fun, task.argnums, seconds=_TUNING_SECONDS, orders={"found": best.order})
        return [f"remembered: jacve takes {tuned(*task.args).fastest!r} from now on"]
    if config.objective != "mults":
        return []
    if orders.remember(graph.executed(), best.order, method=best.method, **best.origin):
        return ["remembered: order='auto' takes it from now on"]
    return ["not remembered: order='auto' takes one of no more multiplications that are executed"]


SEARCH = Kind("an elimination order", "NAME", bool, OrderSearchConfig, search)
