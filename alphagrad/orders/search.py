"""`alphagrad search`: find a good elimination order for a task, and say how far it can be from the best."""

from __future__ import annotations

import math
import threading
import time
import typing
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any, TypeVar

from rich.console import Console

import graphax
from alphagrad.tasks import Task
from graphax import ComputationalGraph, orders
from graphax.orders import Objective, Progress

from ..run.command import Kind, Run
from ..run.folder import read_metrics
from ..run.settings import ConfigError, check_counts, nearest
from .report import (
    SECONDS,
    Row,
    cost_cells,
    cost_rows,
    cost_table,
    order_page,
    run_times,
    search_curve,
    write_value,
)
from .task import OrderConfig, load_graph

T = TypeVar("T")

_CLOSING_SECONDS = 3.0  # for the table and the report of a small graph
_TUNING_SECONDS = 1.0  # for runs of all ways to a Jacobian, compiling aside
_EXACT_VERTICES = 15  # up to which all orders can be gone through
_EXACT_SECONDS = 10.0
_BOUND_SHARE = 0.1  # of all time, in which the search waits for the bound
_LEAST_SECONDS = 0.2  # that a search gets however late it is
_CLASSICAL = ("forward", "reverse", "markowitz")
_NAMES = {
    "mults": "multiplications",
    "flops": "multiplications and additions",
    "memory": "numbers held at once",
    "time": "a run, as estimated",
    "runtime": "a run",
}


@dataclass(frozen=True, kw_only=True)
class OrderSearchConfig(OrderConfig):
    """The settings of `alphagrad search` for an elimination order."""

    objective: str = field(
        default="mults",
        metadata={
            "help": "what is to be small: 'mults' multiplications, 'flops' these and additions, 'memory' the "
            "most numbers held at once, 'time' seconds on this device as estimated, 'runtime' as measured"
        },
    )
    workers: int = field(default=2, metadata={"help": "how many searches go on side by side"})
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
        check_counts(workers=self.workers)


def search(config: OrderSearchConfig, start: float, console: Console) -> bool:
    """Search, report, and leave everything in the run's folder; see :class:`alphagrad.run.command.Kind`.

    Raises:
        ConfigError: when the task cannot be used.
        OSError: when the folder cannot be used.
    """
    task, graph = load_graph(config, "search for")
    run = Run(config, task.name, f"{len(graph.eliminable)} vertices to eliminate", start, console)
    found = _OrderSearch(graph, task, config, run)
    with run.working("stopping"):
        found.search()
    cells = cost_cells(found.rows(), config.objective)
    if config.objective in SECONDS:
        picture = run_times({name: cost for name, cost in found.costs.items() if name != "found"})
    else:
        picture = search_curve(read_metrics(run.folder.path), found.costs, found.bound, found.quantity)
    page = order_page(graph, cells, found.verdict, picture, found.order)
    run.report("search with seed", cost_table(task, cells), page, found.verdict)
    files = f"order: {run.folder.order}", f"report: {run.folder.report}"
    if config.remember and config.objective == "runtime":
        tuned = graphax.tune(task.fun, task.argnums, seconds=_TUNING_SECONDS, orders={"found": found.order})
        return run.end(f"remembered: jacve takes {tuned(*task.args).fastest!r} from now on", *files)
    if not found.remembers:
        return run.end(*files)
    remembered = orders.remember(graph, found.order, **found.origin)
    return run.end(
        "remembered: order='auto' takes it from now on"
        if remembered
        else "not remembered: order='auto' takes one that costs no more",
        *files,
    )


