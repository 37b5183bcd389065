"""Take orders that a search or an agent has found into those that ship with the package.

For each named task and convention the order of the fewest multiplications is kept, of those that ship and the
files given; none where a classical order takes no more.

    alphagrad search task=RoeFlux_1d unit_edges=free seconds=60 run_dir=FOUND
    python benchmarks/known_orders.py FOUND/order.json
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import graphax
from alphagrad import tasks
from alphagrad.tasks._best_known import CONVENTIONS, ORDERS
from graphax import orders
from graphax.files import write_atomically


def kept(name: str, found: Sequence[graphax.Order]) -> dict[str, graphax.Order]:
    """For each convention the best of the orders that belong to a task, where it beats the classical ones."""
    task = tasks.load(name)
    graph = graphax.trace(task.fun, argnums=task.argnums)(*task.args)
    fitting = [order.priced(graph) for order in found if order.fingerprint == graph.fingerprint]
    best: dict[str, graphax.Order] = {}
    for convention in CONVENTIONS:
        priced = graph if convention == "free" else graph.counted()
        classical = min(
            priced.cost(choose(priced)).mults for choose in (orders.forward, orders.reverse, orders.markowitz)
        )
        cheapest = min(fitting, key=lambda order: getattr(order, convention), default=None)
        if cheapest is not None and getattr(cheapest, convention) < classical:
            best[convention] = replace(cheapest, task=name)
    return best


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("files", nargs="*", type=Path, help="orders of named tasks; others are left out")
    options = parser.parse_args(argv)
    before = sorted(ORDERS.glob("*.json"))
    found = [graphax.load_order(path) for path in (*before, *options.files)]
    ORDERS.mkdir(exist_ok=True)
    written = set()
    for name in tasks.names():
        for convention, order in kept(name, found).items():
            path = ORDERS / f"{name}_{convention}.json"
            write_atomically(path, json.dumps(asdict(order)) + "\n")
            written.add(path)
            print(f"{path.name}: {getattr(order, convention)} by {order.method}")
    for path in before:
        if path not in written:
            path.unlink()


if __name__ == "__main__":
    main()
