"""Zeros that are not there: what a selection leaves out, and what a structure writes out.

A selection *selects*: an entry that it does not take is zero in every product, whatever it meets (infinity,
NaN). So a value may have *holes*: places where nothing is, whose number is zero. A product of a hole with
anything is a hole, and so is a sum of holes. Where they are is known statically, from the mask of a
selection, or seen from the zeros. (In the last case a number that happens to be zero beside them counts as a
hole, too: then a product is finite that would be NaN. Finite products are what they always are, so that their
derivatives are too. A mask says more: what meets its holes has no derivative either, finite or not.)

Two kinds of values have holes without saying so: arrays of booleans, which stand for ones and zeros, and
static NumPy arrays, whose zeros are those of a structure.

Beside its holes, by which it is computed with, a value may have a *support*: where there may be numbers in
it, by all that is known statically. Of that nothing is computed; in the end it is the structure of a sparse
Jacobian.
"""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import numpy as np
from jax import lax

from ._cost import LARGEST_STATIC


class Zeros(enum.IntEnum):
    """Where the holes are that are seen from the zeros of a value.

    Those of a structure are like any other zeros next to numbers that are known to be finite. Arguments count
    as finite; but what a selection leaves out may be what is missing in them, and in an order (a sort, the
    largest entries) infinity and NaN have their places.
    """

    OF_STRUCTURE = 0
    OF_SELECTION = 1
    OF_ORDER = 2


class Mask(NamedTuple):
    """Holes that are known from what a selection takes.

    Attributes:
        taken: an array of booleans with as many axes as the value, of size 1 where they do not vary.
        seen: whether there are others, of a structure, that are seen from the zeros.
        missing: whether nothing finite stands where they are, even if all else is known to be finite.
    """

    taken: Any
    seen: bool = False
    missing: bool = False


class Support:
    """Where a value may have numbers, worked out when it is asked for; a superset of its nonzeros.

    Args:
        find: works out a static array of booleans of the value's shape from those of others.
        sources: the others.
    """

    __slots__ = ("_find", "_found", "_sources")

    def __init__(self, find: Callable[..., np.ndarray], *sources: Support) -> None:
        self._find, self._sources = find, sources
        self._found: np.ndarray | None = None

    @property
    def array(self) -> np.ndarray:
        """The array of booleans."""
        pending = [self]
        while pending:  # a stack of our own: many products follow one another
            current = pending[-1]
            missing = [source for source in current._sources if source._found is None]
            if current._found is None and not missing:
                arrays = [source._found for source in current._sources]
                current._found, current._sources = current._find(*arrays), ()
            pending += missing
            if not missing:
                pending.pop()
        assert self._found is not None
        return self._found

    def map(self, change: Callable[[np.ndarray], np.ndarray]) -> Support:
        """The support of a value after a change."""
        return Support(lambda array: np.asarray(change(array) != 0), self)


#: A static array of booleans of the value's shape (an array, too, where it has no axes), False where the
#: holes of a structure are; `Mask`; `Zeros`; or None.
Holes = Any


def of_selection(holes: Holes) -> bool:
    """Whether a selection has made the holes."""
    return holes is Zeros.OF_SELECTION or isinstance(holes, Mask)


class Map(NamedTuple):
    """How a matrix is applied without it, as one that copies and adds up entries.

    Attributes:
        outputs: how many axes of the value, its first, are rows; the others are columns.
        push: from columns, an array ``[columns, n]``, to the product, ``[rows, n]``.
        pull: from rows, an array ``[n, rows]``, to the product, ``[n, columns]``.
        quick: which of the two is faster than any product, as where entries are taken and no zeros written.
    """

    outputs: int
    push: Callable[[Any], Any]
    pull: Callable[[Any], Any]
    quick: Literal["push", "pull", "both"]


