"""The agent plays whole games with the search, many side by side."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from .agent import Agent
from .game import Game, State, advance
from .records import Records, empty, roll_out
from .tree import Forbidden, SearchConfig, search


@dataclass(frozen=True)
class SelfPlayConfig:
    """How games are played.

    Raises:
        ValueError: when a number is less than 1, or a share is none.

    Example:
        >>> from alphagrad import zero
        >>> zero.SelfPlayConfig(games=64).reopened
        0.0
    """

    games: int = field(default=8, metadata={"help": "games played side by side, then learned from"})
    reopened: float = field(
        default=0.0,
        metadata={
            "help": "part of the batches that go on with earlier games, whose last moves are made anew"
        },
    )
    reopened_moves: int = field(default=8, metadata={"help": "how many of these moves, at most"})
    restarts: float = field(
        default=0.005, metadata={"help": "how often such a game gives way to another of the best games"}
    )

    def __post_init__(self):
        if min(self.games, self.reopened_moves) < 1:
            raise ValueError("selfplay.games and selfplay.reopened_moves must be at least 1")
        if not 0 <= self.restarts <= 1:
            raise ValueError(f"selfplay.restarts={self.restarts} must lie between 0 and 1")
        if not 0 <= self.reopened <= 1:
            raise ValueError(f"selfplay.reopened={self.reopened} must lie between 0 and 1")


class Openings(NamedTuple):
    """How the games of a batch begin.

    Attributes:
        start: the first states.
        actions: moves that games begin with; None if the agent makes all of them.
        lengths: how many of them each game begins with.
        forbidden: which of the moves must not be the first that the agent makes; None if it may make any.
    """

    start: State
    actions: Int[Array, "games steps ..."] | None
    lengths: Int[Array, "games"]
    forbidden: Bool[Array, "games steps"] | None = None


def begin_anew(game: Game, key: Array, games: int) -> Openings:
    """Games that begin with their first move."""
    start = jax.vmap(game.init)(jax.random.split(key, games))
    return Openings(start, None, jnp.zeros(games, jnp.int32))


def play(
    game: Game,
    agent: Agent,
    key: Array,
    openings: Openings,
    config: SearchConfig,
    reward_scale: Array | float,
) -> Records:
    """Plays games in lockstep, every move but those of their openings chosen by a search.

    Args:
        game: the game.
        agent: guides the search.
        key: for all chance.
        openings: how the games begin.
        config: of the search.
        reward_scale: the unit of the agent's values.
    """
    games = jnp.arange(len(openings.lengths))

    def goes_on(carry):
        _, states, _ = carry
        return ~jnp.all(jax.vmap(game.is_over)(states))

    def move(carry):
        records, states, key = carry
        key, key_search = jax.random.split(key)
        plan = search(
            game, agent, states, key_search, config, reward_scale, _forbidden(openings, records.lengths)
        )
        over = jax.vmap(game.is_over)(states)
        states, rewards = jax.vmap(partial(advance, game))(states, plan.action)
        # What would be written behind the last move is dropped.
        place = (games, jnp.where(over, game.max_steps, records.lengths))
        written = (records.actions, records.rewards, records.policies, records.menus)
        new = (plan.action, rewards, plan.policy, plan.menu)
        actions, rewards, policies, menus = jax.tree.map(
            lambda leaf, value: leaf.at[place].set(value, mode="drop"), written, new
        )
        lengths = records.lengths + ~over
        return Records(records.start, actions, rewards, lengths, policies, menus), states, key

    if openings.actions is None:
        states = openings.start
        opened = empty(game, len(games))._replace(start=states)
    else:
        opened, states = roll_out(game, openings.start, openings.actions, openings.lengths)
    records, _, _ = jax.lax.while_loop(goes_on, move, (opened, states, key))
    return records


def _forbidden(openings: Openings, lengths: Int[Array, "games"]) -> Forbidden | None:
    """What must not be played next: something only at the first move after the opening."""
    if openings.actions is None or openings.forbidden is None:
        return None
    return Forbidden(openings.actions, openings.forbidden & (lengths == openings.lengths)[:, None])
