"""Games as they were played: what self-play writes, what the replay buffer keeps and what learning reads.

A game is its first state and its moves. The states between are played again when they are needed, which is
cheap beside a network and keeps a thousand games in a few megabytes.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..games._game import Game, State, advance


class Records(NamedTuple):
    """A batch of games, each of `game.max_steps` moves; after the end of a game its moves mean nothing.

    Attributes:
        start: the first states.
        actions: the moves.
        rewards: what each move paid.
        policies: the policy that each move was drawn from or, for a demonstration, the move itself.
    """

    start: State
    actions: Int[Array, "games steps"]
    rewards: Float[Array, "games steps"]
    policies: Float[Array, "games steps num_actions"]

    @property
    def returns(self) -> Float[Array, "games"]:
        """The sum of the rewards of every game."""
        return jnp.sum(self.rewards, axis=1)

    def rewards_to_go(self) -> Float[Array, "games steps"]:
        """The sum of the rewards from every move on."""
        return jnp.cumsum(self.rewards[:, ::-1], axis=1)[:, ::-1]

    def take(self, games: Int[Array, "picked"]) -> Records:
        """The games with these numbers."""
        return jax.tree.map(lambda leaf: leaf[games], self)


class Positions(NamedTuple):
    """States out of played games with what the agent should have said there.

    Attributes:
        states: the states.
        policies: the policies to learn.
        values: the rewards to go, not scaled.
    """

    states: State
    policies: Float[Array, "positions num_actions"]
    values: Float[Array, "positions"]


def positions(game: Game, records: Records, steps: Int[Array, "games picked"]) -> Positions:
    """Plays games again to look at some of their positions.

    Args:
        game: the game.
        records: played games.
        steps: before which moves to look, for every game; all games' positions follow each other in the
            result.
    """

    def replay(start, actions, steps):
        def move(state, action):
            return advance(game, state, action)[0], state

        _, states = jax.lax.scan(move, start, actions)
        return jax.tree.map(lambda leaf: leaf[steps], states)

    states = jax.vmap(replay)(records.start, records.actions, steps)
    policies = jnp.take_along_axis(records.policies, steps[..., None], axis=1)
    values = jnp.take_along_axis(records.rewards_to_go(), steps, axis=1)
    flatten = partial(jax.tree.map, lambda leaf: leaf.reshape(-1, *leaf.shape[2:]))
    return Positions(*flatten((states, policies, values)))
