"""The replay buffer: the latest games in a ring, and the best games of self-play beside them.

AlphaTensor (Fawzi et al. 2022) learns in the same way from the best games it has played as well as from
the latest: in a game with a single player a good game stays good, whoever played it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .game import Game
from .records import Records, empty


@dataclass(frozen=True)
class ReplayConfig:
    """What is remembered.

    Raises:
        ValueError: when a number is less than 1, or the share is none.

    Example:
        >>> from alphagrad import zero
        >>> zero.ReplayConfig(latest=64).best
        32
    """

    latest: int = field(default=256, metadata={"help": "how many of the latest games are kept"})
    best: int = field(default=32, metadata={"help": "how many of the best games of self-play are kept"})
    best_share: float = field(default=0.5, metadata={"help": "part of the training games that are best ones"})
    renewed: bool = field(
        default=False, metadata={"help": "keep the latest of equally good games, not the first"}
    )

    def __post_init__(self):
        if min(self.latest, self.best) < 1:
            raise ValueError("replay.latest and replay.best must be at least 1")
        if not 0 <= self.best_share <= 1:
            raise ValueError(f"replay.best_share={self.best_share} must lie between 0 and 1")


class Replay(NamedTuple):
    """Played games, in arrays of fixed size.

    Attributes:
        latest: a ring of games.
        count: how many games have ever been put in; the next goes to `count` modulo the size of the ring.
        best: for each target of the game different games, the best first.
        returns: of the best games; minus infinity where there is none yet.
    """

    latest: Records
    count: Int[Array, ""]
    best: Records
    returns: Float[Array, "targets best"]


def empty_replay(game: Game, config: ReplayConfig) -> Replay:
    """A buffer without games."""
    best = empty(game, config.best)
    targets = game.num_targets
    return Replay(
        empty(game, config.latest),
        jnp.zeros((), jnp.int32),
        jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (targets, *leaf.shape)), best),
        jnp.full((targets, config.best), -jnp.inf, jnp.float32),
    )


def add_latest(replay: Replay, records: Records) -> Replay:
    """Puts games into the ring, in place of the oldest. The best games do not change.

    Raises:
        ValueError: if there are more games than the ring holds.
    """
    games, size = len(records.actions), len(replay.latest.actions)
    if games > size:
        raise ValueError(f"{games} games do not fit into a ring of {size}; raise replay.latest")
    places = (replay.count + jnp.arange(games)) % size
    latest = jax.tree.map(lambda old, new: old.at[places].set(new), replay.latest, records)
    return replay._replace(latest=latest, count=replay.count + games)


def keep_best(game: Game, replay: Replay, records: Records, renewed: bool = False) -> Replay:
    """Keeps the best of the best games so far and of new ones on each target, each game only once.

    Args:
        game: the game.
        replay: with the best games so far.
        records: the new games.
        renewed: whether the latest of equally good games are kept. They bring variety where all games of one
            kind count as one; where each order of moves is a game of its own, the latest are much alike.
    """
    reached = records.returns
    targets = jax.vmap(game.target)(records.start)

    def keep(target, best, returns):
        # Of equal ones the first in the pool are taken.
        old, new = (best, returns), (records, jnp.where(targets == target, reached, -jnp.inf))
        first, second = (new, old) if renewed else (old, new)
        pool, returns = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), first, second)
        marks = jax.vmap(game.identify)(pool.actions, pool.lengths)
        alike = jnp.all(marks[:, None] == marks[None], axis=-1)
        filled = jnp.isfinite(returns)
        repeated = jnp.any(jnp.tril(alike & filled[None], k=-1), axis=1)
        returns, order = jax.lax.top_k(jnp.where(repeated, -jnp.inf, returns), replay.returns.shape[1])
        return pool.take(order), returns

    best, returns = jax.vmap(keep)(jnp.arange(len(replay.returns)), replay.best, replay.returns)
    return replay._replace(best=best, returns=returns)


def draw(replay: Replay, key: Array, games: int, best_share: float) -> Records:
    """Games to learn from; those out of the best games come first.

    Args:
        replay: holds at least one game.
        key: for the choice.
        games: how many; some may be drawn twice.
        best_share: the part drawn out of the best games. While there are none, all come out of the ring.
    """
    from_best = round(games * best_share)
    key_best, key_latest = jax.random.split(key)
    size = jnp.minimum(replay.count, len(replay.latest.actions))
    recent = replay.latest.take(jax.random.randint(key_latest, (games,), 0, size))
    best = jax.tree.map(
        lambda good, new: jnp.where(jnp.any(jnp.isfinite(replay.returns)), good, new),
        _draw_best(replay, key_best, from_best),
        jax.tree.map(lambda leaf: leaf[:from_best], recent),
    )
    return jax.tree.map(lambda good, new: jnp.concatenate([good, new[from_best:]]), best, recent)


def _draw_best(replay: Replay, key: Array, games: int) -> Records:
    """Some of the best games, with equal chance; games without moves if there are none."""
    pool = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), replay.best)
    some = jnp.isfinite(replay.returns).reshape(-1)
    weights = jnp.where(some | ~jnp.any(some), 0.0, -jnp.inf)
    return pool.take(jax.random.categorical(key, weights, shape=(games,)))
