"""Reductions and contractions: primitives that sum over dimensions."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np
from jax import lax

from ..sparse import Block, Kind, Structure, label_dims, make_structure
from ._registry import Blocks, Call, register_family, register_rule


@functools.lru_cache(maxsize=4096)
def _reduction(shape: tuple[int, ...], axes: tuple[int, ...], kind: Kind) -> Structure:
    in_, sizes = label_dims(shape)
    out = [dim for axis, dim in enumerate(in_) if axis not in axes]
    if kind is Kind.VALUE:
        return make_structure(out, in_, sizes, kind, range(len(sizes)))
    summed = [label for axis in axes for label in in_[axis]]
    return make_structure(out, in_, sizes, kind, held=summed, copy=not summed)


@register_rule("reduce_sum")
def _reduce_sum(call: Call) -> tuple[list[Any], Blocks]:
    structure = _reduction(np.shape(call.operands[0]), tuple(call.params["axes"]), Kind.UNIT)
    return call.evaluate(), [[Block(structure)]]


def _reduce(call: Call) -> tuple[list[Any], Blocks]:
    """Every input entry moves one output entry: pulling ones back gives all derivatives at once."""
    (operand,) = call.operands
    result, pull = jax.vjp(lambda x: call.with_operands([x]).evaluate()[0], operand)
    (derivative,) = pull(lax.full_like(result, 1))
    structure = _reduction(np.shape(operand), tuple(call.params["axes"]), Kind.VALUE)
    return [result], [[Block(structure, lax.reshape(derivative, structure.value_shape))]]


register_family(("reduce_max", "reduce_min", "reduce_prod"), _reduce)


@register_rule("dot_general")
def _dot_general(call: Call) -> tuple[list[Any], Blocks]:
    (result,) = call.evaluate()
    (contract, batch) = call.params["dimension_numbers"]
    shapes = tuple(np.shape(operand) for operand in call.operands)
    to_lhs, to_rhs, lhs_axes, rhs_axes = _contraction(*shapes, contract, batch)
    lhs, rhs = call.operands
    blocks: list[Block | None] = [None, None]
    if call.wanted[0]:
        blocks[0] = _contraction_block(to_lhs, rhs, rhs_axes)
    if call.wanted[1]:
        blocks[1] = _contraction_block(to_rhs, lhs, lhs_axes)
    return [result], [blocks]


def _contraction_block(structure: Structure, other: Any, axes: tuple[int, ...]) -> Block:
    return Block(structure, lax.reshape(lax.transpose(other, axes), structure.value_shape))


@functools.lru_cache(maxsize=4096)
def _contraction(
    lhs_shape: tuple[int, ...], rhs_shape: tuple[int, ...], contract: Any, batch: Any
) -> tuple[Structure, Structure, tuple[int, ...], tuple[int, ...]]:
    """The structures of a contraction's two local Jacobians.

    Returns:
        the structures with respect to the left and the right operand, and for each operand how to permute its
        axes so that they run as the axes of the value that it is in the other's Jacobian.
    """
    lhs, sizes = label_dims(lhs_shape)
    rhs, rhs_sizes = label_dims(rhs_shape, len(sizes))
    sizes = sizes + rhs_sizes
    for lhs_dims, rhs_dims in (contract, batch):
        for left, right in zip(lhs_dims, rhs_dims, strict=True):
            rhs[right] = lhs[left]
    out = [lhs[axis] for axis in batch[0]]
    out += [dim for axis, dim in enumerate(lhs) if axis not in (*batch[0], *contract[0])]
    out += [dim for axis, dim in enumerate(rhs) if axis not in (*batch[1], *contract[1])]
    by_label = dict(enumerate(sizes))
    structures, orders = [], []
    for wrt, other in ((lhs, rhs), (rhs, lhs)):
        labels = [label for dim in other for label in dim]
        structures.append(make_structure(out, wrt, by_label, Kind.VALUE, labels))
        first = {
            label: at
            for at, label in reversed(
                list(enumerate(label for dim in [*out, *wrt] for label in dim))
            )
        }
        # Axes of size 1 have no label; where they stand does not matter.
        orders.append(
            tuple(
                sorted(
                    range(len(other)), key=lambda axis: first[other[axis][0]] if other[axis] else -1
                )
            )
        )
    return structures[0], structures[1], orders[1], orders[0]
