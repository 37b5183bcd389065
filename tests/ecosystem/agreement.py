"""Whether `jacve` gives the Jacobian of JAX however it is asked, and what it takes beside JAX."""

import dataclasses
import math
import time
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from graphax import FallbackWarning, hessve, jacve, value_and_jacve

ROUNDS = 30


@dataclasses.dataclass(frozen=True)
class Case:
    """A function of a library's user.

    Attributes:
        fun: returns a pytree of floating arrays.
        args: pytrees of numbers, where the Jacobian is taken.
        argnums: which of them are differentiated; these are batched under ``vmap``.
        rtol: how far entries may be off, relative to the largest one.
        hessian: whether second derivatives are compared.
        ways: how `jacve` is called, beside ``jit`` with the order that it finds.
    """

    fun: Callable
    args: Sequence
    argnums: int | tuple[int, ...] = 0
    rtol: float = 1e-9
    hessian: bool = False
    ways: Sequence[str] = ("bare", "forward", "reverse", "vmap")

    def moving(self, at):
        return at in (self.argnums if isinstance(self.argnums, tuple) else (self.argnums,))


class Staged(NamedTuple):
    """A compiled function, the seconds that it took to trace and compile, and its result."""

    run: Callable
    trace: float
    compile: float
    result: object


def assert_agrees(name, case):
    """Every way of calling `jacve` gives JAX's Jacobian; a line with times beside JAX's is printed.

    Raises:
        AssertionError: with a line for every way that refuses or is off.
    """
    case = dataclasses.replace(case, args=jax.tree.map(jnp.asarray, case.args))
    jax.block_until_ready(case.fun(*case.args))  # solvers that give up raise here
    mode, theirs = jacobian_of_jax(case)
    problems = {}
    try:
        with warnings.catch_warnings(record=True, action="always") as heard:
            ours = staged(jacve(case.fun, argnums=case.argnums), case.args)
        judge(problems, "jit", case, excess(case, ours.result, theirs.result))
        how = ", by JAX's own mode" if any(warning.category is FallbackWarning for warning in heard) else ""
        print(f"\n{name}: {ratios(case, ours, theirs)} x {mode.__name__}{how}", flush=True)
    except Exception as error:
        problems["jit"] = first_line(error)
    for way in (*case.ways, *(("hessian",) if case.hessian else ())):
        try:
            judge(problems, way, case, WAYS[way](case, theirs))
        except Exception as error:
            problems[way] = first_line(error)
    assert not problems, "\n".join(f"{name}, {way}: {problem}" for way, problem in problems.items())


def judge(problems, way, case, off):
    if not off <= 1:
        problems[way] = f"off by {off * case.rtol:.1e} of the largest entry"


def first_line(error):
    return f"{type(error).__name__}: {error}".split("\n")[0][:300]


def staged(fun, args):
    start = time.perf_counter()
    lowered = jax.jit(fun).lower(*args)
    middle = time.perf_counter()
    run = lowered.compile()
    end = time.perf_counter()
    return Staged(run, middle - start, end - middle, run(*args))


def jacobian_of_jax(case):
    """The mode of JAX that fits the function's shape, if it works, else the other, and its Jacobian."""
    failures = []
    for mode in modes_by_fitness(case):
        try:
            return mode, staged(mode(case.fun, case.argnums), case.args)
        except Exception as error:
            failures.append(error)
    raise ExceptionGroup("JAX has no Jacobian to compare with", failures)


def modes_by_fitness(case):
    moving = [arg for at, arg in enumerate(case.args) if case.moving(at)]
    inputs = sum(jnp.size(leaf) for leaf in jax.tree.leaves(moving))
    types = jax.tree.leaves(jax.eval_shape(case.fun, *case.args))
    fits = [jax.jacfwd, jax.jacrev]
    return fits if inputs <= sum(math.prod(kind.shape) for kind in types) else fits[::-1]


def excess(case, actual, expected):
    """How far the worst entry is off, in units of what is allowed."""
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    pairs = list(zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True))
    largest = max(float(np.max(np.abs(e))) for _, e in pairs if e.size)
    assert math.isfinite(largest)
    worst = 0.0
    for a, e in pairs:
        assert (a.shape, a.dtype) == (e.shape, e.dtype), f"{a.shape} {a.dtype} for {e.shape} {e.dtype}"
        if e.size:
            worst = np.maximum(worst, np.max(np.abs(np.asarray(a) - np.asarray(e))))  # NaN stays NaN
    return float(worst) / (case.rtol * max(largest, 1e-3))


def compiled(order):
    def way(case, theirs):
        jacobian = jax.jit(jacve(case.fun, order=order, argnums=case.argnums))
        return excess(case, jacobian(*case.args), theirs.result)

    return way


def bare(case, theirs):
    value, jacobian = value_and_jacve(case.fun, argnums=case.argnums)(*case.args)
    off = excess(case, jax.tree.map(jnp.asarray, value), case.fun(*case.args))
    return max(off, excess(case, jacobian, theirs.result))


def vmapped(case, theirs):
    """Two lanes beside JAX's Jacobians of each."""
    second = [
        jax.tree.map(lambda leaf: leaf * 1.01, arg) if case.moving(at) else arg
        for at, arg in enumerate(case.args)
    ]
    axes = tuple(0 if case.moving(at) else None for at in range(len(second)))
    both = [
        arg if axis is None else stacked(arg, other)
        for arg, other, axis in zip(case.args, second, axes, strict=True)
    ]
    actual = jax.jit(jax.vmap(jacve(case.fun, argnums=case.argnums), axes))(*both)
    return excess(case, actual, stacked(theirs.result, theirs.run(*second)))


def stacked(*trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def hessian(case, theirs):
    def scalar(*args):
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(case.fun(*args)))

    actual = jax.jit(hessve(scalar, argnums=case.argnums))(*case.args)
    return excess(case, actual, hessian_of_jax(scalar, case))


def hessian_of_jax(scalar, case):
    failures = []
    for outer in (jax.jacfwd, jax.jacrev):
        for inner in (jax.jacrev, jax.jacfwd):
            try:
                return jax.jit(outer(inner(scalar, case.argnums), case.argnums))(*case.args)
            except Exception as error:
                failures.append(error)
    raise ExceptionGroup("JAX has no Hessian to compare with", failures)


WAYS = {
    "forward": compiled("forward"),
    "reverse": compiled("reverse"),
    "bare": bare,
    "vmap": vmapped,
    "hessian": hessian,
}


def ratios(case, ours, theirs):
    """Tracing, compiling and running (the fastest of rounds that take turns) in units of JAX's mode."""
    runs = [], []
    for _ in range(ROUNDS):
        for one, seconds in zip((ours, theirs), runs, strict=True):
            start = time.perf_counter()
            jax.block_until_ready(one.run(*case.args))
            seconds.append(time.perf_counter() - start)
    figures = {
        "trace": (ours.trace, theirs.trace),
        "compile": (ours.compile, theirs.compile),
        "run": map(min, runs),
    }
    return ", ".join(f"{what} {a / b:.2f} ({a * 1e3:.2f} ms)" for what, (a, b) in figures.items())
