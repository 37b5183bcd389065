"""`alphagrad train`: learn an elimination order for a task."""

from __future__ import annotations

import time

from rich.console import Console

import graphax

from ..run import TrainingFolder, learning_curve, read_metrics, run_path, write_report
from ..run.settings import ConfigError, TrainConfig, load_task, to_yaml, trace_task
from ..zero.records import Records
from ..zero.training import begin_or_resume, learn
from .compressed import CompressedVertexGame
from .table import cost_cells, cost_rows, cost_table


def train(config: TrainConfig, start: float, console: Console) -> bool:
    """Learn, report, and leave everything in the run's folder.

    Args:
        config: the settings.
        start: of the command, in seconds of `time.perf_counter`.
        console: for progress and the table.

    Returns:
        whether the run came to its own end; False if a user asked it to stop.

    Raises:
        ConfigError: when the task or the checkpoint cannot be used.
        OSError: when the folder cannot be used.
    """
    task = load_task(config)
    graph = trace_task(task)
    if not graph.eliminable:
        raise ConfigError(f"task {task.name}: there is no vertex to eliminate, hence nothing to learn")
    game = CompressedVertexGame(graph, config.convention)
    training = begin_or_resume(game, config, graph.fingerprint)
    folder = TrainingFolder(run_path(config.run_dir, task.name), to_yaml(config))
    console.print(
        f"{task.name}: {len(graph.eliminable)} vertices to eliminate; writing to {folder.path}",
        soft_wrap=True,
    )

    order: tuple[int, ...] | None = None

    def on_best(target: int, played: Records, best: float) -> None:
        """Save a game that is better than all before."""
        nonlocal order
        order = tuple(game.vertices[action] for action in played.actions.tolist())
        graphax.save_order(
            folder.order,
            graph,
            order,
            method="alphazero",
            seed=config.seed,
            seconds=round(time.perf_counter() - start, 3),
            task=task.name,
        )

    finished = learn(game, config, training, graph.fingerprint, folder, console, start, on_best)
    rows = cost_rows(graph, task, {} if order is None else {"learned": order})
    console.print(cost_table(task, rows))
    write_report(
        folder.report,
        f"{task.name}, seed {config.seed}",
        cost_cells(rows),
        f"played for {config.unit_edges} multiplications",
        learning_curve(read_metrics(folder.path), rows, config.unit_edges),
        order,
        to_yaml(config),
        str(graph),
    )
    if order is None:
        console.print("no game was played to its end: give it more seconds")
    else:
        console.print(f"order: {folder.order}\nreport: {folder.report}", soft_wrap=True)
    return finished
