"""Times kernels of small functions' Jacobians against `jax.jacfwd`, `jax.jacrev` and operations on arrays.

    python benchmarks/kernels.py --batch 1 32 1024 32768 --out results/

The functions are those of `kernel_suite.py`, a vector in and a vector out. Every contender is compiled as
`jit(vmap(...))`, or `jit(...)` for a batch of one. On a CPU every call is waited for, and its dispatch is
part of it: `no operation` says how much. On a GPU a run queues calls and waits once, and a call works on
several batches one after another, so that a batch costs what the device takes for it. Runs are interleaved
round by round. Compilation is timed apart: tracing and lowering, the search for an order
included, and compiling. `memory floor` is the time to read the points and to write the Jacobians at the
bandwidth of a copy that is measured in the same run.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from kernel_suite import LOOPS, SUITE, Function
from measure import calls_for, device_name, geometric_mean, save, seconds_of_calls

import graphax

Contender = Callable[..., Any]
Points = Sequence[jax.Array]
_MODES = ("jacfwd", "jacrev")
_ORDERS = ("forward", "reverse", "markowitz")


def contenders(fun: Function, arrays: bool, orders: bool) -> dict[str, Contender]:
    """The Jacobians to be timed."""
    found: dict[str, Contender] = {"jacfwd": jax.jacfwd(fun), "jacrev": jax.jacrev(fun)}
    if arrays:
        found["jacve, arrays"] = graphax.jacve(fun, kernel=False)
    found["jacve, kernel"] = graphax.jacve(fun, kernel=True)
    for order in _ORDERS if orders else ():
        found[f"jacve, kernel, {order}"] = graphax.jacve(fun, order=order, kernel=True)
    return found


def compiled(fun: Contender, points: Points) -> tuple[Contender, float, float]:
    """The function under jit, called once; the seconds to trace and lower it, and to compile it."""
    wrapped = fun if points[0].ndim == 1 else jax.vmap(fun)
    jitted = jax.jit(wrapped if len(points) == 1 else lambda *batches: [wrapped(x) for x in batches])
    start = time.perf_counter()
    lowered = jitted.lower(*points)
    middle = time.perf_counter()
    lowered.compile()
    end = time.perf_counter()
    jax.block_until_ready(jitted(*points))
    return jitted, middle - start, end - middle


def bandwidth(size: int = 1 << 28) -> float:
    """Bytes read and written in a second by a copy of an array that is larger than caches."""
    array = jnp.zeros(size // 4, jnp.float32)
    copy = jax.jit(lambda x: x + 1)
    calls = calls_for(copy, (array,), 0.05)
    return 2 * size / min(seconds_of_calls(copy, (array,), calls) for _ in range(5))


def benchmark(name: str, batch: int, dtype: Any, options: argparse.Namespace) -> dict[str, Any]:
    """Time all contenders on one function.

    Args:
        name: of the function.
        batch: points in a batch.
        dtype: of the points.
        options: of the command.

    Returns:
        for every contender its median seconds a call, of tracing and of compiling; the largest difference of
        the kernel from `jacfwd`, in parts of the largest entry; and the bytes that have to be moved.
    """
    case = (SUITE | LOOPS)[name]
    points = [case.sample(batch, dtype, seed) for seed in range(options.together)]
    points = [x[0] for x in points] if batch == 1 else points
    table: dict[str, Any] = {}
    funs: dict[str, Contender] = {}
    for key, fun in contenders(case.fun, options.arrays, options.orders).items():
        funs[key], tracing, compiling = compiled(fun, points)
        table[key] = {"trace": tracing, "compile": compiling}
    results = {key: np.asarray(jax.tree.leaves(fun(*points))[0]) for key, fun in funs.items()}
    wanted = results["jacfwd"]
    error = np.abs(results["jacve, kernel"] - wanted).max() / np.abs(wanted).max()
    calls = {key: calls_for(fun, points, options.seconds) for key, fun in funs.items()}
    times: dict[str, list[float]] = {key: [] for key in funs}
    for turn in range(options.rounds):
        for key in np.random.default_rng(turn).permutation(list(funs)):
            times[key].append(seconds_of_calls(funs[key], points, calls[key]) / len(points))
    for key, found in times.items():
        table[key]["run"] = float(np.median(found))
    return {"contenders": table, "error": float(error), "bytes": int(points[0].nbytes + wanted.nbytes)}


def ratios(row: dict[str, Any]) -> dict[str, float]:
    """How many times as fast the kernel is as the better of JAX's modes, and how long it takes to compile."""
    table = row["contenders"]
    kernel = table["jacve, kernel"]
    building = {key: found["trace"] + found["compile"] for key, found in table.items()}
    found = {
        f"in order {order}": table[f"jacve, kernel, {order}"]["run"] / kernel["run"]
        for order in _ORDERS
        if f"jacve, kernel, {order}" in table
    }
    return found | {
        "times as fast": min(table[mode]["run"] for mode in _MODES) / kernel["run"],
        "trace + compile": building["jacve, kernel"] / min(building[mode] for mode in _MODES),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark and write `kernels.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--functions", nargs="+", default=list(SUITE), help="names, of SUITE or LOOPS")
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 32, 1024, 32768], help="points a call")
    parser.add_argument("--dtype", nargs="+", default=["float32"], choices=["float32", "float64"])
    parser.add_argument("--rounds", type=int, default=7, help="runs of every contender (default 7)")
    parser.add_argument("--seconds", type=float, default=0.05, help="of queued calls a run (default 0.05)")
    parser.add_argument(
        "--together",
        type=int,
        default=1 if jax.devices()[0].platform == "cpu" else 6,
        help="batches in one call, so that starting it is not what is measured (default 1, on a GPU 6)",
    )
    parser.add_argument("--arrays", action="store_true", help="time jacve by operations on arrays, too")
    parser.add_argument("--orders", action="store_true", help="time kernels in the classical orders, too")
    parser.add_argument("--out", type=Path, help="folder for kernels.json")
    options = parser.parse_args(argv)
    if "float64" in options.dtype:
        jax.config.update("jax_enable_x64", True)

    speed = bandwidth()
    nothing = jax.jit(lambda x: x + 1)
    dispatch = min(seconds_of_calls(nothing, (jnp.zeros(1),), 1000) for _ in range(5))
    print(
        f"{device_name()}, copy {speed / 1e9:.0f} GB/s, no operation {dispatch * 1e6:.1f} us a call",
        flush=True,
    )
    table: dict[str, Any] = {}
    for dtype in options.dtype:
        for batch in options.batch:
            rows: dict[str, Any] = {}
            for name in options.functions:
                row = benchmark(name, batch, np.dtype(dtype), options)
                row |= ratios(row)
                row["memory floor"] = row["bytes"] / speed
                rows[name] = row
                kernel = row["contenders"]["jacve, kernel"]["run"]
                print(
                    f"{dtype} {batch:>7} {name:<18}{kernel * 1e6:>11.1f} us, {row['times as fast']:>7.2f}"
                    f" times as fast, {kernel / row['memory floor']:>8.2f} floors, trace + compile"
                    f" {row['trace + compile']:.2f}, error {row['error']:.0e}"
                    + "".join(f", {o} {row[f'in order {o}']:.2f}" for o in _ORDERS if options.orders),
                    flush=True,
                )
            table[f"{dtype} {batch}"] = rows
            for key in ("times as fast", "trace + compile"):
                found = [row[key] for row in rows.values()]
                print(
                    f"{dtype} {batch}: {key}, geometric mean {geometric_mean(found):.2f},"
                    f" least {min(found):.2f}, most {max(found):.2f}",
                    flush=True,
                )
    if options.out:
        save(
            options.out / "kernels.json",
            {
                "bandwidth": speed,
                "no operation": dispatch,
                "rounds": options.rounds,
                "together": options.together,
                "table": table,
            },
        )


if __name__ == "__main__":
    main()
