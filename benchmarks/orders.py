"""How good the searched elimination orders are, and how fast the search is.

For every task, convention and seed: what `graphax.orders.anneal` reaches in so many seconds, when it got
there, how many orders a second each worker evaluates, and the lower bound; beside the classical orders and
`graphax.orders.auto`. For large random programs: the time that Markowitz takes, and what annealing makes of
its order. The best orders are written to `--orders`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measure import save

import graphax
from alphagrad import tasks
from graphax import ComputationalGraph, orders

TASKS = (
    "RoeFlux_1d",
    "RobotArm_6DOF",
    "HumanHeartDipole",
    "PropaneCombustion",
    "BlackScholes_Jacobian",
    "RoeFlux_3d",
    "Perceptron",
    "Encoder",
)


def graph_of(name: str) -> ComputationalGraph:
    task = tasks.load(name)
    return graphax.trace(task.fun, task.argnums)(*task.args)


def search(graph: ComputationalGraph, **settings: Any) -> tuple[tuple[int, ...], dict[str, float]]:
    """Anneal, and note when the best order was found and how fast orders were evaluated."""
    steps: list[orders.Progress] = []
    order = orders.anneal(graph, progress=steps.append, **settings)
    last = steps[-1]
    reached = next(step.seconds for step in steps if step.cost == last.cost)
    speed = last.evaluations / last.seconds / settings.get("workers", 1)
    return order, {"cost": last.cost, "reached": round(reached, 1), "orders_per_second": round(speed)}


def benchmark(graph: ComputationalGraph, seeds: Sequence[int], seconds: float, workers: int) -> Any:
    """One task's graph, in its convention.

    Returns:
        the table's entry, and the best order found.
    """
    classical = {
        "forward": orders.forward(graph),
        "reverse": orders.reverse(graph),
        "markowitz": orders.markowitz(graph),
    }
    entry: dict[str, Any] = {
        "vertices": len(graph.eliminable),
        **{method: graph.cost(order).mults for method, order in classical.items()},
    }
    if not graph.is_counted:
        entry["auto"] = graph.cost(orders.auto(graph)).mults
    start = time.perf_counter()
    entry["bound"] = orders.lower_bound(graph)
    entry["bound_seconds"] = round(time.perf_counter() - start, 2)
    found = [search(graph, seconds=seconds, seed=seed, workers=workers) for seed in seeds]
    for order, result in found:
        assert graph.cost(order).mults == result["cost"]
    entry["seeds"] = [result for _, result in found]
    best, result = min(found, key=lambda pair: pair[1]["cost"])
    entry["best"] = result["cost"]
    return entry, best


def benchmark_large(operations: int, seconds: float, workers: int) -> dict[str, Any]:
    """A random program of so many operations."""
    graph = graph_of(f"random_scalar:seed=0,inputs=20,outputs=20,operations={operations}")
    start = time.perf_counter()
    order = orders.markowitz(graph)
    taken = time.perf_counter() - start
    entry: dict[str, Any] = {
        "vertices": len(graph.eliminable),
        "markowitz_seconds": round(taken, 2),
        "markowitz": graph.cost(order).mults,
        "reverse": graph.cost(orders.reverse(graph)).mults,
    }
    start = time.perf_counter()
    entry["auto"] = graph.cost(orders.auto(graph)).mults
    entry["auto_seconds"] = round(time.perf_counter() - start, 2)
    entry["from_markowitz"] = search(graph, seconds=seconds, start=order, workers=workers)[1]
    entry["from_the_best"] = search(graph, seconds=seconds, workers=workers)[1]
    return entry


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--tasks", nargs="*", default=TASKS)
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2])
    parser.add_argument("--seconds", type=float, default=60.0, help="of each search")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--large", nargs="*", type=int, default=[2_000, 10_000], help="sizes of programs")
    parser.add_argument("--out", type=Path, help="a folder for orders.json")
    parser.add_argument("--orders", type=Path, help="a folder for the best orders")
    options = parser.parse_args(argv)
    table: dict[str, Any] = {"seconds": options.seconds, "workers": options.workers, "tasks": {}, "large": {}}
    for name in options.tasks:
        table["tasks"][name] = {}
        executed = graph_of(name)
        for unit_edges, graph in (("counted", executed.counted()), ("free", executed)):
            entry, order = benchmark(graph, options.seeds, options.seconds, options.workers)
            table["tasks"][name][unit_edges] = entry
            print(name, unit_edges, entry, flush=True)
            if options.orders:
                path = options.orders / f"{name}-{unit_edges}.json"
                graphax.save_order(path, graph, order, method="annealing", task=name)
    for operations in options.large:
        table["large"][operations] = benchmark_large(operations, options.seconds, options.workers)
        print(operations, table["large"][operations], flush=True)
    if options.out:
        save(options.out / "orders.json", table)


if __name__ == "__main__":
    main()
