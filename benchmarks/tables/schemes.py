"""Fast matrix multiplication: schemes searched for and played, products by them, bounds on the exponent."""

from __future__ import annotations

import math
from typing import Any

from ._text import Data, bold, figure, markdown, table

SEARCHED = ("searched schemes, small", "searched schemes, medium", "searched schemes, largest")
_FILES = ("schemes/small.json", "schemes/medium.json", "schemes/largest.json")


def found(data: Data, *files: str) -> dict[str, Any]:
    """The entries of formats, by how many products the standard algorithm has."""
    entries = {name: row for file in files for name, row in data[file]["formats"].items() if row}
    return dict(sorted(entries.items(), key=lambda item: (standard(item[0]), item[0])))


def standard(format: str) -> int:
    """How many products the standard algorithm has."""
    return math.prod(map(int, format.split("x")))


def searched(data: Data) -> dict[str, Any]:
    return found(data, *_FILES)


def lifted(row: dict[str, Any]) -> str:
    """The fewest products over integers or rationals; in parentheses where that has more."""
    its = row["lifted"]
    text = f"{its['rank']} over {its['ring']}"
    return text if its["rank"] == row["rank"] else f"({text})"


def _written(format: str) -> str:
    return format.replace("x", " x ")


@table("searched-schemes", *SEARCHED)
def searched_schemes(data: Data) -> str:
    rows = [
        [
            _written(name),
            str(standard(name)),
            str(row["known"]),
            bold(str(row["rank"])),
            f"{row['reached']:.1f}" if row["reached"] is not None else "",
            lifted(row),
        ]
        for name, row in searched(data).items()
    ]
    return markdown(["format", "standard", "literature", "found", "seconds", "lifted"], rows)


@table("searched-schemes-hour", "searched schemes, an hour")
def in_an_hour(data: Data) -> str:
    rows = [
        [
            _written(name),
            str(row["known"]),
            bold(str(row["rank"])),
            f"{row['ranks'][-1][0] / 60:.0f}",
            lifted(row),
            f"{row['flips_per_second_and_core'] / 1000000.0:.1f} million",
        ]
        for name, row in found(data, "schemes/hour.json").items()
    ]
    head = ["format", "literature", "found", "after minutes", "lifted", "flips a second and core"]
    return markdown(head, rows)


@table("searched-schemes-speed", *SEARCHED)
def speed(data: Data) -> str:
    rows = []
    for name, file in zip(SEARCHED, _FILES, strict=True):
        flips = [row["flips_per_second_and_core"] / 1e6 for row in data[file]["formats"].values() if row]
        rows.append([name.rpartition(", ")[2], f"{max(flips):.1f} million"])
    return markdown(["formats", "flips a second and core, at most"], rows)


@table("played-schemes", "played schemes", "played schemes, GPU")
def played_schemes(data: Data) -> str:
    literature = {name: row["known"] for name, row in searched(data).items()}
    times: dict[str, dict[str, list[str]]] = {}
    ranks: dict[str, set[int]] = {}
    for place in ("h100", "cpu"):
        for run in data[f"played/{place}.json"]["runs"]:
            rank, seconds, _ = run["rank_seconds_games"][-1]
            ranks.setdefault(run["task"], set()).add(rank)
            times.setdefault(run["task"], {}).setdefault(place, []).append(f"{seconds:.0f}")
    rows = []
    for task, by_place in times.items():
        format = task.removeprefix("matmul_")
        best = " / ".join(map(str, sorted(ranks[task])))
        seconds = [", ".join(by_place.get(place, [])) for place in ("h100", "cpu")]
        rows.append([_written(format), str(standard(format)), bold(best), str(literature[format]), *seconds])
    machines = [data[f"played/{place}.json"]["machine"] for place in ("h100", "cpu")]
    head = ["format", "standard", "played", "literature", *(f"{machine}: seconds" for machine in machines)]
    return markdown(head, rows)


def _products(data: Data, file: str) -> str:
    rows: dict[int, dict[str, dict[str, Any]]] = {}
    for row in data[file]["rows"]:
        if row["levels"]:
            kind = f"{row['scheme'].capitalize()}, {row['levels']} level{'s' * (row['levels'] > 1)}"
            rows.setdefault(row["size"], {})[kind] = row
    kinds = list(dict.fromkeys(kind for row in rows.values() for kind in row))
    cells = [
        [f"{size:,}", *(f"{row[kind]['speedup']:.2f} ({row[kind]['error']:.0e})" for kind in kinds)]
        for size, row in rows.items()
    ]
    return markdown(["size", *kinds], cells)


@table("matrix-products", "matrix products")
def products(data: Data) -> str:
    return _products(data, "matmul/batched.json")


@table("matrix-products-separate", "matrix products, one by one")
def separate_products(data: Data) -> str:
    return _products(data, "matmul/separate.json")


@table("omega", "bounds on the exponent")
def omega(data: Data) -> str:
    rows = [
        [row["tensor"].replace("<", "⟨").replace(">", "⟩"), f"{row['computed']:.7f}", str(row["literature"])]
        for row in data["omega/omega.json"]["rows"]
    ]
    return markdown(["tensor", "computed", "literature"], rows)


@figure("product-speed", "matrix products")
def best_product(data: Data) -> str:
    return f"{max(row['speedup'] for row in data['matmul/batched.json']['rows']):.2f}"
