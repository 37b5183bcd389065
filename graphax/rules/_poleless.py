"""What has no poles: results and derivatives are finite at finite numbers, overflow of products aside."""

from __future__ import annotations

from collections.abc import Callable

from .._trace import Equation
from ._ranges import Range, Ranges

_POLELESS = frozenset(
    """abs add add_any and argmax argmin asinh atan broadcast_in_dim ceil clamp complex concatenate conj
    conv_general_dilated convert_element_type copy copy_p cos cummax cummin cumsum device_put
     dot_general
    dynamic_slice dynamic_update_slice eq erf erfc expand_dims fft floor gather ge gt imag iota is_finite
    layout_constraint le logistic lt max min mul name ne neg not one_minus_square optimization_barrier or
    pad pvary real reduce_max reduce_min reduce_precision reduce_sum reduce_window_max reduce_window_min
    reduce_window_sum reshape reshard rev round scatter scatter-add scatter-sub select_n
    sharding_constraint sign sin slice sort split square squeeze stack stop_gradient sub tanh tile top_k
    transpose unstack""".split()
)


# So near to a pole nothing is called finite; nor beyond so much are exponentials, in the narrowest of types.
_NEAR, _FAR = 1e-6, 10.0


def _above(pole: float) -> Callable[[Range], bool]:
    return lambda operand: operand.low >= pole + _NEAR


def _below_the_largest(operand: Range) -> bool:
    return operand.high <= _FAR


def _inside_of_one(operand: Range) -> bool:
    return -1 + _NEAR <= operand.low and operand.high <= 1 - _NEAR


def _is_no_zero(operand: Range) -> bool:
    return operand.low >= _NEAR or operand.high <= -_NEAR


#: Where functions of one operand have no poles.
_WHERE: dict[str, Callable[[Range], bool]] = {
    "acos": _inside_of_one,
    "acosh": _above(1.0),
    "asin": _inside_of_one,
    "atanh": _inside_of_one,
    "cbrt": _is_no_zero,
    "cosh": lambda operand: max(map(abs, operand)) <= _FAR,
    "exp": _below_the_largest,
    "exp2": _below_the_largest,
    "expm1": _below_the_largest,
    "log": _above(0.0),
    "log1p": _above(-1.0),
    "rsqrt": _above(0.0),
    "sinh": lambda operand: max(map(abs, operand)) <= _FAR,
    "sqrt": _above(0.0),
}


def is_poleless(equation: Equation, ranges: Ranges) -> bool:
    """Whether results and derivatives of an equation are finite wherever its operands are.

    Args:
        equation: the equation.
        ranges: those of the program that it stands in.
    """
    name, inputs = equation.primitive.name, equation.inputs
    if name in _POLELESS:
        return True
    if name == "integer_pow":
        return equation.params["y"] >= 0 or _is_no_zero(ranges.of(inputs[0]))
    if name in ("div", "rem"):
        divisor = ranges.of(inputs[1])
        return _is_no_zero(divisor) or (divisor.low == divisor.high != 0)
    if name == "pow":
        base, exponent = map(ranges.of, inputs)
        rooted = base.low >= 0 and exponent.low == exponent.high >= 1
        return rooted or (base.low >= _NEAR and max(map(abs, exponent)) <= _FAR)
    return name in _WHERE and _WHERE[name](ranges.of(inputs[0]))
