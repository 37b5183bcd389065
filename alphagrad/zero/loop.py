"""The loop around a training method: it keeps time, keeps books, and keeps the best game.

It knows neither the game nor the method: turns come in, and callbacks say what a best game is good for.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

import jax
import numpy as np

from .alphazero import Training, Turn
from .records import Records


@dataclass(frozen=True)
class Metrics:
    """What one turn of training came to; written as a line of `metrics.jsonl`.

    Attributes:
        iteration: batches of games played so far; 0 while demonstrations are studied.
        games: games played so far.
        seconds: since the start of the run.
        best: the highest return of a game so far, None before the first; where a game has several targets,
            the sum over them, None before there is one for each.
        mean: the mean return of the games of this turn, None if none were played.
        policy_loss, value_loss, entropy: of the agent in this turn, in nats but for the value.
    """

    iteration: int
    games: int
    seconds: float
    best: float | None
    mean: float | None
    policy_loss: float
    value_loss: float
    entropy: float


@dataclass
class Watch:
    """When to stop: at a time, or when asked to.

    Attributes:
        deadline: in seconds of `time.perf_counter`.
        asked: whether a user has asked to stop.
    """

    deadline: float
    asked: bool = False
    _last: float = field(default_factory=time.perf_counter)
    _longest: float = 0.0

    def lap(self) -> None:
        """Note that another turn has ended."""
        now = time.perf_counter()
        self._longest = max(0.8 * self._longest, now - self._last)
        self._last = now

    @property
    def over(self) -> bool:
        """Whether to stop now: another turn might take until after the deadline."""
        return self.asked or self._last + self._longest > self.deadline

    @contextmanager
    def listening(self, notify: Callable[[], None]) -> Iterator[None]:
        """Takes Ctrl-C for a wish to stop after the current turn; a second one interrupts at once."""

        def stop(number: int, frame: FrameType | None) -> None:
            self.asked = True
            signal.signal(signal.SIGINT, previous)
            notify()

        previous = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)


def run(
    turns: Iterator[Turn],
    watch: Watch,
    start: float,
    on_turn: Callable[[Metrics, Training], None],
    on_best: Callable[[int, Records, float], None],
) -> Training | None:
    """Trains until the watch says stop, though until the first games have been played in any case.

    Args:
        turns: from a training method.
        watch: says when to stop.
        start: of the run, in seconds of `time.perf_counter`.
        on_turn: is told what every turn came to.
        on_best: is given the number of the target, the game (alone in its records, as NumPy arrays) and the
            return of every game that is better than all before on this target.

    Returns:
        where training stands; None if there was no turn.
    """
    training, games, best = None, 0, {}
    for turn in turns:
        training = turn.training
        returns = None if turn.returns is None else np.asarray(turn.returns)
        games += 0 if returns is None else len(returns)
        returned = np.asarray(training.best_returns)
        for target, reached in enumerate(returned.tolist()):
            if reached > best.get(target, -np.inf):
                best[target] = reached
                game = jax.tree.map(lambda leaf, at=target: np.asarray(leaf[at]), training.best_games)
                on_best(target, game, reached)
        policy_loss, value_loss, entropy = (float(loss) for loss in jax.device_get(turn.losses))
        metrics = Metrics(
            iteration=int(training.iteration),
            games=games,
            seconds=time.perf_counter() - start,
            best=sum(best.values()) if len(best) == len(returned) else None,
            mean=None if returns is None else float(returns.mean()),
            policy_loss=policy_loss,
            value_loss=value_loss,
            entropy=entropy,
        )
        on_turn(metrics, training)
        watch.lap()
        if watch.asked or (watch.over and games):
            break
    return training
