"""Primitives without poles: results and derivatives are finite at finite numbers, overflow aside."""

from __future__ import annotations

from .._trace import Constant, Equation

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


def is_poleless(equation: Equation) -> bool:
    """Whether a primitive and its derivatives are finite wherever its operands are."""
    name = equation.primitive.name
    if name == "integer_pow":
        return equation.params["y"] >= 0
    if name == "div":
        divisor = equation.inputs[1]
        return isinstance(divisor, Constant) and divisor.value != 0
    return name in _POLELESS
