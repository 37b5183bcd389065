"""What is known to be finite: results and derivatives of primitives without poles, at finite numbers.

Where a factor is known to be finite, the zeros of a mask may be multiplied by it. Arguments of a function are
taken for finite, and overflow is left aside.
"""

from __future__ import annotations

import collections
import itertools
import math
import operator
from collections.abc import Container, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.extend import core

from .._trace import Atom, Constant, Equation, Program, Variable, inline, is_differentiable, with_moving
from ..sparse import Block
from ._carried import through_steps
from ._linearity import coefficients
from ._poleless import is_poleless
from ._ranges import Ranges
from ._registry import Blocks

# What leaves entries of its operands out: going backwards, it writes zeros.
_LEAVING_OUT = frozenset(
    """clamp dynamic_slice dynamic_update_slice gather reduce_window_max reduce_window_min scatter select_n
    slice top_k""".split()
)
# Of larger arrays it is not followed which entries are read.
_LARGE = 2**16


class FiniteValues:
    """The variables of a program that are known to be finite, as an evaluation comes by them.

    Args:
        program: the program.
        inputs: for every input whether it is finite; all are, unless told. What the program closes over is,
            unless it is seen not to be.
    """

    def __init__(self, program: Program, inputs: Sequence[bool] | None = None) -> None:
        known = program.inputs if inputs is None else itertools.compress(program.inputs, inputs)
        closed_over = [variable for variable, value in program.constants if not _has_gaps(value)]
        self._variables = {*known, *closed_over}
        self._ranges = Ranges(program)

    def note(self, equation: Equation) -> None:
        """Note that the results of an equation are finite."""
        self._variables.update(equation.outputs)

    def of(self, equation: Equation) -> list[bool]:
        """For every operand of an equation whether it is known to be finite."""
        return [self.holds(atom) or _never_taken(atom, equation) for atom in equation.inputs]

    def holds(self, atom: Constant | Variable) -> bool:
        """Whether an atom is known to be finite."""
        if isinstance(atom, Constant):
            return bool(np.isfinite(atom.value))
        return atom in self._variables or not is_differentiable(atom.aval)

    def after(self, equation: Equation, blocks: Blocks) -> Blocks:
        """Note what an equation makes of its operands, and mark the blocks that are finite with them.

        Args:
            equation: the equation.
            blocks: its blocks, as far as they are wanted; marked already where they are finite at finite
                operands.
        """
        operands, poleless = self.of(equation), is_poleless(equation, self._ranges)

        def marked(block: Block, at: int) -> Block:
            finite = (poleless or block.finite) and all(operands[k] for k in coefficients(equation, at))
            return replace(block, finite=finite)

        blocks = [[block and marked(block, at) for at, block in enumerate(row)] for row in blocks]
        found = [block for row in blocks for block in row if block is not None]
        if all(operands) and (poleless or (found and all(block.finite for block in found))):
            self.note(equation)
        return blocks


def finite_in_every_step(
    body: core.ClosedJaxpr, num_consts: int, num_carry: int, inputs: Sequence[bool]
) -> list[bool]:
    """For every input of a loop's body whether it is known to be finite in every step.

    Args:
        body: the body.
        num_consts: how many constants it takes.
        num_carry: how many values it carries.
        inputs: for every input of the loop whether it is, in the order of the body's.
    """
    program = inline(body)

    def results_of(inputs: list[bool]) -> list[bool]:
        values = FiniteValues(program, inputs)
        for equation in program.equations:
            values.after(equation, [])
        return list(map(values.holds, program.outputs))

    return through_steps(inputs, num_consts, num_carry, results_of, operator.and_)[0]


def zeros_are_spoilt(program: Program, active: Container[Variable] | None = None) -> bool:
    """Whether zeros of cotangents may meet what is not finite, when they are pulled back in JAX's way.

    So it is where entries are left out of an array that is not known to be finite.

    Args:
        program: the program; its outputs have cotangents.
        active: the variables that a derivative passes through; all that can carry one if left out.
    """
    return _followed(program, True, active)[0]


