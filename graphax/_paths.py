"""Where a Jacobian may have entries, by the paths that lead there.

Elimination multiplies values, and a product of dense arrays is dense, also one of triangles. What is zero
along all paths is found again on places alone: from node to node, as sets of the entries that every row (or
column) is reached from, a bit for each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from ._numbering import Edge
from .sparse import Block, Places, Structure, are_in, singletons, within_places, words

# Blocks with fewer entries for their places are left as they are, and those to which more bytes of sets have
# to be looked at: that is what may take a second or two.
_DENSE, _LONGEST = 4, 1 << 31


class Paths:
    """The edges of a graph, by whose known zeros more are found in what elimination has made of them.

    Args:
        blocks: the local Jacobian of every edge.
    """

    def __init__(self, blocks: Mapping[Edge, Block]) -> None:
        self._blocks = blocks
        self._places: dict[tuple[Edge, bool], Places] = {}
        self._predecessors: dict[int, list[int]] = {}
        self._successors: dict[int, list[int]] = {}
        for source, target in blocks:
            self._predecessors.setdefault(target, []).append(source)
            self._successors.setdefault(source, []).append(target)

    def narrowed(self, block: Block, source: int, target: int) -> Block:
        """A block from one node to another without entries that no path leads to.

        Only those are looked at that take a large part of their places.
        """
        if not _is_dense(block.structure):
            return block
        places = self._reached(block.structure, source, target)
        return block if places is None or places.all() else within_places(block, places)

    def _reached(self, structure: Structure, source: int, target: int) -> np.ndarray | None:
        """Where there may be an entry, as a matrix; None where it takes too long to tell."""
        rows, columns = math.prod(structure.out_shape), math.prod(structure.in_shape)
        forward, size = columns <= rows, min(rows, columns)
        start, end = (source, target) if forward else (target, source)
        before = self._predecessors if forward else self._successors
        after = self._successors if forward else self._predecessors
        between = _closure(start, after) & _closure(end, before)
        steps: dict[int, list[tuple[int, Places]]] = {}
        work = 0
        for node in sorted(between - {start}, reverse=not forward):
            steps[node] = [
                (other, self._along((other, node) if forward else (node, other), forward))
                for other in before[node]
                if other in between
            ]
            work += sum(places.work for _, places in steps[node])
            if work * 8 * words(size) > _LONGEST:
                return None
        sets = {start: singletons(size)}
        for node, arriving in steps.items():
            for other, places in arriving:
                found = places.reached(sets[other])
                sets[node] = found if node not in sets else sets[node] | found
        found = are_in(sets[end], size)
        return found if forward else found.T

    def _along(self, edge: Edge, forward: bool) -> Places:
        """The places of an edge, or of its transpose."""
        key = edge, forward
        if key not in self._places:
            self._places[key] = Places.of(self._blocks[edge], not forward)
        return self._places[key]


def _closure(node: int, following: Mapping[int, list[int]]) -> set[int]:
    seen, stack = {node}, [node]
    while stack:
        for other in following.get(stack.pop(), ()):
            if other not in seen:
                seen.add(other)
                stack.append(other)
    return seen


def _is_dense(structure: Structure) -> bool:
    places = math.prod(structure.out_shape) * math.prod(structure.in_shape)
    entries = sum(math.prod(term.sizes) for term in structure.terms)
    return places > 1 and _DENSE * entries >= places
