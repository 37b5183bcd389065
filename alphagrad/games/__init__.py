"""Games that the agents play."""

from .vertex import VertexGame, VertexState

__all__ = ["VertexGame", "VertexState"]
