"""A scan and what all ways to differentiate it share: its steps, and what becomes of their Jacobians."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from ..._certain_forms import always_certain
from ..._trace import varying_as, varying_axes
from ...sparse import arranged_block, identity_block, label_dims, with_holes
from .._common_structure import as_block
from .._custom import as_differentiated
from .._finite import finite_in_every_step
from .._registry import Blocks, Call
from ._flow import Flow
from ._packing import Packing

#: Arrays of at most so many numbers are stored together.
SMALL = 64


@dataclass(frozen=True)
class Loop:
    """A scan and where derivatives flow in it."""

    call: Call
    flow: Flow

    @property
    def start(self) -> list[Any]:
        return [jnp.asarray(v) for v in self.call.operands[self.flow.num_consts : self.flow.first_slice]]

    @property
    def slices(self) -> list[Any]:
        return [jnp.asarray(value) for value in self.call.operands[self.flow.first_slice :]]

    @property
    def computed(self) -> int:
        """How many numbers a step computes."""
        return sum(math.prod(var.aval.shape) for eqn in self.flow.body.jaxpr.eqns for var in eqn.outvars)

    def inputs(self, carried: Sequence[Any], slices: Sequence[Any]) -> list[Any]:
        """The inputs of the body in a step."""
        return [*self.call.operands[: self.flow.num_consts], *carried, *slices]

    def scan(self, step: Any, start: Any, slices: Any, backward: bool = False) -> Any:
        """A loop of as many steps, as many of them at a time, in the same direction or backwards."""
        unroll = self.call.params.get("unroll", 1)
        return self.of_steps(self.flow.length, step, start, slices, backward=backward, unroll=unroll)

    def of_steps(
        self, length: int, step: Any, start: Any, slices: Any, *, backward: bool = False, unroll: Any = 1
    ) -> Any:
        """A loop of so many steps, in the same direction or backwards."""
        reverse = bool(self.call.params["reverse"]) != backward
        return lax.scan(step, start, slices, length, reverse=reverse, unroll=unroll)

    def varying(self, jacobians: Any) -> Any:
        """Jacobians that are carried, with the one type that they have before and after a step."""
        return varying_as(jacobians, *self.call.operands)

    @property
    def steps(self) -> range:
        """The numbers of the steps, in the order in which they are taken."""
        steps = range(self.flow.length)
        return steps[::-1] if self.call.params["reverse"] else steps

    def jacobians(
        self, carried: Sequence[Any], slices: Sequence[Any], placed: bool = False
    ) -> tuple[list[Any], Blocks]:
        """The results of the body in a step, and their blocks; ``placed`` as for :meth:`jacobians_at`."""
        return self.jacobians_at(self.inputs(carried, slices), placed)

    def jacobians_at(self, inputs: Sequence[Any], placed: bool) -> tuple[list[Any], Blocks]:
        """The results of the body at any inputs, and their blocks.

        Args:
            inputs: all of them.
            placed: whether places of entries may be such as are known at run time only.
        """
        call, flow = self.call, self.flow
        jacobians = call.jacobians if placed else call.jacobians.static()
        return jacobians(flow.body, inputs, flow.wanted, flow.needed, self.finite, self.certain())

    @cached_property
    def finite(self) -> Sequence[bool] | None:
        """For every input of the body whether it is known to be finite in every step."""
        flow, finite = self.flow, self.call.finite
        return finite and finite_in_every_step(flow.body, flow.num_consts, flow.num_carry, finite)

    def certain(self, stacked: bool = False) -> list[np.ndarray | None]:
        """For every input of the body what is certain of its entries in every step.

        Args:
            stacked: whether the body takes the slices of all steps at once.
        """
        given, flow = self.call.all_certain(), self.flow
        slices = given[flow.first_slice :]
        return [
            *given[: flow.num_consts],
            *[None] * flow.num_carry,
            *(slices if stacked else map(always_certain, slices)),
        ]

    def evaluate(self) -> tuple[list[Any], list[Any]]:
        """The results of the loop, and what every step finds carried: see :meth:`carried`."""
        body = as_differentiated(self.flow.body, self.flow.wanted)
        num_carry = self.flow.num_carry

        def step(carried: Any, slices: Any) -> Any:
            results = body(*self.inputs(carried, slices))
            kept = [packing.pack(carried) for packing in self._packings]
            return list(results[:num_carry]), (list(results[num_carry:]), kept)

        final, (stacked, kept) = self.scan(step, self.start, self.slices)
        return [*final, *stacked], kept

    def carried(self, kept: Sequence[Any]) -> list[Any]:
        """All that a step finds carried, from what is kept of it; what changes is stacked as that is."""
        found = self.start
        for packing, packed in zip(self._packings, kept, strict=True):
            for at, value in packing.unpack(packed).items():
                found[at] = value
        return found

    @cached_property
    def _packings(self) -> list[Packing]:
        """How carried values that differ from step to step are kept: small ones of a dtype go together.

        Storing an array takes a step of a loop about as long as computing a few numbers does.
        """
        groups: dict[Any, dict[int, tuple[int, ...]]] = {}
        for at, aval in enumerate(self.flow.body.out_avals[: self.flow.num_carry]):
            if at + self.flow.num_consts not in self.flow.unchanged:
                small = isinstance(aval.dtype, np.dtype) and math.prod(aval.shape) <= SMALL
                group = (aval.dtype, varying_axes(aval)) if small else at
                groups.setdefault(group, {})[at] = aval.shape
        return sorted(map(Packing, groups.values()), key=lambda packing: len(packing.shapes) > 1)

    def finals(self) -> tuple[int, ...]:
        """The carried values whose final derivative is asked for."""
        return tuple(at for at in self.flow.carries if self.call.needed[self.flow.result_of(at)])

    def blocks(self) -> Blocks:
        """No blocks yet, but the identity for what is carried unchanged."""
        flow = self.flow
        found: Blocks = [[None] * len(self.call.operands) for _ in range(self.call.num_results)]
        for at in flow.fixed:
            if at in flow.unchanged and self.call.needed[flow.result_of(at)]:
                found[flow.result_of(at)][at] = identity_block(flow.shape(at))
        return found

    def put(self, blocks: Blocks, result: int, column: int, array: Any) -> None:
        """Store a dense Jacobian.

        Args:
            blocks: where to.
            result: the result of the loop.
            column: the input of the loop.
            array: ``J[result..., column...]``, slices stacked; ``J[step, result..., slice...]`` where these
                are tied (see :meth:`Flow.tied`).
        """
        flow = self.flow
        if not flow.tied(result, column):
            blocks[result][column] = as_block(array, flow.row_shape(result), flow.column_shape(column))
            return
        out, in_, sizes = label_dims(flow.row_shape(result), flow.shape(column))
        value = with_holes(array)
        blocks[result][column] = arranged_block(out, [out[0], *in_], sizes, value, range(len(sizes)))
