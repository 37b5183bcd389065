"""About how long an elimination takes, from what its products and sums consist of."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from .._elimination import Costing, Elimination, OutOfWork
from .._graph import ComputationalGraph
from .._remembered import Remembered
from ..sparse import ZERO, Execution, Structure, execution_of_product, execution_of_sum
from ..timing import Constants, constants_for
from ._auto import known_order, search_briefly
from ._heuristics import forward, reverse
from ._store import Found

# Another order is taken where it is estimated to take so much less time, on top of what calls take at least,
# for no more than so many times the operations: in a batch they are what counts.
_MARGIN, _CALL, _TIMES = 0.9, 3000.0, 2
# So much work, as Costing counts it, is worth a search for every nanosecond, the time of 3000 runs; and for
# every vertex, well below the time in which it is traced and compiled.
_WORK, _PER_VERTEX = 8, 200
# Pricing a classical order may take so much work.
_PRICING = 2_500_000


def quickest(graph: ComputationalGraph) -> tuple[int, ...]:
    """The order that ``"auto"`` is: of few multiplications, or classical if that is estimated to be faster.

    It is the one that :func:`graphax.orders.auto` knows, or what a shorter search finds: it takes no longer
    than 3000 runs of what is eliminated.

    Multiplications are not what a device takes most time for where there are few: a product that sums over
    many numbers is a kernel of its own, entries that are multiplied one by one are computed within others.
    The estimate is that of :func:`elimination_nanoseconds` for the default device.

    Args:
        graph: the graph; one that is counted is taken for the graph that is executed.

    Returns:
        vertex numbers.
    """
    graph = graph.executed()
    if len(graph.eliminable) < 2:
        return graph.eliminable
    constants = constants_for()
    known = known_order(graph)
    key = graph.fingerprint, known and known.order, constants
    return _known.get(key) or _known.keep(key, _quickest(graph, known, _Pricing(graph, constants)))


def forget() -> None:
    """Forget what this process found."""
    _known.clear()


_known: Remembered[tuple[str, tuple[int, ...] | None, Constants], tuple[int, ...]] = Remembered(1024)


def _quickest(graph: ComputationalGraph, known: Found | None, pricing: _Pricing) -> tuple[int, ...]:
    def worth(found: Found) -> int:
        return int(_WORK * pricing.of(found.order).nanoseconds + _PER_VERTEX * len(found.order))

    found = (known or search_briefly(graph, worth)).order
    with contextlib.suppress(OutOfWork):
        first = pricing.of(found)
        limit = _MARGIN * (first.nanoseconds + _CALL)
        for other in (reverse(graph), forward(graph)):
            price = pricing.of(other)
            if price.nanoseconds + _CALL < limit and price.operations <= _TIMES * first.operations:
                found, limit = other, price.nanoseconds + _CALL
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
    return _Pricing(graph.executed(), constants or constants_for()).of(order).nanoseconds


class _Price(NamedTuple):
    nanoseconds: float
    operations: int


class _Pricing:
    """What orders of a graph take on a device; products and sums that they share are looked at once."""

    def __init__(self, graph: ComputationalGraph, constants: Constants) -> None:
        self._table, self._edges = graph.interned()
        self._outputs = graph.output_vertices
        self._constants = constants
        self._known: dict[tuple[bool, int, int], float] = {}
        self._spent = 0.0

    def of(self, order: Sequence[int]) -> _Price:
        """What an order takes; may raise OutOfWork."""
        costing = Costing(self._table, self._edges, self._outputs)
        costing.allowance = _PRICING
        costing.run(order)  # now all products and sums are known
        self._spent = 0.0
        elimination = Elimination(self._edges, self._outputs)
        for vertex in order:
            elimination.eliminate(vertex, self._compose, self._add)
        return _Price(self._spent, costing.mults + costing.adds)

    def _compose(self, outer: int, inner: int) -> int | None:
        self._spent += self._time_of(execution_of_product, outer, inner)
        found = self._table.compose(outer, inner)[0]
        return None if found == ZERO else found

    def _add(self, left: int, right: int) -> int:
        self._spent += self._time_of(execution_of_sum, left, right)
        return self._table.add(left, right)[0]

    def _time_of(self, execution: Callable[[Structure, Structure], Execution], one: int, other: int) -> float:
        key = execution is execution_of_sum, one, other
        if key not in self._known:
            structures = self._table.structures
            found = execution(structures[one], structures[other])
            self._known[key] = execution_nanoseconds(found, self._constants)
        return self._known[key]


def execution_nanoseconds(found: Execution, constants: Constants) -> float:
    """About how long a product or a sum takes on a device, beside others."""
    kernels = found.products + found.reductions + found.scatters
    return (
        kernels * constants.kernel
        + found.entries * constants.entry
        + found.products * (constants.contraction + constants.product)
        + found.multiplied * constants.multiply
        + found.reduced * constants.reduced
        + found.gathered * constants.gathered
        + found.scattered * constants.scattered
    )
