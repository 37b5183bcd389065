"""`jacve` and `hessve` with nothing said, beside the better of JAX's modes, on functions of many fields."""

from __future__ import annotations

import numpy as np
from measure import geometric_mean
from ratios import figures

from ._text import Data, Row, figure, markdown, ratio, table

FILES = {"never slower": "never-slower/cpu.json", "never slower, GPU": "never-slower/h100.json"}
#: The contender that may not take JAX's modes.
_ALONE = "GRAPHAX_CANDIDATES=kernels"
_GRADIENT = 1 / 1.2


def figures_of(data: Data, file: str) -> dict[str, Row]:
    """The ratios of every function, with its kind, and those without JAX's modes where they were measured."""
    found = {}
    for name, row in data[file]["rows"].items():
        if "failed" in row:
            continue
        found[name] = figures(row) | {"kind": row["kind"], "way": row["way"]}
        if _ALONE in row["contenders"]:
            found[name]["alone"] = figures(row, _ALONE)["run"]
    return found


def below(rows: dict[str, Row], goal: float = 0.95) -> int:
    """How many functions are slower than allowed, gradients of numbers by a sixth."""
    return sum(row["run"] < (_GRADIENT if row["kind"] == "gradient" else goal) for row in rows.values())


@table("never-slower", *FILES)
def never_slower(data: Data) -> str:
    columns = []
    for file in FILES.values():
        rows = figures_of(data, file)
        run = [row["run"] for row in rows.values()]
        alone = [row["alone"] for row in rows.values() if "alone" in row]
        built = [row["built"] for row in rows.values()]
        memory = [row["memory"] for row in rows.values()]
        columns.append(
            [
                str(len(rows)),
                f"**{geometric_mean(run):.2f}**",
                f"{min(run):.2f}",
                str(below(rows)),
                f"{geometric_mean(alone):.2f}, {sum(np.array(alone) < 0.8)} below 0.8",
                f"{geometric_mean(built):.2f}, {sum(np.array(built) > 1.3)} above 1.3",
                f"{geometric_mean(memory):.2f}, {sum(np.array(memory) > 1.1)} above 1.1",
            ]
        )
    titles = (
        "functions",
        "times as fast, geometric mean",
        "... least",
        "... functions below 0.95 (gradients of numbers: 0.83)",
        "... without JAX's modes as candidates",
        "trace + compile",
        "memory",
    )
    head = ["", *(f"{data[file]['device']}, jax {data[file]['jax']}" for file in FILES.values())]
    return markdown(head, [[title, *cells] for title, *cells in zip(titles, *columns, strict=True)])


def _slowest(data: Data, file: str) -> str:
    rows = sorted(figures_of(data, file).items(), key=lambda item: item[1]["run"])[:12]
    return markdown(
        ["function", "what is wanted", "way", "JAX's better", "times as fast", "trace + compile", "memory"],
        [
            [name, row["kind"], row["way"], row["mode"]]
            + [ratio(row[key]) for key in ("run", "built", "memory")]
            for name, row in rows
        ],
        left=4,
    )


@table("never-slower-slowest", "never slower")
def slowest(data: Data) -> str:
    return _slowest(data, FILES["never slower"])


@table("never-slower-slowest-gpu", "never slower, GPU")
def slowest_on_gpu(data: Data) -> str:
    return _slowest(data, FILES["never slower, GPU"])


@figure("never-slower-cpu", "never slower")
def mean_on_cpu(data: Data) -> str:
    return f"{geometric_mean([row['run'] for row in figures_of(data, FILES['never slower']).values()]):.2f}"


@figure("never-slower-gpu", "never slower, GPU")
def mean_on_gpu(data: Data) -> str:
    return (
        f"{geometric_mean([row['run'] for row in figures_of(data, FILES['never slower, GPU']).values()]):.2f}"
    )
