"""Elimination orders: the classical ones, and orders kept in files."""

from ._bound import lower_bound
from ._check import check_order
from ._exact import Proof, exact
from ._heuristics import forward, markowitz, reverse
from ._resolve import OrderLike, resolve_order
from ._store import Order, load_order, save_order

__all__ = [
    "Order",
    "OrderLike",
    "Proof",
    "check_order",
    "exact",
    "forward",
    "load_order",
    "lower_bound",
    "markowitz",
    "resolve_order",
    "reverse",
    "save_order",
]
