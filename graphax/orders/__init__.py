"""Elimination orders: heuristics, the one that is best in general, and orders kept in files."""

from ._auto import auto, remember
from ._check import check_order
from ._heuristics import forward, lookahead, markowitz, relative_markowitz, reverse
from ._resolve import OrderLike, resolve_order
from ._store import Order, load_order, save_order

__all__ = [
    "Order",
    "OrderLike",
    "auto",
    "check_order",
    "forward",
    "load_order",
    "lookahead",
    "markowitz",
    "relative_markowitz",
    "remember",
    "resolve_order",
    "reverse",
    "save_order",
]
