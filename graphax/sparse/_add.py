"""Parallel paths: the sum of two Jacobians between the same pair of arrays."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax import lax

from ._compose import _expand, scaled
from ._draft import Draft, Step, Value, align, match_dtypes, reshape, run_steps
from ._structure import Kind, Labels, Structure, canonical


@dataclass(frozen=True)
class Sum:
    """The sum of two structures: its structure, its price, and how to compute its value.

    Attributes:
        structure: the structure of the sum, the common refinement of both.
        adds: additions executed.
        adds_counted: additions in the convention that holds explicit ones in unit edges.
        left, right: what rewrites the two values for the refined labels, and the labels of their axes then.
        axes: the labels of the sum's axes.
    """

    structure: Structure
    adds: int
    adds_counted: int
    left: tuple[tuple[Step, ...], Labels]
    right: tuple[tuple[Step, ...], Labels]
    axes: Labels

    def run(self, left: Value, left_scale: Any, right: Value, right_scale: Any) -> tuple[Value, Any]:
        """The value and static scale of the sum."""
        x, x_scale = self._prepare(self.left, left, left_scale)
        y, y_scale = self._prepare(self.right, right, right_scale)
        if x is None and y is None:
            return None, x_scale + y_scale
        if x is None:
            x, x_scale, y, y_scale = y, y_scale, x, x_scale
        if y is None:
            # sign * x + constant = sign * (x + sign * constant), as the sign is +1 or -1.
            y, subtract = np.asarray(x_scale * y_scale, x.dtype), False
        else:
            (x, y), subtract = match_dtypes(x, y), x_scale != y_scale
        if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
            total = np.asarray(x - y if subtract else x + y)
        else:
            total = lax.sub(x, y) if subtract else lax.add(x, y)
        return reshape(total, self.structure.value_shape), x_scale

    def _prepare(self, side: tuple[tuple[Step, ...], Labels], value: Value, scale: Any) -> tuple[Value, Any]:
        steps, axes = side
        value, scale = run_steps(steps, value, scale)
        if value is None:
            return value, scale
        if value.dtype == bool:  # a selection becomes numbers
            value = value.astype(np.float64)
        if scale not in (1, -1):
            value, scale = scaled(value, scale), 1
        return _expand(value, axes, self.axes), scale


@functools.lru_cache(maxsize=1 << 17)
def add(left: Structure, right: Structure) -> Sum:
    """The structure and price of the sum of two Jacobians of equal shape.

    Raises:
        ValueError: when the shapes differ.
    """
    if (left.out_shape, left.in_shape) != (right.out_shape, right.in_shape):
        raise ValueError(
            f"cannot add Jacobians of shapes {left.out_shape} <- {left.in_shape} "
            f"and {right.out_shape} <- {right.in_shape}"
        )
    sizes: dict[int, int] = {}
    x, y = Draft(left, sizes), Draft(right, sizes)
    dims = list(zip(x.out + x.in_, y.out + y.in_, strict=True))
    # Splitting a label splits its twin in another dimension too, which may have been aligned before.
    while any(x.shape(x_dim) != y.shape(y_dim) for x_dim, y_dim in dims):
        for x_dim, y_dim in dims:
            align(x, x_dim, y, y_dim)
    _untie_single_deltas(x, y)
    labels = [*y.labels(y.out), *y.labels(y.in_)]
    names = [*x.labels(x.out), *x.labels(x.in_)]
    y.rename(dict(zip(labels, names, strict=True)))

    valued = x.kind >= Kind.SELECTION or y.kind >= Kind.SELECTION
    axes = {*x.axes, *y.axes}
    held = x.held | y.held
    kind = Kind.VALUE if valued else Kind.CONSTANT
    final = canonical(x.out, x.in_, sizes, kind, axes, held)
    return Sum(
        structure=final.structure,
        adds=math.prod(sizes[label] for label in axes) if valued else 0,
        adds_counted=math.prod(sizes[label] for label in held),
        left=(tuple(x.steps), tuple(x.axes)),
        right=(tuple(y.steps), tuple(y.axes)),
        axes=final.axes,
    )


def _untie_single_deltas(x: Draft, y: Draft) -> None:
    """Write out every delta between two places that only one of the drafts ties together."""
    x_out, y_out = x.labels(x.out), y.labels(y.out)
    for x_dim, y_dim in zip(x.in_, y.in_, strict=True):
        for at in range(len(x_dim)):
            x_at = x_out.index(x_dim[at]) if x_dim[at] in x_out else None
            y_at = y_out.index(y_dim[at]) if y_dim[at] in y_out else None
            if x_at == y_at:
                continue
            for draft, dim, tied in ((x, x_dim, x_at), (y, y_dim, y_at)):
                if tied is not None:
                    draft.untie(dim, dim[at])
