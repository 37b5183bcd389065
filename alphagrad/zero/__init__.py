"""AlphaZero: games, agents, self-play with search, and learning from it. No game is known here."""

from .. import _require_train as _require_train
from .agent import Agent, Lesson, Losses, Prediction, make_agent
from .alphazero import AlphaZeroConfig, Training, alphazero, begin
from .books import Turn
from .demonstrations import DemonstrationConfig
from .game import Game, State, advance
from .learning import LearningConfig
from .replay import ReplayConfig
from .selfplay import SelfPlayConfig
from .tree import SearchConfig

__all__ = [
    "Agent",
    "AlphaZeroConfig",
    "DemonstrationConfig",
    "Game",
    "LearningConfig",
    "Lesson",
    "Losses",
    "Prediction",
    "ReplayConfig",
    "SearchConfig",
    "SelfPlayConfig",
    "State",
    "Training",
    "Turn",
    "advance",
    "alphazero",
    "begin",
    "make_agent",
]
