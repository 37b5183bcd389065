"""A Jacobian that one can work with: a structure with its values, and a matrix."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax

from ._scaled import Scaled
from ._selection import Selections
from ._steps import Value, reshape
from ._structure import dense, from_labels, identity, make_term, structure
from ._term import Digit, Kind, Sizes


@jax.tree_util.register_pytree_node_class
class Block(Selections):
    """A structured Jacobian ``J[o..., i...]`` of one array with respect to another; a pytree.

    What ``jacve(f, sparse=True)`` returns in the place of an array. It holds the numbers that the structure
    needs and no zeros; where they are is static, and known while tracing.

    Attributes:
        structure, values, dtype, finite: as for :class:`SumOfTerms`.
    """

    def __matmul__(self, inner: Any) -> Any:
        """The product with another block (the chain rule), or with an array of shape ``in_shape``."""
        if not isinstance(inner, Block):
            return self._times(jax.numpy.asarray(inner))
        return self.compose(inner)

    def __add__(self, other: Block) -> Block:
        """Parallel paths between the same two arrays."""
        return self.plus(other)

    def __neg__(self) -> Block:
        return replace(self, values=tuple(-value for value in self.values))

    def _times(self, vector: jax.Array) -> jax.Array:
        if vector.shape != self.in_shape:
            raise ValueError(
                f"a Jacobian with inputs of shape {self.in_shape} cannot be applied to an array of shape "
                f"{vector.shape}"
            )
        dtype = jax.numpy.promote_types(self._require_dtype(), vector.dtype)
        vector = vector.astype(dtype)
        return (self @ dense_block(vector, vector.shape, ())).todense(dtype)

    def __repr__(self) -> str:
        kind = "" if self.dtype is None else f", {self.dtype}"
        return f"Block({self.out_shape} <- {self.in_shape}{kind}: {self.structure})"


def arranged_block(
    out: Sequence[Sequence[int | Digit]],
    in_: Sequence[Sequence[int | Digit]],
    sizes: Sequence[int],
    value: Value,
    axes: Sequence[int],
) -> Block:
    """A block from labels in any order.

    Args:
        out: the labels of every output dimension, major first; a label stands for all indices of its size.
            A :class:`Digit` may stand in the place of a label.
        in_: the labels of every input dimension. A label that the output has too is a Kronecker delta.
        sizes: the sizes of the labels.
        value: an array whose axes, those of size 1 apart, are the labels ``axes``.
        axes: the labels of the value's axes; along other labels the entries are all alike.
    """
    final = _canonical(_frozen(out), _frozen(in_), tuple(sizes), Kind.VALUE, tuple(axes))
    value = Scaled(reshape(value, [sizes[label] for label in axes]))
    order = [list(axes).index(label) for label in final.axes]
    return Block(structure(final.term), (value.arranged(order, final.term.value_shape),))


def unit_block(
    out: Sequence[Sequence[int | Digit]],
    in_: Sequence[Sequence[int | Digit]],
    sizes: Sizes,
    scale: Any = 1,
) -> Block:
    """A block whose nonzeros are all one static number; labels as for :func:`arranged_block`."""
    value = Scaled(None, scale)
    return Block(structure(make_term(out, in_, sizes, value.kind)), (value,))


def _frozen(dims: Sequence[Sequence[int | Digit]]) -> tuple[tuple[int | Digit, ...], ...]:
    return tuple(tuple(dim) for dim in dims)


_canonical = functools.lru_cache(maxsize=4096)(from_labels)


def dense_block(value: jax.Array, out_shape: tuple[int, ...], in_shape: tuple[int, ...]) -> Block:
    """The block of an array ``J[o..., i...]``."""
    found = dense(out_shape, in_shape)
    return Block(found, (Scaled(reshape(value, found.terms[0].value_shape)),))


def identity_block(shape: tuple[int, ...]) -> Block:
    """The block of an array with respect to itself."""
    return Block(identity(shape), (Scaled(None),))
