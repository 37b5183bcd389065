"""Games to begin with: actions in order, in reverse order, or greedily, all with random deviations.

In the vertex game these are forward mode, reverse mode and the Markowitz heuristic with ties broken at
random. They show a new agent what games look like; what it reports as learned are its own games.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..games._game import Game, advance
from .records import Records


@dataclass(frozen=True)
class DemonstrationConfig:
    """How the agent is introduced to the game."""

    games: int = field(
        default=48,
        metadata={"help": "randomised forward, reverse and greedy games to begin with; 0 for none"},
    )
    updates: int = field(default=100, metadata={"help": "gradient steps on them before self-play"})

    def __post_init__(self):
        if min(self.games, self.updates) < 0:
            raise ValueError("demonstrations.games and demonstrations.updates must not be negative")


def demonstrate(game: Game, key: Array, games: int) -> Records:
    """Plays a third of the games each in ascending and in descending order of actions and greedily.

    The first ascending and the first descending game are exact; in the others every action is displaced by
    normally distributed noise. A greedy game takes an action of highest immediate reward, any of them with
    equal chance.

    Args:
        game: the game.
        key: for the first states and the deviations.
        games: how many to play.
    """
    key_start, key_spread, key_noise, key_ties = jax.random.split(key, 4)
    start = jax.vmap(game.init)(jax.random.split(key_start, games))
    kind = jnp.arange(games) % 3
    spread = jax.random.uniform(key_spread, (games, 1), minval=0.01, maxval=0.1) * game.num_actions
    noise = spread * jax.random.normal(key_noise, (games, game.num_actions))
    exact = jnp.arange(games)[:, None] < 3
    place = jnp.arange(game.num_actions) + jnp.where(exact, 0.0, noise)

    def rewards(state):
        return jax.vmap(lambda action: game.step(state, action)[1])(jnp.arange(game.num_actions))

    def move(states, key):
        legal = jax.vmap(game.legal)(states)
        paid = jnp.where(legal, jax.vmap(rewards)(states), -jnp.inf)
        best = paid == jnp.max(paid, axis=1, keepdims=True)
        greedy = jnp.where(best, jax.random.uniform(key, best.shape), -1.0)
        scores = jnp.select([kind[:, None] == 0, kind[:, None] == 1], [-place, place], greedy)
        actions = jnp.argmax(jnp.where(legal, scores, -jnp.inf), axis=1)
        states, gained = jax.vmap(partial(advance, game))(states, actions)
        return states, (actions, gained)

    _, moves = jax.lax.scan(move, start, jax.random.split(key_ties, game.max_steps))
    actions, gained = jax.tree.map(lambda leaf: jnp.swapaxes(leaf, 0, 1), moves)
    return Records(start, actions, gained, jax.nn.one_hot(actions, game.num_actions))
