"""Where derivatives flow in the body of a loop."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax.extend import core

from ..._trace import inline, is_differentiable
from .._carried import through_steps
from .._dependence import NOTHING, dependence
from .._registry import Inputs
from ._packing import Packing


@dataclass(frozen=True, eq=False)
class Flow:
    """Which inputs and results of a loop's body take part in derivatives.

    The body takes constants, carried values and slices, and returns carried values and slices. Inputs and
    results are named by their position.

    Attributes:
        body: the body.
        num_consts: how many constants it takes.
        num_carry: how many values it carries.
        length: how many steps there are; 0 for a loop that a condition ends, which reads no slices.
        carries: inputs that carry a derivative from step to step and whose derivative somebody needs.
        inits: those of them whose initial value is wanted.
        unchanged: carried values that the body returns as they are.
        fixed: wanted inputs that are the same in every step: constants and unchanged values.
        slices: wanted slices.
        through: those of them that reach a carried value.
        results: slices returned by the body whose derivatives are needed.
        reach: for every wanted input the carried values that depend on it after some steps (for an initial
            value itself, too).
        direct: for every result of the body the inputs that it depends on.
        dtype: that of all Jacobians.
    """

    body: core.ClosedJaxpr
    num_consts: int
    num_carry: int
    length: int
    carries: tuple[int, ...]
    inits: tuple[int, ...]
    unchanged: Inputs
    fixed: tuple[int, ...]
    slices: tuple[int, ...]
    through: tuple[int, ...]
    results: tuple[int, ...]
    reach: dict[int, Inputs]
    direct: list[Inputs]
    dtype: Any

    @property
    def columns(self) -> tuple[int, ...]:
        """The wanted inputs of the loop that are not slices."""
        return self.inits + self.fixed

    @property
    def next_carries(self) -> tuple[int, ...]:
        """The results that become :attr:`carries` in the next step."""
        return tuple(map(self.result_of, self.carries))

    @property
    def wanted(self) -> list[bool]:
        """For every input of the body whether its local Jacobians are needed."""
        moving = {*self.carries, *self.fixed, *self.slices}
        return [at in moving for at in range(len(self.body.in_avals))]

    @property
    def needed(self) -> list[bool]:
        """For every result of the body whether its local Jacobians are needed."""
        moving = {*self.next_carries, *self.results}
        return [at in moving for at in range(len(self.body.out_avals))]

    @property
    def first_slice(self) -> int:
        """The position of the first slice among the inputs."""
        return self.num_consts + self.num_carry

    def result_of(self, carry: int) -> int:
        """The result that becomes this input in the next step."""
        return carry - self.num_consts

    def shape(self, position: int) -> tuple[int, ...]:
        """The shape of an input of the body."""
        return self.body.in_avals[position].shape

    def out_shape(self, result: int) -> tuple[int, ...]:
        """The shape of a result of the body."""
        return self.body.out_avals[result].shape

    def column_shape(self, position: int) -> tuple[int, ...]:
        """The shape of an input of the loop: slices of all its steps are stacked."""
        return self._stacked(position >= self.first_slice) + self.shape(position)

    def row_shape(self, result: int) -> tuple[int, ...]:
        """The shape of a result of the loop: returned slices of all its steps are stacked."""
        return self._stacked(result >= self.num_carry) + self.out_shape(result)

    def _stacked(self, slices: bool) -> tuple[int, ...]:
        return (self.length,) if slices else ()

    def packing(self, inputs: Sequence[int]) -> Packing:
        """The numbers of some inputs of the body, one after another."""
        return Packing({at: self.shape(at) for at in inputs})

    def out_packing(self, results: Sequence[int]) -> Packing:
        """The numbers of some results of the body, one after another."""
        return Packing({at: self.out_shape(at) for at in results})

    def touches(self, result: int, column: int) -> bool:
        """Whether a result of the loop depends on an input of the loop; a final value does on its initial."""
        if result < self.num_carry:
            return result + self.num_consts in self.reach[column]
        read = column in self.direct[result] and column not in self.carries
        return read or self._through_carries(result, column)

    def tied(self, result: int, column: int) -> bool:
        """Whether a returned slice depends on this input's slice of the same step and of no other."""
        stacked = result >= self.num_carry and column in self.slices
        return stacked and self.touches(result, column) and not self._through_carries(result, column)

    def _through_carries(self, result: int, column: int) -> bool:
        return not self.direct[result].isdisjoint(self.reach[column])


