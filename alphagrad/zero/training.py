"""A run that learns, whatever the game: resuming, keeping time, books and checkpoints."""

from __future__ import annotations

import functools
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from graphax.files import remove_leftovers

from ..run.charts import Line, Panel, Series
from ..run.command import Invocation, Run, RunConfig
from ..run.events import Events
from ..run.folder import read_metrics
from ..run.settings import ConfigError, check_counts
from .alphazero import AlphaZeroConfig, Training, alphazero, begin
from .books import Metrics, account, best_games
from .checkpoint import Checkpoints, Position
from .game import Game
from .records import Records

# Said of a folder that holds a run already.
_RESUMABLE = "name another folder, or go on from this one with resume={path}"
_CLOSING_SECONDS = 6.0  # for the last checkpoint, the table and the report
_CHECKPOINT_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(AlphaZeroConfig, RunConfig):
    """What every training is told: the settings of the method, and those of the run around it."""

    #: How long it may take where nothing is said of it.
    usual_seconds: ClassVar[float] = 240.0
    #: Settings, or groups of them, that have done their work, or part of it, before a run is gone on from.
    settled: ClassVar[tuple[str, ...]] = (
        "seed",
        "agent",
        "replay.latest",
        "replay.best",
        "demonstrations.games",
        "demonstrations.updates",
    )

    seconds: float | None = field(
        default=None,
        metadata={
            "help": "how long the whole command may take, compiling included; by default "
            f"{usual_seconds:.0f}, with iterations= as long as it takes"
        },
    )
    iterations: int | None = field(
        default=None,
        metadata={
            "help": "how many batches of games are played, those of the run gone on from included; all of "
            "them, even if nothing better can be found, so that a seed gives the same metrics again"
        },
    )
    resume: str | None = field(
        default=None, metadata={"help": "the folder of a run to go on from, with its settings"}
    )

    def __post_init__(self):
        AlphaZeroConfig.__post_init__(self)
        RunConfig.__post_init__(self)
        check_counts(iterations=self.iterations)

    @property
    def time_limit(self) -> float:
        """Seconds that the command may take."""
        if self.seconds is not None:
            return self.seconds
        return math.inf if self.iterations is not None else self.usual_seconds

    @property
    def method(self) -> AlphaZeroConfig:
        """The settings of the method alone."""
        return AlphaZeroConfig(**{entry.name: getattr(self, entry.name) for entry in fields(AlphaZeroConfig)})

    def refuse_changes(self, earlier: TrainingConfig) -> None:
        """Refuse settings that come too late for a run to go on from.

        Args:
            earlier: the settings of that run.

        Raises:
            ConfigError: for the first of them.
        """
        for key in self.settled:
            now, then = (_flat(config, key) for config in (self, earlier))
            for name, value in now.items():
                if value != then[name]:
                    raise ConfigError(
                        f"{name}={value} comes too late: the run to go on from began with "
                        f"{name}={then[name]}; leave it out, or begin anew without resume="
                    )


def _flat(config: Any, key: str) -> dict[str, Any]:
    """A setting, or the settings of a group, by their dotted names."""
    value = config
    for name in key.split("."):
        value = getattr(value, name)
    if is_dataclass(value) and not isinstance(value, type):
        return {f"{key}.{name}": entry for name, entry in asdict(value).items()}
    return {key: value}


