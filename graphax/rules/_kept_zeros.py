"""Loops in which columns that are zero by structure are put back to zero, where they met a pole."""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core
from jax.interpreters import ad

from .._trace import Equation, Program, Variable, scan_counts
from ._column_states import none_like
from ._entry_dependence import Dependent


class Way(NamedTuple):
    """A value, as it comes of one of the operands that it is made of, or of all of them.

    Attributes:
        variable: the value.
        operand: the place of the operand.
    """

    variable: Variable
    operand: int | None = None


class Columns(NamedTuple):
    """The columns of a value that is made of others.

    Attributes:
        reached: on which columns its entries may depend.
        exposed: in which of them zeros may meet what is not finite, when it is made.
    """

    reached: Dependent
    exposed: Dependent

    @property
    def are_kept(self) -> bool:
        """Whether zeros that meet what is not finite can be put back."""
        return (self.reached & self.exposed).is_empty

    def joined(self, other: Columns) -> Columns:
        """Those of a value that is made in the one way or the other."""
        return Columns(self.reached | other.reached, self.exposed | other.exposed)


@dataclass(frozen=True)
class KeptZeros:
    """Where zeros are put back among the columns that are pushed through a program or a loop.

    Attributes:
        now: the columns of the values of the program, and of branches inside.
        steps: those of values of loops inside, in their first steps; in all later ones they are as in the
            last of these.
        programs: what is inside of the loops and branches that hold these values.
    """

    now: Mapping[Way, Columns] = field(default_factory=dict)
    steps: Mapping[Way, Sequence[Columns]] = field(default_factory=dict)
    programs: Mapping[Equation, Sequence[Program]] = field(default_factory=dict)

    def __or__(self, other: KeptZeros) -> KeptZeros:
        """The same for what is in the one or the other."""
        steps = dict(self.steps)
        for way, found in other.steps.items():
            steps[way] = _in_each(steps.get(way, found), found)
        return KeptZeros({**self.now, **other.now}, steps, {**self.programs, **other.programs})

    def of_branches(self, equation: Equation, programs: Sequence[Program]) -> KeptZeros:
        """The same, where the programs are the branches of an equation."""
        return replace(self, programs={**self.programs, equation: programs})

    @classmethod
    def of_loop(cls, loop: Equation, body: Program, steps: Sequence[KeptZeros]) -> KeptZeros:
        """The same for a loop, from that for its body in its first steps."""
        inside, own = functools.reduce(operator.or_, steps), dict[Way, Sequence[Columns]]()
        for way, like in inside.now.items():
            nothing = none_like(like.reached)  # in the first steps there are values that depend on no column
            own[way] = [step.now.get(way, Columns(nothing, nothing)) for step in steps]
        return cls({}, {**inside.steps, **own}, {**inside.programs, loop: [body]})

    @property
    def are_all(self) -> bool:
        """Whether no zero is lost where it cannot be put back."""
        several = itertools.chain(self.steps.values(), ([each] for each in self.now.values()))
        return all(each.are_kept for each in itertools.chain.from_iterable(several))

    @property
    def needed(self) -> KeptZeros:
        """The same for the values in which a zero would be lost."""

        def is_needed(several: Mapping[Way, Sequence[Columns]], way: Way) -> bool:
            return not all(columns.exposed.is_empty for columns in several.get(way, ()))

        def of(several: Mapping[Way, Sequence[Columns]]) -> dict[Way, Sequence[Columns]]:
            """Those where it is needed; with one operand of a value all that move."""
            apart = {way.variable for way in several if way.operand is not None and is_needed(several, way)}
            return {
                way: columns
                for way, columns in several.items()
                if is_needed(several, way) or (way.operand is not None and way.variable in apart)
            }

        now = {way: columns for way, (columns,) in of({way: [on] for way, on in self.now.items()}).items()}
        steps = of(self.steps)
        return KeptZeros(now, steps, self.programs if steps else {})

    @property
    def masks(self) -> list[np.ndarray]:
        """By value where nothing is put back: axes for the columns, the first steps and the entries."""
        stacks = (np.stack([each.reached.on for each in found]) for found in self.steps.values())
        alike = (stack[:1] if (stack == stack[:1]).all() else stack for stack in stacks)
        return [np.moveaxis(stack, -1, 0) for stack in alike]

    def evaluate(self, loop: Equation, operands: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        """The results of a loop, for which tangents are to be those of one column.

        Args:
            loop: the loop.
            operands: its operands.
            masks: those of this column.
        """
        by_way = dict(zip(self.steps, masks, strict=True))

        def run(program: Program, values: Sequence[Any], step: Any) -> list[Any]:
            def with_zeros(equation: Equation, operands: Sequence[Any]) -> list[Any]:
                by_operand = {
                    at: _of_step(by_way[Way(output, at)], step)
                    for at, output in itertools.product(range(len(operands)), equation.outputs)
                    if Way(output, at) in by_way
                }
                if by_operand:
                    results = _kept_apart(equation, by_operand, operands)
                else:
                    results = evaluate(equation, operands, step)
                return [
                    _kept(result, _of_step(by_way[Way(output)], step)) if Way(output) in by_way else result
                    for output, result in zip(equation.outputs, results, strict=True)
                ]

            return program.evaluated(values, with_zeros)

        def evaluate(equation: Equation, operands: Sequence[Any], step: Any) -> list[Any]:
            if equation not in self.programs:
                return equation.evaluate(operands)
            runs = [functools.partial(run, program) for program in self.programs[equation]]
            with equation.surroundings.entered():
                return _INSIDE[equation.primitive.name](equation.params, runs, operands, step)

        return evaluate(loop, operands, 0)


def _in_each(several: Sequence[Columns], others: Sequence[Columns]) -> list[Columns]:
    """The columns in each of the first steps of a loop that is evaluated in two ways."""
    count = max(len(several), len(others))
    one, other = ([*found, *[found[-1]] * (count - len(found))] for found in (several, others))
    return list(map(Columns.joined, one, other))


def _of_step(masks: Any, step: Any) -> Any:
    *first, found = masks
    for at, mask in enumerate(first):
        found = jnp.where(step == at, mask, found)
    return found


@jax.custom_jvp
def _kept(value: Any, mask: Any) -> Any:
    """The value; where the mask is false its tangent is zero."""
    return value


@_kept.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (value, mask), (tangent, _) = primals, tangents
    return value, jnp.where(mask, tangent, jnp.zeros_like(tangent))


def _kept_apart(equation: Equation, masks: Mapping[int, Any], operands: Sequence[Any]) -> list[Any]:
    """The result of an equation, whose moving operands have masks; where these are false, tangents of the
    operands add nothing to its own.
    """

    @jax.custom_jvp
    def evaluate(masks: Mapping[int, Any], *operands: Any) -> Any:
        return equation.evaluate(operands)[0]

    @evaluate.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        (masks, *operands), (_, *tangents) = primals, tangents

        def tangent_of(at: int) -> Any:
            def of_one(operand: Any) -> Any:
                return equation.evaluate([*operands[:at], operand, *operands[at + 1 :]])[0]

            _, found = jax.jvp(of_one, (operands[at],), (tangents[at],))
            return jnp.where(masks[at], found, jnp.zeros_like(found))

        return equation.evaluate(operands)[0], functools.reduce(ad.add_jaxvals, map(tangent_of, masks))

    return [evaluate(masks, *operands)]


_Run = Callable[[Sequence[Any], Any], list[Any]]


def _scan(params: dict[str, Any], runs: Sequence[_Run], operands: Sequence[Any], _: Any) -> list[Any]:
    num_consts, num_carry = scan_counts(params)
    consts, first = operands[:num_consts], operands[num_consts : num_consts + num_carry]

    def advance(state: Any, slices: Sequence[Any]) -> Any:
        step, carried = state
        results = runs[0]([*consts, *carried, *slices], step)
        return (step + 1, results[:num_carry]), results[num_carry:]

    (_, carried), stacked = lax.scan(
        advance,
        (np.int32(0), list(first)),
        list(operands[num_consts + num_carry :]),
        params["length"],
        reverse=params["reverse"],
        unroll=params["unroll"],
    )
    return [*carried, *stacked]


def _while(params: dict[str, Any], runs: Sequence[_Run], operands: Sequence[Any], _: Any) -> list[Any]:
    before, consts = params["cond_nconsts"], params["body_nconsts"]
    asked, given = operands[:before], operands[before : before + consts]
    condition = core.jaxpr_as_fun(params["cond_jaxpr"])
    _, carried = lax.while_loop(
        lambda state: condition(*asked, *state[1])[0],
        lambda state: (state[0] + 1, runs[0]([*given, *state[1]], state[0])),
        (np.int32(0), list(operands[before + consts :])),
    )
    return carried


def _cond(params: dict[str, Any], runs: Sequence[_Run], operands: Sequence[Any], step: Any) -> list[Any]:
    branches = [lambda *values, run=run: run(values, step) for run in runs]
    return lax.switch(operands[0], branches, *operands[1:])


_INSIDE = {"cond": _cond, "scan": _scan, "while": _while}
