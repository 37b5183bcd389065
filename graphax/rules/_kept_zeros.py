"""Loops in which columns that are zero by structure are put back to zero, where they met a pole."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend import core

from .._trace import Constant, Equation, Program, Variable, scan_counts
from ._entry_dependence import Dependent


@dataclass(frozen=True)
class KeptZeros:
    """Where zeros are put back among the columns that are pushed through a loop.

    Attributes:
        reach: by variable, however deep inside, on which columns it may depend; in the others zeros are put
            back.
        programs: what is inside of the loops and branches that hold these variables.
    """

    reach: Mapping[Variable, Dependent] = field(default_factory=dict)
    programs: Mapping[Equation, Sequence[Program]] = field(default_factory=dict)

    def __or__(self, other: KeptZeros) -> KeptZeros:
        return KeptZeros({**self.reach, **other.reach}, {**self.programs, **other.programs})

    def inside(self, equation: Equation, programs: Sequence[Program]) -> KeptZeros:
        """The same, where the programs are inside of an equation."""
        return self | KeptZeros({}, {equation: programs}) if self.reach else self

    @property
    def masks(self) -> list[np.ndarray]:
        """By variable where nothing is put back, a first axis for the columns."""
        return [np.moveaxis(dependent.on, -1, 0) for dependent in self.reach.values()]

    def evaluate(self, loop: Equation, operands: Sequence[Any], masks: Sequence[Any]) -> list[Any]:
        """The results of a loop, for which tangents are to be those of one column.

        Args:
            loop: the loop.
            operands: its operands.
            masks: those of this column.
        """
        by_variable = dict(zip(self.reach, masks, strict=True))

        def run(program: Program, values: Sequence[Any]) -> list[Any]:
            known: dict[Variable, Any] = dict(program.constants)
            known.update(zip(program.inputs, values, strict=True))

            def read(atom: Constant | Variable) -> Any:
                return known[atom] if isinstance(atom, Variable) else np.asarray(atom.value, atom.aval.dtype)

            for equation in program.equations:
                results = evaluate(equation, list(map(read, equation.inputs)))
                for output, result in zip(equation.outputs, results, strict=True):
                    known[output] = _kept(result, by_variable[output]) if output in by_variable else result
            return list(map(read, program.outputs))

        def evaluate(equation: Equation, operands: Sequence[Any]) -> list[Any]:
            if equation not in self.programs:
                return equation.evaluate(operands)
            with equation.surroundings.entered():
                runs = [functools.partial(run, program) for program in self.programs[equation]]
                return _INSIDE[equation.primitive.name](equation.params, runs, operands)

        return evaluate(loop, operands)


@jax.custom_jvp
def _kept(value: Any, mask: Any) -> Any:
    """The value; where the mask is false its tangent is zero."""
    return value


@_kept.defjvp
def _(primals: Any, tangents: Any) -> Any:
    (value, mask), (tangent, _) = primals, tangents
    return value, jnp.where(mask, tangent, jnp.zeros_like(tangent))


_Run = Callable[[Sequence[Any]], list[Any]]


def _scan(params: dict[str, Any], runs: Sequence[_Run], operands: Sequence[Any]) -> list[Any]:
    num_consts, num_carry = scan_counts(params)
    consts, first = operands[:num_consts], operands[num_consts : num_consts + num_carry]

    def step(carried: Sequence[Any], slices: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        results = runs[0]([*consts, *carried, *slices])
        return results[:num_carry], results[num_carry:]

    carried, stacked = lax.scan(
        step,
        list(first),
        list(operands[num_consts + num_carry :]),
        params["length"],
        reverse=params["reverse"],
        unroll=params["unroll"],
    )
    return [*carried, *stacked]


def _while(params: dict[str, Any], runs: Sequence[_Run], operands: Sequence[Any]) -> list[Any]:
    before, consts = params["cond_nconsts"], params["body_nconsts"]
    asked, given = operands[:before], operands[before : before + consts]
    condition = core.jaxpr_as_fun(params["cond_jaxpr"])
    return lax.while_loop(
        lambda carried: condition(*asked, *carried)[0],
        lambda carried: runs[0]([*given, *carried]),
        list(operands[before + consts :]),
    )


def _cond(params: dict[str, Any], runs: Sequence[_Run], operands: Sequence[Any]) -> list[Any]:
    branches = [lambda *values, run=run: run(values) for run in runs]
    return lax.switch(operands[0], branches, *operands[1:])


_INSIDE = {"cond": _cond, "scan": _scan, "while": _while}
