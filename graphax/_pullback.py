"""Pull cotangents back through a program: reverse accumulation on blocks.

Blocks remember what structures and selections leave out, so that it stays zero whatever it meets. Scans are
pulled back step by step, from the last to the first, with what every step finds carried kept from a first
pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax
from jax import lax
from jax.extend import core

from ._linearize import linearize
from ._numbering import Edge, Numbering, number_vertices
from ._trace import Atom, Equation, Variable, inline, is_differentiable, varying_as
from .rules import follow_loop, scan_counts, zeros_are_spoilt
from .sparse import Block, dense_block

#: Of every differentiated output, or None for zeros.
Cotangents = Sequence[Any]


def pulled_back(
    numbering: Numbering, values: Sequence[Any], several: Sequence[Cotangents]
) -> tuple[list[Any], list[list[Any]]]:
    """Evaluate a program, and pull cotangents back through it. Its variables are real.

    Args:
        numbering: the numbered program.
        values: one array for every input.
        several: the cotangents, any number of times.

    Returns:
        the values of the outputs, and for each of ``several`` the cotangents of the differentiated inputs.
    """
    program = numbering.program
    loops = [
        equation
        for equation, wanted in zip(program.equations, numbering.wanted, strict=True)
        if equation.primitive.name == "scan" and any(wanted)
    ]
    read = tuple(atom for loop in loops for atom in loop.inputs)
    wanted = tuple(
        (False,) * len(row) if equation in loops else row
        for equation, row in zip(program.equations, numbering.wanted, strict=True)
    )
    extended = replace(program, outputs=(*program.outputs, *read))
    results, edges = linearize(replace(numbering, program=extended, wanted=wanted), values, "reverse")
    found = iter(results[len(program.outputs) :])
    operands = {loop: [next(found) for _ in loop.inputs] for loop in loops}
    pulled = [_sweep(numbering, edges, operands, cotangents) for cotangents in several]
    return results[: len(program.outputs)], pulled


def _sweep(
    numbering: Numbering,
    edges: Mapping[Edge, Block],
    operands: Mapping[Equation, Sequence[Any]],
    cotangents: Cotangents,
) -> list[Any]:
    program = numbering.program
    rows: dict[int, Block] = {}

    def node(atom: Atom) -> int:
        assert isinstance(atom, Variable)  # constants carry no derivative
        return numbering.number[atom]

    def add(atom: Atom, row: Block) -> None:
        at = node(atom)
        rows[at] = rows[at].plus(row, sparse=False) if at in rows else row

    for atom, cotangent in zip(program.outputs, cotangents, strict=False):
        if atom in numbering.active and cotangent is not None:
            add(atom, dense_block(cotangent, (), atom.aval.shape))
    for equation, wanted in zip(reversed(program.equations), reversed(numbering.wanted), strict=True):
        active = [output for output in equation.outputs if output in numbering.active]
        arrived = {output: rows.pop(node(output)) for output in active if node(output) in rows}
        if not arrived:
            continue
        if equation in operands:
            arrays = [_dense(arrived.get(output), output.aval) for output in equation.outputs]
            pulled = _through_loop(equation, operands[equation], wanted, arrays)
            for atom, array in zip(itertools.compress(equation.inputs, wanted), pulled, strict=True):
                add(atom, dense_block(array, (), atom.aval.shape))
            continue
        for atom in dict.fromkeys(itertools.compress(equation.inputs, wanted)):
            for output, row in arrived.items():
                edge = edges.get((node(atom), node(output)))
                if edge is not None:
                    add(atom, row.compose(edge, sparse=False))
    inputs = [program.inputs[at] for at in numbering.wrt]
    return [_dense(rows.get(node(variable)), variable.aval) for variable in inputs]


def _dense(row: Block | None, aval: Any) -> Any:
    if not is_differentiable(aval):
        return None
    return lax.full(aval.shape, 0, aval.dtype) if row is None else row.todense(aval.dtype)


def _through_loop(
    equation: Equation, operands: Sequence[Any], wanted: Sequence[bool], cotangents: Cotangents
) -> list[Any]:
    """From cotangents of the results of a scan to those of its wanted operands."""
    pull = _by_blocks if zeros_are_spoilt(inline(equation.params["jaxpr"])) else _by_jax
    return pull(equation, operands, wanted, varying_as(cotangents, *operands))


def _by_jax(
    equation: Equation, operands: Sequence[Any], wanted: Sequence[bool], cotangents: Cotangents
) -> list[Any]:
    carriers = [at for at, output in enumerate(equation.outputs) if is_differentiable(output.aval)]

    def loop(*moving: Any) -> list[Any]:
        remaining = iter(moving)
        given = [next(remaining) if want else x for want, x in zip(wanted, operands, strict=True)]
        results = equation.evaluate(given)
        return [results[at] for at in carriers]

    _, pull = jax.vjp(loop, *(x for want, x in zip(wanted, operands, strict=True) if want))
    return list(pull([cotangents[at] for at in carriers]))


def _by_blocks(
    equation: Equation, operands: Sequence[Any], wanted: Sequence[bool], cotangents: Cotangents
) -> list[Any]:
    body, reverse = equation.params["jaxpr"], equation.params["reverse"]
    num_consts, num_carry = scan_counts(equation.params)
    end = num_consts + num_carry
    consts, start, slices = operands[:num_consts], operands[num_consts:end], operands[end:]
    sources = [frozenset([at]) if want else frozenset() for at, want in enumerate(wanted)]
    moving = [at for at, inputs in enumerate(follow_loop(body, num_consts, num_carry, sources)) if inputs]
    numbering = number_vertices(inline(body), moving, len(body.out_avals))
    fixed = [at for at in moving if at < num_consts]
    carried = [at for at in moving if num_consts <= at < end]
    sliced = [at for at in moving if at >= end]

    def forward(state: Any, values: Any) -> Any:
        results = core.jaxpr_as_fun(body)(*consts, *state, *values)
        return results[:num_carry], state

    def backward(rows: Any, values: Any) -> Any:
        by_fixed, by_carried = rows
        state, slices, by_results = values
        seeds = [by_carried.get(at + num_consts) for at in range(num_carry)] + by_results
        _, (pulled,) = pulled_back(numbering, [*consts, *state, *slices], [seeds])
        found = dict(zip(moving, pulled, strict=True))
        by_fixed = {at: lax.add(row, found[at]) for at, row in by_fixed.items()}
        return (by_fixed, {at: found[at] for at in carried}), {at: found[at] for at in sliced}

    length = equation.params["length"]
    _, states = lax.scan(forward, list(start), list(slices), length, reverse=reverse)
    zeros = varying_as({at: lax.full_like(operands[at], 0) for at in fixed}, *operands)
    final = {at: cotangents[at - num_consts] for at in carried}
    values = (states, list(slices), list(cotangents[num_carry:]))
    (by_fixed, by_start), by_slices = lax.scan(backward, (zeros, final), values, length, reverse=not reverse)
    found = {**by_fixed, **by_start, **by_slices}
    return [found[at] for at, want in enumerate(wanted) if want]
