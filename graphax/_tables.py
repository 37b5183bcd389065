"""Which closed-over arrays decide which entries of others meet: tables of indices and selections.

A value is *known* if it depends on nothing but literals and closed-over arrays, and *decides* if it is, or
goes into, an operand that no derivative passes through of an equation whose other operands are not known: an
index or a predicate. Loops, branches and custom functions are looked into.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Sequence
from typing import Any

from jax.core import Tracer
from jax.extend import core

from ._trace import Atom, Constant, Equation, Program, Variable, inline, is_differentiable, scan_counts
from .rules._carried import through_steps


def tables(program: Program, active: frozenset[Variable] | None) -> list[tuple[Variable, Any]]:
    """The closed-over arrays that decide, with their values.

    Args:
        program: the program.
        active: the variables that carry a derivative; None if that is not known.
    """
    values = {variable: value for variable, value in program.constants if not isinstance(value, Tracer)}
    if not values:
        return []
    _, deciding = _follow(program, values, (), active)
    return [(variable, value) for variable, value in values.items() if variable in deciding]


def _follow(
    program: Program, known: Iterable[Atom], asked: Iterable[Atom], active: frozenset[Variable] | None = None
) -> tuple[set[Atom], set[Atom]]:
    """What is known in a program, and what of it decides.

    Args:
        program: the program.
        known: the inputs and constants that are known.
        asked: results that decide if they are known.
        active: the variables that carry a derivative; None if that is not known.
    """
    found = set(known)
    sources: dict[Atom, Equation] = {}
    wanted: list[Atom] = []
    for equation in program.equations:
        given = [isinstance(atom, Constant) or atom in found for atom in equation.inputs]
        if all(given):
            found.update(equation.outputs)
            sources.update(dict.fromkeys(equation.outputs, equation))
        elif any(given) and (active is None or not active.isdisjoint(equation.outputs)):
            wanted += [equation.inputs[at] for at in _deciding_operands(equation, given)]
    wanted += asked
    deciding: set[Atom] = set()
    while wanted:
        atom = wanted.pop()
        if atom in found and atom not in deciding:
            deciding.add(atom)
            wanted += sources[atom].inputs if atom in sources else ()
    return found, deciding


def _deciding_operands(equation: Equation, given: Sequence[bool]) -> Iterable[int]:
    """The positions of the operands that decide, if they are known."""
    name, params = equation.primitive.name, equation.params
    if name == "scan":
        return _of_loop(params["jaxpr"], *scan_counts(params), given)
    if name == "while":
        first, consts = params["cond_nconsts"], params["body_nconsts"]
        body = given[first:]
        found = _of_loop(params["body_jaxpr"], consts, len(body) - consts, body)
        return [first + at for at in found]
    if name == "cond":
        found = {at for branch in params["branches"] for at in _of_body(branch, given[1:])}
        return [0, *(1 + at for at in found)]
    held = params.get("call_jaxpr")
    if isinstance(held, core.ClosedJaxpr) and len(held.in_avals) == len(given):
        return _of_body(held, given)
    return [at for at, atom in enumerate(equation.inputs) if not is_differentiable(atom.aval)]


def _of_body(closed: core.ClosedJaxpr, given: Sequence[bool]) -> Iterable[int]:
    return _of_loop(closed, len(given), 0, given)


def _of_loop(
    closed: core.ClosedJaxpr, num_consts: int, num_carry: int, given: Sequence[bool]
) -> Iterable[int]:
    """The inputs of a loop's body that decide in some step.

    A carried value is known if its initial value is and a step makes it from what is known.
    """
    program = inline(closed)
    constants = [variable for variable, _ in program.constants]

    def known(given: Sequence[bool]) -> list[Atom]:
        return [*constants, *itertools.compress(program.inputs, given)]

    def results_of(given: Sequence[bool]) -> list[bool]:
        found, _ = _follow(program, known(given), ())
        return [isinstance(result, Constant) or result in found for result in program.outputs]

    given, _ = through_steps(given, num_consts, num_carry, results_of, operator.and_)
    carries = program.inputs[num_consts : num_consts + num_carry]
    asked: set[Atom] = set()
    while True:
        _, deciding = _follow(program, known(given), asked)
        more = {
            result for carry, result in zip(carries, program.outputs, strict=False) if carry in deciding
        } - asked
        if not more:
            return [at for at, variable in enumerate(program.inputs) if variable in deciding]
        asked |= more
