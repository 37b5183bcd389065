"""The order that is taken when none is named: remembered, or found by a short search."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence

from .._elimination import Costing, OutOfWork
from .._graph import ComputationalGraph, check_graph, check_order
from ._heuristics import cheapest_first, forward, looking_ahead, relatively_cheapest_first, reverse
from ._order_file import record
from ._store import Found, keep, recall
from ._sweeps import sweeps

# A searched order must cost so much less than the best classical one: multiplications are not everything.
_MARGIN = 0.03
# Of so few vertices every order is tried.
_FEW = 7
# From so many vertices on finding an order again takes longer than reading it.
_WORTH_KEEPING = 16
# Graphs of more vertices are searched for longer; still larger ones are not searched.
_SMALL, _LARGE = 200, 2000
# How much work the search may take, and how much all may take together, as Costing counts it: a million takes
# about half a second.
_SEARCH_SMALL, _TOTAL_SMALL = 700_000, 1_200_000
_SEARCH_LARGE, _TOTAL_LARGE = 2_500_000, 6_000_000
# Nor may all that follows the classical orders take much longer than what it can save: a small part of the
# time in which an order's products, sums and vertices are traced and compiled, and that of a few thousand
# runs, as far as that is not many times as long; in the same unit, for everything that is looked up while the
# order is priced, and for every multiplication.
_PER_LOOK_UP, _PER_MULTIPLICATION, _TIMES_AS_LONG = 300, 10, 3
# One part in so many of it is left for the search, where other heuristics take long.
_FOR_SWEEPS = 3
# Classical orders keep together what belongs together, and are improved more easily than those of the other
# heuristics, unless these are so much cheaper.
_HEAD_START = 0.7
# How much work pricing the classical orders may take before they go unpriced.
_PRICING_SMALL, _PRICING_LARGE = 2_500_000, 10_000_000
# Looking ahead is the slowest of the heuristics.
_LOOK_AHEAD = 400


def auto(graph: ComputationalGraph) -> tuple[int, ...]:
    """The order that :func:`graphax.jacve` takes when none is named.

    What is known of the graph in this process or in the order store (see :func:`remember`) is taken, unless
    an order in the store is costlier than a classical one; programs of several processes leave the store
    alone, so that all find the same order. Else :func:`forward`, :func:`reverse`,
    :func:`markowitz` and a few other heuristics are tried, and a short search starts from one of them; graphs
    of more than 2000 vertices are not searched, nor those of derivatives of one number or by one number. The
    result is remembered.

    Cost is the number of multiplications that are executed. The order is never costlier than the best of
    forward, reverse and Markowitz; it is one of these (in doubt reverse) unless the search saves 3 %, of
    multiplications alone and of multiplications and additions together. The
    search is deterministic and limited by a count of its work, not by a clock, so that every process finds
    the same order; the limit is in proportion to what the order costs to compile and run. (Where it takes
    longer than the search may to work out what the classical orders cost, because edges are sums of dozens
    of terms or hold tables of many thousand indices, those that are not priced in time are left out, reverse
    never.)

    Args:
        graph: the graph; one that is counted is taken for the graph that is executed.

    Returns:
        vertex numbers.

    Example:
        >>> def f(x):
        ...     y = jnp.sin(x)
        ...     return jnp.stack([y * jnp.exp(y), y + jnp.cos(y)])
        >>> graph = graphax.trace(f)(1.0)
        >>> classical = (orders.forward(graph), orders.reverse(graph), orders.markowitz(graph))
        >>> graph.cost(orders.auto(graph)).mults <= min(graph.cost(order).mults for order in classical)
        True

    Forward, reverse and Markowitz order: A. Griewank and A. Walther, *Evaluating Derivatives*, 2nd ed., SIAM
    2008, chapters 9 and 10.
    """
    check_graph(graph, "auto")
    graph = graph.executed()
    if len(graph.eliminable) < 2:
        return graph.eliminable
    known = known_order(graph)
    if known is None:
        found = search_briefly(graph)
        worth = len(found.order) >= _WORTH_KEEPING and found.cost < math.inf
        file = record(graph, found.order, method=found.method) if worth else None
        known = keep(graph, found, file)
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
    ``off`` or to nothing, the variable disables the store. Where nothing can be written there, a warning says
    so, and the order is kept in this process.

    Args:
        graph: the graph that the order belongs to; one that is counted is taken for the graph that is
            executed.
        order: vertex numbers.
        method: what found it.
        seed: the seed of the search.
        seconds: how long the search took.
        task: the name of the task.

    Returns:
        whether the order is kept, because it takes fewer multiplications than the one kept before.

    Raises:
        ValueError: when the order is not one of the graph's.

    Example:
        >>> f = lambda x: jnp.exp(jnp.sin(x) * jnp.cos(x)) * x
        >>> graph = graphax.trace(f)(1.0)
        >>> order = orders.anneal(graph, steps=1000)
        >>> kept = orders.remember(graph, order, method="anneal")  # jacve(f) takes it from now on
        >>> graph.cost(orders.auto(graph)).mults <= graph.cost(order).mults
        True
    """
    check_graph(graph, "remember")
    graph = graph.executed()
    vertices = check_order(graph, order)
    if len(vertices) < 2:
        return False
    cost = graph.cost(vertices).mults
    before = known_order(graph)
    if cost >= (before or search_briefly(graph)).cost:
        return False
    file = record(graph, vertices, method=method, seed=seed, seconds=seconds, task=task)
    return keep(graph, Found(vertices, cost, method), file, insist=True).order == vertices


