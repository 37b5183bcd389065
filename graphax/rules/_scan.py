"""`scan`, and with it `fori_loop` and `lax.map`: the body is eliminated once, its Jacobian carried through.

Let ``c' , y = body(theta, c, x)``, with ``theta`` the constants, ``c`` what is carried and ``x`` the slices
of a step. With ``A, B, X`` the Jacobians of ``c'`` with respect to ``c``, ``theta`` and ``x`` there are these
ways, of which the cheapest is taken:

- *map*: no derivative is carried. The steps are independent, and the body is eliminated for all at once;
- *batched*, for few carried numbers: the steps are evaluated one after another, the body is eliminated for
  many of them at a time (every operation of the elimination then works on long arrays), and the products
  follow in a loop of their own: ``S' = A S + B`` forward, or ``R <- R A`` backward;
- *stepwise*: for large bodies ``S`` is carried along, by blocks, as ``while_loop`` does;
- *pulled*: for large bodies and few results ``R c'`` is differentiated instead of ``c'``.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

from .._trace import Equation, varying_as, varying_axes
from ..sparse import arranged_block, identity_block, label_dims, spared, with_holes
from ._control import advance, as_block, dense, initial, moved
from ._custom import as_differentiated
from ._elementwise import array_type
from ._finite import finite_in_every_step
from ._flow import Flow, find_flow, holds, scan_counts, through_loop
from ._registry import Blocks, Call, Inputs, register_dependence, register_rule

#: How many numbers the Jacobians of all steps may hold together for them to be computed before the products.
_STORED = 2**24
#: Of more carried numbers the Jacobian may be sparse, and blocks know.
_FEW = 64
#: How many numbers are good to work on at a time.
_BATCH = 2**18
#: How many times faster a number goes through a product of large matrices than through a sum.
_FASTER = 16
#: Products of more multiplications than this are worth a call of the matrix multiplication.
_SMALL_PRODUCT = 4096
#: Arrays of at most so many numbers are stored together.
_SMALL = 64
#: Under `vmap` both branches are run, loops run as long as the longest, and random bits may differ.
_STEP_BY_STEP = ("cond", "while", "rng_bit_generator", "rng_uniform", "random_bits")


@register_rule("scan")
def _scan(call: Call) -> tuple[list[Any], Blocks]:
    loop = _Loop(
        call,
        find_flow(
            call.params["jaxpr"],
            *scan_counts(call.params),
            call.wanted,
            call.needed,
        ),
    )
    try:
        found = _choose(loop)(loop)
    except NotImplementedError:  # some primitives cannot be batched
        found = _stepwise(loop)
    return loop.with_unchanged(found)


@dataclass(frozen=True)
class _Loop:
    """A scan and where derivatives flow in it."""

    call: Call
    flow: Flow

    @property
    def length(self) -> int:
        return self.call.params["length"]

    @property
    def named_order(self) -> bool:
        """Whether the order fits other programs than the body itself."""
        return isinstance(self.call.body_order, str)

    @property
    def first_slice(self) -> int:
        return self.flow.num_consts + self.flow.num_carry

    @property
    def start(self) -> list[Any]:
        return [jnp.asarray(v) for v in self.call.operands[self.flow.num_consts : self.first_slice]]

    @property
    def slices(self) -> list[Any]:
        return [jnp.asarray(value) for value in self.call.operands[self.first_slice :]]

    @property
    def computed(self) -> int:
        """How many numbers a step computes."""
        return sum(math.prod(var.aval.shape) for eqn in self.flow.body.jaxpr.eqns for var in eqn.outvars)

    def inputs(self, carried: Sequence[Any], slices: Sequence[Any]) -> list[Any]:
        """The inputs of the body in a step."""
        return [*self.call.operands[: self.flow.num_consts], *carried, *slices]

    def scan(self, step: Any, start: Any, slices: Any, backward: bool = False) -> Any:
        reverse = bool(self.call.params["reverse"]) != backward
        return lax.scan(step, start, slices, self.length, reverse=reverse)

    def varying(self, jacobians: Any) -> Any:
        """Jacobians that are carried, with the one type that they have before and after a step."""
        return varying_as(jacobians, *self.call.operands)

    def jacobians(self, values: Sequence[Any]) -> Any:
        """The results of the body and their blocks."""
        call, flow = self.call, self.flow
        return call.jacobians(flow.body, values, flow.wanted, call.body_order, flow.needed, self.finite)

    @cached_property
    def finite(self) -> Sequence[bool] | None:
        """For every input of the body whether it is known to be finite in every step."""
        flow, finite = self.flow, self.call.finite
        return finite and finite_in_every_step(flow.body, flow.num_consts, flow.num_carry, finite)

    def evaluate(self) -> tuple[list[Any], list[Any]]:
        """The results of the loop, and what every step finds carried, stacked."""
        body = as_differentiated(self.flow.body, self.flow.wanted)
        num_carry = self.flow.num_carry

        def step(carried: Any, slices: Any) -> Any:
            results = body(*self.inputs(carried, slices))
            return list(results[:num_carry]), (list(results[num_carry:]), self.packed(carried))

        final, (stacked, kept) = lax.scan(
            step,
            self.start,
            self.slices,
            self.length,
            reverse=self.call.params["reverse"],
            unroll=self.call.params.get("unroll", 1),
        )
        return [*final, *stacked], kept

    def packed(self, carried: Sequence[Any]) -> list[Any]:
        """What is carried and differs from step to step; what is small goes into one array of its dtype.

        Storing an array takes a step of a loop about as long as computing a few numbers does.
        """
        kept = [carried[at] for at in self._large]
        for group in self._small:
            kept.append(jnp.concatenate([carried[at].reshape(-1) for at in group]))
        return kept

    def carried(self, kept: Sequence[Any]) -> list[Any]:
        """All that a step finds carried, from what is packed; what changes is stacked as that is."""
        flow, found, remaining = self.flow, self.start, iter(kept)
        for at in self._large:
            found[at] = next(remaining)
        for group in self._small:
            positions = [flow.num_consts + at for at in group]
            together = next(remaining)
            for at, position in zip(group, positions, strict=True):
                numbers = together[..., _span(flow, positions, position)]
                found[at] = numbers.reshape(*together.shape[:-1], *flow.shape(position))
        return found

    @cached_property
    def _small(self) -> list[list[int]]:
        groups: dict[Any, list[int]] = {}
        for at, aval in enumerate(self.flow.body.out_avals[: self.flow.num_carry]):
            plain = isinstance(aval.dtype, np.dtype) and math.prod(aval.shape) <= _SMALL
            if plain and at + self.flow.num_consts not in self.flow.unchanged:
                groups.setdefault((aval.dtype, varying_axes(aval)), []).append(at)
        return [group for group in groups.values() if len(group) > 1]

    @cached_property
    def _large(self) -> list[int]:
        flow, small = self.flow, {at for group in self._small for at in group}
        changing = (at for at in range(flow.num_carry) if at + flow.num_consts not in flow.unchanged)
        return [at for at in changing if at not in small]

    def empty(self) -> Blocks:
        return [[None] * len(self.call.operands) for _ in range(self.call.num_results)]

    def with_unchanged(self, found: tuple[list[Any], Blocks]) -> tuple[list[Any], Blocks]:
        """Add the identity for what is carried unchanged."""
        flow = self.flow
        for at in flow.fixed:
            if at in flow.unchanged and self.call.needed[flow.result_of(at)]:
                found[1][flow.result_of(at)][at] = identity_block(flow.shape(at))
        return found

    def finals(self) -> tuple[int, ...]:
        """The carried values whose final derivative is asked for."""
        return tuple(at for at in self.flow.carries if self.call.needed[self.flow.result_of(at)])

    def put(self, blocks: Blocks, result: int, column: int, array: Any) -> None:
        """Store a dense Jacobian ``J[result..., column...]``; results of every step are stacked."""
        flow = self.flow
        shape = flow.body.out_avals[result].shape
        if result >= flow.num_carry:
            shape = (self.length, *shape)
        blocks[result][column] = as_block(array, shape, flow.column_shape(column, self.length))

    def put_tied(self, blocks: Blocks, result: int, column: int, array: Any) -> None:
        """Store the Jacobian of a stacked result whose every step depends on its own slice only.

        Args:
            array: ``J[step, result..., slice...]``.
        """
        shape = self.flow.shape(column)
        out, sizes = label_dims((self.length, *self.flow.body.out_avals[result].shape))
        in_, more = label_dims(shape, len(sizes))
        sizes = [*sizes, *more]
        value = with_holes(array)
        blocks[result][column] = arranged_block(out, [out[0], *in_], sizes, value, range(len(sizes)))


def _dependence(equation: Equation, operands: Sequence[Inputs]) -> list[Inputs]:
    return through_loop(equation.params["jaxpr"], *scan_counts(equation.params), operands)


register_dependence(("scan",), _dependence)


def _choose(loop: _Loop) -> Any:
    """The cheapest way that is right."""
    flow, length = loop.flow, loop.length
    if not length:
        return _no_steps
    batchable = not flow.body.effects and not holds(flow.body.jaxpr, _STEP_BY_STEP)
    if not flow.carries:
        if batchable and loop.named_order and length * loop.computed <= 4 * _STORED:
            return _map
    carried, fixed, slices = flow.size(flow.carries), flow.size(flow.fixed), flow.size(flow.slices)
    rows, columns = flow.size(loop.finals()), flow.size(flow.columns)
    backward = carried * columns > 2 * rows * (carried + fixed)
    backward = not flow.results and (bool(flow.through) or backward)
    stored = length * (carried + flow.out_size(flow.results)) * (carried + fixed + slices)
    if batchable and stored <= _STORED and carried <= _FEW:
        return _batched_backward if backward else _batched_forward
    rows += length * flow.out_size(flow.results)
    columns += length * flow.size(flow.through)
    # Rows are gathered number by number; the columns move by products of matrices, which are faster.
    pulling = _FASTER * rows * (carried**2 + fixed + slices) < columns * carried**2
    return _pulled if pulling and loop.named_order and not flow.body.effects else _stepwise


def _no_steps(loop: _Loop) -> tuple[list[Any], Blocks]:
    blocks = loop.empty()
    for at in loop.finals():
        if at in loop.flow.inits:
            blocks[loop.flow.result_of(at)][at] = identity_block(loop.flow.shape(at))
    return loop.call.evaluate(), blocks


def _map(loop: _Loop) -> tuple[list[Any], Blocks]:
    """The steps do not depend on one another: the body for all of them is one program without a loop."""
    flow, call = loop.flow, loop.call
    num_carry = flow.num_carry
    results, kept = loop.evaluate() if num_carry else ([], [])
    body = core.jaxpr_as_fun(flow.body)
    operands = loop.inputs(loop.carried(kept), loop.slices)
    same = [at < flow.num_consts or at in flow.unchanged for at in range(len(operands))]
    axes = [None if unchanged else 0 for unchanged in same]

    def steps(*values: Any) -> list[Any]:
        if all(same):
            found = body(*values)[num_carry:]
            return [jnp.broadcast_to(value, (loop.length, *value.shape)) for value in found]
        return jax.vmap(lambda *inputs: body(*inputs)[num_carry:], axes)(*values)

    program = jax.make_jaxpr(steps)(*operands)
    needed = flow.needed[num_carry:]
    stacked, rows = call.jacobians(program, operands, flow.wanted, call.body_order, needed, loop.finite)
    return [*results[:num_carry], *stacked], loop.empty()[:num_carry] + rows


def _batched_forward(loop: _Loop) -> tuple[list[Any], Blocks]:
    """``S' = A S + B``; a returned slice that is a carried value has its derivative in ``S`` already."""
    flow, blocks = loop.flow, loop.empty()
    results, kept = loop.evaluate()
    aliases = _aliases(flow)
    rows = tuple(at for at in flow.results if at not in aliases)
    groups = (flow.inits, flow.fixed, flow.through)
    next_rows = tuple(map(flow.result_of, flow.carries))

    def local(values: Any) -> Any:
        _, found = loop.jacobians(loop.inputs(loop.carried(values[0]), values[1]))
        return _pieces(flow, found, (*next_rows, *rows), (*flow.carries, *flow.fixed, *flow.slices))

    pieces = _all_steps(loop, local, (kept, loop.slices))
    columns = (flow.carries, flow.fixed, flow.slices)
    a, b, x = (_matrices(loop, pieces, next_rows, some) for some in columns)
    c, e, d = (_matrices(loop, pieces, rows, some) for some in columns)
    through = _places(flow, flow.slices, flow.through)
    if len(through) < x.shape[2]:
        x, d_through = x[:, :, through], d[:, :, through]
    else:
        d_through = d
    own = np.eye(flow.size(flow.carries), dtype=flow.dtype)
    start = loop.varying(
        [
            jnp.asarray(own[:, _places(flow, flow.carries, flow.inits)]),
            jnp.zeros((len(own), b.shape[2]), flow.dtype),
            jnp.zeros((len(own), loop.length, len(through)), flow.dtype),
        ]
    )

    def chained(outer: Any, state: Any, direct: Any, own: Any, at: Any) -> list[Any]:
        """A row of derivatives after the step: those through the state before it, and those of its own."""
        flat = [part.reshape(len(part), math.prod(part.shape[1:])) for part in state]
        products = [_product(outer, part, pieces.spares) for part in flat]
        by_slice = products[2].reshape(len(outer), *state[2].shape[1:])
        if by_slice.size:
            by_slice = lax.dynamic_update_index_in_dim(by_slice, own, at, 1)
        return [products[0], products[1] + direct, by_slice]

    def step(state: Any, values: Any) -> Any:
        a, b, x, c, e, d, at = values
        after = chained(a, state, b, x, at)
        rows_after = chained(c, state, e, d, at)
        seen = {"before": state, "after": after}
        found = []
        for result in flow.results:
            if result in aliases:
                when, carry = aliases[result]
                span = _span(flow, flow.carries, carry)
                found.append([part[span] for part in seen[when]])
            else:
                span = _out_span(flow, rows, result)
                found.append([part[span] for part in rows_after])
        return loop.varying(after), found

    steps = jnp.arange(loop.length)
    final, stacked = loop.scan(step, start, (a, b, x, c, e, d_through, steps))
    for group, part in zip(groups, final, strict=True):
        for column in group:
            span = _span(flow, group, column)
            for carry in loop.finals():
                if carry in flow.reach[column]:
                    piece = part[_span(flow, flow.carries, carry)][..., span]
                    loop.put(blocks, flow.result_of(carry), column, piece)
    for result, parts in zip(flow.results, stacked, strict=True):
        for group, part in zip(groups, parts, strict=True):
            for column in group:
                if flow.touches(result, column) and (
                    column not in flow.slices or _carried_to(flow, result, column)
                ):
                    loop.put(blocks, result, column, part[..., _span(flow, group, column)])
        for column in flow.slices:
            if column in flow.direct[result] and not _carried_to(flow, result, column):
                piece = d[:, _out_span(flow, rows, result), _span(flow, flow.slices, column)]
                loop.put_tied(blocks, result, column, piece)
    return results, blocks


