"""About how long an elimination takes, from what its products and sums consist of."""

from __future__ import annotations

from collections.abc import Sequence

from .._elimination import Costing, Elimination, OutOfWork
from .._graph import ComputationalGraph
from ..sparse import ZERO, Execution, execution_of_product, execution_of_sum
from ..timing import Constants, constants_for
from ._auto import auto
from ._heuristics import forward, reverse

# Another order is taken where it is estimated to take so much less time, on top of what calls take at least,
# for no more than so many times the operations: in a batch they are what counts.
_MARGIN, _CALL, _TIMES = 0.9, 3000.0, 2
# Pricing a classical order may take so much work.
_PRICING = 2_500_000


def quickest(graph: ComputationalGraph) -> tuple[int, ...]:
    """The order that ``"auto"`` is: :func:`auto`, unless a classical one is estimated to run faster.

    Multiplications are not what a device takes most time for where there are few: a product that sums over
    many numbers is a kernel of its own, entries that are multiplied one by one are computed within others.
    The estimate is that of :func:`elimination_nanoseconds` for the default device.

    Args:
        graph: the graph; one that is counted is taken for the graph that is executed.

    Returns:
        vertex numbers.
    """
    graph = graph.executed()
    found = auto(graph)
    if len(found) < 2:
        return found
    constants = constants_for()
    try:
        limit = _MARGIN * (elimination_nanoseconds(graph, found, constants) + _CALL)
        most = _TIMES * sum(graph.cost(found))
        for other in (reverse(graph), forward(graph)):
            taken = _CALL + elimination_nanoseconds(graph, other, constants)
            if taken < limit and sum(graph.cost(other)) <= most:
                found, limit = other, taken
    except OutOfWork:
        pass
    return found


def elimination_nanoseconds(
    graph: ComputationalGraph, order: Sequence[int], constants: Constants | None = None
) -> float:
    """About how long the products and sums of an elimination take on a device.

    Args:
        graph: the graph; one that is counted is taken for the graph that is executed.
        order: vertex numbers.
        constants: of the device, by default of JAX's default device.

    Raises:
        OutOfWork: when it takes long to work out what the products are.
    """
    graph = graph.executed()
    constants = constants or constants_for()
    table, edges = graph.interned()
    costing = Costing(table, edges, graph.output_vertices)
    costing.allowance = _PRICING
    costing.run(order)  # now all products and sums are known
    structures = table.structures
    spent = 0.0

    def compose(outer: int, inner: int) -> int | None:
        nonlocal spent
        spent += _nanoseconds(execution_of_product(structures[outer], structures[inner]), constants)
        found = table.compose(outer, inner)[0]
        return None if found == ZERO else found

    def add(left: int, right: int) -> int:
        nonlocal spent
        spent += _nanoseconds(execution_of_sum(structures[left], structures[right]), constants)
        return table.add(left, right)[0]

    elimination = Elimination(edges, graph.output_vertices)
    for vertex in order:
        elimination.eliminate(vertex, compose, add)
    return spent


def _nanoseconds(found: Execution, constants: Constants) -> float:
    kernels = found.products + found.reductions + found.scatters
    return (
        kernels * constants.kernel
        + found.entries * constants.entry
        + found.products * constants.product
        + found.multiplied * constants.multiply
        + found.reduced * constants.reduced
        + found.gathered * constants.gathered
        + found.scattered * constants.scattered
    )
