"""Re-labellings: primitives whose output entries are copies of input entries."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..sparse import Block, Kind, arranged_block, common_factors, label_dims, make_structure
from ._registry import Blocks, Call, register_family, register_rule

IndexMap = np.ndarray | None  # for every output index the input index, -1 for none; None: the identity


def _copy_block(out: Any, in_: Any, sizes: Any) -> Block:
    return Block(make_structure(out, in_, sizes, Kind.UNIT, copy=True))


@register_rule("transpose")
def _transpose(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    dims, sizes = label_dims(np.shape(call.operands[0]))
    out = [dims[axis] for axis in call.params["permutation"]]
    return [result], [[_copy_block(out, dims, sizes)]]


@register_rule("broadcast_in_dim")
def _broadcast_in_dim(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    out, sizes = label_dims(result.shape)
    in_shape = np.shape(call.operands[0])
    in_ = [
        out[axis] if size != 1 else []
        for axis, size in zip(call.params["broadcast_dimensions"], in_shape, strict=True)
    ]
    return [result], [[_copy_block(out, in_, sizes)]]


def _reshape(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    return [result], [[reshape_block(result.shape, np.shape(call.operands[0]))]]


register_family(("reshape", "squeeze", "expand_dims"), _reshape)


@functools.lru_cache(maxsize=4096)
def reshape_block(out_shape: tuple[int, ...], in_shape: tuple[int, ...]) -> Block:
    """The block of a row-major reshape: products of common factors, or a permutation written out."""
    factors = common_factors(out_shape, in_shape)
    if factors is None:
        return _written_out(out_shape, in_shape)
    labels = list(range(len(factors)))
    return _copy_block(
        _spread(out_shape, factors),
        _spread(in_shape, factors),
        dict(zip(labels, factors, strict=True)),
    )


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


def _written_out(out_shape: tuple[int, ...], in_shape: tuple[int, ...]) -> Block:
    size = int(np.prod(out_shape))
    out, out_sizes = label_dims(out_shape)
    in_, in_sizes = label_dims(in_shape, len(out_sizes))
    sizes = out_sizes + in_sizes
    labels = range(len(sizes))
    mask = np.eye(size, dtype=bool)
    return arranged_block(out, in_, sizes, mask, labels, Kind.SELECTION, copy=True)


def selection_block(out_shape: Sequence[int], in_shape: Sequence[int], maps: Sequence[IndexMap]) -> Block:
    """The block of a copy that picks indices dimension by dimension.

    Args:
        out_shape: the shape of the output.
        in_shape: the shape of the input, of the same rank.
        maps: for every dimension the input index of each output index, -1 where nothing is copied;
            None for dimensions that are copied whole.
    """
    out, sizes = label_dims(out_shape)
    in_: list[list[int]] = []
    mask = np.ones((), bool)
    axes: list[int] = []
    for dim, out_dim, size, index_map in zip(range(len(maps)), out, in_shape, maps, strict=True):
        if index_map is None:
            in_.append(list(out_dim))
            continue
        in_dim = [] if size == 1 else [len(sizes)]
        sizes += [size] * len(in_dim)
        in_.append(in_dim)
        pattern = np.asarray(index_map)[:, None] == np.arange(size)
        shape = [n for n, kept in ((out_shape[dim], out_dim), (size, in_dim)) if kept]
        mask = mask[..., *([None] * len(shape))] & pattern.reshape(shape)
        axes += [*out_dim, *in_dim]
    if not axes:
        return _copy_block(out, in_, sizes)
    return arranged_block(out, in_, sizes, mask, axes, Kind.SELECTION, copy=True)


@register_rule("slice")
def _slice(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    in_shape = np.shape(call.operands[0])
    strides = call.params["strides"] or (1,) * len(in_shape)
    maps = [
        _affine(start, stride, size, in_size)
        for start, stride, size, in_size in zip(
            call.params["start_indices"], strides, result.shape, in_shape, strict=True
        )
    ]
    return [result], [[selection_block(result.shape, in_shape, maps)]]


def _affine(start: int, stride: int, size: int, in_size: int) -> IndexMap:
    if start == 0 and stride == 1 and size == in_size:
        return None
    return start + stride * np.arange(size)


@register_rule("rev")
def _rev(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    maps = [
        np.arange(size)[::-1] if axis in call.params["dimensions"] else None
        for axis, size in enumerate(result.shape)
    ]
    return [result], [[selection_block(result.shape, result.shape, maps)]]


@register_rule("concatenate")
def _concatenate(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    axis = call.params["dimension"]
    blocks: list[Block | None] = []
    offset = 0
    for operand, want in zip(call.operands, call.wanted, strict=True):
        shape = np.shape(operand)
        blocks.append(_placed(result.shape, shape, axis, offset) if want else None)
        offset += shape[axis]
    return [result], [blocks]


def _placed(out_shape: tuple[int, ...], in_shape: tuple[int, ...], axis: int, offset: int) -> Block:
    index = np.arange(out_shape[axis]) - offset
    inside = (index >= 0) & (index < in_shape[axis])
    maps: list[IndexMap] = [None] * len(out_shape)
    if in_shape[axis] != out_shape[axis]:
        maps[axis] = np.where(inside, index, -1)
    return selection_block(out_shape, in_shape, maps)


@register_rule("split")
def _split(call: Call) -> tuple[list[Any], Blocks]:
    results = call.evaluate()
    axis = call.params["axis"]
    in_shape = np.shape(call.operands[0])
    blocks: Blocks = []
    offset = 0
    for result in results:
        maps: list[IndexMap] = [None] * len(in_shape)
        maps[axis] = _affine(offset, 1, result.shape[axis], in_shape[axis])
        blocks.append([selection_block(result.shape, in_shape, maps)])
        offset += result.shape[axis]
    return results, blocks


@register_rule("pad")
def _pad(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    in_shape = np.shape(call.operands[0])
    maps: list[IndexMap] = []
    inside = np.ones(result.shape, bool)
    for axis, (low, high, interior) in enumerate(call.params["padding_config"]):
        if not (low or high or interior):
            maps.append(None)
            continue
        position = np.arange(result.shape[axis]) - low
        index, rest = np.divmod(position, interior + 1)
        copied = (rest == 0) & (index >= 0) & (index < in_shape[axis])
        maps.append(np.where(copied, index, -1))
        inside &= copied.reshape([-1 if axis == at else 1 for at in range(len(in_shape))])
    blocks: list[Block | None] = [None, None]
    if call.wanted[0]:
        blocks[0] = selection_block(result.shape, in_shape, maps)
    if call.wanted[1]:
        out, sizes = label_dims(result.shape)
        blocks[1] = arranged_block(out, (), sizes, ~inside, range(len(sizes)), Kind.SELECTION, copy=True)
    return [result], [blocks]
