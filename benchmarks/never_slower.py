"""Holds `graphax.jacve(f)`, with nothing said, against the better of JAX's own modes, function by function.

    python benchmarks/never_slower.py --out results/never_slower.json

The functions are those of `everyday/`, the tasks and the kernel suite; the contenders `jax.jacfwd` and
`jax.jacrev`, for Hessians `jax.hessian` and `jacrev(jacrev)`, for losses `jax.grad`; `jacve` (`hessve`) with
nothing said; and it again with every set of keywords, or every setting of the environment, that `--also`
names: by default by arrays alone, and without JAX's own modes. Every one is compiled cold, without
the persistent cache, the order store and what the process remembers; then runs take turns, of about 20
milliseconds each. On a CPU every call is waited for. On a GPU a call of a small function takes the host ten
times as long as the GPU: there the run time is that in which kernels run, as JAX's profiler has it, and what
calls take that are queued and waited for once is shown beside it.

A ratio above one means that `jacve` runs faster. That of trace + compile and of memory (arguments, results
and temporaries, as the compiled program states them) is above one where `jacve` takes more. All are to the
better of JAX's modes in that respect. Functions are measured in a process of their own, which is ended when
one takes too long; one that misses a goal is measured again, in a fresh process, and all that was found
counts. The exit status is 1 when a function runs slower than `--least` allows, fails, or is wrong.
"""

from __future__ import annotations

import argparse
import ast
import json
import multiprocessing
import os
import re
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from everyday import CHOSEN, EXAMPLES, LOSSES, Case
from kernel_suite import LOOPS, SUITE
from measure import busy_rounds, calls_for, run_seconds, save, seconds_of_calls
from ratios import OURS, Row, faults, figures, joined, misses, report

import graphax
from alphagrad import tasks
from graphax import _tuned
from graphax.choose import _store, _time
from graphax.tuning._derivative import Derivative

_PARTS = ("tasks", "suite", "chosen", "examples", "losses")
#: What is measured besides: elimination by arrays alone, and without JAX's modes.
_ALSO = ("kernel=False", "GRAPHAX_CANDIDATES=kernels")
#: Functions that are quickly compiled, of several kinds.
_SMOKE = (
    "michaelis_menten",
    "kepler",
    "quaternion_rotation",
    "embeddings",
    "two_decays",
    "mlp_loss",
    "Simple",
)


def all_cases(parts: Sequence[str] = _PARTS) -> dict[str, Case]:
    """The functions by name: those of some parts of the collection."""

    def of_task(name: str) -> Case:
        task = tasks.load(name)
        return Case(name, task.fun, task.args, task.argnums, field=task.domain)

    found: dict[str, list[Case]] = {"chosen": CHOSEN, "examples": EXAMPLES, "losses": LOSSES}
    found["tasks"] = [of_task(name) for name in tasks.names() if not name.startswith("random")]
    found["suite"] = [
        Case(f"{name} (suite), batch 4096", case.fun, (case.middle,), batch=4096)
        for name, case in (SUITE | LOOPS).items()
    ]
    return {case.name: case for part in parts for case in found[part]}


# ---- measuring, in a process of its own


