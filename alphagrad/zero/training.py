"""What is the same in training for all kinds of task: resuming, keeping time, books and checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
from rich.console import Console

from ..run import ProgressLine, TrainingFolder, checkpoint_in
from ..run.settings import ConfigError, TrainingConfig
from . import Training, alphazero, begin
from .checkpoint import load_checkpoint, save_checkpoint
from .game import Game
from .loop import Metrics, Watch, run
from .records import Records

_CLOSING_SECONDS = 6.0  # for the last checkpoint, the table and the report
_CHECKPOINT_SECONDS = 30.0


def begin_or_resume(game: Game, config: TrainingConfig, fingerprint: str) -> Training:
    """A new training, or the one that the settings say to go on from.

    Args:
        game: the game.
        config: the settings.
        fingerprint: of what the game is about.

    Raises:
        ConfigError: when the checkpoint cannot be used.
    """
    training = begin(game, config, jnp.int32(config.seed))
    if config.resume:
        try:
            return load_checkpoint(checkpoint_in(Path(config.resume)), training, fingerprint)
        except ValueError as error:
            raise ConfigError(str(error)) from error
    return training


def learn(
    game: Game,
    config: TrainingConfig,
    training: Training,
    fingerprint: str,
    folder: TrainingFolder,
    console: Console,
    start: float,
    on_best: Callable[[int, Records, float], None],
    enough: Callable[[], bool] = lambda: False,
) -> bool:
    """Train until the time is over, with progress on the console and everything in the run's folder.

    Args:
        game: the game.
        config: the settings.
        training: where it begins.
        fingerprint: of what the game is about; it goes into checkpoints.
        folder: of the run; it is closed at the end.
        console: for progress.
        start: of the command, in seconds of `time.perf_counter`.
        on_best: is told of every game that is better than all before, as `alphagrad.zero.loop.run` says.
        enough: says after every turn whether nothing more is wanted.

    Returns:
        whether the run came to its own end; False if a user asked it to stop.
    """
    progress = ProgressLine(console)
    saved = time.perf_counter()
    watch = Watch(start + config.seconds - _CLOSING_SECONDS)

    def on_turn(metrics: Metrics, training: Training) -> None:
        nonlocal saved
        folder.log(metrics)
        if time.perf_counter() - saved > _CHECKPOINT_SECONDS:
            save_checkpoint(folder.checkpoint, training, fingerprint)
            saved = time.perf_counter()
        if progress.due:
            progress.show(_line(metrics, config.seconds))
        if enough():
            watch.deadline = start

    with watch.listening(lambda: console.print("stopping after this turn; Ctrl-C again to stop at once")):
        last = run(alphazero(game, config, training), watch, start, on_turn, on_best)
    if last is not None:
        save_checkpoint(folder.checkpoint, last, fingerprint)
    folder.close()
    progress.end()
    return not watch.asked


def _line(metrics: Metrics, seconds: float) -> str:
    """Progress, on one line."""
    left = max(0.0, seconds - metrics.seconds)
    if metrics.iteration == 0:
        progress = "studying demonstrations"
    else:
        best, mean = ("-" if value is None else f"{-value:.0f}" for value in (metrics.best, metrics.mean))
        progress = f"best {best}  mean {mean}  iteration {metrics.iteration}  games {metrics.games}"
    return f"{metrics.seconds:5.0f} s  {progress}  policy loss {metrics.policy_loss:.2f}  {left:.0f} s left"