def _followed(
    program: Program, finite: bool, active: Container[Variable] | None = None, within_rule: bool = False
) -> tuple[bool, bool]:
    """Whether zeros are spoilt, and whether all outputs are finite.

    Args:
        program: the program.
        finite: whether all inputs are.
        active: as for :func:`zeros_are_spoilt`.
        within_rule: whether it is that of a derivative rule, which may well call the function itself.
    """

    def carries(variable: Variable) -> bool:
        return is_differentiable(variable.aval) if active is None else variable in active

    asked = _asked_about(program)
    values = FiniteValues(program, [finite and variable not in asked for variable in program.inputs])
    readers = collections.defaultdict(list)
    failures = _Failures(program, values)
    for equation in program.equations:
        known = all(values.of(equation))
        failures.follow(equation)
        found = [_through(inner, known) for inner in _differentiated(equation)]
        if any(spoilt for spoilt, _ in found):
            if equation.primitive.name != "custom_jvp_call":
                return True, False
            if not within_rule and _followed(_rule_of(equation), known, within_rule=True)[0]:
                return True, False
            found = []  # the rule is differentiated in its place
        has_poles = equation.primitive.name == "custom_linear_solve"
        if found and known and not has_poles and all(finite for _, finite in found):
            values.note(equation)
        else:
            values.after(equation, [])
        if any(map(carries, equation.outputs)):
            for atom in equation.inputs:
                if not values.holds(atom) and not failures.show(atom, equation):
                    readers[atom].append(equation)
    spoilt = any(atom not in program.outputs and _leave_out(atom, found) for atom, found in readers.items())
    return spoilt, all(map(values.holds, program.outputs))


def equations_without_poles(program: Program) -> tuple[set[Equation], set[Equation]]:
    """The equations whose derivatives are finite where operands are, and those where these are known to be.

    Args:
        program: the program; its inputs are finite.
    """
    ranges, values = Ranges(program), FiniteValues(program)
    poleless, finite = set[Equation](), set[Equation]()
    for equation in program.equations:
        if is_poleless(equation, ranges):
            poleless.add(equation)
            if all(values.of(equation)):
                finite.add(equation)
                values.note(equation)
    return poleless, finite


class _Failures:
    """Values that are finite, but where a factorisation of a single matrix has failed, all of it; and square
    solutions, of which whole rows are not finite.

    What is cut out of a factor that has failed is not finite either: leaving out the rest saves nothing.

    Args:
        program: the program.
        values: what is known to be finite, as far as the program has been followed.
    """

    def __init__(self, program: Program, values: FiniteValues) -> None:
        self._values = values
        self._ranges = Ranges(program)
        self._of: dict[Atom, Equation] = {}
        self._fixed: set[Atom] = {variable for variable, _ in program.constants}

    def follow(self, equation: Equation) -> None:
        """Note what is known of the results of an equation."""
        if all(isinstance(atom, Constant) or atom in self._fixed for atom in equation.inputs):
            self._fixed.update(equation.outputs)
        if _is_factorisation(equation) or _is_square_solution(equation):
            self._of.update(dict.fromkeys(equation.outputs, equation))
            return
        found = {self._of.get(atom) for atom in equation.inputs if not self._values.holds(atom)}
        if len(found) == 1 and (failed := found.pop()) and is_poleless(equation, self._ranges):
            self._of.update(dict.fromkeys(equation.outputs, failed))

    def show(self, atom: Atom, reader: Equation) -> bool:
        """Whether a failure is seen from what an equation takes of a value, if that can fail as a whole."""
        if atom not in self._of:
            return False
        name, inputs = reader.primitive.name, reader.inputs
        if name == "select_n":  # a triangle, or a diagonal
            return isinstance(inputs[0], Constant) or inputs[0] in self._fixed
        return name in ("dynamic_slice", "gather", "slice") and _is_factorisation(self._of[atom])


def _is_factorisation(equation: Equation) -> bool:
    """Whether it is one of a single matrix: where it fails all is NaN, or the last of it."""
    return equation.primitive.name in ("cholesky", "eigh", "lu") and len(equation.inputs[0].aval.shape) == 2


def _is_square_solution(equation: Equation) -> bool:
    solves = equation.primitive.name in ("custom_linear_solve", "triangular_solve", "tridiagonal_solve")
    shape = equation.outputs[0].aval.shape if solves else ()
    return len(shape) == 2 and shape[0] == shape[1]


def _has_gaps(value: Any) -> bool:
    """Whether a closed-over array is seen to hold what is not finite."""
    if isinstance(value, Tracer) or not is_differentiable(value) or np.size(value) > _LARGE:
        return False
    return not bool(np.isfinite(np.asarray(value)).all())


