"""What the search and the training know of an agent, and how one is made for a game."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatch
from importlib import import_module
from typing import Any, NamedTuple, Protocol

from jaxtyping import Array, Bool, Float

from .game import Game


class Prediction(NamedTuple):
    """What an agent thinks of a state.

    Attributes:
        logits: the policy over the menu of actions, not normalised; very low for illegal actions.
        value: the sum of the rewards still to come, in units of the reward scale of the training.
        menu: the actions themselves, a pytree with a leading axis; None if they are the game's actions
            0, 1, 2 ...
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
    """

    policy: Float[Array, ""]
    value: Float[Array, ""]
    entropy: Float[Array, ""]


class Agent(Protocol):
    """A pytree whose arrays are learned; it sees one state at a time and is batched with `vmap`."""

    def __call__(self, observation: Any, legal: Bool[Array, "num_actions"], key: Array) -> Prediction:
        """What it thinks of a state; `key` is for agents that draw their menu of actions."""
        ...

    def losses(
        self, observation: Any, legal: Bool[Array, "num_actions"], lesson: Lesson, key: Array
    ) -> Losses:
        """What to make less; `key` is for agents that estimate it."""
        ...


@dataclass(frozen=True)
class AgentConfig:
    """The sizes of the network, and the kinds of its layers."""

    width: int = field(default=32, metadata={"help": "features of a token"})
    heads: int = field(default=2, metadata={"help": "attention heads of a layer"})
    layers: int = field(default=1, metadata={"help": "transformer layers"})
    temperature: float = field(
        default=1.0, metadata={"help": "of the draws of actions, where a menu is drawn from the policy"}
    )
    attention: str = field(
        default="softmax",
        metadata={"help": "how tokens attend to each other: 'softmax', 'block_term' or 'dimension'"},
    )
    feed_forward: str = field(
        default="dense", metadata={"help": "the matrices between attentions: 'dense' or 'tensor_train'"}
    )
    rank: int = field(default=8, metadata={"help": "of tensor trains and of block terms"})

    def __post_init__(self):
        if min(self.width, self.heads, self.layers, self.rank) < 1:
            raise ValueError("agent.width, agent.heads, agent.layers and agent.rank must be at least 1")
        if self.temperature <= 0:
            raise ValueError(f"agent.temperature={self.temperature} must be positive")
        if self.width % self.heads:
            raise ValueError(f"agent.width={self.width} must be a multiple of agent.heads={self.heads}")
        if self.attention not in ("softmax", "block_term", "dimension"):
            raise ValueError(
                f"agent.attention={self.attention} must be 'softmax', 'block_term' or 'dimension'"
            )
        if self.feed_forward not in ("dense", "tensor_train"):
            raise ValueError(f"agent.feed_forward={self.feed_forward} must be 'dense' or 'tensor_train'")


# The networks of the games that come along. They are imported when a game is there to play them, so that
# each game can do without the others.
_NETWORKS = {
    "alphagrad.orders.game": "alphagrad.orders.network",
    "alphagrad.schemes.game": "alphagrad.schemes.network",
}


def make_agent(game: Game, config: AgentConfig, key: Array) -> Agent:
    """A new agent for a game, its parameters drawn from `key`.

    Networks for further kinds of game are registered with `register_network`.

    Raises:
        TypeError: if there is no network for this kind of game.
    """
    for kind in type(game).__mro__:
        if kind.__module__ in _NETWORKS:
            import_module(_NETWORKS[kind.__module__])
    return _make_agent(game, config, key)


@singledispatch
def _make_agent(game: Game, config: AgentConfig, key: Array) -> Agent:
    raise TypeError(f"there is no network for a {type(game).__name__}; register one with `register_network`")


register_network = _make_agent.register
"""Decorates the function that makes an agent for a further kind of game, given `make_agent`'s arguments."""
