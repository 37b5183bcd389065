"""Sparse derivatives beside those of packages that colour patterns: asdex and sparsejac, in float64.

    python benchmarks/sparse_peers.py --out peers.json [--ours-second]

The problems are those of `benchmarks/problems/`, from vectors to vectors. asdex has its pattern and its
colours, sparsejac the pattern, before anything is timed; all are compiled. What comes out is compared in two
forms: an array with the nonzeros in row-major order, and a `BCOO`, which holds the places, too. Runs are
interleaved round by round; reported are medians of seconds and of ratios, and the seconds to build every
contender in a process that knows neither function nor pattern: for asdex to detect, colour, trace and
compile. Where it does not know a primitive, it is given the pattern.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import sparse
from measure import run_seconds
from problems import PROBLEMS, Problem

import graphax

Compiled = Callable[..., Any]
#: What is compared with ours of the same form.
OTHERS = ("asdex, nonzeros", "asdex, BCOO", "sparsejac, BCOO")
#: Contenders that take so many times as long as the fastest run in one of so many rounds.
_SLOW, _SELDOM = 10, 10


def ours(problem: Problem, size: int) -> dict[str, Any]:
    """Our contenders, compiled, and the seconds until the `BCOO` is."""
    fun, x = problem.flat(size)
    derivative = graphax.hessve if problem.kind == "hessian" else graphax.jacve
    start = time.perf_counter()
    bcoo = jax.jit(lambda x: derivative(fun, sparse=True)(x).to_bcoo()).lower(x).compile()
    seconds = time.perf_counter() - start
    block = jax.jit(derivative(fun, sparse=True)).lower(x).compile()
    nonzeros = jax.jit(lambda x: derivative(fun, sparse=True)(x).data()).lower(x).compile()
    return {"build": seconds, "run": {"block": block, "nonzeros": nonzeros, "BCOO": bcoo}}


def of_asdex(problem: Problem, size: int) -> dict[str, Any]:
    """Those of asdex; how many colours it takes, and whether it has found the pattern."""
    asdex = importlib.import_module("asdex")
    fun, x = problem.flat(size)
    kind = problem.kind
    start = time.perf_counter()
    try:
        colours = getattr(asdex, f"{kind}_coloring")(fun, x)
        detected = True
    except NotImplementedError:
        colours = getattr(asdex, f"{kind}_coloring_from_sparsity")(_pattern(problem, size))
        detected = False
    bcoo = jax.jit(getattr(asdex, f"{kind}_from_coloring")(fun, colours)).lower(x).compile()
    seconds = time.perf_counter() - start
    compressed = getattr(asdex, f"compressed_{kind}_from_coloring")(fun, colours)
    nonzeros = jax.jit(lambda x: asdex.decompress_data(compressed(x), colours)).lower(x).compile()
    found = {"build": seconds, "colours": colours.num_colors, "mode": colours.mode, "detected": detected}
    return found | {"run": {"nonzeros": nonzeros, "BCOO": bcoo}}


def of_sparsejac(problem: Problem, size: int, mode: str) -> Compiled:
    """That of sparsejac, which takes a pattern."""
    sparsejac = importlib.import_module("sparsejac")
    fun, x = problem.flat(size)
    jacobian = {"fwd": sparsejac.jacfwd, "rev": sparsejac.jacrev}[mode](fun, _pattern(problem, size))
    return jax.jit(jacobian).lower(x).compile()


def _pattern(problem: Problem, size: int) -> sparse.BCOO:
    fun, x = problem.flat(size)
    structure = graphax.hessian_structure if problem.kind == "hessian" else graphax.jacobian_structure
    found = structure(fun)(x)
    places = jnp.stack([found.rows, found.columns], 1).astype(np.int32)
    return sparse.BCOO((jnp.ones(found.nnz), places), shape=found.matrix_shape)


def benchmark(problem: Problem, size: int, ours_first: bool, seconds: float) -> dict[str, Any]:
    """Build and run all contenders on one problem.

    Args:
        problem, size: the problem.
        ours_first: whether ours are built before those of asdex.
        seconds: about how long to run them.

    Returns:
        seconds to build, nonzeros, colours, the largest difference in parts of the largest entry, and for
        every contender the seconds of all rounds.
    """
    makers = {"graphax": ours, "asdex": of_asdex}
    names = list(makers) if ours_first else list(makers)[::-1]
    built = {name: makers[name](problem, size) for name in names}
    contenders: dict[str, Compiled] = {
        f"{name}, {form}": run for name in makers for form, run in built[name]["run"].items()
    }
    if problem.kind == "jacobian":
        contenders["sparsejac, BCOO"] = of_sparsejac(problem, size, built["asdex"]["mode"])
    _, x = problem.flat(size)
    wanted = _matrix(contenders["graphax, BCOO"](x))
    scale = abs(wanted).max()
    errors = {
        key: float(abs(_matrix(run(x)) - wanted).max() / scale)
        for key, run in contenders.items()
        if key.endswith("BCOO")
    }
    return {
        "kind": problem.kind,
        "variables": x.size,
        "nonzeros": wanted.nnz,
        "nonzeros, asdex": contenders["asdex, nonzeros"](x).size,
        "colours": built["asdex"]["colours"],
        "detected": built["asdex"]["detected"],
        "build": {name: built[name]["build"] for name in makers},
        "error": max(errors.values()),
        "run": rounds_of(contenders, x, seconds),
    }


def rounds_of(contenders: dict[str, Compiled], x: jax.Array, seconds: float) -> dict[str, list[float]]:
    """The seconds of every contender, round by round; those of slow ones are repeated in between."""
    times = {key: [min(run_seconds(run, (x,)) for _ in range(3))] for key, run in contenders.items()}
    fastest = min(first for (first,) in times.values())
    slow = {key for key, (first,) in times.items() if first > _SLOW * fastest}
    lasts = sum(first / (_SELDOM if key in slow else 1) for key, (first,) in times.items())
    for at in range(int(np.clip(seconds / lasts, 20, 1000))):
        for key in np.random.default_rng(at).permutation(list(contenders)):
            skipped = key in slow and at % _SELDOM
            times[key].append(times[key][-1] if skipped else run_seconds(contenders[key], (x,)))
    return {key: row[1:] for key, row in times.items()}


def _matrix(found: sparse.BCOO) -> Any:
    """A matrix of SciPy, in which entries that are zero count."""
    from scipy.sparse import coo_array

    return coo_array((np.asarray(found.data), np.asarray(found.indices).T), shape=found.shape).tocsr()


def summary(row: dict[str, Any]) -> dict[str, Any]:
    """Medians of the seconds, and of the ratios of the others' times to ours, in the same form."""
    run = row["run"]
    ratios = {
        key: float(np.median(np.divide(times, run[f"graphax, {key.split(', ')[1]}"])))
        for key, times in run.items()
        if not key.startswith("graphax")
    }
    return row | {"run": {key: float(np.median(times)) for key, times in run.items()}, "ratio": ratios}


