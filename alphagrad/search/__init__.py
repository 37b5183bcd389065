"""Tree search over any game."""

from .gumbel import Plan, SearchConfig, predict, search

__all__ = ["Plan", "SearchConfig", "predict", "search"]
