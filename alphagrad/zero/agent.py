"""What the search and the training know of an agent, and how one is made for a game."""

from __future__ import annotations

from functools import singledispatch
from typing import Any, NamedTuple, Protocol

from jaxtyping import Array, Bool, Float

from ..layers import AgentConfig
from .game import Game


class Prediction(NamedTuple):
    """What an agent thinks of a state.

    Attributes:
        logits: the policy over the menu of actions, not normalised; very low for illegal actions.
        value: the sum of the rewards still to come, in units of the reward scale of the training.
        menu: the actions themselves, a pytree with a leading axis; None if they are the game's actions
            0, 1, 2 ...

    Example:
        >>> from alphagrad.zero import Prediction
        >>> prediction = Prediction(logits=jnp.array([0.0, -1e9]), value=jnp.array(-3.0))
        >>> print(jax.nn.softmax(prediction.logits))
        [1. 0.]
    """

    logits: Float[Array, "num_actions"]
    value: Float[Array, ""]
    menu: Any = None


class Lesson(NamedTuple):
    """What an agent should have thought of a state.

    Attributes:
        policy: the probabilities of the actions on the menu.
        menu: these actions, as in :class:`Prediction`.
        value: the sum of the rewards that were still to come, in units of the reward scale.

    Example:
        >>> from alphagrad.zero import Lesson
        >>> Lesson(policy=jnp.array([0.9, 0.1]), menu=jnp.arange(2), value=jnp.array(-3.0)).policy.shape
        (2,)
    """

    policy: Float[Array, "num_actions"]
    menu: Any
    value: Float[Array, ""]


class Losses(NamedTuple):
    """How far an agent is from a lesson.

    Attributes:
        policy: cross-entropy of the agent's policy to the lesson's, in nats.
        value: of the agent's value, in (squared) units of the reward scale.
        entropy: of the agent's policy, in nats.

    Example:
        >>> from alphagrad.zero import Losses
        >>> losses = Losses(policy=jnp.array(0.7), value=jnp.array(0.1), entropy=jnp.array(0.6))
        >>> float(losses.policy - losses.entropy) > 0
        True
    """

    policy: Float[Array, ""]
    value: Float[Array, ""]
    entropy: Float[Array, ""]


class Agent(Protocol):
    """A pytree whose arrays are learned; it sees one state at a time and is batched with `vmap`.

    Example:
        >>> import equinox as eqx
        >>> from alphagrad.zero import Losses, Prediction
        >>> class Indifferent(eqx.Module):  # an agent that has no opinion and learns nothing
        ...     def __call__(self, observation, legal, key):
        ...         return Prediction(jnp.where(legal, 0.0, -1e9), jnp.zeros(()))
        ...     def losses(self, observation, legal, lesson, key):
        ...         return Losses(jnp.zeros(()), jnp.zeros(()), jnp.zeros(()))
    """

    def __call__(self, observation: Any, legal: Bool[Array, "num_actions"], key: Array) -> Prediction:
        """What it thinks of a state.

        Args:
            observation: what the agent sees.
            legal: the actions of the menu that may be taken.
            key: for agents that draw their menu of actions.

        Returns:
            the policy, the value and the menu.
        """
        ...

    def losses(
        self, observation: Any, legal: Bool[Array, "num_actions"], lesson: Lesson, key: Array
    ) -> Losses:
        """What to make less; `key` is for agents that estimate it.

        Args:
            observation: what the agent sees.
            legal: the actions of the menu that may be taken.
            lesson: what it should have thought.
            key: for agents that draw something.

        Returns:
            the losses.
        """
        ...


@singledispatch
def make_agent(game: Game, config: AgentConfig, key: Array) -> Agent:
    """A new agent for a game, its parameters drawn from `key`.

    The network for a kind of game is registered where it is written, with `@make_agent.register`; the package
    of a problem brings its game and its network together.

    Args:
        game: the game.
        config: the sizes of the network.
        key: for the parameters.

    Returns:
        the agent, a pytree.

    Raises:
        TypeError: if there is no network for this kind of game.

    Example:
        >>> from alphagrad.layers import AgentConfig
        >>> from alphagrad.orders import VertexGame
        >>> from alphagrad.zero import make_agent
        >>> game = VertexGame(graphax.trace(lambda x: jnp.sin(jnp.exp(x) * x))(1.0))
        >>> type(make_agent(game, AgentConfig(width=8), jax.random.key(0))).__name__
        'VertexAgent'
    """
    raise TypeError(
        f"there is no network for a {type(game).__name__}; register one with `make_agent.register`"
    )
