"""Networks that play games, as Equinox modules.

The networks themselves are in the modules `vertex` and `tensor`, which need nothing of each other.
"""

from ._agent import Agent, AgentConfig, Lesson, Losses, Prediction, make_agent, register_network
from .transformer import TransformerLayer

__all__ = [
    "Agent",
    "AgentConfig",
    "Lesson",
    "Losses",
    "Prediction",
    "TransformerLayer",
    "make_agent",
    "register_network",
]
