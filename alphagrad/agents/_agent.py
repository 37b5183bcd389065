"""What the search and the training know of an agent, and how one is made for a game."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any, NamedTuple, Protocol

from jaxtyping import Array, Bool, Float

from ..games._game import Game


class Prediction(NamedTuple):
    """What an agent thinks of a state.

    Attributes:
        logits: the policy, not normalised; very low for illegal actions.
        value: the sum of the rewards still to come, in units of the reward scale of the training.
    """

    logits: Float[Array, "num_actions"]
    value: Float[Array, ""]


class Agent(Protocol):
    """A pytree whose arrays are learned; it sees one state at a time and is batched with `vmap`."""

    def __call__(self, observation: Any, legal: Bool[Array, "num_actions"]) -> Prediction: ...


@dataclass(frozen=True)
class AgentConfig:
    """The sizes of the network, and the kinds of its layers."""

    width: int = field(default=32, metadata={"help": "features of a token"})
    heads: int = field(default=2, metadata={"help": "attention heads of a layer"})
    layers: int = field(default=1, metadata={"help": "transformer layers"})
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
        if self.width % self.heads:
            raise ValueError(f"agent.width={self.width} must be a multiple of agent.heads={self.heads}")
        if self.attention not in ("softmax", "block_term", "dimension"):
            raise ValueError(
                f"agent.attention={self.attention} must be 'softmax', 'block_term' or 'dimension'"
            )
        if self.feed_forward not in ("dense", "tensor_train"):
            raise ValueError(f"agent.feed_forward={self.feed_forward} must be 'dense' or 'tensor_train'")


@singledispatch
def make_agent(game: Game, config: AgentConfig, key: Array) -> Agent:
    """A new agent for a game, its parameters drawn from `key`.

    Networks for further kinds of game are registered with `make_agent.register`.

    Raises:
        TypeError: if there is no network for this kind of game.
    """
    raise TypeError(
        f"there is no network for a {type(game).__name__}; register one with `make_agent.register`"
    )
