"""Kernels of Jacobians beside CasADi's: operations, and run time of its generated C, one thread, float64.

    pip install casadi
    taskset -c 0 python benchmarks/casadi_peer.py --out results/

CasADi is given the functions of `kernel_suite.py` as the scalar expressions that the kernel is made from,
differentiates them by itself, with `cse` on, and its C is compiled by `gcc -O3 -march=native -ffast-math`
with a loop over the batch around it. Operations are all but loads, stores and constants.

That loop is timed twice: alone, where it writes into the same memory again and again (`run, casadi`), and
as XLA calls it from a compiled function, which is how the kernel is called (`run, casadi in jax`): there a
call takes what it takes JAX, and the result memory of its own, as for the kernel.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from kernel_suite import SUITE, Case
from measure import device_name, save

import graphax
from graphax import kernels

casadi: Any = importlib.import_module("casadi")

_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "neg": lambda x: -x,
    "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y,
    "eq": lambda x, y: x == y,
    "ne": lambda x, y: x != y,
    "select": casadi.if_else,
    "max": casadi.fmax,
    "min": casadi.fmin,
    "abs": casadi.fabs,
    "pow": lambda x, y: x**y,
    "and": casadi.logic_and,
    "or": casadi.logic_or,
    "not": casadi.logic_not,
    "atan2": casadi.atan2,
    "convert": lambda x: x,
}
_FREE = {casadi.OP_INPUT, casadi.OP_OUTPUT, casadi.OP_CONST}
_LOOP = """
void rows(const double *x, double *y, long batch) {{
  casadi_int sz_arg = 0, sz_res = 0, sz_iw = 0, sz_w = 0;
  f_work(&sz_arg, &sz_res, &sz_iw, &sz_w);
  const double *arg[16]; double *res[16]; casadi_int iw[sz_iw + 1]; double w[sz_w + 1];
  for (long i = 0; i < batch; i++) {{
    arg[0] = x + i * {inputs}; res[0] = y + i * {outputs};
    f(arg, res, iw, w, 0);
  }}
}}
"""
_CALL = """
#include "xla/ffi/api/ffi.h"
namespace ffi = xla::ffi;
extern "C" void rows(const double *x, double *y, long batch);
static ffi::Error call(ffi::Buffer<ffi::F64> x, ffi::ResultBuffer<ffi::F64> y) {
  rows(x.typed_data(), y->typed_data(), x.dimensions()[0]);
  return ffi::Error::Success();
}
XLA_FFI_DEFINE_HANDLER_SYMBOL(called, call,
                              ffi::Ffi::Bind().Arg<ffi::Buffer<ffi::F64>>().Ret<ffi::Buffer<ffi::F64>>());
