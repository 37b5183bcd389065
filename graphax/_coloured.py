"""Sparse Jacobians by JAX's modes, which move sums of columns that meet in no row, or of such rows.

The pattern is the one that elimination finds.

A. R. Curtis, M. J. D. Powell and J. K. Reid, *On the estimation of sparse Jacobian matrices*, J. Inst. Math.
Appl. 13, 1974.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jax import lax

from ._numbering import Numbering
from ._trace import with_moving
from .rules import Blocks
from .sparse import Pattern, coloured, take


@dataclass(frozen=True)
class Sides:
    """Blocks as one matrix.

    Attributes:
        blocks: for every output a row with a block for every input; None where that is zero.
        outputs, inputs: how many entries each of them has.
    """

    blocks: Blocks
    outputs: Sequence[int]
    inputs: Sequence[int]

    @cached_property
    def count(self) -> int:
        """How many entries all terms have; no array of them is made."""
        terms = [term for row in self.blocks for block in row if block for term in block.structure.terms]
        return sum(math.prod(term.sizes) for term in terms)

    def least_moved(self, mode: str) -> int:
        """No fewer sums than entries of a row on the average, or of a column, taken once for every term."""
        return math.ceil(self.count / max(1, sum(self.outputs if mode == "jacfwd" else self.inputs)))

    @cached_property
    def patterns(self) -> list[list[Pattern | None]]:
        """Those of the blocks."""
        return [[block and Pattern.of(block) for block in row] for row in self.blocks]

    def entries(self) -> tuple[np.ndarray, np.ndarray]:
        """The row and the column of every entry."""
        tops, lefts = (np.cumsum([0, *side[:-1]]) for side in (self.outputs, self.inputs))
        rows, columns = [np.zeros(0, int)], [np.zeros(0, int)]
        for top, row in zip(tops, self.patterns, strict=True):
            for left, pattern in zip(lefts, row, strict=True):
                if pattern is not None:
                    rows.append(pattern.rows + top)
                    columns.append(pattern.columns + left)
        return np.concatenate(rows), np.concatenate(columns)


@dataclass(frozen=True)
class Colouring:
    """Columns, or rows, in groups of those that do not meet.

    Attributes:
        mode: ``"jacfwd"`` for groups of columns, ``"jacrev"`` for groups of rows.
        of: the blocks.
        groups: for every input, or output, an array with the group of each of its entries.
        count: how many groups there are.
    """

    mode: str
    of: Sides
    groups: list[np.ndarray]
    count: int


def colouring(mode: str, of: Sides) -> Colouring:
    """Columns, or rows, one after another in the first group that meets none of them."""
    rows, columns = of.entries()
    grouped, met, sizes, others = columns, rows, of.inputs, of.outputs
    if mode == "jacrev":
        grouped, met, sizes, others = rows, columns, of.outputs, of.inputs
    found = coloured(grouped, met, (sum(sizes), sum(others)))
    groups = np.split(found, np.cumsum(sizes)[:-1])
    return Colouring(mode, of, groups, int(found.max(initial=-1)) + 1)


def jacobians_by_colours(
    numbering: Numbering, num_outputs: int, colouring: Colouring, *values: Any
) -> tuple[list[Any], Blocks]:
    """Evaluate a program, and its Jacobians by a mode on sums of columns, or of rows.

    Returns:
        as :func:`graphax._accumulate.jacobians_of`.
    """

    def of_moving(*moving: Any) -> Any:
        wanted = [place in numbering.wrt for place in range(len(values))]
        by_place = dict(zip(numbering.wrt, moving, strict=True))
        results = numbering.program(*with_moving(values, wanted, [by_place[at] for at in sorted(by_place)]))
        return results[:num_outputs], results

    moving = tuple(values[place] for place in numbering.wrt)
    forward = colouring.mode == "jacfwd"
    if forward:
        _, push, results = jax.linearize(of_moving, *moving, has_aux=True)
        sums = jax.vmap(push)(*_seeds(colouring, moving))
    else:
        outputs, pull, results = jax.vjp(of_moving, *moving, has_aux=True)
        sums = jax.vmap(pull)(list(_seeds(colouring, outputs)))
    flat = [lax.reshape(array, (array.size,)) for array in sums]

    def block(row: int, column: int) -> Any:
        pattern = colouring.of.patterns[row][column]
        if pattern is None:
            return None
        grouped, met = (pattern.columns, pattern.rows) if forward else (pattern.rows, pattern.columns)
        here, there = (column, row) if forward else (row, column)
        width = len(flat[there]) // colouring.count
        places = colouring.groups[here][grouped] * width + met
        return pattern.filled(take(flat[there], places.astype(np.int32)))

    rows = range(num_outputs)
    return results, [[block(row, column) for column in range(len(moving))] for row in rows]


def _seeds(colouring: Colouring, arrays: Sequence[Any]) -> tuple[Any, ...]:
    """For every array the sums of unit vectors that are moved, ``[groups, *shape]``."""
    number = lax.iota(np.int32, colouring.count)

    def seed(groups: np.ndarray, array: Any) -> Any:
        shape = (colouring.count, *array.shape)
        hit = lax.eq(
            lax.broadcast_in_dim(number, shape, (0,)),
            lax.broadcast_in_dim(groups.reshape(array.shape), shape, range(1, len(shape))),
        )
        return lax.convert_element_type(hit, array.dtype)

    return tuple(itertools.starmap(seed, zip(colouring.groups, arrays, strict=True)))
