"""One gradient step: the policy towards the searched one, the value towards what the game still paid."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from .agent import Agent, Lesson, Losses
from .game import Game
from .records import Positions, Records, positions

AgentT = TypeVar("AgentT", bound=Agent)


@dataclass(frozen=True)
class LearningConfig:
    """How the agent learns from played games.

    Raises:
        ValueError: when a number is less than 1, or the rate not positive.

    Example:
        >>> from alphagrad import zero
        >>> zero.LearningConfig(rate=1e-3).updates
        4
    """

    rate: float = field(default=2e-3, metadata={"help": "learning rate of AdamW"})
    decay: float = field(default=1e-4, metadata={"help": "weight decay of AdamW"})
    updates: int = field(default=4, metadata={"help": "gradient steps after each batch of games"})
    games: int = field(default=8, metadata={"help": "games that a gradient step looks at"})
    positions: int = field(default=8, metadata={"help": "positions that it looks at in each of them"})
    value_weight: float = field(default=10.0, metadata={"help": "weight of the value's loss"})

    def __post_init__(self):
        if min(self.updates, self.games, self.positions) < 1:
            raise ValueError("learning.updates, .games and .positions must be at least 1")
        if self.rate <= 0:
            raise ValueError(f"learning.rate={self.rate} must be positive")


def optimizer(config: LearningConfig) -> optax.GradientTransformation:
    """AdamW on gradients of bounded norm."""
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(config.rate, weight_decay=config.decay))


def losses(game: Game, agent: Agent, sample: Positions, key: Array, reward_scale: Array | float) -> Losses:
    """How far the agent is from what the games say, on average over positions before the end of their game.

    Args:
        game: the game.
        agent: the agent.
        sample: positions.
        key: for agents that estimate their losses.
        reward_scale: the unit of the agent's values.
    """

    def measure(state, policy, menu, value, key):
        lesson = Lesson(policy, menu, value / reward_scale)
        return agent.losses(game.observe(state), game.legal(state), lesson, key)

    keys = jax.random.split(key, len(sample.values))
    measured = jax.vmap(measure)(*sample, keys)
    counts = 1.0 - jax.vmap(game.is_over)(sample.states)
    return jax.tree.map(lambda loss: jnp.sum(counts * loss) / jnp.maximum(jnp.sum(counts), 1.0), measured)


def learn(
    game: Game,
    agent: AgentT,
    optimizer_state: optax.OptState,
    records: Records,
    key: Array,
    config: LearningConfig,
    reward_scale: Array | float,
) -> tuple[AgentT, optax.OptState, Losses]:
    """Makes one gradient step on random positions of played games.

    Args:
        game: the game.
        agent: the agent before the step.
        optimizer_state: of `optimizer(config)`.
        records: the games.
        key: for the choice of positions, and for the agent.
        config: of the learning.
        reward_scale: the unit of the agent's values.

    Returns:
        the agent and the state of the optimizer after the step, and the losses before it.
    """
    key_steps, key_losses = jax.random.split(key)
    place = jax.random.uniform(key_steps, (len(records.actions), config.positions))
    steps = jnp.floor(place * records.lengths[:, None]).astype(jnp.int32)
    sample = positions(game, records, steps)

    @partial(eqx.filter_value_and_grad, has_aux=True)
    def objective(agent):
        measured = losses(game, agent, sample, key_losses, reward_scale)
        return measured.policy + config.value_weight * measured.value, measured

    (_, measured), gradient = objective(agent)
    parameters = eqx.filter(agent, eqx.is_inexact_array)
    updates, optimizer_state = optimizer(config).update(gradient, optimizer_state, parameters)
    return eqx.apply_updates(agent, updates), optimizer_state, measured
