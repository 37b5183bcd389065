"""Terms being rewritten: labels are split, replaced and equated, and the values follow."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

import numpy as np

from ._places import matches
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


# Deltas up to this size are written out by a mask, which XLA fuses with its neighbours; larger ones by a
# scatter, whose work is that of the entries.
_LARGEST_MASK = 64


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

    def fix(self, label: int, index: int) -> None:
        if label in self.axes:
            axis = self.axes.index(label)
            self.steps.append(Slice(axis, index, 1, 1))
            del self.axes[axis]
            self.steps.append(Reshape(self.shape()))

    def slice(self, label: int, new: int, start: int, step: int) -> None:
        if label in self.axes:
            axis = self.axes.index(label)
            self.axes[axis] = new
            self.steps.append(Slice(axis, start, step, self.sizes[new]))

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
        return list(dict.fromkeys(label for digit in self.digits() for label in digit.labels))

    def digits(self) -> list[Digit]:
        return [digit for dim in self.dims for digit in dim]


class Workspace:
    """Terms over shared labels. What is done to a label is done wherever it occurs."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}
        self._sides: list[Side] = []
        self._operands: list[Operand] = []

    def load(self, term: Term) -> tuple[Side, Side, Operand]:
        """The output, the input and the value of a term, over labels of their own."""
        first = len(self.sizes)
        self.sizes.update((first + label, size) for label, size in enumerate(term.sizes))

        def moved(digit: Digit) -> Digit:
            labels = tuple([first + label for label in digit.labels])
            return Digit(digit.radix, labels, digit.start, digit.step, digit.table)

        out, in_ = (Side([map(moved, dim) for dim in dims]) for dims in (term.out, term.in_))
        operand = Operand(term.kind, [first + label for label in term.axes], self.sizes)
        self._sides += [out, in_]
        self._operands.append(operand)
        return out, in_, operand

    def new_label(self, size: int) -> int:
        label = len(self.sizes)
        self.sizes[label] = size
        return label

    # Replacing labels ---------------------------------------------------------------------------------

    def split(self, label: int, factors: Sequence[int]) -> list[int]:
        """Replace a label by several whose row-major product it is."""
        parts = [self.new_label(factor) for factor in factors]
        for side in self._sides:
            for dim in side.dims:
                dim[:] = [new for digit in dim for new in self._split_digit(digit, label, parts)]
        for operand in self._operands:
            operand.split(label, parts)
        return parts

    def _split_digit(self, digit: Digit, label: int, parts: Sequence[int]) -> list[Digit]:
        if label not in digit.labels:
            return [digit]
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

    def fix(self, label: int, index: int) -> None:
        """Give a label its only value."""
        for side in self._sides:
            for dim in side.dims:
                for at, digit in enumerate(dim):
                    if label in digit.labels:
                        dim[at] = self._fixed(digit, label, index)
        for operand in self._operands:
            operand.fix(label, index)

    def _fixed(self, digit: Digit, label: int, index: int) -> Digit:
        if digit.table is None:
            return Digit(digit.radix, (), digit.start + digit.step * index)
        at = digit.labels.index(label)
        grid = digit.table.indices.reshape([self.sizes[other] for other in digit.labels])
        labels = (*digit.labels[:at], *digit.labels[at + 1 :])
        return digit_table(digit.radix, labels, np.asarray(grid.take(index, at)))

    def replace(self, label: int, digit: Digit) -> None:
        """Let a label take the values of a digit."""
        if not digit.labels:
            self.fix(label, int(digit.indices(self.sizes)[0]))
            return
        (new, *others) = digit.labels
        shared = any(
            new in labels and label in labels
            for labels in [d.labels for side in self._sides for d in side.digits() if d.table is not None]
            + [operand.axes for operand in self._operands]
        )
        if digit.table is not None or others or shared:
            self.tabulate({label: digit.indices(self.sizes)}, digit.labels)
            return
        start, step = digit.start, digit.step
        for side in self._sides:
            for dim in side.dims:
                for at, old in enumerate(dim):
                    if label not in old.labels:
                        continue
                    if old.table is None:
                        dim[at] = Digit(old.radix, (new,), old.start + old.step * start, old.step * step)
                    else:
                        where = old.labels.index(label)
                        grid = old.table.indices.reshape([self.sizes[other] for other in old.labels])
                        grid = grid.take(digit.indices(self.sizes), where)
                        labels = (*old.labels[:where], new, *old.labels[where + 1 :])
                        dim[at] = digit_table(old.radix, labels, grid)
        for operand in self._operands:
            operand.slice(label, new, start, step)

    def tabulate(self, coordinates: dict[int, np.ndarray], new: Sequence[int]) -> None:
        """Let labels take tabulated values at the row-major positions of some other labels."""
        own = self.grids(new)
        coordinates = {**own, **coordinates}
        gone = coordinates.keys() - own.keys()
        for side in self._sides:
            for dim in side.dims:
                for at, digit in enumerate(dim):
                    if not gone.isdisjoint(digit.labels):
                        dim[at] = self._tabulated(digit, coordinates, new)
        for operand in self._operands:
            if gone.isdisjoint(operand.axes):
                continue
            (axis, *others) = [label for label in operand.axes if label in coordinates]
            step = progression(coordinates[axis])
            if not others and len(new) == 1 and step is not None:
                operand.slice(axis, new[0], int(coordinates[axis][0]), step)
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
        grid = digit.table.indices.reshape([self.sizes[label] for label in digit.labels])
        full = (-1, *[self.sizes[label] for label in rest])
        chosen = np.broadcast_to(grid[tuple(index)], (math.prod(self.sizes[n] for n in new), *full[1:]))
        return digit_table(digit.radix, labels, chosen)

    # Digits of equal radices --------------------------------------------------------------------------

    def align(self, left: Side, right: Side) -> None:
        """Bring the dimensions of two sides to digits of the same radices."""
        aligned = False
        while not aligned:  # what splits a label in one dimension may split a digit in another
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
            elif len(group) == 2 and len(labels) == 1 and self._untied_by_mask(old, group):
                operand.untie(labels[0], (new[group[0]], new[group[1]]))
            else:
                places = self.positions([old[at] for at in group], labels)
                operand.scatter(labels, [new[at] for at in group], places)

    def _untied_by_mask(self, digits: Sequence[Digit], group: Sequence[int]) -> bool:
        sizes = self.sizes
        return all(digits[at].covers(sizes) and digits[at].radix <= _LARGEST_MASK for at in group)

    # Equations ----------------------------------------------------------------------------------------

    def equate(self, left: Side, right: Side) -> bool:
        """Keep only the values of the labels at which two sides agree; False where there are none."""
        self.align(left, right)
        pending = [(d, p) for d, dim in enumerate(left.dims) for p in range(len(dim))]

        def pair(place: tuple[int, int]) -> tuple[Digit, Digit]:
            d, p = place
            return left.dims[d][p], right.dims[d][p]

        # What can be substituted goes first: that keeps labels apart where others have to be tabulated.
        while pending:
            place = min(pending, key=lambda place: self._difficulty(*pair(place)))
            pending.remove(place)
            if not self._equate(*pair(place)):
                return False
        return True

    def _difficulty(self, x: Digit, y: Digit) -> int:
        if x == y or self._substitutes(x, y) or self._substitutes(y, x):
            return 0
        return 1 if x.table is None and y.table is None else 2

    def _substitutes(self, x: Digit, y: Digit) -> bool:
        return x.covers(self.sizes) and x.labels[0] not in y.labels

    def _equate(self, x: Digit, y: Digit) -> bool:
        if x == y:
            return True
        if self._substitutes(y, x):
            self.replace(y.labels[0], x)
        elif self._substitutes(x, y):
            self.replace(x.labels[0], y)
        elif x.table is None and y.table is None:
            return self._equate_affine(x, y)
        else:
            return self._join(x, y)
        return True

    def _equate_affine(self, x: Digit, y: Digit) -> bool:
        if not x.labels and not y.labels:
            return x.start == y.start
        if x.labels == y.labels:
            x, y = x._replace(start=x.start - y.start, step=x.step - y.step), Digit(y.radix)
            if x.step == 0:
                return False  # the starts differ, as the digits do
        if not x.labels:
            x, y = y, x
        if not y.labels:
            index, rest = divmod(y.start - x.start, x.step)
            if rest or not 0 <= index < self.sizes[x.labels[0]]:
                return False
            self.fix(x.labels[0], index)
            return True
        return self._intersect(x, y)

    def _intersect(self, x: Digit, y: Digit) -> bool:
        """The common values of two progressions are a progression."""
        (p,), (q,) = x.labels, y.labels
        divisor = math.gcd(x.step, y.step)
        gap = y.start - x.start
        if gap % divisor:
            return False
        # x.start + x.step * p = y.start + y.step * q has the solutions p0 + dp * k, q0 + dq * k.
        dp, dq = abs(y.step) // divisor, x.step // divisor * (1 if y.step > 0 else -1)
        p0 = gap // divisor * pow(x.step // divisor, -1, dp) % dp if dp > 1 else 0
        q0 = (x.start + x.step * p0 - y.start) // y.step
        ends = (-q0, self.sizes[q] - 1 - q0) if dq > 0 else (self.sizes[q] - 1 - q0, -q0)
        first = max(0, -(-ends[0] // dq))
        last = min((self.sizes[p] - 1 - p0) // dp, ends[1] // dq)
        size = last - first + 1
        if size <= 0:
            return False
        new = self.new_label(size)
        for label, start, step in ((p, p0 + dp * first, dp), (q, q0 + dq * first, dq)):
            self.replace(label, Digit(self.sizes[label], (new,), start, step))
        return True

    def _join(self, x: Digit, y: Digit) -> bool:
        """Tabulate all values of the labels at which two digits agree."""
        if not set(x.labels).isdisjoint(y.labels):
            labels = list(dict.fromkeys(x.labels + y.labels))
            grids = self.grids(labels)
            keep = self.digit_at(x, grids) == self.digit_at(y, grids)
            if keep.all():
                return True
            found = {label: grid[keep] for label, grid in grids.items()}
        else:
            at, to = matches(x.indices(self.sizes), y.indices(self.sizes))
            every = np.arange(math.prod(self.sizes[label] for label in x.labels))
            if x.labels and np.array_equal(at, every):
                # Every x has one partner: its labels stay.
                grids = self.grids(y.labels)
                self.tabulate({label: grids[label][to] for label in y.labels}, x.labels)
                return True
            x_grids, y_grids = self.grids(x.labels), self.grids(y.labels)
            found = {label: x_grids[label][at] for label in x.labels}
            found |= {label: y_grids[label][to] for label in y.labels}
        size = len(next(iter(found.values())))
        if size == 0:
            return False
        self.tabulate(found, [self.new_label(size)])
        return True


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
