"""A lower bound on what any elimination order costs."""

from __future__ import annotations

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .._graph import ComputationalGraph
from ..sparse import Kind, Structure, Term
from ..sparse._compose import Composition, compose
from ..sparse._steps import Gather, Scatter

# Up to this many entries two terms of a Jacobian between two arrays always become one.
_ONE_TERM = 1024
_ZERO = -1  # the tail of a path whose product is zero, or about which nothing is known
# More pairs of tails than this are priced by their least only.
_MANY_TAILS = 256
# In graphs with more nodes than this vertices are not grouped: of scalars, and with arrays.
_MOST_SCALARS, _MOST_ARRAYS = 400, 150

Neighbours = dict[int, list[tuple[int, int]]]  # for every node its neighbours and the ids of the edges' tails


def lower_bound(graph: ComputationalGraph) -> int:
    """Multiplications that no elimination order can beat.

    Args:
        graph: the graph; multiplications are those of its convention.

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
    return sum(int(group.table[0]) for group in group_bounds(graph))


class Group(NamedTuple):
    """A few vertices, and what they cost together in any order.

    Attributes:
        vertices: the members.
        table: for every subset of them that is gone (bit i for member i), the multiplications that the others
            take at least.
    """

    vertices: tuple[int, ...]
    table: np.ndarray


def group_bounds(graph: ComputationalGraph, most: int | None = None) -> list[Group]:
    """The eliminable vertices in groups, with bounds on what each takes in any order.

    Args:
        graph: the graph.
        most: how many vertices may come into a group; work grows exponentially with it.
    """
    edges = graph.edges
    sizes = _sizes(edges)
    if not graph.eliminable:
        return []
    if all(size == 1 for size in sizes.values()):
        if len(sizes) > _MOST_SCALARS:
            bounds = _scalar_bounds(graph, edges)
            return [Group((vertex,), np.array([bound, 0])) for vertex, bound in bounds.items()]
        return _grouped(graph, edges, _scalar_table(graph, edges, graph.is_counted), most or 8)
    tails = _Tails(graph, edges, graph.is_counted, _single_terms(edges, sizes))
    if len(sizes) > _MOST_ARRAYS:
        return [Group((vertex,), np.array([tails.quick_bound(vertex), 0])) for vertex in graph.eliminable]
    return _grouped(graph, edges, tails.table, min(most or 9, 4 if len(sizes) > 60 else 9 if most else 5))


def _grouped(
    graph: ComputationalGraph,
    edges: Collection[tuple[int, int]],
    table: Callable[[tuple[int, ...]], np.ndarray],
    most: int,
) -> list[Group]:
    """Neighbours that cost more together than alone come into one group of ``most`` vertices at the most."""
    group: dict[int, tuple[int, ...]] = {vertex: (vertex,) for vertex in graph.eliminable}
    alone = {vertex: int(table((vertex,))[0]) for vertex in graph.eliminable}
    if most > 1:
        gains = []
        for source, target in edges:
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
        sizes[node] * largest[node] <= _ONE_TERM for node in sizes
    )


def _scalar_table(
    graph: ComputationalGraph, edges: Mapping[tuple[int, int], Structure], is_counted: bool
) -> Callable[[tuple[int, ...]], np.ndarray]:
    """What makes the tables of groups of scalars, and how large groups may be. A structure is its kind."""
    from . import _branch

    nodes = sorted({node for edge in edges for node in edge})
    place = {node: at for at, node in enumerate(nodes)}
    number = {Kind.UNIT: 1, Kind.COPY: 1, Kind.CONSTANT: 2, Kind.VALUE: 3}
    matrix = np.zeros((len(nodes), len(nodes)), np.int32)
    for (source, target), structure in edges.items():
        matrix[place[source], place[target]] = number[structure.terms[0].kind]
    kinds = np.array([0, 0, 1, 2], np.int8)
    products = np.maximum.outer(np.arange(4), np.arange(4)).astype(np.int32)
    sums = np.maximum(products, 3 if is_counted else 2)
    is_input = np.array([node in graph.inputs for node in nodes])
    is_output = np.array([node in graph.output_vertices for node in nodes])

    def table(members: tuple[int, ...]) -> np.ndarray:
        places = np.array([place[vertex] for vertex in members], np.int32)
        return _branch.scalar_group(matrix, kinds, places, is_input, is_output, products, sums)

    return table


# Scalars ------------------------------------------------------------------------------------------------


def _scalar_bounds(graph: ComputationalGraph, edges: Mapping[tuple[int, int], Structure]) -> dict[int, int]:
    """Cuts of unit weights: how many edges hold a value at least, and how many a value or a constant.

    With V values and N values and constants among the predecessors, and V' and N' among the successors,
    a vertex takes ``V N' + (N - V) V'`` multiplications, which grows with all four numbers.
    """
    kinds = {edge: structure.terms[0].kind for edge, structure in edges.items()}
    kinds = {edge: Kind.UNIT if kind is Kind.COPY else kind for edge, kind in kinds.items()}
    before: Neighbours = {}
    after: Neighbours = {}
    for (source, target), kind in kinds.items():
        before.setdefault(target, []).append((source, kind))
        after.setdefault(source, []).append((target, kind))
    inputs, outputs = set(graph.inputs), graph.output_vertices
    plain = {node: [other for other, _ in found] for node, found in before.items()}
    ahead = {node: [other for other, _ in found] for node, found in after.items()}

    def cuts(vertex: int, near: Neighbours, step: dict[int, list[int]], ends: Collection[int]) -> list[int]:
        first = {
            least: [other for other, kind in near[vertex] if kind >= least]
            for least in (Kind.VALUE, Kind.CONSTANT)
        }
        return [disjoint_paths(vertex, found, step, ends) for found in first.values()]

    bounds = {}
    for vertex in graph.eliminable:
        values, numbers = cuts(vertex, before, plain, inputs)
        to_values, to_numbers = cuts(vertex, after, ahead, outputs)
        bounds[vertex] = values * to_numbers + (numbers - values) * to_values
    return bounds


def disjoint_paths(
    vertex: int, first: list[int], step: Mapping[int, list[int]], ends: Collection[int]
) -> int:
    """The largest number of paths from a vertex to ends that share nothing but the vertex.

    Args:
        vertex: where all paths start.
        first: the nodes they may go to first.
        step: for every node where a path may go from there.
        ends: the nodes where it may end.

    By Menger's theorem that is the smallest vertex cut. Paths are augmented one by one; as they all go
    through different nodes first, there are no more than those.
    """
    before: dict[int, int] = {}  # on every used node: the node before and the node after on its path
    after: dict[int, int] = {}
    count = 0
    if len(first) <= 1:
        return len(first)  # every vertex lies on a path
    for start in first:
        if before.get(start) == vertex:
            continue
        # A state is a node and whether its capacity has been passed; reached from which state.
        parent: dict[tuple[int, bool], tuple[int, bool] | None] = {(start, False): None}
        stack = [(start, False)]
        end = None
        while stack and end is None:
            state = stack.pop()
            node, passed = state
            if passed:
                if node in ends and after.get(node) != vertex:
                    end = state
                    break
                moves = [(other, False) for other in step.get(node, ()) if after.get(node) != other]
                if node in before:
                    moves.append((node, False))
            elif node not in before:
                moves = [(node, True)]
            elif before[node] != vertex:
                moves = [(before[node], True)]
            else:
                moves = []
            for move in moves:
                if move not in parent:
                    parent[move] = state
                    stack.append(move)
        if end is None:
            continue
        count += 1
        _augment(end, parent, before, after, vertex)
    return count


def _augment(
    end: tuple[int, bool],
    parent: Mapping[tuple[int, bool], tuple[int, bool] | None],
    before: dict[int, int],
    after: dict[int, int],
    vertex: int,
) -> None:
    """Exchange the arcs of a residual path: new ones are taken up, those run against are given up."""
    taken, given_up = [(end[0], vertex)], []  # an end is followed by the vertex
    state = end
    while (previous := parent[state]) is not None:
        if previous[0] != state[0]:
            if state[1]:
                given_up.append((state[0], previous[0]))
            else:
                taken.append((previous[0], state[0]))
        state = previous
    taken.append((vertex, state[0]))
    for source, target in given_up:
        del after[source], before[target]
    for source, target in taken:
        if source != vertex:
            after[source] = target
        if target != vertex:
            before[target] = source


# Arrays -------------------------------------------------------------------------------------------------


class _Tail(NamedTuple):
    """The product along a path: its structure, and the largest kind of an edge on it."""

    term: Term
    kind: Kind


class _Side(NamedTuple):
    """Predecessors or successors: how to walk away from a vertex, and where walks end."""

    near: Neighbours
    ends: Collection[int]
    sign: int  # of the direction in which node numbers change
    extend: Callable[[int, int], int]


class _Tails:
    """The tails of paths as small integers, with remembered products and prices."""

    def __init__(
        self,
        graph: ComputationalGraph,
        edges: Mapping[tuple[int, int], Structure],
        is_counted: bool,
        single: bool,
    ) -> None:
        self._counted = is_counted
        self._single = single
        self._eliminable = graph.eliminable
        self._tails: list[_Tail] = []
        self._ids: dict[_Tail, int] = {}
        self._longer: dict[tuple[int, int], int] = {}
        self._prices: dict[tuple[int, int], int] = {}
        before: Neighbours = {}
        after: Neighbours = {}
        for (source, target), structure in edges.items():
            # One term of several will do: the others may be zero.
            term = max(structure.terms, key=lambda term: (term.kind, term.numbers))
            tail = self._intern(_Tail(term, term.kind))
            before.setdefault(target, []).append((source, tail))
            after.setdefault(source, []).append((target, tail))
        self._before = _Side(before, set(graph.inputs), -1, self._product)
        self._known_cuts: dict[tuple[int, int, frozenset[int], frozenset[int]], _Cuts] = {}
        self._after = _Side(after, graph.output_vertices, 1, lambda tail, edge: self._product(edge, tail))
        self._reached = {
            (side.sign, vertex): _reached(vertex, side.near)
            for side in (self._before, self._after)
            for vertex in graph.eliminable
        }

    def table(self, members: tuple[int, ...]) -> np.ndarray:
        """For every subset of a group of vertices that is gone, the least that the others cost."""
        table = np.zeros(1 << len(members), np.int64)
        for mask in range(len(table) - 2, -1, -1):
            gone = frozenset(vertex for at, vertex in enumerate(members) if mask >> at & 1)
            stay = frozenset(members) - gone
            table[mask] = min(
                self._bound(vertex, gone, stay) + table[mask | 1 << at]
                for at, vertex in enumerate(members)
                if vertex in stay
            )
        return table

    def _intern(self, tail: _Tail) -> int:
        found = self._ids.get(tail)
        if found is None:
            found = self._ids[tail] = len(self._tails)
            self._tails.append(tail)
        return found

    def _product(self, outer: int, inner: int) -> int:
        """The tail that two tails make."""
        if outer == _ZERO or inner == _ZERO:
            return _ZERO
        found = self._longer.get((outer, inner))
        if found is None:
            b, a = self._tails[outer], self._tails[inner]
            plan = compose(b.term, a.term)
            found = _ZERO
            if plan is not None and not _repeats(plan):
                found = self._intern(_Tail(plan.term, max(a.kind, b.kind)))
            self._longer[outer, inner] = found
        return found

    def _price(self, outer: int, inner: int) -> int:
        """What the product of two edges takes at least that stand for these tails, among others."""
        if outer == _ZERO or inner == _ZERO:
            return 0
        found = self._prices.get((outer, inner))
        if found is None:
            b, a = self._tails[outer], self._tails[inner]
            plan = compose(b.term, a.term)
            found = 0
            if plan is not None and not _repeats(plan):
                found = self._price_of(plan, b.kind, a.kind)
            self._prices[outer, inner] = found
        return found

    def _price_of(self, plan: Composition, outer: Kind, inner: Kind) -> int:
        if self._counted:
            return plan.mults_counted if outer is inner is Kind.VALUE else 0
        if Kind.UNIT in (outer, inner) or Kind.VALUE not in (outer, inner):
            return 0

        def count(labels: Collection[int]) -> int:
            return math.prod(plan.sizes[label] for label in labels)

        kept = count(plan.kept)
        if outer is not inner:
            return kept
        if self._single:
            return kept * count(plan.contracted)
        return max(kept, count(plan.outer.axes), count(plan.inner.axes))

    def quick_bound(self, vertex: int) -> int:
        """The least that a vertex costs, from paths that share no node."""
        before = self._paths(vertex, self._before)
        after = self._paths(vertex, self._after)
        pairs = itertools.product(after, before)
        return sum(min(self._price(b, a) for b in outer for a in inner) for outer, inner in pairs)

    def _paths(self, vertex: int, side: _Side) -> list[set[int]]:
        """The tails of some paths that share no node, each going where its tail has the most numbers."""
        used: set[int] = set()
        found = []
        for node, tail in side.near[vertex]:
            path, tails = {node}, {tail}
            while node not in side.ends and node not in used and tail != _ZERO:
                moves = [
                    (other, side.extend(tail, edge))
                    for other, edge in side.near.get(node, ())
                    if other not in used
                ]
                if not moves:
                    break
                node, tail = max(moves, key=lambda move: self._size(move[1]))
                path.add(node)
                tails.add(tail)
            if node in side.ends and node not in used and tail != _ZERO:
                used |= path
                found.append(tails)
        return found

    def _size(self, tail: int) -> tuple[int, int]:
        """The kind and the numbers of a tail, to choose the heavier one."""
        if tail == _ZERO:
            return -1, 0
        term, kind = self._tails[tail]
        return kind, term.numbers

    def _bound(self, vertex: int, gone: frozenset[int], stay: frozenset[int]) -> int:
        """The least that a vertex costs when some vertices are gone and some are not."""
        before = self._cuts(vertex, self._before, gone, stay)
        after = self._cuts(vertex, self._after, gone, stay)
        best = 0.0
        for p, q in self._weights(after.tails, before.tails):
            if before.at_most(p) * after.at_most(q) > best:
                cut = before.least(p)
                if cut and cut * after.at_most(q) > best:
                    best = max(best, cut * after.least(q))
        return math.ceil(best - 1e-6 * max(1.0, best))

    def _cuts(self, vertex: int, side: _Side, gone: frozenset[int], stay: frozenset[int]) -> _Cuts:
        between = self._reached[side.sign, vertex]
        key = (side.sign, vertex, gone & between, stay & between)
        if key not in self._known_cuts:
            self._known_cuts[key] = _Cuts(vertex, side, gone & between, stay & between)
        return self._known_cuts[key]

    def _weights(
        self, outer: Sequence[int], inner: Sequence[int]
    ) -> list[tuple[dict[int, float], dict[int, float]]]:
        """Pairs of weights for inner and outer tails whose product is at most the price."""
        prices = {(b, a): float(self._price(b, a)) for b in outer for a in inner}
        inner = [a for a in inner if any(prices[b, a] for b in outer)]
        outer = [b for b in outer if any(prices[b, a] for a in inner)]
        if not inner or not outer:
            return []

        def rest_inner(q: Mapping[int, float]) -> dict[int, float]:
            return {a: min(prices[b, a] / q[b] for b in outer if q[b]) for a in inner}

        def rest_outer(p: Mapping[int, float]) -> dict[int, float]:
            return {b: min(prices[b, a] / p[a] for a in inner if p[a]) for b in outer}

        ones_outer, ones_inner = dict.fromkeys(outer, 1.0), dict.fromkeys(inner, 1.0)
        found = [(rest_inner(ones_outer), ones_outer), (ones_inner, rest_outer(ones_inner))]
        if len(inner) * len(outer) <= _MANY_TAILS:
            for b in outer:
                p = {a: prices[b, a] for a in inner}
                found.append((p, rest_outer(p)))
            for a in inner:
                q = {b: prices[b, a] for b in outer}
                found.append((rest_inner(q), q))
        return found


def _reached(vertex: int, near: Neighbours) -> frozenset[int]:
    """The nodes on the paths between a vertex and the ends of a side."""
    found: set[int] = set()
    stack = [vertex]
    while stack:
        for other, _ in near.get(stack.pop(), ()):
            if other not in found:
                found.add(other)
                stack.append(other)
    return frozenset(found)


def _repeats(plan: Composition) -> bool:
    """Whether values are copied or added up on the way, so that the product's numbers are not independent."""
    steps = (*plan.outer.steps, *plan.inner.steps, *plan.steps)
    return any(isinstance(step, Gather | Scatter) for step in steps)