def joined(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """What was found in two processes."""
    run = {key: times + other["run"][key] for key, times in one["run"].items()}
    build = {name: (seconds + other["build"][name]) / 2 for name, seconds in one["build"].items()}
    return one | {"run": run, "build": build}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write what every round took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), help="names")
    parser.add_argument("--seconds", type=float, default=5.0, help="of runs of every problem (default 5)")
    parser.add_argument("--ours-second", action="store_true", help="asdex builds the first problem first")
    parser.add_argument("--smoke", action="store_true", help="small sizes")
    parser.add_argument("--out", type=Path, required=True, help="file for the table")
    options = parser.parse_args(argv)
    jax.config.update("jax_enable_x64", True)
    warnings.simplefilter("ignore")
    table = {}
    benchmark(PROBLEMS["burgers"], 32, True, 0.1)  # what a process does once
    for at, name in enumerate(options.problems):
        problem = PROBLEMS[name]
        size = problem.smoke if options.smoke else problem.size
        table[name] = benchmark(problem, size, at % 2 == options.ours_second, options.seconds)
        print(line(name, summary(table[name])), flush=True)
    options.out.write_text(json.dumps(table))


def line(name: str, row: dict[str, Any]) -> str:
    """A row in print."""
    run, ratio, build = row["run"], row["ratio"], row["build"]
    return (
        f"{name:<24}{row['nonzeros']:>8}{row['colours']:>5} colours, block"
        f"{run['graphax, block'] * 1e3:>7.3f} ms, BCOO{run['graphax, BCOO'] * 1e3:>7.3f}, asdex"
        f"{run['asdex, BCOO'] * 1e3:>7.3f} ({ratio['asdex, BCOO']:.2f}; nonzeros"
        f" {ratio['asdex, nonzeros']:.2f}), sparsejac {ratio.get('sparsejac, BCOO', float('nan')):.2f};"
        f" built in {build['graphax']:.2f} s, asdex {build['asdex']:.2f} s; error {row['error']:.0e}"
    )


if __name__ == "__main__":
    main()
