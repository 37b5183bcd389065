"""The books of a training: what each turn came to, and which games were better than all before.

It knows neither the game nor the method: turns come in.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, Protocol, TypeVar

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from .agent import Losses
from .records import Records


class Learner(Protocol):
    """Where a method of training stands.

    Attributes:
        iteration: how many batches of games have been played.
        best_returns: the highest return of a game on each target; minus infinity before the first.
        best_games: these games.
    """

    @property
    def iteration(self) -> Int[Array, ""]: ...
    @property
    def best_returns(self) -> Float[Array, "targets"]: ...
    @property
    def best_games(self) -> Records: ...


LearnerT = TypeVar("LearnerT", bound=Learner)


class Turn(NamedTuple, Generic[LearnerT]):
    """What happened between two stages of training.

    Attributes:
        training: where training stands now.
        losses: means over the gradient steps.
        returns: of the games played; None in the introduction by demonstrations.

    Example:
        >>> from alphagrad import zero
        >>> from alphagrad.layers import AgentConfig
        >>> from alphagrad.orders import VertexGame
        >>> game = VertexGame(graphax.trace(lambda x: jnp.sin(x) * x)(1.0))
        >>> shown = zero.DemonstrationConfig(games=4, updates=1)
        >>> config = zero.AlphaZeroConfig(AgentConfig(width=8), demonstrations=shown)
        >>> turn = next(zero.alphazero(game, config, zero.begin(game, config, seed=0)))
        >>> turn.training.turns, turn.returns is None  # it has looked at demonstrations
        (1, True)
    """

    training: LearnerT
    losses: Losses
    returns: Float[Array, "games"] | None


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


def account(
    turns: Iterator[Turn[LearnerT]], start: float, before: Learner, games: int = 0
) -> Iterator[tuple[LearnerT, Metrics, dict[int, Records]]]:
    """Keeps the books of a training; it goes on as long as anybody asks.

    Args:
        turns: from a training method.
        start: of the run, in seconds of `time.perf_counter`.
        before: where training stood before these turns.
        games: that were played by then.

    Yields:
        where training stands, what the turn came to and, by the numbers of their targets, the games that are
        better than all before, each alone in its records, as NumPy arrays.
    """
    best = np.asarray(before.best_returns)
    for training, losses, returns in turns:
        returns = None if returns is None else np.asarray(returns)
        games += 0 if returns is None else len(returns)
        reached = np.asarray(training.best_returns)
        improved = best_games(training, np.flatnonzero(reached > best).tolist())
        best = reached
        policy_loss, value_loss, entropy = (float(loss) for loss in jax.device_get(losses))
        metrics = Metrics(
            iteration=int(training.iteration),
            games=games,
            seconds=time.perf_counter() - start,
            best=sum(best.tolist()) if np.isfinite(best).all() else None,
            mean=None if returns is None else float(returns.mean()),
            policy_loss=policy_loss,
            value_loss=value_loss,
            entropy=entropy,
        )
        yield training, metrics, improved


def best_games(training: Learner, targets: Iterable[int]) -> dict[int, Records]:
    """The best game on each of some targets, alone in its records, as NumPy arrays."""
    games = training.best_games
    return {target: jax.tree.map(lambda leaf, at=target: np.asarray(leaf[at]), games) for target in targets}
