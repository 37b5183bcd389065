"""Kernels within a program that becomes one itself."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from ..._trace import Program, inline
from ...rules._elementwise import array_type
from .._primitive import Kernel, kernel_p, plain_form
from .._program import Body, Instructions, ScalarProgram
from .._scalars import Loop, Scalars
from ._expansion import Call, Expressions, register


@register(kernel_p.name)
def _kernel(call: Call) -> list[Expressions]:
    """Its instructions, or what they come from if that is differentiated."""
    kernel, batch, mapped = (call.params[name] for name in ("kernel", "batch", "mapped"))
    if any(call.moving) and call.expansion.order:
        types = tuple(array_type(atom.aval) for atom in call.equation.inputs)
        return call.expansion.run(_traced(kernel, batch, mapped, types), call.operands, call.moving)[0]
    rows = []
    for place in np.ndindex(*batch):
        call.expansion.allow(len(kernel.program))
        own = [
            operand[tuple(itertools.compress(place, flags))]
            for operand, flags in zip(call.operands, mapped, strict=True)
        ]
        rows.append(_instructions(call.scalars, kernel.program, own))
    return [
        np.array([row[at] for row in rows], np.int64).reshape(output.aval.shape)
        for at, output in enumerate(call.equation.outputs)
    ]


def _instructions(
    scalars: Scalars, program: ScalarProgram, operands: Sequence[Expressions]
) -> list[list[int]]:
    """The entries of the results of a program for other operands."""
    flat = [operand.ravel().tolist() for operand in operands]
    found = _followed(scalars, program, {"input": lambda operand, offset: flat[operand][offset]})
    return [[found[x] for x in result.entries] for result in program.results]


def _followed(scalars: Scalars, block: Instructions, known: dict[str, Callable[..., int]]) -> list[int]:
    """The expressions of instructions, and of every loop its number."""
    found: list[int] = []
    for x, (op, args, kind) in enumerate(block):
        if op in known:
            found.append(known[op](*args))
        elif op == "const":
            found.append(scalars.const(args[0], kind))
        elif op == "loop":
            found.append(_loop(scalars, block.bodies[x], [found[y] for y in args]))
        elif op == "last":
            found.append(scalars.last(found[args[0]], args[1]))
        else:
            found.append(scalars.operation(op, [found[y] for y in args], kind))
    return found


def _loop(scalars: Scalars, body: Body, given: list[int]) -> int:
    """The number of a loop with the steps of another, that is given other expressions."""
    count, number = len(body.after), len(scalars.loops)
    loop = Loop(body.length, given[:count])
    scalars.loops.append(loop)
    loop.own = count
    outside = given[count:]
    found = _followed(
        scalars, body, {"carry": lambda place: scalars.carry(number, place), "outside": outside.__getitem__}
    )
    loop.after = [found[x] for x in body.after]
    return number


@functools.lru_cache(maxsize=256)
def _traced(kernel: Kernel, batch: tuple[int, ...], mapped: Any, types: tuple[Any, ...]) -> Program:
    """The operations on arrays that a kernel comes from."""
    return inline(jax.make_jaxpr(plain_form(kernel, batch, mapped))(*types)).anywhere()
