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
    operation: Callable[[Any, Any], Any],
    left: Any,
    right: Any,
    batches: Callable[[Any], tuple[int, ...]] = lambda block: block.batch_shape,
) -> Any:
    """An operation on two operands for each pair of them.

    Batch dimensions are matched from the last, as those of arrays are; what has fewer is the same in all.

    Args:
        operation: on two operands without batch dimensions.
        left, right: the operands.
        batches: the batch dimensions of an operand.

    Raises:
        ValueError: when batch dimensions have different sizes.
    """
    many = batches(left), batches(right)
    if not any(many):
        return operation(left, right)
    most = max(map(len, many))
    axes = tuple(0 if len(one) == most else None for one in many)
    if None not in axes and many[0][0] != many[1][0]:
        raise ValueError(f"batch dimensions {many[0]} and {many[1]} do not match")
    return jax.vmap(lambda one, other: pairwise(operation, one, other, batches), axes)(left, right)
