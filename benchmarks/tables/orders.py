"""Elimination orders: classical ones, those that a search finds, those that the agent learns."""

from __future__ import annotations

from typing import Any

from ._text import Data, bold, figure, markdown, table

SEARCHED = "search/orders.json"


def tasks(data: Data) -> dict[str, Any]:
    return data[SEARCHED]["tasks"]


def classical(entry: dict[str, Any]) -> int:
    """The best of forward, reverse and Markowitz."""
    return min(entry[order] for order in ("forward", "reverse", "markowitz"))


def searched(entry: dict[str, Any]) -> str:
    """What annealing finds, with every seed where seeds differ."""
    costs = [seed["cost"] for seed in entry["seeds"]]
    best = bold(str(entry["best"])) + (", optimal" if entry["best"] == entry["bound"] else "")
    return best + (f" ({' / '.join(map(str, costs))})" if len(set(costs)) > 1 else "")


@table("searched-orders", "searched orders")
def searched_orders(data: Data) -> str:
    rows = []
    for task, entry in tasks(data).items():
        counted, free = entry["counted"], entry["free"]
        rows.append(
            [
                task,
                str(classical(counted)),
                searched(counted),
                str(counted["bound"]),
                str(classical(free)),
                str(free["auto"]),
                searched(free),
                str(free["bound"]),
            ]
        )
    head = ["task", "counted: classical", "searched", "bound", "free: classical", "auto", "searched", "bound"]
    return markdown(head, rows)


@table("searched-large", "searched orders")
def large(data: Data) -> str:
    found = {int(size): row for size, row in data[SEARCHED]["large"].items() if size != "seconds"}
    rows = [
        [
            f"{size:,}",
            f"{row['vertices']:,}",
            f"{row['markowitz']:,}",
            f"{row['markowitz_seconds']:.2f} s",
            f"{row['from_markowitz']['cost']:,}",
            f"{row['reverse']:,}",
            f"{row['from_the_best']['cost']:,}",
        ]
        for size, row in sorted(found.items())
    ]
    head = [
        "operations",
        "vertices",
        "Markowitz",
        "it takes",
        "annealed",
        "reverse",
        "annealed from the best",
    ]
    return markdown(head, rows)


@table("searched-speed", "searched orders")
def speed(data: Data) -> str:
    """How many orders a search evaluates, and when it has found its best."""
    rows = []
    for task, entry in tasks(data).items():
        seeds = entry["free"]["seeds"]
        rows.append(
            [
                task,
                str(entry["free"]["vertices"]),
                f"{max(seed['orders_per_second'] for seed in seeds):,}",
                " / ".join(f"{seed['reached']:.1f}" for seed in seeds),
            ]
        )
    head = ["task", "vertices", "orders a second and core", "best found after seconds (by seed)"]
    return markdown(head, rows)


def learned(data: Data) -> dict[str, dict[str, Any]]:
    """For every task what was learned on a GPU (None), and on a CPU with each seed."""
    found: dict[str, dict[str, Any]] = {}
    for order in data.matching("orders/*.json").values():
        found.setdefault(order["task"], {})["gpu"] = order["counted"]
    for order in data.matching("orders/cpu/*.json").values():
        found.setdefault(order["task"], {}).setdefault("cpu", {})[order["seed"]] = order["counted"]
    return found


@table("learned-orders", "learned orders", "learned orders, GPU", "searched orders")
def learned_orders(data: Data) -> str:
    published = data.published["vertex_elimination"]
    found = learned(data)
    rows = []
    for task, entry in tasks(data).items():
        counted = entry["counted"]
        seeds = found[task].get("cpu", {})
        on_cpu = " / ".join(str(cost) for _, cost in sorted(seeds.items()))
        rows.append(
            [
                task,
                str(classical(counted)),
                bold(str(counted["best"])),
                on_cpu,
                str(found[task].get("gpu", "")),
                str(published[task]["learned"]),
            ]
        )
    head = ["task", "classical", "searched", "learned, CPU", "learned, GPU", "published learned"]
    return markdown(head, rows)


@figure("roe-classical", "searched orders")
def roe_classical(data: Data) -> str:
    return str(classical(tasks(data)["RoeFlux_1d"]["counted"]))


@figure("roe-searched", "searched orders")
def roe_searched(data: Data) -> str:
    return str(tasks(data)["RoeFlux_1d"]["counted"]["best"])


@figure("searched-seconds", "searched orders")
def seconds(data: Data) -> str:
    return f"{data[SEARCHED]['seconds']:.0f}"


@figure("searched-large-seconds", "searched orders")
def seconds_of_large(data: Data) -> str:
    found = data[SEARCHED]
    return f"{found['large'].get('seconds', found['seconds']):.0f}"
