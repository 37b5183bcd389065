"""Pull cotangents back through a program: reverse accumulation on blocks.

Blocks remember what structures and selections leave out, so that it stays zero whatever it meets. Scans are
pulled back step by step, from the last to the first, with what every step finds carried kept from a first
pass.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import jax
from jax import lax

from ._accumulate import InnerJacobians
from ._linearize import by_rule, linearize
from ._numbering import Edge, Numbering, number_vertices
from ._trace import (
    Atom,
    Equation,
    Variable,
    inline,
    is_complex,
    is_differentiable,
    scan_counts,
    varying_as,
    with_moving,
)
from .rules import (
    Blocks,
    Call,
    Inexpressible,
    as_differentiated,
    finite_in_every_step,
    follow_loop,
    real_type,
    real_view,
    worth_pulling,
    zeros_are_spoilt,
)
from .sparse import Block, Zeros, dense_block, with_holes

#: What JAX raises where it cannot pull back: through `while_loop`, and rules that are not linear.
NO_PULLBACK = (ValueError, NotImplementedError, AssertionError)
#: Of every differentiated output, as JAX's pullbacks take them; or None for zeros.
Cotangents = Sequence[Any]
#: From cotangents of the results of an equation to those of its differentiated operands.
Pull = Callable[[Cotangents], Sequence[Any]]


def pulled_back(
    numbering: Numbering,
    values: Sequence[Any],
    several: Sequence[Cotangents],
    finite: Sequence[bool] | None = None,
) -> tuple[list[Any], list[list[Any]]]:
    """Evaluate a program, and pull cotangents back through it.

    Args:
        numbering: the numbered program.
        values: one array for every input.
        several: the cotangents, any number of times.
        finite: for every input whether it is known to be finite; all of them if left out.

    Returns:
        the values of the outputs, and for each of ``several`` the cotangents of the differentiated inputs.
    """
    pulls: dict[Equation, Pull] = {}

    def way(call: Call, equation: Equation, _: object) -> tuple[Sequence[Any], Blocks]:
        if equation.primitive.name != "scan" and not worth_pulling(call, len(several)):
            return by_rule(call, equation)
        results, pulls[equation] = pullback_of(equation, call.operands, call.wanted)
        return results, []

    results, edges = linearize(numbering, values, InnerJacobians("reverse"), way=way, finite=finite)
    return results, [_sweep(numbering, edges, pulls, cotangents) for cotangents in several]


def _sweep(
    numbering: Numbering,
    edges: Mapping[Edge, Block],
    pulls: Mapping[Equation, Pull],
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
            add(atom, _row(cotangent))
    for equation, wanted in zip(reversed(program.equations), reversed(numbering.wanted), strict=True):
        active = [output for output in equation.outputs if output in numbering.active]
        arrived = {output: rows.pop(node(output)) for output in active if node(output) in rows}
        if not arrived:
            continue
        if equation in pulls:
            arrays = [_cotangent(arrived.get(output), output.aval) for output in equation.outputs]
            sources = itertools.compress(equation.inputs, wanted)
            # Zeros of what is pulled through a whole matrix may be what a selection has left out.
            holes = None if equation.primitive.name == "scan" else Zeros.OF_SELECTION
            for atom, array in zip(sources, pulls[equation](arrays), strict=True):
                add(atom, _row(array, holes))
            continue
        for atom in dict.fromkeys(itertools.compress(equation.inputs, wanted)):
            for output, row in arrived.items():
                edge = edges.get((node(atom), node(output)))
                if edge is not None:
                    add(atom, row.compose(edge, sparse=False))
    inputs = [program.inputs[at] for at in numbering.wrt]
    return [_cotangent(rows.get(node(variable)), variable.aval) for variable in inputs]


def _row(cotangent: Any, holes: Zeros | None = None) -> Block:
    view = view_of_cotangent(cotangent)
    return dense_block(with_holes(view, holes), (), view.shape)


def _cotangent(row: Block | None, aval: Any) -> Any:
    if not is_differentiable(aval):
        return None
    if row is None:
        return lax.full(aval.shape, 0, aval.dtype)
    return cotangent_of(row.todense(real_type(aval.dtype)), aval)


def view_of_cotangent(cotangent: Any) -> Any:
    """The derivative by the real view of an array; a cotangent is ``dy/da - i dy/db``."""
    return real_view(lax.conj(cotangent)) if is_complex(cotangent) else cotangent


def cotangent_of(view: Any, aval: Any) -> Any:
    """The cotangent of an array, from the derivative by its real view."""
    return lax.complex(view[..., 0], lax.neg(view[..., 1])) if is_complex(aval) else view


def pullback_of(
    equation: Equation, operands: Sequence[Any], wanted: Sequence[bool]
) -> tuple[Sequence[Any], Pull]:
    """The results of an equation, and what pulls cotangents of them back to the wanted operands.

    Raises:
        Inexpressible: when JAX cannot pull back through it.
    """
    if equation.primitive.name == "scan" and zeros_are_spoilt(inline(equation.params["jaxpr"])):
        return _by_blocks(equation, operands, wanted)
    return _by_jax(equation, operands, wanted)


def _by_jax(
    equation: Equation, operands: Sequence[Any], wanted: Sequence[bool]
) -> tuple[Sequence[Any], Pull]:
    """The results of an equation, and its pullback in JAX."""
    carriers = [at for at, output in enumerate(equation.outputs) if is_differentiable(output.aval)]

    def fun(*moving: Any) -> tuple[list[Any], list[Any]]:
        results = equation.evaluate(with_moving(operands, wanted, moving))
        return [results[at] for at in carriers], results

    def pull_on(cotangents: Cotangents) -> Sequence[Any]:
        with _pulling_back(equation):
            return pull(varying_as([cotangents[at] for at in carriers], *operands))

    with _pulling_back(equation):
        _, pull, results = jax.vjp(fun, *itertools.compress(operands, wanted), has_aux=True)
    return results, pull_on


@contextmanager
def _pulling_back(equation: Equation) -> Iterator[None]:
    try:
        yield
    except NO_PULLBACK as error:
        name = equation.primitive.name
        raise Inexpressible(
            f"JAX cannot pull back through '{name}'", "take jax.jacfwd", equation.source
        ) from error


def _by_blocks(
    equation: Equation, operands: Sequence[Any], wanted: Sequence[bool]
) -> tuple[Sequence[Any], Pull]:
    """As :func:`_by_jax`, by reverse accumulation on blocks in every step."""
    params, body = equation.params, equation.params["jaxpr"]
    num_consts, num_carry = scan_counts(params)
    end = num_consts + num_carry
    consts, start, slices = list(operands[:num_consts]), list(operands[num_consts:end]), list(operands[end:])
    sources = [frozenset([at]) if want else frozenset() for at, want in enumerate(wanted)]
    moves = [bool(inputs) for inputs in follow_loop(body, num_consts, num_carry, sources)[0]]
    moving = [at for at, does in enumerate(moves) if does]
    numbering = number_vertices(inline(body), moving, len(body.out_avals))
    step = as_differentiated(body, moves)
    finite = finite_in_every_step(body, num_consts, num_carry, [True] * len(moves))

    def forward(state: Any, slices: Any) -> Any:
        results = step(*consts, *state, *slices)
        return results[:num_carry], (results[num_carry:], state)

    def backward(rows: Any, values: Any) -> Any:
        by_fixed, by_carried = rows
        state, slices, by_results = values
        seeds = [by_carried.get(at + num_consts) for at in range(num_carry)] + by_results
        _, (pulled,) = pulled_back(numbering, [*consts, *state, *slices], [seeds], finite)
        found = dict(zip(moving, pulled, strict=True))
        by_fixed = {at: lax.add(row, found[at]) for at, row in by_fixed.items()}
        by_carried = {at: found[at] for at in by_carried}
        return (by_fixed, by_carried), {at: found[at] for at in moving if at >= end}

    length, reverse = params["length"], params["reverse"]
    final, (stacked, states) = lax.scan(forward, start, slices, length, reverse=reverse)

    def pull(cotangents: Cotangents) -> list[Any]:
        cotangents = varying_as(list(cotangents), *operands)
        zeros = {at: lax.full_like(operands[at], 0) for at in moving if at < num_consts}
        last = {at: cotangents[at - num_consts] for at in moving if num_consts <= at < end}
        (by_fixed, by_start), by_slices = lax.scan(
            backward,
            (varying_as(zeros, *operands), last),
            (states, slices, cotangents[num_carry:]),
            length,
            reverse=not reverse,
        )
        found = {**by_fixed, **by_start, **by_slices}
        return [found[at] for at, want in enumerate(wanted) if want]

    return [*final, *stacked], pull
