"""Walks from one game to the next: the last moves of a game are made anew, again and again.

Each result that is as good as the game before takes its place. So a player who cannot find a very good game
at once gets to it by many small steps, of which most change nothing but the way that is left to go. Flip
graphs of schemes are searched like this (Kauers and Moosbauer 2022, arXiv 2212.01175), by steps at random.

Now and then a walk starts over from one of the best games of the replay buffer, which are of different kinds:
many walks may be at a game from which nothing better can be reached.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .game import Game, State
from .records import Records, empty, select_games
from .replay import Replay
from .selfplay import Openings


class Walks(NamedTuple):
    """Where each of several walks is: at a game, or nowhere yet.

    Attributes:
        start: the first states of the games.
        actions: their moves.
        lengths: how many were made before the games were over; 0 for walks that are nowhere yet.
        returns: of the games; minus infinity for walks that are nowhere yet.
    """

    start: State
    actions: Int[Array, "walks steps ..."]
    lengths: Int[Array, "walks"]
    returns: Float[Array, "walks"]


def nowhere(game: Game, walks: int) -> Walks:
    """Walks that have not begun."""
    none = empty(game, walks)
    return Walks(none.start, none.actions, none.lengths, jnp.full(walks, -jnp.inf))


def reopen(game: Game, walks: Walks, anew: Openings, key: Array, share: float, most: int) -> Openings:
    """Openings that repeat the games of walks but for their last moves, of which the first must differ.

    Args:
        game: the game.
        walks: where they are.
        anew: openings for walks that are nowhere yet; sometimes all games begin like this.
        key: for what is left to chance.
        share: how often they do not.
        most: how many moves are left to make, at most.
    """
    key_whether, key_again, key_left = jax.random.split(key, 3)
    keys = jax.random.split(key_again, len(walks.lengths))
    start, actions = jax.vmap(game.reopen)(keys, walks.start, walks.actions, walks.lengths)
    # The same number for all games: they are played in lockstep.
    left = jax.random.randint(key_left, (), min(2, most), most + 1)
    lengths = jnp.maximum(walks.lengths - left, 0)
    steps = jnp.arange(game.max_steps)
    barred = (steps >= lengths[:, None]) & (steps < walks.lengths[:, None])
    again = Openings(start, actions, lengths, barred)
    anew = anew._replace(actions=actions, barred=jnp.zeros_like(barred))
    goes_on = jnp.isfinite(walks.returns) & jax.random.bernoulli(key_whether, share)
    return select_games(goes_on, again, anew)


def follow(game: Game, walks: Walks, records: Records, replay: Replay, key: Array, restarts: float) -> Walks:
    """The walks after another game each.

    Args:
        game: the game.
        walks: where they were.
        records: as many games, the one of each walk in its place.
        replay: with the best games so far.
        key: for chance.
        restarts: how often a walk starts over from one of the best games on its target. A walk that is worse
            than all of these does so at once, when there are as many as the buffer holds.
    """
    targets, reached = jax.vmap(game.target)(records.start), records.returns
    own = jax.vmap(game.target)(walks.start)
    begun = jnp.isfinite(walks.returns)
    # Exercises lead nowhere.
    taken = (targets >= 0) & (~begun | (targets == own)) & (reached >= walks.returns)
    result = Walks(records.start, records.actions, records.lengths, reached)
    after = select_games(taken, result, walks)

    key_whether, key_which = jax.random.split(key)
    own = jax.vmap(game.target)(after.start)
    best = replay.returns[own]
    behind = after.returns < jnp.min(best, axis=1)
    lost = (behind | jax.random.bernoulli(key_whether, restarts, own.shape)) & jnp.isfinite(after.returns)
    which = own, jax.random.categorical(key_which, jnp.where(jnp.isfinite(best), 0.0, -1e6))
    games = replay.best
    leaders = jax.tree.map(
        lambda leaf: leaf[which], Walks(games.start, games.actions, games.lengths, replay.returns)
    )
    lost &= jnp.isfinite(leaders.returns)
    return select_games(lost, leaders, after)
