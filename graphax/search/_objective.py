"""What an order is judged by: operations, numbers held at once, seconds estimated, seconds measured."""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import jax
import numpy as np

from .._accumulate import jacobians_of
from .._elimination import Elimination
from .._graph import ComputationalGraph, check_graph, check_order, order_cost
from .._trace import Variable
from ..rules import real_type
from ..sparse import ZERO
from ..spelling import did_you_mean
from ..timing import Constants, estimated_seconds

Objective = Literal["mults", "flops", "memory", "time", "runtime"]
"""What an order is judged by; :func:`evaluate` says what each of them means.

Example:
    >>> from typing import get_args
    >>> get_args(orders.Objective)
    ('mults', 'flops', 'memory', 'time', 'runtime')
"""

_RUN_SECONDS = 1e-3  # what a run on a batch should take, well above the cost of starting it
_PROBE = 256  # the batch whose run is timed to choose the batch
_MOST_NUMBERS = 1 << 24  # held by a batch
_WIDE = {np.dtype(name) for name in ("float64", "int64", "uint64", "complex128")}


def evaluate(graph: ComputationalGraph, order: Sequence[int], objective: Objective = "mults") -> int | float:
    """What an order is worth; less is better.

    Args:
        graph: the graph. Operations and numbers held are those of its convention; seconds have none.
        order: vertex numbers.
        objective: what is asked for:

            - ``"mults"``: multiplications;
            - ``"flops"``: multiplications and additions;
            - ``"memory"``: the most numbers that edges hold at once. An edge holds the numbers of its
              structure; static ones and constants are none. While a vertex is eliminated its own edges and
              those that come of it are there together: counted is what all edges hold when the products and
              sums of the vertex are in and its edges have not been dropped yet. The peak is the largest such
              count, or what the graph holds to begin with if that is more. The in-edges of an output stay as
              they are and count once;
            - ``"time"``: seconds of a compiled run on one input on this device, as :func:`estimate` has them;
            - ``"runtime"``: seconds of a compiled run on this device, as :func:`measure` finds them.

    Returns:
        a whole number of operations or numbers, or seconds.

    Raises:
        ValueError: for another word for the objective, or an order of another graph.

    Example:
        >>> graph = graphax.trace(lambda x: jnp.sin(jnp.exp(x) * x))(1.0)
        >>> order = orders.reverse(graph)
        >>> orders.evaluate(graph, order), orders.evaluate(graph, order, "flops")
        (3, 4)
    """
    check_graph(graph, "evaluate")
    check_objective(objective)
    vertices = check_order(graph, order)
    if objective == "runtime":
        return measure(graph, [vertices])[0]
    if objective == "time":
        return estimate(graph, vertices)
    if objective == "memory":
        return _peak(graph, vertices)
    cost = order_cost(graph, vertices)
    return cost.mults if objective == "mults" else cost.mults + cost.adds


def check_objective(objective: str) -> None:
    """Whether there is such an objective.

    Raises:
        ValueError: if not.
    """
    known = get_args(Objective)
    if objective not in known:
        raise ValueError(
            f"unknown objective {objective!r}; {did_you_mean(str(objective), known)}objectives are "
            + ", ".join(map(repr, known))
        )


def _peak(graph: ComputationalGraph, order: Sequence[int]) -> int:
    """The most numbers held at once; see :func:`evaluate`."""
    table, edges = graph.interned()
    elimination = Elimination(edges, graph.output_vertices)

    def numbers(edge: int) -> int:
        return table.structures[edge].numbers

    held = peak = sum(map(numbers, edges.values()))

    def compose(outer: int, inner: int) -> int | None:
        nonlocal held
        product = table.compose(outer, inner)[0]
        if product == ZERO:
            return None
        held += numbers(product)
        return product

    def add(left: int, right: int) -> int:
        nonlocal held
        total = table.add(left, right)[0]
        held += numbers(total) - numbers(left) - numbers(right)
        return total

    for vertex in order:
        dropped = list(elimination.out.get(vertex, {}).values())
        if vertex not in graph.output_vertices:
            dropped += elimination.in_.get(vertex, {}).values()
        elimination.eliminate(vertex, compose, add)
        peak = max(peak, held)
        held -= sum(map(numbers, dropped))
    return peak


