"""Games as they were played: what self-play writes, what the replay buffer keeps and what learning reads.

A game is its first state and its moves. The states between are played again when they are needed, which is
cheap beside a network and keeps a thousand games in a few megabytes.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .game import Game, State, advance

GamesT = TypeVar("GamesT")


class Records(NamedTuple):
    """A batch of games in arrays of `game.max_steps` moves; after the end of a game its moves mean nothing.

    Attributes:
        start: the first states.
        actions: the moves.
        rewards: what each move paid.
        lengths: how many moves were made before the game was over.
        policies: the policy that each move was drawn from or, for a demonstration, the move itself.
        menus: the actions that this policy is over; None if they are the game's actions 0, 1, 2 ...
    """

    start: State
    actions: Int[Array, "games steps ..."]
    rewards: Float[Array, "games steps"]
    lengths: Int[Array, "games"]
    policies: Float[Array, "games steps num_actions"]
    menus: Int[Array, "games steps num_actions ..."] | None

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
        menus: the actions that they are over, as in :class:`Records`.
        values: the rewards to go, not scaled.
    """

    states: State
    policies: Float[Array, "positions num_actions"]
    menus: Int[Array, "positions num_actions ..."] | None
    values: Float[Array, "positions"]


def empty(game: Game, games: int) -> Records:
    """Records of games without a move."""
    state, action = jax.eval_shape(game.init, jax.random.key(0)), game.action
    start = jax.tree.map(lambda leaf: jnp.zeros((games, *leaf.shape), leaf.dtype), state)
    menu = (games, game.max_steps, game.num_actions)
    return Records(
        start,
        jnp.zeros((games, game.max_steps, *action.shape), action.dtype),
        jnp.zeros((games, game.max_steps)),
        jnp.zeros(games, jnp.int32),
        jnp.zeros(menu),
        jnp.zeros((*menu, *action.shape), action.dtype) if action.shape else None,
    )


def roll_out(
    game: Game, start: State, actions: Int[Array, "games steps ..."], lengths: Int[Array, "games"]
) -> tuple[Records, State]:
    """Makes the first moves of games, as many as `lengths` says if the game is not over before.

    Returns:
        the records, in which every policy is the move itself, and the states reached.
    """

    def move(carry, action):
        states, made = carry
        goes_on = (made < lengths) & ~jax.vmap(game.is_over)(states)
        after, gained = jax.vmap(partial(advance, game))(states, action)
        return (select_games(goes_on, after, states), made + goes_on), jnp.where(goes_on, gained, 0.0)

    moves = jnp.swapaxes(actions, 0, 1)
    (states, made), gained = jax.lax.scan(move, (start, jnp.zeros_like(lengths)), moves)
    records = empty(game, len(actions))
    if records.menus is None:
        policies, menus = jax.nn.one_hot(actions, game.num_actions), None
    else:
        policies = jnp.zeros_like(records.policies).at[:, :, 0].set(1.0)
        menus = records.menus.at[:, :, 0].set(actions)
    return Records(start, actions, jnp.swapaxes(gained, 0, 1), made, policies, menus), states


def positions(game: Game, records: Records, steps: Int[Array, "games picked"]) -> Positions:
    """Plays games again to look at some of their positions.

    Args:
        game: the game.
        records: played games.
        steps: before which moves to look, for every game; all games' positions follow each other in the
            result.
    """

    def states_before(start, actions, steps):
        def move(state, action):
            return advance(game, state, action)[0], state

        _, states = jax.lax.scan(move, start, actions)
        return jax.tree.map(lambda leaf: leaf[steps], states)

    states = jax.vmap(states_before)(records.start, records.actions, steps)
    policies, menus, values = jax.tree.map(
        lambda leaf: jax.vmap(lambda game, picked: game[picked])(leaf, steps),
        (records.policies, records.menus, records.rewards_to_go()),
    )
    flatten = partial(jax.tree.map, lambda leaf: leaf.reshape(-1, *leaf.shape[2:]))
    return Positions(*flatten((states, policies, menus, values)))


def select_games(flags: Bool[Array, "games"], new: GamesT, old: GamesT) -> GamesT:
    """For games whose flag is set what `new` has of them, for the others what `old` has.

    Both are pytrees whose leaves have the games for a leading axis.
    """

    def choose(new, old):
        return jnp.where(flags.reshape(-1, *(1,) * (new.ndim - 1)), new, old)

    return jax.tree.map(choose, new, old)
