"""Re-labellings: primitives whose output entries are copies of input entries."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from ..sparse import (
    Block,
    Digit,
    added_label,
    common_factors,
    digit_table,
    identity_block,
    label_dims,
    unit_block,
)
from ._dependence import on_own
from ._registry import Blocks, Call, register_dependence, register_rule

#: Primitives that only copy or add up entries: in the counted convention they hold no ones to multiply by.
COPYING = frozenset(
    """broadcast_in_dim concatenate convert_element_type copy copy_p device_put expand_dims layout_constraint
    name optimization_barrier pad reduce_precision reduce_sum reshape reshard rev sharding_constraint slice
    split squeeze stack tile transpose unstack""".split()
)


#: The block of a re-labelling, from its parameters, the shape of its result and that of its operand.
Relabelling = Callable[[dict[str, Any], tuple[int, ...], tuple[int, ...]], Block | None]
R = TypeVar("R", bound=Relabelling)


def relabelling(*names: str) -> Callable[[R], R]:
    """Give primitives of one operand and one result a rule whose block is known from shapes alone."""

    def register(block_of: R) -> R:
        def rule(call: Call) -> tuple[list[Any], Blocks]:
            (result,) = call.evaluate()
            return [result], [[block_of(call.params, result.shape, np.shape(call.operands[0]))]]

        register_rule(*names)(rule)
        return block_of

    return register


@relabelling("transpose")
def _transpose(params: dict[str, Any], out_shape: Sequence[int], in_shape: Sequence[int]) -> Block:
    dims, sizes = label_dims(in_shape)
    return unit_block([dims[axis] for axis in params["permutation"]], dims, sizes)


@relabelling("broadcast_in_dim")
def _broadcast_in_dim(params: dict[str, Any], out_shape: Sequence[int], in_shape: Sequence[int]) -> Block:
    out, sizes = label_dims(out_shape)
    axes = zip(params["broadcast_dimensions"], in_shape, strict=True)
    return unit_block(out, [out[axis] if size != 1 else [] for axis, size in axes], sizes)


@relabelling("reshape", "squeeze", "expand_dims")
def _reshape(params: dict[str, Any], out_shape: tuple[int, ...], in_shape: tuple[int, ...]) -> Block:
    # `lax.reshape` may read the dimensions in another order first; `squeeze` drops its dimensions.
    order = params.get("dimensions") if "new_sizes" in params else None
    if order is None:
        return reshape_block(out_shape, in_shape)
    transposed = _transpose({"permutation": order}, (), in_shape)
    return reshape_block(out_shape, transposed.out_shape) @ transposed


@functools.lru_cache(maxsize=4096)
def reshape_block(out_shape: tuple[int, ...], in_shape: tuple[int, ...]) -> Block:
    """The block of a row-major reshape: products of common factors, or tables where there are none."""
    if 0 in out_shape:
        return Block.zero(out_shape, in_shape)
    factors = common_factors(out_shape, in_shape)
    if factors is not None:
        return unit_block(_spread(out_shape, factors), _spread(in_shape, factors), factors)
    size = int(np.prod(out_shape))
    out, in_ = (
        listed_dims(shape, np.unravel_index(np.arange(size), shape)) for shape in (out_shape, in_shape)
    )
    return unit_block(out, in_, [size])


def listed_dims(shape: Sequence[int], places: Sequence[np.ndarray]) -> list[list[Digit]]:
    """The dimensions of an array whose entries at some places have one label, which runs through them."""
    return [[digit_table(radix, (0,), index)] for radix, index in zip(shape, places, strict=True)]


def _spread(shape: Sequence[int], factors: Sequence[int]) -> list[list[int]]:
    """Hand consecutive factors out to dimensions until their products are the dimensions' sizes."""
    dims, at = [], 0
    for size in shape:
        dim: list[int] = []
        total = 1
        while total != size:
            total *= factors[at]
            dim.append(at)
            at += 1
        dims.append(dim)
    return dims


def copy_block(
    out_shape: Sequence[int],
    in_shape: Sequence[int],
    sizes: Sequence[int],
    out: Sequence[tuple[int, int]] | None = None,
    in_: Sequence[tuple[int, int]] | None = None,
) -> Block:
    """The block of a copy between regularly spaced parts of two arrays of the same rank.

    Args:
        out_shape: the shape of the output.
        in_shape: the shape of the input.
        sizes: how many entries are copied along every dimension.
        out: for every dimension the first output index and the distance of the next; all of them if left out.
        in_: the same for the input.
    """
    if 0 in sizes:
        return Block.zero(out_shape, in_shape)
    whole = [(0, 1)] * len(sizes)
    to, from_ = (
        [[Digit(radix, (axis,), *line)] for axis, (radix, line) in enumerate(zip(shape, lines, strict=True))]
        for shape, lines in ((out_shape, out or whole), (in_shape, in_ or whole))
    )
    return unit_block(to, from_, sizes)


