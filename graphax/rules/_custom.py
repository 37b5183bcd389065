"""Functions with a derivative rule of their own: `jax.custom_jvp` and `jax.custom_vjp`.

The rule stands for the function wherever it is differentiated, its results for the function's, so that a
second derivative goes on with the rule's program, as in JAX. A rule that is not linear is no Jacobian.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend import core

from .._trace import Equation, Program, holds, inline, is_differentiable, with_moving
from ._batched import register_batched
from ._complex import touches_complex
from ._dense import dense_rule
from ._dependence import by_jvp
from ._elementwise import (
    NotElementwise,
    array_type,
    derivative_program,
    elementwise,
    entrywise_block,
    jvp_program,
    partial_derivatives,
)
from ._linearity import is_linear
from ._registry import Blocks, Call, Inexpressible, Inputs, Jacobians, register_dependence

#: So many times fewer results than arguments are pulled back by a rule, as dense rows.
_FEW = 8


@register_batched("custom_jvp_call")
def _custom_jvp(call: Call) -> tuple[list[Any], Blocks]:
    """Diagonal where the rule turns out to be elementwise in the tangents; else the rule is eliminated."""
    call = _with_all_tangents(call)
    program = derivative_program(call)
    count, first = call.num_results, len(call.operands)
    types = _result_types(call)
    if any(given.aval.shape != kind.shape for given, kind in zip(program.outputs, types, strict=False)):
        raise Inexpressible(
            f"the rule of '{_name(call)}' (jax.custom_jvp) returns a batch where the function returns one "
            "result for all lanes of a vmap",
            "let the result of the function depend on every argument that its derivative depends on",
        )
    tangents = range(first, len(program.inputs))
    if not is_linear(program, tangents, range(count, len(program.outputs))):
        raise _not_linear(call, "rule", "jax.custom_jvp", "tangents")
    if touches_complex(call, types):
        return _by_rule(call, program) if call.sparse else dense_rule(call)
    try:
        return elementwise(call, program)
    except NotElementwise:
        few = _FEW * sum(math.prod(kind.shape) for kind in types) <= sum(
            math.prod(np.shape(call.operands[at])) for at in call.moving
        )
        return dense_rule(call) if few else _by_rule(call, program)


def _by_rule(call: Call, program: Program) -> tuple[list[Any], Blocks]:
    """The Jacobians of a rule, which is linear, with respect to its tangents."""
    count, tangents = call.num_results, [lax.full_like(call.operands[at], 0) for at in call.moving]
    values = [*call.operands, *tangents]
    results, rows = _named(call)(
        jax.make_jaxpr(program)(*values),
        values,
        [False] * len(call.operands) + [True] * len(tangents),
        [at >= count for at in range(len(program.outputs))],
        call.finite and [*call.finite, *[True] * len(tangents)],
        [*call.all_certain(), *[None] * len(tangents)],
    )
    columns = dict(zip(call.moving, range(len(call.operands), len(values)), strict=True))
    return results[:count], [call.row(lambda at, row=row: row[columns[at]]) for row in rows[count:]]


def _named(call: Call) -> Jacobians:
    return call.jacobians if call.jacobians.named else call.jacobians.by("auto")


@register_batched("custom_vjp_call")
def _custom_vjp(call: Call) -> tuple[list[Any], Blocks]:
    """Diagonal where the rule turns out to be elementwise in the cotangents; else the rule is eliminated."""
    call = _with_all_tangents(call)
    types = _result_types(call)
    carriers = [at for at, kind in enumerate(types) if is_differentiable(kind)]

    def fun(*moving: Any) -> tuple[list[Any], list[Any]]:
        results = call.with_moving(call.operands, moving).evaluate()
        return [results[at] for at in carriers], results

    moving = [call.operands[at] for at in call.moving]
    values, pull, results = jax.vjp(fun, *moving, has_aux=True)
    backward = jax.make_jaxpr(pull)(values)
    program = inline(backward)
    if not is_linear(program, range(len(program.inputs)), range(len(program.outputs))):
        raise _not_linear(call, "backward rule", "jax.custom_vjp", "cotangents")
    if touches_complex(call, types):
        return dense_rule(call)
    if len(types) == 1 and {np.shape(operand) for operand in moving} == {types[0].shape}:
        try:
            return results, _entrywise(call, program, types[0].shape)
        except NotElementwise:
            pass
    return results, _pulled(call, backward, carriers, values)


def _entrywise(call: Call, backward: Program, shape: tuple[int, ...]) -> Blocks:
    _, partials = partial_derivatives(backward, (), (), 0)
    found = dict(zip(call.moving, partials, strict=True))
    return [call.row(lambda at: entrywise_block(shape, shape, found[at][0]) if found[at] else None)]


def _pulled(call: Call, backward: core.ClosedJaxpr, carriers: Sequence[int], values: Sequence[Any]) -> Blocks:
    """The Jacobians of a backward rule, which is linear, with respect to its cotangents, transposed."""
    cotangents = [lax.full_like(value, 0) for value in values]
    _, rows = _named(call)(backward, cotangents, [True] * len(cotangents))
    blocks: Blocks = [[None] * len(call.operands) for _ in range(call.num_results)]
    for at, row in zip(call.moving, rows, strict=True):
        for carrier, block in zip(carriers, row, strict=True):
            blocks[carrier][at] = block and block.T
    return blocks


@register_dependence("custom_jvp_call")
def _jvp_dependence(equation: Equation, operands: Sequence[Inputs]) -> list[Inputs]:
    """As the rule has it; a tangent that is always there, and not zero, is for the rule to refuse."""
    found = by_jvp(equation, operands)
    if not any(operands) or all(found):
        return found
    types = tuple(array_type(atom.aval) for atom in equation.inputs)
    try:
        program = jvp_program(equation.primitive, equation.params, types, tuple(map(bool, operands)))
    except Exception:  # whatever the rules of others raise; whoever differentiates it will see
        return found
    tangents, count = range(len(types), len(program.inputs)), len(found)
    every: Inputs = frozenset().union(*operands)
    return [
        inputs if inputs or is_linear(program, tangents, [count + at]) else every
        for at, inputs in enumerate(found)
    ]


def _with_all_tangents(call: Call) -> Call:
    """A rule that is told which tangents are zero is told what JAX tells it, whatever is needed of it."""
    return replace(call, wanted=call.reached) if call.params["symbolic_zeros"] else call


def as_differentiated(closed: core.ClosedJaxpr, wanted: Sequence[bool]) -> Callable[..., list[Any]]:
    """A program as a function whose results are those of the rules inside it, as in JAX's modes.

    Args:
        closed: the program.
        wanted: for every input whether it is differentiated.
    """
    fun = core.jaxpr_as_fun(closed)
    if not any(wanted) or not holds(closed.jaxpr, ("custom_jvp_call", "custom_vjp_call")):
        return fun

    def evaluate(*values: Any) -> list[Any]:
        def of_moving(*moving: Any) -> tuple[tuple[()], list[Any]]:
            return (), fun(*with_moving(values, wanted, moving))

        moving = [value for value, want in zip(values, wanted, strict=True) if want]
        if holds(closed.jaxpr, ("custom_vjp_call",)):
            return jax.vjp(of_moving, *moving, has_aux=True)[2]
        return jax.jvp(of_moving, moving, [lax.full_like(value, 0) for value in moving], has_aux=True)[2]

    return evaluate


def _not_linear(call: Call, rule: str, decorator: str, arguments: str) -> Inexpressible:
    return Inexpressible(
        f"the {rule} of '{_name(call)}' ({decorator}) is not seen to be linear in its {arguments}",
        f"let it return sums of {arguments}, times what does not depend on them",
    )


def _name(call: Call) -> str:
    return call.params["call_jaxpr"].jaxpr.debug_info.func_name


def _result_types(call: Call) -> Sequence[Any]:
    return call.params["call_jaxpr"].out_avals
