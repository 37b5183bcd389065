"""Scans of large bodies and few results: ``R c'`` is differentiated instead of ``c'``, from the last step.

``R c'`` has as many rows as the results, however much is carried; it is what is eliminated. The rows are
those of the final values, then those of every returned slice, step by step. A slice that a step returns
depends on no later step, so its rows are empty until that step is met.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

from .._common_structure import array_of
from .._elementwise import array_type
from .._registry import Blocks
from ._flow import Flow
from ._loop import Loop
from ._packing import Packing


def pulled(loop: Loop) -> tuple[list[Any], Blocks]:
    """The rows go backwards through the steps."""
    flow, blocks = loop.flow, loop.blocks()
    results, kept = loop.evaluate()
    finals = map(flow.result_of, loop.finals())
    rows = Packing({result: flow.row_shape(result) for result in (*finals, *flow.results)})
    moving = (*flow.carries, *flow.fixed, *flow.slices)
    tied = [
        (result, column) for result in flow.results for column in flow.slices if flow.tied(result, column)
    ]
    start = loop.varying([_own_rows(flow, rows, at) for at in flow.carries])
    program = _combined(flow, start)
    wanted = [False] * len(start) + flow.wanted
    finite = loop.finite and [all(loop.finite)] * len(start) + list(loop.finite)

    def step(state: Any, values: Any) -> Any:
        before, totals = state
        carried, slices, step_at = values
        operands = [*before, *loop.inputs(loop.carried(carried), slices)]
        _, found = loop.call.jacobians.static()(program, operands, wanted, finite=finite)
        through, *returned = [row[len(start) :] for row in found]
        arrays = {at: array_of(through[at], (rows.size,), flow.shape(at), flow.dtype) for at in moving}
        direct = dict(zip(flow.results, returned, strict=True))
        for result, row in direct.items():
            size = flow.out_packing([result]).size
            for at, block in enumerate(row):
                if at in arrays and block is not None:
                    piece = block.todense(flow.dtype).reshape(size, *flow.shape(at))
                    place = rows.spans[result].start + step_at * size
                    arrays[at] = lax.dynamic_update_slice_in_dim(arrays[at], piece, place, 0)
        totals = [total + arrays[at] for total, at in zip(totals, flow.fixed, strict=True)]
        bypassing = [
            array_of(direct[result][column], flow.out_shape(result), flow.shape(column), flow.dtype)
            for result, column in tied
        ]
        after = [arrays[at] for at in flow.carries], totals
        return loop.varying(after), ([arrays[at] for at in flow.through], bypassing)

    totals = loop.varying([jnp.zeros((rows.size, *flow.shape(at)), flow.dtype) for at in flow.fixed])
    (moved, totals), (by_slice, bypassing) = loop.scan(
        step, (start, totals), (kept, loop.slices, jnp.arange(flow.length)), backward=True
    )
    arrays = {at: array for at, array in zip(flow.carries, moved, strict=True) if at in flow.inits}
    arrays.update(zip(flow.fixed, totals, strict=True))
    arrays.update((at, jnp.moveaxis(x, 0, 1)) for at, x in zip(flow.through, by_slice, strict=True))
    for column, array in arrays.items():
        for result, span in rows.spans.items():
            if flow.touches(result, column) and not flow.tied(result, column):
                loop.put(blocks, result, column, array[span])
    for (result, column), array in zip(tied, bypassing, strict=True):
        loop.put(blocks, result, column, array)
    return results, blocks


def _own_rows(flow: Flow, rows: Packing, carry: int) -> Any:
    """The rows of a carried value after the last step: its own are the identity."""
    result = flow.result_of(carry)
    found = np.zeros((rows.size, flow.packing([carry]).size), flow.dtype)
    if result in rows.spans:
        found[rows.spans[result]] = np.eye(found.shape[1])
    return jnp.asarray(found.reshape(rows.size, *flow.shape(carry)))


def _combined(flow: Flow, rows: list[Any]) -> core.ClosedJaxpr:
    """The program of ``R c'`` and of the returned slices, which takes ``R`` and the inputs of the body."""
    body = core.jaxpr_as_fun(flow.body)

    def combined(rows: Any, *values: Any) -> list[Any]:
        found = body(*values)
        after = [(row, found[at]) for row, at in zip(rows, flow.next_carries, strict=True)]
        total = sum(jnp.tensordot(row, value.astype(flow.dtype), value.ndim) for row, value in after)
        return [total, *(found[at] for at in flow.results)]

    return jax.make_jaxpr(combined)(rows, *(array_type(aval) for aval in flow.body.in_avals))
