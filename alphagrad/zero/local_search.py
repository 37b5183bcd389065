"""Local search over whole games: the last moves of a game are made anew, again and again.

Each result that is as good as the incumbent, the game that it began like, takes its place. So a player who
cannot find a very good game at once gets to it by many small steps, of which most change nothing but the way
that is left to go. Flip graphs of schemes are searched like this (Kauers and Moosbauer 2022, arXiv
2212.01175), by steps at random.

Now and then an incumbent gives way to one of the best games of the replay buffer, which are of different
kinds: from many incumbents nothing better may be reached.
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


class Incumbents(NamedTuple):
    """The games that several local searches stand at, side by side; some may have none yet.

    Attributes:
        start: the first states of the games.
        actions: their moves.
        lengths: how many were made before the games were over; 0 where there is none.
        returns: of the games; minus infinity where there is none.
    """

    start: State
    actions: Int[Array, "games steps ..."]
    lengths: Int[Array, "games"]
    returns: Float[Array, "games"]


def no_incumbents(game: Game, games: int) -> Incumbents:
    """Searches that have not begun."""
    none = empty(game, games)
    return Incumbents(none.start, none.actions, none.lengths, jnp.full(games, -jnp.inf, jnp.float32))


def reopen(
    game: Game, incumbents: Incumbents, anew: Openings, key: Array, share: float, most: int
) -> Openings:
    """Openings that repeat the incumbents but for their last moves, of which the first must differ.

    Args:
        game: the game.
        incumbents: the games to repeat.
        anew: openings where there is none yet; sometimes all games begin like this.
        key: for what is left to chance.
        share: how often they do not.
        most: how many moves are left to make, at most.
    """
    key_whether, key_again, key_left = jax.random.split(key, 3)
    keys = jax.random.split(key_again, len(incumbents.lengths))
    start, actions = jax.vmap(game.reopen)(keys, incumbents.start, incumbents.actions, incumbents.lengths)
    # The same number for all games: they are played in lockstep.
    left = jax.random.randint(key_left, (), min(2, most), most + 1)
    lengths = jnp.maximum(incumbents.lengths - left, 0)
    steps = jnp.arange(game.max_steps)
    forbidden = (steps >= lengths[:, None]) & (steps < incumbents.lengths[:, None])
    again = Openings(start, actions, lengths, forbidden)
    anew = anew._replace(actions=actions, forbidden=jnp.zeros_like(forbidden))
    goes_on = jnp.isfinite(incumbents.returns) & jax.random.bernoulli(key_whether, float(share))
    return select_games(goes_on, again, anew)


def accept(
    game: Game, incumbents: Incumbents, records: Records, replay: Replay, key: Array, restarts: float
) -> Incumbents:
    """The incumbents after another game of each search: the new one unless it is worse.

    Args:
        game: the game.
        incumbents: before.
        records: as many games, that of each search in its place.
        replay: with the best games so far.
        key: for chance.
        restarts: how often a search starts over from one of the best games on its target. One whose incumbent
            is worse than all of these does so at once, when there are as many as the buffer holds.
    """
    targets, reached = jax.vmap(game.target)(records.start), records.returns
    own = jax.vmap(game.target)(incumbents.start)
    begun = jnp.isfinite(incumbents.returns)
    # Exercises are never incumbents.
    taken = (targets >= 0) & (~begun | (targets == own)) & (reached >= incumbents.returns)
    result = Incumbents(records.start, records.actions, records.lengths, reached)
    after = select_games(taken, result, incumbents)

    key_whether, key_which = jax.random.split(key)
    own = jax.vmap(game.target)(after.start)
    best = replay.returns[own]
    behind = after.returns < jnp.min(best, axis=1)
    again = behind | jax.random.bernoulli(key_whether, float(restarts), own.shape)
    lost = again & jnp.isfinite(after.returns)
    which = own, jax.random.categorical(key_which, jnp.where(jnp.isfinite(best), 0.0, -1e6))
    games = replay.best
    leaders = jax.tree.map(
        lambda leaf: leaf[which], Incumbents(games.start, games.actions, games.lengths, replay.returns)
    )
    lost &= jnp.isfinite(leaders.returns)
    return select_games(lost, leaders, after)
