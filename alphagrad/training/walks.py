"""Walks from one game to the next: the last moves of a game are made anew, again and again.

Each result that is as good as the game before takes its place. So a player who cannot find a very good game
at once gets to it by many small steps, of which most change nothing but the way that is left to go. Flip
graphs of schemes are searched like this (Kauers and Moosbauer 2022, arXiv 2212.01175), by steps at random.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..games import Game, State
from .records import Records, empty, select_games
from .selfplay import Openings


class Walks(NamedTuple):
    """Where each of several walks is: at a game, or nowhere yet.

    Attributes:
        start: the first states of the games.
        actions: their moves.
        lengths: how many were made before the games were over; 0 for walks that are nowhere yet.
        returns: of the games; minus infinity for walks that are nowhere yet.
        steps: how many games were played since a walk has got better.
    """

    start: State
    actions: Int[Array, "walks steps ..."]
    lengths: Int[Array, "walks"]
    returns: Float[Array, "walks"]
    steps: Int[Array, "walks"]


def nowhere(game: Game, walks: int) -> Walks:
    """Walks that have not begun."""
    none = empty(game, walks)
    return Walks(none.start, none.actions, none.lengths, jnp.full(walks, -jnp.inf), none.lengths)


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


def follow(game: Game, walks: Walks, records: Records, key: Array, patience: int) -> Walks:
    """The walks after another game each.

    Args:
        game: the game.
        walks: where they were.
        records: as many games, the one of each walk in its place.
        key: for chance.
        patience: after so many games without a better one, a walk that is not at the highest return of all
            on its target goes on from a game of another one, drawn from those with the two highest returns:
            of the very best ones too many may be alike, and lead nowhere. Walks that have just begun do so at
            once.
    """
    targets, reached = jax.vmap(game.target)(records.start), records.returns
    own = jax.vmap(game.target)(walks.start)
    begun = jnp.isfinite(walks.returns)
    # Exercises lead nowhere.
    taken = (targets >= 0) & (~begun | (targets == own)) & (reached >= walks.returns)
    better = taken & (reached > walks.returns)
    result = Walks(records.start, records.actions, records.lengths, reached, jnp.zeros_like(walks.steps))
    stayed = walks._replace(steps=walks.steps + 1)
    after = select_games(taken, result, stayed)
    after = after._replace(steps=jnp.where(better | ~begun, 0, stayed.steps))

    own = jax.vmap(game.target)(after.start)
    same = (own[:, None] == own[None]) & jnp.isfinite(after.returns)
    others = jnp.where(same, after.returns[None], -jnp.inf)
    highest = jnp.max(others, axis=1, keepdims=True)
    second = jnp.max(jnp.where(others < highest, others, -jnp.inf), axis=1, keepdims=True)
    ahead = same & (others >= second)
    chosen = jax.random.categorical(key, jnp.where(ahead, 0.0, -1e6))
    lost = (
        (~begun | (after.steps >= patience)) & (after.returns < highest[:, 0]) & jnp.isfinite(after.returns)
    )
    leaders = jax.tree.map(lambda leaf: leaf[chosen], after)._replace(steps=jnp.zeros_like(after.steps))
    return select_games(lost, leaders, after)
