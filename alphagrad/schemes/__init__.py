"""Schemes for matrix multiplication, learned and searched for: the game, its network, the commands."""

from .. import _require_train as _require_train
from .game import TensorGame
from .network import TensorAgent

__all__ = ["TensorAgent", "TensorGame"]