def contenders(case: Case, also: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The derivatives to be timed: JAX's, and those by elimination."""
    fun, argnums, modes = case.fun, case.argnums, case.by_jax()
    derivative = graphax.hessve if case.kind == "hessian" else graphax.jacve
    ours = {OURS: derivative(fun, argnums)}
    for text in also:
        ours[text] = derivative(fun, argnums, **({} if is_setting(text) else keywords(text)))
    if case.batch is not None:
        modes, ours = ({key: jax.vmap(f, case.axes) for key, f in some.items()} for some in (modes, ours))
    return modes, ours


def keywords(text: str) -> dict[str, Any]:
    """Keyword arguments as they are written in a call."""
    call = ast.parse(f"_({text})", mode="eval").body
    assert isinstance(call, ast.Call)
    return {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}


def is_setting(text: str) -> bool:
    """Whether a contender differs in a variable of the environment, not in keywords."""
    return text.startswith("GRAPHAX_")


@contextmanager
def setting(text: str) -> Iterator[None]:
    """The environment that a contender is traced in."""
    if not is_setting(text):
        yield
        return
    variable, _, value = text.partition("=")
    before = os.environ.get(variable)
    os.environ[variable] = value
    try:
        yield
    finally:
        del os.environ[variable]
        if before is not None:
            os.environ[variable] = before


def way_taken(case: Case) -> str:
    """Which way `jacve` goes with nothing said."""
    trial = _tuned.Trial()
    axes = None if case.batch is None else case.axes
    of = Derivative(case.fun, case.argnums, "hessian" if case.kind == "hessian" else "jacobian", axes)
    jax.eval_shape(of.by(trial), *case.sample())
    return trial.taken


def forget() -> None:
    """Empty what JAX and graphax remember of earlier programs; machine code of kernels stays."""
    jax.clear_caches()
    _store.forget()
    _time.forget()
    _tuned.forget()
    for name, module in list(sys.modules.items()):
        if name.startswith("graphax.") and not name.startswith("graphax.kernels.cpu"):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def compiled_cold(fun: Any, args: Sequence[Any]) -> tuple[Any, Row]:
    """The executable, and the seconds and bytes that it takes."""
    forget()
    start = time.perf_counter()
    lowered = jax.jit(lambda *inputs: fun(*inputs)).lower(*args)
    middle = time.perf_counter()
    compiled = lowered.compile()
    end = time.perf_counter()
    memory = compiled.memory_analysis()
    parts = ("temp", "output", "argument")
    held = sum(getattr(memory, f"{part}_size_in_bytes") for part in parts) if memory else 0
    return compiled, {"trace": [middle - start], "compile": [end - middle], "bytes": held}


def difference(found: Any, wanted: Any) -> float:
    """The largest difference of any leaf, in parts of its largest entry."""
    worst = 0.0
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        one, other = np.asarray(one), np.asarray(other)
        size = float(np.abs(other).max(initial=0.0))
        apart = float(np.abs(one - other).max(initial=0.0))
        worst = max(worst, apart / size if size > 1e-6 else apart) if np.isfinite(apart) else float("inf")
    return worst


def measured(case: Case, also: Sequence[str], rounds: int, seconds: float) -> Row:
    """Time all contenders on one function.

    Returns:
        under `contenders` for every one seconds to trace, to compile and of a call in every round, bytes, and
        its difference from the nearest of JAX's modes; under `refused` those of these that cannot be applied.
    """
    args = case.sample()
    modes, ours = contenders(case, also)
    table: dict[str, Row] = {}
    funs: dict[str, Any] = {}
    refused: dict[str, str] = {}
    for key, fun in (modes | ours).items():
        try:
            with setting(key):
                funs[key], table[key] = compiled_cold(fun, args)
        except (TypeError, ValueError) as error:
            if key not in modes:
                raise
            refused[key] = str(error).splitlines()[0]
    values = {key: fun(*args) for key, fun in funs.items()}
    for key, value in values.items():
        # XLA is not always right about one of them.
        table[key]["error"] = min(difference(value, values[mode]) for mode in modes if mode in values)
    once = {key: min(run_seconds(fun, args) for _ in range(2)) for key, fun in funs.items()}
    # One look is enough at what is out of the question.
    racing = {key: fun for key, fun in funs.items() if once[key] < max(20 * min(once.values()), 1e-4)}
    for key in funs:
        table[key]["run"] = [] if key in racing else [once[key]]
    calls = {key: calls_for(fun, args, seconds) for key, fun in racing.items()}
    for turn in range(rounds):
        for key in np.random.default_rng(turn).permutation(list(racing)):
            table[key]["run"].append(seconds_of_calls(racing[key], args, calls[key]))
    for key, found in busy_rounds(funs, args, rounds).items():
        table[key]["busy"] = found
    return {
        "field": case.field,
        "kind": case.kind,
        "way": way_taken(case),
        "modes": [mode for mode in modes if mode in funs],
        "contenders": table,
        "refused": refused,
    }


def work(pipe: Connection, parts: Sequence[str], rounds: int, seconds: float) -> None:
    """Measure what is asked for, a name and the contenders besides, until nothing is."""
    os.environ["GRAPHAX_ORDER_STORE"] = "off"
    jax.config.update("jax_enable_compilation_cache", False)
    cases = all_cases(parts)
    warm = Case("", lambda x: jnp.sin(x) * x[0], (jnp.ones(3),))
    measured(warm, ["kernel=False"], 1, 1e-3)  # what is imported and started once
    while (asked := pipe.recv()) is not None:
        name, also = asked
        try:
            pipe.send(measured(cases[name], also, rounds, seconds))
        except Exception as error:  # one function shall not cost the table
            traceback.print_exc()
            pipe.send(
                {"failed": f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"}
            )


def rows_of(wanted: dict[str, Sequence[str]], options: argparse.Namespace) -> Iterator[tuple[str, Row]]:
    """Measure functions in another process, and in the next one where that has to be ended.

    Args:
        wanted: for every name the contenders besides.
        options: of the command.
    """
    context = multiprocessing.get_context("spawn")
    process = pipe = None
    for name, also in wanted.items():
        if process is None or not process.is_alive():
            pipe, end = context.Pipe()
            settings = (end, options.parts, options.rounds, options.seconds)
            process = context.Process(target=work, args=settings, daemon=True)
            process.start()
            end.close()
        assert pipe is not None
        try:
            pipe.send((name, also))
            if pipe.poll(options.limit):
                yield name, pipe.recv()
                continue
            reason = f"took longer than {options.limit:.0f} s"
        except (EOFError, OSError):
            reason = "the process ended"
        process.kill()
        process.join()
        process = None
        yield name, {"failed": reason}
    if process is not None and pipe is not None:
        pipe.send(None)
        process.join()


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark; ends with status 1 when a function is slower than allowed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--parts", nargs="+", default=list(_PARTS), choices=_PARTS, help="of the collection")
    parser.add_argument("--only", help="a regular expression that names have to match")
    parser.add_argument("--share", default="1/1", help="I/N: every N-th function, from the I-th on")
    parser.add_argument(
        "--also",
        action="append",
        help=f"keywords or a setting of a further contender (default {', '.join(_ALSO)}); '' is none",
    )
    parser.add_argument("--rounds", type=int, default=7, help="of runs (default 7)")
    parser.add_argument("--seconds", type=float, default=0.02, help="of calls a round (default 0.02)")
    parser.add_argument("--limit", type=float, default=90, help="seconds for a function (default 90)")
    parser.add_argument("--least", type=float, default=0.9, help="ratio of run times allowed (default 0.9)")
    parser.add_argument("--once", action="store_true", help="measure nothing again")
    parser.add_argument("--smoke", action="store_true", help="a few quick functions, with wide limits")
    parser.add_argument("--out", type=Path, help="a JSON file, written after every function")
    parser.add_argument(
        "--show", nargs="+", type=Path, help="JSON files: measure nothing, show what they hold"
    )
    options = parser.parse_args(argv)
    options.also = list(_ALSO) if options.also is None else [text for text in options.also if text]
    rows: dict[str, Row] = {}
    if options.show:
        for path in options.show:
            for name, row in json.loads(path.read_text())["rows"].items():
                rows[name] = joined(row, rows.get(name))
    else:
        if options.smoke:
            options.only, options.least, options.rounds = f"^({'|'.join(_SMOKE)})$", 0.3, 3
        measure_all(rows, options)
    print(report(rows))
    found = faults(rows, options.least)
    if found:
        print("\nNot allowed:", *found, sep="\n- ")
        sys.exit(1)


def measure_all(rows: dict[str, Row], options: argparse.Namespace) -> None:
    """Measure the functions that are asked for, and those that miss a goal again."""
    at, of = map(int, options.share.split("/"))
    names = [name for name in all_cases(options.parts) if re.search(options.only or "", name)][at - 1 :: of]
    besides: Sequence[str] = options.also

    def measure(wanted: dict[str, Sequence[str]]) -> None:
        for name, row in rows_of(wanted, options):
            rows[name] = joined(row, rows.get(name))
            if "failed" in row:
                print(f"{name}: {row['failed']}", flush=True)
            else:
                its = figures(rows[name])
                print(
                    f"{name}: {its['run']:.2f} times as fast as {its['mode']}, trace + compile "
                    f"{its['built']:.2f}, memory {its['memory']:.2f}",
                    flush=True,
                )
            if options.out:
                save(options.out, {"rounds": options.rounds, "rows": rows})

    measure({name: besides for name in names})
    if not options.once:
        # Whatever failed may have failed for what was to be measured besides.
        again: dict[str, Sequence[str]] = {
            name: [] if "failed" in rows[name] else besides for name in names if misses(rows[name])
        }
        measure(again)


if __name__ == "__main__":
    main()
