"""The elimination orders of named tasks that ship with the package: the best that anybody has found."""

from __future__ import annotations

from pathlib import Path

import graphax

from ._load import load, names

#: A file for each task and convention, named after both: `RoeFlux_1d_counted.json`. Random programs and tasks
#: of which a classical order is the best have none. `benchmarks/known_orders.py` writes them.
ORDERS = Path(__file__).parent / "orders"
CONVENTIONS = ("free", "counted")


def best_known(name: str, unit_edges: str = "free") -> graphax.Order | None:
    """The order of the fewest multiplications that this package knows for a named task, without a search.

    Args:
        name: one of `names()`.
        unit_edges: `"free"` for the multiplications that are executed, `"counted"` for those of the published
            tables, which count the products with unit edges, too.

    Returns:
        the order, to be given to `graphax.jacve(task.fun, task.argnums, order=...)`; None where a classical
        order is the best that is known. `order.free` and `order.counted` are what it costs, `order.method`
        is what found it. It is for the task as this package's releases of JAX trace it; where another one
        traces it differently, `jacve` refuses the order as one of another graph.

    Raises:
        ValueError: if there is no such task, or no such convention.

    Example:
        >>> from alphagrad import tasks
        >>> tasks.best_known("RoeFlux_1d", unit_edges="counted").counted
        295
    """
    if unit_edges not in CONVENTIONS:
        raise ValueError(f"unit_edges must be 'free' or 'counted', got {unit_edges!r}")
    path = ORDERS / f"{name}_{unit_edges}.json"
    if name in names() and path.is_file():
        return graphax.load_order(path)
    load(name)  # says what is wrong with it
    return None
