"""Functions with a derivative rule of their own: their values by the rule, given with its derivatives."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax.extend import core

from ..._trace import Program, bind, inline, is_differentiable, with_moving
from ...rules._elementwise import array_type, jvp_program, remembered
from ._expansion import Call, Expressions, NoKernel, kind_of, register
from ._linear_coefficients import NotLinear, linear_coefficients


def _function(call: Call) -> list[Expressions]:
    """The function without its rule."""
    program = inline(call.params["call_jaxpr"])
    return call.expansion.run(program, call.operands, call.moving)[0]


def _differentiable(call: Call) -> list[bool]:
    return [is_differentiable(atom.aval) for atom in call.equation.inputs]


def _types(call: Call) -> list[Any]:
    return [array_type(atom.aval) for atom in call.equation.inputs]


@register("custom_jvp_call")
def _custom_jvp(call: Call) -> list[Expressions]:
    """The rule with fresh tangents, in which its results are linear."""
    if not any(call.moving) or not call.expansion.order:
        return _function(call)
    # A rule that is told which tangents are zero is told what JAX tells it.
    moving = call.moving if call.params["symbolic_zeros"] else _differentiable(call)
    program = jvp_program(call.equation.primitive, call.params, tuple(_types(call)), tuple(moving))
    count = len(call.equation.outputs)
    carriers = [at for at, output in enumerate(call.equation.outputs) if is_differentiable(output.aval)]
    outputs = program.outputs
    types = [output.aval for output in call.equation.outputs]
    if any(found.aval.shape != type.shape for found, type in zip(outputs, types, strict=False)):
        raise NoKernel(
            f"{_rule_of(call)} returns a batch where the function returns one result for all lanes"
        )
    program = replace(program, outputs=(*outputs[:count], *(outputs[count + at] for at in carriers)))
    tangents = fresh_like(call, [atom.aval for atom in itertools.compress(call.equation.inputs, moving)])
    inputs = [*call.operands, *tangents]
    found = call.expansion.run_rule(program, inputs, [*moving, *[False] * len(tangents)])
    results, derivatives = found[:count], found[count:]
    operands, variables = entries_of(itertools.compress(call.operands, moving)), entries_of(tangents)
    for at, derivative in zip(carriers, derivatives, strict=True):
        rows = coefficients(call, _rule_of(call), entries_of([derivative]), variables)
        results[at] = _given(call, results[at], [[(operands[k], c) for k, c in row.items()] for row in rows])
    return results


def _given(call: Call, array: Expressions, rows: Sequence[Sequence[tuple[int, int]]]) -> Expressions:
    """An array, given with pairs of an operand and a partial derivative for every entry."""
    entries = [
        call.expansion.given(x, [operand for operand, _ in row], [partial for _, partial in row])
        for x, row in zip(array.ravel().tolist(), rows, strict=True)
    ]
    return np.array(entries, np.int64).reshape(array.shape)


@register("custom_vjp_call")
def _custom_vjp(call: Call) -> list[Expressions]:
    """The backward rule with fresh cotangents, in which those that it returns are linear."""
    moving = call.moving
    if not any(moving) or not call.expansion.order:
        return _function(call)
    outputs = call.equation.outputs
    carriers = tuple(at for at, output in enumerate(outputs) if is_differentiable(output.aval))
    carried = tuple(array_type(outputs[at].aval) for at in carriers)
    program = _pullback(
        call.equation.primitive, call.params, tuple(_types(call)), tuple(moving), carriers, carried
    )
    cotangents = fresh_like(call, carried)
    found = call.expansion.run_rule(
        program, [*call.operands, *cotangents], [*moving, *[False] * len(cotangents)]
    )
    count = len(outputs)
    results, derivatives = found[:count], found[count:]
    operands = entries_of(itertools.compress(call.operands, moving))
    columns = coefficients(call, _rule_of(call), entries_of(derivatives), entries_of(cotangents))
    partials: list[list[tuple[int, int]]] = [[] for _ in entries_of(cotangents)]
    for operand, column in zip(operands, columns, strict=True):
        for at, partial in column.items():
            partials[at].append((operand, partial))
    rows = iter(partials)
    for at in carriers:
        results[at] = _given(call, results[at], list(itertools.islice(rows, results[at].size)))
    return results


@remembered
def _pullback(
    primitive: core.Primitive,
    params: dict[str, Any],
    types: tuple[Any, ...],
    wanted: tuple[bool, ...],
    carriers: tuple[int, ...],
    cotangents: tuple[Any, ...],
) -> Program:
    """From operands and a cotangent of every result to the results and a cotangent of what moves."""

    def derivative(operands: Sequence[Any], cotangents: Sequence[Any]) -> tuple[Any, Any]:
        def fun(*moving: Any) -> tuple[list[Any], list[Any]]:
            results = bind(primitive, params, with_moving(operands, wanted, moving))
            return [results[at] for at in carriers], results

        _, pull, results = jax.vjp(fun, *itertools.compress(operands, wanted), has_aux=True)
        return results, pull(list(cotangents))

    return inline(jax.make_jaxpr(derivative)(list(types), list(cotangents))).anywhere()


def fresh_like(call: Call, avals: Sequence[Any]) -> list[Expressions]:
    """Arrays of variables that nothing depends on yet."""
    return [call.expansion.fresh(aval.shape, kind_of(aval)) for aval in avals]


def entries_of(arrays: Any) -> list[int]:
    return [x for array in arrays for x in array.ravel().tolist()]


def coefficients(call: Call, what: str, results: list[int], variables: list[int]) -> list[dict[int, int]]:
    """For every result its coefficients by the variables that it depends on, as a rule makes them.

    Raises:
        NoKernel: if a result is not linear; ``what`` says what makes them.
    """
    try:
        return linear_coefficients(call.scalars, results, variables)
    except NotLinear as error:
        raise NoKernel(f"{what} is not seen to be linear: {error}") from None


def _rule_of(call: Call) -> str:
    return f"the derivative rule of '{call.params['call_jaxpr'].jaxpr.debug_info.func_name}'"
