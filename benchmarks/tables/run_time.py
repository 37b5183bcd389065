"""Run times of dense Jacobians: tasks, functions with a narrow waist, loops."""

from __future__ import annotations

from typing import Any

from ._text import Data, bold, figure, markdown, milliseconds, ratio, table

CPU = ("run time, scalar tasks", "run time, tasks of arrays")
GPU = ("run time, scalar tasks, GPU", "run time, tasks of arrays, GPU")


def _tasks(data: Data, folders: tuple[str, ...]) -> str:
    contenders = ("jacfwd", "jacve auto", "jacve reverse", "jacve markowitz")
    rows = []
    for folder in folders:
        found = data[f"{folder}/jacobians.json"]
        for task, row in found["tasks"].items():
            times = [f"{row[key]['run_ratio']['median']:.2f}" for key in contenders]
            built = f"{row['jacve auto']['compile_ratio']['median']:.2f}"
            rows.append([task, f"{found['batch']:,}", times[0], bold(times[1]), *times[2:], built])
    head = ["task", "batch", "`jax.jacfwd`", "`jacve`", "reverse", "Markowitz", "trace + compile, `jacve`"]
    return markdown(head, rows)


@table("run-time-cpu", *CPU)
def on_cpu(data: Data) -> str:
    return _tasks(data, ("cpu-scalar", "cpu-tensor"))


@table("run-time-gpu", *GPU)
def on_gpu(data: Data) -> str:
    return _tasks(data, ("h200-scalar", "h200-tensor"))


@table("waist", "waist")
def waist(data: Data) -> str:
    rows: dict[str, dict[int, float]] = {}
    for row in data["search/waist.json"]["rows"]:
        name = f"{len(row['hidden'])} of width {row['hidden'][0]}"
        rows.setdefault(name, {})[row["batch"]] = row["times_faster"]
    batches = sorted({batch for row in rows.values() for batch in row})
    head = ["hidden layers on each side", *("one input" if b == 1 else f"batch of {b}" for b in batches)]
    return markdown(head, [[name, *(ratio(row[batch]) for batch in batches)] for name, row in rows.items()])


@table("loops", "loops")
def loops(data: Data) -> str:
    """Of long loops."""
    rows = []
    for model, steps in data["cpu-loops/loops.json"]["models"].items():
        run = steps["1000"]["run"]
        times = [milliseconds(run[key]) for key in ("jacfwd", "jacrev", "jacve")]
        rows.append([model, *times, _better(run), f"{steps['1000']['compile_growth']:.2f}"])
    head = [
        "Jacobian of",
        "`jax.jacfwd`",
        "`jax.jacrev`",
        "`jacve`",
        "times as fast",
        "compile : that of 10 steps",
    ]
    return markdown(head, rows)


@table("loops-short", "loops")
def short_loops(data: Data) -> str:
    """Of loops that nothing is gained on."""
    rows = []
    for model, steps in data["cpu-loops/loops.json"]["models"].items():
        run = steps["10"]["run"]
        rows.append([model, *(milliseconds(run[key]) for key in ("jacfwd", "jacrev", "jacve")), _better(run)])
    return markdown(["Jacobian of", "`jax.jacfwd`", "`jax.jacrev`", "`jacve`", "times as fast"], rows)


def _better(run: dict[str, Any]) -> str:
    return ratio(min(run["jacfwd"], run["jacrev"]) / run["jacve"])


@figure("waist-largest", "waist")
def largest_waist(data: Data) -> str:
    return ratio(max(row["times_faster"] for row in data["search/waist.json"]["rows"]))
