"""The static half of a Jacobian's term: labels, what they index, and what its value varies over."""

from __future__ import annotations

import enum
import itertools
import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

Labels = tuple[int, ...]
Sizes = Sequence[int] | dict[int, int]


class Kind(enum.IntEnum):
    """What the structural nonzeros of a term hold."""

    UNIT = 0  # the static scale +1 or -1; no array
    CONSTANT = 1  # any other static scale; no array
    COPY = 2  # in the counted convention: numbers that are copied, never multiplied
    VALUE = 3  # an array


class Table:
    """A static array of indices that can be compared and hashed."""

    __slots__ = ("_hash", "indices")

    def __init__(self, indices: np.ndarray) -> None:
        self.indices = np.ascontiguousarray(indices, np.int32).reshape(-1)
        self._hash = zlib.crc32(self.indices.data)  # the same in every process

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Table) or self._hash != other._hash:
            return False
        if self.indices is not other.indices and np.array_equal(self.indices, other.indices):
            other.indices = self.indices  # the next comparison does not look at them
        return self.indices is other.indices

    def __repr__(self) -> str:
        return f"Table({len(self.indices)} indices, {self._hash:08x})"


class Digit(NamedTuple):
    """One digit of the index in a dimension, as a function of labels.

    The digit is ``start + step * label`` for one label, ``start`` for none, and
    ``table[position]`` where there is a table, at the row-major position of all labels.

    Attributes:
        radix: how many values the digit can take.
        labels: the labels it depends on.
        start, step: the affine map of its label.
        table: static indices in place of the affine map.

    Example:
        >>> odd = sparse.Digit(radix=6, labels=(0,), start=1, step=2)  # of six places those at 1, 3 and 5
        >>> print(odd.indices([3]))
        [1 3 5]
    """

    radix: int
    labels: Labels = ()
    start: int = 0
    step: int = 1
    table: Table | None = None

    def indices(self, sizes: Sizes) -> np.ndarray:
        """The digit at every row-major position of its labels.

        Args:
            sizes: the size of every label.

        Returns:
            whole numbers below the radix.
        """
        if self.table is not None:
            return self.table.indices
        if not self.labels:
            return np.array([self.start])
        return self.start + self.step * np.arange(sizes[self.labels[0]])

    def covers(self, sizes: Sizes) -> bool:
        """Whether the digit is its label, and takes every value.

        Args:
            sizes: the size of every label.

        Returns:
            True where the digit and its label are one.
        """
        return (
            self.table is None
            and len(self.labels) == 1
            and self.step == 1
            and sizes[self.labels[0]] == self.radix
        )


Dim = tuple[Digit, ...]  # major digit first; none where the dimension has size 1


@dataclass(frozen=True)
class Term:
    """What is known about a Jacobian ``J[o..., i...]``, or a summand of one, before any number is.

    Every dimension of the output and of the input is a row-major product of *digits*, and every digit a
    static function of *labels*. The term stands for the sum over all labels of an entry at the place to
    which the labels point; so a label on both sides is a Kronecker delta, and a digit that does not take all
    its values leaves zeros. The value varies over ``axes`` only; along every other label the entries are all
    alike.
    Labels are numbered by first occurrence and neighbours that always stand together are one label, so that
    equal terms compare equal.

    Attributes:
        sizes: the size of each label.
        out: the digits of every output dimension.
        in_: the digits of every input dimension.
        kind: what the nonzeros hold.
        axes: the labels of the value's axes, ascending; empty for units and constants.
    """

    sizes: tuple[int, ...]
    out: tuple[Dim, ...]
    in_: tuple[Dim, ...]
    kind: Kind
    axes: Labels = ()
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.sizes, self.out, self.in_, self.kind, self.axes)))

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def out_shape(self) -> tuple[int, ...]:
        return shape_of(self.out)

    @cached_property
    def in_shape(self) -> tuple[int, ...]:
        return shape_of(self.in_)

    @property
    def value_shape(self) -> tuple[int, ...]:
        """The shape of the value; ``()`` where there is none."""
        return tuple(self.sizes[label] for label in self.axes)

    @property
    def numbers(self) -> int:
        """How many numbers the term holds; a static scale counts as one."""
        return math.prod(self.value_shape)

    @property
    def has_value(self) -> bool:
        return self.kind is Kind.VALUE

    @property
    def labels_alone(self) -> bool:
        """Whether there are neither slices nor tables."""
        return all(digit.covers(self.sizes) for dim in self.out + self.in_ for digit in dim)

    @cached_property
    def digits(self) -> tuple[Digit, ...]:
        """Of all dimensions, those of the output first."""
        return tuple([digit for dim in self.out + self.in_ for digit in dim])

    @cached_property
    def lines(self) -> tuple[tuple[int, ...], ...] | None:
        """For every label the places of the digits that step along it by one; None where others step."""
        places: list[list[int]] = [[] for _ in self.sizes]
        for at, digit in enumerate(self.digits):
            if digit.table is not None or abs(digit.step) != 1:
                return None
            if digit.labels:
                places[digit.labels[0]].append(at)
        return tuple(map(tuple, places))

    @cached_property
    def radices(self) -> tuple[tuple[int, ...], ...]:
        """Of the digits of every dimension, those of the output first."""
        return tuple([tuple([digit.radix for digit in dim]) for dim in self.out + self.in_])

    def __str__(self) -> str:
        def side(dims: Sequence[Dim]) -> str:
            return "(" + ", ".join(" ".join(map(digit, dim)) or "1" for dim in dims) + ")"

        def digit(digit: Digit) -> str:
            names = " ".join(_name(label) for label in digit.labels)
            if digit.table is not None:
                return f"{digit.table._hash:08x}[{names}]"
            if not names:
                return str(digit.start)
            if digit.covers(self.sizes):
                return names
            step = {1: "+", -1: "-"}.get(digit.step, f"{digit.step:+}")
            return f"{digit.start}{step}{names}"

        over = "".join(f" {_name(label)}={self.sizes[label]}" for label in self.axes)
        held = f"{self.kind.name.lower()}{' over' + over if over else ''}"
        return f"{side(self.out)} <- {side(self.in_)} {held}"


