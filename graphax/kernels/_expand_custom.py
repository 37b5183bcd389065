"""Functions with a derivative rule of their own: their values by the rule, given with its derivatives."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from .._trace import Program, bind, inline, is_differentiable, with_moving
from ..rules._elementwise import array_type, jvp_program, remembered
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
    tangents = fresh_like(call, [atom.aval for atom in itertools.compress(call.equation.inputs, moving)])
    inputs = [*call.operands, *tangents]
    found = call.expansion.run_rule(program, inputs, [*moving, *[False] * len(tangents)])
    count = len(call.equation.outputs)
    results, derivatives = found[:count], found[count:]
    operands = entries_of(itertools.compress(call.operands, moving))
    variables = entries_of(tangents)
    return [
        _with_partials(call, result, derivative, variables, operands)
        if is_differentiable(output.aval)
        else result
        for result, derivative, output in zip(results, derivatives, call.equation.outputs, strict=True)
    ]


def _with_partials(
    call: Call, result: Expressions, derivative: Expressions, variables: list[int], operands: list[int]
) -> Expressions:
    """The results, given with the coefficients of their tangents."""
    expansion, rows = call.expansion, coefficients(call, _rule_of(call), entries_of([derivative]), variables)
    entries = [
        expansion.given(x, [operands[at] for at in row], list(row.values()))
        for x, row in zip(result.ravel().tolist(), rows, strict=True)
    ]
    return np.array(entries, np.int64).reshape(result.shape)


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
    partials: list[dict[int, int]] = [{} for _ in entries_of(cotangents)]
    for operand, column in zip(operands, columns, strict=True):
        for at, partial in column.items():
            partials[at][operand] = (
                call.scalars.add(partials[at][operand], partial) if operand in partials[at] else partial
            )
    rows = iter(partials)
    for at in carriers:
        entries = [
            call.expansion.given(x, list(row), list(row.values()))
            for x, row in zip(results[at].ravel().tolist(), rows, strict=False)
        ]
        results[at] = np.array(entries, np.int64).reshape(results[at].shape)
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
