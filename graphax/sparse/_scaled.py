"""A static number times an array: what the value of a term is, and how such values are computed with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax

from ._holes import (
    Holed,
    Holes,
    Mask,
    Zeros,
    holes_continued,
    holes_of_sum,
    numbers_of,
    numeric,
    parts,
    support_continued,
    support_of,
    support_of_sum,
    widened,
    with_holes,
    with_support,
)
from ._steps import Step, Value, reshape, run_steps, transpose
from ._term import Kind


class Scaled(NamedTuple):
    """A static number times an array, or that number alone.

    Attributes:
        array: the array; None where every entry is the number.
        scale: the number. Beside an array it is +1 or -1 in what blocks hold (see :meth:`settled`), so that
            signs cost nothing until they meet a sum.
    """

    array: Value
    scale: Any = 1

    @property
    def kind(self) -> Kind:
        """What a term holds whose value this is."""
        if self.array is not None:
            return Kind.VALUE
        return Kind.UNIT if self.scale in (1, -1) else Kind.CONSTANT

    def __neg__(self) -> Scaled:
        return Scaled(self.array, -self.scale)

    def settled(self) -> Scaled:
        """The same with nothing but a sign beside the array."""
        if self.array is None or self.scale in (1, -1):
            return self
        return Scaled(_scaled(self.array, self.scale))

    def after(self, steps: Sequence[Step]) -> Scaled:
        """What the steps make of it; a number alone becomes a static array."""
        if not steps:
            return self
        array, scale = self
        if array is None:
            array, scale = np.asarray(scale, np.result_type(scale, np.float64)), 1
        return Scaled(run_steps(steps, array), scale)

    def map(self, change: Callable[[Value], Value]) -> Scaled:
        """The same with what is made of the array, if there is one."""
        return self if self.array is None else Scaled(change(self.array), self.scale)

    def arranged(self, permutation: Sequence[int], shape: Sequence[int]) -> Scaled:
        """The same with its axes in another order, and then in another shape."""
        if self.array is None:
            return self
        return Scaled(reshape(transpose(self.array, permutation), shape), self.scale)

    def plus(self, other: Scaled) -> Scaled:
        """The sum, entry by entry, of settled values with as many axes.

        What is negative is taken from what is positive, so that a sign is left only where both have it.
        """
        if self.array is None:
            return Scaled(None, self.scale + other.scale) if other.array is None else other.plus(self)
        if other.array is not None and self.scale == -other.scale == -1:
            return other.plus(self)
        x, holes = parts(self.array)
        if other.array is None:
            # sign * x + constant = sign * (x + sign * constant), as the sign is +1 or -1.
            x, y, holes, subtract = numeric(x), np.asarray(self.scale * other.scale), None, False
        else:
            y, more = parts(other.array)
            holes, subtract = holes_of_sum(holes, more), self.scale != other.scale
        x, y = match_dtypes(x, y)
        if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
            total = np.asarray(x - y if subtract else x + y)
        else:
            total = with_holes(lax.sub(x, y) if subtract else lax.add(x, y), holes)
            if other.array is not None:
                total = with_support(total, support_of_sum(self.array, other.array))
        return Scaled(total, self.scale)

    def numbers(self, dtype: Any, shape: Sequence[int] = ()) -> jax.Array:
        """All of it as one array, of this shape where there is none."""
        if self.array is None:
            return lax.full(shape, self.scale, dtype)
        return _scaled(lax.convert_element_type(numbers_of(self.array), dtype), self.scale)


def continued(left: Scaled, right: Scaled, axis: int, shape: Sequence[int]) -> Scaled:
    """Two settled values with as many axes one after the other.

    Args:
        left, right: the values.
        axis: along which the second continues the first.
        shape: that of both together; along other axes either may have size 1.
    """
    scale = left.scale if left.scale == right.scale else 1
    signed = [value.array if value.scale == scale else _scaled(value.array, -1) for value in (left, right)]
    wholes = [[*shape[:axis], array.shape[axis], *shape[axis + 1 :]] for array in signed]
    (x, x_holes), (y, y_holes) = map(parts, signed)
    holes = holes_continued((x_holes, y_holes), wholes, axis)
    if x.dtype != bool or y.dtype != bool:
        x, y = match_dtypes(x, y)
    pieces = [widened(array, whole) for array, whole in zip((x, y), wholes, strict=True)]
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        return Scaled(np.concatenate(pieces, axis), scale)

    total = with_holes(lax.concatenate(pieces, axis), holes)
    return Scaled(with_support(total, support_continued(signed, wholes, axis)), scale)


def _scaled(value: Value, scale: Any) -> Value:
    """``scale * value`` in the value's dtype."""
    if scale == 1:
        return value
    if isinstance(value, Holed) and value.holes is None:
        return with_support(_scaled(value.raw, scale), value.support)
    if isinstance(value, Holed):
        return Holed(_scaled(numeric(value.raw), scale), value.holes, value.filled, support=value.support)
    if value.dtype == bool:
        return with_holes(_scaled(numeric(value), scale))
    if isinstance(value, np.ndarray):
        return np.asarray(value * scale)
    if scale == -1:
        return lax.neg(value)
    return lax.mul(value, np.asarray(scale, value.dtype))


def summed(value: Value, axes: Sequence[int]) -> Value:
    """The sum over some axes."""
    axes = tuple(axes)
    if not axes:
        return value
    numbers, holes = parts(value)
    numbers = numeric(numbers)
    if isinstance(numbers, np.ndarray):
        return np.asarray(numbers.sum(axes))
    support = support_of(value)
    total = with_holes(lax.reduce_sum(numbers, axes), summed_holes(holes, axes))
    return with_support(total, support and support.map(lambda array: np.asarray(array.any(axes))))


def summed_holes(holes: Holes, axes: Sequence[int]) -> Holes:
    """The holes of the sum of a value over some axes."""
    axes = tuple(axes)
    if isinstance(holes, np.ndarray):
        return np.asarray(holes.any(axes))
    if not isinstance(holes, Mask):
        return holes
    if any(holes.taken.shape[axis] != 1 for axis in axes):
        return Zeros.OF_SELECTION
    return holes._replace(taken=lax.squeeze(holes.taken, axes))


def match_dtypes(left: Value, right: Value) -> tuple[Value, Value]:
    """Static arrays and masks take the other's dtype; two traced ones the promoted dtype."""
    if left.dtype == bool:
        left = numeric(left) if right.dtype == bool else left.astype(right.dtype)
    if right.dtype == bool:
        right = right.astype(left.dtype)
    if isinstance(left, np.ndarray) and not isinstance(right, np.ndarray):
        return left.astype(right.dtype), right
    if isinstance(right, np.ndarray) and not isinstance(left, np.ndarray):
        return left, right.astype(left.dtype)
    if left.dtype != right.dtype:
        dtype = jax.numpy.promote_types(left.dtype, right.dtype)
        if isinstance(left, np.ndarray):
            return left.astype(dtype), right.astype(dtype)
        return lax.convert_element_type(left, dtype), lax.convert_element_type(right, dtype)
    return left, right


def expand(value: Value, axes: Sequence[int], wanted: Sequence[int]) -> Value:
    """Order the axes as in ``wanted``, with axes of size 1 for labels that the value lacks."""
    have = [label for label in wanted if label in axes]
    value = transpose(value, [list(axes).index(label) for label in have])
    sizes = dict(zip(have, value.shape, strict=True))
    return reshape(value, [sizes.get(label, 1) for label in wanted])
