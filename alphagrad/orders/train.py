"""`alphagrad train`: learn an elimination order for a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast, get_args

from rich.console import Console

import graphax
from graphax import orders
from graphax.choose import elimination_nanoseconds

from ..run.command import Kind, Run
from ..run.folder import read_metrics
from ..run.page import Picture, picture
from ..run.settings import ConfigError, nearest
from ..zero.records import Records
from ..zero.training import RESUMABLE, Trainer, TrainingConfig, plot_games
from .game import CompressedVertexGame, Objective
from .report import Row, classical_lines, cost_cells, cost_rows, cost_table, order_page
from .task import OrderConfig, load_graph


@dataclass(frozen=True, kw_only=True)
class OrderTrainConfig(TrainingConfig, OrderConfig):
    """The settings of `alphagrad train` for an elimination order."""

    unit_edges: str = field(
        default="counted",
        metadata={"help": "what rewards count: 'counted' as in published tables, 'free' what is executed"},
    )

    objective: str = field(
        default="mults",
        metadata={
            "help": "what is to be small: 'mults' multiplications, 'time' nanoseconds on this device, as "
            "estimated, which takes unit_edges=free"
        },
    )

    def __post_init__(self):
        TrainingConfig.__post_init__(self)
        OrderConfig.__post_init__(self)
        objectives = get_args(Objective)
        if self.objective not in objectives:
            raise ConfigError(f"unknown objective {self.objective!r}; {nearest(self.objective, objectives)}")
        if self.objective == "time" and self.unit_edges != "free":
            raise ConfigError("objective=time is for what is executed: add unit_edges=free")


def train(config: OrderTrainConfig, start: float, console: Console) -> bool:
    """Learn, report, and leave everything in the run's folder; see :class:`alphagrad.run.command.Kind`.

    Raises:
        ConfigError: when the task or the checkpoint cannot be used.
        OSError: when the folder cannot be used.
    """
    task, graph = load_graph(config, "learn")
    objective = cast(Objective, config.objective)  # the configuration checked it
    game = CompressedVertexGame(graph, objective=objective)
    # Games for different ends have values that do not compare.
    ends = "" if objective == "mults" else f" {objective}"
    trainer = Trainer(game, config, f"{graph.fingerprint}{ends}")
    run = Run(config, task.name, f"{len(graph.eliminable)} vertices to eliminate", start, console, RESUMABLE)
    order: tuple[int, ...] | None = None

    def keep(target: int, played: Records) -> None:
        """Save a game that is better than all before."""
        nonlocal order
        order = tuple(game.vertices[action] for action in played.actions.tolist())
        graphax.save_order(
            run.folder.order,
            graph,
            order,
            method="alphazero",
            seed=config.seed,
            seconds=round(run.seconds, 3),
            task=task.name,
        )

    trainer.train(run, keep)
    rows = cost_rows(graph, task, {} if order is None else {"learned": order})
    if objective == "time":
        rows = _with_times(rows, graph, order)
    cells = cost_cells(rows, objective)
    curve = _learning_curve(read_metrics(run.folder.path), rows, config)
    remark = f"played for {_quantity(config)}"
    run.report("seed", cost_table(task, cells), order_page(graph, cells, remark, curve, order))
    if order is None:
        return run.end("no game was played to its end: give it more seconds")
    return run.end(f"order: {run.folder.order}", f"report: {run.folder.report}")


def _quantity(config: OrderTrainConfig) -> str:
    """What games are played for."""
    return (
        f"multiplications ({config.unit_edges})" if config.objective == "mults" else "estimated nanoseconds"
    )


def _with_times(
    rows: Sequence[Row], graph: graphax.ComputationalGraph, learned: Sequence[int] | None
) -> list[Row]:
    """The rows with the seconds of their products and sums."""
    found = {"learned": learned} | {
        name: method(graph)
        for name, method in (
            ("forward", orders.forward),
            ("reverse", orders.reverse),
            ("markowitz", orders.markowitz),
        )
    }
    return [
        row
        if (order := found.get(row.method)) is None
        else row._replace(value=1e-9 * elimination_nanoseconds(graph, order))
        for row in rows
    ]


def _learning_curve(
    metrics: Sequence[Mapping[str, Any]], rows: Sequence[Row], config: OrderTrainConfig
) -> Picture:
    """Costs of the games over time, with lines for the classical orders."""
    drawn, axes, top = plot_games(metrics, _quantity(config))

    def cost(row: Row) -> float | None:
        if config.objective == "time":
            return row.value and 1e9 * row.value
        return row.free if config.unit_edges == "free" else row.counted

    classical_lines(axes, {row.method: cost(row) for row in rows}, top)
    axes.legend()
    return picture("Learning", "cost of the games over time", drawn)


TRAIN = Kind("an elimination order", "NAME", bool, OrderTrainConfig, train)
