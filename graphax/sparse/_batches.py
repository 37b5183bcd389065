"""Blocks that `vmap` has made many of: what is done to one is done to each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax

from ._sum_of_terms import SumOfTerms

F = TypeVar("F", bound=Callable[..., Any])


def over_batches(method: F) -> F:
    """A method of one block as one of a block with batch dimensions, which lead in what it returns too."""

    @functools.wraps(method)
    def of_each(self: SumOfTerms, *args: Any, **kwargs: Any) -> Any:
        if not self.batch_shape:
            return method(self, *args, **kwargs)
        return jax.vmap(lambda one: of_each(one, *args, **kwargs))(self)

    return of_each  # type: ignore[return-value]


def pairwise(
    operation: Callable[[Any, Any], Any], left: SumOfTerms, right: Any, dims: int | None = None
) -> Any:
    """An operation on two operands for each pair of them, whose batch dimensions are broadcast.

    Args:
        operation: on two operands without batch dimensions.
        left: a block.
        right: another one, or an array.
        dims: how many dimensions of the array are no batch dimensions.

    Raises:
        ValueError: when batch dimensions have different sizes.
    """
    batches = (
        left.batch_shape,
        right.shape[: max(right.ndim - dims, 0)] if dims is not None else right.batch_shape,
    )
    most = max(map(len, batches))
    if not most:
        return operation(left, right)
    sizes = {batch[0] for batch in batches if len(batch) == most and batch[0] != 1}
    if len(sizes) > 1:
        raise ValueError(f"batch dimensions {batches[0]} and {batches[1]} do not match")
    axes: list[int | None] = []
    operands: list[Any] = []
    for one, batch in zip((left, right), batches, strict=True):
        repeated = len(batch) == most and batch[0] == 1 and bool(sizes)
        operands.append(jax.tree.map(lambda array: array[0], one) if repeated else one)
        axes.append(0 if len(batch) == most and not repeated else None)
    return jax.vmap(lambda one, other: pairwise(operation, one, other, dims), tuple(axes))(*operands)
