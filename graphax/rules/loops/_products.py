"""Scans that carry few numbers: local Jacobians of several steps at a time, then their products in a loop.

Every operation of the elimination then works on longer arrays, and the loop of the products holds nothing
else. Of no more steps Jacobians are held than are good to work on at a time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ...sparse import spared, with_holes
from ...timing import constants_for
from .._registry import Blocks
from ._flow import Flow
from ._loop import Loop

#: So many numbers at most are worked on at a time, and so many steps that what an operation does for all of
#: them takes this part of what it takes to start.
_BATCH, _OF_A_START = 2**18, 0.25
#: Products of more multiplications than this are worth a call of the matrix multiplication.
_SMALL_PRODUCT = 4096


def forward_products(loop: Loop) -> tuple[list[Any], Blocks]:
    """``S' = A S + B``; a returned slice that is a carried value has its derivative in ``S`` already."""
    flow = loop.flow
    results, kept = loop.evaluate()
    places = _carried_results(flow)
    rows = tuple(at for at in flow.results if at not in places)
    row_spans, slices = flow.out_packing(rows).spans, flow.packing(flow.slices)
    places.update((at, ("returned", span)) for at, span in row_spans.items())
    ordered = [places[at] for at in flow.results]
    groups = (flow.carries, flow.fixed, flow.slices)
    through = slices.places(flow.through)
    tied = [(at, column) for at in flow.results for column in flow.slices if flow.tied(at, column)]

    def chained(outer: Any, state: Any, direct: Any, own: Any, at: Any, spares: bool) -> list[Any]:
        """A row of derivatives after the step: those through the state before it, and those of its own."""
        flat = [part.reshape(len(part), math.prod(part.shape[1:])) for part in state]
        products = [_product(outer, part, spares) for part in flat]
        by_slice = products[2].reshape(len(outer), *state[2].shape[1:])
        if by_slice.size:
            by_slice = lax.dynamic_update_index_in_dim(by_slice, own, at, 1)
        return [products[0], products[1] + direct, by_slice]

    def step(state: Any, matrices: Any, at: Any, spares: bool) -> tuple[Any, Any]:
        (a, b, x), (c, e, d) = matrices
        x, d_through = (part[:, through] if len(through) < slices.size else part for part in (x, d))
        after = chained(a, state, b, x, at, spares)
        returned = chained(c, state, e, d_through, at, spares)
        seen = {"before": state, "after": after, "returned": returned}
        found = [[part[span] for part in seen[when]] for when, span in ordered]
        return loop.varying(after), (found, [d[row_spans[at], slices.spans[column]] for at, column in tied])

    carries = flow.packing(flow.carries)
    own = np.eye(carries.size, dtype=flow.dtype)
    start = loop.varying(
        [
            jnp.asarray(own[:, carries.places(flow.inits)]),
            jnp.zeros((len(own), flow.packing(flow.fixed).size), flow.dtype),
            jnp.zeros((len(own), flow.length, len(through)), flow.dtype),
        ]
    )
    final, (stacked, by_own) = _in_batches(loop, kept, ((flow.next_carries, rows), groups), step, start)
    blocks = loop.blocks()
    parts = [flow.packing(group).spans for group in (flow.inits, flow.fixed, flow.through)]
    for spans, part in zip(parts, final, strict=True):
        for column, span in spans.items():
            for carry in loop.finals():
                if carry in flow.reach[column]:
                    loop.put(blocks, flow.result_of(carry), column, part[carries.spans[carry]][..., span])
    for result, strips in zip(flow.results, stacked, strict=True):
        for spans, strip in zip(parts, strips, strict=True):
            _put_strip(loop, blocks, result, strip, spans)
    for (result, column), strip in zip(tied, by_own, strict=True):
        loop.put(blocks, result, column, strip)
    return results, blocks


