"""Games that the agents play."""

from ._game import Game, advance
from .compressed import AdjacencyTensor, CompressedVertexGame
from .vertex import VertexGame, VertexState

__all__ = [
    "AdjacencyTensor",
    "CompressedVertexGame",
    "Game",
    "VertexGame",
    "VertexState",
    "advance",
]
