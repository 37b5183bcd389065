"""Kernels within a program that becomes one itself."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ..._trace import Program, inline
from ...rules._elementwise import array_type
from .._primitive import Kernel, kernel_p, plain_form
from .._program import ScalarProgram
from .._scalars import Scalars
from ._expansion import Call, Expressions, register


@register(kernel_p.name)
def _kernel(call: Call) -> list[Expressions]:
    """Its instructions, or what they come from if that is differentiated or has loops."""
    kernel, batch, mapped = (call.params[name] for name in ("kernel", "batch", "mapped"))
    if (any(call.moving) and call.expansion.order) or kernel.program.bodies:
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
    found: list[int] = []
    for op, args, kind in program:
        if op == "input":
            found.append(flat[args[0]][args[1]])
        elif op == "const":
            found.append(scalars.const(args[0], kind))
        else:
            found.append(scalars.operation(op, [found[x] for x in args], kind))
    return [[found[x] for x in result.entries] for result in program.results]


@functools.lru_cache(maxsize=256)
def _traced(kernel: Kernel, batch: tuple[int, ...], mapped: Any, types: tuple[Any, ...]) -> Program:
    """The operations on arrays that a kernel comes from."""
    return inline(jax.make_jaxpr(plain_form(kernel, batch, mapped))(*types)).anywhere()
