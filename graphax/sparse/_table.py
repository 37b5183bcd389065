"""Structures as small integers, with `compose` and `add` as remembered look-ups."""

from __future__ import annotations

from ._add import add
from ._compose import compose
from ._structure import Structure


class StructureTable:
    """Interns structures on first sight; ids are dense and start at 0."""

    def __init__(self) -> None:
        self.structures: list[Structure] = []
        self._ids: dict[Structure, int] = {}
        self._products: dict[tuple[int, int], tuple[int, int, int, int]] = {}
        self._sums: dict[tuple[int, int], tuple[int, int, int]] = {}

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
        found = self._products.get(key)
        if found is None:
            plan = compose(self.structures[outer], self.structures[inner])
            found = (self.intern(plan.structure), plan.mults, plan.mults_counted, plan.adds)
            self._products[key] = found
        return found

    def add(self, left: int, right: int) -> tuple[int, int, int]:
        """The sum's id, its additions executed and counted."""
        key = (left, right)
        found = self._sums.get(key)
        if found is None:
            plan = add(self.structures[left], self.structures[right])
            found = (self.intern(plan.structure), plan.adds, plan.adds_counted)
            self._sums[key] = found
        return found
