"""Elimination orders: heuristics, search, proofs, what is taken by default, and orders kept in files."""

from ._graph import check_order
from .choose import (
    Order,
    OrderLike,
    auto,
    forward,
    load_order,
    lookahead,
    markowitz,
    relative_markowitz,
    remember,
    resolve_order,
    reverse,
    save_order,
)
from .search import Objective, Progress, Proof, anneal, evaluate, exact, fastest, lower_bound, measure

__all__ = [
    "Objective",
    "Order",
    "OrderLike",
    "Progress",
    "Proof",
    "anneal",
    "auto",
    "check_order",
    "evaluate",
    "exact",
    "fastest",
    "forward",
    "load_order",
    "lookahead",
    "lower_bound",
    "markowitz",
    "measure",
    "relative_markowitz",
    "remember",
    "resolve_order",
    "reverse",
    "save_order",
]
