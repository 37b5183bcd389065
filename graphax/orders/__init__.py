"""Elimination orders: the classical ones, and orders kept in files."""

from ._anneal import Progress, anneal
from ._check import check_order
from ._heuristics import forward, markowitz, reverse
from ._objective import Objective, evaluate, fastest, measure
from ._resolve import OrderLike, resolve_order
from ._store import Order, load_order, save_order

__all__ = [
    "Objective",
    "Order",
    "OrderLike",
    "Progress",
    "anneal",
    "check_order",
    "evaluate",
    "fastest",
    "forward",
    "load_order",
    "markowitz",
    "measure",
    "resolve_order",
    "reverse",
    "save_order",
]