Weights = dict[int, float]


class _Cuts:
    """The cuts between a vertex and the ends of a side, when some vertices are gone and some are not.

    Attributes:
        tails: of all paths.
    """

    def __init__(self, vertex: int, side: _Side, gone: frozenset[int], stay: frozenset[int]) -> None:
        self._vertex, self._side, self._gone, self._stay = vertex, side, gone, stay - {vertex}
        self._ends = (set(side.ends) - gone) | self._stay
        self._found: dict[tuple[tuple[int, float], ...], float] = {}
        tails, _ = self._region(None, 0.0)
        self.tails = sorted({tail for node, found in tails.items() if node not in gone for tail in found})
        self._first = [
            (other, edge) for other, edge in side.near.get(vertex, ()) if other not in gone
        ] if not gone else None  # fmt: skip

    def at_most(self, weights: Weights) -> float:
        """No cut weighs more: the neighbours are one, where none is gone."""
        if self._first is None:
            return math.inf
        return sum(weights.get(edge, 0.0) for _, edge in self._first)

    def least(self, weights: Weights) -> float:
        """The best of the least cuts in subgraphs without light tails."""
        key = tuple(weights.items())
        best = self._found.get(key)
        if best is None:
            best = 0.0
            for light in sorted({weight for weight in weights.values() if weight > 0}):
                tails, steps = self._region(weights, light)
                if self._vertex not in steps:
                    break
                capacity = {
                    node: math.inf if node in self._gone else min(weights[tail] for tail in found)
                    for node, found in tails.items()
                }
                best = max(best, _Flow(self._vertex, steps, capacity, self._ends).least_cut())
            self._found[key] = best
        return best

    def _region(
        self, weights: Weights | None, least: float
    ) -> tuple[dict[int, set[int]], dict[int, list[int]]]:
        """The paths between the vertex and the ends, without those where a tail weighs too little.

        Returns:
            for every node its tails, and for every node where paths go from there.
        """
        side = self._side
        tails: dict[int, set[int]] = {}
        steps: dict[int, list[int]] = {}
        heap: list[int] = []

        def visit(node: int, other: int, found: set[int]) -> None:
            light = weights is not None and min(weights.get(tail, 0.0) for tail in found) < least
            if light and other not in self._gone:
                return
            if other not in tails:
                tails[other] = set()
                heapq.heappush(heap, side.sign * other)
            tails[other] |= found
            steps.setdefault(node, []).append(other)

        for other, edge in side.near.get(self._vertex, ()):
            visit(self._vertex, other, {edge})
        while heap:
            node = side.sign * heapq.heappop(heap)
            if node in self._stay:
                continue
            for other, edge in side.near.get(node, ()):
                visit(node, other, {side.extend(tail, edge) for tail in tails[node]})
        return tails, steps


