"""The agent plays whole games with the search, many side by side."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..agents import Agent
from ..games._game import Game, advance
from ..search import SearchConfig, search
from .records import Records


def play(
    game: Game, agent: Agent, key: Array, games: int, config: SearchConfig, reward_scale: Array | float
) -> Records:
    """Plays games in lockstep, every move chosen by a search.

    Args:
        game: the game.
        agent: guides the search.
        key: for the first states and for the Gumbel noise of the searches.
        games: how many to play.
        config: of the search.
        reward_scale: the unit of the agent's values.
    """
    key_start, key_moves = jax.random.split(key)
    start = jax.vmap(game.init)(jax.random.split(key_start, games))

    def move(states, key):
        plan = search(game, agent, states, key, config, reward_scale)
        states, rewards = jax.vmap(partial(advance, game))(states, plan.action)
        return states, (plan.action, rewards, plan.policy)

    _, moves = jax.lax.scan(move, start, jax.random.split(key_moves, game.max_steps))
    return Records(start, *jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), moves))
