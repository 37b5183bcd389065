"""The cheapest order, with a proof: branch and bound."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .._graph import ComputationalGraph, check_graph, check_order, order_cost
from .._numbers import check_number
from ..choose import forward, markowitz, reverse
from ._bound import Group, group_bounds, total_bound

if TYPE_CHECKING:
    from ._branch import Tree

# Graphs with more nodes than this are bounded, but not searched: it would lead nowhere.
_MOST_NODES = 400
# States remembered at most, 24 bytes each at twice their number; when they are full, all are forgotten.
_MOST_REMEMBERED = 1 << 23
_STEPS = 10_000  # states between two looks at the clock
_FIRST_STATES = 200_000  # looked at before larger groups of vertices are bounded together
_FEW = 20  # vertices of graphs for which that does not pay: there are not so many states
_LARGE_GROUP = 12


class Proof(NamedTuple):
    """An order, and what is known about all orders.

    Attributes:
        order: the best order found.
        cost: its multiplications.
        bound: multiplications that no order can beat.

    Example:
        >>> graph = graphax.trace(lambda x: jnp.exp(jnp.sin(x) * jnp.cos(x)))(1.0)
        >>> proof = orders.exact(graph)
        >>> proof.cost == proof.bound == graph.cost(proof.order).mults
        True
    """

    order: tuple[int, ...]
    cost: int
    bound: int

    @property
    def optimal(self) -> bool:
        """Whether no order is cheaper."""
        return self.cost == self.bound


def exact(
    graph: ComputationalGraph,
    *,
    seconds: float | None = None,
    start: Iterable[int] | None = None,
) -> Proof:
    """The order with the fewest multiplications, by branch and bound.

    The search goes depth first, the most promising vertices first. A branch is given up when the
    multiplications so far and a bound on what is left reach the cost of the best order known, or when its
    state has been reached as cheaply before. A state is the graph that is left, recognised by 128 bits that
    hash the vertices which are gone and, between arrays, the structures of the edges; what the vertices that
    are left will cost depends on nothing else. So vertices that may be swapped are tried in both orders, but
    what follows is searched once. The bound is that of :func:`lower_bound` for the members of each group that
    are left; for scalars also the sum of the products of cuts in the graph that is left. A vertex between
    inputs and mere outputs goes at once: it costs the same at any time, and touches no other.

    If that takes long, orders are sought below a limit that is raised step by step: when there is none, the
    limit is a bound on all orders.

    Args:
        graph: the graph; multiplications are those of its convention.
        seconds: when to stop the search, whose first bound may take some seconds by itself for graphs of
            arrays; without it the search ends with the proof, which may take exponential time.
        start: an order to start from; without it, the best of forward, reverse and Markowitz.

    Returns:
        the best order, its cost, and a bound on all orders. They meet unless time ran out, or the graph has
        more than 400 nodes: those are not searched.

    Raises:
        ValueError: when ``seconds`` is not positive, and when ``start`` is not an order of the graph.
        TypeError: when ``start`` has entries that are not integers.

    Example:
        >>> graph = graphax.trace(lambda x: jnp.exp(jnp.sin(x) * jnp.cos(x)))(1.0)
        >>> proof = orders.exact(graph, seconds=60)
        >>> proof.cost, proof.optimal
        (3, True)
    """
    check_graph(graph, "exact")
    began = time.perf_counter()
    if seconds is not None:
        check_number("seconds", seconds)
    if seconds is not None and not seconds > 0:
        raise ValueError(f"seconds must be positive, or None for a search without a limit, got {seconds!r}")
    if start is not None:
        candidates = [check_order(graph, start)]
    else:
        candidates = [forward(graph), reverse(graph), markowitz(graph)]
    cost, order = min((order_cost(graph, order).mults, order) for order in candidates)
    deadline = None if seconds is None else began + seconds
    groups = group_bounds(graph)
    proof = Proof(order, cost, total_bound(groups))
    if proof.optimal or len({node for edge in graph.edges for node in edge}) > _MOST_NODES:
        return proof
    search = _Search(graph)
    states = None if len(graph.eliminable) <= _FEW else _FIRST_STATES
    proof, done = search.run(proof, groups, cost, deadline, states)
    if done or _is_over(deadline):
        return proof
    more = group_bounds(graph, _LARGE_GROUP)
    bound = total_bound(more)
    if bound > total_bound(groups):
        groups = more
    proof = proof._replace(bound=max(proof.bound, bound))
    # Is there an order a little above the bound? Every no is a better bound.
    step = max(1, (proof.cost - proof.bound) // 16)
    while not proof.optimal and not _is_over(deadline):
        limit = min(proof.cost, proof.bound + step)
        proof, done = search.run(proof, groups, limit, deadline)
        step *= 2
    return proof


def _is_over(deadline: float | None) -> bool:
    return deadline is not None and time.perf_counter() >= deadline


class _Search:
    """The tree of a graph's orders, of which as much is seen as there is time for."""

    def __init__(self, graph: ComputationalGraph) -> None:
        # Numba takes half a second to import, which only those who search shall pay.
        from . import _branch
        from ._engine import Engine, Prices

        self._branch = _branch
        self._engine = Engine(graph, Prices(graph, additions=False))
        self._vertices = graph.eliminable
        self._scalar = all(s.out_shape == s.in_shape == () for s in graph.edges.values())

    def run(
        self,
        proof: Proof,
        groups: list[Group],
        limit: int,
        deadline: float | None,
        states: int | None = None,
    ) -> tuple[Proof, bool]:
        """Search for the best order that costs less than a limit.

        Args:
            proof: what is known.
            groups: bounds on groups of vertices.
            limit: the cost that orders must stay below.
            deadline: when to stop.
            states: how many states to look at.

        Returns:
            what is known then, and whether all orders below the limit have been seen.
        """
        branch, engine = self._branch, self._engine
        branch.rewind(engine.links)
        tree = self._tree(groups, limit)
        done = False
        while not done and not _is_over(deadline) and (states is None or states > 0):
            status = branch.search(engine.links, engine.tables, tree, self._scalar, _STEPS)
            done = status == branch.DONE
            if status == branch.CROWDED:
                tree = tree._replace(memory=self._larger(tree))
            elif not engine.answer(status) and states is not None:
                states -= _STEPS
        best = int(tree.top[branch.BEST])
        if best < min(limit, proof.cost):
            proof = proof._replace(order=engine.order(tree.best), cost=best)
        return proof._replace(bound=max(proof.bound, min(proof.cost, self._open_bound(tree)))), done

    def _tree(self, groups: list[Group], limit: int) -> Tree:
        """The tree before any of it has been seen."""
        branch, engine = self._branch, self._engine
        depth, nodes = len(self._vertices) + 1, len(engine.links.nodes)
        tree = branch.Tree(
            vertices=engine.indices(self._vertices),
            alive=np.zeros(nodes, np.bool_),
            ends=engine.ends,
            group=np.zeros(nodes, np.int64),
            bit=np.zeros(nodes, np.int64),
            tables=np.zeros((len(groups), max(len(group.table) for group in groups)), np.int64),
            gone=np.zeros(len(groups), np.int64),
            frames=np.zeros((depth, branch.FRAME_WIDTH), np.int64),
            moves=np.zeros((depth, depth), np.uint32),
            floors=np.zeros((depth, depth), np.int64),
            cuts=np.zeros((depth, nodes, 2, 2), np.int64),
            prices=np.full((depth, nodes), branch.UNPRICED, np.int64),
            reached=engine.reached(),
            memory=branch.new_memory(1 << 12),
            best=np.zeros(depth - 1, np.uint32),
            top=np.zeros(branch.TOP_WIDTH, np.int64),
        )
        tree.alive[tree.vertices] = True
        for at, group in enumerate(groups):
            members = engine.indices(group.vertices)
            tree.tables[at, : len(group.table)] = group.table
            tree.group[members], tree.bit[members] = at, 1 << np.arange(len(members))
        tree.frames[0, [branch.GROUPED, branch.MOVES]] = tree.tables[:, 0].sum(), branch.UNEXPANDED
        if self._scalar:
            tree.frames[0, branch.CUTS] = branch.cut_bounds(
                engine.links, engine.tables, tree.vertices, engine.ends, tree.cuts[0]
            )
        tree.top[branch.BEST] = limit
        return tree

    def _open_bound(self, tree: Tree) -> int:
        """The least that an order can cost: the best one's or the limit, or what open branches allow."""
        branch = self._branch
        floors = [int(tree.top[branch.BEST])]
        for depth in range(self._engine.links.top[branch.DEPTH] + 1):
            cost, grouped, cuts, moves, tried = map(int, tree.frames[depth])
            if moves == branch.UNEXPANDED:
                floors.append(cost + max(grouped, cuts))
            elif tried < moves:
                floors.append(int(tree.floors[depth, tried]))
        return min(floors)

    def _larger(self, tree: Tree) -> np.ndarray:
        """A larger memory; an empty one when it has become too large."""
        size = len(tree.memory)
        if size >= 2 * _MOST_REMEMBERED:
            tree.top[self._branch.KNOWN] = 0
            return self._branch.new_memory(size)
        memory = self._branch.new_memory(4 * size)
        self._branch.move_memory(tree.memory, memory)
        return memory