def estimate(graph: ComputationalGraph, order: Sequence[int], constants: Constants | None = None) -> float:
    """About how long the Jacobian takes in an order, compiled, on JAX's default device; nothing is compiled.

    Args:
        graph: the graph; its program is traced, in whatever convention it is.
        order: vertex numbers.
        constants: those of a device, by default of this one; see :func:`graphax.calibrate`.

    Returns:
        seconds for one input, as :func:`graphax.timing.estimated_seconds` estimates those of a program.

    Raises:
        ValueError: when the order does not fit the graph.

    Example:
        >>> graph = graphax.trace(lambda x: jnp.sin(jnp.exp(x) * x))(jnp.ones(1000))
        >>> 0 < orders.estimate(graph, orders.reverse(graph)) < 1  # seconds
        True
    """
    check_graph(graph, "estimate")
    vertices = check_order(graph, order)
    inputs = [
        jax.ShapeDtypeStruct(variable.aval.shape, variable.aval.dtype)
        for variable in graph.numbering.program.inputs
    ]
    with _precision_of(graph):
        return estimated_seconds(jax.make_jaxpr(_jacobian(graph, vertices))(*inputs), constants)


def fastest(
    graph: ComputationalGraph,
    candidates: Sequence[Sequence[int]],
    *,
    repeats: int = 30,
    batch: int | None = None,
) -> tuple[int, ...]:
    """The order whose compiled run takes the least time on this device.

    Args:
        graph: the graph.
        candidates: orders; every one is compiled.
        repeats, batch: as for :func:`measure`.

    Returns:
        the candidate, as a tuple.

    Raises:
        ValueError: when there is no candidate, or as :func:`measure`.

    Example:
        >>> graph = graphax.trace(lambda x: jnp.sin(jnp.exp(x) * x))(1.0)
        >>> candidates = [orders.forward(graph), orders.reverse(graph)]
        >>> orders.fastest(graph, candidates, repeats=3, batch=8) in candidates
        True
    """
    check_graph(graph, "fastest")
    if not candidates:
        raise ValueError("candidates is empty; give at least one order")
    seconds = measure(graph, candidates, repeats=repeats, batch=batch)
    return check_order(graph, candidates[seconds.index(min(seconds))])


def measure(
    graph: ComputationalGraph,
    orders: Sequence[Sequence[int]],
    *,
    repeats: int = 30,
    batch: int | None = None,
) -> list[float]:
    """How long the Jacobian takes in each order, compiled, on JAX's default device.

    What is timed is the Jacobian with respect to all differentiated inputs, as dense arrays; complex ones
    are differentiated as pairs of real and imaginary parts. Inputs are a fixed draw between
    0.5 and 1.5; integers are zero. Runs are interleaved, so that a busy machine slows all orders alike.

    Args:
        graph: the graph; its program is run, in whatever convention it is.
        orders: vertex numbers of each order.
        repeats: how often each is run, after it has been run twice to warm up.
        batch: how many inputs a run works on side by side, with ``jax.vmap`` if more than one. By default so
            many that a run takes about a millisecond, within 2**24 numbers held: starting a run takes tens of
            microseconds, which would drown the differences between small graphs.

    Returns:
        for each order the median of its runs, in seconds for one input (those of a run divided by ``batch``).

    Raises:
        ValueError: when an order does not fit the graph, or ``repeats`` or ``batch`` is less than 1.
        TypeError: when the function takes something that cannot be drawn, such as random keys.

    Example:
        >>> graph = graphax.trace(lambda x: jnp.sin(jnp.exp(x) * x))(1.0)
        >>> (seconds,) = orders.measure(graph, [orders.reverse(graph)], repeats=3, batch=8)
        >>> 0 < seconds < 1
        True
    """
    check_graph(graph, "measure")
    if repeats < 1:
        raise ValueError(f"repeats={repeats} must be at least 1")
    if batch is not None and batch < 1:
        raise ValueError(f"batch={batch} must be at least 1, or None to have it chosen")
    vertices = [check_order(graph, order) for order in orders]
    distinct = list(dict.fromkeys(vertices))
    if not distinct:
        return []
    with _precision_of(graph):
        size = batch or _fitting_batch(graph, distinct)
        inputs = _inputs(graph, size)
        runs = [_compiled(graph, order, size) for order in distinct]
        seconds: list[list[float]] = [[] for _ in runs]
        for turn in range(-2, repeats):
            for run, found in zip(runs, seconds, strict=True):
                taken = _run_seconds(run, inputs)
                if turn >= 0:
                    found.append(taken)
    median = {order: statistics.median(found) / size for order, found in zip(distinct, seconds, strict=True)}
    return [median[order] for order in vertices]


