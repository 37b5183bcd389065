"""Times `graphax.jacve` against `jax.jacfwd` and `jax.jacrev`, vectorised over a batch of inputs.

    python benchmarks/jacobians.py --tasks RoeFlux_1d RobotArm_6DOF --batch 65536 --out results/

Every contender is compiled as `jit(vmap(...))`. Compilation is timed apart, from tracing to the executable,
in fresh functions; runs are interleaved round by round, so that a change in the machine's speed meets all
contenders alike. Reported are medians and quartiles, and ratios to `jax.jacrev`, round by round.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from measure import compile_seconds, device_name, run_seconds, save

import graphax
from alphagrad import tasks

Contender = Callable[..., Any]


def contenders(task: tasks.Task, orders: Sequence[str]) -> dict[str, Contender]:
    """The Jacobians to be timed: JAX's two, and `jacve` in every order."""
    found: dict[str, Contender] = {
        "jacrev": jax.jacrev(task.fun, task.argnums),
        "jacfwd": jax.jacfwd(task.fun, task.argnums),
    }
    for order in orders:
        path = Path(order)
        if path.is_dir():
            path /= f"{task.name}.json"
        elimination = graphax.load_order(path) if path.suffix == ".json" else order
        name = f"jacve {elimination if isinstance(elimination, str) else elimination.method}"
        found[name] = graphax.jacve(task.fun, order=elimination, argnums=task.argnums, kernel=False)
    return found


def quartiles(samples: Sequence[float]) -> dict[str, float]:
    low, median, high = np.percentile(samples, [25, 50, 75])
    return {"median": float(median), "low": float(low), "high": float(high)}


def benchmark(name: str, orders: Sequence[str], batch: int, rounds: int, compiles: int) -> dict[str, Any]:
    """Time all contenders on one task.

    Args:
        name: the task.
        orders: names of orders, order files, or folders that hold a file TASK.json for every task.
        batch: how many inputs a run works on.
        rounds: how often every contender is run.
        compiles: how often every contender is compiled.

    Returns:
        for every contender quartiles of run and compile times in seconds and of their ratios to jacrev.
    """
    task = tasks.load(name)
    args = task.sample(jax.random.key(0), batch)
    funs = contenders(task, orders)
    compiling: dict[str, list[float]] = {key: [] for key in funs}
    compiled: dict[str, Contender] = {}
    for _ in range(compiles):
        for key, fun in funs.items():
            seconds, compiled[key] = compile_seconds(jax.vmap(fun), args)
            compiling[key].append(seconds)
    running: dict[str, list[float]] = {key: [] for key in funs}
    for key in funs:
        run_seconds(compiled[key], args)
    keys = list(funs)
    for turn in range(rounds):
        # Nobody always comes after the one that leaves the caches cold.
        for key in np.random.default_rng(turn).permutation(keys):
            running[key].append(run_seconds(compiled[key], args))
    return {
        key: {
            "run": quartiles(running[key]),
            "compile": quartiles(compiling[key]),
            "run_ratio": quartiles(np.divide(running[key], running["jacrev"]).tolist()),
            "compile_ratio": quartiles(np.divide(compiling[key], compiling["jacrev"]).tolist()),
        }
        for key in funs
    }


def plot(results: dict[str, dict[str, Any]], path: Path, title: str) -> None:
    """Bars of run times relative to jacrev, with quartiles."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    keys = list(next(iter(results.values())))
    places = np.arange(len(results))
    width = 0.8 / len(keys)
    figure, axes = plt.subplots(figsize=(2.2 + 1.6 * len(results), 4), layout="constrained")
    for at, key in enumerate(keys):
        ratios = [task[key]["run_ratio"] for task in results.values()]
        middle = np.array([ratio["median"] for ratio in ratios])
        spread = [middle - [r["low"] for r in ratios], [r["high"] for r in ratios] - middle]
        axes.bar(places + at * width, middle, width, yerr=spread, label=key)
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(places + width * (len(keys) - 1) / 2, list(results))
    axes.set_ylabel("run time / jax.jacrev")
    axes.set_title(title)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark and write `jacobians.json` and `jacobians.png`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", nargs="+", default=["RoeFlux_1d", "RobotArm_6DOF"], help="task names")
    parser.add_argument("--batch", type=int, default=65536, help="inputs a run (default 65536)")
    parser.add_argument(
        "--orders",
        nargs="+",
        default=["reverse", "markowitz"],
        help="names, order files, or folders of TASK.json",
    )
    parser.add_argument("--rounds", type=int, default=30, help="runs of every contender (default 30)")
    parser.add_argument("--compiles", type=int, default=3, help="compilations of every contender (default 3)")
    parser.add_argument("--out", type=Path, help="folder for jacobians.json and jacobians.png")
    options = parser.parse_args(argv)

    results: dict[str, dict[str, Any]] = {}
    print(f"{'task':<22}{'contender':<20}{'run':>12}{'/ jacrev':>10}{'compile':>12}{'/ jacrev':>10}")
    for name in options.tasks:
        results[name] = benchmark(name, options.orders, options.batch, options.rounds, options.compiles)
        for key, row in results[name].items():
            print(
                f"{name:<22}{key:<20}{row['run']['median'] * 1e3:>9.3f} ms{row['run_ratio']['median']:>10.2f}"
                f"{row['compile']['median']:>10.2f} s{row['compile_ratio']['median']:>10.2f}",
                flush=True,
            )
    if options.out:
        save(
            options.out / "jacobians.json",
            {"batch": options.batch, "rounds": options.rounds, "tasks": results},
        )
        plot(results, options.out / "jacobians.png", f"batch {options.batch}, {device_name()}")


if __name__ == "__main__":
    main()
