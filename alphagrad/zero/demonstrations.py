"""Games to begin with: what a game has to show to an agent that cannot play it yet.

What the agent reports as learned are its own games.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .game import Game
from .records import Records, roll_out


@dataclass(frozen=True)
class DemonstrationConfig:
    """How the agent is introduced to the game.

    Raises:
        ValueError: when a number is negative, or the share is none.

    Example:
        >>> from alphagrad import zero
        >>> zero.DemonstrationConfig(games=0).updates
        100
    """

    games: int = field(
        default=48,
        metadata={"help": "demonstrations to begin with; 0 for none"},
    )
    updates: int = field(default=100, metadata={"help": "gradient steps on them before self-play"})
    share: float = field(
        default=0.0,
        metadata={
            "help": "part of the training games that are new demonstrations; with it, all of them at first"
        },
    )

    def __post_init__(self):
        if min(self.games, self.updates) < 0:
            raise ValueError("demonstrations.games and demonstrations.updates must not be negative")
        if not 0 <= self.share <= 1:
            raise ValueError(f"demonstrations.share={self.share} must lie between 0 and 1")


def demonstrate(game: Game, key: Array, games: int) -> Records:
    """Plays the first demonstrations of a game.

    Args:
        game: the game.
        key: for what they leave to chance.
        games: how many to play.
    """
    start, actions = jax.vmap(game.demonstrate)(jax.random.split(key, games), jnp.arange(games))
    return roll_out(game, start, actions, jnp.full(games, game.max_steps))[0]