def _asked_about(program: Program) -> set[Variable]:
    """Values of which a program asks whether they are finite, or numbers: they need not be."""

    def asks(equation: Equation) -> bool:
        name, inputs = equation.primitive.name, equation.inputs
        return name == "is_finite" or (name == "ne" and inputs[0] is inputs[1])

    asked = [equation.inputs[0] for equation in program.equations if asks(equation)]
    return {atom for atom in asked if isinstance(atom, Variable)}


def has_no_poles(
    program: Program, active: AbstractSet[Variable] | None = None, *, within_rule: bool = False
) -> bool:
    """Whether all derivatives inside a program are finite, so that zeros that are moved stay zeros.

    Args:
        program: the program; its inputs are finite.
        active: the variables that a derivative passes through; all that can carry one if left out.
        within_rule: whether it is that of a derivative rule, which may well call the function itself.
    """
    ranges, values = Ranges(program), FiniteValues(program)
    closed_over = [variable for variable, _ in program.constants]
    if not all(map(values.holds, closed_over)) or not _asked_about(program).isdisjoint(
        [*program.inputs, *closed_over]
    ):
        return False
    for equation in program.equations:
        carrying = {output for output in equation.outputs if is_differentiable(output.aval)}
        if not (carrying if active is None else carrying & active):
            continue
        of_rule = equation.primitive.name == "custom_jvp_call" and not within_rule
        if of_rule:
            inner = [_rule_of(equation)]
        elif equation.primitive.name in _HOLDING_PROGRAMS:
            inner = [inline(jaxpr) for jaxpr in core.jaxprs_in_params(equation.params)]
        elif is_poleless(equation, ranges):
            continue
        else:
            return False
        if not all(has_no_poles(found, within_rule=within_rule or of_rule) for found in inner):
            return False
    return True


#: Primitives with no more poles than the programs that they hold.
_HOLDING_PROGRAMS = frozenset(("cond", "custom_jvp_call", "scan", "while"))


def _rule_of(equation: Equation) -> Program:
    """The program of a function and its own rule, as a function of operands and their tangents."""
    wanted = [is_differentiable(atom.aval) for atom in equation.inputs]

    def derivative(operands: Sequence[Any], tangents: Sequence[Any]) -> Any:
        def of_moving(*moving: Any) -> list[Any]:
            return equation.evaluate(with_moving(operands, wanted, moving))

        return jax.jvp(of_moving, list(itertools.compress(operands, wanted)), tangents)

    types = [jax.ShapeDtypeStruct(atom.aval.shape, atom.aval.dtype) for atom in equation.inputs]
    return inline(jax.make_jaxpr(derivative)(types, list(itertools.compress(types, wanted))))


def _differentiated(equation: Equation) -> Iterable[core.Jaxpr]:
    """The programs inside an equation that are differentiated; how a linear system is solved is not."""
    params = equation.params
    if equation.primitive.name == "custom_linear_solve":
        params = {"jaxprs": params["jaxprs"].matvec}
    return core.jaxprs_in_params(params)


def _through(jaxpr: core.Jaxpr, finite: bool) -> tuple[bool, bool]:
    """As :func:`_followed`, for a program that may be a loop's: what is carried is finite if results are."""
    program = inline(jaxpr)
    spoilt, results = _followed(program, finite)
    return _followed(program, False) if finite and not (spoilt or results) else (spoilt, results)


def _never_taken(atom: Constant | Variable, equation: Equation) -> bool:
    """Whether an operand is less than everything, and the maximum is taken; or the reverse."""
    least = {"max": -np.inf, "min": np.inf}.get(equation.primitive.name)
    return least is not None and isinstance(atom, Constant) and atom.value == least


def _leave_out(atom: Variable, readers: Sequence[Equation]) -> bool:
    """Whether those who read a value may leave out some of its entries."""
    if any(equation.primitive.name not in _LEAVING_OUT for equation in readers):
        return False
    if any(equation.primitive.name != "slice" for equation in readers) or math.prod(atom.aval.shape) > _LARGE:
        return True
    read = np.zeros(atom.aval.shape, bool)
    for equation in readers:
        starts, limits = equation.params["start_indices"], equation.params["limit_indices"]
        strides = equation.params["strides"] or (1,) * len(starts)
        read[tuple(map(slice, starts, limits, strides))] = True
    return not read.all()
