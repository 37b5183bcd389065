"""Elementary functions as LLVM functions of vectors, of every width.

Results are within 1 unit in the last place in float64 and 1.5 in float32, over the whole range, with numbers
below the normal ones, infinities, NaN and signs of zeros as Annex F of the C standard has them. (Where a
processor is set to flush numbers below the normal ones, they are zero, and those next to them within 1.5.)
The platform's functions are called for ``rem``, and for angles too large to be reduced here. On processors
without fused products the platform's ``fma`` stands for them: results are as near, and slow.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from llvmlite import ir

from . import _error_functions, _exponentials, _trigonometric
from ._lanes import FORMATS, Kind, Lanes

_FUNCTIONS: dict[str, Callable[..., Lanes | tuple[Lanes, ...]]] = {
    "sin": _trigonometric.sin,
    "cos": _trigonometric.cos,
    "sincos": _trigonometric.sincos,
    "tan": _trigonometric.tan,
    "asin": _trigonometric.asin,
    "acos": _trigonometric.acos,
    "atan": _trigonometric.atan,
    "atan2": _trigonometric.atan2,
    "exp": _exponentials.exp,
    "exp2": _exponentials.exp2,
    "expm1": _exponentials.expm1,
    "sinh": _exponentials.sinh,
    "cosh": _exponentials.cosh,
    "tanh": _exponentials.tanh,
    "log": _exponentials.log,
    "log1p": _exponentials.log1p,
    "asinh": _exponentials.asinh,
    "acosh": _exponentials.acosh,
    "atanh": _exponentials.atanh,
    "pow": _exponentials.pow,
    "erf": _error_functions.erf,
    "erfc": _error_functions.erfc,
    "cbrt": _exponentials.cbrt,
    "rem": Lanes.__mod__,
}
#: The functions of one or two numbers that :func:`define` knows, "sincos" apart.
COVERED: frozenset[str] = frozenset(_FUNCTIONS) - {"sincos"}


def define(module: ir.Module, name: str, kind: Kind, width: int) -> ir.Function:
    """A function of vectors, defined in a module when it is asked for first.

    Args:
        module: where it is defined, for that module alone.
        name: one of ``COVERED``, or "sincos", whose result is a structure of both.
        kind: of the numbers: "f4" or "f8".
        width: how many numbers a vector has; 1 for a function of scalars.

    Returns:
        a function of one vector, or of two for "pow" (base, exponent), "atan2" (y, x) and "rem".
    """
    full_name = f"{name}.{kind}.{width}"
    found = module.globals.get(full_name)
    if found is not None:
        return found
    body = _FUNCTIONS[name]
    arity = len(inspect.signature(body).parameters)
    scalar = FORMATS[kind].scalar
    type_ = scalar if width == 1 else ir.VectorType(scalar, width)
    returned = ir.LiteralStructType([type_, type_]) if name == "sincos" else type_
    function = ir.Function(module, ir.FunctionType(returned, [type_] * arity), full_name)
    function.linkage = "internal"
    function.attributes.add("nounwind")
    function.attributes.add("readnone")
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    result = body(*(Lanes(builder, argument) for argument in function.args))
    if isinstance(result, Lanes):
        builder.ret(result.value)
    else:
        builder.ret(_structure(builder, returned, result))
    return function


def _structure(builder: ir.IRBuilder, type_: ir.Type, parts: tuple[Lanes, ...]) -> ir.Value:
    value: ir.Value = ir.Constant(type_, ir.Undefined)
    for index, part in enumerate(parts):
        value = builder.insert_value(value, part.value, index)
    return value
