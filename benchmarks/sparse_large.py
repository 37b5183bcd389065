"""Sparse derivatives of a million variables: seconds to trace, to find the pattern, and the largest array."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core
from measure import run_seconds
from problems import PROBLEMS

import graphax

#: Problems and their sizes: points, intervals, nodes along a side, observations; and small ones.
LARGE = {
    "burgers": (10**6, 100),
    "multiple shooting": (120_000, 10),
    "elastic mesh": (500, 6),
    "bundle adjustment": (10**5, 20),
}


def largest_array(jaxpr: Any) -> int:
    """How many entries the largest array in a jaxpr has, constants included."""
    variables = [*jaxpr.constvars, *jaxpr.invars, *(var for eqn in jaxpr.eqns for var in eqn.outvars)]
    inner = [largest_array(one) for eqn in jaxpr.eqns for one in core.jaxprs_in_params(eqn.params)]
    return max([0, *inner, *(math.prod(getattr(var.aval, "shape", ())) for var in variables)])


def benchmark(name: str, size: int) -> dict[str, Any]:
    """Trace, compile and run one derivative, and ask the block for its pattern, once.

    Returns:
        seconds of each, and the largest array in parts of the nonzeros.
    """
    problem = PROBLEMS[name]
    fun, x = problem.at(size)
    derivative = graphax.hessve if problem.kind == "hessian" else graphax.jacve
    of = jax.jit(derivative(fun, sparse=True))
    tracing, traced = _timed(lambda: of.trace(x))
    compiling, compiled = _timed(lambda: traced.lower().compile())
    block = jax.block_until_ready(compiled(x))
    finding, (rows, _) = _timed(block.pattern)
    return {
        "variables": x.size,
        "nonzeros": len(rows),
        "trace": tracing,
        "compile": compiling,
        "pattern": finding,
        "run": min(run_seconds(compiled, (x,)) for _ in range(5)),
        "largest": largest_array(traced.jaxpr.jaxpr) / len(rows),
    }


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    found = work()
    return time.perf_counter() - start, found


def table(smoke: bool) -> dict[str, dict[str, Any]]:
    """All of them."""
    print(
        f"\n{'large':<20}{'variables':>10}{'nonzeros':>10}{'trace':>9}{'compile':>9}{'pattern':>9}{'run':>10}"
    )
    rows = {}
    for name, sizes in LARGE.items():
        row = rows[name] = benchmark(name, sizes[smoke])
        print(
            f"{name:<20}{row['variables']:>10}{row['nonzeros']:>10}{row['trace']:>7.2f} s"
            f"{row['compile']:>7.2f} s{row['pattern']:>7.2f} s{row['run'] * 1e3:>7.1f} ms"
            f"  largest array {row['largest']:.2f} nonzeros",
            flush=True,
        )
    return rows
