"""A run that learns, whatever the game: resuming, keeping time, books and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from tensorboardX import SummaryWriter

from ..run.command import Run, RunConfig
from ..run.page import figure
from ..run.settings import ConfigError
from .alphazero import AlphaZeroConfig, alphazero, begin
from .books import Metrics, account
from .checkpoint import load_checkpoint, save_checkpoint
from .game import Game
from .records import Records

RESUMABLE = "name another folder, or go on from this one with resume={path}"
"""What is said of a run's folder that holds a run already."""

_CLOSING_SECONDS = 6.0  # for the last checkpoint, the table and the report
_CHECKPOINT_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(AlphaZeroConfig, RunConfig):
    """What every training is told: the settings of the method, and those of the run around it."""

    seconds: float = field(default=240.0, metadata={"help": "how long the whole command may take"})
    resume: str | None = field(
        default=None, metadata={"help": "the folder of a run to go on from, with its settings"}
    )

    def __post_init__(self):
        AlphaZeroConfig.__post_init__(self)
        RunConfig.__post_init__(self)

    @property
    def method(self) -> AlphaZeroConfig:
        """The settings of the method alone."""
        return AlphaZeroConfig(**{entry.name: getattr(self, entry.name) for entry in fields(AlphaZeroConfig)})


class Trainer:
    """The training of a run, from its beginning or from where another run stood.

    Args:
        game: the game.
        config: the settings.
        fingerprint: of what the game is about; it goes into checkpoints.

    Raises:
        ConfigError: when the checkpoint to go on from cannot be used.
    """

    def __init__(self, game: Game, config: TrainingConfig, fingerprint: str) -> None:
        self._game, self._method, self._fingerprint = game, config.method, fingerprint
        self._training = begin(game, config.method, jnp.int32(config.seed))
        if config.resume:
            try:
                checkpoint = _checkpoint_in(Path(config.resume))
                self._training = load_checkpoint(checkpoint, self._training, fingerprint)
            except ValueError as error:
                raise ConfigError(str(error)) from error

    def train(
        self,
        run: Run,
        keep: Callable[[int, Records], None],
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        """Train until the time is over, though until the first games have been played in any case.

        Args:
            run: tells of the time, shows progress, and has a folder for everything.
            keep: is given the number of the target and the game, alone in its records as NumPy arrays, of
                every game that is better than all before on this target.
            enough: says after every turn whether nothing more is wanted.
        """
        run.leave(_CLOSING_SECONDS)
        last = saved = time.perf_counter()
        longest = 0.0
        with (
            run.working("stopping after this turn"),
            SummaryWriter(str(run.folder.path), write_to_disk=True) as events,
        ):
            turns = account(alphazero(self._game, self._method, self._training), run.start)
            for self._training, metrics, improved in turns:
                for target, game in improved.items():
                    keep(target, game)
                values = asdict(metrics)
                run.folder.write(values)
                for name, value in values.items():
                    if value is not None and name != "iteration":
                        events.add_scalar(name, value, metrics.iteration)
                if time.perf_counter() - saved > _CHECKPOINT_SECONDS:
                    self._save(run)
                    saved = time.perf_counter()
                run.show(lambda metrics=metrics: _line(metrics))
                longest = max(0.8 * longest, time.perf_counter() - last)
                last = time.perf_counter()
                # Another turn might take until after the deadline.
                if run.asked or (metrics.games and (enough() or longest > run.left)):
                    break
            self._save(run)

    def _save(self, run: Run) -> None:
        save_checkpoint(_checkpoint_in(run.folder.path), self._training, self._fingerprint)


def plot_games(metrics: Sequence[Mapping[str, Any]], quantity: str) -> tuple[Any, Any, float | None]:
    """A figure of the mean and the best game over time, its axes, and up to where there is something to see.

    Args:
        metrics: the lines of the run's metrics.
        quantity: what games are to have little of: minus their returns.
    """
    drawn, axes = figure(quantity)
    played = [line for line in metrics if line["mean"] is not None]
    seconds = [line["seconds"] for line in played]
    best = [math.nan if line["best"] is None else -line["best"] for line in played]
    axes.plot(seconds, [-line["mean"] for line in played], color="tab:blue", alpha=0.6, label="mean game")
    axes.step(seconds, best, where="post", color="tab:blue", label="best game")
    return drawn, axes, max((-line["mean"] * 1.3 for line in played), default=None)


def _checkpoint_in(path: Path) -> Path:
    """Where a run's folder has its latest checkpoint."""
    return path / "checkpoints" / "latest.eqx"


def _line(metrics: Metrics) -> str:
    """Progress, in some words."""
    if metrics.iteration == 0:
        progress = "studying demonstrations"
    else:
        best, mean = ("-" if value is None else f"{-value:.0f}" for value in (metrics.best, metrics.mean))
        progress = f"best {best}  mean {mean}  iteration {metrics.iteration}  games {metrics.games}"
    return f"{progress}  policy loss {metrics.policy_loss:.2f}"
