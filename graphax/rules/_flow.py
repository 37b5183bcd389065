"""Where derivatives flow in the body of a loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jax.extend import core

from .._trace import inline, is_differentiable
from ._dependence import NOTHING, dependence
from ._registry import Inputs


@dataclass(frozen=True, eq=False)
class Flow:
    """Which inputs and results of a loop's body take part in derivatives.

    The body takes constants, carried values and slices, and returns carried values and slices. Inputs and
    results are named by their position.

    Attributes:
        body: the body.
        num_consts: how many constants it takes.
        num_carry: how many values it carries.
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
    def wanted(self) -> list[bool]:
        """For every input of the body whether its local Jacobians are needed."""
        moving = {*self.carries, *self.fixed, *self.slices}
        return [at in moving for at in range(len(self.body.in_avals))]

    @property
    def needed(self) -> list[bool]:
        """For every result of the body whether its local Jacobians are needed."""
        next_step = {self.result_of(carry) for carry in self.carries}
        return [at in next_step or at in self.results for at in range(len(self.body.out_avals))]

    def result_of(self, carry: int) -> int:
        """The result that becomes this input in the next step."""
        return carry - self.num_consts

    def shape(self, position: int) -> tuple[int, ...]:
        """The shape of an input of the body."""
        return self.body.in_avals[position].shape

    def column_shape(self, position: int, length: int | None = None) -> tuple[int, ...]:
        """The shape of an input of the loop: slices of all its steps are stacked."""
        stacked = () if position < self.num_consts + self.num_carry else (length,)
        return stacked + self.shape(position)  # pyright: ignore[reportReturnType]

    def size(self, positions: Sequence[int]) -> int:
        """How many numbers some inputs of the body hold."""
        return sum(math.prod(self.shape(at)) for at in positions)

    def out_size(self, results: Sequence[int]) -> int:
        """How many numbers some results of the body hold."""
        return sum(math.prod(self.body.out_avals[at].shape) for at in results)

    def touches(self, result: int, column: int) -> bool:
        """Whether a result of the body depends on an input of the loop in some step."""
        direct = self.direct[result]
        read = column in direct and column not in self.carries
        return read or not direct.isdisjoint(self.reach[column])


def scan_counts(params: dict[str, Any]) -> tuple[int, int]:
    """How many of a scan's operands are constants, and how many are carried."""
    if "num_consts" in params:
        return params["num_consts"], params["num_carry"]
    consts, carried, _ = params["ft_in"].unpack()  # newer releases of JAX hold the operands' trees
    return len(consts), len(carried)


def follow_loop(
    body: core.ClosedJaxpr, num_consts: int, num_carry: int, sources: Sequence[Inputs]
) -> list[Inputs]:
    """For every input of a loop's body what it depends on in any step.

    Args:
        body: the body.
        num_consts: how many constants it takes.
        num_carry: how many values it carries.
        sources: what the inputs of the loop depend on, in the order of the body's.
    """
    found, end = list(sources), num_consts + num_carry
    while True:
        results = dependence(body, found)[:num_carry]
        carried = [one | other for one, other in zip(found[num_consts:end], results, strict=True)]
        if carried == found[num_consts:end]:
            return found
        found[num_consts:end] = carried


def through_loop(
    body: core.ClosedJaxpr, num_consts: int, num_carry: int, sources: Sequence[Inputs]
) -> list[Inputs]:
    """For every result of a loop, the final values and the stacked slices, what it depends on."""
    found = follow_loop(body, num_consts, num_carry, sources)
    return [*found[num_consts : num_consts + num_carry], *dependence(body, found)[num_carry:]]


def find_flow(
    body: core.ClosedJaxpr, num_consts: int, num_carry: int, wanted: Sequence[bool], needed: Sequence[bool]
) -> Flow:
    """Find where derivatives flow.

    Args:
        body: the body.
        num_consts: how many constants it takes.
        num_carry: how many values it carries.
        wanted: for every input of the loop whether it is differentiated.
        needed: for every result of the loop whether its derivative is asked for.
    """
    moving = [at for at, want in enumerate(wanted) if want and is_differentiable(body.in_avals[at])]
    sources = [frozenset([at]) if at in moving else NOTHING for at in range(len(body.in_avals))]
    sources = follow_loop(body, num_consts, num_carry, sources)
    own = [frozenset([at]) if inputs else NOTHING for at, inputs in enumerate(sources)]
    direct = dependence(body, own)
    same = unchanged(body, num_consts, num_carry)
    carried = [at for at in range(num_consts, num_consts + num_carry) if at not in same]
    results = tuple(at for at in range(num_carry, len(direct)) if needed[at] and direct[at])
    useful = {at for at in carried if needed[at - num_consts]}
    useful.update(at for at in carried for result in results if at in direct[result])
    while True:
        more = {at for at in carried for other in useful if at in direct[other - num_consts]}
        if more <= useful:
            break
        useful |= more
    active = frozenset(at for at in useful if sources[at])
    reach = {at: frozenset(carry for carry in active if at in sources[carry]) for at in moving}
    slices = tuple(at for at in moving if at >= num_consts + num_carry)
    fixed = tuple(at for at in moving if at < num_consts or at in same)
    read = frozenset().union(*(direct[at] for at in results))
    types = [body.in_avals[at].dtype for at in (*active, *moving)]
    types += [body.out_avals[at].dtype for at in results]
    return Flow(
        body,
        num_consts,
        num_carry,
        carries=tuple(sorted(active)),
        inits=tuple(at for at in moving if at in active),
        unchanged=same,
        fixed=tuple(at for at in fixed if reach[at] or at in read or at in same),
        slices=tuple(at for at in slices if reach[at] or at in read),
        through=tuple(at for at in slices if reach[at]),
        results=results,
        reach=reach,
        direct=direct,
        dtype=jnp.result_type(*types) if types else jnp.dtype("float32"),
    )


def unchanged(body: core.ClosedJaxpr, num_consts: int, num_carry: int) -> Inputs:
    """The carried values that every step returns as they are."""
    program = inline(body)
    return frozenset(
        num_consts + at for at in range(num_carry) if program.outputs[at] is program.inputs[num_consts + at]
    )


def holds(jaxpr: core.Jaxpr, names: Sequence[str]) -> bool:
    """Whether a program holds one of these primitives, however deep."""
    return any(
        eqn.primitive.name in names
        or any(holds(getattr(inner, "jaxpr", inner), names) for inner in core.jaxprs_in_params(eqn.params))
        for eqn in jaxpr.eqns
    )
