"""Tree search over the true dynamics of a game, guided by an agent.

Gumbel MuZero's search (Danihelka et al. 2022, *Policy improvement by planning with Gumbel*) as `mctx` has
it. Where MuZero would learn a model of the game, the tree here holds the states of the game itself, as in
AlphaZero (Silver et al. 2018).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import mctx
from jaxtyping import Array, Float, Int

from ..agents import Agent, Prediction
from ..games._game import Game, State, advance

# Dataclasses of chex hide their fields from type checkers.
_Root: Any = mctx.RootFnOutput
_Step: Any = mctx.RecurrentFnOutput


@dataclass(frozen=True)
class SearchConfig:
    """How far the search looks."""

    simulations: int = field(default=8, metadata={"help": "states that a search evaluates for one move"})
    considered: int = field(default=8, metadata={"help": "actions at the root that share the simulations"})
    value_scale: float = field(
        default=0.1, metadata={"help": "how much the improved policy trusts values over the prior policy"}
    )

    def __post_init__(self):
        if min(self.simulations, self.considered) < 1:
            raise ValueError("search.simulations and search.considered must be at least 1")
        if self.value_scale <= 0:
            raise ValueError(f"search.value_scale={self.value_scale} must be positive")


class Plan(NamedTuple):
    """What a search suggests at every state of a batch.

    Attributes:
        action: to be taken.
        policy: the improved policy, which the agent's is trained towards.
    """

    action: Int[Array, "batch"]
    policy: Float[Array, "batch num_actions"]


def predict(game: Game, agent: Agent, states: State) -> Prediction:
    """The agent's policy logits and value at every state of a batch."""
    return jax.vmap(lambda state: agent(game.observe(state), game.legal(state)))(states)


def search(
    game: Game, agent: Agent, states: State, key: Array, config: SearchConfig, reward_scale: Array | float
) -> Plan:
    """Looks for a better policy than the agent's at every state of a batch.

    Args:
        game: whose dynamics the tree follows.
        agent: gives priors over actions and values of states.
        states: a batch of states.
        key: for the Gumbel noise, which makes the choice of actions a sample of the policy.
        config: how far to look.
        reward_scale: rewards are divided by it to be in the units of the agent's values.
    """

    def expand(agent, key, actions, states):
        del key
        after, rewards = jax.vmap(partial(advance, game))(jax.lax.optimization_barrier(states), actions)
        after = jax.lax.optimization_barrier(after)
        over = jax.vmap(game.is_over)(after)
        prediction = jax.lax.optimization_barrier(predict(game, agent, after))
        output = _Step(
            reward=rewards / reward_scale,
            discount=1.0 - over,
            prior_logits=prediction.logits,
            value=jnp.where(over, 0.0, prediction.value),
        )
        return output, after

    prediction = predict(game, agent, states)
    root = _Root(
        prior_logits=prediction.logits,
        value=prediction.value,
        embedding=states,
    )
    found: Any = mctx.gumbel_muzero_policy(
        cast(Any, agent),  # mctx's types know of dictionaries of arrays, not of modules
        key,
        root,
        expand,
        num_simulations=config.simulations,
        invalid_actions=~jax.vmap(game.legal)(states),
        qtransform=partial(mctx.qtransform_completed_by_mix_value, value_scale=config.value_scale),
        max_num_considered_actions=min(config.considered, game.num_actions),
    )
    return Plan(found.action, found.action_weights)
