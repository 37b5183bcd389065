"""Vertex elimination on scalars: the Jacobian of expressions by their inputs, as expressions."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .._elimination import Costing
from ..choose import cheapest_first, sweeps
from ._derivatives import of_kind, plus, times, vanishes
from ._partials import Partials, partials
from ._reach import Reach
from ._scalars import LEAVES, Scalars, TooManyScalars, operands, operands_first, outside_of

#: Sinks are numbered from here on, beyond all expressions.
_SINKS = 1 << 40


@dataclass
class ScalarGraph:
    """The computational graph of expressions: an edge for every operand along which there is a derivative.

    Attributes:
        scalars: the table in which the expressions and their derivatives stand.
        into: for every vertex the edges from its predecessors.
        out_of: for every input and vertex its successors.
        outputs: for every root the sink that it leads to, or None where it depends on no input.
        inner: the vertices that can be eliminated, operands first.
    """

    scalars: Scalars
    into: dict[int, dict[int, int]]
    out_of: dict[int, set[int]]
    outputs: list[int | None]
    inner: list[int]

    @classmethod
    def of(cls, scalars: Scalars, roots: Sequence[int], inputs: Sequence[int]) -> ScalarGraph:
        """The graph of roots that depend on inputs."""
        wanted = tuple(inputs)

        def partials_of(x: int) -> Partials:
            if scalars.ops[x] == "last":
                loop, place = scalars.args[x]
                return derivatives_of_last(scalars, loop, place, wanted)
            return partials(scalars, x)

        return cls.between(scalars, roots, inputs, partials_of)

    @classmethod
    def between(
        cls,
        scalars: Scalars,
        roots: Sequence[int],
        inputs: Sequence[int],
        partials_of: Callable[[int], Partials],
    ) -> ScalarGraph:
        """The graph of roots that depend on inputs, by what the derivatives of every expression are."""
        edges, live = _live(scalars, roots, frozenset(inputs), partials_of)
        into: dict[int, dict[int, int]] = {}
        out_of: dict[int, set[int]] = {x: set() for x in inputs}
        # Derivatives are multiplied as numbers of the widest kind.
        kind = max((scalars.kinds[x] for x in (*inputs, *live) if scalars.kinds[x][0] == "f"), default="f4")
        for x in live:
            out_of[x] = set()
            into[x] = mine = {}
            for operand, partial in edges[x]:
                if operand in out_of:
                    partial = of_kind(scalars, partial, kind)
                    mine[operand] = plus(scalars, mine[operand], partial) if operand in mine else partial
                    out_of[operand].add(x)
        # Roots are sinks of their own, as a root may be an operand of another.
        outputs: list[int | None] = [None] * len(roots)
        for sink, root in enumerate(roots, _SINKS):
            if root in out_of:
                outputs[sink - _SINKS] = sink
                into[sink] = {root: scalars.const(1, kind)}
                out_of[root].add(sink)
        return cls(scalars, into, out_of, outputs, live)

    @property
    def eliminable(self) -> Sequence[int]:
        """The vertices that an order has to name, operands first."""
        return self.inner

    def costing(self) -> Costing:
        """The graph to be eliminated without doing it, with the operations counted."""
        edges = {
            (source, target): _kind_of_edge(self.scalars, edge)
            for target, row in self.into.items()
            for source, edge in row.items()
        }
        table: Any = _PRICES
        return Costing(table, edges, frozenset(), undoable=True)

    def copy(self) -> ScalarGraph:
        return ScalarGraph(
            self.scalars,
            {x: dict(edges) for x, edges in self.into.items()},
            {x: set(others) for x, others in self.out_of.items()},
            self.outputs,
            self.inner,
        )

    def eliminate(self, x: int) -> None:
        """Take a vertex out: every path through it becomes a part of an edge."""
        scalars, into, out_of = self.scalars, self.into, self.out_of
        before = into.pop(x)
        after = out_of.pop(x)
        for operand in before:
            out_of[operand].discard(x)
        for y in after:
            edges = into[y]
            factor = edges.pop(x)
            for operand, partial in before.items():
                path = times(scalars, factor, partial)
                if scalars.ops[path] == "zero":
                    continue
                there = edges.get(operand)
                edges[operand] = path if there is None else plus(scalars, there, path)
                out_of[operand].add(y)

    def entries(self, inputs: Sequence[int]) -> list[list[int]]:
        """What is left when all inner vertices are gone: for every root its derivatives by the inputs."""
        zeros = [self.scalars.zero(self.scalars.kinds[x]) for x in inputs]
        left: list[dict[int, int]] = [{} if sink is None else self.into[sink] for sink in self.outputs]
        return [
            [
                self.scalars.convert(edges[x], self.scalars.kinds[x]) if x in edges else zero
                for x, zero in zip(inputs, zeros, strict=True)
            ]
            for edges in left
        ]


def _live(
    scalars: Scalars,
    roots: Sequence[int],
    inputs: frozenset[int],
    partials_of: Callable[[int], Partials],
) -> tuple[dict[int, list[tuple[int, int]]], list[int]]:
    """The expressions between inputs and roots, operands first, with their partial derivatives."""
    edges: dict[int, list[tuple[int, int]]] = {}
    depends: dict[int, bool] = dict.fromkeys(inputs, True)
    order: list[int] = []

    def parts(x: int) -> list[int]:
        if x not in edges:
            edges[x] = [(y, d) for y, d in partials_of(x) if not vanishes(scalars, d)]
        return [y for y, _ in edges[x]]

    for x in operands_first(roots, depends, parts):
        depends[x] = any(depends[y] for y in parts(x))
        if depends[x]:
            order.append(x)
    return edges, order


# ---- orders


class _Prices:
    """What products and sums of derivatives cost, by kind: see :class:`graphax.sparse.StructureTable`."""

    VALUE, UNIT, CONSTANT = range(3)

    def __init__(self) -> None:
        self.products = {
            (x, y): (max((x, y), key=_Prices._rank), int(self.VALUE in (x, y) and self.UNIT not in (x, y)), 0)
            for x in range(3)
            for y in range(3)
        }
        self.sums = {
            (x, y): (self.VALUE if self.VALUE in (x, y) else self.CONSTANT, int(self.VALUE in (x, y)))
            for x in range(3)
            for y in range(3)
        }

    @staticmethod
    def _rank(kind: int) -> int:
        """Values make values of whatever they meet, constants of units."""
        return (2, 0, 1)[kind]

    def compose(self, outer: int, inner: int) -> tuple[int, int, int]:
        return self.products[outer, inner]

    def add(self, left: int, right: int) -> tuple[int, int]:
        return self.sums[left, right]


_PRICES = _Prices()


def _kind_of_edge(scalars: Scalars, x: int) -> int:
    known = scalars.value(x)
    if known is None:
        return _Prices.VALUE
    return _Prices.UNIT if abs(known) == 1 else _Prices.CONSTANT


def _orders(graph: ScalarGraph, order: str | None) -> list[Sequence[int]]:
    """The orders worth trying: the one that is named, or a few cheap ones, the cheapest first.

    Raises:
        TooManyScalars: when all of them take more multiplications than there may be expressions, or the
            classical ones more operations than there may be.
    """
    if order == "forward":
        return [graph.inner]
    if order == "reverse":
        return [graph.inner[::-1]]
    costing = graph.costing()
    view: Any = graph
    if order == "markowitz":
        return [cheapest_first(costing, view) or ()]
    found: dict[tuple[int, ...], int] = {}

    def price(candidate: Sequence[int]) -> None:
        found[tuple(candidate)] = costing.mults + costing.adds
        costing.rewind()

    most = graph.scalars.most
    for candidate in (graph.inner, graph.inner[::-1]):
        if costing.run(candidate, most):
            price(candidate)
        costing.rewind()
    if found and len(graph.inner) + min(found.values()) > graph.scalars.longest:
        raise TooManyScalars(graph.scalars.longest)
    for ties in ("first", "last"):
        if (cheapest := cheapest_first(costing, view, ties, most)) is not None:
            price(cheapest)
        costing.rewind()
    if not found:
        raise TooManyScalars(most)
    work = min(_WORK, 40 * len(graph.inner) ** 2)
    if len(graph.inner) > 1:
        best, _ = sweeps(costing, min(found, key=lambda each: found[each]), work)
        costing.run(best)
        price(best)
    return [*sorted(found, key=lambda each: found[each])[:_TRIED]]


#: The work of a search for an order, and how many of the orders are carried out to be compared.
_WORK, _TRIED = 30_000, 2


def jacobian(
    scalars: Scalars,
    roots: Sequence[int],
    inputs: Sequence[int],
    order: str | None = None,
    *,
    beside: Sequence[int] = (),
) -> list[list[int]]:
    """The derivatives of expressions by inputs, as expressions.

    Args:
        scalars: the table in which all of them stand.
        roots: what is differentiated.
        inputs: by what: expressions of any kind, whose own operands are not looked at.
        order: ``"forward"``, ``"reverse"`` or ``"markowitz"``; None for the one of several, searched ones
            among them, that takes the fewest operations.
        beside: what is computed beside the derivatives, with which they share what they can.

    Returns:
        for every root a list with its derivative by every input; structural zeros where there is none.
    """
    return accumulated(ScalarGraph.of(scalars, roots, inputs), inputs, order, beside)


def accumulated(
    graph: ScalarGraph, inputs: Sequence[int], order: str | None, beside: Sequence[int] = ()
) -> list[list[int]]:
    """What is left of a graph when all vertices are eliminated; see :func:`jacobian`."""
    scalars = graph.scalars
    best: list[list[int]] = []
    least = None
    for vertices in _orders(graph, order):
        trial = graph.copy()
        for x in vertices:
            trial.eliminate(x)
        entries = trial.entries(inputs)
        cost = operations(scalars, [*beside, *(x for row in entries for x in row)])
        if least is None or cost < least:
            best, least = entries, cost
    return best


def operations(scalars: Scalars, roots: Sequence[int]) -> int:
    """How many operations it takes to compute expressions: everything but reading and constants.

    Those of a loop count once, whatever its length.
    """
    seen: set[int] = set()
    pending = list(roots)
    count = 0
    while pending:
        x = pending.pop()
        if x in seen:
            continue
        seen.add(x)
        op = scalars.ops[x]
        count += op not in LEAVES and op != "given"
        if op == "carry":
            pending.append(scalars.last(*scalars.args[x]))
        pending.extend(operands(scalars, x))
    return count


# ---- loops


def derivatives_of_last(scalars: Scalars, number: int, place: int, inputs: tuple[int, ...]) -> Partials:
    """The derivatives of what the last step of a loop hands on.

    They are handed on from step to step beside the values: the loop is given further places, which hold the
    derivatives of its own by the inputs, or by the expressions that it takes from outside if these are fewer.
    Only those that may differ from zero have a place.

    Args:
        scalars: the table.
        number: of the loop.
        place: what is differentiated.
        inputs: by what.

    Returns:
        pairs of an input, or an expression from outside of the loop, and the derivative by it.
    """
    loop = scalars.loops[number]
    found = loop.derivatives.get(inputs)
    if found is None:
        found = loop.derivatives[inputs] = _differentiated(scalars, number, inputs)
    return [(x, scalars.last(number, at)) for x, at in found[place].items()]


def _differentiated(scalars: Scalars, number: int, inputs: tuple[int, ...]) -> list[dict[int, int]]:
    loop = scalars.loops[number]
    own = range(loop.own)
    carries = [scalars.carry(number, k) for k in own]
    outside = outside_of(scalars, number, loop.after[: loop.own])
    sources = list(dict.fromkeys([*(loop.first[k] for k in own), *outside]))
    after, reach = loop.after[: loop.own], Reach(scalars)
    _check_step(scalars, reach, (loop.first[: loop.own], carries, after, outside), sources, inputs)
    by_inputs = {
        source: {x: d for x, d in zip(inputs, row, strict=True) if not scalars.is_zero(d)}
        for source, row in zip(sources, jacobian(scalars, sources, inputs), strict=True)
    }
    moving = [source for source in sources if by_inputs[source]]
    used = {x for row in by_inputs.values() for x in row}
    if len(moving) < len(used):
        by_inputs = {x: {x: scalars.const(1, scalars.kinds[x])} if x in set(moving) else {} for x in sources}
        columns = moving
    else:
        columns = [x for x in inputs if x in used]
    bits = {x: 1 << at for at, x in enumerate(columns)}
    by = {source: sum(bits[x] for x in row) for source, row in by_inputs.items()}
    pattern = reach.handed_on([by[x] for x in loop.first[: loop.own]], carries, after, by)
    places: list[dict[int, int]] = [{} for _ in own]
    for k in own:
        for x in columns:
            if pattern[k] & bits[x]:
                places[k][x] = len(loop.first)
                loop.first.append(by_inputs[loop.first[k]].get(x, scalars.zero(scalars.kinds[x])))
                loop.after.append(scalars.carry(number, places[k][x]))  # until it is known
    edges: dict[int, Partials] = {
        carry: [(x, scalars.carry(number, at)) for x, at in row.items()]
        for carry, row in zip(carries, places, strict=True)
    }
    for source in outside:
        if source not in columns:
            edges.setdefault(source, list(by_inputs[source].items()))

    def partials_of(x: int) -> Partials:
        if x in edges:
            return edges[x]
        if scalars.ops[x] == "last":
            inner, place = scalars.args[x]
            return derivatives_of_last(scalars, inner, place, (*carries, *outside))
        return partials(scalars, x)

    graph = ScalarGraph.between(scalars, loop.after[: loop.own], columns, partials_of)
    rows = accumulated(graph, columns, None, loop.after[: loop.own])
    for row, found in zip(rows, places, strict=True):
        for x, at in found.items():
            loop.after[at] = row[columns.index(x)]
    return places


def _check_step(
    scalars: Scalars,
    reach: Reach,
    loop: Sequence[Sequence[int]],
    sources: Sequence[int],
    inputs: Sequence[int],
) -> None:
    """Raise TooManyScalars for a loop whose steps take more operations than there may be at first sight.

    Args:
        scalars: the table.
        reach: of its expressions.
        loop: what the loop starts with, what every step is handed, hands on, and takes from outside.
        sources: the first and the last of these.
        inputs: by what is differentiated.
    """
    first, carries, after, outside = loop
    known = {x: 1 << at for at, x in enumerate(inputs)}
    by = dict(zip(sources, reach.of(sources, known), strict=True))
    moving = [source for source in sources if by[source]]
    used = functools.reduce(operator.or_, by.values(), 0)
    if len(moving) < used.bit_count():
        by = dict.fromkeys(sources, 0) | {x: 1 << at for at, x in enumerate(moving)}
    handed = reach.handed_on([by[x] for x in first], carries, after, by)
    least = reach.least_operations(dict(zip(carries, handed, strict=True)), after, outside)
    if least > scalars.longest:
        raise TooManyScalars(scalars.longest)
