"""Re-labellings: primitives whose output entries are copies of input entries."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..sparse import Block, Digit, common_factors, digit_table, identity_block, label_dims, unit_block
from ._dependence import on_own
from ._registry import Blocks, Call, register_dependence, register_family, register_rule

#: Primitives that only copy or add up entries: in the counted convention they hold no ones to multiply by.
COPYING = frozenset(
    """broadcast_in_dim concatenate convert_element_type copy copy_p device_put expand_dims layout_constraint
    name optimization_barrier pad reduce_precision reduce_sum reshape reshard rev sharding_constraint slice
    split squeeze stack tile transpose unstack""".split()
)


@register_rule("transpose")
def _transpose(call: Call) -> tuple[list[Any], Blocks]:
    return call.evaluate(), [[_transpose_block(np.shape(call.operands[0]), call.params["permutation"])]]


def _transpose_block(shape: Sequence[int], permutation: Sequence[int]) -> Block:
    dims, sizes = label_dims(shape)
    return unit_block([dims[axis] for axis in permutation], dims, sizes)


@register_rule("broadcast_in_dim")
def _broadcast_in_dim(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    out, sizes = label_dims(result.shape)
    in_shape = np.shape(call.operands[0])
    in_ = [
        out[axis] if size != 1 else []
        for axis, size in zip(call.params["broadcast_dimensions"], in_shape, strict=True)
    ]
    return [result], [[unit_block(out, in_, sizes)]]


def _reshape(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    in_shape = np.shape(call.operands[0])
    order = call.params.get("dimensions") if call.primitive.name == "reshape" else None
    if order is None:
        return [result], [[reshape_block(result.shape, in_shape)]]
    # `lax.reshape` may read the dimensions in another order first.
    transposed = _transpose_block(in_shape, order)
    return [result], [[reshape_block(result.shape, transposed.out_shape) @ transposed]]


register_family(("reshape", "squeeze", "expand_dims"), _reshape)


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
        [
            [digit_table(radix, (0,), index)]
            for radix, index in zip(shape, np.unravel_index(np.arange(size), shape), strict=True)
        ]
        for shape in (out_shape, in_shape)
    )
    return unit_block(out, in_, [size])


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
    out: Sequence[tuple[int, int]],
    in_: Sequence[tuple[int, int]],
) -> Block:
    """The block of a copy between regularly spaced parts of two arrays of the same rank.

    Args:
        out_shape: the shape of the output.
        in_shape: the shape of the input.
        sizes: how many entries are copied along every dimension.
        out: for every dimension the first output index and the distance of the next.
        in_: the same for the input.
    """
    if 0 in sizes:
        return Block.zero(out_shape, in_shape)
    to, from_ = (
        [[Digit(radix, (axis,), *line)] for axis, (radix, line) in enumerate(zip(shape, lines, strict=True))]
        for shape, lines in ((out_shape, out), (in_shape, in_))
    )
    return unit_block(to, from_, sizes)


@register_rule("slice")
def _slice(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    in_shape = np.shape(call.operands[0])
    strides = call.params["strides"] or (1,) * len(in_shape)
    lines = list(zip(call.params["start_indices"], strides, strict=True))
    return [result], [[copy_block(result.shape, in_shape, result.shape, _whole(in_shape), lines)]]


@register_rule("stack")
def _stack(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    axis = call.params["axis"]
    blocks = [
        _layer_block(np.shape(operand), axis, at, len(call.operands)) if want else None
        for at, (operand, want) in enumerate(zip(call.operands, call.wanted, strict=True))
    ]
    return [result], [blocks]


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


@register_rule("tile")
def _tile(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    in_shape = np.shape(call.operands[0])
    dims, sizes = label_dims(in_shape)
    out = []
    for repeats, dim in zip(call.params["reps"], dims, strict=True):
        out.append([len(sizes), *dim] if repeats != 1 else dim)
        sizes += [repeats] * (repeats != 1)
    return [result], [[unit_block(out, dims, sizes) if 0 not in result.shape else None]]


def _identities(call: Call) -> tuple[list[Any], Blocks]:
    """Every result is the operand at the same place."""
    results = call.evaluate()
    blocks: Blocks = [[None] * len(results) for _ in results]
    for at in call.moving:
        blocks[at][at] = identity_block(np.shape(call.operands[at]))
    return results, blocks


_IDENTITIES = """device_put layout_constraint name optimization_barrier pvary reshard
    sharding_constraint""".split()
register_family(_IDENTITIES, _identities)
register_dependence(_IDENTITIES, on_own)


def _whole(shape: Sequence[int]) -> list[tuple[int, int]]:
    return [(0, 1)] * len(shape)


@register_rule("rev")
def _rev(call: Call) -> tuple[list[Any], Blocks]:
    shape = np.shape(call.operands[0])
    lines = [
        (size - 1, -1) if axis in call.params["dimensions"] else (0, 1) for axis, size in enumerate(shape)
    ]
    return call.evaluate(), [[copy_block(shape, shape, shape, _whole(shape), lines)]]


@register_rule("concatenate")
def _concatenate(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    axis = call.params["dimension"]
    blocks: list[Block | None] = []
    offset = 0
    for operand, want in zip(call.operands, call.wanted, strict=True):
        shape = np.shape(operand)
        lines = _whole(shape)
        lines[axis] = (offset, 1)
        blocks.append(copy_block(result.shape, shape, shape, lines, _whole(shape)) if want else None)
        offset += shape[axis]
    return [result], [blocks]


@register_rule("split")
def _split(call: Call) -> tuple[list[Any], Blocks]:
    results = call.evaluate()
    axis = call.params["axis"]
    in_shape = np.shape(call.operands[0])
    blocks: Blocks = []
    offset = 0
    for result in results:
        lines = _whole(in_shape)
        lines[axis] = (offset, 1)
        blocks.append([copy_block(result.shape, in_shape, result.shape, _whole(in_shape), lines)])
        offset += result.shape[axis]
    return results, blocks


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
        digits = [
            [digit_table(radix, (0,), index)] for radix, index in zip(result.shape, places, strict=True)
        ]
        count = len(places[0]) if places else 0
        blocks[1] = unit_block(digits, (), [count]) if count else Block.zero(result.shape, ())
    return [result], [blocks]
