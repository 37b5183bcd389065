"""What is known about a local Jacobian before any number is: its labels, and what its value varies over."""

from __future__ import annotations

import enum
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Labels = tuple[int, ...]


class Kind(enum.IntEnum):
    """What the structural nonzeros of a Jacobian hold."""

    UNIT = 0  # the static scale +1 or -1; no array
    CONSTANT = 1  # any other static scale; no array
    SELECTION = 2  # +1 or -1 where a static mask holds, at most once to an output entry
    SCALED_SELECTION = 3  # any other static scale there
    VALUE = 4  # an array

    @property
    def is_selection(self) -> bool:
        return self in (Kind.SELECTION, Kind.SCALED_SELECTION)

    @property
    def is_unit(self) -> bool:
        """Whether a product with it needs no multiplication."""
        return self in (Kind.UNIT, Kind.SELECTION)


@dataclass(frozen=True)
class Structure:
    """The static half of a Jacobian ``J[o..., i...]`` of one array with respect to another.

    Every dimension of the output and of the input is bound to a tuple of *labels*, whose row-major product
    runs through the dimension (the empty tuple: a dimension of size 1). A label that stands on both sides is
    a Kronecker delta between them. The value varies over ``axes`` only; along every other label the
    structural nonzeros are all alike. Labels are numbered by first occurrence and neighbours that always
    stand together are one label, so that equal structures compare equal.

    Attributes:
        sizes: the size of each label.
        out: for each output dimension, its labels, major first.
        in_: for each input dimension, its labels, major first.
        kind: what the nonzeros hold.
        axes: the labels of the value's axes, ascending; empty for units and constants.
        held: the labels over which the *counted* convention holds explicit numbers.
        copy: a pure re-labelling, which costs nothing in the counted convention either.
    """

    sizes: tuple[int, ...]
    out: tuple[Labels, ...]
    in_: tuple[Labels, ...]
    kind: Kind
    axes: Labels = ()
    held: Labels = ()
    copy: bool = False
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        key = (self.sizes, self.out, self.in_, self.kind, self.axes, self.held, self.copy)
        object.__setattr__(self, "_hash", hash(key))

    def __hash__(self) -> int:
        return self._hash

    @property
    def out_shape(self) -> tuple[int, ...]:
        return tuple(self.size(dim) for dim in self.out)

    @property
    def in_shape(self) -> tuple[int, ...]:
        return tuple(self.size(dim) for dim in self.in_)

    @property
    def value_shape(self) -> tuple[int, ...]:
        """The shape of the value; ``()`` where there is none."""
        return tuple(self.sizes[label] for label in self.axes)

    @property
    def has_value(self) -> bool:
        return self.kind >= Kind.SELECTION

    def size(self, labels: Iterable[int]) -> int:
        return math.prod(self.sizes[label] for label in labels)

    def __str__(self) -> str:
        def side(dims: Sequence[Labels]) -> str:
            names = [" ".join(_name(label) for label in dim) or "1" for dim in dims]
            return "(" + ", ".join(names) + ")"

        over = "".join(f" {_name(label)}={self.sizes[label]}" for label in self.axes)
        held = f"{self.kind.name.lower()}{' over' + over if over else ''}"
        return f"{side(self.out)} <- {side(self.in_)} {held}"


def _name(label: int) -> str:
    return chr(ord("a") + label) if label < 26 else f"l{label}"


@dataclass(frozen=True)
class Canonical:
    """A structure, and how a value over the old labels becomes a value over the new ones.

    Attributes:
        structure: the canonical structure.
        axes: the old labels of the value's axes in the order that the new value wants them.
        merges: whether axes have to be merged (by a reshape to ``structure.value_shape``) after that.
    """

    structure: Structure
    axes: Labels
    merges: bool


