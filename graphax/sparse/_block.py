"""A Jacobian: a static structure and, where the structure says so, a value."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax

from ._add import add
from ._compose import compose
from ._draft import Value, reshape, transpose
from ._structure import Canonical, Kind, Labels, Structure, canonical, dense, identity


@dataclass(frozen=True)
class Block:
    """A structured Jacobian of one array with respect to another.

    Attributes:
        structure: labels, kind, and what the value varies over.
        value: an array of shape ``structure.value_shape``; a static mask for selections; None for units
            and constants.
        scale: a static number that multiplies the rest; +1 or -1 unless the kind says otherwise.
    """

    structure: Structure
    value: Value = None
    scale: Any = 1

    def __matmul__(self, inner: Block) -> Block:
        """The chain rule: ``self`` is d out / d mid, ``inner`` is d mid / d in."""
        plan = compose(self.structure, inner.structure)
        return Block(plan.structure, *plan.run(self.value, self.scale, inner.value, inner.scale))

    def __add__(self, other: Block) -> Block:
        """Parallel paths between the same two arrays."""
        plan = add(self.structure, other.structure)
        return Block(plan.structure, *plan.run(self.value, self.scale, other.value, other.scale))

    def todense(self, dtype: Any) -> jax.Array:
        """The array ``J[o..., i...]``, zeros included, without a multiplication."""
        structure = self.structure
        if self.value is None:
            value = lax.full((), self.scale, dtype)
        elif structure.kind.is_selection:
            value = lax.convert_element_type(np.where(self.value, self.scale, 0), dtype)
        else:
            value = lax.convert_element_type(self.value, dtype)
            value = lax.neg(value) if self.scale == -1 else value
        out = [label for dim in structure.out for label in dim]
        in_ = [label for dim in structure.in_ for label in dim]
        shape = [structure.sizes[label] for label in out + in_]
        if shape:
            place = {label: at for at, label in reversed(list(enumerate(out + in_)))}
            value = lax.broadcast_in_dim(value, shape, [place[label] for label in structure.axes])
            ties = [(out.index(label), len(out) + at) for at, label in enumerate(in_) if label in out]
            if ties:
                mask = _diagonal(shape, *ties[0])
                for tie in ties[1:]:
                    mask = lax.bitwise_and(mask, _diagonal(shape, *tie))
                value = lax.select(mask, value, lax.full_like(value, 0))
        return lax.reshape(value, structure.out_shape + structure.in_shape)


def _diagonal(shape: list[int], first: int, second: int) -> jax.Array:
    return lax.eq(lax.broadcasted_iota(np.int32, shape, first), lax.broadcasted_iota(np.int32, shape, second))


def arranged_block(
    out: Sequence[Sequence[int]],
    in_: Sequence[Sequence[int]],
    sizes: Sequence[int],
    value: Value,
    axes: Sequence[int],
    kind: Kind = Kind.VALUE,
    copy: bool = False,
) -> Block:
    """A block from labels in any order.

    Args:
        out: the labels of every output dimension.
        in_: the labels of every input dimension.
        sizes: the sizes of the labels.
        value: an array whose axes, those of size 1 apart, are the labels ``axes``.
        axes: the labels of the value's axes.
        kind: the kind of the block.
        copy: whether it is a pure re-labelling.
    """
    final = _canonical(_frozen(out), _frozen(in_), tuple(sizes), kind, tuple(axes), copy)
    value = reshape(value, [sizes[label] for label in axes])
    value = transpose(value, [list(axes).index(label) for label in final.axes])
    return Block(final.structure, reshape(value, final.structure.value_shape))


def _frozen(dims: Sequence[Sequence[int]]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(dim) for dim in dims)


@functools.lru_cache(maxsize=4096)
def _canonical(
    out: tuple[Labels, ...],
    in_: tuple[Labels, ...],
    sizes: tuple[int, ...],
    kind: Kind,
    axes: Labels,
    copy: bool,
) -> Canonical:
    return canonical(out, in_, sizes, kind, axes, axes, copy)


def dense_block(value: jax.Array, out_shape: tuple[int, ...], in_shape: tuple[int, ...]) -> Block:
    """The block of an array ``J[o..., i...]``."""
    structure = dense(out_shape, in_shape)
    return Block(structure, lax.reshape(value, structure.value_shape))


def identity_block(shape: tuple[int, ...]) -> Block:
    """The block of an array with respect to itself."""
    return Block(identity(shape))
