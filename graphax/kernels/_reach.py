"""By which columns expressions have a derivative, and what a step of a loop takes at least for these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ._derivatives import vanishes
from ._partials import partials
from ._scalars import Scalars, operands_first, reads

#: For expressions the set of columns by which they may have a derivative: a bit for each.
Reached = dict[int, int]


class Reach:
    """What expressions of a table depend on by derivatives; each is looked at once."""

    def __init__(self, scalars: Scalars) -> None:
        self._scalars = scalars
        self._parts: dict[int, list[tuple[int, bool]]] = {}

    def of(self, roots: Sequence[int], known: Reached) -> list[int]:
        """By which columns some expressions may have a derivative, when that is known of others."""
        known = dict(known)
        for x, parts in self._between(roots, known):
            known[x] = _union(known[y] for y, _ in parts)
        return [known[x] for x in roots]

    def handed_on(
        self, first: Sequence[int], carries: Sequence[int], after: Sequence[int], by: Reached
    ) -> list[int]:
        """By which columns what a loop hands on may have a derivative, after any number of steps.

        Args:
            first: that of what it starts with.
            carries: what every step is handed.
            after: what it hands on.
            by: that of what the steps take from outside.
        """
        found = list(first)
        while True:
            reached = self.of(after, by | dict(zip(carries, found, strict=True)))
            joined = [a | b for a, b in zip(found, reached, strict=True)]
            if joined == found:
                return found
            found = joined

    def least_operations(self, handed: Reached, after: Sequence[int], outside: Sequence[int]) -> int:
        """How many operations a step of a loop takes at least in forward or in reverse order.

        One goes forward with all columns, the other multiplies the step's own Jacobian by what it is handed.

        Args:
            handed: what the step is handed.
            after: what it hands on.
            outside: what it takes from outside, which is not counted.
        """
        nothing = dict.fromkeys(outside, 0)
        return min(self._forward(nothing | handed, after), self._by_jacobian(handed, after, nothing))

    def _forward(self, known: Reached, after: Sequence[int]) -> int:
        count = 0
        for x, parts in self._between(after, known):
            known[x] = _union(known[y] for y, _ in parts)
            count += sum((1 + value) * known[y].bit_count() for y, value in parts) - known[x].bit_count()
        return count

    def _by_jacobian(self, handed: Reached, after: Sequence[int], nothing: Reached) -> int:
        # What is reached by derivatives of plus or minus 1 alone, and what by others.
        near = nothing | {x: 1 << at for at, x in enumerate(handed)}
        far = dict.fromkeys(near, 0)
        for x, parts in self._between(after, near):
            far[x] = _union(far[y] | near[y] if value else far[y] for y, value in parts)
            near[x] = _union(near[y] for y, value in parts if not value)
        count = 0
        for x in after:
            read = [(columns, far[x] >> at & 1) for at, columns in enumerate(handed.values())]
            read = [pair for at, pair in enumerate(read) if (near[x] | far[x]) >> at & 1]
            count += sum((1 + value) * columns.bit_count() for columns, value in read)
            count -= _union(columns for columns, _ in read).bit_count()
        return count

    def _between(self, roots: Sequence[int], done: Reached) -> Iterator[tuple[int, list[tuple[int, bool]]]]:
        """Expressions that are not done, operands first, with their parts."""
        for x in operands_first(roots, done, lambda x: [y for y, _ in self._parts_of(x)]):
            yield x, self._parts_of(x)

    def _parts_of(self, x: int) -> list[tuple[int, bool]]:
        """The operands along which there is a derivative, and whether that is none of 1 and -1."""
        found = self._parts.get(x)
        if found is None:
            scalars = self._scalars
            if scalars.ops[x] == "last":
                found = [(y, False) for y in reads(scalars, x)]
            else:
                pairs = [(y, scalars.value(d)) for y, d in partials(scalars, x) if not vanishes(scalars, d)]
                found = [(y, value is None or abs(value) != 1) for y, value in pairs]
            self._parts[x] = found
        return found


def _union(columns: Iterator[int]) -> int:
    found = 0
    for some in columns:
        found |= some
    return found