def _run_seconds(run: Callable[..., Any], inputs: Sequence[jax.Array]) -> float:
    start = time.perf_counter()
    jax.block_until_ready(run(*inputs))
    return time.perf_counter() - start


def _fitting_batch(graph: ComputationalGraph, orders: Sequence[tuple[int, ...]]) -> int:
    """How many inputs a run should work on; see :func:`measure`."""
    program = graph.numbering.program
    variables = (*program.inputs, *(output for equation in program.equations for output in equation.outputs))
    values = sum(math.prod(variable.aval.shape) for variable in variables)
    held = max(_peak(graph.executed(), order) for order in orders)
    types = [program.inputs[at].aval for at in graph.numbering.wrt]
    results = [atom.aval for atom in program.outputs[: len(graph.outputs)]]
    jacobian = sum(math.prod(kind.shape) for kind in types) * sum(math.prod(kind.shape) for kind in results)
    most = _MOST_NUMBERS // max(1, values + held + jacobian)
    probe = min(_PROBE, most)
    if probe < 2:
        return 1
    run, inputs = _compiled(graph, orders[0], probe), _inputs(graph, probe)
    _run_seconds(run, inputs)
    taken = min(_run_seconds(run, inputs) for _ in range(3))
    return max(1, min(most, round(probe * _RUN_SECONDS / taken)))


def _compiled(graph: ComputationalGraph, order: tuple[int, ...], batch: int) -> Callable[..., Any]:
    """The Jacobian of a graph in this order, as a function of its inputs; compiled when first called."""
    jacobian = _jacobian(graph, order)
    return jax.jit(jacobian if batch == 1 else jax.vmap(jacobian))


def _jacobian(graph: ComputationalGraph, order: tuple[int, ...]) -> Callable[..., list[jax.Array]]:
    """The Jacobian of a graph in this order, as a function of its inputs."""
    numbering = graph.numbering
    types = [numbering.program.inputs[at].aval for at in numbering.wrt]

    def jacobian(*values: Any) -> list[jax.Array]:
        _, rows = jacobians_of(numbering, len(graph.outputs), values, order)
        return [
            block.todense(real_type(kind.dtype))
            for row in rows
            for block, kind in zip(row, types, strict=True)
            if block is not None
        ]

    return jacobian


def _inputs(graph: ComputationalGraph, batch: int) -> list[jax.Array]:
    """A fixed draw for every input of the program."""
    rng = np.random.default_rng(0)
    return [
        _draw(rng, variable, () if batch == 1 else (batch,)) for variable in graph.numbering.program.inputs
    ]


def _draw(rng: np.random.Generator, variable: Variable, lead: tuple[int, ...]) -> jax.Array:
    kind = variable.aval
    shape = (*lead, *kind.shape)
    if jax.numpy.issubdtype(kind.dtype, np.complexfloating):
        drawn = rng.uniform(0.5, 1.5, shape) + 1j * rng.uniform(0.5, 1.5, shape)
    elif jax.numpy.issubdtype(kind.dtype, np.floating):
        drawn = rng.uniform(0.5, 1.5, shape)
    elif jax.numpy.issubdtype(kind.dtype, np.integer) or kind.dtype == np.bool_:
        drawn = np.zeros(shape)
    else:
        raise TypeError(
            f"an input of dtype {kind.dtype} cannot be drawn to measure a run; close the function over it"
        )
    return jax.numpy.asarray(drawn, kind.dtype)


def _precision_of(graph: ComputationalGraph) -> Any:
    """Programs of 64-bit numbers were traced with these switched on, and have to be run so."""
    program = graph.numbering.program
    variables = (*program.inputs, *(output for equation in program.equations for output in equation.outputs))
    wide = any(getattr(variable.aval, "dtype", None) in _WIDE for variable in variables)
    return jax.enable_x64(True) if wide else contextlib.nullcontext()