def known_order(graph: ComputationalGraph) -> Found | None:
    """What :func:`auto` knows of a graph that is executed, in this process or by the order store."""
    return recall(graph, lambda cost: _is_beaten(graph, cost))


def search_briefly(graph: ComputationalGraph, worth: Callable[[Found], int] | None = None) -> Found:
    """A cheap order, found without looking anything up.

    Args:
        graph: the graph that is executed.
        worth: of the cheapest classical order, how much work it is worth to look for a cheaper one; if left
            out, in proportion to what it takes to compile and to run.
    """
    best = classical = Found(reverse(graph), math.inf, "reverse")
    with contextlib.suppress(OutOfWork):
        for best in _ever_cheaper(graph, worth):
            if best.method in ("reverse", "forward", "markowitz"):
                classical = best
    saves = best.cost <= (1 - _MARGIN) * classical.cost and _saves_additions_too(graph, best, classical)
    return best if saves else classical


def _saves_additions_too(graph: ComputationalGraph, found: Found, classical: Found) -> bool:
    """Whether an order costs so much less than another with additions counted, as far as that can be told."""
    costing = _costing(graph)

    def total(order: Sequence[int]) -> int:
        costing.run(order)
        both = costing.mults + costing.adds
        costing.rewind()
        return both

    try:
        return total(found.order) <= (1 - _MARGIN) * total(classical.order)
    except OutOfWork:
        return True


