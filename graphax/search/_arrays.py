"""Bounds between arrays, by the prices of paths and by cuts of weighted nodes (see :func:`lower_bound`)."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from .._graph import ComputationalGraph
from ..sparse import Kind, Term
from ..sparse._compose import Composition, compose
from ..sparse._steps import Gather, Scatter
from ._cuts import Cuts, Neighbours, Side

# More pairs of tails than this are priced by their least only.
_MANY_TAILS = 256
_ZERO = -1  # the tail of a path whose product is zero, or about which nothing is known


class _Tail(NamedTuple):
    """The product along a path: its structure, and the largest kind of an edge on it."""

    term: Term
    kind: Kind


class ArrayBounds:
    """What vertices cost at least, from the tails of paths as small integers, whose products are remembered.

    Args:
        graph: the graph.
        single: whether every edge is a single term in every order.
    """

    def __init__(self, graph: ComputationalGraph, single: bool) -> None:
        self._counted = graph.is_counted
        self._single = single
        self._tails: list[_Tail] = []
        self._ids: dict[_Tail, int] = {}
        self._plan = functools.cache(self._compose)
        self._product = functools.cache(self._multiply)
        self._price = functools.cache(self._least_price)
        self._cuts = functools.cache(Cuts)
        before: Neighbours = {}
        after: Neighbours = {}
        for (source, target), structure in graph.edges.items():
            # One term of several will do: the others may be zero.
            term = max(structure.terms, key=lambda term: (term.kind, term.numbers))
            tail = self._intern(_Tail(term, term.kind))
            before.setdefault(target, []).append((source, tail))
            after.setdefault(source, []).append((target, tail))
        self._before = Side(before, set(graph.inputs), -1, self._product)
        self._after = Side(after, graph.output_vertices, 1, lambda tail, edge: self._product(edge, tail))
        self._reached = {
            (side, vertex): _reached(vertex, side.near)
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
        found = self._ids.setdefault(tail, len(self._tails))
        if found == len(self._tails):
            self._tails.append(tail)
        return found

    def _compose(self, outer: int, inner: int) -> Composition | None:
        """The product of two tails, unless it is zero or nothing is known about it."""
        if _ZERO in (outer, inner):
            return None
        plan = compose(self._tails[outer].term, self._tails[inner].term)
        return None if plan is None or _repeats(plan) else plan

    def _multiply(self, outer: int, inner: int) -> int:
        """The tail that two tails make."""
        plan = self._plan(outer, inner)
        if plan is None:
            return _ZERO
        return self._intern(_Tail(plan.term, max(self._tails[outer].kind, self._tails[inner].kind)))

    def _least_price(self, outer: int, inner: int) -> int:
        """What the product of two edges takes at least that stand for these tails, among others."""
        plan = self._plan(outer, inner)
        return 0 if plan is None else self._price_of(plan, self._tails[outer].kind, self._tails[inner].kind)

    def _price_of(self, plan: Composition, outer: Kind, inner: Kind) -> int:
        if self._counted:
            return plan.mults_counted if outer is inner is Kind.VALUE else 0
        if Kind.UNIT in (outer, inner) or Kind.VALUE not in (outer, inner):
            return 0

        def count(labels: Collection[int]) -> int:
            return math.prod(plan.sizes[label] for label in labels)

        kept = count(plan.kept)
        if outer is not inner:
            return min(kept, plan.term.numbers)  # entries that fall together are added up before
        if self._single:
            return kept * count(plan.contracted)
        return max(kept, count(plan.outer.axes), count(plan.inner.axes))

    def quick_table(self, members: tuple[int, ...]) -> np.ndarray:
        """The table of a group of one vertex, from paths that share no node: quicker, and a lower bound."""
        before, after = (self._paths(members[0], side) for side in (self._before, self._after))
        pairs = itertools.product(after, before)
        bound = sum(min(self._price(b, a) for b in outer for a in inner) for outer, inner in pairs)
        return np.array([bound, 0])

    def _paths(self, vertex: int, side: Side) -> list[set[int]]:
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
        before, after = (
            self._cuts(vertex, side, gone & self._reached[side, vertex], stay & self._reached[side, vertex])
            for side in (self._before, self._after)
        )
        best = 0.0
        for p, q in self._weights(after.tails, before.tails):
            if before.at_most(p) * after.at_most(q) > best:
                cut = before.least(p)
                if cut and cut * after.at_most(q) > best:
                    best = max(best, cut * after.least(q))
        return math.ceil(best - 1e-6 * max(1.0, best))

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
