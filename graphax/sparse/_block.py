"""A Jacobian that one can work with: a structure with its values, and a matrix."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from ._display import Displays
from ._index import Index
from ._placed import Part, real_shape
from ._scaled import Scaled
from ._steps import Value, reshape
from ._structure import Structure, added_label, dense, from_labels, identity, label_dims, make_term, structure
from ._term import Digit, Kind, Sizes


@jax.tree_util.register_pytree_node_class
class Block(Displays):
    """A structured Jacobian ``J[o..., i...]`` of one array with respect to another; a pytree.

    What ``jacve(f, sparse=True)`` returns in the place of an array. It holds the numbers that the structure
    needs and no zeros; where they are is static, and known while tracing.

    It works as the dense array of shape ``out_shape + in_shape`` does: ``numpy.asarray``, indexing, ``sum``,
    ``+ - * /`` mean what they mean there. ``@``, ``T``, ``diagonal``, ``trace`` and ``solve`` take the output
    as rows and the input as columns, of however many dimensions these are; ``pattern``, ``csr``, ``csc``,
    ``to_bcsr``, ``to_scipy``, ``tril``, ``triu``, ``norm`` and ``spy`` take them flattened. Zeros of the
    structure stay zeros, whatever they are multiplied by.

    Under :func:`jax.vmap` a block holds many Jacobians: their batch dimensions lead, in ``shape`` and in all
    arrays that come of it, and what is done with a matrix is done with each.

    Attributes:
        structure: the terms of which it is the sum.
        values: their numbers.
        dtype: the type of its entries; None while it is a part of something else.
        finite: whether its entries are known to be finite, overflow aside.
        anchor: an array without entries that keeps the batch dimensions of a block without arrays.
        placed: parts of the sum whose places are known at run time only.

    Example:
        >>> block = graphax.jacve(lambda x: x[1:] * x[:-1], sparse=True)(jnp.arange(1.0, 5.0))
        >>> block.out_shape, block.in_shape, block.nnz
        ((3,), (4,), 6)
        >>> print(block.todense())
        [[2. 1. 0. 0.]
         [0. 3. 2. 0.]
         [0. 0. 4. 3.]]
        >>> print(block @ jnp.ones(4))
        [3. 5. 7.]
        >>> (block @ block.T).nnz  # products are blocks: here a tridiagonal matrix
        7
        >>> indptr, indices, data = block.csr()
    """


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

    Returns:
        the block.

    Example:
        >>> weights = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
        >>> block = sparse.arranged_block([[0]], [[0], [1]], [2, 3], weights, [0, 1])
        >>> block.out_shape, block.in_shape, block.nnz
        ((2,), (2, 3), 6)
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
    """A block whose nonzeros are all one static number.

    Args:
        out: the labels of every output dimension, as for :func:`arranged_block`.
        in_: the labels of every input dimension.
        sizes: the sizes of the labels.
        scale: the number.

    Returns:
        the block, which holds no array.

    Example:
        >>> block = sparse.unit_block([[0]], [[0], [1]], [2, 3], -1.0)
        >>> block.out_shape, block.in_shape, block.nnz
        ((2,), (2, 3), 6)
    """
    value = Scaled(None, scale)
    return Block(structure(make_term(out, in_, sizes, value.kind)), (value,))


class AtRunTime(NamedTuple):
    """A dimension whose index is known at run time only.

    Attributes:
        labels: those that it depends on.
        array: the index, with an axis for each label; or the size of the dimension for what is no entry.
        size: the size of the dimension.
        within: whether all are entries.
    """

    labels: Sequence[int]
    array: Any
    size: int
    within: bool = True


def placed_block(
    out: Sequence[Sequence[int | Digit] | AtRunTime],
    in_: Sequence[Sequence[int | Digit] | AtRunTime],
    sizes: Sizes,
) -> Block:
    """A block of ones, labels as for :func:`arranged_block`; some indices are known at run time only."""

    def index(dim: Any) -> Index | None:
        if not isinstance(dim, AtRunTime):
            return None
        array = jax.numpy.asarray(dim.array, np.int32)
        return Index(reshape(array, (array.size,)), dim.size, dim.within)

    sides = [[dim.labels if isinstance(dim, AtRunTime) else dim for dim in side] for side in (out, in_)]
    found = structure(make_term(sides[0], sides[1], sizes, Kind.UNIT))
    part = Part(found, (Scaled(None),), tuple(map(index, out)), tuple(map(index, in_)))
    out_shape, in_shape = real_shape(found.out_shape, part.out), real_shape(found.in_shape, part.in_)
    return Block(Structure(out_shape, in_shape, ()), (), placed=(part,))


def _frozen(dims: Sequence[Sequence[int | Digit]]) -> tuple[tuple[int | Digit, ...], ...]:
    return tuple(tuple(dim) for dim in dims)


_canonical = functools.lru_cache(maxsize=4096)(from_labels)


def dense_block(value: jax.Array, out_shape: tuple[int, ...], in_shape: tuple[int, ...]) -> Block:
    """The block of an array ``J[o..., i...]``.

    Args:
        value: the array, of shape ``out_shape + in_shape``.
        out_shape: the shape of the output.
        in_shape: the shape of the input.

    Returns:
        the block, every entry of which is a structural nonzero.

    Example:
        >>> sparse.dense_block(jnp.ones((2, 3)), (2,), (3,)).nnz
        6
    """
    found = dense(out_shape, in_shape)
    return Block(found, (Scaled(reshape(value, found.terms[0].value_shape)),))


def identity_block(shape: tuple[int, ...]) -> Block:
    """The block of an array with respect to itself.

    Args:
        shape: the shape of the array.

    Returns:
        the block, which has no type yet: it is made to be multiplied. :func:`eye` gives it one.

    Example:
        >>> sparse.identity_block((3,)).nnz
        3
    """
    return Block(identity(shape), (Scaled(None),))


def eye(n: int | Sequence[int], m: int | None = None, k: int = 0, dtype: Any = None) -> Block:
    """Ones on a diagonal, as ``jax.numpy.eye`` has them; no number is held.

    Args:
        n: the number of rows, or the shape of an array, whose identity it is then.
        m: the number of columns, ``n`` if left out.
        k: which diagonal; columns less rows.
        dtype: the type of its entries; JAX's usual one if left out.

    Returns:
        the block.

    Raises:
        ValueError: when a size is negative, or ``m`` or ``k`` stands beside a shape.

    Example:
        >>> print(sparse.eye(2, 3, k=1).todense())
        [[0. 1. 0.]
         [0. 0. 1.]]
        >>> sparse.eye((4, 5)).shape
        (4, 5, 4, 5)
    """
    dtype = np.dtype(dtype or jax.numpy.zeros(()).dtype)
    if not isinstance(n, int | np.integer):
        if m is not None or k:
            raise ValueError("the identity of an array of some shape has neither m nor k")
        return identity_block(tuple(map(int, n))).astype(dtype)
    shape = int(n), int(n if m is None else m)
    if min(shape) < 0:
        raise ValueError(f"a matrix cannot have the shape {shape}")
    first = max(0, -k)
    count = min(shape[0], shape[1] - k) - first
    if count <= 0:
        return Block.zero(shape[:1], shape[1:], dtype)
    sizes: list[int] = []
    label = tuple(added_label(count, sizes))
    out, in_ = (Digit(size, label, start) for size, start in zip(shape, (first, first + k), strict=True))
    return unit_block([[out]], [[in_]], sizes).astype(dtype)


def eye_like(block: Block) -> Block:
    """The identity of the shape and the type of a block whose output and input have one shape.

    Args:
        block: the block.

    Returns:
        the identity.

    Raises:
        ValueError: when they have not.

    Example:
        >>> block = graphax.jacve(jnp.sin, sparse=True)(jnp.zeros(3))
        >>> print((sparse.eye_like(block) - 0.5 * block).todense())  # of an implicit step
        [[0.5 0.  0. ]
         [0.  0.5 0. ]
         [0.  0.  0.5]]
    """
    if block.out_shape != block.in_shape:
        raise ValueError(f"the identity is square, but a block {block.out_shape} <- {block.in_shape} is not")
    return eye(block.out_shape, dtype=block.dtype)


def diag(entries: Any) -> Block:
    """The block with an array on its diagonal, and zeros elsewhere.

    Args:
        entries: the array, or what becomes one.

    Returns:
        a block of shape ``entries.shape * 2``.

    Example:
        >>> print(sparse.diag([1.0, 2.0]).todense())
        [[1. 0.]
         [0. 2.]]
    """
    entries = jax.numpy.asarray(entries)
    dims, sizes = label_dims(entries.shape)
    if 0 in sizes:
        return Block.zero(entries.shape, entries.shape, entries.dtype)
    return arranged_block(dims, dims, sizes, entries, range(len(sizes))).astype(entries.dtype)
