"""`alphagrad train`: learn an elimination order for a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console

import graphax

from ..run.command import Kind, Run
from ..run.folder import read_metrics
from ..run.page import Picture, picture
from ..zero.records import Records
from ..zero.training import RESUMABLE, Trainer, TrainingConfig, plot_games
from .game import CompressedVertexGame
from .report import Row, classical_lines, cost_cells, cost_rows, cost_table, order_page
from .task import OrderConfig, load_graph


@dataclass(frozen=True, kw_only=True)
class OrderTrainConfig(TrainingConfig, OrderConfig):
    """The settings of `alphagrad train` for an elimination order."""

    unit_edges: str = field(
        default="counted",
        metadata={"help": "what rewards count: 'counted' as in published tables, 'free' what is executed"},
    )

    def __post_init__(self):
        TrainingConfig.__post_init__(self)
        OrderConfig.__post_init__(self)


def train(config: OrderTrainConfig, start: float, console: Console) -> bool:
    """Learn, report, and leave everything in the run's folder; see :class:`alphagrad.run.command.Kind`.

    Raises:
        ConfigError: when the task or the checkpoint cannot be used.
        OSError: when the folder cannot be used.
    """
    task, graph = load_graph(config, "learn")
    game = CompressedVertexGame(graph)
    trainer = Trainer(game, config, graph.fingerprint)
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
    cells = cost_cells(rows)
    curve = _learning_curve(read_metrics(run.folder.path), rows, config.unit_edges)
    remark = f"played for {config.unit_edges} multiplications"
    run.report("seed", cost_table(task, cells), order_page(graph, cells, remark, curve, order))
    if order is None:
        return run.end("no game was played to its end: give it more seconds")
    return run.end(f"order: {run.folder.order}", f"report: {run.folder.report}")


def _learning_curve(metrics: Sequence[Mapping[str, Any]], rows: Sequence[Row], unit_edges: str) -> Picture:
    """Costs of the games over time, with lines for the classical orders."""
    drawn, axes, top = plot_games(metrics, f"multiplications ({unit_edges})")
    costs = {row.method: row.free if unit_edges == "free" else row.counted for row in rows}
    classical_lines(axes, costs, top)
    axes.legend()
    return picture("Learning", "cost of the games over time", drawn)


TRAIN = Kind("an elimination order", "NAME", bool, OrderTrainConfig, train)
