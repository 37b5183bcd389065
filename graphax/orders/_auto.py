"""The order that is taken when none is named: remembered, or found by a short search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .._elimination import Costing
from .._graph import ComputationalGraph
from ._check import check_order
from ._heuristics import cheapest_first, forward, looking_ahead, relatively_cheapest_first, reverse
from ._remember import Known, keep, recall
from ._sweeps import sweeps

# A searched order must cost so much less than the best classical one: multiplications are not everything.
_MARGIN = 0.03
# Of so few vertices every order is tried.
_FEW = 7
# From so many vertices on finding an order again takes longer than reading it.
_WORTH_KEEPING = 16
# Graphs of more vertices are searched for longer; still larger ones are not searched.
_SMALL, _LARGE = 200, 2000
# How much work a search may take, as Costing counts it; a million takes about half a second.
_WORK_SMALL, _WORK_LARGE = 700_000, 2_500_000
# Looking ahead is the slowest of the heuristics.
_LOOK_AHEAD = 400


def auto(graph: ComputationalGraph) -> tuple[int, ...]:
    """The order that :func:`graphax.jacve` takes when none is named.

    What is known of the graph in this process or in the order store (see :func:`remember`) is taken. Else
    the cheapest of :func:`forward`, :func:`reverse`, :func:`markowitz` and a few other heuristics is the
    start of a short search; graphs of more than 2000 vertices are not searched. The result is remembered.

    Cost is the number of multiplications that are executed. The order is never costlier than the best of
    forward, reverse and Markowitz; it is one of these (in doubt reverse) unless the search saves 3 %. The
    search is deterministic and limited by a count of its work, not by a clock, so that every process finds
    the same order.

    Args:
        graph: the graph.

    Returns:
        vertex numbers.
    """
    if len(graph.eliminable) < 2:
        return graph.eliminable
    known = recall(graph)
    if known is None:
        found = _search(graph)
        known = keep(graph, found.order, found.cost, found.method, len(found.order) >= _WORTH_KEEPING)
    return known.order


def remember(
    graph: ComputationalGraph,
    order: Sequence[int],
    *,
    method: str,
    seed: int | None = None,
    seconds: float | None = None,
    task: str | None = None,
) -> bool:
    """Keep an order for :func:`auto`, if it is cheaper than the one that is kept.

    Orders are kept in this process, and as files in the order store: the folder ``graphax/orders`` in the
    user's cache directory, or the one that the environment variable ``GRAPHAX_ORDER_STORE`` names. Set to
    ``off`` or to nothing, the variable disables the store.

    Args:
        graph: the graph that the order belongs to.
        order: vertex numbers.
        method: what found it.
        seed: the seed of the search.
        seconds: how long the search took.
        task: the name of the task.

    Returns:
        whether the order is kept, because it takes fewer multiplications than the one kept before.

    Raises:
        ValueError: when the order is not one of the graph's.
    """
    vertices = check_order(graph, order)
    if len(vertices) < 2:
        return False
    cost = graph.cost(vertices).mults
    before = recall(graph)
    if cost >= (before or _search(graph)).cost:
        return False
    return keep(graph, vertices, cost, method, True, seed=seed, seconds=seconds, task=task).order == vertices


class _Found(NamedTuple):
    """An order that a search found.

    Attributes:
        order: vertex numbers.
        cost: its multiplications.
        method: what found it.
    """

    order: tuple[int, ...]
    cost: int
    method: str


def _search(graph: ComputationalGraph) -> _Found:
    """A cheap order, found without looking anything up."""
    costing = Costing(graph, undoable=True)
    classical = _best_classical(costing, graph)
    length = len(graph.eliminable)
    if not classical.cost:
        return classical
    if length <= _FEW:
        order, cost = _best_of_all(costing, classical, _work(length, costing.work))
        searched = _Found(order, cost, "exhaustive")
    else:
        searched = _improved(costing, graph, classical)
    return searched if searched.cost <= (1 - _MARGIN) * classical.cost else classical


def _best_classical(costing: Costing, graph: ComputationalGraph) -> _Found:
    """The cheapest of reverse, forward and Markowitz, in doubt the first of these."""
    order = reverse(graph)
    costing.run(order)
    best = _Found(order, costing.mults, "reverse")
    costing.rewind()
    if costing.run(forward(graph), best.cost - 1):
        best = _Found(forward(graph), costing.mults, "forward")
    costing.rewind()
    order = cheapest_first(costing, graph, limit=best.cost - 1)
    if order is not None:
        best = _Found(order, costing.mults, "markowitz")
    costing.rewind()
    return best


def _improved(costing: Costing, graph: ComputationalGraph, best: _Found) -> _Found:
    """What other heuristics find, and a search that starts from the best of them."""
    length = len(graph.eliminable)
    work = _work(length, costing.work)
    for name, heuristic in {
        "markowitz, last of ties": lambda limit: cheapest_first(costing, graph, "last", limit),
        "relative markowitz": lambda limit: relatively_cheapest_first(costing, graph, limit),
        "lookahead": lambda limit: looking_ahead(costing, graph, 8, limit),
    }.items():
        if name == "lookahead" and length > _LOOK_AHEAD:
            continue
        order = heuristic(best.cost - 1)
        if order is not None:
            best = _Found(order, costing.mults, name)
        costing.rewind()
    if length > _LARGE:
        return best
    order, cost = sweeps(costing, best.order, work)
    return _Found(order, cost, "sweeps") if cost < best.cost else best


def _work(length: int, classical: int) -> int:
    """How much work a search of a graph with so many vertices may take.

    Args:
        length: the number of eliminable vertices.
        classical: the work that the classical orders took.
    """
    return min(100 * length**2 + 4 * classical, _WORK_SMALL if length <= _SMALL else _WORK_LARGE)


def _best_of_all(costing: Costing, start: _Found, work: int) -> tuple[tuple[int, ...], int]:
    """The cheapest of all orders, found by trying them; of those tried when the work runs out."""
    best, best_cost = start.order, start.cost
    limit = costing.work + work
    prefix: list[int] = []

    def extend(left: set[int], last: int, next_to_last: set[int]) -> None:
        nonlocal best, best_cost
        if not left:
            best, best_cost = tuple(prefix), costing.mults
        for vertex in sorted(left):
            # Vertices that share no edge can go in either order: the smaller number first will do.
            if (vertex < last and vertex not in next_to_last) or costing.work > limit:
                continue
            neighbours = costing.neighbours(vertex)
            costing.eliminate(vertex)
            prefix.append(vertex)
            if costing.mults < best_cost:
                extend(left - {vertex}, vertex, neighbours)
            prefix.pop()
            costing.undo()

    extend(set(start.order), 0, set())
    return best, best_cost
