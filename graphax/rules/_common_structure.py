"""Blocks that branches and loops return: all of one structure, or arrays."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..sparse import Block, Support, Zeros, arranged_block, dense_block, label_dims, with_holes

#: Smaller Jacobians go dense through branches and loops.
GO_DENSE = 4096


def common_structure(ways: Sequence[Block | None], in_shape: tuple[int, ...]) -> list[Block] | None:
    """Blocks whose sum has a structure that all these blocks can be brought to, or None.

    Args:
        ways: the blocks, with types for arrays.
        in_shape: the shape that they take.
    """
    blocks = [way for way in ways if way is not None]
    sums = [jax.eval_shape(lambda way: with_structure(way, blocks, in_shape), way) for way in ways]
    return blocks if all(same_types(sums[0], other) for other in sums) else None


def same_types(one: Any, other: Any) -> bool:
    """Whether two pytrees of types agree in structure, shapes and dtypes."""
    types = [[(leaf.shape, leaf.dtype) for leaf in jax.tree.leaves(tree)] for tree in (one, other)]
    try:
        return types[0] == types[1] and jax.tree.structure(one) == jax.tree.structure(other)
    except ValueError:  # static arrays cannot be compared so
        return False


def with_structure(block: Block | None, others: Sequence[Block], in_shape: tuple[int, ...]) -> Block:
    """The block, plus zeros of the structure of others."""
    labels, sizes = label_dims(in_shape)
    parts = []
    for other in others:
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), other.unsigned())
        dtypes = [leaf.dtype for leaf in jax.tree.leaves(other)]
        zero = jnp.zeros((), jnp.result_type(*dtypes) if dtypes else None)
        nowhere = [Support(partial(np.zeros, term.value_shape, bool)) for term in other.structure.terms]
        parts.append(zeros.within([nowhere]) @ arranged_block(labels, labels, sizes, zero, []))
    if block is not None:
        parts.append(block)
    return reduce(Block.__add__, parts)


def as_block(
    found: Any, out_shape: tuple[int, ...], in_shape: tuple[int, ...], holes: Any = Zeros.OF_STRUCTURE
) -> Block:
    """A block, or the block of an array, whose zeros may be of what depends on nothing."""
    return found if isinstance(found, Block) else dense_block(with_holes(found, holes), out_shape, in_shape)


def array_of(block: Block | None, out_shape: tuple[int, ...], in_shape: tuple[int, ...], dtype: Any) -> Any:
    """The array of a block."""
    return jnp.zeros(out_shape + in_shape, dtype) if block is None else block.todense(dtype)
