"""Functions of real numbers by the platform's C library, one row after the other."""

from __future__ import annotations

import llvmlite.ir as ir

_BINARY = frozenset({"pow", "atan2", "rem"})


def define(module: ir.Module, name: str, kind: str, width: int) -> ir.Function:
    """A function of a vector in a module, or of a scalar for width one.

    Args:
        module: where it is defined.
        name: its name, which begins with the operation.
        kind: ``"f4"`` or ``"f8"``.
        width: how many numbers it takes.
    """
    op = name.split(".")[0]
    scalar = ir.FloatType() if kind == "f4" else ir.DoubleType()
    wide = scalar if width == 1 else ir.VectorType(scalar, width)
    arguments = 2 if op in _BINARY else 1
    library = ("fmod" if op == "rem" else op) + ("f" if kind == "f4" else "")
    called = ir.Function(module, ir.FunctionType(scalar, [scalar] * arguments), library)
    function = ir.Function(module, ir.FunctionType(wide, [wide] * arguments), name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    if width == 1:
        builder.ret(builder.call(called, function.args))
        return function
    result = ir.Constant(wide, ir.Undefined)
    for place in range(width):
        index = ir.Constant(ir.IntType(32), place)
        entries = [builder.extract_element(x, index) for x in function.args]
        result = builder.insert_element(result, builder.call(called, entries), index)
    builder.ret(result)
    return function
