"""Measures what a sparse Jacobian takes of a solution by Newton's method: Bratu's problem on a square grid.

    python benchmarks/bratu.py --out benchmarks/results/bratu

-Δu = λ exp(u) on the unit square, u = 0 on its boundary, by central differences with n x n unknowns, in
float64. Every step evaluates residual and Jacobian (`jax.jit(value_and_jacve(residual, sparse=True))`), makes
a `scipy.sparse.csc_array` of the block, factorises it by `scipy.sparse.linalg.splu`, and solves; with SciPy's
own ordering of the columns, and with the one for symmetric patterns, which is faster. Tracing and compiling
come before, and so does what the first export does once for a structure: both are measured, and the latter is
part of the Jacobian's share of a first solution. Solutions are interleaved round by round; reported are the
medians of the seconds that all steps take together, and shares of their sum.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from measure import compile_seconds, save
from scipy.sparse.linalg import splu

from graphax import value_and_jacve

ORDERINGS = ("COLAMD", "MMD_AT_PLUS_A")
PARTS = ("evaluation", "export", "factorisation", "solution")


def bratu(u: jax.Array, strength: float) -> jax.Array:
    """The residual, times the square of the grid's width."""
    wide = jnp.pad(u, 1)
    around = wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]
    return 4 * u - around - strength / (len(u) + 1) ** 2 * jnp.exp(u)


def solve(linearised: Callable[..., Any], size: int, ordering: str) -> tuple[list[float], np.ndarray]:
    """Newton's method from zero on: the largest entries of the residuals, and the seconds of every part."""
    u, residuals, seconds = np.zeros((size, size)), [], np.zeros(len(PARTS))
    while len(residuals) < 20:
        clock = [time.perf_counter()]
        residual, jacobian = jax.block_until_ready(linearised(u))
        clock.append(time.perf_counter())
        matrix = jacobian.to_scipy("csc")
        clock.append(time.perf_counter())
        factors = splu(matrix, permc_spec=ordering)
        clock.append(time.perf_counter())
        u -= factors.solve(np.ravel(residual)).reshape(u.shape)
        clock.append(time.perf_counter())
        seconds += np.diff(clock)
        residuals.append(float(abs(residual).max()))
        if residuals[-1] < 1e-10:
            break
    return residuals, seconds


def once_for_a_structure(jacobian: Any) -> float:
    """Seconds that the first export takes beyond the next ones."""
    clock = [time.perf_counter()]
    for _ in range(6):
        jacobian.to_scipy("csc")
        clock.append(time.perf_counter())
    first, *others = np.diff(clock)
    return float(first - np.median(others))


def shares(seconds: np.ndarray, once: float) -> dict[str, Any]:
    """Of every part, and of the Jacobian, in any solution and in the first one.

    Args:
        seconds: of every part, ``[rounds, parts]``.
        once: seconds of what a structure takes.
    """
    medians = np.median(seconds, 0)
    whole, jacobian = medians.sum(), medians[:2].sum()
    return {
        "seconds": dict(zip(PARTS, medians.tolist(), strict=True)),
        "shares": dict(zip(PARTS, (medians / whole).tolist(), strict=True)),
        "the Jacobian's share": jacobian / whole,
        "the Jacobian's share of the first solution": (jacobian + once) / (whole + once),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", type=int, default=512, help="unknowns along a side")
    parser.add_argument("--strength", type=float, default=5.0, help="λ, below 6.8 for a solution")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    jax.config.update("jax_enable_x64", True)

    start = jnp.zeros((options.size, options.size))
    linearised = value_and_jacve(lambda u: bratu(u, options.strength), sparse=True)
    compiling, linearised = compile_seconds(linearised, (start,))
    _, jacobian = linearised(start)
    once = once_for_a_structure(jacobian)
    seconds: dict[str, list[np.ndarray]] = {ordering: [] for ordering in ORDERINGS}
    residuals: list[float] = []
    for _ in range(options.rounds):
        for ordering in ORDERINGS:
            residuals, found = solve(linearised, options.size, ordering)
            seconds[ordering].append(found)
    table = {ordering: shares(np.stack(found), once) for ordering, found in seconds.items()}
    for ordering, row in table.items():
        print(ordering, *(f"{part} {share:.2%}" for part, share in row["shares"].items()))
        first = row["the Jacobian's share of the first solution"]
        print(f"  the Jacobian of the first solution {first:.2%}")
    found = {"size": options.size, "strength": options.strength, "nonzeros": jacobian.nnz}
    found |= {"seconds to trace and compile": compiling, "seconds once for a structure": once}
    save(options.out / "bratu.json", {**found, "residuals": residuals, "solutions": table})


if __name__ == "__main__":
    main()
