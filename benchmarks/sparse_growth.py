"""What a sparse Jacobian holds, how long it takes beside one that is written by hand, and how it grows.

Stencils, a network, elementwise functions and independent systems, all in float64. Of every case are
reported the numbers held, the structural nonzeros, the size of the largest array in the jaxpr, the time to
trace, and the time of a compiled run next to that of a yardstick: `jax.jacrev`, or derivatives written by
hand. Runs are interleaved round by round; reported are medians. Then scalar programs are eliminated, each
in a process of its own: seconds to trace and to eliminate, and the peak of its memory.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from measure import Function, compile_seconds, run_seconds
from sparse_large import largest_array

import graphax
from graphax.sparse import Block

ORDERS = ("reverse", "forward", "markowitz")


@dataclass(frozen=True)
class Case:
    """A function whose Jacobian is sparse.

    Attributes:
        fun: the function.
        args: its arguments, all of them differentiated.
        nonzeros: how many structural nonzeros its Jacobians have.
        yardsticks: functions of the same arguments that the time of a run is compared with.
    """

    fun: Function
    args: tuple[jax.Array, ...]
    nonzeros: int
    yardsticks: dict[str, Function] = field(default_factory=dict)


def burgers_by_roll(u: jax.Array) -> jax.Array:
    """Central differences with periodic boundaries; the viscosity is 0.1, lengths are in grid steps."""
    left, right = jnp.roll(u, 1), jnp.roll(u, -1)
    return 0.1 * (right - 2 * u + left) - 0.5 * u * (right - left)


def burgers_by_slices(u: jax.Array) -> jax.Array:
    wide = jnp.concatenate([u[-1:], u, u[:1]])
    left, right = wide[:-2], wide[2:]
    return 0.1 * (right - 2 * u + left) - 0.5 * u * (right - left)


def burgers_diagonals(u: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The derivatives of Burgers' right-hand side with respect to the left, the middle and the right."""
    left, right = jnp.roll(u, 1), jnp.roll(u, -1)
    return 0.1 + 0.5 * u, -0.2 - 0.5 * (right - left), 0.1 - 0.5 * u


def reaction_diffusion(u: jax.Array) -> jax.Array:
    """The five-point Laplacian with periodic boundaries, and a cubic reaction."""
    neighbours = jnp.roll(u, 1, 0) + jnp.roll(u, -1, 0) + jnp.roll(u, 1, 1) + jnp.roll(u, -1, 1)
    return neighbours - 4 * u + u * (1 - u**2)


def flattened_reaction_diffusion(v: jax.Array) -> jax.Array:
    side = math.isqrt(v.size)
    return reaction_diffusion(v.reshape(side, side)).reshape(-1)


def random_edges(nodes: int, edges: int) -> np.ndarray:
    """Both ends of random edges, of which no two join the same nodes: an array of shape (2, edges)."""
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, nodes, (2 * edges, 2))
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1), axis=0)
    return rng.permutation(pairs)[:edges].T


def network(nodes: int, edges: int) -> Case:
    """The active power into every node of a network, by angles and voltages."""
    from scipy import sparse

    start, end = random_edges(nodes, edges)
    susceptance = np.random.default_rng(1).uniform(1, 2, edges)

    def residual(angle: jax.Array, voltage: jax.Array) -> jax.Array:
        flow = susceptance * voltage[start] * voltage[end] * jnp.sin(angle[start] - angle[end])
        return jnp.zeros(nodes).at[start].add(flow).at[end].add(-flow)

    def by_hand(angle: jax.Array, voltage: jax.Array) -> list[jax.Array]:
        """Derivatives of the flow through every edge, and of the powers with respect to their own node."""
        sine, cosine = jnp.sin(angle[start] - angle[end]), jnp.cos(angle[start] - angle[end])
        both = susceptance * voltage[start] * voltage[end]
        by_angle = both * cosine
        by_start, by_end = susceptance * voltage[end] * sine, susceptance * voltage[start] * sine
        nothing = jnp.zeros(nodes)
        own_angle = nothing.at[start].add(by_angle).at[end].add(by_angle)
        own_voltage = nothing.at[start].add(by_start).at[end].add(-by_end)
        return [jnp.asarray(part) for part in (by_angle, by_start, by_end, own_angle, own_voltage)]

    rows, columns = np.concatenate([[start, end], [end, start], [start, start], [end, end]], 1)
    pattern = sparse.coo_array((np.ones(len(rows)), (rows, columns)), shape=(nodes, nodes)).tocsr()
    args = _uniform((nodes,)), _uniform((nodes,), 1)
    return Case(residual, args, 2 * pattern.nnz, {"by hand": by_hand})


