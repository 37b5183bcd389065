"""Products of JAX's sparse matrices whose places are known: as many entries as these have numbers."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from .._trace import is_complex
from ..sparse import Block, added_label, arranged_block, digit_table
from ._dense import dense_rule
from ._registry import Blocks, Call, register_rule


@register_rule("bcoo_dot_general")
def _of_coordinates(call: Call) -> tuple[list[Any], Blocks]:
    places = call.known(1)
    return _product(call, places) or dense_rule(call)


@register_rule("bcsr_dot_general")
def _of_rows(call: Call) -> tuple[list[Any], Blocks]:
    columns, ends = call.known(1), call.known(2)
    if columns is None or ends is None or columns.ndim != 1:
        return dense_rule(call)
    rows = np.searchsorted(ends, np.arange(len(columns)), side="right") - 1
    return _product(call, np.stack([rows, columns], -1)) or dense_rule(call)


def _product(call: Call, places: np.ndarray | None) -> tuple[list[Any], Blocks] | None:
    """The rule for matrices without batched or dense dimensions, each of whose places is there once.

    Args:
        call: the product, of which the entries come first and the other factor comes last.
        places: for every entry its index in every dimension; what lies outside of the shape is none.
    """
    data, right, shape = call.operands[0], call.operands[-1], call.params["lhs_spinfo"].shape
    contract, batch = call.params["dimension_numbers"]
    if places is None or places.shape != (len(data), len(shape)) or np.ndim(data) != 1 or batch[0]:
        return None
    taken = np.flatnonzero(((places >= 0) & (places < shape)).all(1))
    places = places[taken]
    if len(np.unique(places, axis=0)) < len(places) or is_complex(data) or is_complex(right):
        return None
    sizes: list[int] = []
    entry = added_label(len(taken), sizes)
    free = [dim for dim in range(np.ndim(right)) if dim not in contract[1]]
    labels = {dim: added_label(np.shape(right)[dim], sizes) for dim in free}
    met = dict(zip(contract[1], contract[0], strict=True))
    out = [
        [digit_table(shape[dim], entry, places[:, dim])]
        for dim in range(len(shape))
        if dim not in contract[0]
    ]
    out += [labels[dim] for dim in free]
    (result,) = call.evaluate()
    if 0 in sizes or 0 in np.shape(right):
        return [result], [[None] * len(call.operands)]
    row: list[Block | None] = [None] * len(call.operands)
    if call.wanted[0]:
        read = jnp.transpose(right, [*contract[1], *free])[tuple(places[:, dim] for dim in contract[0])]
        axes = [*entry, *(label for dim in free for label in labels[dim])]
        row[0] = arranged_block(out, [[digit_table(len(data), entry, taken)]], sizes, read, axes)
    if call.wanted[-1]:
        in_ = [
            [digit_table(np.shape(right)[dim], entry, places[:, met[dim]])] if dim in met else labels[dim]
            for dim in range(np.ndim(right))
        ]
        numbers = call.factor(0)
        numbers = numbers if len(taken) == len(data) else numbers[taken]
        row[-1] = arranged_block(out, in_, sizes, numbers, entry)
    return [result], [row]
