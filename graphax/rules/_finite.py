"""What is known to be finite: results and derivatives of primitives without poles, at finite numbers.

Where a factor is known to be finite, the zeros of a mask may be multiplied by it. Arguments of a function are
taken for finite, and overflow is left aside.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .._trace import Constant, Equation, Program, Variable
from ._registry import Blocks

_POLELESS = frozenset(
    """abs add add_any and argmax argmin asinh atan broadcast_in_dim ceil clamp complex concatenate conj
    conv_general_dilated convert_element_type copy copy_p cos cummax cummin cumsum device_put dot_general
    dynamic_slice dynamic_update_slice eq erf erfc expand_dims floor gather ge gt imag iota is_finite
    layout_constraint le logistic lt max min mul name ne neg not optimization_barrier or pad pvary real
    reduce_max reduce_min reduce_precision reduce_sum reduce_window_max reduce_window_min reduce_window_sum
    reshape reshard rev round scatter scatter-add scatter-sub select_n sharding_constraint sign sin slice sort
    split square squeeze stack stop_gradient sub tanh tile top_k transpose unstack""".split()
)


class FiniteValues:
    """The variables of a program that are known to be finite, as an evaluation comes by them."""

    def __init__(self, program: Program) -> None:
        self._variables = {*program.inputs, *(variable for variable, _ in program.constants)}

    def after(self, equation: Equation, blocks: Blocks) -> Blocks:
        """Note what an equation makes of its operands, and mark the blocks that are finite with them.

        Args:
            equation: the equation.
            blocks: its blocks, as far as they are wanted; marked already where they are finite at finite
                operands.
        """
        if not all(self._holds(atom) for atom in equation.inputs):
            return _marked(blocks, False)
        if is_poleless(equation):
            blocks = _marked(blocks, True)
        found = [block for row in blocks for block in row if block is not None]
        if (found and all(block.finite for block in found)) or is_poleless(equation):
            self._variables.update(equation.outputs)
        return blocks

    def _holds(self, atom: Constant | Variable) -> bool:
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


def _marked(blocks: Blocks, finite: bool) -> Blocks:
    return [[block and replace(block, finite=finite) for block in row] for row in blocks]
