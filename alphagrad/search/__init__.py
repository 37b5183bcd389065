"""Tree search over any game."""

from .tree import Barred, Plan, SearchConfig, predict, search

__all__ = ["Barred", "Plan", "SearchConfig", "predict", "search"]