def canonical(
    out: Sequence[Sequence[int]],
    in_: Sequence[Sequence[int]],
    sizes: Sequence[int] | dict[int, int],
    kind: Kind,
    axes: Iterable[int] = (),
    held: Iterable[int] = (),
    copy: bool = False,
) -> Canonical:
    """Renumber labels by first occurrence and join neighbours that always stand together."""
    axes, held = set(axes), set(held)
    follower: list[dict[int, int]] = [{}, {}]
    present: list[set[int]] = [set(), set()]
    order: dict[int, None] = {}
    for side, dims in enumerate((out, in_)):
        for dim in dims:
            present[side].update(dim)
            order.update(dict.fromkeys(dim))
            follower[side].update(itertools.pairwise(dim))

    def joined(left: int, right: int) -> bool:
        return (
            all(
                (left in present[side]) == (right in present[side])
                and (left not in present[side] or follower[side].get(left) == right)
                for side in (0, 1)
            )
            and (left in axes) == (right in axes)
            and (left in held) == (right in held)
        )

    number: dict[int, int] = {}
    new_sizes: list[int] = []
    merges = False
    previous = None
    for label in order:
        if previous is not None and joined(previous, label):
            new_sizes[-1] *= sizes[label]
            merges = merges or label in axes
        else:
            new_sizes.append(sizes[label])
        number[label] = len(new_sizes) - 1
        previous = label

    def renumber(labels: Iterable[int]) -> Labels:
        return tuple(dict.fromkeys(number[label] for label in labels))

    structure = Structure(
        sizes=tuple(new_sizes),
        out=tuple(renumber(dim) for dim in out),
        in_=tuple(renumber(dim) for dim in in_),
        kind=kind,
        axes=tuple(sorted(renumber(axes))),
        held=tuple(sorted(renumber(held))),
        copy=copy,
    )
    return Canonical(structure, tuple(label for label in order if label in axes), merges)


def make_structure(
    out: Sequence[Sequence[int]],
    in_: Sequence[Sequence[int]],
    sizes: Sequence[int] | dict[int, int],
    kind: Kind,
    axes: Iterable[int] = (),
    held: Iterable[int] | None = None,
    copy: bool = False,
) -> Structure:
    """The canonical structure with these labels; ``held`` defaults to ``axes``."""
    axes = tuple(axes)
    return canonical(out, in_, sizes, kind, axes, axes if held is None else held, copy).structure


def label_dims(shape: Sequence[int], first: int = 0) -> tuple[list[list[int]], list[int]]:
    """One fresh label for every dimension of a shape, none for dimensions of size 1.

    Returns:
        the labels of each dimension, numbered from ``first``, and the sizes of these labels.
    """
    dims, sizes = [], []
    for size in shape:
        if size == 1:
            dims.append([])
        else:
            dims.append([first + len(sizes)])
            sizes.append(size)
    return dims, sizes


def dense(out_shape: Sequence[int], in_shape: Sequence[int], kind: Kind = Kind.VALUE) -> Structure:
    """The structure without structure: a number for every pair of entries."""
    out, out_sizes = label_dims(out_shape)
    in_, in_sizes = label_dims(in_shape, len(out_sizes))
    sizes = out_sizes + in_sizes
    return canonical(out, in_, sizes, kind, range(len(sizes)), range(len(sizes))).structure


def identity(shape: Sequence[int]) -> Structure:
    """The derivative of an array with respect to itself."""
    dims, sizes = label_dims(shape)
    return make_structure(dims, dims, sizes, Kind.UNIT, copy=True)


def common_factors(left: Sequence[int], right: Sequence[int]) -> list[int] | None:
    """The coarsest row-major factorisation that refines both, or None where there is none.

    >>> common_factors([12], [4, 3])
    [4, 3]
    >>> common_factors([4, 3], [2, 6])
    [2, 2, 3]
    >>> common_factors([4, 3], [3, 4]) is None
    True
    """
    if 0 in left or 0 in right:
        return list(left) if list(left) == list(right) else None
    cuts = set()
    for sizes in (left, right):
        total = 1
        for size in sizes:
            total *= size
            cuts.add(total)
    factors, below = [], 1
    for cut in sorted(cuts):
        if cut % below:
            return None
        if cut != below:
            factors.append(cut // below)
        below = cut
    return factors
