"""Scans that mix what they carry, in sparse Jacobians: patterns by sets, and entries by sums of columns.

Where an entry is known to be zero is followed through all steps. Columns that meet in no row of the loop's
results share a colour, and the sum of those of a colour is carried through the loop as one column: there are
as many of them as the busiest row has entries, and not as many as arguments.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ..._trace import is_complex, is_split
from ...sparse import (
    Block,
    Pattern,
    Support,
    are_in,
    coloured,
    dense,
    dense_block,
    empty_sets,
    singletons,
    take,
    with_holes,
    words,
)
from .._common_structure import array_of
from .._registry import Blocks
from ._loop import Loop
from ._places import BodyPlaces, goes_by_steps, known_of_steps, places_of_steps
from ._unrolled import is_short

# Sets take no more memory than so many bytes, and following them looks at no more.
_LARGEST, _LONGEST = 1 << 27, 1 << 31
# So few steps are written out.
_FEW = 2
# A Jacobian in which one entry in so many may be none is an array: lists of that many take long to multiply.
_DENSE = 4


class Compression(NamedTuple):
    """What is known of a loop before any number is.

    Attributes:
        patterns: of the result and the input of the loop, by their positions.
        colours: for every wanted input a colour for each of its entries, in its shape.
        count: how many colours there are.
        by_steps: whether the body takes or puts entries at places that change from step to step.
    """

    patterns: dict[tuple[int, int], Pattern]
    colours: dict[int, np.ndarray]
    count: int
    by_steps: bool

    @property
    def saves(self) -> bool:
        """Whether fewer columns are carried than there are, by far."""
        return 2 * self.count <= sum(colours.size for colours in self.colours.values())


def compression(loop: Loop) -> Compression | None:
    """How the columns of a loop are carried together; None where that is of no use, or not known."""
    flow = loop.flow
    mixed = any(is_complex(x) or is_split(x) for x in (*flow.body.in_avals, *flow.body.out_avals))
    if mixed or flow.body.effects or flow.length <= _FEW:
        return None
    by_steps = goes_by_steps(flow)
    if by_steps and is_short(loop):
        return None
    columns = (*flow.columns, *flow.slices)
    sizes = {at: math.prod(flow.column_shape(at)) for at in columns}
    rows = [*(flow.result_of(at) for at in loop.finals()), *flow.results]
    total = sum(sizes.values())
    stored = sum(math.prod(flow.row_shape(row)) for row in rows)
    if 8 * words(total) * (stored + total) > _LARGEST:
        return None
    sets = _sets_of_results(loop, columns, sizes, by_steps)
    if sets is None:
        return None
    patterns, entries = {}, []
    ends = np.cumsum([0, *sizes.values()])
    tops = np.cumsum([0, *(math.prod(flow.row_shape(row)) for row in rows)])
    for top, row in zip(tops, rows, strict=False):
        places = are_in(sets[row], total)
        met, moved = np.nonzero(places)
        entries.append((met + top, moved))
        for at, first, last in zip(columns, ends, ends[1:], strict=False):
            if flow.touches(row, at):
                found = np.nonzero(places[:, first:last])
                patterns[row, at] = Pattern(flow.row_shape(row), flow.column_shape(at), *found)
    met, moved = (np.concatenate(side) for side in zip(*entries, strict=True))
    colours = coloured(moved, met, (total, int(tops[-1])))
    by_column = {
        at: colours[first:last].reshape(flow.column_shape(at))
        for at, first, last in zip(columns, ends, ends[1:], strict=False)
    }
    return Compression(patterns, by_column, int(colours.max(initial=-1)) + 1, by_steps)


def _sets_of_results(
    loop: Loop, columns: Sequence[int], sizes: dict[int, int], by_steps: bool
) -> dict[int, np.ndarray] | None:
    """For every result of the loop that is needed the entries of all columns that each of its rows has."""
    flow, total = loop.flow, sum(sizes.values())
    places_of, needed, work = places_of_steps(loop, by_steps), (*flow.next_carries, *flow.results), 0
    starts = dict(zip(columns, np.cumsum([0, *sizes.values()]).tolist(), strict=False))

    def step_of(at: int, step: int) -> np.ndarray:
        size = math.prod(flow.shape(at))
        return singletons(size, total, starts[at] + (step * size if at in flow.slices else 0))

    fixed = {at: step_of(at, 0) for at in flow.fixed}
    carried = {
        at: step_of(at, 0) if at in flow.inits else empty_sets(math.prod(flow.shape(at)), total)
        for at in flow.carries
    }
    stacked: dict[int, list[np.ndarray]] = {row: [] for row in flow.results}
    known = known_of_steps(loop) if by_steps else itertools.repeat({})
    for step, given in zip(loop.steps, known, strict=False):
        inputs = fixed | carried | {at: step_of(at, step) for at in flow.slices}
        places = places_of(given)
        if places is None:
            return None
        work += sum(one.work for row in needed for one in places[row] if one is not None)
        if 8 * words(total) * work > _LONGEST:
            return None

        def reached(
            row: int, inputs: dict[int, np.ndarray] = inputs, places: BodyPlaces = places
        ) -> np.ndarray:
            found = empty_sets(math.prod(flow.out_shape(row)), total)
            for at, sets in inputs.items():
                if (one := places[row][at]) is not None:
                    found |= one.reached(sets)
            return found

        for row in flow.results:
            stacked[row].append(reached(row))
        after = {at: reached(flow.result_of(at)) for at in flow.carries}
        settled = not flow.slices and not flow.results and not by_steps
        if settled and all(np.array_equal(carried[at], after[at]) for at in after):
            break
        carried = after
    order = np.argsort(loop.steps)
    return {flow.result_of(at): sets for at, sets in carried.items()} | {
        row: np.concatenate([steps[at] for at in order]) for row, steps in stacked.items()
    }


def bounded(loop: Loop, way: Callable[[Loop], tuple[list[Any], Blocks]], by: Compression) -> Any:
    """What another way gives, whose arrays have zeros where patterns have."""
    results, blocks = way(loop)
    for (row, at), pattern in by.patterns.items():
        block = blocks[row][at]
        if block is not None and block.structure == dense(pattern.out_shape, pattern.in_shape):
            shape = block.structure.terms[0].value_shape
            places = Support(lambda pattern=pattern, shape=shape: pattern.todense().reshape(shape))
            blocks[row][at] = block.within([[places]])
    return results, blocks


def compressed(loop: Loop, by: Compression) -> tuple[list[Any], Blocks]:
    """One loop computes the results and carries sums of columns; the entries are taken from these."""
    flow = loop.flow

    def seeds(at: int) -> Any:
        return (jnp.asarray(by.colours[at])[..., None] == jnp.arange(by.count)).astype(flow.dtype)

    given = {at: seeds(at) for at in (*flow.columns, *flow.slices)}
    start = {
        at: given[at] if at in flow.inits else jnp.zeros((*flow.shape(at), by.count), flow.dtype)
        for at in flow.carries
    }

    def step(state: Any, values: Any) -> Any:
        carried, sums = state
        slices, own = values
        results, blocks = loop.jacobians(carried, slices, placed=by.by_steps)
        moving = {at: given[at] for at in flow.fixed} | sums | own

        def moved(row: int) -> Any:
            total: Block | None = None
            for at, columns in moving.items():
                outer = blocks[row][at]
                if outer is not None:
                    # Zeros among them are of structure: no entry has been there yet.
                    product = outer @ dense_block(with_holes(columns), flow.shape(at), (by.count,))
                    total = product if total is None else total + product
            return array_of(total, flow.out_shape(row), (by.count,), flow.dtype)

        after = loop.varying({at: moved(flow.result_of(at)) for at in flow.carries})
        rows = {row: moved(row) for row in flow.results}
        return (results[: flow.num_carry], after), (results[flow.num_carry :], rows)

    own = {at: given[at] for at in flow.slices}
    begin = loop.start, loop.varying(start)
    (final, sums), (stacked, rows) = loop.scan(step, begin, (loop.slices, own))
    found = {flow.result_of(at): sums[at] for at in loop.finals()} | rows
    blocks = loop.blocks()
    for (row, at), pattern in by.patterns.items():
        if pattern.nnz:
            blocks[row][at] = _entries(found[row], by.colours[at].reshape(-1), pattern)
    return [*final, *stacked], blocks


def _entries(sums: Any, colours: np.ndarray, pattern: Pattern) -> Block:
    """The block with this pattern, from the sums of columns of a colour: a list, or an array with zeros."""
    count = sums.shape[-1]
    if _DENSE * pattern.nnz < math.prod(pattern.shape):
        places = (pattern.rows * count + colours[pattern.columns]).astype(np.int32)
        return pattern.filled(take(jnp.reshape(sums, (-1,)), places))
    array = jnp.reshape(jnp.take(sums, colours, axis=-1), pattern.shape)
    return dense_block(with_holes(array, pattern.todense(), True), pattern.out_shape, pattern.in_shape)