class Trainer:
    """The training of a run, from its beginning or from where another run stood.

    Args:
        make_game: the game. That of a large graph takes its time, so it is made when it is needed.
        config: the settings.
        fingerprint: of what the game is about; it goes into checkpoints.

    Raises:
        ConfigError: when the checkpoint to go on from cannot be used.
        OSError: when it cannot be read.
    """

    def __init__(self, make_game: Callable[[], Game], config: TrainingConfig, fingerprint: str) -> None:
        self._game = functools.cache(make_game)
        self._config, self._fingerprint = config, fingerprint
        self._method = config.method
        self._reached: tuple[Training, Position] | None = None
        self._saving = threading.Lock()
        # The metrics up to the checkpoint, and what is to be said of where training begins.
        self._earlier: Sequence[Mapping[str, Any]] = ()
        self._remarks: list[str] = []
        if config.resume is not None:
            self._resume(Path(config.resume))

    def _resume(self, path: Path) -> None:
        remove_leftovers(path)
        remove_leftovers(path / "checkpoints")
        like = eqx.filter_eval_shape(begin, self._game(), self._method, jnp.int32(self._config.seed))
        try:
            found = Checkpoints(path, self._fingerprint).load(like)
        except FileNotFoundError:
            if not (path / "config.yaml").exists():
                raise
            self._remarks.append(f"{path} has no checkpoint yet: beginning anew, with its settings")
            return
        except ValueError as error:
            raise ConfigError(str(error)) from error
        training, position, remark = found
        self._reached = training, position
        self._remarks += [remark] if remark else []
        try:
            self._earlier = _metrics_until(path, position)
        except (OSError, ValueError) as error:  # curves are not worth a training
            self._remarks.append(f"{error}; going on without the earlier metrics")
        else:
            if len(self._earlier) < position.turns:
                lines = f"{len(self._earlier)} of {position.turns}"
                self._remarks.append(f"{path} has only {lines} lines of the earlier metrics left")
        played, wanted = int(training.iteration), self._config.iterations
        if wanted is not None and played >= wanted:
            self._remarks.append(
                f"iterations={wanted}: {played} are played already; say a greater number to go on, or "
                "iterations=null to play as long as the seconds last"
            )

    def begin(self, name: str, size: str, call: Invocation) -> Run:
        """The run of this training; see :class:`alphagrad.run.command.Run`.

        Raises:
            OSError: when the folder cannot be used.
        """
        run = Run(self._config, name, size, call, _RESUMABLE, self._earlier, self.save)
        for remark in self._remarks:
            run.say(remark)
        return run

    def train(
        self,
        run: Run,
        keep: Callable[[int, Records], None],
        enough: Callable[[], bool] = lambda: False,
        beside: Callable[[], str] = lambda: "",
    ) -> None:
        """Train until the run is over, all games are played, or nothing more is wanted.

        Args:
            run: tells of the time, shows progress, and has a folder for everything.
            keep: is given the number of the target and the game, alone in its records as NumPy arrays, of
                every game that is better than all before on this target.
            enough: says after every turn whether nothing more is wanted.
            beside: what progress tells of what goes on beside the agent.
        """
        events = Events(run.folder.path)
        for line in self._earlier:
            _show_events(events, line)
        last = saved = time.perf_counter()
        longest = 0.0
        phase = "making the game and its agent"

        def tell(what: str) -> None:
            nonlocal phase
            phase = what

        run.show(lambda: phase + beside())
        game = self._game()
        training, position = self._reached or (
            begin(game, self._method, jnp.int32(self._config.seed)),
            Position(),
        )
        played = np.flatnonzero(np.isfinite(training.best_returns)).tolist()
        for target, best in best_games(training, played).items():
            keep(target, best)
        turns = account(
            alphazero(game, self._method, training, tell),
            run.start - position.seconds,
            training,
            position.games,
        )
        while not self._done(run, training, longest) and not enough():
            training, metrics, improved = next(turns)
            for target, best in improved.items():
                keep(target, best)
            values = asdict(metrics)
            if not run.folder.write(values):  # a checkpoint has no turn that the metrics have not
                return
            _show_events(events, values)
            self._reached = training, Position(training.turns, metrics.games, metrics.seconds)
            if time.perf_counter() - saved > _CHECKPOINT_SECONDS:
                self.save(run.folder.path)
                saved = time.perf_counter()
            phase = _line(metrics)
            longest = max(0.8 * longest, time.perf_counter() - last)
            last = time.perf_counter()
        events.close()

    def _done(self, run: Run, training: Training, longest: float) -> bool:
        limit = self._config.iterations
        # Another turn might take until after the deadline.
        played = int(training.iteration)
        late = played > 0 and longest > run.left
        return run.over or late or (limit is not None and played >= limit)

    def save(self, path: Path) -> None:
        """Write a checkpoint of the last turn that is done into a run's folder, if there is one."""
        with self._saving:
            if self._reached is not None:
                Checkpoints(path, self._fingerprint).save(*self._reached)


def _metrics_until(path: Path, position: Position) -> list[Mapping[str, Any]]:
    """The lines of a run's metrics up to a checkpoint.

    They are told by their time: there are fewer of them than turns if some were lost.

    Raises:
        OSError: if they cannot be read.
        ValueError: if they are those of something else.
    """
    lines = read_metrics(path)
    columns = [entry.name for entry in fields(Metrics)]
    for number, line in enumerate(lines, 1):
        fine = line.keys() == set(columns) and not any(isinstance(value, str) for value in line.values())
        if not fine or line["iteration"] is None or line["seconds"] is None:
            where = f"{path / 'metrics.jsonl'}, line {number}"
            raise ValueError(f"{where}: expected numbers named {', '.join(columns)}")
    return [line for line in lines if line["seconds"] <= position.seconds]


def _show_events(events: Events, line: Mapping[str, Any]) -> None:
    events.write(line["iteration"], {name: value for name, value in line.items() if name != "iteration"})
    events.flush()


def game_panels(quantity: str, lines: Sequence[Line] = (), scale: float = 1.0) -> tuple[Panel, ...]:
    """Curves of a training: what the games cost, what is learned of them, how fast they are played.

    Args:
        quantity: what games are to have little of: minus their returns.
        lines: what to compare the cost with.
        scale: of the cost, for the unit that the quantity is in.
    """
    over = ("seconds", "games")
    best = Series("best game", "best", -scale, steps=True)
    mean = Series("mean game", "mean", -scale)
    policy, entropy = Series("policy loss", "policy_loss"), Series("entropy", "entropy")
    return (
        Panel("Cost", quantity, (best, mean), over, tuple(lines)),
        Panel("Policy", "nats", (policy, entropy), over),
        Panel("Value loss", "squared reward scales", (Series("value loss", "value_loss"),), over),
        Panel("Throughput", "games / s", (Series("self-play", "games", rate=True),), over),
    )


def _line(metrics: Metrics) -> str:
    """Progress, in some words."""
    if metrics.iteration == 0:
        progress = "studying demonstrations"
    else:
        best, mean = ("-" if value is None else f"{-value:.0f}" for value in (metrics.best, metrics.mean))
        progress = f"best {best}  mean {mean}  iteration {metrics.iteration}  games {metrics.games}"
    return f"{progress}  policy loss {metrics.policy_loss:.2f}"
