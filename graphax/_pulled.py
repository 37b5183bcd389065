"""Equations that are pulled back: few numbers come of the many that they return.

The Jacobian of a scan has a row for every number that it returns, that of a factorisation or a convolution takes
one of them for every number of a matrix or a kernel. Where the results of the function are far fewer numbers,
what follows such an equation is eliminated first, and its rows go backwards through it, as cotangents do. No
Jacobian of the equation itself is ever there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._accumulate import InnerJacobians, accumulated
from ._elimination import accumulate
from ._graph import reachable
from ._linearize import linearize
from ._numbering import Edge, Numbering
from ._pullback import Pull, cotangent_of, pullback_of, view_of_cotangent
from ._trace import Atom, Equation, Variable, is_differentiable
from .rules import (
    Blocks,
    Call,
    Inexpressible,
    array_of,
    real_type,
    view_shape,
    worth_pulling,
    zeros_are_spoilt,
)
from .sparse import Block, Zeros, dense_block, identity_block, with_holes


@dataclass(frozen=True)
class _Pulled:
    """An equation whose operands and results are joined by no edges.

    Attributes:
        equation: the equation.
        wanted: for every operand whether it is differentiated.
        pull: from the cotangents of its results to those of the wanted operands.
    """

    equation: Equation
    wanted: Sequence[bool]
    pull: Pull


def jacobians_with_pullbacks(
    numbering: Numbering, num_outputs: int, values: Sequence[Any]
) -> tuple[list[Any], Blocks]:
    """As :func:`graphax._accumulate.jacobians_of` in the default order, with equations pulled back where that
    is better: then the whole program is eliminated in reverse.
    """
    outputs = [atom for atom in numbering.program.outputs[:num_outputs] if atom in numbering.active]
    rows = _numbers(dict.fromkeys(outputs))
    columns = _numbers(numbering.program.inputs[at] for at in numbering.wrt)
    every: list[_Pulled] = []

    def apart(call: Call, equation: Equation) -> Sequence[Any] | None:
        if rows >= columns or not worth_pulling(call, rows):
            return None
        try:
            results, pull = pullback_of(equation, call.operands, call.wanted)
        except Inexpressible:
            return None
        every.append(_Pulled(equation, call.wanted, pull))
        return results

    results, edges = linearize(numbering, values, InnerJacobians("auto"), apart=apart)
    # Zeros among what is pulled back may be what a selection has left out.
    spoilt = every and zeros_are_spoilt(replace(numbering.program, outputs=tuple(outputs)), numbering.active)
    holes = Zeros.OF_SELECTION if spoilt else None
    for pulled in reversed(every):
        edges = _pulled_through(numbering, outputs, edges, pulled, holes)
    return accumulated(numbering, num_outputs, results, edges, "reverse" if every else "auto")


def _numbers(atoms: Iterable[Atom]) -> int:
    return sum(math.prod(view_shape(atom.aval)) for atom in atoms)


def _pulled_through(
    numbering: Numbering,
    outputs: Sequence[Atom],
    edges: Mapping[Edge, Block],
    pulled: _Pulled,
    holes: Zeros | None,
) -> dict[Edge, Block]:
    """The edges after the elimination of what follows an equation, whose operands are joined to the outputs."""
    returned = {numbering.number[atom] for atom in pulled.equation.outputs if atom in numbering.active}
    targets = {numbering.number[atom]: view_shape(atom.aval) for atom in outputs}
    following = reachable(returned, edges) - returned
    rows = accumulate(edges, targets, sorted(following, reverse=True))
    found = {
        (source, target): block
        for target, row in rows.items()
        for source, block in row.items()
        if source not in returned
    }
    reached = [at for at in targets if at in returned or not returned.isdisjoint(rows.get(at, {}))]
    sizes = [math.prod(targets[target]) for target in reached]

    def row(target: int, source: int) -> Block | None:
        return identity_block(targets[target]) if target == source else rows.get(target, {}).get(source)

    def stacked(atom: Variable) -> Any:
        """The cotangents of a result of the equation, one for every row of the outputs."""
        shape, dtype, source = view_shape(atom.aval), real_type(atom.aval.dtype), numbering.number[atom]
        strips = [
            array_of(row(target, source), targets[target], shape, dtype).reshape(size, *shape)
            for target, size in zip(reached, sizes, strict=True)
        ]
        return cotangent_of(jnp.concatenate(strips), atom.aval)

    carriers = [atom if is_differentiable(atom.aval) else None for atom in pulled.equation.outputs]
    arrays = _pulled_back(pulled.pull, [atom and stacked(atom) for atom in carriers])
    for atom, array in zip(itertools.compress(pulled.equation.inputs, pulled.wanted), arrays, strict=True):
        view = view_of_cotangent(array)
        strips = jnp.split(view, np.cumsum(sizes)[:-1].tolist())
        for target, strip in zip(reached, strips, strict=True):
            shapes = targets[target], view.shape[1:]
            block = dense_block(with_holes(strip.reshape(*shapes[0], *shapes[1]), holes), *shapes)
            edge = numbering.number[atom], target
            found[edge] = found[edge].plus(block, sparse=False) if edge in found else block
    return found


def _pulled_back(pull: Pull, cotangents: Sequence[Any]) -> Sequence[Any]:
    """Stacked cotangents, pulled back together; a single one goes as it is."""
    rows = next(len(stack) for stack in cotangents if stack is not None)
    if rows > 1:
        return jax.vmap(pull)(cotangents)
    return [array[None] for array in pull([stack if stack is None else stack[0] for stack in cotangents])]