class _OrderSearch:
    """The best order so far, kept on disk, and how it is looked for.

    Attributes:
        order: the best so far.
        costs: what the classical orders, other candidates and the best order are worth, by name.
    """

    def __init__(self, graph: ComputationalGraph, task: Task, config: OrderSearchConfig, run: Run) -> None:
        self._graph, self._task, self._config, self._run = graph, task, config, run
        self._saved = run.start
        self._save_seconds = 0.0
        self._unsaved = False
        self._evaluations = 0
        self._objective: Objective = typing.cast(Objective, config.objective)  # the configuration checked it
        self._bound: Future[int] | None = None
        self._proved_bound: int | None = None
        self._candidates: dict[str, tuple[int, ...]] = {}
        self.order: tuple[int, ...] = ()
        self.costs: dict[str, float] = {}

    def search(self) -> None:
        """Search until the time is over, an order is proved to be the best, or the user has had enough."""
        try:
            self._search()
        finally:  # also if the user has had more than enough
            self._save()

    def _search(self) -> None:
        graph = self._graph
        # What the found order is compared with, and shown beside; the search makes its own way.
        known = {"auto": orders.auto(graph)} if self.remembers else {}
        begun = time.perf_counter()
        self._candidates = {
            "forward": orders.forward(graph),
            "reverse": orders.reverse(graph),
            "markowitz": orders.markowitz(graph),
        }
        if self._objective in SECONDS:
            self._run_times()
        else:
            for name, order in self._candidates.items():
                self.costs[name] = orders.evaluate(graph, order, self._objective)
                self._offer(order, self.costs[name])
            self._candidates |= known
            closing = _CLOSING_SECONDS + 3 * (time.perf_counter() - begun)
            self._run.leave(closing)
            self._least()
        self._note()

    def _least(self) -> None:
        """Look for the order of least cost."""
        graph = self._graph
        if self._objective in ("mults", "flops"):
            # That of a large graph takes its time.
            self._bound = _aside(orders.lower_bound, graph)
            wait([self._bound], min(_BOUND_SHARE * self._config.seconds, threading.TIMEOUT_MAX))
        if self._objective == "mults" and len(graph.eliminable) <= _EXACT_VERTICES and not self._proved:
            seconds = min(_EXACT_SECONDS, max(_LEAST_SECONDS, self._run.left / 2))
            proof = orders.exact(graph, seconds=seconds, start=self.order)
            self._proved_bound = proof.bound
            self._offer(proof.order, proof.cost)
        if not self._proved and not self._run.asked:
            order = self._anneal(self._objective, self._run.left)
            self._offer(order, orders.evaluate(graph, order, self._objective))

    def _run_times(self) -> None:
        """Take the fastest of the classical orders and those of least cost, each in its way.

        A run that is measured is compiled, which takes seconds: there is no time to try many orders.
        """
        candidates = self._candidates
        self._offer(candidates["markowitz"], math.inf)
        searches: dict[str, Objective] = {"fewest flops": "flops", "least memory": "memory"}
        for name, objective in searches.items():
            if not self._run.asked:
                seconds = self._config.seconds / 6  # two thirds of the time are for the runs
                candidates[name] = self._anneal(objective, seconds)
        if self._objective == "runtime":
            taken = orders.measure(self._graph, list(candidates.values()))
        else:
            taken = [orders.estimate(self._graph, order) for order in candidates.values()]
        self.costs |= zip(candidates, taken, strict=True)
        for name, order in candidates.items():
            self._offer(order, self.costs[name])

    def _anneal(self, objective: Objective, seconds: float) -> tuple[int, ...]:
        before = self._evaluations
        # A search that has to be compiled first begins its own count of time after that.
        end = time.perf_counter() + max(_LEAST_SECONDS, seconds)

        def listen(progress: Progress) -> bool:
            self._evaluations = before + progress.evaluations
            if objective == self._objective:
                self._offer(progress.order, progress.cost)
            self._note()
            self._run.show(lambda: self._line(objective, progress))
            return self._run.asked or self._proved or time.perf_counter() > end

        return orders.anneal(
            self._graph,
            seconds=max(_LEAST_SECONDS, seconds),
            seed=self._config.seed,
            objective=objective,
            start=self.order if objective == self._objective else None,
            workers=self._config.workers,
            progress=listen,
        )

    def _offer(self, order: tuple[int, ...], cost: float) -> None:
        """Take an order if it is better than all before."""
        if self.order and cost >= self.costs["found"]:
            return
        self.order, self.costs["found"] = tuple(order), cost
        self._unsaved = True
        # Saving an order of thousands of vertices takes a while, so it is not done at every step.
        if time.perf_counter() - self._saved > 10 * self._save_seconds:
            self._save()

    def _save(self) -> None:
        if not self._unsaved:
            return
        begun = time.perf_counter()
        graphax.save_order(self._run.folder.order, self._graph, self.order, **self.origin)
        self._saved, self._unsaved = time.perf_counter(), False
        self._save_seconds = self._saved - begun

    def _note(self) -> None:
        """Add a line to the metrics."""
        cost = self.costs["found"]
        best = cost if math.isfinite(cost) else None
        self._run.note(evaluations=self._evaluations, best=best, bound=self.bound)

    @property
    def origin(self) -> dict[str, Any]:
        """What files say of where the order came from."""
        seconds = round(self._run.seconds, 3)
        return {"method": "search", "seed": self._config.seed, "seconds": seconds, "task": self._task.name}

    @property
    def remembers(self) -> bool:
        """Whether the order is offered to the order store, which is about multiplications executed."""
        return self._config.remember and self._objective == "mults" and not self._graph.is_counted

    @property
    def bound(self) -> int | None:
        """What no order is below, as far as it is known."""
        known = [self._proved_bound, self._bound.result() if self._bound and self._bound.done() else None]
        return max((bound for bound in known if bound is not None), default=None)

    @property
    def _proved(self) -> bool:
        bound = self.bound
        return bound is not None and self.costs["found"] <= bound

    @property
    def quantity(self) -> str:
        """What costs are of."""
        name = _NAMES[self._objective]
        return name if self._objective in SECONDS else f"{name} ({self._config.unit_edges})"

    @property
    def verdict(self) -> str:
        """What was found and how good it is, in a sentence."""
        cost = write_value(self.costs["found"], self._objective)
        if self._proved:
            return f"found: {cost} {self.quantity}, optimal (proved)"
        return f"found: {cost} {self.quantity}, lower bound {write_value(self.bound)}, gap {self._gap}"

    @property
    def _gap(self) -> str:
        cost, bound = self.costs["found"], self.bound
        return "-" if bound is None else f"{100 * (cost - bound) / cost:.1f} %"

    def _line(self, objective: Objective, progress: Progress) -> str:
        """Progress, in some words."""
        known = objective == self._objective  # not so while candidates for run times are gathered
        bound = write_value(self.bound) if known else "-"
        return (
            f"{progress.evaluations / max(progress.seconds, 1e-3):,.0f} orders/s  "
            f"best {progress.cost if not known else self.costs['found']} {objective}  "
            f"bound {bound}  gap {self._gap}"
        )

    def rows(self) -> list[Row]:
        """The table of costs."""
        markowitz = self._candidates["markowitz"]
        others = {name: order for name, order in self._candidates.items() if name not in _CLASSICAL}
        rows = cost_rows(self._graph, self._task, {**others, "found": self.order}, markowitz)
        multiplications = self._objective == "mults"
        if not multiplications:
            rows = [row._replace(value=self.costs[row.method]) for row in rows]
        if self._bound is not None:
            of = "value" if not multiplications else self._config.unit_edges
            rows.append(Row("lower bound", None, None)._replace(**{of: self.bound}))
        return rows


def _aside(fun: Callable[..., T], *arguments: Any) -> Future[T]:
    """A call beside everything else, in a thread that keeps no process from ending."""
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(fun(*arguments))
        except Exception as error:  # it is raised where the result is asked for
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future


SEARCH = Kind("an elimination order", "NAME", bool, OrderSearchConfig, search)
