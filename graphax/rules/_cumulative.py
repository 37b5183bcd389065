"""Cumulative reductions: dense along their axis, slices apart along all others."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from .._trace import is_complex
from ..sparse import added_label, arranged_block, label_dims
from ._batched import STATIC_LIMIT, batched_rule, register_batched, ties_of_dims
from ._dense import view_shape
from ._registry import Blocks, Call, far_fewer, register_pulling, register_pushing
from ._supported import within


@register_batched("cumprod", "cummax", "cummin", "cumlogsumexp")
def _cumulative(call: Call) -> tuple[list[Any], Blocks]:
    rank, axis = np.ndim(call.operands[0]), call.params["axis"]
    results, rows = batched_rule(call, lambda at: ties_of_dims([dim for dim in range(rank) if dim != axis]))
    if call.sparse and not is_complex(call.operands[0]):
        triangle = _triangle(call, np.shape(results[0])[axis])
        rows = [[within(block, [axis], [axis], triangle) for block in row] for row in rows]
    return results, rows


@register_pulling("cumprod", "cummax", "cummin", "cumlogsumexp")
@register_pushing("cumprod", "cummax", "cummin", "cumlogsumexp")
def _moving_through(call: Call, moved: int) -> bool:
    """The Jacobian takes a derivative for every place along the axis."""
    return far_fewer(moved, np.shape(call.operands[0])[call.params["axis"]])


@register_batched("cumsum")
def _cumsum(call: Call) -> tuple[list[Any], Blocks]:
    """A triangle of ones."""
    (result,) = call.evaluate()
    if not result.size:
        return [result], [[None]]
    axis = call.params["axis"]
    size = result.shape[axis]
    library = np if size**2 <= STATIC_LIMIT else jnp
    triangle = library.tri(size, dtype=bool)
    triangle = triangle.T if call.params["reverse"] else triangle
    out, sizes = label_dims(view_shape(result))
    in_ = [*out[:axis], added_label(size, sizes), *out[axis + 1 :]]
    if call.sparse and library is jnp and not is_complex(result):
        block = arranged_block(out, in_, sizes, triangle.astype(result.dtype), out[axis] + in_[axis])
        return [result], [[within(block, [axis], [axis], _triangle(call, size))]]
    return [result], [[arranged_block(out, in_, sizes, triangle, out[axis] + in_[axis])]]


def _triangle(call: Call, size: int) -> np.ndarray:
    """Which entries along the axis a result is of."""
    triangle = np.tri(size, dtype=bool)
    return triangle.T if call.params["reverse"] else triangle