"""


def function(case: Case) -> Any:
    """CasADi's function of the Jacobian, its columns one after another as in rows of JAX's."""
    program = kernels.program_of(case.fun, jax.ShapeDtypeStruct((len(case.middle),), np.float64))
    x = casadi.SX.sym("x", len(case.middle))
    values: list[Any] = []
    for op, args, _ in program:
        if op == "input":
            values.append(x[args[1]])
        elif op == "const":
            values.append(casadi.SX(float(args[0])))
        else:
            fun = _OPERATIONS.get(op) or getattr(casadi, op)
            values.append(fun(*(values[y] for y in args)))
    result = casadi.vertcat(*(values[y] for y in program.results[0].entries))
    jacobian = casadi.densify(casadi.jacobian(result, x)).T  # columns of the transpose are rows
    return casadi.Function("f", [x], [jacobian], {"cse": True})


def operations(fun: Any) -> int:
    return sum(fun.instruction_id(k) not in _FREE for k in range(fun.n_instructions()))


def compiled(fun: Any, inputs: int, outputs: int, folder: str) -> tuple[Any, float]:
    """A library with the loop over its generated C, which XLA can call, and the seconds to compile the C."""
    source, call, part = (Path(folder) / name for name in ("f.c", "call.cc", "f.o"))
    generator = casadi.CodeGenerator("f.c")
    generator.add(fun)
    generator.generate(folder + "/")
    source.write_text(source.read_text() + _LOOP.format(inputs=inputs, outputs=outputs))
    call.write_text(_CALL)
    flags = ["-O3", "-march=native", "-ffast-math", "-fPIC"]
    start = time.perf_counter()
    subprocess.run(["gcc", *flags, "-c", source, "-o", part], check=True)
    seconds = time.perf_counter() - start
    library = source.with_suffix(".so")
    headers = ["-std=c++17", "-w", "-I", jax.ffi.include_dir()]
    subprocess.run(["g++", *flags, "-shared", *headers, call, part, "-o", library, "-lm"], check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.rows.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_long]
    return loaded, seconds


def in_jax(library: Any, name: str, points: jax.Array, like: np.ndarray) -> Callable[[jax.Array], jax.Array]:
    """Its loop as a compiled function of JAX."""
    target = f"casadi_{name}"
    jax.ffi.register_ffi_target(target, jax.ffi.pycapsule(library.called), platform="cpu")
    call = jax.ffi.ffi_call(target, jax.ShapeDtypeStruct(like.shape, like.dtype))
    return jax.jit(lambda x: call(x)).lower(points).compile()


def benchmark(name: str, batch: int, rounds: int) -> dict[str, Any]:
    case = SUITE[name]
    points = case.sample(batch, np.float64)
    kernel = graphax.jacve(case.fun, kernel=True)
    ours = jax.jit(jax.vmap(kernel)).lower(points).compile()
    wanted = np.asarray(ours(points))
    theirs = function(case)
    with tempfile.TemporaryDirectory() as folder:
        library, seconds = compiled(theirs, points.shape[1], wanted[0].size, folder)
        given, found = np.array(points), np.empty_like(wanted)
        called = in_jax(library, name, points, wanted)

        def run() -> None:
            library.rows(given.ctypes.data, found.ctypes.data, batch)

        run()
        contenders: dict[str, Callable[[], Any]] = {
            "run": lambda: jax.block_until_ready(ours(points)),
            "run, casadi": run,
            "run, casadi in jax": lambda: jax.block_until_ready(called(points)),
        }
        times: dict[str, list[float]] = {key: [] for key in contenders}
        for _ in range(rounds):
            for key, call in contenders.items():
                start = time.perf_counter()
                call()
                times[key].append(time.perf_counter() - start)
    return {
        "operations": kernels.program_of(kernel, points[0]).operations,
        "operations, casadi": operations(theirs),
        **{key: float(np.median(found)) for key, found in times.items()},
        "compile, casadi": seconds,
        "difference": float(np.abs(found - wanted).max() / np.abs(wanted).max()),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run the comparison and write `casadi.json`."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--functions", nargs="+", default=list(SUITE), help="names of the suite")
    parser.add_argument(
        "--batch", type=int, default=512, help="points (default 512: results stay in the cache)"
    )
    parser.add_argument("--rounds", type=int, default=15, help="runs of each (default 15)")
    parser.add_argument("--out", type=Path, help="folder for casadi.json")
    options = parser.parse_args(argv)
    jax.config.update("jax_enable_x64", True)
    table = {}
    print(f"{device_name()}, casadi {casadi.__version__}")
    for name in options.functions:
        row = table[name] = benchmark(name, options.batch, options.rounds)
        print(
            f"{name:<18} operations {row['operations']:>5} to {row['operations, casadi']:>5}, run"
            f" {row['run'] * 1e6:>7.1f} to {row['run, casadi'] * 1e6:>7.1f} us"
            f" ({row['run, casadi'] / row['run']:.2f} times as fast), in jax"
            f" {row['run, casadi in jax'] * 1e6:>7.1f} us"
            f" ({row['run, casadi in jax'] / row['run']:.2f}), gcc {row['compile, casadi']:.1f} s,"
            f" difference {row['difference']:.0e}",
            flush=True,
        )
    if options.out:
        save(
            options.out / "casadi.json",
            {"casadi": casadi.__version__, "batch": options.batch, "rounds": options.rounds, "table": table},
        )


if __name__ == "__main__":
    main()
