"""Where the Jacobian of a loop's body may have entries, step by step if that goes by the number of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np

from ..._certain_forms import MOVED
from ..._known import KnownValues
from ..._trace import Program, inline
from ...sparse import Block, Places
from .._registry import Blocks
from ._flow import Flow
from ._loop import Loop

#: By results and inputs of the body, None where the one does not depend on the other.
BodyPlaces = list[list[Places | None]]


def goes_by_steps(flow: Flow) -> bool:
    """Whether the body takes or puts entries at places that it does not know of itself."""
    program = inline(flow.body)
    known = KnownValues(program)
    for equation in program.equations:
        moved = MOVED.get(equation.primitive.name)
        if moved is not None and any(
            known(atom) is None for at, atom in enumerate(equation.inputs) if at not in moved
        ):
            return True
    return False


class _Body(NamedTuple):
    """The blocks of a step, and the program of all indices in them."""

    blocks: Blocks
    program: Program
    arrays: list[Any]


def places_of_steps(loop: Loop, by_steps: bool) -> Callable[[dict[int, Any]], BodyPlaces | None]:
    """From what is known of a step's inputs, by their positions, to where the Jacobian may have entries.

    Args:
        loop: the loop.
        by_steps: whether that differs from step to step; then it is None where the step does not tell.
    """
    body = _body(loop, by_steps)
    static = [[block and Places.of(replace(block, placed=())) for block in row] for row in body.blocks]

    def of_step(given: dict[int, Any]) -> BodyPlaces | None:
        if not body.arrays:
            return static
        values = KnownValues(body.program, {body.program.inputs[at]: value for at, value in given.items()})
        known = [values(atom) for atom in body.program.outputs]
        if any(value is None for value in known):
            return None
        at_hand = dict(zip(map(id, body.arrays), known, strict=True))
        return [
            [_joined(block, places, at_hand) for block, places in zip(*rows, strict=True)]
            for rows in zip(body.blocks, static, strict=True)
        ]

    return of_step


def known_of_steps(loop: Loop) -> Iterator[dict[int, Any]]:
    """For every step what is known of the integers that it reads, by their positions in the body."""
    call, flow = loop.call, loop.flow
    found = {at: call.known(at) for at, want in enumerate(call.wanted) if not want}
    known = {at: value for at, value in found.items() if value is not None and value.dtype.kind in "iub"}
    slices = {at: value for at, value in known.items() if at >= flow.first_slice}
    same = {at: value for at, value in known.items() if at < flow.first_slice}
    program = inline(flow.body)
    for step in loop.steps:
        given = same | {at: value[step] for at, value in slices.items()}
        yield given
        values = KnownValues(program, {program.inputs[at]: value for at, value in given.items()})
        consts = {at: value for at, value in same.items() if at < flow.num_consts}
        carried = {at: values(program.outputs[flow.result_of(at)]) for at in same if at not in consts}
        same = consts | {at: value for at, value in carried.items() if value is not None}


def _body(loop: Loop, by_steps: bool) -> _Body:
    flow, found = loop.flow, list[Any]()

    def in_a_step(*inputs: Any) -> list[Any]:
        _, blocks = loop.jacobians_at(inputs, by_steps)
        if by_steps:
            blocks = [[block and block.selected(anyhow=True) for block in row] for row in blocks]
        every = [block for row in blocks for block in row if block is not None]
        arrays = [
            index.array
            for block in every
            for part in block.placed
            for index in part.out + part.in_
            if index is not None
        ]
        found.extend([blocks, arrays])
        return arrays

    types = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in flow.body.in_avals]
    program = inline(jax.make_jaxpr(in_a_step)(*types))
    blocks, arrays = found
    return _Body(blocks, program, arrays)


def _joined(block: Block | None, places: Places | None, at_hand: dict[int, Any]) -> Places | None:
    """The places of a block whose indices are given by their arrays, from those that are known anyway."""
    if block is None or places is None or not block.placed:
        return places
    if places.rows is None or places.columns is None:
        return places
    rows, columns = [places.rows], [places.columns]
    for part in block.placed:
        out, in_ = (
            tuple(index and index._replace(array=at_hand[id(index.array)]) for index in side)
            for side in (part.out, part.in_)
        )
        with jax.ensure_compile_time_eval():
            found = replace(part, out=out, in_=in_).places()
            rows.append(np.asarray(found[0]))
            columns.append(np.asarray(found[1]))
    of_rows, of_columns = np.concatenate(rows), np.concatenate(columns)
    there = np.flatnonzero(of_rows < places.size)
    order = there[np.argsort(of_rows[there], kind="stable")]
    return Places(of_rows[order], of_columns[order], places.size)
