"""How few products the schemes have that `alphagrad train task=matmul_NxMxP` finds by play, and when.

Reads the folders of finished runs; for each of them, after how many seconds of the command and how many games
a scheme of every rank was first met.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import provenance

from alphagrad.matmul import Scheme, read_format
from alphagrad.run.folder import read_metrics
from alphagrad.run.settings import parse
from alphagrad.schemes.train import SchemeTrainConfig
from graphax.files import write_atomically


def read_run(folder: Path) -> dict[str, Any]:
    """The entry of a run.

    Raises:
        OSError: if a file of it cannot be read.
        ValueError: if a file of it is damaged, its scheme wrong, or its metrics speak of another rank.
    """
    config = parse(SchemeTrainConfig, [], folder / "config.yaml")
    ranks: list[list[float]] = []
    for row in read_metrics(folder):
        best, *spent = (row.get(column) for column in ("best", "seconds", "games"))
        if not all(
            isinstance(number, int | float) and math.isfinite(number) for number in (best or 0, *spent)
        ):
            raise ValueError(f"{folder} has metrics of another kind of run: {row}")
        if best is not None and (not ranks or -best < ranks[-1][0]):
            ranks.append([int(-best), round(row["seconds"], 1), row["games"]])
    scheme = Scheme.load(folder / "learned.json")
    if not ranks or ranks[-1][0] != scheme.rank:
        raise ValueError(f"{folder} has a scheme of {scheme.rank} products, of which its metrics don't tell")
    return {"task": config.task, "seed": config.seed, "rank_seconds_games": ranks}


def plot(path: Path, runs: Sequence[dict[str, Any]], title: str) -> None:
    """The products of the best scheme over time, a line for each run and a color for each task."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tasks = sorted({run["task"] for run in runs})
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for at, task in enumerate(tasks):
        for run in runs:
            if run["task"] == task:
                ranks, seconds, _ = zip(*run["rank_seconds_games"], strict=True)
                axes.step(seconds, ranks, where="post", color=f"C{at}", marker="o", markersize=4)
        format = read_format(task)
        assert format is not None
        axes.axhline(
            math.prod(format), color=f"C{at}", linewidth=0.8, linestyle=":", label=f"{task}, standard"
        )
        axes.plot([], [], color=f"C{at}", marker="o", markersize=4, label=f"{task}, played")
    axes.set_xlim(left=0)
    axes.set(xlabel="seconds since the command began", ylabel="products of the best scheme", title=title)
    axes.legend(fontsize="small")
    figure.savefig(path)
    plt.close(figure)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("runs", nargs="+", type=Path, help="folders of runs")
    parser.add_argument("--machine", required=True, help="what they ran on")
    parser.add_argument("--out", type=Path, required=True, help="the table, a JSON file; beside it the plot")
    options = parser.parse_args(argv)
    runs = [read_run(folder) for folder in options.runs]
    for run in runs:
        print(run)
    head = provenance.head() | {"machine": options.machine}  # where the runs were, not where they are read
    write_atomically(options.out, json.dumps({**head, "runs": runs}, indent=1) + "\n")
    plot(options.out.with_suffix(".svg"), runs, f"schemes found by play, {options.machine}")


if __name__ == "__main__":
    main()
