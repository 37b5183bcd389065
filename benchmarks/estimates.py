"""Holds the estimates of run times against run times, on the functions of `never_slower.py`.

    python benchmarks/estimates.py --out results/estimates.json

For every function there are several programs for its derivative: elimination by operations on arrays in the
default order, in reverse and in forward order, and JAX's own modes. Each is estimated from its jaxpr
(`graphax.timing.estimated_seconds`), compiled, and run in turns of about 10 milliseconds. On a GPU run times
are those in which kernels run, or what the host takes beyond queueing a call, if that is longer.

What an estimate is good for is to choose among programs: the summary says how often the one with the least
estimate takes no more than a tenth longer than the fastest, and what it costs where it does not.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from everyday import Case
from measure import busy_rounds, geometric_mean, on_cpu, save, seconds_of_calls
from never_slower import all_cases

import graphax
from graphax.timing import Constants, constants_for, estimated_seconds

_ORDERS = ("auto", "reverse", "forward")
_NEAR = 1.1
#: How long the rounds of a function may take.
_MOST_SECONDS = 10.0


def candidates(case: Case) -> dict[str, Any]:
    """The programs for the derivative of a function, by name."""
    fun, argnums, found = case.fun, case.argnums, case.by_jax()
    derivative = graphax.hessve if case.kind == "hessian" else graphax.jacve
    found |= {order: derivative(fun, argnums, order=order, kernel=False) for order in _ORDERS}
    return found if case.batch is None else {key: jax.vmap(f, case.axes) for key, f in found.items()}


def estimated(case: Case, constants: Constants) -> tuple[dict[str, Any], dict[str, float], dict[str, float]]:
    """Every candidate traced, its estimate, and how long the estimate took."""
    args = case.sample()
    traced: dict[str, Any] = {}
    estimates: dict[str, float] = {}
    taken: dict[str, float] = {}
    for name, fun in candidates(case).items():
        try:
            traced[name] = jax.jit(lambda *inputs, fun=fun: fun(*inputs)).trace(*args)
        except (TypeError, ValueError):  # not every mode goes through every loop
            continue
        start = time.perf_counter()
        estimates[name] = estimated_seconds(traced[name].jaxpr, constants)
        if not on_cpu():
            estimates[name] -= constants.call * 1e-9
        taken[name] = time.perf_counter() - start
    return traced, estimates, taken


def measured(case: Case, traced: dict[str, Any], rounds: int, seconds: float) -> dict[str, float]:
    """The run time of every candidate: the least of several rounds, as all else makes a run longer.

    Those that are one program, because two orders are one, are run as one.
    """
    args = case.sample()
    same = {name: str(program.jaxpr) for name, program in traced.items()}
    first = {text: name for name, text in reversed(same.items())}
    runs = {name: traced[name].lower().compile() for name in first.values()}
    once = {name: _least(fun, args, 0.1) for name, fun in runs.items()}
    # One look is enough at what is out of the question.
    racing = {name: fun for name, fun in runs.items() if once[name] < max(10 * min(once.values()), 1e-2)}
    calls = {name: round(np.clip(seconds / once[name], 1, 1000)) for name in racing}
    least = dict(once)
    end = time.perf_counter() + _MOST_SECONDS
    for _ in range(rounds):
        for name, fun in racing.items():
            if time.perf_counter() > end:
                break
            least[name] = min(least[name], seconds_of_calls(fun, args, calls[name]))
    queued = 2e-9 * constants_for().call
    for name, busy in busy_rounds(runs, args, 3).items():
        least[name] = max(min(busy), least[name] - queued)
    return {name: least[first[text]] for name, text in same.items()}


def _least(fun: Any, args: Sequence[Any], seconds: float) -> float:
    """The least run time of calls that take so long together, of at most five."""
    found: list[float] = []
    while len(found) < 5 and sum(found) < seconds:
        found.append(seconds_of_calls(fun, args, 1))
    return min(found)


def loss(row: dict[str, Any]) -> float:
    """How many times as long as the fastest the program with the least estimate takes."""
    chosen = min(row["estimated"], key=row["estimated"].__getitem__)
    return row["measured"][chosen] / min(row["measured"].values())


def line(name: str, row: dict[str, Any]) -> str:
    """A function's times in microseconds, measured / estimated."""
    times = "  ".join(
        f"{key} {1e6 * seconds:.0f}/{1e6 * row['estimated'][key]:.0f}"
        for key, seconds in row["measured"].items()
    )
    return f"{name:40} {loss(row):5.2f}  {times}"


def summary(rows: dict[str, Any]) -> str:
    """How good the choices are, and the misses, the worst first."""
    losses = {name: loss(row) for name, row in rows.items()}
    near = sum(found <= _NEAR for found in losses.values())
    off = [
        max(row["estimated"][key] / seconds, seconds / row["estimated"][key])
        for row in rows.values()
        for key, seconds in row["measured"].items()
    ]
    parts = [
        f"within {_NEAR:.2f} of the fastest: {near} of {len(rows)}",
        f"time of what is chosen, in units of the fastest: {geometric_mean(list(losses.values())):.3f}",
        f"an estimate is off by a factor of {geometric_mean(off):.2f}",
    ]
    misses = sorted((name for name in losses if losses[name] > _NEAR), key=losses.__getitem__, reverse=True)
    return "\n".join([*parts, *(line(name, rows[name]) for name in misses)])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--functions", help="a regular expression that names have to match")
    parser.add_argument("--share", default="1/1", help="I/N: every N-th function, from the I-th on")
    parser.add_argument("--rounds", type=int, default=9, help="of runs (default 9)")
    parser.add_argument("--seconds", type=float, default=0.01, help="of calls a round (default 0.01)")
    parser.add_argument("--measured", nargs="+", type=Path, help="JSON files whose run times are taken")
    parser.add_argument("--out", type=Path, help="a JSON file, written after every function")
    options = parser.parse_args(argv)
    os.environ["GRAPHAX_CANDIDATES"] = ""
    os.environ["GRAPHAX_ORDER_STORE"] = "off"
    at, of = map(int, options.share.split("/"))
    constants = constants_for()
    names = [name for name in all_cases() if re.search(options.functions or "", name)][at - 1 :: of]
    cases = all_cases()
    known = [json.loads(path.read_text())["rows"] for path in options.measured or ()]
    rows: dict[str, Any] = {}
    for name in names:
        found = next((table[name]["measured"] for table in known if name in table), None)
        if known and found is None:
            continue
        traced, estimates, taken = estimated(cases[name], constants)
        found = found or measured(cases[name], traced, options.rounds, options.seconds)
        rows[name] = {"measured": found, "estimated": estimates, "estimating": taken}
        print(line(name, rows[name]), flush=True)
        if options.out:
            save(options.out, {"rounds": options.rounds, "rows": rows})
    print(summary(rows))


if __name__ == "__main__":
    main()