def follow_loop(
    body: core.ClosedJaxpr, num_consts: int, num_carry: int, sources: Sequence[Inputs]
) -> tuple[list[Inputs], list[Inputs]]:
    """For every input of a loop's body what it depends on in any step, and the same for the loop's results.

    Args:
        body: the body.
        num_consts: how many constants it takes.
        num_carry: how many values it carries.
        sources: what the inputs of the loop depend on, in the order of the body's.
    """
    results_of = functools.partial(dependence, body)
    return through_steps(sources, num_consts, num_carry, results_of, frozenset.union)


def find_flow(
    body: core.ClosedJaxpr,
    num_consts: int,
    num_carry: int,
    wanted: Sequence[bool],
    needed: Sequence[bool],
    length: int = 0,
) -> Flow:
    """Find where derivatives flow.

    Args:
        body: the body.
        num_consts: how many constants it takes.
        num_carry: how many values it carries.
        wanted: for every input of the loop whether it is differentiated.
        needed: for every result of the loop whether its derivative is asked for.
        length: how many steps there are; 0 for a loop that a condition ends.
    """
    return _found_flow(body, num_consts, num_carry, tuple(wanted), tuple(needed), length)


@functools.lru_cache(maxsize=64)
def _found_flow(
    body: core.ClosedJaxpr,
    num_consts: int,
    num_carry: int,
    wanted: tuple[bool, ...],
    needed: tuple[bool, ...],
    length: int,
) -> Flow:
    moving = [at for at, want in enumerate(wanted) if want and is_differentiable(body.in_avals[at])]
    sources = [frozenset([at]) if at in moving else NOTHING for at in range(len(body.in_avals))]
    sources, _ = follow_loop(body, num_consts, num_carry, sources)
    own = [frozenset([at]) if inputs else NOTHING for at, inputs in enumerate(sources)]
    direct = dependence(body, own)
    same = unchanged(body, num_consts, num_carry)
    carried = [at for at in range(num_consts, num_consts + num_carry) if at not in same]
    results = tuple(at for at in range(num_carry, len(direct)) if needed[at] and direct[at])
    read = frozenset().union(*(direct[at] for at in results))
    useful = {at for at in carried if needed[at - num_consts] or at in read}
    while (
        not (more := {at for at in carried if any(at in direct[on - num_consts] for on in useful)}) <= useful
    ):
        useful |= more
    active = frozenset(at for at in useful if sources[at])
    reach = {at: frozenset(carry for carry in active if at in sources[carry]) for at in moving}
    slices = tuple(at for at in moving if at >= num_consts + num_carry)
    fixed = tuple(at for at in moving if at < num_consts or at in same)
    avals = [body.in_avals[at] for at in (*active, *moving)] + [body.out_avals[at] for at in results]
    return Flow(
        body,
        num_consts,
        num_carry,
        length,
        carries=tuple(sorted(active)),
        inits=tuple(at for at in moving if at in active),
        unchanged=same,
        fixed=tuple(at for at in fixed if reach[at] or at in read or at in same),
        slices=tuple(at for at in slices if reach[at] or at in read),
        through=tuple(at for at in slices if reach[at]),
        results=results,
        reach=reach,
        direct=direct,
        dtype=jnp.result_type(*(aval.dtype for aval in avals)) if avals else jnp.dtype("float32"),
    )


def unchanged(body: core.ClosedJaxpr, num_consts: int, num_carry: int) -> Inputs:
    """The carried values that every step returns as they are."""
    program = inline(body)
    return frozenset(
        num_consts + at for at in range(num_carry) if program.outputs[at] is program.inputs[num_consts + at]
    )