@jax.tree_util.register_pytree_node_class
class Holed:
    """An array with holes, or with a map; a pytree.

    Attributes:
        raw: an array.
        holes: where its holes are.
        filled: whether anything may stand in them, if they are known statically: what products leave there is
            cleared away when it could matter.
        map: how it is applied as a matrix, if that is known; lost on every way but through products.
        support: where it may have numbers, if more is known than its holes say.
    """

    __slots__ = ("filled", "holes", "map", "raw", "support")

    def __init__(
        self,
        raw: Any,
        holes: Holes,
        filled: bool = False,
        map: Map | None = None,
        support: Support | None = None,
    ) -> None:
        self.raw = raw
        self.holes = holes
        self.filled = filled
        self.map = map
        self.support = support

    @property
    def numbers(self) -> Any:
        """The array, zero where the holes are."""
        return chosen(self.holes, self.raw) if self.filled else self.raw

    @property
    def shape(self) -> tuple[int, ...]:
        return self.raw.shape

    @property
    def ndim(self) -> int:
        return self.raw.ndim

    @property
    def dtype(self) -> Any:
        return self.raw.dtype

    def tree_flatten(self) -> tuple[tuple[Any], Any]:
        if isinstance(self.holes, np.ndarray):
            return (self.numbers,), (self.holes.shape, self.holes.tobytes())
        return (self.numbers,), Zeros.OF_SELECTION if isinstance(self.holes, Mask) else self.holes

    @classmethod
    def tree_unflatten(cls, static: Any, children: tuple[Any]) -> Holed:
        if not isinstance(static, Zeros):
            static = np.frombuffer(static[1], bool).reshape(static[0])
        return cls(children[0], static)


def with_holes(numbers: Any, holes: Holes = Zeros.OF_STRUCTURE, filled: bool = False) -> Any:
    """The value of an array that is zero where the holes are; or will be, if they are filled."""
    if holes is None or isinstance(numbers, np.ndarray | Holed):
        return numbers
    if numbers.dtype == bool and holes is not Zeros.OF_ORDER and not isinstance(holes, Mask):
        return numbers
    if isinstance(holes, np.ndarray):
        holes = np.broadcast_to(holes, numbers.shape)
        if holes.size > LARGEST_STATIC:
            numbers = chosen(holes, numbers) if filled else numbers
            return Holed(numbers, Zeros.OF_STRUCTURE, support=Support(lambda: holes))
        if holes.all():
            return numbers
    return Holed(numbers, holes, filled)


def selection(taken: Any) -> Holed:
    """The value of a selection: ones where a mask holds, and nothing elsewhere."""
    return Holed(taken, Mask(taken))


def with_support(value: Any, support: Support | None) -> Any:
    """A value that may have numbers within a support alone."""
    if support is None or isinstance(value, np.ndarray) or value.dtype == bool:
        return value
    if isinstance(value, Holed):
        return Holed(value.raw, value.holes, value.filled, value.map, support)
    return Holed(value, None, support=support)


def support_of(value: Any) -> Support | None:
    """Where a value may have numbers; None where nothing is known."""
    if isinstance(value, np.ndarray):
        return Support(lambda: value != 0)
    if not isinstance(value, Holed):
        return None
    if value.support is not None:
        return value.support
    taken, shape = value.holes.taken if isinstance(value.holes, Mask) else value.holes, value.shape
    return Support(lambda: np.broadcast_to(taken, shape)) if isinstance(taken, np.ndarray) else None


def support_of_sum(left: Any, right: Any) -> Support | None:
    """Where the sum of two values that have as many axes may have numbers."""
    x, y = support_of(left), support_of(right)
    return None if x is None or y is None else Support(np.logical_or, x, y)


def support_continued(values: Sequence[Any], shapes: Sequence[Sequence[int]], axis: int) -> Support | None:
    """Where values that are spread to these shapes may have numbers, one after the other along an axis."""
    every = [support_of(value) for value in values]
    if all(support is None for support in every):
        return None

    def found(*arrays: np.ndarray) -> np.ndarray:
        known = iter(arrays)
        spread = [
            np.broadcast_to(True if support is None else next(known), shape)
            for support, shape in zip(every, shapes, strict=True)
        ]
        return np.concatenate(spread, axis)

    return Support(found, *(support for support in every if support is not None))


def parts(value: Any) -> tuple[Any, Holes]:
    """The numbers of a value, and its holes."""
    return numbers_of(value), holes_of(value)


def holes_of(value: Any) -> Holes:
    """The holes of a value; its numbers, which may have to be cleared first, are not asked for."""
    if isinstance(value, Holed):
        return value.holes
    if isinstance(value, np.ndarray):
        return None if value.all() else np.asarray(value != 0)
    return Zeros.OF_STRUCTURE if value.dtype == bool else None


def numbers_of(value: Any) -> Any:
    """The numbers of a value."""
    return value.numbers if isinstance(value, Holed) else value


def numeric(value: Any) -> Any:
    """A mask as ones and zeros; numbers as they are."""
    if value.dtype != bool:
        return value
    return value.astype(np.float64) if isinstance(value, np.ndarray) else value.astype(float)


