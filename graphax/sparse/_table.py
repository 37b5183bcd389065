"""Structures as small integers, with products and sums as remembered look-ups."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ._counted import counted_product, counted_total
from ._structure import Structure, dense, product, total

ZERO = -1  # the id of a product that is zero


class StructureTable:
    """Interns structures on first sight; ids are dense and start at 0.

    Args:
        counted: whether structures and prices are those of the counted convention.
        coarse: whether products and sums are taken for dense Jacobians. That keeps the number of
            structures small, and makes costs upper bounds.
    """

    def __init__(self, counted: bool = False, coarse: bool = False) -> None:
        self._counted = counted
        self._coarse = coarse
        self.structures: list[Structure] = []
        self._ids: dict[Structure, int] = {}
        self.products: dict[tuple[int, int], tuple[int, int, int]] = {}
        self.sums: dict[tuple[int, int], tuple[int, int]] = {}

    def intern(self, structure: Structure) -> int:
        """The id of a structure."""
        found = self._ids.get(structure)
        if found is None:
            found = self._ids[structure] = len(self.structures)
            self.structures.append(structure)
        return found

    def compose(self, outer: int, inner: int) -> tuple[int, int, int]:
        """The product's id (:data:`ZERO` where it is zero), its multiplications and its additions."""
        key = (outer, inner)
        found = self.products.get(key)
        if found is None:
            pair = self.structures[outer], self.structures[inner]
            if self._counted:
                result, mults = counted_product(*pair)
                adds = 0
            else:
                result, mults, adds = product(*pair, sparse=False)[:3]
            found = self.products[key] = (self._intern_result(result), mults, adds)
        return found

    def add(self, left: int, right: int) -> tuple[int, int]:
        """The sum's id and its additions."""
        found = self.sums.get((left, right))
        if found is None:
            pair = self.structures[left], self.structures[right]
            result, adds = counted_total(*pair) if self._counted else total(*pair, sparse=False)[:2]
            found = self._intern_result(result), adds
            self.sums[left, right] = self.sums[right, left] = found
        return found

    def _intern_result(self, structure: Structure) -> int:
        if not structure.terms:
            return ZERO
        return self.intern(dense(structure.out_shape, structure.in_shape) if self._coarse else structure)


class ClosedTable(NamedTuple):
    """Look-ups for all that eliminations can make of edges. Id 0 means no edge; structures count from 1.

    Attributes:
        structures: the structure of id ``i`` at ``i - 1``.
        products: the id of the product of ``[outer, inner]``; 0 where it is zero or is never asked for.
        sums: the id of the sum of ``[left, right]``; 0 where it is never asked for.
        mults: multiplications of the product of ``[outer, inner]``.
        exact: whether the structures are exact; otherwise products and sums were taken for dense.
    """

    structures: tuple[Structure, ...]
    products: np.ndarray
    sums: np.ndarray
    mults: np.ndarray
    exact: bool


def close_table(
    edges: Mapping[tuple[int, int], Structure],
    nodes: Sequence[int],
    eliminable: Collection[int],
    counted: bool = False,
    limit: int = 4096,
) -> ClosedTable:
    """The structures that a graph's edges can have while its vertices go in any order, with their tables.

    Args:
        edges: the structure of every edge from a node to one after it.
        nodes: the graph's nodes, sources before targets.
        eliminable: the nodes that may go.
        counted: whether structures and prices are those of the counted convention.
        limit: how many structures there may be before products and sums are taken for dense instead.
    """
    table = StructureTable(counted)
    exact = _close(table, edges, nodes, eliminable, limit)
    if not exact:
        table = StructureTable(counted, coarse=True)
        _close(table, edges, nodes, eliminable, None)
    size = len(table.structures) + 1
    products, sums, mults = (np.zeros((size, size), np.int32) for _ in range(3))
    sums[0, :] = sums[:, 0] = np.arange(size)
    for (outer, inner), (result, price, _) in table.products.items():
        products[outer + 1, inner + 1] = result + 1
        mults[outer + 1, inner + 1] = price
    for (left, right), (result, _) in table.sums.items():
        sums[left + 1, right + 1] = result + 1
    return ClosedTable(tuple(table.structures), products, sums, mults, exact)


def _close(
    table: StructureTable,
    edges: Mapping[tuple[int, int], Structure],
    nodes: Sequence[int],
    eliminable: Collection[int],
    limit: int | None,
) -> bool:
    """Ask the table for every product and sum that an elimination may need; False if that passes the limit.

    What can stand between two nodes is made of what can stand between nodes that are closer together.
    """
    possible = {edge: {table.intern(structure)} for edge, structure in edges.items()}
    for gap in range(1, len(nodes)):
        for at in range(len(nodes) - gap):
            source, target = nodes[at], nodes[at + gap]
            paths = set()
            for vertex in nodes[at + 1 : at + gap]:
                if vertex in eliminable:
                    pairs = itertools.product(
                        possible.get((vertex, target), ()), possible.get((source, vertex), ())
                    )
                    paths.update(table.compose(outer, inner)[0] for outer, inner in pairs)
            paths.discard(ZERO)
            if paths:
                possible[source, target] = _sums(table, possible.get((source, target), paths), paths)
            if limit is not None and len(table.structures) > limit:
                return False
    return True


def _sums(table: StructureTable, first: Iterable[int], paths: Iterable[int]) -> set[int]:
    """What an edge can be that is one of the first, and to which paths are added."""
    found = set(first)
    left = list(found)
    while left:
        edge = left.pop()
        new = {table.add(edge, path)[0] for path in paths} - found
        found |= new
        left += new
    return found