def damped(x: jax.Array) -> jax.Array:
    return jnp.sin(x) * jnp.exp(-x) / (1 + x**2)


def rotating(state: jax.Array) -> jax.Array:
    """The rates of six variables, each of which depends on all."""
    return jnp.sin(jnp.outer(state, state)).sum(0) + jnp.cumsum(state)


def cases(smoke: bool) -> dict[str, Case]:
    """All cases by name; small ones for a test of the benchmark itself."""
    large, small = (4096, 256, 10_000, 10**6, 1000), (64, 8, 50, 100, 10)
    points, side, nodes, entries, systems = small if smoke else large
    line, plane = _uniform((points,)), _uniform((side, side))
    burgers = {"jacrev": jax.jacrev(burgers_by_roll), "by hand": burgers_diagonals}
    sliced = {"jacrev": jax.jacrev(burgers_by_slices), "by hand": burgers_diagonals}
    derivative = jax.vmap(jax.grad(damped))
    each = jax.vmap(jax.jacrev(rotating))
    return {
        "Burgers, roll": Case(burgers_by_roll, (line,), 3 * points, burgers),
        "Burgers, slices": Case(burgers_by_slices, (line,), 3 * points, sliced),
        "Laplacian": Case(reaction_diffusion, (plane,), 5 * side**2),
        "Laplacian, flat": Case(flattened_reaction_diffusion, (plane.reshape(-1),), 5 * side**2),
        "network": network(nodes, 3 * nodes),
        "elementwise": Case(damped, (_uniform((entries,)),), entries, {"vmap(grad)": derivative}),
        "systems of six": Case(
            jax.vmap(rotating), (_uniform((systems, 6)),), 36 * systems, {"vmap(jacrev)": each}
        ),
    }


def _uniform(shape: tuple[int, ...], seed: int = 0) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).uniform(0.5, 1.5, shape))


def benchmark(case: Case, order: str, rounds: int) -> dict[str, Any]:
    """Measure one case.

    Args:
        case: the case.
        order: the elimination order.
        rounds: how often every contender is run; what takes more than thirty times as long as the fastest,
            once in a hundred rounds.

    Returns:
        counts, seconds to trace (in a warm process) and to compile, medians of run times in seconds by
        contender, and medians of the ratios of our run time to those of the yardsticks, round by round.
    """
    argnums = tuple(range(len(case.args)))

    def jacobian(*args: Any) -> Any:
        return graphax.jacve(case.fun, order=order, argnums=argnums, sparse=True)(*args)

    jax.make_jaxpr(jacobian)(*case.args)
    start = time.perf_counter()
    program = jax.make_jaxpr(lambda *args: jacobian(*args))(*case.args)
    tracing = time.perf_counter() - start
    compiling, compiled = compile_seconds(jacobian, case.args)
    contenders = {"jacve": compiled}
    for name, fun in case.yardsticks.items():
        _, contenders[name] = compile_seconds(fun, case.args)
    running: dict[str, list[float]] = {}
    for name, fun in contenders.items():
        run_seconds(fun, case.args)
        running[name] = [run_seconds(fun, case.args)]
    fastest = min(times[0] for times in running.values())
    for at in range(rounds):
        for name, fun in contenders.items():
            # Large results in between would push those of the others out of the caches.
            slow = running[name][0] > 30 * fastest and at % 100 > 0
            running[name].append(running[name][-1] if slow else run_seconds(fun, case.args))
    blocks = jax.tree.leaves(compiled(*case.args), is_leaf=lambda leaf: isinstance(leaf, Block))
    nonzeros = sum(block.nnz for block in blocks)
    if nonzeros != case.nonzeros:
        raise AssertionError(f"{nonzeros} structural nonzeros, where there are {case.nonzeros}")
    return {
        "entries": sum(math.prod(block.shape) for block in blocks),
        "nonzeros": nonzeros,
        "numbers": sum(block.structure.numbers for block in blocks),
        "largest": largest_array(program.jaxpr),
        "largest_argument": max(arg.size for arg in case.args),
        "trace": tracing,
        "compile": compiling,
        "run": {name: float(np.median(times)) for name, times in running.items()},
        "ratio": {
            name: float(np.median(np.divide(running["jacve"], running[name]))) for name in case.yardsticks
        },
    }