def _ever_cheaper(graph: ComputationalGraph, worth: Callable[[Found], int] | None = None) -> Iterator[Found]:
    """Orders, each cheaper than the one before: the classical ones come first, reverse first of all.

    Raises:
        OutOfWork: when it takes too much work to go on.
    """
    length = len(graph.eliminable)
    costing = _costing(graph)
    best = Found((), math.inf, "")
    for best in _classical(costing, graph):
        yield best
    if not best.cost:
        return
    longest, total = (_SEARCH_SMALL, _TOTAL_SMALL) if length <= _SMALL else (_SEARCH_LARGE, _TOTAL_LARGE)
    start = costing.work
    end = min(total, start + _worthwhile(costing, best))
    if worth is not None:
        end = min(end, start + worth(best))
    # A quick look at a graph that is priced quickly.
    work = min(100 * length**2 + 4 * costing.work, longest)
    if length <= _FEW:
        yield from _all_orders(costing, best, min(work, end - start))
        return
    if _is_gradient(graph):
        return
    classical, most = best, costing.allowance
    costing.allowance = min(most, end - (end - start) // _FOR_SWEEPS)
    with contextlib.suppress(OutOfWork):
        for best in _greedy(costing, graph, classical):
            yield best
    costing.rewind()
    costing.allowance = most
    work = min(work, end - costing.work)
    if length <= _LARGE and work > 0:
        start_from = best if best.cost < _HEAD_START * classical.cost else classical
        order, cost = sweeps(costing, start_from.order, work)
        if cost < best.cost:
            yield Found(order, cost, "sweeps")


def _greedy(costing: Costing, graph: ComputationalGraph, best: Found) -> Iterator[Found]:
    """Those of the other heuristics that are cheaper than one, and than those before.

    Raises:
        OutOfWork: when it takes too much work to go on.
    """
    for method, heuristic in _HEURISTICS.items():
        if costing.work > costing.allowance or (method == "lookahead" and len(best.order) > _LOOK_AHEAD):
            return
        order = heuristic(costing, graph, best.cost - 1)
        if order is not None:
            best = Found(order, costing.mults, method)
            yield best
        costing.rewind()


def _worthwhile(costing: Costing, found: Found) -> int:
    """How much work it is worth to look for a cheaper order than one that is priced."""
    before = costing.work
    costing.run(found.order)
    costing.rewind()
    compiling = _PER_LOOK_UP * (costing.work - before)
    return int(compiling + min(_PER_MULTIPLICATION * found.cost, (_TIMES_AS_LONG - 1) * compiling))


def _is_gradient(graph: ComputationalGraph) -> bool:
    """Whether one number is differentiated, or by one number: hardly anything beats reverse, or forward."""
    results = {to: math.prod(found.out_shape) for (_, to), found in graph.edges.items()}
    arguments = {at: math.prod(found.in_shape) for (at, _), found in graph.edges.items()}
    ends = (results, graph.output_vertices), (arguments, graph.inputs)
    return any(sum(sizes.get(node, 0) for node in nodes) == 1 for sizes, nodes in ends)


def _costing(graph: ComputationalGraph) -> Costing:
    costing = graph.costing(undoable=True)
    costing.allowance = _PRICING_SMALL if len(graph.eliminable) <= _SMALL else _PRICING_LARGE
    return costing


def _classical(costing: Costing, graph: ComputationalGraph, limit: float = math.inf) -> Iterator[Found]:
    """Those of the classical orders that cost no more than a limit, each cheaper than the one before.

    Raises:
        OutOfWork: when it takes too much work to go on.
    """
    for method, order in (("reverse", reverse(graph)), ("forward", forward(graph))):
        if limit >= 0 and costing.run(order, limit):
            limit = costing.mults - 1
            yield Found(order, costing.mults, method)
        costing.rewind()
    order = cheapest_first(costing, graph, limit=limit) if limit >= 0 else None
    if order is not None:
        yield Found(order, costing.mults, "markowitz")
    costing.rewind()


def _is_beaten(graph: ComputationalGraph, cost: float) -> bool:
    """Whether a classical order is cheaper than an order of this cost, as far as it can be told in time."""
    with contextlib.suppress(OutOfWork):
        return any(True for _ in _classical(_costing(graph), graph, cost - 1))
    return False


_HEURISTICS: dict[str, Callable[[Costing, ComputationalGraph, float], tuple[int, ...] | None]] = {
    "markowitz, last of ties": lambda costing, graph, limit: cheapest_first(costing, graph, "last", limit),
    "relative markowitz": relatively_cheapest_first,
    "lookahead": lambda costing, graph, limit: looking_ahead(costing, graph, 8, limit),
}


def _all_orders(costing: Costing, best: Found, work: int) -> Iterator[Found]:
    """Ever cheaper orders, until all have been tried, or the work has been done."""
    limit = costing.work + work
    least = best.cost
    prefix: list[int] = []

    def extend(left: set[int], last: int, next_to_last: set[int]) -> Iterator[Found]:
        nonlocal least
        if not left:
            least = costing.mults
            yield Found(tuple(prefix), least, "exhaustive")
        for vertex in sorted(left):
            # Vertices that share no edge can go in either order: the smaller number first will do.
            if (vertex < last and vertex not in next_to_last) or costing.work > limit:
                continue
            neighbours = costing.neighbours(vertex)
            costing.eliminate(vertex)
            prefix.append(vertex)
            if costing.mults < least:
                yield from extend(left - {vertex}, vertex, neighbours)
            prefix.pop()
            costing.undo()

    yield from extend(set(best.order), 0, set())