def raw_parts(value: Any) -> tuple[Any, Holes, bool]:
    """The numbers of a value with whatever stands in its holes, the holes, and whether they are filled."""
    if isinstance(value, Holed):
        return value.raw, value.holes, value.filled
    return *parts(value), False


def holes_after(holes: Holes, shape: Sequence[int], change: Any, digs: bool) -> Holes:
    """The holes of a value after a change of its places.

    Args:
        holes: those before.
        shape: the shape of the value before.
        change: what is done to the value, and can be done to a static array.
        digs: whether it writes zeros.
    """
    if isinstance(holes, Zeros | Mask) or (holes is None and not digs):
        return holes
    if math.prod(shape) > LARGEST_STATIC:
        return Zeros.OF_STRUCTURE
    return np.asarray(change(np.ones(shape, bool) if holes is None else holes) != 0)


def holes_of_product(left: Holes, right: Holes) -> Holes:
    """The holes of the product of two values that have as many axes, whatever it is summed over later."""
    if left is None or right is None:
        return right if left is None else left
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return np.asarray(left & right)
    masks = [holes for holes in (left, right) if isinstance(holes, Mask)]
    if not masks or any(holes is Zeros.OF_SELECTION or holes is Zeros.OF_ORDER for holes in (left, right)):
        return seen_of(left, right)
    taken = functools.reduce(lax.bitwise_and, [mask.taken for mask in masks])
    seen = len(masks) < 2 or any(mask.seen for mask in masks)
    return Mask(taken, seen, any(mask.missing for mask in masks))


def holes_of_sum(left: Holes, right: Holes) -> Holes:
    """The holes of the sum of two values that have as many axes."""
    if left is None or right is None:
        return None
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return np.asarray(left | right)
    if isinstance(left, Mask) and isinstance(right, Mask):
        taken = lax.bitwise_or(left.taken, right.taken)
        return Mask(taken, left.seen or right.seen, left.missing and right.missing)
    return seen_of(left, right)


def holes_continued(given: Sequence[Holes], shapes: Sequence[Sequence[int]], axis: int) -> Holes:
    """The holes of values of these shapes one after the other along an axis."""
    if all(holes is None for holes in given):
        return None
    if any(isinstance(holes, Zeros | Mask) for holes in given):
        return seen_of(*given)
    if sum(map(math.prod, shapes)) > LARGEST_STATIC:
        return Zeros.OF_STRUCTURE
    known = [
        np.broadcast_to(True if holes is None else holes, shape)
        for holes, shape in zip(given, shapes, strict=True)
    ]
    return np.concatenate(known, axis)


def seen_of(*given: Holes) -> Zeros:
    """Holes that are no longer known otherwise, as they are seen from the zeros."""
    if any(holes is Zeros.OF_ORDER for holes in given):
        return Zeros.OF_ORDER
    return Zeros.OF_SELECTION if any(map(of_selection, given)) else Zeros.OF_STRUCTURE


def spared(numbers: Any, value: Any, finite: bool = False) -> Any:
    """The numbers that a value is multiplied by, zero where one of its zeros would meet what is not finite.

    Args:
        numbers: an array with as many axes as the value.
        value: the other factor. What its holes meet is replaced before the product, not the product after
            it: that keeps the derivatives of both finite.
        finite: whether the numbers are known to be finite.
    """
    holes = holes_of(value)
    if holes is None or (finite and (isinstance(holes, np.ndarray) or holes is Zeros.OF_STRUCTURE)):
        return numbers
    if isinstance(holes, Mask):
        numbers = chosen(holes.taken, numbers)
        if finite or not holes.seen:
            return numbers
    if not isinstance(value, np.ndarray):
        other = numbers_of(value)
        holes = lax.bitwise_or(lax.is_finite(numbers), lax.ne(other, lax.full_like(other, 0)))
    return chosen(holes, numbers)


def chosen(mask: Any, numbers: Any) -> Any:
    """The numbers where a mask holds, zeros elsewhere."""
    shape = np.broadcast_shapes(mask.shape, numbers.shape)
    numbers = widened(numbers, shape)
    return lax.select(widened(mask, shape), numbers, lax.full_like(numbers, 0))


def widened(array: Any, shape: Sequence[int]) -> Any:
    """An array with its axes of size 1 repeated."""
    if array.shape == tuple(shape):
        return array
    if isinstance(array, np.ndarray) and math.prod(shape) <= LARGEST_STATIC:
        return np.broadcast_to(array, shape)
    return lax.broadcast_in_dim(array, shape, range(len(shape)))
