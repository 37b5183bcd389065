"""Schemes for matrix multiplication, learned and searched for: the game, its network, the commands."""

from .game import TensorGame
from .network import TensorAgent

__all__ = ["TensorAgent", "TensorGame"]