def _batched_backward(loop: _Loop) -> tuple[list[Any], Blocks]:
    """``R <- R A``, from the last step to the first."""
    flow, blocks = loop.flow, loop.empty()
    results, kept = loop.evaluate()
    next_rows = tuple(map(flow.result_of, flow.carries))

    def local(values: Any) -> Any:
        _, found = loop.jacobians(loop.inputs(loop.carried(values[0]), values[1]))
        return _pieces(flow, found, next_rows, (*flow.carries, *flow.fixed, *flow.through))

    pieces = _all_steps(loop, local, (kept, loop.slices))
    columns = (flow.carries, flow.fixed, flow.through)
    locals_ = [_matrices(loop, pieces, next_rows, some) for some in columns]
    finals = loop.finals()
    own = np.eye(flow.size(flow.carries), dtype=flow.dtype)[_places(flow, flow.carries, finals)]

    def step(state: Any, values: Any) -> Any:
        rows, total = state
        a, b, x = values
        moved, own, by_slice = (_product(rows, part, pieces.spares) for part in (a, b, x))
        return loop.varying((moved, total + own)), by_slice

    start = loop.varying((jnp.asarray(own), jnp.zeros((len(own), flow.size(flow.fixed)), flow.dtype)))
    (rows, total), by_slice = loop.scan(step, start, locals_, backward=True)
    by_slice = jnp.moveaxis(by_slice, 0, 1)
    for group, within, part in (
        (flow.inits, flow.carries, rows),
        (flow.fixed, flow.fixed, total),
        (flow.through, flow.through, by_slice),
    ):
        for carry in finals:
            strip = part[_span(flow, finals, carry)]
            for column in group:
                if carry in flow.reach[column]:
                    loop.put(blocks, flow.result_of(carry), column, strip[..., _span(flow, within, column)])
    return results, blocks


