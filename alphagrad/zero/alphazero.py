"""AlphaZero (Silver et al. 2018): self-play with search, and learning from it, in turns.

With Gumbel MuZero's search (Danihelka et al. 2022), AlphaTensor's buffer of best games (Fawzi et al. 2022)
and a few demonstrations to begin with. Nothing here knows which game is played.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from ..run.aside import aside
from .agent import Agent, AgentConfig, Losses, make_agent
from .books import Turn
from .demonstrations import DemonstrationConfig, demonstrate
from .game import Game
from .learning import LearningConfig, learn, optimizer
from .local_search import Incumbents, accept, no_incumbents, reopen
from .records import Records, select_games
from .replay import Replay, ReplayConfig, add_latest, draw, empty_replay, keep_best
from .selfplay import SelfPlayConfig, begin_anew, play
from .tree import SearchConfig


@dataclass(frozen=True)
class AlphaZeroConfig:
    """All that the method can be told.

    Attributes:
        agent: the sizes of the network.
        search: how far the search looks.
        selfplay: how games are played.
        replay: which games are remembered.
        learning: how the agent learns from them.
        demonstrations: how it is introduced to the game.

    Raises:
        ValueError: when the memory is smaller than a batch of games.

    Example:
        >>> from alphagrad import zero
        >>> config = zero.AlphaZeroConfig(search=zero.SearchConfig(simulations=32))
        >>> config.search.simulations, config.selfplay.games
        (32, 8)
    """

    agent: AgentConfig = field(default_factory=AgentConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    selfplay: SelfPlayConfig = field(default_factory=SelfPlayConfig)
    replay: ReplayConfig = field(default_factory=ReplayConfig)
    learning: LearningConfig = field(default_factory=LearningConfig)
    demonstrations: DemonstrationConfig = field(default_factory=DemonstrationConfig)

    def __post_init__(self):
        most = max(self.selfplay.games, self.demonstrations.games)
        if self.replay.latest < most:
            raise ValueError(f"replay.latest={self.replay.latest} must hold the {most} games of one batch")


class Training(NamedTuple):
    """Everything that training goes on from, as a pytree of arrays.

    Attributes:
        agent: the agent.
        optimizer_state: of its optimizer.
        replay: the games that it learns from.
        incumbents: the games that it goes on with; None if games always begin anew.
        seed: of all chance.
        clock: counts the draws of chance so far.
        reward_scale: the unit of the agent's values.
        studied: how many turns of the introduction by demonstrations are done.
        iteration: how many batches of games have been played.

    Example:
        >>> from alphagrad import zero
        >>> from alphagrad.layers import AgentConfig
        >>> from alphagrad.orders import VertexGame
        >>> game = VertexGame(graphax.trace(lambda x: jnp.sin(x) * x)(1.0))
        >>> training = zero.begin(game, zero.AlphaZeroConfig(AgentConfig(width=8)), seed=0)
        >>> int(training.iteration), training.best_returns.shape
        (0, (1,))
    """

    agent: Agent
    optimizer_state: optax.OptState
    replay: Replay
    incumbents: Incumbents | None
    seed: Int[Array, ""]
    clock: Int[Array, ""]
    reward_scale: Float[Array, ""]
    studied: Int[Array, ""]
    iteration: Int[Array, ""]

    @property
    def turns(self) -> int:
        """How many turns are done."""
        return int(self.studied) + int(self.iteration)

    @property
    def best_returns(self) -> Float[Array, "targets"]:
        """The highest return of a game on each target that the agent has played; minus infinity before the
        first."""
        return self.replay.returns[:, 0]

    @property
    def best_games(self) -> Records:
        """These games."""
        return jax.tree.map(lambda leaf: leaf[:, 0], self.replay.best)


@eqx.filter_jit
def begin(game: Game, config: AlphaZeroConfig, seed: Int[Array, ""] | int) -> Training:
    """A new agent that has seen nothing yet.

    Args:
        game: the game.
        config: of the method.
        seed: of all chance.

    Returns:
        where a training begins, for :func:`alphazero`.

    Example:
        >>> from alphagrad import zero
        >>> from alphagrad.layers import AgentConfig
        >>> from alphagrad.orders import VertexGame
        >>> game = VertexGame(graphax.trace(lambda x: jnp.sin(x) * x)(1.0))
        >>> zero.begin(game, zero.AlphaZeroConfig(AgentConfig(width=8)), seed=0).turns
        0
    """
    agent = make_agent(game, config.agent, _key(seed, _AGENT))
    zero = jnp.zeros((), jnp.int32)
    return Training(
        agent=agent,
        optimizer_state=optimizer(config.learning).init(eqx.filter(agent, eqx.is_inexact_array)),
        replay=empty_replay(game, config.replay),
        incumbents=no_incumbents(game, config.selfplay.games) if config.selfplay.reopened else None,
        seed=jnp.asarray(seed, jnp.int32),
        clock=zero,
        reward_scale=jnp.ones(()),
        studied=zero,
        iteration=zero,
    )


def alphazero(
    game: Game,
    config: AlphaZeroConfig,
    training: Training,
    tell: Callable[[str], None] = lambda phase: None,
) -> Iterator[Turn]:
    """Trains for ever, one turn at a time; whoever looks on decides when to stop.

    A new training is introduced to the game by demonstrations. The turns are a function of `training` alone:
    whoever goes on from one of them sees what would have followed.

    Args:
        game: the game.
        config: of the method; the sizes of the network, of the replay buffer and, where games are reopened,
            of a batch must be those of `training`.
        training: where to begin, from `begin` or a checkpoint.
        tell: is given what the next turn waits for, in some words.

    Returns:
        an iterator over what each turn did, which does not end.

    Example:
        >>> from alphagrad import zero
        >>> from alphagrad.layers import AgentConfig
        >>> from alphagrad.orders import VertexGame
        >>> game = VertexGame(graphax.trace(lambda x: jnp.exp(jnp.sin(x) * jnp.cos(x)))(1.0).counted())
        >>> shown = zero.DemonstrationConfig(games=4, updates=1)
        >>> config = zero.AlphaZeroConfig(AgentConfig(width=8), demonstrations=shown)
        >>> training = zero.begin(game, config, seed=0)
        >>> for turn in zero.alphazero(game, config, training):
        ...     if turn.training.iteration == 2:  # two batches of games
        ...         break
        >>> float(turn.training.best_returns[0]) <= -orders.lower_bound(game.graph)
        True

    D. Silver et al., "A general reinforcement learning algorithm that masters chess, shogi, and Go through
    self-play", Science 362, 2018.
    """
    games, share = config.learning.games, config.demonstrations.share
    # Play is compiled while demonstrations are studied: both take the compiler up to minutes.
    compiling = aside(lambda: _play.lower(game, config, training).compile())
    if training.clock == 0:
        tell("compiling what demonstrates and learns")
        training = _introduce(game, config, training)
    while training.iteration == 0 and training.studied < _turns_of_study(config):
        training, losses = _improve(game, config, training, jnp.array(games))
        training = training._replace(studied=training.studied + 1)
        yield Turn(training, losses, None)
    tell("compiling the games")
    play_batch = compiling.result()
    while True:
        training, returns = play_batch(game, config, training)
        training, losses = _improve(game, config, training, jnp.array(round(games * share)))
        yield Turn(training, losses, returns)


def _turns_of_study(config: AlphaZeroConfig) -> int:
    if not config.demonstrations.games:
        return 0
    return -(-config.demonstrations.updates // config.learning.updates)


@eqx.filter_jit
def _introduce(game: Game, config: AlphaZeroConfig, training: Training) -> Training:
    """Puts demonstrations into the buffer, and measures rewards by the best of them."""
    training, key = _chance(training)
    shown = demonstrate(game, key, max(config.demonstrations.games, 3))
    best = jnp.max(shown.returns)
    training = training._replace(reward_scale=jnp.where(best == 0, 1.0, jnp.abs(best)))
    if not config.demonstrations.games:
        return training
    shown = shown.take(jnp.arange(config.demonstrations.games))
    return training._replace(replay=add_latest(training.replay, shown))


@eqx.filter_jit
def _play(game: Game, config: AlphaZeroConfig, training: Training) -> tuple[Training, Array]:
    training, key = _chance(training)
    key_start, key_openings, key_play, key_accept = jax.random.split(key, 4)
    own, incumbents = config.selfplay, training.incumbents
    openings = begin_anew(game, key_start, own.games)
    if incumbents is not None:
        openings = reopen(game, incumbents, openings, key_openings, own.reopened, own.reopened_moves)
    records = play(game, training.agent, key_play, openings, config.search, training.reward_scale)
    replay = keep_best(game, add_latest(training.replay, records), records, config.replay.renewed)
    if incumbents is not None:
        incumbents = accept(game, incumbents, records, replay, key_accept, own.restarts)
    training = training._replace(replay=replay, incumbents=incumbents, iteration=training.iteration + 1)
    return training, records.returns


@eqx.filter_jit
def _improve(
    game: Game, config: AlphaZeroConfig, training: Training, demonstrations: Int[Array, ""] | int = 0
) -> tuple[Training, Losses]:
    """Makes gradient steps.

    Args:
        game: the game.
        config: of the method.
        training: whose agent learns.
        demonstrations: how many of the games of a step are new demonstrations, if there are any at all; the
            others come out of the buffer.
    """
    training, key = _chance(training)
    parameters, rest = eqx.partition(training.agent, eqx.is_array)

    def update(carry: Any, key: Array) -> tuple[Any, Losses]:
        parameters, optimizer_state = carry
        key_games, key_shown, key_positions = jax.random.split(key, 3)
        games = config.learning.games
        records = draw(training.replay, key_games, games, config.replay.best_share)
        if config.demonstrations.share:
            # The first are those out of the best games, so new ones take the places of the last.
            played = jnp.arange(games) < games - demonstrations
            shown = demonstrate(game, key_shown, games)
            records = select_games(played, records, shown)
        agent, optimizer_state, losses = learn(
            game,
            eqx.combine(parameters, rest),
            optimizer_state,
            records,
            key_positions,
            config.learning,
            training.reward_scale,
        )
        return (eqx.filter(agent, eqx.is_array), optimizer_state), losses

    (parameters, optimizer_state), losses = jax.lax.scan(
        update, (parameters, training.optimizer_state), jax.random.split(key, config.learning.updates)
    )
    training = training._replace(agent=eqx.combine(parameters, rest), optimizer_state=optimizer_state)
    return training, jax.tree.map(jnp.mean, losses)


def _chance(training: Training) -> tuple[Training, Array]:
    """A key that has not been used yet."""
    key = jax.random.fold_in(_key(training.seed, _TURNS), training.clock)
    return training._replace(clock=training.clock + 1), key


_AGENT, _TURNS = 0, 1


def _key(seed: Int[Array, ""] | int, purpose: int) -> Array:
    """The root of all keys for a purpose: a key is either folded into or split, never both."""
    return jax.random.fold_in(jax.random.key(seed), purpose)
