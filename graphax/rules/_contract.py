"""Reductions and contractions: primitives that sum over dimensions."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

from .._trace import is_complex
from ..sparse import Block, arranged_block, label_dims, unit_block, with_support
from ._batched import register_batched
from ._complex import factor_block
from ._registry import Blocks, Call, register_rule
from ._relabel import relabelling


@relabelling("reduce_sum")
def _reduce_sum(params: dict[str, Any], out_shape: Sequence[int], in_shape: tuple[int, ...]) -> Block:
    return _sum_block(in_shape, tuple(params["axes"]))


@functools.lru_cache(maxsize=4096)
def _sum_block(shape: tuple[int, ...], axes: tuple[int, ...]) -> Block:
    out, in_, sizes = _reduction_labels(shape, axes)
    return unit_block(out, in_, sizes)


def _reduction_labels(
    shape: tuple[int, ...], axes: tuple[int, ...]
) -> tuple[list[list[int]], list[list[int]], list[int]]:
    in_, sizes = label_dims(shape)
    return [dim for axis, dim in enumerate(in_) if axis not in axes], in_, sizes


@register_rule("reduce_max", "reduce_min", "reduce_prod")
def _reduce(call: Call) -> tuple[list[Any], Blocks]:
    """Every input entry moves one output entry: pulling ones back gives all derivatives at once."""
    (operand,) = call.operands
    result, pull = jax.vjp(lambda x: call.with_operands([x]).evaluate()[0], operand)
    (derivative,) = pull(lax.full_like(result, 1))
    out, in_, sizes = _reduction_labels(np.shape(operand), tuple(call.params["axes"]))
    return [result], [[arranged_block(out, in_, sizes, derivative, range(len(sizes)))]]


@register_batched("dot_general")
def _dot_general(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    contract, batch = call.params["dimension_numbers"]
    left, right, sizes = label_dims(*map(np.shape, call.operands))
    for left_axes, right_axes in (contract, batch):
        for left_axis, right_axis in zip(left_axes, right_axes, strict=True):
            right[right_axis] = left[left_axis]
    out = [left[axis] for axis in batch[0]]
    out += [dim for axis, dim in enumerate(left) if axis not in (*batch[0], *contract[0])]
    out += [dim for axis, dim in enumerate(right) if axis not in (*batch[1], *contract[1])]

    def block(at: int) -> Block:
        """The derivative with respect to one factor is the other one."""
        mine, other = (left, right) if at == 0 else (right, left)
        axes = [label for dim in other for label in dim]
        if is_complex(result):
            return factor_block(call, 1 - at, (out, mine, sizes, axes))
        value = with_support(call.factor(1 - at), call.support(1 - at))
        return arranged_block(out, mine, sizes, value, axes)

    return [result], [call.row(block)]
