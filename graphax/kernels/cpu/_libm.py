"""The platform's functions of one number, for the lanes of a vector one after another."""

from __future__ import annotations

from llvmlite import ir

from ._lanes import Lanes, declared


def by_lanes(name: str, *operands: Lanes) -> Lanes:
    """A function of C's library, by its name for float64, of vectors of equal types."""
    first = operands[0]
    builder = first.builder
    call = _loop(builder.module, name, first.type, len(operands))
    return Lanes(builder, builder.call(call, [x.value for x in operands]))


def _loop(module: ir.Module, name: str, type_: ir.Type, arity: int) -> ir.Function:
    """The function of vectors, out of line: a loop over lanes."""
    vector = isinstance(type_, ir.VectorType)
    scalar = type_.element if vector else type_
    symbol = name + "f" * isinstance(scalar, ir.FloatType)
    function = declared(module, symbol, ir.FunctionType(scalar, [scalar] * arity))
    if not vector:
        return function
    full_name = f"lanes.{symbol}.{type_.count}"
    found = module.globals.get(full_name)
    if found is not None:
        return found
    found = ir.Function(module, ir.FunctionType(type_, [type_] * arity), full_name)
    found.linkage = "internal"
    for attribute in ("noinline", "cold", "nounwind"):
        found.attributes.add(attribute)
    start = found.append_basic_block("start")
    body = found.append_basic_block("lane")
    end = found.append_basic_block("end")
    builder = ir.IRBuilder(start)
    index_type = ir.IntType(32)
    builder.branch(body)
    builder.position_at_end(body)
    index = builder.phi(index_type)
    result = builder.phi(type_)
    value = builder.call(function, [builder.extract_element(x, index) for x in found.args])
    next_result = builder.insert_element(result, value, index)
    next_index = builder.add(index, index_type(1))
    index.add_incoming(index_type(0), start)
    index.add_incoming(next_index, body)
    result.add_incoming(ir.Constant(type_, [0.0] * type_.count), start)
    result.add_incoming(next_result, body)
    builder.cbranch(builder.icmp_signed("<", next_index, index_type(type_.count)), body, end)
    builder.position_at_end(end)
    builder.ret(next_result)
    return found