_State = tuple[int, bool]  # a node, and whether its capacity has been passed


class _Flow:
    """The largest flow from a vertex to the ends through nodes of limited capacity, path by path."""

    def __init__(
        self,
        vertex: int,
        steps: Mapping[int, list[int]],
        capacity: Mapping[int, float],
        ends: Collection[int],
    ) -> None:
        self._vertex, self._steps, self._capacity, self._ends = vertex, steps, capacity, ends
        self._through = dict.fromkeys(capacity, 0.0)
        self._along: dict[int, dict[int, float]] = {}  # for every node the flow that comes from other nodes
        self._tiny = 1e-9 * max((c for c in capacity.values() if c < math.inf), default=0.0)

    def least_cut(self) -> float:
        """The least weight of nodes that separate the vertex from the ends."""
        total = 0.0
        while path := self._path():
            arcs = list(itertools.pairwise(path))
            amount = min(self._room(source, target) for source, target in arcs)
            for source, target in arcs:
                self._send(source, target, amount)
            total += amount
        return total

    def _path(self) -> list[_State]:
        """A shortest path on which more can flow; empty if there is none."""
        start: _State = (self._vertex, True)
        parent: dict[_State, _State] = {}
        queue: deque[_State] = deque([start])
        while queue:
            state = queue.popleft()
            node, passed = state
            if passed and node in self._ends and node != self._vertex:
                path = [state]
                while path[-1] != start:
                    path.append(parent[path[-1]])
                return path[::-1]
            for move in self._moves_out(node) if passed else self._moves_in(node):
                if move not in parent and move != start:
                    parent[move] = state
                    queue.append(move)
        return []

    def _moves_out(self, node: int) -> list[_State]:
        """Where to go once a node's capacity has been passed."""
        moves: list[_State] = [(other, False) for other in self._steps.get(node, ())]
        if node != self._vertex and self._through[node] > self._tiny:
            moves.append((node, False))
        return moves

    def _moves_in(self, node: int) -> list[_State]:
        """Where to go before: through the node, or back to where flow comes from."""
        room = self._capacity[node] - self._through[node]
        moves: list[_State] = [(node, True)] if room > self._tiny else []
        for other, flow in self._along.get(node, {}).items():
            if flow > self._tiny and other != self._vertex:
                moves.append((other, True))
        return moves

    def _room(self, source: _State, target: _State) -> float:
        """How much more can flow."""
        node, passed = source
        if node == target[0]:
            return self._through[node] if passed else self._capacity[node] - self._through[node]
        return math.inf if passed else self._along[node][target[0]]

    def _send(self, source: _State, target: _State, amount: float) -> None:
        node, passed = source
        if node == target[0]:
            self._through[node] += -amount if passed else amount
        elif passed:
            flows = self._along.setdefault(target[0], {})
            flows[node] = flows.get(node, 0.0) + amount
        else:
            self._along[node][target[0]] -= amount
