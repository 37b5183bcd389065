"""What is known to be finite: results and derivatives of primitives without poles, at finite numbers.

Where a factor is known to be finite, the zeros of a mask may be multiplied by it. Arguments of a function are
taken for finite, and overflow is left aside.
"""

from __future__ import annotations

import collections
import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jax.extend import core

from .._trace import Constant, Equation, Program, Variable, inline
from ._registry import Blocks

_POLELESS = frozenset(
    """abs add add_any and argmax argmin asinh atan broadcast_in_dim ceil clamp complex concatenate conj
    conv_general_dilated convert_element_type copy copy_p cos cummax cummin cumsum device_put dot_general
    dynamic_slice dynamic_update_slice eq erf erfc expand_dims floor gather ge gt imag iota is_finite
    layout_constraint le logistic lt max min mul name ne neg not one_minus_square optimization_barrier or
    pad pvary real reduce_max reduce_min reduce_precision reduce_sum reduce_window_max reduce_window_min
    reduce_window_sum reshape reshard rev round scatter scatter-add scatter-sub select_n
    sharding_constraint sign sin slice sort split square squeeze stack stop_gradient sub tanh tile top_k
    transpose unstack""".split()
)

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
        inputs: for every input whether it is finite; all are, unless told.
    """

    def __init__(self, program: Program, inputs: Sequence[bool] | None = None) -> None:
        known = program.inputs if inputs is None else itertools.compress(program.inputs, inputs)
        self._variables = {*known, *(variable for variable, _ in program.constants)}

    def after(self, equation: Equation, blocks: Blocks) -> Blocks:
        """Note what an equation makes of its operands, and mark the blocks that are finite with them.

        Args:
            equation: the equation.
            blocks: its blocks, as far as they are wanted; marked already where they are finite at finite
                operands.
        """
        if not all(self.holds(atom) for atom in equation.inputs):
            return _marked(blocks, False)
        if is_poleless(equation):
            blocks = _marked(blocks, True)
        found = [block for row in blocks for block in row if block is not None]
        if (found and all(block.finite for block in found)) or is_poleless(equation):
            self._variables.update(equation.outputs)
        return blocks

    def note(self, equation: Equation) -> None:
        """Note that the results of an equation are finite."""
        self._variables.update(equation.outputs)

    def holds(self, atom: Constant | Variable) -> bool:
        """Whether the value of an atom is known to be finite."""
        return bool(np.isfinite(atom.value)) if isinstance(atom, Constant) else atom in self._variables


def is_poleless(equation: Equation) -> bool:
    """Whether a primitive and its derivatives are finite wherever its operands are."""
    name = equation.primitive.name
    if name == "integer_pow":
        return equation.params["y"] >= 0
    if name == "div":
        divisor = equation.inputs[1]
        return isinstance(divisor, Constant) and divisor.value != 0
    return name in _POLELESS


def zeros_are_spoilt(program: Program) -> bool:
    """Whether zeros of cotangents may meet what is not finite, when they are pulled back in JAX's way.

    So it is where entries are left out of an array that is not known to be finite.
    """
    return _followed(program, True)[0]


def _followed(program: Program, finite: bool) -> tuple[bool, bool]:
    """Whether zeros are spoilt, and whether all outputs are finite.

    Args:
        program: the program.
        finite: whether all inputs are.
    """
    values = FiniteValues(program, [finite] * len(program.inputs))
    readers = collections.defaultdict(list)
    for equation in program.equations:
        known = all(map(values.holds, equation.inputs))
        found = [_through(inner, known) for inner in core.jaxprs_in_params(equation.params)]
        if any(spoilt for spoilt, _ in found):
            return True, False
        if found and known and all(finite for _, finite in found):
            values.note(equation)
        else:
            values.after(equation, [])
        for atom in equation.inputs:
            if not values.holds(atom):
                readers[atom].append(equation)
    spoilt = any(atom not in program.outputs and _leave_out(atom, found) for atom, found in readers.items())
    return spoilt, all(map(values.holds, program.outputs))


def _through(jaxpr: core.Jaxpr, finite: bool) -> tuple[bool, bool]:
    """As :func:`_followed`, for a program that may be a loop's: what is carried is finite if results are."""
    program = inline(core.ClosedJaxpr(jaxpr, jaxpr.constvars))
    spoilt, results = _followed(program, finite)
    return _followed(program, False) if finite and not (spoilt or results) else (spoilt, results)


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


def _marked(blocks: Blocks, finite: bool) -> Blocks:
    return [[block and replace(block, finite=finite) for block in row] for row in blocks]
