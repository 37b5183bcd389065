"""Structures being rewritten, with the steps that their values have to follow."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax

from ._structure import Kind, Structure, common_factors

Value = Any  # a JAX array, a static NumPy array, or None


class Reshape(NamedTuple):
    shape: tuple[int, ...]

    def __call__(self, value: Value, scale: Any) -> tuple[Value, Any]:
        return reshape(value, self.shape), scale


class Arrange(NamedTuple):
    """Transpose the axes and append broadcast ones."""

    permutation: tuple[int, ...]
    shape: tuple[int, ...]

    def __call__(self, value: Value, scale: Any) -> tuple[Value, Any]:
        rank = value.ndim
        missing = (1,) * (len(self.shape) - rank)
        value = transpose(reshape(value, value.shape + missing), self.permutation)
        if isinstance(value, np.ndarray):
            return np.broadcast_to(value, self.shape), scale
        return lax.broadcast_in_dim(value, self.shape, range(len(self.shape))), scale


class Untie(NamedTuple):
    """Write a Kronecker delta out: a new last axis, zero off the diagonal with ``axis``.

    ``axis`` is None where the value does not vary along the label yet: then two axes are appended.
    """

    axis: int | None
    size: int
    kind: Kind  # of the result

    def __call__(self, value: Value, scale: Any) -> tuple[Value, Any]:
        eye = np.eye(self.size, dtype=bool)
        if value is None:
            if self.kind.is_selection:
                return eye, scale
            return np.where(eye, scale, 0.0), 1
        axis = self.axis
        if axis is None:
            axis, value = value.ndim, reshape(value, (*value.shape, 1))
        mask_shape = [1] * (value.ndim + 1)
        mask_shape[axis] = mask_shape[-1] = self.size
        return select(eye.reshape(mask_shape), reshape(value, (*value.shape, 1))), scale


Step = Reshape | Arrange | Untie


def reshape(value: Value, shape: Sequence[int]) -> Value:
    if value.shape == tuple(shape):
        return value
    return value.reshape(shape) if isinstance(value, np.ndarray) else lax.reshape(value, shape)


def transpose(value: Value, permutation: Sequence[int]) -> Value:
    if tuple(permutation) == tuple(range(value.ndim)):
        return value
    return (
        np.transpose(value, permutation)
        if isinstance(value, np.ndarray)
        else lax.transpose(value, permutation)
    )


def select(mask: np.ndarray, value: Value) -> Value:
    """``value`` where the mask holds and zero elsewhere, broadcast against each other."""
    if isinstance(value, np.ndarray):
        return np.where(mask, value, np.zeros((), value.dtype))
    shape = np.broadcast_shapes(mask.shape, value.shape)
    value = lax.broadcast_in_dim(value, shape, range(len(shape)))
    return lax.select(np.broadcast_to(mask, shape), value, lax.full_like(value, 0))


def run_steps(steps: Sequence[Step], value: Value, scale: Any) -> tuple[Value, Any]:
    for step in steps:
        value, scale = step(value, scale)
    return value, scale


class Draft:
    """A structure whose labels can be split, untied and merged.

    Labels are drawn from ``sizes``, which the two drafts of a composition or a sum share, so that a label
    of one never collides with a label of the other.
    """

    def __init__(self, structure: Structure, sizes: dict[int, int]) -> None:
        first = len(sizes)
        sizes.update((first + label, size) for label, size in enumerate(structure.sizes))
        self.sizes = sizes
        self.out = [[first + label for label in dim] for dim in structure.out]
        self.in_ = [[first + label for label in dim] for dim in structure.in_]
        self.kind = structure.kind
        self.axes = [first + label for label in structure.axes]
        self.held = {first + label for label in structure.held}
        self.copy = structure.copy
        self.steps: list[Step] = []

    def labels(self, dims: Sequence[Sequence[int]]) -> list[int]:
        return [label for dim in dims for label in dim]

    @property
    def copies_entries(self) -> bool:
        """Whether an output entry depends on at most one input entry."""
        return set(self.labels(self.in_)) <= {*self.labels(self.out), *self.axes}

    def shape(self, labels: Sequence[int]) -> tuple[int, ...]:
        return tuple(self.sizes[label] for label in labels)

    def rename(self, names: dict[int, int]) -> None:
        self.out = [[names.get(label, label) for label in dim] for dim in self.out]
        self.in_ = [[names.get(label, label) for label in dim] for dim in self.in_]
        self.axes = [names.get(label, label) for label in self.axes]
        self.held = {names.get(label, label) for label in self.held}

    def split(self, label: int, factors: Sequence[int]) -> None:
        """Replace a label by several whose row-major product it is."""
        parts = [self._new_label(factor) for factor in factors]
        for dims in (self.out, self.in_):
            for dim in dims:
                if label in dim:
                    at = dim.index(label)
                    dim[at : at + 1] = parts
        if label in self.axes:
            at = self.axes.index(label)
            self.axes[at : at + 1] = parts
            self.steps.append(Reshape(self.shape(self.axes)))
        if label in self.held:
            self.held.remove(label)
            self.held.update(parts)

    def untie(self, dim: list[int], label: int) -> int:
        """Give a label's occurrence in ``dim`` a name of its own; the delta becomes zeros in the value."""
        twin = self._new_label(self.sizes[label])
        if self.kind is not Kind.VALUE:
            self.kind = selection_kind(self.kind.is_unit) if self.copies_entries else Kind.VALUE
        axis = self.axes.index(label) if label in self.axes else None
        self.steps.append(Untie(axis, self.sizes[label], self.kind))
        if axis is None:
            self.axes.append(label)
        self.axes.append(twin)
        dim[dim.index(label)] = twin
        self.held.update((label, twin))
        return twin

    def merge(self, dim: list[int]) -> None:
        """Make one label of all labels of a dimension; none of them may be tied to the other side."""
        merged = self._new_label(math.prod(self.shape(dim)))
        if any(label in self.axes for label in dim):
            rest = [label for label in self.axes if label not in dim]
            missing = [label for label in dim if label not in self.axes]
            have = self.axes + missing
            want = rest + dim
            self.steps.append(Arrange(tuple(have.index(label) for label in want), self.shape(want)))
            self.axes = [*rest, merged]
            self.steps.append(Reshape(self.shape(self.axes)))
        if not self.held.isdisjoint(dim):
            self.held.difference_update(dim)
            self.held.add(merged)
        dim[:] = [merged]

    def flatten(self, dim: list[int]) -> None:
        """One label of its own for a dimension: untie what is tied, then merge."""
        other = self.in_ if any(dim is mine for mine in self.out) else self.out
        tied = set(self.labels(other))
        for label in list(dim):
            if label in tied:
                self.untie(dim, label)
        if len(dim) > 1:
            self.merge(dim)

    def refine(self, dim: list[int], factors: Sequence[int]) -> None:
        """Split the labels of a dimension until their sizes are ``factors``."""
        remaining = list(factors)
        for label in list(dim):
            parts = [remaining.pop(0)]
            while math.prod(parts) != self.sizes[label]:
                parts.append(remaining.pop(0))
            if len(parts) > 1:
                self.split(label, parts)

    def _new_label(self, size: int) -> int:
        label = len(self.sizes)
        self.sizes[label] = size
        return label


def selection_kind(is_unit: bool) -> Kind:
    """The kind of a static mask with a unit or another scale."""
    return Kind.SELECTION if is_unit else Kind.SCALED_SELECTION


def align(left: Draft, left_dim: list[int], right: Draft, right_dim: list[int]) -> None:
    """Bring one dimension, seen by two drafts, to the same sequence of label sizes."""
    factors = common_factors(left.shape(left_dim), right.shape(right_dim))
    if factors is None:
        left.flatten(left_dim)
        right.flatten(right_dim)
    else:
        left.refine(left_dim, factors)
        right.refine(right_dim, factors)


def match_dtypes(left: Value, right: Value) -> tuple[Value, Value]:
    """Static arrays take the other's dtype; two traced ones the promoted dtype."""
    if isinstance(left, np.ndarray) and not isinstance(right, np.ndarray):
        return left.astype(right.dtype), right
    if isinstance(right, np.ndarray) and not isinstance(left, np.ndarray):
        return left, right.astype(left.dtype)
    if left.dtype != right.dtype:
        dtype = jax.numpy.promote_types(left.dtype, right.dtype)
        return lax.convert_element_type(left, dtype), lax.convert_element_type(right, dtype)
    return left, right
