"""Tree search over any game."""

from .tree import Plan, SearchConfig, predict, search

__all__ = ["Plan", "SearchConfig", "predict", "search"]
