"""A lower bound on what any elimination order costs."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np

from .._graph import ComputationalGraph, check_graph
from ..sparse import Structure
from ..sparse._cost import ONE_TERM

# In graphs with more nodes than this vertices are not grouped: of scalars, and with arrays.
_MOST_SCALARS, _MOST_ARRAYS = 400, 150


def lower_bound(graph: ComputationalGraph) -> int:
    """Multiplications that no elimination order can beat.

    Args:
        graph: the graph; multiplications are those of its convention.

    Returns:
        a whole number; :func:`exact` finds better ones where the graph is small.

    Example:
        >>> graph = graphax.trace(lambda x: jnp.exp(jnp.sin(x) * jnp.cos(x)))(1.0)
        >>> orders.lower_bound(graph) <= graph.cost(orders.auto(graph)).mults
        True

    **Scalars, counted.** Let v be eliminated after the vertices S. A path from an input to v has a last node
    that is not in S, and that node is a predecessor of v by now. So the predecessors are a vertex cut between
    the inputs and v; an input may lie in it, v may not. On every path from v to an output, the first node
    that is not in S, or else the output itself, whose in-edges stay, is a successor. So v costs at least the
    product of the two minimum cuts, whatever S is. An order costs the sum over all its vertices.

    **Scalars, free.** At that moment, (u, v) is a value if a path from u to v through S has an edge that is
    one, and no unit if a path has an edge that is none. The last node not in S on a path from an input whose
    last edge is a value is thus a value predecessor: the cut that only has to separate those paths bounds
    their number; likewise for constants. The price grows with each of these numbers. In the counted
    convention, edges that copy take the part of units.

    **Groups.** Let K be a group of vertices, A those of them that are in S when v in K goes. Then S contains
    A and nothing of K - A: the bound for v holds with A eliminated first, and with K - A as nodes where paths
    must be cut. The group costs at least the least sum of these bounds over all orders of K, found by
    going through its subsets, and an order costs at least the sum over any groups that share no vertex.

    **Arrays: prices.** The edge (u, v) holds, when v goes, the sum over all paths from u to v through S. What
    its structure can hold, whatever the numbers are, includes the products along each single path P: all
    edges that are not on P may be zero. So it *refines* the structure of the product along P: it has all the
    places of P's numbers, and tells apart what they tell apart. Likewise an edge (v, w) and a path Q from v
    to w. The product of the two edges takes at least ``price(Q, P)``; k, m and l are places of w, v and u:

    - Counted: the price is the number of different pairs of a number of Q at (k, m) and one of P at (m, l),
      over all k, m and l where both are. Edges that refine them have all these places and tell no fewer pairs
      apart. If one path is all copies the edge may be a copy, and the price is 0; else it is a value.
    - Free, edges of one term: for every number of the product, one multiplication is executed for each summed
      label along which both sides vary. That is the rank, for one of its places, of the bilinear form
      ``sum_m Q[k, m] P[m, l]`` in the numbers of the two sides. The form of the refining edges, restricted
      to the numbers of P and Q, is the same, so that its rank is no less, and no two numbers of the product
      become one. (Terms between small arrays always merge when added; it is checked that all are small.)
    - Free, edges of several terms: a multiplication is a function of one side's numbers times one of the
      other's, and products with units are linear in one side. So the rank of the trilinear form
      ``sum Z[k, l] Q[k, m] P[m, l]`` is a bound, which is no less than that of each of its three flattenings:
      the numbers of the product, and those of each side that have a part in it.
    - Free: 0 if a path is all units or neither has a value. A path with a constant edge is no unit, and
      takes a multiplication for each number of its product with a value.

    Where numbers are gathered or added up along a path, nothing is claimed: the price is 0.

    **Arrays: weights.** Let p and q be functions of paths with ``p(P) q(Q) <= price(Q, P)``. Choose any
    subgraph of the paths to v and give each node u in it the least p of its paths to v there, but infinity
    if it is known to be in S. The last nodes not in S are a vertex cut of the subgraph, and each has p or
    more for a path through S. So the sum of p over the predecessors is at least the least weight of a cut.
    The same goes for q, and v costs at least the product of the two cuts. Paths that weigh little (units,
    products that are zero) are better left out of the subgraph. All choices are sound; the best of several
    is taken.

    **Large graphs.** With more than 400 nodes, or 150 if there are arrays, vertices are not grouped. With
    arrays the cuts are then replaced by some paths that share no node: each has a last node not in S of its
    own, so the least prices of all pairs of paths add up.
    """
    check_graph(graph, "lower_bound")
    return total_bound(group_bounds(graph))


class Abandoned(Exception):
    """Bounds were not wanted any more before all were found."""


class Group(NamedTuple):
    """A few vertices, and what they cost together in any order.

    Attributes:
        vertices: the members.
        table: for every subset of them that is gone (bit i for member i), the multiplications that the others
            take at least.
    """

    vertices: tuple[int, ...]
    table: np.ndarray


def group_bounds(
    graph: ComputationalGraph, most: int | None = None, enough: Callable[[], bool] = lambda: False
) -> list[Group]:
    """The eliminable vertices in groups, with bounds on what each takes in any order.

    Args:
        graph: the graph.
        most: how many vertices may come into a group; work grows exponentially with it.
        enough: asked before every group whether nobody wants to know any more.

    Raises:
        Abandoned: if nobody does.
    """
    sizes = _sizes(graph.edges)
    if not graph.eliminable:
        return []
    if all(size == 1 for size in sizes.values()):
        most = 1 if len(sizes) > _MOST_SCALARS else most or 8
        return _grouped(graph, _scalar_table(graph, most), most, enough)
    from ._arrays import ArrayBounds

    arrays = ArrayBounds(graph, _single_terms(graph.edges, sizes))
    if len(sizes) > _MOST_ARRAYS:
        return _grouped(graph, arrays.quick_table, 1, enough)
    most = min(most or 9, 4 if len(sizes) > 60 else 9 if most else 5)
    return _grouped(graph, arrays.table, most, enough)


def total_bound(groups: Iterable[Group]) -> int:
    """What all groups cost at least, of which nothing is gone."""
    return sum(int(group.table[0]) for group in groups)


def _grouped(
    graph: ComputationalGraph,
    bound: Callable[[tuple[int, ...]], np.ndarray],
    most: int,
    enough: Callable[[], bool],
) -> list[Group]:
    """Neighbours that cost more together than alone come into one group of ``most`` vertices at the most."""

    @functools.cache
    def table(members: tuple[int, ...]) -> np.ndarray:
        if enough():
            raise Abandoned
        return bound(members)

    group: dict[int, tuple[int, ...]] = {vertex: (vertex,) for vertex in graph.eliminable}
    alone = {vertex: int(table((vertex,))[0]) for vertex in graph.eliminable}
    if most > 1:
        gains = []
        for source, target in graph.edges:
            if source in group and target in group:
                gain = int(table((source, target))[0]) - alone[source] - alone[target]
                gains.append((-gain, source, target))
        for _, source, target in sorted(gains):
            joined = group[source], group[target]
            if joined[0] != joined[1] and len(joined[0]) + len(joined[1]) <= most:
                union = tuple(sorted(joined[0] + joined[1]))
                group.update(dict.fromkeys(union, union))
    return [Group(members, table(members)) for members in sorted(set(group.values()))]


def _sizes(edges: Mapping[tuple[int, int], Structure]) -> dict[int, int]:
    """How many entries the array of each node has."""
    sizes = {}
    for (source, target), structure in edges.items():
        sizes[source] = math.prod(structure.in_shape)
        sizes[target] = math.prod(structure.out_shape)
    return sizes


def _single_terms(edges: Mapping[tuple[int, int], Structure], sizes: Mapping[int, int]) -> bool:
    """Whether every edge is a single term in every order."""
    largest = dict.fromkeys(sizes, 1)  # among the descendants
    for source, target in sorted(edges, reverse=True):
        largest[source] = max(largest[source], largest[target], sizes[target])
    return all(len(structure.terms) == 1 for structure in edges.values()) and all(
        sizes[node] * largest[node] <= ONE_TERM for node in sizes
    )


def _scalar_table(graph: ComputationalGraph, most: int) -> Callable[[tuple[int, ...]], np.ndarray]:
    """What makes the tables of groups of at most so many scalars."""
    from ._branch import group_costs
    from ._engine import Engine, Prices

    engine = Engine(graph, Prices(graph, additions=False))
    # What leads where is asked only about two of a group; for large graphs it is large.
    reached = engine.reached() if most > 1 else np.zeros((2, 0, 0), np.bool_)

    def table(members: tuple[int, ...]) -> np.ndarray:
        found = np.zeros(1 << len(members), np.int64)
        engine.call(group_costs, engine.indices(members), engine.ends, reached, found)
        return found

    return table