def block_around(shape: tuple[int, ...], starts: Sequence[int], box: Sequence[int]) -> Block:
    """The block of an array whose entries in a box are overwritten.

    Args:
        shape: the shape of the array.
        starts: the first index of the box in every dimension.
        box: its size in every dimension.
    """
    kept = Block.zero(shape, shape)
    # What lies before and after the box in one dimension, inside it in those before, anywhere in those after.
    for axis, (start, size) in enumerate(zip(starts, shape, strict=True)):
        for low, high in ((0, start), (start + box[axis], size)):
            firsts = [*starts[:axis], low, *[0] * (len(shape) - axis - 1)]
            lines = [(first, 1) for first in firsts]
            sizes = [*box[:axis], high - low, *shape[axis + 1 :]]
            kept = kept + copy_block(shape, shape, sizes, lines, lines)
    return kept


@relabelling("slice")
def _slice(params: dict[str, Any], out_shape: Sequence[int], in_shape: Sequence[int]) -> Block:
    strides = params["strides"] or (1,) * len(in_shape)
    lines = list(zip(params["start_indices"], strides, strict=True))
    return copy_block(out_shape, in_shape, out_shape, in_=lines)


@register_rule("stack")
def _stack(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    axis = call.params["axis"]
    count, shape = len(call.operands), np.shape(call.operands[0])
    return [result], [call.row(lambda at: _layer_block(shape, axis, at, count))]


@register_rule("unstack")
def _unstack(call: Call) -> tuple[list[Any], Blocks]:
    results = call.evaluate()
    axis = call.params["axis"]
    return results, [
        [_layer_block(result.shape, axis, at, len(results)).T] for at, result in enumerate(results)
    ]


def _layer_block(shape: tuple[int, ...], axis: int, at: int, count: int) -> Block:
    """The block of an array that becomes one of several layers along a new axis."""
    if 0 in shape:
        return Block.zero((*shape[:axis], count, *shape[axis:]), shape)
    dims, sizes = label_dims(shape)
    return unit_block([*dims[:axis], [Digit(count, (), at)], *dims[axis:]], dims, sizes)


@relabelling("tile")
def _tile(params: dict[str, Any], out_shape: Sequence[int], in_shape: Sequence[int]) -> Block | None:
    dims, sizes = label_dims(in_shape)
    out = [added_label(repeats, sizes) + dim for repeats, dim in zip(params["reps"], dims, strict=True)]
    return unit_block(out, dims, sizes) if 0 not in out_shape else None


_IDENTITIES = """device_put layout_constraint name optimization_barrier pvary reshard
    sharding_constraint""".split()


@register_rule(*_IDENTITIES)
def _identities(call: Call) -> tuple[list[Any], Blocks]:
    """Every result is the operand at the same place."""
    results = call.evaluate()
    blocks: Blocks = [[None] * len(results) for _ in results]
    for at in call.moving:
        blocks[at][at] = identity_block(np.shape(call.operands[at]))
    return results, blocks


register_dependence(*_IDENTITIES)(on_own)


@relabelling("rev")
def _rev(params: dict[str, Any], out_shape: Sequence[int], in_shape: Sequence[int]) -> Block:
    reversed_ = params["dimensions"]
    lines = [(size - 1, -1) if axis in reversed_ else (0, 1) for axis, size in enumerate(in_shape)]
    return copy_block(in_shape, in_shape, in_shape, in_=lines)


@register_rule("concatenate")
def _concatenate(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    blocks = _part_blocks(result.shape, map(np.shape, call.operands), call.params["dimension"])
    return [result], [[block if want else None for block, want in zip(blocks, call.wanted, strict=True)]]


@register_rule("split")
def _split(call: Call) -> tuple[list[Any], Blocks]:
    results = call.evaluate()
    shapes = [result.shape for result in results]
    blocks = _part_blocks(np.shape(call.operands[0]), shapes, call.params["axis"])
    return results, [[block.T] for block in blocks]


def _part_blocks(whole: tuple[int, ...], shapes: Iterable[tuple[int, ...]], axis: int) -> Iterator[Block]:
    """The blocks of arrays that become parts of one, one after another along an axis."""
    offset = 0
    for shape in shapes:
        lines = [(offset if dim == axis else 0, 1) for dim in range(len(shape))]
        yield copy_block(whole, shape, shape, lines)
        offset += shape[axis]


@register_rule("pad")
def _pad(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    in_shape = np.shape(call.operands[0])
    out, in_, sizes = [], [], []
    for (low, _, interior), radix, size in zip(
        call.params["padding_config"], result.shape, in_shape, strict=True
    ):
        # A negative padding cuts off: what is left starts at the first index that lands inside.
        stride = interior + 1
        first = max(0, -(low // stride))
        last = min(size - 1, (radix - 1 - low) // stride)
        out.append((low + first * stride, stride))
        in_.append((first, 1))
        sizes.append(max(0, last - first + 1))
    blocks: list[Block | None] = [None, None]
    if call.wanted[0]:
        blocks[0] = copy_block(result.shape, in_shape, sizes, out, in_)
    if call.wanted[1]:
        outside = np.ones(result.shape)
        outside[
            tuple(
                slice(start, start + stride * size, stride)
                for (start, stride), size in zip(out, sizes, strict=True)
            )
        ] = 0
        places = np.nonzero(outside)
        count = len(places[0]) if places else 0
        out_dims = listed_dims(result.shape, places)
        blocks[1] = unit_block(out_dims, (), [count]) if count else Block.zero(result.shape, ())
    return [result], [blocks]
