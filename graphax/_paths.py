"""Where a Jacobian may have entries, by the paths that lead there.

Elimination multiplies values, and a product of dense arrays is dense, also one of triangles. What is zero
along all paths is found again on places alone: from node to node, as sets of the entries that every row (or
column) is reached from, a bit for each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ._numbering import Edge
from .sparse import Block, Structure, known_places, within_places

# Blocks with fewer entries for their places are left as they are, and those to which more bytes of sets have
# to be looked at: that is what may take a second or two.
_DENSE, _LONGEST = 4, 1 << 31
# So many bytes of sets are gathered at once.
_AT_ONCE = 1 << 24


class _Places(NamedTuple):
    """Where a local Jacobian may have entries: anywhere, where there are no rows and columns.

    Attributes:
        rows, columns: of every entry, in the order of the rows.
        size: how many rows there are.
    """

    rows: np.ndarray | None
    columns: np.ndarray | None
    size: int

    @property
    def work(self) -> int:
        """How many sets are looked at."""
        return self.size if self.rows is None else len(self.rows)

    def reached(self, sets: np.ndarray) -> np.ndarray:
        """For every row the union of the sets of its columns."""
        if self.rows is None or self.columns is None:
            return np.repeat(np.bitwise_or.reduce(sets, axis=0)[None], self.size, axis=0)
        if np.array_equal(self.rows, np.arange(self.size)):
            return sets[self.columns]
        found = np.zeros((self.size, sets.shape[1]), sets.dtype)
        starts = np.flatnonzero(np.diff(self.rows, prepend=-1))
        ends = np.append(starts[1:], len(self.rows))
        longest = max(_AT_ONCE // max(sets[:1].nbytes, 1), 1)
        first = 0
        while first < len(starts):
            last = max(int(np.searchsorted(ends, starts[first] + longest, "right")), first + 1)
            chosen = sets[self.columns[starts[first] : ends[last - 1]]]
            unions = np.bitwise_or.reduceat(chosen, starts[first:last] - starts[first], axis=0)
            found[self.rows[starts[first:last]]] = unions
            first = last
        return found


class Paths:
    """The edges of a graph, by whose known zeros more are found in what elimination has made of them.

    Args:
        blocks: the local Jacobian of every edge.
    """

    def __init__(self, blocks: Mapping[Edge, Block]) -> None:
        self._blocks = blocks
        self._places: dict[tuple[Edge, bool], _Places] = {}
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
        steps: dict[int, list[tuple[int, _Places]]] = {}
        work = 0
        for node in sorted(between - {start}, reverse=not forward):
            steps[node] = [
                (other, self._along((other, node) if forward else (node, other), forward))
                for other in before[node]
                if other in between
            ]
            work += sum(places.work for _, places in steps[node])
            if work * 8 * _words(size) > _LONGEST:
                return None
        sets = {start: _singletons(size)}
        for node, arriving in steps.items():
            for other, places in arriving:
                found = places.reached(sets[other])
                sets[node] = found if node not in sets else sets[node] | found
        octets = sets[end].view(np.uint8)
        found = np.unpackbits(octets, axis=1, count=size, bitorder="little").astype(bool)
        return found if forward else found.T

    def _along(self, edge: Edge, forward: bool) -> _Places:
        """The places of an edge, or of its transpose."""
        key = edge, forward
        if key not in self._places:
            block = self._blocks[edge]
            found, size = known_places(block), math.prod(block.out_shape if forward else block.in_shape)
            if found is None:
                self._places[key] = _Places(None, None, size)
            else:
                rows, columns = found if forward else found[::-1]
                order = np.argsort(rows, kind="stable")
                self._places[key] = _Places(rows[order], columns[order], size)
        return self._places[key]


def _singletons(size: int) -> np.ndarray:
    """For every entry of an array the set of itself: a bit for each, in little-endian order of bytes."""
    sets, entries = np.zeros((size, _words(size)), np.uint64), np.arange(size)
    sets.view(np.uint8)[entries, entries // 8] = 1 << entries % 8
    return sets


def _words(size: int) -> int:
    """How many words a set of so many entries takes."""
    return -(-size // 64)


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
