"""`alphagrad train`: learn an elimination order for a task."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

from rich.console import Console

import graphax

from .config import ConfigError, TrainConfig, load_task, to_yaml, trace_task
from .games.compressed import CompressedVertexGame
from .games.vertex import VertexGame
from .report import (
    ProgressLine,
    TrainingFolder,
    checkpoint_in,
    cost_cells,
    cost_rows,
    cost_table,
    learning_curve,
    new_folder,
    read_metrics,
    write_report,
)
from .training import Training, alphazero, begin
from .training.checkpoint import load_checkpoint, save_checkpoint
from .training.loop import Metrics, Watch, run
from .training.records import Records

_CLOSING_SECONDS = 6.0  # for the last checkpoint, the table and the report
_CHECKPOINT_SECONDS = 30.0


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
    training = begin(game, config, config.seed)
    if config.resume:
        try:
            training = load_checkpoint(checkpoint_in(Path(config.resume)), training, graph.fingerprint)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    path = Path(config.run_dir) if config.run_dir else new_folder(task.name, datetime.now())
    folder = TrainingFolder(path, to_yaml(config))
    console.print(
        f"{task.name}: {len(graph.eliminable)} vertices to eliminate; writing to {folder.path}",
        soft_wrap=True,
    )

    learner = _Learner(graph, game, task.name, config, folder, console, start)
    watch = Watch(start + config.seconds - _CLOSING_SECONDS)
    with watch.listening(lambda: console.print("stopping after this turn; Ctrl-C again to stop at once")):
        training = run(alphazero(game, config, training), watch, start, learner.on_turn, learner.on_best)
    if training is not None:
        save_checkpoint(folder.checkpoint, training, graph.fingerprint)
    folder.close()
    learner.progress.end()

    rows = cost_rows(graph, task, {} if learner.order is None else {"learned": learner.order})
    console.print(cost_table(task, rows))
    write_report(
        folder.report,
        f"{task.name}, seed {config.seed}",
        cost_cells(rows),
        f"played for {config.unit_edges} multiplications",
        learning_curve(read_metrics(folder.path), rows, config.unit_edges),
        learner.order,
        to_yaml(config),
        str(graph),
    )
    if learner.order is None:
        console.print("no game was played to its end: give it more seconds")
    else:
        console.print(f"order: {folder.order}\nreport: {folder.report}", soft_wrap=True)
    return not watch.asked


class _Learner:
    """What the training loop reports to: it keeps the best order on disk and the user informed."""

    def __init__(
        self,
        graph: graphax.ComputationalGraph,
        game: VertexGame,
        task: str,
        config: TrainConfig,
        folder: TrainingFolder,
        console: Console,
        start: float,
    ) -> None:
        self.order: tuple[int, ...] | None = None
        self._graph, self._game, self._task = graph, game, task
        self._config, self._folder, self._start = config, folder, start
        self.progress = ProgressLine(console)
        self._saved = time.perf_counter()

    def on_best(self, target: int, game: Records, best: float) -> None:
        """Save a game that is better than all before."""
        self.order = tuple(self._game.vertices[action] for action in game.actions.tolist())
        graphax.save_order(
            self._folder.order,
            self._graph,
            self.order,
            method="alphazero",
            seed=self._config.seed,
            seconds=round(time.perf_counter() - self._start, 3),
            task=self._task,
        )

    def on_turn(self, metrics: Metrics, training: Training) -> None:
        """Write and print what a turn came to."""
        self._folder.log(metrics)
        now = time.perf_counter()
        if now - self._saved > _CHECKPOINT_SECONDS:
            save_checkpoint(self._folder.checkpoint, training, self._graph.fingerprint)
            self._saved = now
        if self.progress.due:
            self.progress.show(self._line(metrics))

    def _line(self, metrics: Metrics) -> str:
        left = max(0.0, self._config.seconds - metrics.seconds)
        if metrics.best is None:
            progress = "studying demonstrations"
        else:
            mean = "-" if metrics.mean is None else f"{-metrics.mean:.0f}"
            progress = (
                f"best {-metrics.best:.0f}  mean {mean}  iteration {metrics.iteration}  games {metrics.games}"
            )
        return (
            f"{metrics.seconds:5.0f} s  {progress}  policy loss {metrics.policy_loss:.2f}  {left:.0f} s left"
        )
