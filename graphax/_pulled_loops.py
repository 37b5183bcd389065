"""Loops that are pulled back: few numbers come of the many that they return.

The Jacobian of a scan has a row for every number that it returns. Where the results of the function have far
fewer, what follows the scan is eliminated first, and its rows go backwards through the steps, as cotangents
do. No Jacobian of the scan itself is ever there.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._accumulate import InnerJacobians, accumulated
from ._elimination import accumulate
from ._graph import reachable
from ._linearize import linearize
from ._numbering import Edge, Numbering
from ._pullback import Pull, cotangent_of, pullback_of_scan, view_of_cotangent
from ._trace import Atom, Equation, Variable, is_differentiable
from .rules import Blocks, Call, Inexpressible, array_of, real_type, view_shape, worth_pulling
from .sparse import Block, dense_block, identity_block


@dataclass(frozen=True)
class _PulledLoop:
    """A loop whose operands and results are joined by no edges.

    Attributes:
        equation: the loop.
        wanted: for every operand whether it is differentiated.
        pull: from the cotangents of its results to those of the wanted operands.
    """

    equation: Equation
    wanted: Sequence[bool]
    pull: Pull


def jacobians_with_pulled_loops(
    numbering: Numbering, num_outputs: int, values: Sequence[Any]
) -> tuple[list[Any], Blocks]:
    """As :func:`graphax._accumulate.jacobians_of` in the default order, with scans pulled back where that is
    better: then the whole program is eliminated in reverse.
    """
    outputs = [atom for atom in numbering.program.outputs[:num_outputs] if atom in numbering.active]
    rows = _numbers(dict.fromkeys(outputs))
    columns = _numbers(numbering.program.inputs[at] for at in numbering.wrt)
    loops: list[_PulledLoop] = []

    def apart(call: Call, equation: Equation) -> Sequence[Any] | None:
        if rows >= columns or equation.primitive.name != "scan" or not worth_pulling(call, rows):
            return None
        try:
            results, pull = pullback_of_scan(equation, call.operands, call.wanted)
        except Inexpressible:
            return None
        loops.append(_PulledLoop(equation, call.wanted, pull))
        return results

    results, edges = linearize(numbering, values, InnerJacobians("auto"), apart=apart)
    for loop in reversed(loops):
        edges = _pulled_through(numbering, outputs, edges, loop)
    return accumulated(numbering, num_outputs, results, edges, "reverse" if loops else "auto")


def _numbers(atoms: Iterable[Atom]) -> int:
    return sum(math.prod(view_shape(atom.aval)) for atom in atoms)


def _pulled_through(
    numbering: Numbering, outputs: Sequence[Atom], edges: Mapping[Edge, Block], loop: _PulledLoop
) -> dict[Edge, Block]:
    """The edges after the elimination of what follows a loop, with edges from its operands to the outputs."""
    returned = {numbering.number[atom] for atom in loop.equation.outputs if atom in numbering.active}
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
        """The cotangents of a result of the loop, one for every row of the outputs."""
        shape, dtype, source = view_shape(atom.aval), real_type(atom.aval.dtype), numbering.number[atom]
        strips = [
            array_of(row(target, source), targets[target], shape, dtype).reshape(size, *shape)
            for target, size in zip(reached, sizes, strict=True)
        ]
        return cotangent_of(jnp.concatenate(strips), atom.aval)

    carriers = [atom if is_differentiable(atom.aval) else None for atom in loop.equation.outputs]
    pulled = _pulled(loop.pull, [atom and stacked(atom) for atom in carriers])
    for atom, array in zip(itertools.compress(loop.equation.inputs, loop.wanted), pulled, strict=True):
        view = view_of_cotangent(array)
        strips = jnp.split(view, np.cumsum(sizes)[:-1].tolist())
        for target, strip in zip(reached, strips, strict=True):
            shapes = targets[target], view.shape[1:]
            block = dense_block(strip.reshape(*shapes[0], *shapes[1]), *shapes)
            edge = numbering.number[atom], target
            found[edge] = found[edge].plus(block, sparse=False) if edge in found else block
    return found


def _pulled(pull: Pull, cotangents: Sequence[Any]) -> Sequence[Any]:
    """Stacked cotangents, pulled back together; a single one goes as it is."""
    rows = next(len(stack) for stack in cotangents if stack is not None)
    if rows > 1:
        return jax.vmap(pull)(cotangents)
    return [array[None] for array in pull([stack if stack is None else stack[0] for stack in cotangents])]