def backward_products(loop: Loop) -> tuple[list[Any], Blocks]:
    """``R <- R A``, from the last step to the first."""
    flow, blocks = loop.flow, loop.blocks()
    results, kept = loop.evaluate()
    groups = (flow.carries, flow.fixed, flow.through)
    finals, carries = flow.packing(loop.finals()), flow.packing(flow.carries)
    own = np.eye(carries.size, dtype=flow.dtype)[carries.places(loop.finals())]

    def step(state: Any, matrices: Any, at: Any, spares: bool) -> tuple[Any, Any]:
        rows, total = state
        moved, own, by_slice = (_product(rows, part, spares) for part in matrices[0])
        return loop.varying((moved, total + own)), by_slice

    start = jnp.asarray(own), jnp.zeros((len(own), flow.packing(flow.fixed).size), flow.dtype)
    (rows, total), by_slice = _in_batches(
        loop, kept, ((flow.next_carries,), groups), step, loop.varying(start), backward=True
    )
    by_slice = jnp.moveaxis(by_slice, 0, 1)
    inits = {at: carries.spans[at] for at in flow.inits}
    fixed, through = flow.packing(flow.fixed).spans, flow.packing(flow.through).spans
    for spans, part in ((inits, rows), (fixed, total), (through, by_slice)):
        for carry, span in finals.spans.items():
            _put_strip(loop, blocks, flow.result_of(carry), part[span], spans)
    return results, blocks


def _put_strip(loop: Loop, blocks: Blocks, result: int, strip: Any, spans: dict[int, slice]) -> None:
    """Store the Jacobians of a result with respect to some inputs, which lie side by side."""
    for column, span in spans.items():
        if loop.flow.touches(result, column) and not loop.flow.tied(result, column):
            loop.put(blocks, result, column, strip[..., span])


def _carried_results(flow: Flow) -> dict[int, tuple[str, slice]]:
    """The returned slices that are carried values, before or after the step, and where these lie in ``S``."""
    outvars, invars = flow.body.jaxpr.outvars, flow.body.jaxpr.invars
    spans = flow.packing(flow.carries).spans
    found: dict[int, tuple[str, slice]] = {}
    for result in flow.results:
        if any(flow.tied(result, column) for column in flow.slices):
            continue  # these are taken from the step itself, not from ``S``, which mixes all steps
        for carry, span in spans.items():
            if outvars[result] is invars[carry]:
                found[result] = "before", span
            elif outvars[result] is outvars[flow.result_of(carry)]:
                found[result] = "after", span
    return found


