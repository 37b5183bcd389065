"""Shooting and its Lagrangian beside CasADi's generated C: one thread, float64.

    taskset -c 0 python benchmarks/sparse_casadi.py --out casadi.json

CasADi is given the same model in two ways. *As a whole* a map over the intervals makes the defects, or the
Lagrangian, of which CasADi takes the sparse Jacobian, or Hessian; *by intervals* it takes the derivative of
one interval as scalar expressions, without what is constant, and maps that. The C that it generates is
compiled by `gcc -O3 -march=native`, and called with memory that is there. Compared with the faster one are
our block, and its nonzeros in row-major order. Runs are interleaved; reported are medians.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from measure import run_seconds
from problems import PROBLEMS
from problems._problem import normal

import graphax

ca: Any = importlib.import_module("casadi")
NAMES = ("multiple shooting", "shooting lagrangian")


def interval() -> tuple[Any, Any, Any]:
    """The symbols of a state and a force, and the state after one step of Runge and Kutta."""
    state, force = ca.SX.sym("state", 4), ca.SX.sym("force")

    def rates(state: Any) -> Any:
        angle, speed, turning = state[1], state[2], state[3]
        sine, cosine = ca.sin(angle), ca.cos(angle)
        mass = 1 + 0.1 * sine**2
        push = (force + 0.1 * sine * (0.5 * turning**2 + 9.81 * cosine)) / mass
        turn = -(force * cosine + 0.05 * turning**2 * cosine * sine + 1.1 * 9.81 * sine) / (0.5 * mass)
        return ca.vertcat(speed, turning, push, turn)

    first = rates(state)
    second = rates(state + 0.025 * first)
    third = rates(state + 0.025 * second)
    fourth = rates(state + 0.05 * third)
    return state, force, state + 0.05 / 6 * (first + 2 * second + 2 * third + fourth)


def as_a_whole(name: str, intervals: int) -> Any:
    """The function from all variables to the sparse derivative."""
    state, force, after = interval()
    z = ca.MX.sym("z", 5 * intervals + 4)
    states, forces = ca.reshape(z[: 4 * intervals + 4], 4, -1), z[4 * intervals + 4 :].T
    ends = ca.Function("step", [state, force], [after], {"cse": True}).map(intervals)(states[:, :-1], forces)
    defects = ca.vec(ends - states[:, 1:])
    if name == "multiple shooting":
        return ca.Function("f", [z], [ca.jacobian(defects, z)])
    lagrangian = 0.5 * ca.sumsqr(z) + ca.dot(ca.DM(normal(4 * intervals)), defects)
    return ca.Function("f", [z], [ca.hessian(lagrangian, z)[0]])


def by_intervals(name: str, intervals: int) -> Any:
    """The function from all variables to what varies of the derivative, interval by interval."""
    state, force, after = interval()
    both = ca.vertcat(state, force)
    z = ca.MX.sym("z", 5 * intervals + 4)
    states, forces = ca.reshape(z[: 4 * intervals + 4], 4, -1)[:, :-1], z[4 * intervals + 4 :].T
    if name == "multiple shooting":
        each = ca.Function("each", [state, force], [ca.jacobian(after, both)], {"cse": True})
        return ca.Function("f", [z], [each.map(intervals)(states, forces)])
    weight = ca.SX.sym("weight", 4)
    energy = 0.5 * ca.sumsqr(both) + ca.dot(weight, after)
    each = ca.Function("each", [state, force, weight], [ca.hessian(energy, both)[0]], {"cse": True})
    weights = ca.DM(normal(4 * intervals).reshape(intervals, 4).T)
    return ca.Function("f", [z], [each.map(intervals)(states, forces, weights)])


def compiled(fun: Any, x: np.ndarray, folder: Path) -> tuple[Callable[[], None], np.ndarray, float]:
    """A call of its generated C, where that leaves the nonzeros, and the seconds to generate and compile."""
    start = time.perf_counter()
    folder.mkdir()
    generator = ca.CodeGenerator("f.c")
    generator.add(fun)
    generator.generate(f"{folder}/")
    command = [
        "gcc",
        "-O3",
        "-march=native",
        "-fPIC",
        "-shared",
        folder / "f.c",
        "-o",
        folder / "f.so",
        "-lm",
    ]
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - start
    library = ctypes.CDLL(str(folder / "f.so"))
    counts = [ctypes.c_longlong() for _ in range(4)]
    library.f_work(*map(ctypes.byref, counts))
    found = np.empty(fun.nnz_out(0))
    work = [
        np.empty(max(1, count.value), kind) for count, kind in zip(counts[2:], (np.int64, float), strict=True)
    ]
    sources = (ctypes.c_void_p * max(1, counts[0].value))(x.ctypes.data)
    results = (ctypes.c_void_p * max(1, counts[1].value))(found.ctypes.data)
    addresses = [ctypes.c_void_p(array.ctypes.data) for array in work]
    held = x, found, work  # as long as there are calls

    def call(held: Any = held) -> None:
        library.f(sources, results, *addresses, 0)

    call()
    return call, found, seconds


def benchmark(name: str, size: int, rounds: int) -> dict[str, Any]:
    """Compile and run all contenders on one problem."""
    problem = PROBLEMS[name]
    fun, x = problem.flat(size)
    derivative = graphax.hessve if problem.kind == "hessian" else graphax.jacve
    start = time.perf_counter()
    block = jax.jit(derivative(fun, sparse=True)).lower(x).compile()
    building = time.perf_counter() - start
    data = jax.jit(lambda x: derivative(fun, sparse=True)(x).data()).lower(x).compile()
    point = np.array(x)
    with tempfile.TemporaryDirectory() as folder:
        makers = {"as a whole": as_a_whole, "by intervals": by_intervals}
        theirs, seconds, difference = {}, {}, 0.0
        for form, made in makers.items():
            function = made(name, size)
            theirs[form], found, seconds[form] = compiled(
                function, point, Path(folder) / form.replace(" ", "_")
            )
            if form == "as a whole":
                pattern = function.sparsity_out(0)
                wanted: Any = np.zeros(function.size_out(0))
                wanted[pattern.row(), np.repeat(np.arange(wanted.shape[1]), np.diff(pattern.colind()))] = (
                    found
                )
                difference = float(abs(block(x).todense() - wanted).max() / abs(wanted).max())
        contenders: dict[str, Callable[[], Any]] = {
            "block": lambda: run_seconds(block, (x,)),
            "nonzeros": lambda: run_seconds(data, (x,)),
            **{f"casadi, {form}": lambda call=call: _seconds(call) for form, call in theirs.items()},
        }
        times: dict[str, list[float]] = {key: [] for key in contenders}
        for at in range(rounds):
            for key in np.random.default_rng(at).permutation(list(contenders)):
                times[key].append(contenders[key]())
    faster = min(theirs, key=lambda form: float(np.median(times[f"casadi, {form}"])))
    ratio = {key: np.divide(times[f"casadi, {faster}"], times[key]) for key in ("block", "nonzeros")}
    return {
        "variables": x.size,
        "nonzeros": block(x).nnz,
        "run": {key: float(np.median(row)) for key, row in times.items()},
        "ratio": {key: float(np.median(row)) for key, row in ratio.items()},
        "build": {"graphax": building, **{f"casadi, {form}": each for form, each in seconds.items()}},
        "error": difference,
    }


def _seconds(call: Callable[[], None]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main(argv: Sequence[str] | None = None) -> None:
    """Run the comparison and write the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=500, help="runs of each (default 500)")
    parser.add_argument("--smoke", action="store_true", help="small sizes and few rounds")
    parser.add_argument("--out", type=Path, required=True, help="file for the table")
    options = parser.parse_args(argv)
    jax.config.update("jax_enable_x64", True)
    table = {}
    for name in NAMES:
        problem = PROBLEMS[name]
        size, rounds = (problem.smoke, 3) if options.smoke else (problem.size, options.rounds)
        row = table[name] = benchmark(name, size, rounds)
        run = ", ".join(f"{key} {seconds * 1e3:.3f} ms" for key, seconds in row["run"].items())
        build = ", ".join(f"{key} {seconds:.1f} s" for key, seconds in row["build"].items())
        print(
            f"{name}: {run}; times as fast: block {row['ratio']['block']:.2f}, nonzeros"
            f" {row['ratio']['nonzeros']:.2f}; built in {build}; difference {row['error']:.0e}",
            flush=True,
        )
    options.out.write_text(json.dumps(table))


if __name__ == "__main__":
    main()
