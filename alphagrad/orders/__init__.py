"""Elimination orders, learned and searched for: the game, its network, the commands."""

from .. import _require_train as _require_train
from .game import AdjacencyTensor, CompressedVertexGame, VertexGame
from .network import VertexAgent

__all__ = ["AdjacencyTensor", "CompressedVertexGame", "VertexAgent", "VertexGame"]
