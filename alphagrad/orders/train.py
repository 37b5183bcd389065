"""`alphagrad train`: learn an elimination order for a task."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import ClassVar, cast, get_args

import graphax
from graphax import orders
from graphax.choose import elimination_nanoseconds

from ..run.aside import aside
from ..run.command import Invocation, Kind
from ..run.settings import ConfigError, nearest
from ..zero.records import Records
from ..zero.training import Trainer, TrainingConfig, game_panels
from .best import BestOrder
from .findings import elimination, order_findings
from .game import CompressedVertexGame, Objective
from .report import cost_cells, cost_table, known_lines, order_words, unit, write_value
from .searching import QUANTITIES, OrderSearch
from .task import TASK, OrderConfig, describe, load_graph

# The search beside the agent: at most this part of the time, so many orders, and so many vertices in them.
_SEARCH_SHARE, _SEARCH_STEPS, _SEARCH_VERTICES = 0.25, 4_000_000, 400_000_000

_MICROSECONDS = 1e-3  # of a nanosecond, which games are played for


@dataclass(frozen=True, kw_only=True)
class OrderTrainConfig(TrainingConfig, OrderConfig):
    """The settings of `alphagrad train` for an elimination order."""

    settled: ClassVar[tuple[str, ...]] = (
        *TrainingConfig.settled,
        "args",
        "argnums",
        "unit_edges",
        "objective",
    )

    task: str = field(metadata={"help": TASK})
    objective: str = field(
        default="mults",
        metadata={
            "help": "what is to be small: 'mults' multiplications, 'time' nanoseconds on this device, as "
            "estimated, which takes unit_edges=free",
            "choices": get_args(Objective),
        },
    )

    def __post_init__(self):
        TrainingConfig.__post_init__(self)
        OrderConfig.__post_init__(self)
        objectives = get_args(Objective)
        if self.objective not in objectives:
            raise ConfigError(f"unknown objective {self.objective!r}; {nearest(self.objective, objectives)}")
        if self.objective == "time" and self.unit_edges == "counted":
            raise ConfigError("objective=time is for what is executed: leave out unit_edges=counted")


def train(config: OrderTrainConfig, call: Invocation) -> bool:
    """Learn, report, and leave everything in the run's folder; see :class:`alphagrad.run.command.Kind`.

    Beside the agent, a search without it goes on for a while: what is best of all is kept.

    Raises:
        ConfigError: when the task or the checkpoint cannot be used.
        OSError: when the folder cannot be used.
    """
    if config.objective == "time":
        config = replace(config, unit_edges="free")
    config, task, graph = load_graph(config, "learn")
    objective = cast(Objective, config.objective)  # the configuration checked it
    game = partial(CompressedVertexGame, graph, objective=objective)
    trainer = Trainer(game, config, f"{graph.fingerprint} {config.unit_edges} {objective}")
    run = trainer.begin(task.name, describe(graph, QUANTITIES[objective]), call)

    def evaluate(order: tuple[int, ...]) -> float:
        if objective == "time":
            return 1e-9 * elimination_nanoseconds(graph, order)
        return orders.evaluate(graph, order)

    best = BestOrder(run, graph, run.folder.order)
    learned = BestOrder(run, graph, run.folder.learned)
    search = OrderSearch(graph, objective, best, lambda: run.over, config.seed, evaluate=evaluate)
    plays_all = config.iterations is not None

    def keep(target: int, played: Records) -> None:
        """Save a game that is better than all before."""
        order = tuple(graph.eliminable[action] for action in played.actions.tolist())
        cost = evaluate(order)
        learned.offer(order, cost, "alphazero")
        best.offer(order, cost, "alphazero")

    def look() -> None:
        """Search, for a part of the time."""
        seconds = math.inf if plays_all else _SEARCH_SHARE * config.time_limit
        steps = max(1, min(_SEARCH_STEPS, _SEARCH_VERTICES // len(graph.eliminable)))
        search.search(seconds, steps)
        if search.proved and not plays_all:
            run.enough()

    def work() -> None:
        search.begin()
        if config.resume is not None:
            known = _searched_order(Path(config.resume) / "order.json", graph)
            if known is not None:
                search.offer(known, evaluate(known))
        searching = aside(look)
        trainer.train(
            run,
            keep,
            enough=lambda: search.proved and not plays_all,
            beside=lambda: f"  known {write_value(best.cost, objective)} ({best.method})",
        )
        if plays_all or searching.done():  # the same seed gives the same orders
            searching.result()

    run.watch(work)
    search.settle()
    trainer.save(run.folder.path)
    learned.save()
    if learned.order:
        search.costs["learned"] = learned.cost
        best.offer(learned.order, learned.cost, "alphazero")
    best.save()
    cells = cost_cells(search.rows(task, learned.order or None), objective)
    verdict = (
        f"best known, by {best.method}: {search.quality}; {_what_was_learned(learned, search, objective)}"
    )

    published = task.published if graph.is_counted and objective == "mults" else None
    panels = game_panels(
        unit(objective, search.quantity),
        known_lines(search.costs, search.bound, objective, published),
        _MICROSECONDS if objective == "time" else 1.0,
    )
    findings = order_findings(run, task, config, search, cells, verdict, panels, on_jax=True)
    words = order_words(run, best, task)
    return run.end("train", cost_table(task, cells), findings, words, partial(elimination, search))


def _what_was_learned(learned: BestOrder, search: OrderSearch, objective: Objective) -> str:
    if learned.order:
        return f"the agent itself: {write_value(learned.cost, objective)}"
    why = "there is nothing better to be found" if search.proved else "give it more seconds"
    return f"the agent has played no game to its end: {why}"


def _searched_order(path: Path, graph: graphax.ComputationalGraph) -> tuple[int, ...] | None:
    """The order that a search has found which is in a file; None if there is none, or it is not whole."""
    with suppress(OSError, ValueError):
        known = graphax.load_order(path)
        return known.for_graph(graph) if known.method == "search" else None


TRAIN = Kind("an elimination order", "NAME", bool, OrderTrainConfig, train)
