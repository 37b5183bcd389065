"""What the search and the training know of a game, and nothing else."""

from __future__ import annotations

from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

State = Any
"""Where a game stands: a pytree of arrays, which only the game looks into.

Example:
    >>> from alphagrad.orders import VertexGame
    >>> game = VertexGame(graphax.trace(lambda x: jnp.sin(x) * x)(1.0))
    >>> state = game.init()
    >>> state.eliminated.tolist()  # of this game
    [False]
"""

Action = Array
"""An action: a number, or a vector that spells it."""


class Game(Protocol):
    """A single-player game of finite length; its methods are pure and work under `jit` and `vmap`.

    Where actions can be listed, the menu at every state holds the actions 0 ... num_actions - 1. Where they
    are too many, an action is an integer vector, and the menu at a state is drawn by an agent.

    Attributes:
        num_actions: the width of the menu of actions at a state.
        max_steps: after how many steps every game is over.
        num_targets: of how many problems the game may be about.
        action: the shape and type of an action.

    Example:
        >>> from alphagrad.orders import VertexGame
        >>> game = VertexGame(graphax.trace(lambda x: jnp.sin(jnp.exp(x) * x))(1.0))  # one of them
        >>> state = game.init(jax.random.key(0))
        >>> state, reward = game.step(state, jnp.array(0))
        >>> game.legal(state).tolist()
        [False, True]
    """

    num_actions: int
    max_steps: int
    num_targets: int

    @property
    def action(self) -> jax.ShapeDtypeStruct:
        """The shape and type of an action."""
        ...

    def init(self, key: Array) -> State:
        """The first state; `key` is there for games that begin by chance.

        Args:
            key: for what is left to chance.

        Returns:
            the state.
        """
        ...

    def step(self, state: State, action: Action) -> tuple[State, Float[Array, ""]]:
        """The next state and the reward of a legal action.

        Args:
            state: where the game stands.
            action: what is done.

        Returns:
            the state after it, and the reward, a number.
        """
        ...

    def legal(self, state: State) -> Bool[Array, "num_actions"]:
        """The actions of the menu that may be taken.

        Args:
            state: where the game stands.

        Returns:
            for every action of the menu whether it may be taken.
        """
        ...

    def is_over(self, state: State) -> Bool[Array, ""]:
        """Whether no action is left to take.

        Args:
            state: where the game stands.

        Returns:
            True or False, as an array.
        """
        ...

    def observe(self, state: State) -> Any:
        """What an agent sees.

        Args:
            state: where the game stands.

        Returns:
            a pytree of arrays.
        """
        ...

    def target(self, start: State) -> Int[Array, ""]:
        """Which of its problems a game is about that begins like this; -1 for an exercise.

        The best games on each problem are kept apart; exercises are learned from and not compared.

        Args:
            start: the first state.

        Returns:
            the number of the problem.
        """
        ...

    def identify(self, actions: Int[Array, "max_steps ..."], length: Int[Array, ""]) -> Int[Array, "marks"]:
        """Numbers by which games on a target are told apart.

        Equal ones are for games that are the same, or so alike that only one of them is worth keeping among
        the best.

        Args:
            actions: the moves of a game.
            length: how many of them were made before it was over.

        Returns:
            as many numbers for every game.
        """
        ...

    def demonstrate(self, key: Array, number: Int[Array, ""]) -> tuple[State, Int[Array, "max_steps ..."]]:
        """A game to learn from before one can play: its first state and its moves.

        Args:
            key: for what is left to chance.
            number: of the demonstration; games may show different things in turn.

        Returns:
            the first state, and the moves.
        """
        ...

    def reopen(
        self,
        key: Array,
        start: State,
        actions: Int[Array, "max_steps ..."],
        length: Int[Array, ""],
    ) -> tuple[State, Int[Array, "max_steps ..."]]:
        """Another beginning of a game that was played, from which it can be played to the same end.

        Args:
            key: for what is left to chance.
            start: the first state of the game.
            actions: its moves.
            length: how many of them were made before it was over.

        Returns:
            a first state, and `length` moves of the same return from there on.
        """
        ...


def advance(game: Game, state: State, action: Action) -> tuple[State, Float[Array, ""]]:
    """`game.step`, except that a finished game stays as it is and pays nothing.

    Games played side by side in one batch end after different numbers of steps.

    Args:
        game: the game.
        state: where it stands.
        action: what is done, if it is not over.

    Returns:
        the next state and the reward.

    Example:
        >>> from alphagrad.orders import VertexGame
        >>> from alphagrad.zero import advance
        >>> game = VertexGame(graphax.trace(lambda x: jnp.sin(x) * x)(1.0))
        >>> state, reward = advance(game, game.init(), jnp.array(0))
        >>> state, reward = advance(game, state, jnp.array(0))  # it was over
        >>> float(reward)
        0.0
    """
    over = game.is_over(state)
    after, reward = game.step(state, action)
    after = jax.tree.map(lambda new, old: jnp.where(over, old, new), after, state)
    return after, jnp.where(over, 0.0, reward)
