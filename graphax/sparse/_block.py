"""A Jacobian: a static structure and, where the structure says so, a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax

from ._add import add
from ._compose import compose
from ._draft import Value
from ._structure import Kind, Structure, dense, identity


@dataclass(frozen=True)
class Block:
    """A structured Jacobian of one array with respect to another.

    Attributes:
        structure: labels, kind, and what the value varies over.
        value: an array of shape ``structure.value_shape``; a static mask for selections; None for units and constants.
        scale: a static number that multiplies the rest; +1 or -1 unless the structure is a constant.
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
        if structure.kind is Kind.SELECTION:
            value = lax.convert_element_type(np.asarray(self.value), dtype)
        elif self.value is None:
            value = lax.full((), self.scale, dtype)
        else:
            value = lax.convert_element_type(self.value, dtype)
        if self.value is not None and self.scale == -1:
            value = lax.neg(value)
        out = [label for dim in structure.out for label in dim]
        in_ = [label for dim in structure.in_ for label in dim]
        shape = [structure.sizes[label] for label in out + in_]
        if shape:
            place = {label: at for at, label in reversed(list(enumerate(out + in_)))}
            value = lax.broadcast_in_dim(value, shape, [place[label] for label in structure.axes])
            ties = [
                (out.index(label), len(out) + at) for at, label in enumerate(in_) if label in out
            ]
            if ties:
                mask = _diagonal(shape, *ties[0])
                for tie in ties[1:]:
                    mask = lax.bitwise_and(mask, _diagonal(shape, *tie))
                value = lax.select(mask, value, lax.full_like(value, 0))
        return lax.reshape(value, structure.out_shape + structure.in_shape)


def _diagonal(shape: list[int], first: int, second: int) -> jax.Array:
    return lax.eq(
        lax.broadcasted_iota(np.int32, shape, first), lax.broadcasted_iota(np.int32, shape, second)
    )


def dense_block(value: jax.Array, out_shape: tuple[int, ...], in_shape: tuple[int, ...]) -> Block:
    """The block of an array ``J[o..., i...]``."""
    structure = dense(out_shape, in_shape)
    return Block(structure, lax.reshape(value, structure.value_shape))


def identity_block(shape: tuple[int, ...]) -> Block:
    """The block of an array with respect to itself."""
    return Block(identity(shape))
