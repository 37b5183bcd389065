"""What the search and the training know of a game, and nothing else."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

State = Any
"""A pytree of arrays."""


class Game(Protocol):
    """A single-player game of finite length; its methods are pure and work under `jit` and `vmap`.

    Attributes:
        num_actions: the width of the menu of actions at a state.
        max_steps: after how many steps every game is over.
    """

    num_actions: int
    max_steps: int

    def init(self, key: Array) -> State:
        """The first state; `key` is there for games that begin by chance."""
        ...

    def step(self, state: State, action: Int[Array, ""]) -> tuple[State, Float[Array, ""]]:
        """The next state and the reward of a legal action."""
        ...

    def legal(self, state: State) -> Bool[Array, "num_actions"]:
        """The actions that may be taken."""
        ...

    def is_over(self, state: State) -> Bool[Array, ""]:
        """Whether no action is left to take."""
        ...

    def observe(self, state: State) -> Any:
        """What an agent sees: a pytree of arrays."""
        ...


def advance(game: Game, state: State, action: Int[Array, ""]) -> tuple[State, Float[Array, ""]]:
    """`game.step`, except that a finished game stays as it is and pays nothing.

    Games played side by side in one batch end after different numbers of steps.
    """
    over = game.is_over(state)
    after, reward = game.step(state, action)
    after = jax.tree.map(lambda new, old: jnp.where(over, old, new), after, state)
    return after, jnp.where(over, 0.0, reward)