#: Runs in a process of its own, whose peak of memory tells of nothing else.
_PROGRAM = """
import json, resource, sys, time
import jax
import graphax
from alphagrad import tasks
operations, order = int(sys.argv[1]), sys.argv[2]
task = tasks.random_scalar(0, num_operations=operations)
args = [jax.ShapeDtypeStruct((), "float32") for _ in task.argnums]
found = {}
start = time.perf_counter()
graph = graphax.trace(task.fun, task.argnums)(*args)
found["trace"] = time.perf_counter() - start
start = time.perf_counter()
found["multiplications"] = graphax.count_ops(task.fun, task.argnums, order=order)(*args).mults
found["count"] = time.perf_counter() - start
start = time.perf_counter()
program = jax.make_jaxpr(graphax.jacve(task.fun, task.argnums, order=order, kernel=False))(*args)
found["eliminate"] = time.perf_counter() - start
found["equations"] = len(program.jaxpr.eqns)
found["peak_bytes"] = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps(found))
"""


def scalar_program(operations: int, order: str) -> dict[str, Any]:
    """Trace and eliminate a random program of scalars in a fresh process.

    Returns:
        seconds to trace, to count operations and to write the Jacobian's jaxpr (tracing and elimination
        included in both), multiplications, equations, and the peak of memory in bytes.
    """
    command = [sys.executable, "-c", _PROGRAM, str(operations), order]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def programs(sizes: Sequence[int]) -> dict[str, Any]:
    """Scalar programs of so many operations, in classical orders.

    Before anything else: the peak of a process includes that of the process that it was forked from.
    """
    table: dict[str, Any] = {}
    print(f"{'operations':<12}{'order':<12}{'trace':>9}{'count':>9}{'eliminate':>11}{'peak':>11}")
    for operations in sizes:
        rows = table[str(operations)] = {}
        for order in ORDERS:
            row = rows[order] = scalar_program(operations, order)
            print(
                f"{operations:<12}{order:<12}{row['trace']:>7.2f} s{row['count']:>7.2f} s"
                f"{row['eliminate']:>9.2f} s{row['peak_bytes'] / 2**20:>7.0f} MiB",
                flush=True,
            )
    return table


def table(smoke: bool, order: str, rounds: int) -> dict[str, Any]:
    """All cases."""
    print(
        f"\n{'case':<17}{'entries':>10}{'nonzeros':>10}{'numbers':>9}{'largest':>9}{'trace':>9}{'compile':>9}"
        f"{'run':>11}  yardsticks"
    )
    rows = {}
    for name, case in cases(smoke).items():
        row = rows[name] = benchmark(case, order, rounds)
        yardsticks = ", ".join(
            f"{key} {row['run'][key] * 1e3:.3f} ms (jacve / it {row['ratio'][key]:.3g})"
            for key in case.yardsticks
        )
        print(
            f"{name:<17}{row['entries']:>10.2g}{row['nonzeros']:>10}{row['numbers']:>9}{row['largest']:>9}"
            f"{row['trace'] * 1e3:>6.0f} ms{row['compile'] * 1e3:>6.0f} ms"
            f"{row['run']['jacve'] * 1e3:>8.3f} ms  {yardsticks}",
            flush=True,
        )
    return rows
