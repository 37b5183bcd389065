"""Blocks within matrices whose zeros are known: triangles of factors, solutions and running reductions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..sparse import Block, Scaled, with_holes


def within(block: Block | None, out: Sequence[int], in_: Sequence[int], support: np.ndarray) -> Block | None:
    """A block whose entries are zero outside of a support.

    Args:
        block: of one term, with a label for every dimension.
        out, in_: the dimensions of the output and of the input that say whether there may be an entry.
        support: whether there may be, by the indices in these dimensions.
    """
    if block is None or len(block.structure.terms) != 1:
        return block
    ((term, (array, scale)),) = zip(block.structure.terms, block.values, strict=True)
    if array is None or isinstance(array, np.ndarray):
        return block
    dims = [*(term.out[dim] for dim in out), *(term.in_[dim] for dim in in_)]
    labels: list[int] = []
    for dim in dims:
        if len(dim) > 1 or not all(digit.covers(term.sizes) for digit in dim):
            return block
        labels += [digit.labels[0] for digit in dim]
    if not set(labels) <= set(term.axes) or len(set(labels)) < len(labels):
        return block
    held = support.reshape([size for size in support.shape if size != 1])
    order = sorted(range(len(labels)), key=lambda at: term.axes.index(labels[at]))
    spread = [size if label in labels else 1 for label, size in zip(term.axes, term.value_shape, strict=True)]
    holes = np.broadcast_to(held.transpose(order).reshape(spread), term.value_shape)
    return replace(block, values=(Scaled(with_holes(array, np.array(holes), filled=True), scale),))
