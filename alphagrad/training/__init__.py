"""AlphaZero: self-play with search, and learning from it."""

from .alphazero import AlphaZeroConfig, SelfPlayConfig, Training, Turn, alphazero, begin
from .demonstrations import DemonstrationConfig
from .learning import LearningConfig, Losses
from .replay import ReplayConfig

__all__ = [
    "AlphaZeroConfig",
    "DemonstrationConfig",
    "LearningConfig",
    "Losses",
    "ReplayConfig",
    "SelfPlayConfig",
    "Training",
    "Turn",
    "alphazero",
    "begin",
]
