"""Where products of Jacobians may have entries: for every row the set of its columns, a bit for each."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ._block import Block
from ._support import known_places

# So many bytes of sets are gathered at once.
_AT_ONCE = 1 << 24


class Places(NamedTuple):
    """Where a Jacobian may have entries: anywhere, where there are no rows and columns.

    Attributes:
        rows, columns: of every entry, in the order of the rows.
        size: how many rows there are.
    """

    rows: np.ndarray | None
    columns: np.ndarray | None
    size: int

    @classmethod
    def of(cls, block: Block) -> Places:
        """Those of a block."""
        found, size = known_places(block), math.prod(block.out_shape)
        if found is None:
            return cls(None, None, size)
        rows, columns = found
        order = np.argsort(rows, kind="stable")
        return cls(rows[order], columns[order], size)

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


def empty_sets(rows: int, size: int) -> np.ndarray:
    """For each of some rows no entries of so many."""
    return np.zeros((rows, words(size)), np.uint64)


def singletons(size: int, of: int, start: int) -> np.ndarray:
    """For every entry of an array the set of itself.

    Args:
        size: how many entries it has.
        of: how many there are in sets.
        start: the number of its first among them.
    """
    sets, entries = empty_sets(size, of), np.arange(start, start + size)
    sets.view(np.uint8)[np.arange(size), entries // 8] = 1 << entries % 8
    return sets


def are_in(sets: np.ndarray, size: int) -> np.ndarray:
    """Which of so many entries are in each set, a matrix of booleans."""
    return np.unpackbits(sets.view(np.uint8), axis=1, count=size, bitorder="little").astype(bool)


def words(size: int) -> int:
    """How many words a set of so many entries takes."""
    return -(-size // 64)
