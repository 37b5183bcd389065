"""Structures as small integers, with `compose` and `add` as remembered look-ups."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from ._add import add
from ._compose import compose
from ._structure import Structure, dense


class StructureTable:
    """Interns structures on first sight; ids are dense and start at 0.

    Args:
        coarse: whether products and sums are taken for dense Jacobians. That keeps the number of
            structures small, and makes costs upper bounds.
    """

    def __init__(self, coarse: bool = False) -> None:
        self._coarse = coarse
        self.structures: list[Structure] = []
        self._ids: dict[Structure, int] = {}
        self.products: dict[tuple[int, int], tuple[int, int, int, int]] = {}
        self.sums: dict[tuple[int, int], tuple[int, int, int]] = {}

    def intern(self, structure: Structure) -> int:
        """The id of a structure."""
        found = self._ids.get(structure)
        if found is None:
            found = self._ids[structure] = len(self.structures)
            self.structures.append(structure)
        return found

    def compose(self, outer: int, inner: int) -> tuple[int, int, int, int]:
        """The product's id, its multiplications executed and counted, and its additions."""
        key = (outer, inner)
        found = self.products.get(key)
        if found is None:
            plan = compose(self.structures[outer], self.structures[inner])
            found = (self._intern_result(plan.structure), plan.mults, plan.mults_counted, plan.adds)
            self.products[key] = found
        return found

    def add(self, left: int, right: int) -> tuple[int, int, int]:
        """The sum's id, its additions executed and counted."""
        key = (left, right)
        found = self.sums.get(key)
        if found is None:
            plan = add(self.structures[left], self.structures[right])
            found = (self._intern_result(plan.structure), plan.adds, plan.adds_counted)
            self.sums[key] = found
        return found

    def _intern_result(self, structure: Structure) -> int:
        return self.intern(dense(structure.out_shape, structure.in_shape) if self._coarse else structure)


class ClosedTable(NamedTuple):
    """Look-up tables closed under `compose` and `add`. Id 0 means no edge; structures count from 1.

    Attributes:
        structures: the structure of id ``i`` at ``i - 1``.
        products: the id of the product of ``[outer, inner]``; 0 where shapes do not fit.
        sums: the id of the sum of ``[left, right]``.
        mults: multiplications executed by the product of ``[outer, inner]``.
        mults_counted: the same in the convention that holds explicit ones in unit edges.
        exact: whether the structures are exact; otherwise products and sums were taken for dense.
    """

    structures: tuple[Structure, ...]
    products: np.ndarray
    sums: np.ndarray
    mults: np.ndarray
    mults_counted: np.ndarray
    exact: bool


def close_table(structures: Iterable[Structure], limit: int = 4096) -> ClosedTable:
    """All structures that products and sums of the given ones can reach, with their tables.

    Args:
        structures: the structures to start from.
        limit: how many structures there may be before products and sums are taken for dense instead.
    """
    structures = list(structures)
    table = StructureTable()
    exact = _close(table, structures, limit)
    if not exact:
        table = StructureTable(coarse=True)
        _close(table, structures, None)
    size = len(table.structures) + 1
    products, sums, mults, counted = (np.zeros((size, size), np.int32) for _ in range(4))
    sums[0, :] = sums[:, 0] = np.arange(size)
    for (outer, inner), (product, *costs, _) in table.products.items():
        products[outer + 1, inner + 1] = product + 1
        mults[outer + 1, inner + 1], counted[outer + 1, inner + 1] = costs
    for (left, right), (total, *_) in table.sums.items():
        sums[left + 1, right + 1] = total + 1
    return ClosedTable(tuple(table.structures), products, sums, mults, counted, exact)


def _close(table: StructureTable, structures: list[Structure], limit: int | None) -> bool:
    """Compose and add until nothing new appears; False if that passes the limit."""
    for structure in structures:
        table.intern(structure)
    by_out: dict[tuple[int, ...], list[int]] = {}
    by_in: dict[tuple[int, ...], list[int]] = {}
    by_both: dict[tuple[tuple[int, ...], tuple[int, ...]], list[int]] = {}
    done = 0
    while done < len(table.structures):
        if limit is not None and len(table.structures) > limit:
            return False
        structure = table.structures[done]
        out_shape, in_shape = structure.out_shape, structure.in_shape
        by_out.setdefault(out_shape, []).append(done)
        by_in.setdefault(in_shape, []).append(done)
        by_both.setdefault((out_shape, in_shape), []).append(done)
        for inner in by_out.get(in_shape, ()):
            table.compose(done, inner)
        for outer in by_in.get(out_shape, ()):
            table.compose(outer, done)
        for other in by_both[out_shape, in_shape]:
            table.add(done, other)
            table.add(other, done)
        done += 1
    return True
