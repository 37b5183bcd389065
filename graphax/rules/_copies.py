"""Primitives that hand their operands on, alone or several at once."""

from __future__ import annotations

from typing import Any

from jax import lax

from .._trace import is_complex, is_differentiable
from ..sparse import Block, identity_block
from ._batched import register_batched
from ._composed import composed
from ._elementwise import elementwise
from ._registry import Blocks, Call, register_family


def _handed_on(call: Call) -> tuple[list[Any], Blocks]:
    """Every result is its operand."""
    results = call.evaluate()
    blocks: Blocks = [[None] * len(call.operands) for _ in results]
    for at in call.moving:
        if is_differentiable(results[at]):
            blocks[at][at] = identity_block((*results[at].shape, *[2] * is_complex(results[at])))
    return results, blocks


def _tile(call: Call) -> tuple[list[Any], Blocks]:
    """A broadcast along new dimensions, which then join the old ones."""
    (operand,) = call.operands
    reps = call.params["reps"]

    def tile(array: Any) -> Any:
        shape = [size for pair in zip(reps, array.shape, strict=True) for size in pair]
        array = lax.broadcast_in_dim(array, shape, range(1, 2 * array.ndim, 2))
        return lax.reshape(array, [rep * size for rep, size in zip(reps, operand.shape, strict=True)])

    return composed(tile, [operand])


def _stack(call: Call) -> tuple[list[Any], Blocks]:
    """A concatenation along a new dimension."""
    axis = call.params["axis"]

    def stack(*moving: Any) -> Any:
        operands = call.with_moving(call.operands, moving).operands
        return lax.concatenate([lax.expand_dims(operand, [axis]) for operand in operands], axis)

    results, (blocks,) = composed(stack, [call.operands[at] for at in call.moving])
    row: list[Block | None] = [None] * len(call.operands)
    for at, block in zip(call.moving, blocks, strict=True):
        row[at] = block
    return results, [row]


def _unstack(call: Call) -> tuple[list[Any], Blocks]:
    """Slices that lose a dimension."""
    (operand,) = call.operands
    axis = call.params["axis"]
    return composed(
        lambda array: [lax.index_in_dim(array, k, axis, keepdims=False) for k in range(array.shape[axis])],
        [operand],
    )


register_batched(("tile",), _tile)
register_batched(("stack",), _stack)
register_batched(("unstack",), _unstack)
register_batched(
    """device_put layout_constraint name optimization_barrier pvary reshard sharding_constraint""".split(),
    _handed_on,
)
# Its derivative is a product with the tangent, whatever the sampler does.
register_family(("random_gamma",), elementwise)