def _stepwise(loop: _Loop) -> tuple[list[Any], Blocks]:
    """Forward accumulation by blocks: only the results are kept."""
    flow, blocks, length = loop.flow, loop.empty(), loop.length
    pairs = [
        (result, column)
        for result in flow.results
        for column in (*flow.columns, *flow.slices)
        if flow.touches(result, column)
    ]
    tied = {pair for pair in pairs if pair[1] in flow.slices and not _carried_to(flow, *pair)}

    def step(state: Any, values: Any) -> Any:
        carried, jacobians = state
        at, slices = values
        results, found = loop.jacobians(loop.inputs(carried, slices))
        stacked = {}
        for result, column in pairs:
            shape, row = flow.body.out_avals[result].shape, found[result]
            stacked[result, column] = (
                dense(row[column], shape, flow.shape(column), flow.dtype)
                if (result, column) in tied
                else moved(flow, row, shape, jacobians, column, at, length)
            )
        after = loop.varying(advance(flow, found, jacobians, form, at, length))
        return (results[: flow.num_carry], after), (results[flow.num_carry :], stacked)

    first = [lax.index_in_dim(value, 0, keepdims=False) for value in loop.slices]
    jacobians, form = initial(flow, lambda: loop.jacobians(loop.inputs(loop.start, first))[1], length)
    start = loop.start, loop.varying(jacobians)
    (final, jacobians), (stacked, rows) = loop.scan(step, start, (jnp.arange(length), loop.slices))
    for (carry, column), array in jacobians.items():
        if carry in loop.finals():
            loop.put(blocks, flow.result_of(carry), column, array)
    for (result, column), array in rows.items():
        put = loop.put_tied if (result, column) in tied else loop.put
        put(blocks, result, column, array)
    return [*final, *stacked], blocks


