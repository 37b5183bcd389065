"""Elimination orders: heuristics, search, proofs, what is taken by default, and orders kept in files."""

from ._anneal import Progress, anneal
from ._auto import auto, remember
from ._bound import lower_bound
from ._check import check_order
from ._exact import Proof, exact
from ._heuristics import forward, lookahead, markowitz, relative_markowitz, reverse
from ._objective import Objective, evaluate, fastest, measure
from ._resolve import OrderLike, resolve_order
from ._store import Order, load_order, save_order

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