def _in_batches(
    loop: Loop,
    kept: Any,
    groups: tuple[Sequence[Sequence[int]], Sequence[Sequence[int]]],
    step: Callable[..., tuple[Any, Any]],
    start: Any,
    *,
    backward: bool = False,
) -> tuple[Any, Any]:
    """A loop over local Jacobians of all steps, which are computed for as many steps at a time as is good.

    Args:
        loop: the loop.
        kept: what every step finds carried.
        groups: groups of results of the body, and of its inputs.
        step: from the state, for every group of results a matrix for every group of inputs, the number of the
            step and whether products spare zeros (see :func:`_product`), to the next state and what is
            stacked.
        start: the first state.
        backward: whether the last step is the first.

    Returns:
        the last state, and what has been stacked.
    """
    flow, (rows, columns) = loop.flow, groups
    size = _at_a_time(loop, rows, columns)
    batches = -(-flow.length // size)
    padding = batches * size - flow.length
    pairs = [*itertools.product(itertools.chain(*rows), itertools.chain(*columns))]

    def local(values: Any) -> _Pieces:
        _, found = loop.jacobians(loop.carried(values[0]), values[1])
        given = {pair: block for pair in pairs if (block := found[pair[0]][pair[1]]) is not None}
        sizes = {(row, at): (flow.out_packing([row]).size, flow.packing([at]).size) for row, at in given}
        arrays = {pair: block.todense(flow.dtype).reshape(sizes[pair]) for pair, block in given.items()}
        finite = all(block.finite for block in given.values())
        return _Pieces(arrays, not finite and any(block.selects for block in given.values()))

    def one(state: Any, values: tuple[_Pieces, Any]) -> tuple[Any, Any]:
        pieces, at = values
        matrices = [[_matrix(flow, pieces.arrays, some, group) for group in columns] for some in rows]
        after, stacked = step(state, matrices, at, pieces.spares)
        if padding:
            after = jax.tree.map(lambda new, old: jnp.where(at < flow.length, new, old), after, state)
        return after, stacked

    def split(value: Any) -> Any:
        last = jnp.broadcast_to(value[-1:], (padding, *value.shape[1:]))
        whole = jnp.concatenate([value, last]) if padding else value
        return whole.reshape(batches, size, *value.shape[1:])

    def batch(state: Any, values: Any) -> tuple[Any, Any]:
        *found, steps = values
        pieces = jax.vmap(local, axis_size=size)(found)
        unroll = loop.call.params.get("unroll", 1)
        return loop.of_steps(size, one, state, (pieces, steps), backward=backward, unroll=unroll)

    steps = jnp.arange(batches * size).reshape(batches, size)
    values = (*jax.tree.map(split, (kept, loop.slices)), steps)
    final, stacked = loop.of_steps(batches, batch, start, values, backward=backward)
    return final, jax.tree.map(lambda v: v.reshape(batches * size, *v.shape[2:])[: flow.length], stacked)


def _at_a_time(loop: Loop, rows: Sequence[Sequence[int]], columns: Sequence[Sequence[int]]) -> int:
    """For how many steps local Jacobians are computed together, if possible none of them in vain."""
    flow, length, constants = loop.flow, loop.flow.length, constants_for()
    numbers = (
        flow.out_packing([*itertools.chain(*rows)]).size * flow.packing([*itertools.chain(*columns)]).size
    )
    numbers = max(1, numbers + loop.computed)
    worth = _OF_A_START * constants.kernel / constants.entry * len(flow.body.jaxpr.eqns)
    # At least two batches: what is computed in a loop is not computed again by those who read it.
    most = max(2, min(-(-length // 2), int(min(_BATCH, worth) / numbers)))
    even = next((size for size in range(most, most // 2, -1) if length % size == 0), None)
    return min(length, even or -(-length // -(-length // most)))


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class _Pieces:
    """Local Jacobians as matrices.

    Attributes:
        arrays: by result and input, where there is one.
        spares: whether what selections leave out of them may meet what is not finite.
    """

    arrays: dict[tuple[int, int], Any]
    spares: bool = field(metadata={"static": True})


def _matrix(
    flow: Flow, pieces: dict[tuple[int, int], Any], rows: Sequence[int], columns: Sequence[int]
) -> Any:
    """The pieces of a step as one matrix."""
    strips = []
    for row in rows:
        height = flow.out_packing([row]).size
        noughts = [np.zeros((height, flow.packing([at]).size), flow.dtype) for at in columns]
        strip = [pieces.get((row, at), nought) for at, nought in zip(columns, noughts, strict=True)]
        strips.append(jnp.concatenate(strip, 1) if strip else jnp.zeros((height, 0), flow.dtype))
    none = 0, flow.packing(columns).size
    return jnp.concatenate(strips) if strips else jnp.zeros(none, flow.dtype)


def _product(left: Any, right: Any, spares: bool) -> Any:
    """A matrix product; calling a library for a few numbers takes longer than the numbers do.

    Args:
        left, right: the matrices.
        spares: whether zeros of small ones are holes, that stay zero whatever they meet.
    """
    if left.size * right.shape[1] <= _SMALL_PRODUCT:
        left, right = left[:, :, None], right[None]
        if spares:
            left, right = spared(left, with_holes(right)), spared(right, with_holes(left))
        return jnp.sum(left * right, 1)
    return left @ right
