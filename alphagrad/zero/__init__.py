"""AlphaZero: self-play with search, and learning from it."""

from .alphazero import AlphaZeroConfig, SelfPlayConfig, Training, Turn, alphazero, begin
from .demonstrations import DemonstrationConfig
from .learning import LearningConfig
from .replay import ReplayConfig

__all__ = [
    "AlphaZeroConfig",
    "DemonstrationConfig",
    "LearningConfig",
    "ReplayConfig",
    "SelfPlayConfig",
    "Training",
    "Turn",
    "alphazero",
    "begin",
]
