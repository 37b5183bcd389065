"""Terms being rewritten: labels are split, replaced and equated, and the values follow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set

import numpy as np

from ._cost import worth_a_mask
from ._steps import Broadcast, Gather, Place, Reshape, Scatter, Slice, Step, Untie
from ._term import Digit, Kind, Table, Term, digit_table, progression


def common_factors(left: Sequence[int], right: Sequence[int]) -> list[int] | None:
    """The coarsest row-major factorisation that refines both, or None where there is none.

    >>> common_factors([12], [4, 3])
    [4, 3]
    >>> common_factors([4, 3], [2, 6])
    [2, 2, 3]
    >>> common_factors([4, 3], [3, 4]) is None
    True
    """
    cuts = {*itertools.accumulate(left, lambda a, b: a * b), *itertools.accumulate(right, lambda a, b: a * b)}
    factors, below = [], 1
    for cut in sorted(cuts):
        if cut % below:
            return None
        if cut != below:
            factors.append(cut // below)
        below = cut
    return factors


class Operand:
    """A value that follows: the labels of its axes, and the steps so far."""

    def __init__(self, kind: Kind, axes: Iterable[int], sizes: dict[int, int]) -> None:
        self.kind = kind
        self.axes = list(axes)
        self.sizes = sizes
        self.steps: list[Step] = []

    def shape(self) -> tuple[int, ...]:
        return tuple(self.sizes[label] for label in self.axes)

    def split(self, label: int, parts: Sequence[int]) -> None:
        if label in self.axes:
            at = self.axes.index(label)
            self.axes[at : at + 1] = parts
            self.steps.append(Reshape(self.shape()))

    def slice(self, label: int, new: Sequence[int], start: int, step: int) -> None:
        """Let a label take the values ``start + step * new``, or one value if there is no new label."""
        if label in self.axes:
            axis = self.axes.index(label)
            self.axes[axis : axis + 1] = new
            self.steps.append(Slice(axis, start, step, math.prod(self.sizes[one] for one in new)))
            if not new:
                self.steps.append(Reshape(self.shape()))

    def gather(self, coordinates: dict[int, np.ndarray], new: Sequence[int]) -> None:
        """Replace the labels of the coordinates by new ones, at whose positions these are their values."""
        merged = [label for label in self.axes if label in coordinates]
        if merged:
            axes = tuple(self.axes.index(label) for label in merged)
            table = np.ravel_multi_index(
                [coordinates[label] for label in merged], [self.sizes[label] for label in merged]
            )
            self.axes = [*new, *(label for label in self.axes if label not in merged)]
            self.steps.append(Gather(axes, Table(table), tuple(self.sizes[label] for label in new)))

    def broadcast(self, labels: Iterable[int]) -> None:
        """Let the value vary along these labels too."""
        missing = [label for label in labels if label not in self.axes]
        if missing or self.kind is not Kind.VALUE:
            self.kind = Kind.VALUE if self.kind is not Kind.COPY else self.kind
            self.axes += missing
            self.steps.append(Broadcast(tuple(self.sizes[label] for label in missing)))

    def scatter(self, labels: Sequence[int], new: Sequence[int], places: np.ndarray) -> None:
        """Replace labels by new ones, with the entries added up at their places."""
        self.broadcast(labels)
        axes = tuple(self.axes.index(label) for label in labels)
        self.axes = [*new, *(label for label in self.axes if label not in labels)]
        self.steps.append(Scatter(axes, Table(places), tuple(self.sizes[label] for label in new)))

    def place(self, label: int, new: int, start: int, step: int) -> None:
        """Spread a label out over a longer one, zeros elsewhere."""
        self.broadcast([label])
        axis = self.axes.index(label)
        self.axes[axis] = new
        self.steps.append(Place(axis, start, step, self.sizes[new]))

    def part(self, label: int, whole: int) -> None:
        """Let the value be a part along a longer label, whose other entries another value holds."""
        self.broadcast([label])
        self.axes[self.axes.index(label)] = whole

    def untie(self, label: int, twins: tuple[int, int]) -> None:
        """Write the delta between two places of a label out."""
        self.broadcast([label])
        axis = self.axes.index(label)
        self.axes[axis] = twins[0]
        self.axes.append(twins[1])
        self.steps.append(Untie(axis))

    def rename(self, names: dict[int, int]) -> None:
        self.axes = [names.get(label, label) for label in self.axes]


class Side:
    """The digits of some dimensions, to be rewritten in place."""

    def __init__(self, dims: Iterable[Iterable[Digit]]) -> None:
        self.dims = [list(dim) for dim in dims]

    def labels(self) -> list[int]:
        return list(dict.fromkeys([label for dim in self.dims for digit in dim for label in digit.labels]))

    def digits(self) -> list[Digit]:
        return [digit for dim in self.dims for digit in dim]


class Workspace:
    """Terms over shared labels. What is done to a label is done wherever it occurs."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}
        self._sides: list[Side] = []
        self._operands: list[Operand] = []

    def load(self, term: Term, names: Mapping[int, int] | None = None) -> tuple[Side, Side, Operand]:
        """The output, the input and the value of a term, over labels of their own.

        Args:
            term: the term.
            names: labels of the workspace that stand for some of the term's; none if left out.
        """
        names, sizes = names or {}, self.sizes
        number: list[int] = []
        for label, size in enumerate(term.sizes):
            name = names.get(label)
            if name is None:
                name = len(sizes)
                sizes[name] = size
            number.append(name)

        def moved(dim: Iterable[Digit]) -> list[Digit]:
            return [
                Digit(digit[0], tuple([number[label] for label in digit.labels]), *digit[2:])
                if digit.labels
                else digit
                for digit in dim
            ]

        renumbered = number != list(range(len(number)))
        out, in_ = (
            Side([moved(dim) for dim in dims] if renumbered else dims) for dims in (term.out, term.in_)
        )
        operand = Operand(term.kind, [number[label] for label in term.axes], sizes)
        self._sides += [out, in_]
        self._operands.append(operand)
        return out, in_, operand

    def new_label(self, size: int) -> int:
        label = len(self.sizes)
        self.sizes[label] = size
        return label

    # Replacing labels ---------------------------------------------------------------------------------

    def _rewrite(self, labels: Set[int], change: Callable[[Digit], Sequence[Digit]]) -> None:
        """Put others in the place of the digits that depend on some labels."""
        for side in self._sides:
            for dim in side.dims:
                for digit in dim:
                    if not labels.isdisjoint(digit.labels):
                        dim[:] = [
                            new
                            for digit in dim
                            for new in ([digit] if labels.isdisjoint(digit.labels) else change(digit))
                        ]
                        break

    def split(self, label: int, factors: Sequence[int]) -> list[int]:
        """Replace a label by several whose row-major product it is."""
        parts = [self.new_label(factor) for factor in factors]
        self._rewrite({label}, lambda digit: self._split_digit(digit, label, parts))
        for operand in self._operands:
            operand.split(label, parts)
        return parts

    def _split_digit(self, digit: Digit, label: int, parts: Sequence[int]) -> list[Digit]:
        if digit.table is None:
            found = self._split_affine(digit, parts)
            if found:
                return found
        at = digit.labels.index(label)
        labels = (*digit.labels[:at], *parts, *digit.labels[at + 1 :])
        return [digit_table(digit.radix, labels, digit.indices(self.sizes))]

    def _split_affine(self, digit: Digit, parts: Sequence[int]) -> list[Digit] | None:
        """One digit for every part, where no carry crosses them."""
        found: list[Digit] = []
        radix, start, step = digit.radix, digit.start, digit.step
        for part in reversed(parts[1:]):
            unit = abs(step) * self.sizes[part]
            low = start % unit
            if radix % unit or not 0 <= low + step * (self.sizes[part] - 1) < unit:
                return None
            found.append(Digit(unit, (part,), low, step))
            radix, start, step = radix // unit, start // unit, 1 if step > 0 else -1
        found.append(Digit(radix, (parts[0],), start, step))
        return found[::-1]

    def replace(self, label: int, digit: Digit) -> None:
        """Let a label take the values of a digit: its only value, if the digit has no label."""
        together = [old.labels for side in self._sides for old in side.digits() if old.table is not None]
        together += [operand.axes for operand in self._operands]
        meet = any(label in labels and not set(labels).isdisjoint(digit.labels) for labels in together)
        if digit.table is not None or meet:
            self.tabulate({label: digit.indices(self.sizes)}, digit.labels)
            return
        self._rewrite({label}, lambda old: [self._replaced(old, label, digit)])
        for operand in self._operands:
            operand.slice(label, digit.labels, digit.start, digit.step)

    def _replaced(self, old: Digit, label: int, digit: Digit) -> Digit:
        """A digit whose label takes the values of an affine digit."""
        if old.table is None:
            step = old.step * digit.step if digit.labels else 1
            return Digit(old.radix, digit.labels, old.start + old.step * digit.start, step)
        at = old.labels.index(label)
        labels = (*old.labels[:at], *digit.labels, *old.labels[at + 1 :])
        return digit_table(old.radix, labels, self._grid(old).take(digit.indices(self.sizes), at))

    def _grid(self, digit: Digit) -> np.ndarray:
        """The table of a digit with an axis for each of its labels."""
        return digit.indices(self.sizes).reshape([self.sizes[label] for label in digit.labels])

    def tabulate(self, coordinates: dict[int, np.ndarray], new: Sequence[int]) -> None:
        """Let labels take tabulated values at the row-major positions of some other labels."""
        own = self.grids(new)
        coordinates = {**own, **coordinates}
        gone = coordinates.keys() - own.keys()
        self._rewrite(gone, lambda digit: [self._tabulated(digit, coordinates, new)])
        for operand in self._operands:
            if gone.isdisjoint(operand.axes):
                continue
            (axis, *others) = [label for label in operand.axes if label in coordinates]
            step = progression(coordinates[axis])
            if not others and len(new) == 1 and step is not None:
                operand.slice(axis, new, int(coordinates[axis][0]), step)
            else:
                operand.gather(coordinates, new)

    def _tabulated(self, digit: Digit, coordinates: dict[int, np.ndarray], new: Sequence[int]) -> Digit:
        rest = [label for label in digit.labels if label not in coordinates]
        labels = (*new, *rest)
        if digit.table is None:
            return digit_table(digit.radix, labels, digit.start + digit.step * coordinates[digit.labels[0]])
        index = []
        for label in digit.labels:
            if label in coordinates:
                index.append(coordinates[label].reshape(-1, *[1] * len(rest)))
            else:
                shape = [1] * (len(rest) + 1)
                shape[1 + rest.index(label)] = -1
                index.append(np.arange(self.sizes[label]).reshape(shape))
        grid = self._grid(digit)
        full = (-1, *[self.sizes[label] for label in rest])
        chosen = np.broadcast_to(grid[tuple(index)], (math.prod(self.sizes[n] for n in new), *full[1:]))
        return digit_table(digit.radix, labels, chosen)

    # Digits of equal radices --------------------------------------------------------------------------

    def align(self, *pairs: tuple[Side, Side]) -> None:
        """Bring the dimensions of pairs of sides to digits of the same radices."""
        aligned = False
        while not aligned:  # what splits a label in one dimension may split a digit in another
            aligned = True
            for left, right in pairs:
                while not self._aligned(left, right):
                    aligned = False

    def _aligned(self, left: Side, right: Side) -> bool:
        """Whether two sides are aligned; if not, they are brought nearer to it."""
        aligned = True
        for x, y in zip(left.dims, right.dims, strict=True):
            radices = [digit.radix for digit in x], [digit.radix for digit in y]
            if radices[0] != radices[1]:
                aligned = False
                factors = common_factors(*radices)
                for dim in (x, y):
                    if factors is None:
                        self.merge(dim)
                    else:
                        self._refine(dim, factors)
        return aligned

    def merge(self, dim: list[Digit]) -> None:
        """Make one digit of a dimension."""
        labels = list(dict.fromkeys(label for digit in dim for label in digit.labels))
        dim[:] = [digit_table(math.prod(digit.radix for digit in dim), labels, self.positions(dim, labels))]

    def positions(self, digits: Iterable[Digit], labels: Sequence[int]) -> np.ndarray:
        """The row-major place to which digits point, at every row-major position of the labels."""
        grids = self.grids(labels)
        place = np.zeros(math.prod(self.sizes[label] for label in labels), np.int64)
        for digit in digits:
            place = place * digit.radix + self.digit_at(digit, grids)
        return place

    def grids(self, labels: Sequence[int]) -> dict[int, np.ndarray]:
        """For every row-major position of the labels their values."""
        grids = np.indices([self.sizes[label] for label in labels])
        return {label: grid.reshape(-1) for label, grid in zip(labels, grids, strict=True)}

    def digit_at(self, digit: Digit, grids: dict[int, np.ndarray]) -> np.ndarray:
        """A digit at every position of some labels, given by their grids."""
        if digit.table is None:
            return (
                digit.start + digit.step * grids[digit.labels[0]] if digit.labels else np.array(digit.start)
            )
        if digit.labels == tuple(grids):
            return digit.table.indices
        position = np.ravel_multi_index(
            [grids[label] for label in digit.labels], [self.sizes[label] for label in digit.labels]
        )
        return digit.table.indices[position]

    def _refine(self, dim: list[Digit], factors: Sequence[int]) -> None:
        """Split the first digit that spans several factors, if there is one."""
        remaining = iter(factors)
        for at, digit in enumerate(dim):
            major = next(remaining)
            if major != digit.radix:
                self._divide(dim, at, digit.radix // major)
                return

    def _divide(self, dim: list[Digit], at: int, radix: int) -> None:
        """Split a digit in two, the minor one of the given radix."""
        digit = dim[at]
        major = digit.radix // radix
        if digit.table is None:
            start, step = digit.start, digit.step
            size = self.sizes[digit.labels[0]] if digit.labels else 1
            last = start + step * (size - 1)
            low = start % radix
            if not digit.labels or step % radix == 0:
                dim[at : at + 1] = [
                    Digit(major, digit.labels, start // radix, step // radix if digit.labels else 1),
                    Digit(radix, (), low),
                ]
                return
            if start // radix == last // radix:
                dim[at : at + 1] = [Digit(major, (), start // radix), Digit(radix, digit.labels, low, step)]
                return
            part = radix // abs(step)
            if radix % abs(step) == 0 and size % part == 0 and 0 <= low + step * (part - 1) < radix:
                self.split(digit.labels[0], (size // part, part))
                return
        indices = digit.indices(self.sizes)
        dim[at : at + 1] = [
            digit_table(major, digit.labels, indices // radix),
            digit_table(radix, digit.labels, indices % radix),
        ]

    # Zeros written out ----------------------------------------------------------------------------------

    def write_out(self, operand: Operand, old: list[Digit], new: list[int]) -> None:
        """Let a value vary over one new label for every digit, with zeros where it had no entry."""
        sizes = self.sizes
        groups = [
            *[[at] for at, digit in enumerate(old) if not digit.labels],
            *[
                [at for at, digit in enumerate(old) if not labels.isdisjoint(digit.labels)]
                for labels in map(set, components(old))
            ],
        ]
        for group in groups:
            first = old[group[0]]
            labels = list(dict.fromkeys(label for at in group for label in old[at].labels))
            if len(group) == 1 and first.table is None:
                if not first.labels:
                    operand.place(self.new_label(1), new[group[0]], first.start, 1)
                elif first.covers(sizes):
                    operand.rename({labels[0]: new[group[0]]})
                else:
                    operand.place(labels[0], new[group[0]], first.start, first.step)
            elif (len(group), len(labels)) == (2, 1) and self._worth_a_mask([old[at] for at in group]):
                twins = [self.new_label(sizes[labels[0]]) for _ in group]
                operand.untie(labels[0], (twins[0], twins[1]))
                for at, twin in zip(group, twins, strict=True):
                    if old[at].covers(sizes):
                        operand.rename({twin: new[at]})
                    else:
                        operand.place(twin, new[at], old[at].start, old[at].step)
            else:
                places = self.positions([old[at] for at in group], labels)
                operand.scatter(labels, [new[at] for at in group], places)

    def _worth_a_mask(self, digits: Sequence[Digit]) -> bool:
        """Whether two digits of one label are written out by a mask, and then spread out where they step."""
        if any(digit.table is not None for digit in digits):
            return False
        return worth_a_mask(self.sizes[digits[0].labels[0]], math.prod(digit.radix for digit in digits))


def components(digits: Iterable[Digit]) -> list[list[int]]:
    """The labels of digits, those that share a digit together."""
    found: list[set[int]] = []
    for digit in digits:
        if digit.labels:
            joined = set(digit.labels).union(
                *(other for other in found if not other.isdisjoint(digit.labels))
            )
            found = [*(other for other in found if other.isdisjoint(digit.labels)), joined]
    return [sorted(component) for component in found]