def _pulled(loop: _Loop) -> tuple[list[Any], Blocks]:
    """``R c'`` has as many rows as the results, however much is carried; it is what is eliminated.

    The rows are those of the final values, then those of every returned slice, step by step. A slice that
    a step returns depends on no later step, so its rows are empty until that step is met.
    """
    flow, blocks, length = loop.flow, loop.empty(), loop.length
    results, kept = loop.evaluate()
    finals = loop.finals()
    before = [flow.results[:at] for at in range(len(flow.results))]
    starts = [flow.size(finals) + length * flow.out_size(some) for some in before]
    height = flow.size(finals) + length * flow.out_size(flow.results)
    body = core.jaxpr_as_fun(flow.body)
    moving = (*flow.carries, *flow.fixed, *flow.slices)
    tied = [
        (result, column)
        for result in flow.results
        for column in flow.slices
        if column in flow.direct[result] and not _carried_to(flow, result, column)
    ]

    def combined(rows: Any, *values: Any) -> list[Any]:
        found = body(*values)
        after = [(row, found[flow.result_of(at)]) for row, at in zip(rows, flow.carries, strict=True)]
        total = sum(jnp.tensordot(row, value.astype(flow.dtype), value.ndim) for row, value in after)
        return [total, *(found[at] for at in flow.results)]

    def own(at: int) -> Any:
        """The rows of a carried value in the end."""
        rows = np.zeros((height, flow.size([at])), flow.dtype)
        if at in finals:
            rows[_span(flow, finals, at)] = np.eye(rows.shape[1])
        return jnp.asarray(rows.reshape(height, *flow.shape(at)))

    start = loop.varying([own(at) for at in flow.carries])
    types = [array_type(aval) for aval in flow.body.in_avals]
    program = jax.make_jaxpr(combined)(start, *types)
    wanted = [False] * len(start) + flow.wanted
    finite = loop.finite and [all(loop.finite)] * len(start) + list(loop.finite)

    def step(state: Any, values: Any) -> Any:
        rows, totals = state
        carried, slices, step_at = values
        operands = [*rows, *loop.inputs(loop.carried(carried), slices)]
        _, found = loop.call.jacobians(program, operands, wanted, loop.call.body_order, finite=finite)
        pulled, *direct = [row[len(start) :] for row in found]
        arrays = {at: dense(pulled[at], (height,), flow.shape(at), flow.dtype) for at in moving}
        for result, first, row in zip(flow.results, starts, direct, strict=True):
            size = flow.out_size([result])
            for at, block in enumerate(row):
                if at in arrays and block is not None:
                    piece = block.todense(flow.dtype).reshape(size, *flow.shape(at))
                    place = first + step_at * size
                    arrays[at] = lax.dynamic_update_slice_in_dim(arrays[at], piece, place, 0)
        totals = [total + arrays[at] for total, at in zip(totals, flow.fixed, strict=True)]
        position = {result: at for at, result in enumerate(flow.results)}
        bypassing = [
            dense(
                direct[position[result]][column],
                flow.body.out_avals[result].shape,
                flow.shape(column),
                flow.dtype,
            )
            for result, column in tied
        ]
        after = [arrays[at] for at in flow.carries], totals
        return loop.varying(after), ([arrays[at] for at in flow.through], bypassing)

    totals = loop.varying([jnp.zeros((height, *flow.shape(at)), flow.dtype) for at in flow.fixed])
    (rows, totals), (by_slice, bypassing) = loop.scan(
        step, (start, totals), (kept, loop.slices, jnp.arange(length)), backward=True
    )
    arrays = {at: array for at, array in zip(flow.carries, rows, strict=True) if at in flow.inits}
    arrays.update(zip(flow.fixed, totals, strict=True))
    arrays.update((at, jnp.moveaxis(x, 0, 1)) for at, x in zip(flow.through, by_slice, strict=True))
    for column, array in arrays.items():
        for carry in finals:
            if carry in flow.reach[column]:
                loop.put(blocks, flow.result_of(carry), column, array[_span(flow, finals, carry)])
        for result, first in zip(flow.results, starts, strict=True):
            if flow.touches(result, column) and (result, column) not in tied:
                strip = array[first : first + length * flow.out_size([result])]
                loop.put(blocks, result, column, strip)
    for pair, array in zip(tied, bypassing, strict=True):
        loop.put_tied(blocks, *pair, array)
    return results, blocks