def _name(label: int) -> str:
    return chr(ord("a") + label) if label < 26 else f"l{label}"


def shape_of(dims: Iterable[Iterable[Digit]]) -> tuple[int, ...]:
    """The sizes of dimensions."""
    return tuple([math.prod([digit.radix for digit in dim]) for dim in dims])


def digit_table(radix: int, labels: Sequence[int], indices: np.ndarray) -> Digit:
    """A digit with these values at the row-major positions of the labels."""
    if not labels:
        return Digit(radix, (), int(np.asarray(indices).item()))
    return Digit(radix, tuple(labels), table=Table(indices))


class Canonical(NamedTuple):
    """A term, and how a value over the old labels becomes a value over the new ones.

    Attributes:
        term: the canonical term.
        axes: the old labels of the value's axes in the order that the new value wants them; a reshape to
            ``term.value_shape`` follows.
    """

    term: Term
    axes: Labels


def canonical(
    out: Sequence[Sequence[Digit]],
    in_: Sequence[Sequence[Digit]],
    sizes: Sizes,
    kind: Kind,
    axes: Iterable[int] = (),
) -> Canonical:
    """Renumber labels by first occurrence and join neighbours that always stand together."""
    axes = tuple(axes)
    dims = _simplified_dims((*out, *in_), sizes)
    order = dict.fromkeys(label for dim in dims for digit in dim for label in digit.labels)
    number, new_sizes = _join_neighbours(dims, order, sizes, axes)
    following = dict(itertools.pairwise(number)) if len(new_sizes) < len(number) else {}
    new_dims = [_merge_constants(_renumbered(dim, number, following, new_sizes)) for dim in dims]
    held = dict.fromkeys(number[label] for label in order if label in axes)
    term = Term(
        tuple(new_sizes), tuple(new_dims[: len(out)]), tuple(new_dims[len(out) :]), kind, tuple(sorted(held))
    )
    single = tuple(label for label in axes if label not in order)  # labels of size 1 have gone
    return Canonical(term, single + tuple(label for label in order if label in axes))


def _simplified_dims(dims: Sequence[Sequence[Digit]], sizes: Sizes) -> list[list[Digit]]:
    """All digits as simple as they can be without losing sight of a label."""
    if all(_is_simple(digit, sizes) for dim in dims for digit in dim):
        return [list(dim) for dim in dims]
    simple = [[new for digit in dim for new in _simplified(digit, sizes)] for dim in dims]
    seen = {label for dim in simple for digit in dim for label in digit.labels}
    lost = {label for dim in dims for digit in dim for label in digit.labels if sizes[label] != 1} - seen
    if not lost:
        return simple
    return [
        [
            new
            for digit in dim
            for new in ([digit] if lost.intersection(digit.labels) else _simplified(digit, sizes))
        ]
        for dim in dims
    ]


def _is_simple(digit: Digit, sizes: Sizes) -> bool:
    """Whether a digit is affine, and takes several values for each of which it is needed."""
    if digit.table is not None or digit.radix == 1:
        return False
    return sizes[digit.labels[0]] != 1 if digit.labels else digit.step == 1


