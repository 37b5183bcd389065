"""The order that a Jacobian is accumulated in: heuristics, "auto", and orders kept in files."""

# pyright: reportUnusedImport=false
# All of it is for the rest of graphax, or, named twice, for alphagrad; users have it from graphax.orders.
from ._auto import auto, remember
from ._candidates import is_candidate
from ._heuristics import cheapest_first, forward, lookahead, markowitz, relative_markowitz, reverse
from ._order_file import Order, load_order, save_order
from ._resolve import OrderLike, are_left_open, check_name, resolve_order
from ._store import store_folder
from ._sweeps import sweeps
from ._time import elimination_nanoseconds as elimination_nanoseconds
from ._time import execution_nanoseconds as execution_nanoseconds