def _all_steps(loop: _Loop, local: Any, values: Any) -> Any:
    """The local Jacobians of all steps, computed for as many steps at a time as is good."""
    most = max(1, min(loop.length, _BATCH // max(loop.computed, 1)))
    # At least two batches: what is computed in a loop is not computed again by those who read it.
    batches = min(max(2, -(-loop.length // most)), loop.length)
    size = -(-loop.length // batches)
    padding = batches * size - loop.length

    def split(value: Any) -> Any:
        last = jnp.broadcast_to(value[-1:], (padding, *value.shape[1:]))
        return jnp.concatenate([value, last]).reshape(batches, size, *value.shape[1:])

    def batch(_: None, values: Any) -> tuple[None, Any]:
        return None, jax.vmap(local, axis_size=size)(values)

    _, found = lax.scan(batch, None, jax.tree.map(split, values), batches)
    return jax.tree.map(lambda v: v.reshape(batches * size, *v.shape[2:])[: loop.length], found)


@functools.partial(jax.tree_util.register_dataclass, data_fields=["arrays"], meta_fields=["spares"])
@dataclass(frozen=True)
class _Pieces:
    """Local Jacobians as matrices.

    Attributes:
        arrays: by result and input, where there is one.
        spares: whether what selections leave out of them may meet what is not finite.
    """

    arrays: dict[tuple[int, int], Any]
    spares: bool


def _pieces(flow: Flow, blocks: Blocks, rows: Sequence[int], columns: Sequence[int]) -> _Pieces:
    """The blocks of some results with respect to some inputs."""
    given = {(row, column): blocks[row][column] for row in rows for column in columns}
    given = {key: block for key, block in given.items() if block is not None}
    arrays = {
        (row, column): block.todense(flow.dtype).reshape(flow.out_size([row]), flow.size([column]))
        for (row, column), block in given.items()
    }
    finite = all(block.finite for block in given.values())
    return _Pieces(arrays, not finite and any(block.selects for block in given.values()))


def _matrices(loop: _Loop, pieces: _Pieces, rows: Sequence[int], columns: Sequence[int]) -> Any:
    """The pieces of every step as one matrix a step."""
    flow = loop.flow
    strips = []
    for row in rows:
        height = flow.out_size([row])
        strip = [
            pieces.arrays.get((row, column), np.zeros((loop.length, height, flow.size([column])), flow.dtype))
            for column in columns
        ]
        strips.append(jnp.concatenate(strip, 2) if strip else jnp.zeros((loop.length, height, 0), flow.dtype))
    return (
        jnp.concatenate(strips, 1) if strips else jnp.zeros((loop.length, 0, flow.size(columns)), flow.dtype)
    )


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


def _span(flow: Flow, inputs: Sequence[int], one: int) -> slice:
    """Where the entries of one input are among those of several."""
    start = flow.size(inputs[: inputs.index(one)])
    return slice(start, start + flow.size([one]))


def _out_span(flow: Flow, results: Sequence[int], one: int) -> slice:
    start = flow.out_size(results[: results.index(one)])
    return slice(start, start + flow.out_size([one]))


def _places(flow: Flow, inputs: Sequence[int], some: Sequence[int]) -> list[int]:
    """The places of the entries of some of the inputs among those of all."""
    return [at for one in some for at in range(*_span(flow, inputs, one).indices(flow.size(inputs)))]


def _carried_to(flow: Flow, result: int, column: int) -> bool:
    """Whether a slice reaches a returned slice of later steps."""
    return column in flow.through and not flow.direct[result].isdisjoint(flow.reach[column])


def _aliases(flow: Flow) -> dict[int, tuple[str, int]]:
    """The returned slices that are carried values, before or after the step."""
    outvars, invars = flow.body.jaxpr.outvars, flow.body.jaxpr.invars
    found: dict[int, tuple[str, int]] = {}
    for result in flow.results:
        for carry in flow.carries:
            if outvars[result] is invars[carry]:
                found[result] = "before", carry
            elif outvars[result] is outvars[flow.result_of(carry)]:
                found[result] = "after", carry
    return found