def _simplified(digit: Digit, sizes: Sizes) -> list[Digit]:
    """The digit without labels of size 1, and without a table where none is needed."""
    if digit.radix == 1:
        return []
    labels = tuple(label for label in digit.labels if sizes[label] != 1)
    if digit.table is None:
        return [digit if labels else Digit(digit.radix, (), digit.start)]
    indices = digit.table.indices
    if (indices == indices[0]).all():
        return [Digit(digit.radix, (), int(indices[0]))]
    if len(labels) > 1:
        shape = [sizes[label] for label in labels]
        grid = indices.reshape(shape)
        vary = [(grid != grid.take([0], axis)).any() for axis in range(len(shape))]
        if not all(vary):
            grid = grid[tuple(slice(None) if varies else 0 for varies in vary)]
            labels = tuple(label for label, varies in zip(labels, vary, strict=True) if varies)
            indices = grid.reshape(-1)
    if len(labels) == 1:
        step = progression(indices)
        if step is not None:
            return [Digit(digit.radix, labels, int(indices[0]), step)]
    elif len(indices) == digit.radix and progression(indices) == 1:
        return [Digit(sizes[label], (label,)) for label in labels]
    return [Digit(digit.radix, labels, table=Table(indices))]


def progression(indices: np.ndarray) -> int | None:
    """The step of an arithmetic progression of at least two different numbers, else None."""
    steps = np.diff(indices)
    return int(steps[0]) if len(steps) and steps[0] and (steps == steps[0]).all() else None


def _join_neighbours(
    dims: list[list[Digit]], order: Iterable[int], sizes: Sizes, axes: Labels
) -> tuple[dict[int, int], list[int]]:
    """The new number of every label, and the sizes of the new labels."""
    places: dict[int, list[tuple[int, int]]] = {label: [] for label in order}
    in_tables = set()
    for d, dim in enumerate(dims):
        for p, digit in enumerate(dim):
            for label in digit.labels:
                places[label].append((d, p))
            if digit.table is not None:
                in_tables.update(digit.labels)

    def joined(left: int, right: int) -> bool:
        return (
            left not in in_tables
            and right not in in_tables
            and (left in axes) == (right in axes)
            and places[right] == [(d, p + 1) for d, p in places[left]]
            and all(dims[d][p].step == 1 for d, p in places[left])
            and all(dims[d][p].covers(sizes) for d, p in places[right])
        )

    number: dict[int, int] = {}
    new_sizes: list[int] = []
    previous = None
    for label in order:
        if previous is not None and joined(previous, label):
            new_sizes[-1] *= sizes[label]
        else:
            new_sizes.append(sizes[label])
        number[label] = len(new_sizes) - 1
        previous = label
    return number, new_sizes


def _renumbered(
    dim: Sequence[Digit], number: dict[int, int], following: dict[int, int], sizes: Sequence[int]
) -> list[Digit]:
    """The digits over the new labels; those of joined labels, each of which follows another, become one."""
    found: list[Digit] = []
    previous = -1
    for digit in dim:
        label = digit.labels[0] if digit.labels else -1
        joins = previous >= 0 and following.get(previous, -2) == label and number[previous] == number[label]
        labels = tuple([number[old] for old in digit.labels])
        if joins:
            before = found[-1]
            found[-1] = Digit(before.radix * digit.radix, labels, before.start * digit.radix)
        elif digit.table is not None and labels != tuple(sorted(labels)):
            axes = np.argsort(labels)
            grid = digit.table.indices.reshape([sizes[new] for new in labels]).transpose(axes)
            found.append(digit_table(digit.radix, sorted(labels), grid))
        else:
            found.append(digit if labels == digit.labels else Digit(digit[0], labels, *digit[2:]))
        previous = label
    return found


def _merge_constants(dim: Sequence[Digit]) -> Dim:
    """Constant digits become part of their affine neighbours."""
    if all(digit.labels for digit in dim):
        return tuple(dim)
    found: list[Digit] = []
    for digit in dim:
        if not found or found[-1].table is not None or digit.table is not None:
            found.append(digit)
            continue
        before = found[-1]
        if not digit.labels:
            radix = digit.radix
            found[-1] = Digit(
                before.radix * radix,
                before.labels,
                before.start * radix + digit.start,
                before.step * radix if before.labels else 1,
            )
        elif not before.labels:
            start = before.start * digit.radix + digit.start
            found[-1] = Digit(before.radix * digit.radix, digit.labels, start, digit.step)
        else:
            found.append(digit)
    return tuple(found)
