"""Weighted cuts between a vertex and where the paths to it begin, or those from it end."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np

from ._flow import least_cut

Neighbours = dict[int, list[tuple[int, int]]]  # for every node its neighbours and the ids of the edges' tails
Weights = dict[int, float]  # of tails


@dataclass(frozen=True, eq=False)
class Side:
    """Predecessors or successors: how to walk away from a vertex, and where walks end."""

    near: Neighbours
    ends: Collection[int]
    sign: int  # of the direction in which node numbers change
    extend: Callable[[int, int], int]


class Cuts:
    """The cuts between a vertex and the ends of a side, when some vertices are gone and some are not.

    Attributes:
        tails: of all paths.
    """

    def __init__(self, vertex: int, side: Side, gone: frozenset[int], stay: frozenset[int]) -> None:
        self._vertex, self._side, self._gone, self._stay = vertex, side, gone, stay - {vertex}
        self._ends = (set(side.ends) - gone) | self._stay
        self._found: dict[tuple[tuple[int, float], ...], float] = {}
        tails, _ = self._region(None, 0.0)
        self.tails = sorted({tail for node, found in tails.items() if node not in gone for tail in found})

    def at_most(self, weights: Weights) -> float:
        """No cut weighs more: the neighbours are one, where none is gone."""
        if self._gone:
            return math.inf
        return sum(weights.get(edge, 0.0) for _, edge in self._side.near.get(self._vertex, ()))

    def least(self, weights: Weights) -> float:
        """The best of the least cuts in subgraphs without light tails."""
        key = tuple(weights.items())
        best = self._found.get(key)
        if best is None:
            best = 0.0
            for light in sorted({weight for weight in weights.values() if weight > 0}):
                tails, edges = self._region(weights, light)
                if not edges:
                    break
                capacity = [
                    math.inf if node in self._gone else min(weights[tail] for tail in found)
                    for node, found in tails.items()
                ]
                place = {node: at for at, node in enumerate((self._vertex, *tails))}
                arcs = [(place[node], place[other], 0) for node, other in edges]
                ends = [node in self._ends for node in place]
                cut = least_cut(np.array(arcs, np.uint32), np.array([math.inf, *capacity]), np.array(ends))
                best = max(best, cut)
            self._found[key] = best
        return best

    def _region(
        self, weights: Weights | None, least: float
    ) -> tuple[dict[int, set[int]], list[tuple[int, int]]]:
        """The paths between the vertex and the ends, without those where a tail weighs too little.

        Returns:
            for every node its tails, and the steps that paths take.
        """
        side = self._side
        tails: dict[int, set[int]] = {}
        steps: list[tuple[int, int]] = []
        heap: list[int] = []

        def visit(node: int, other: int, found: set[int]) -> None:
            light = weights is not None and min(weights.get(tail, 0.0) for tail in found) < least
            if light and other not in self._gone:
                return
            if other not in tails:
                tails[other] = set()
                heapq.heappush(heap, side.sign * other)
            tails[other] |= found
            steps.append((node, other))

        for other, edge in side.near.get(self._vertex, ()):
            visit(self._vertex, other, {edge})
        while heap:
            node = side.sign * heapq.heappop(heap)
            if node in self._stay:
                continue
            for other, edge in side.near.get(node, ()):
                visit(node, other, {side.extend(tail, edge) for tail in tails[node]})
        return tails, steps
