"""Equations of which no Jacobian is made: rows are pulled back through them, or columns pushed forward.

The Jacobian of a scan has a row for every number that the loop returns, and a column for every number that it
reads; that of a factorisation or a convolution takes a derivative for every number of a matrix or a kernel.
Where the results of the whole function are far fewer numbers, what follows such an equation is eliminated
first, and its rows go backwards through the equation, as cotangents do. Where the arguments are far fewer,
what precedes it is eliminated, and the columns go forward.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._accumulate import InnerJacobians, accumulated, jacobians_of
from ._elimination import accumulate
from ._graph import reachable
from ._linearize import linearize
from ._numbering import Edge, Numbering
from ._pullback import NO_PULLBACK, cotangent_of, pullback_of, view_of_cotangent
from ._trace import Atom, Equation, Variable, is_differentiable, is_split, varying_as, with_moving
from .choose import OrderLike, are_left_open
from .rules import (
    Blocks,
    Call,
    Inexpressible,
    array_of,
    of_real_view,
    real_type,
    real_view,
    view_shape,
    worth_pulling,
    worth_pushing,
    zeros_are_spoilt,
)
from .sparse import Block, Zeros, dense_block, identity_block, with_holes

Edges = Mapping[Edge, Block]


@dataclass(frozen=True)
class _Apart:
    """An equation whose operands and results are joined by no edges.

    Attributes:
        equation: the equation.
        wanted: its differentiated operands.
        move: from the cotangents of its results to those of the wanted operands, or from the tangents of
            these to those of the results; None stands for results that carry no derivative.
    """

    equation: Equation
    wanted: tuple[Variable, ...]
    move: Callable[[Sequence[Any]], Sequence[Any]]


def jacobians_by_arrays(
    numbering: Numbering,
    num_outputs: int,
    values: Sequence[Any],
    order: OrderLike,
    *,
    body_order: OrderLike,
    sparse: bool = False,
) -> tuple[list[Any], Blocks]:
    """As :func:`graphax._accumulate.jacobians_of`, without matrices where arrays in any order will do."""
    if are_left_open(order, body_order) and not sparse:
        return jacobians_without_matrices(numbering, num_outputs, values)
    return jacobians_of(numbering, num_outputs, values, order, body_order=body_order, sparse=sparse)


def jacobians_without_matrices(
    numbering: Numbering, num_outputs: int, values: Sequence[Any]
) -> tuple[list[Any], Blocks]:
    """As :func:`graphax._accumulate.jacobians_of` in the default order, with rows pulled back or columns
    pushed forward through equations where that is better: then all of the program goes in that direction.
    """
    outputs = [atom for atom in numbering.program.outputs[:num_outputs] if atom in numbering.active]
    rows = _numbers(dict.fromkeys(outputs))
    columns = _numbers(numbering.program.inputs[at] for at in numbering.wrt)
    backward = rows < columns
    every: list[_Apart] = []

    def apart(call: Call, equation: Equation) -> Sequence[Any] | None:
        worth = worth_pulling(call, rows) if backward else worth_pushing(call, columns)
        if not worth or any(is_split(atom.aval) for atom in equation.inputs):
            return None
        try:
            results, move = (pullback_of if backward else _pushing)(equation, call.operands, call.wanted)
        except Inexpressible:
            return None
        moving = itertools.compress(equation.inputs, call.wanted)
        every.append(_Apart(equation, tuple(atom for atom in moving if isinstance(atom, Variable)), move))
        return results

    results, edges = linearize(numbering, values, InnerJacobians("auto"), apart=apart)
    if not every:
        return accumulated(numbering, num_outputs, results, edges, "auto")
    # Zeros among what has been moved may be what a selection has left out.
    spoilt = zeros_are_spoilt(replace(numbering.program, outputs=tuple(outputs)), numbering.active)
    holes = Zeros.OF_SELECTION if spoilt else None
    nodes = {numbering.number[x]: view_shape(x.aval) for x in outputs if isinstance(x, Variable)}
    if backward:
        for one in reversed(every):
            edges = _pulled(numbering, nodes, edges, one, holes)
        return accumulated(numbering, num_outputs, results, edges, "reverse")
    # What is before one equation may be read by another.
    kept = {*nodes, *(numbering.number[atom] for one in every for atom in one.wanted)}
    for one in every:
        edges = _pushed(numbering, kept, edges, one, holes)
    return accumulated(numbering, num_outputs, results, edges, "forward")


def _numbers(atoms: Iterable[Atom]) -> int:
    return sum(math.prod(view_shape(atom.aval)) for atom in atoms)


def _pulled(
    numbering: Numbering,
    outputs: Mapping[int, tuple[int, ...]],
    edges: Edges,
    one: _Apart,
    holes: Zeros | None,
) -> dict[Edge, Block]:
    """The edges after what follows an equation has been eliminated and its operands joined to the outputs."""
    number = numbering.number
    returned = {number[atom] for atom in one.equation.outputs if atom in numbering.active}
    rows = accumulate(edges, outputs, sorted(reachable(returned, edges) - returned, reverse=True))
    found = _edges(rows, without_sources=returned)
    reached = [at for at in outputs if at in returned or not returned.isdisjoint(rows.get(at, {}))]
    if not reached:  # structures leave nothing of what follows
        return found
    sizes = [math.prod(outputs[target]) for target in reached]

    def cotangents(atom: Variable) -> Any:
        """Those of a result of the equation, one for every row of the outputs."""
        shape, dtype, source = view_shape(atom.aval), real_type(atom.aval.dtype), number[atom]
        strips = []
        for target, size in zip(reached, sizes, strict=True):
            block = identity_block(shape) if target == source else rows.get(target, {}).get(source)
            strips.append(array_of(block, outputs[target], shape, dtype).reshape(size, *shape))
        return cotangent_of(jnp.concatenate(strips), atom.aval)

    stacks = [cotangents(atom) if is_differentiable(atom.aval) else None for atom in one.equation.outputs]
    for atom, array in zip(one.wanted, _together(one.move, stacks, 0), strict=True):
        view = view_of_cotangent(array)
        for target, strip in zip(reached, jnp.split(view, _cuts(sizes)), strict=True):
            shapes = outputs[target], view.shape[1:]
            block = dense_block(with_holes(strip.reshape(*shapes[0], *shapes[1]), holes), *shapes)
            _add(found, (number[atom], target), block)
    return found


def _pushed(
    numbering: Numbering,
    kept: Collection[int],
    edges: Edges,
    one: _Apart,
    holes: Zeros | None,
) -> dict[Edge, Block]:
    """The edges after what precedes an equation has been eliminated and its results joined to the inputs."""
    number = numbering.number
    read = {number[atom] for atom in one.wanted}
    before = reachable(read, [(target, source) for source, target in edges])
    columns = accumulate(edges, kept, sorted(at for at in before if at > 0))
    found = _edges(columns)
    inputs = {
        node: numbering.program.inputs[at].aval
        for node, at in zip(numbering.inputs, numbering.wrt, strict=True)
    }
    reached = [at for at in inputs if at in read or any(at in columns.get(node, {}) for node in read)]
    if not reached:  # structures leave nothing of what precedes
        return found
    shapes = [view_shape(inputs[source]) for source in reached]
    sizes = list(map(math.prod, shapes))

    def tangents(atom: Variable) -> Any:
        """Those of an operand of the equation, one for every column of the inputs, along a last axis."""
        shape, dtype, target = view_shape(atom.aval), real_type(atom.aval.dtype), number[atom]
        strips = []
        for source, of_input, size in zip(reached, shapes, sizes, strict=True):
            block = identity_block(shape) if target == source else columns.get(target, {}).get(source)
            strips.append(array_of(block, shape, of_input, dtype).reshape(*shape, size))
        return jnp.moveaxis(jnp.concatenate(strips, -1), -1, 0)

    def push(views: Sequence[Any]) -> list[Any]:
        given = [of_real_view(view, atom.aval) for view, atom in zip(views, one.wanted, strict=True)]
        return [None if array is None else real_view(array) for array in one.move(given)]

    arrays = _together(push, [tangents(atom) for atom in one.wanted], -1)
    for atom, array in zip(one.equation.outputs, arrays, strict=True):
        if atom not in numbering.active or array is None:
            continue
        for source, shape, strip in zip(reached, shapes, jnp.split(array, _cuts(sizes), -1), strict=True):
            out_shape = array.shape[:-1]
            block = dense_block(with_holes(strip.reshape(*out_shape, *shape), holes), out_shape, shape)
            _add(found, (source, number[atom]), block)
    return found


def _edges(rows: Mapping[int, Mapping[int, Block]], without_sources: Iterable[int] = ()) -> dict[Edge, Block]:
    return {
        (source, target): block
        for target, row in rows.items()
        for source, block in row.items()
        if source not in without_sources
    }


def _add(edges: dict[Edge, Block], edge: Edge, block: Block) -> None:
    edges[edge] = edges[edge].plus(block, sparse=False) if edge in edges else block


def _cuts(sizes: Sequence[int]) -> list[int]:
    return np.cumsum(sizes)[:-1].tolist()


def _together(move: Callable[[Sequence[Any]], Any], stacks: Sequence[Any], axis: int) -> Sequence[Any]:
    """What is made of stacked arrays, stacked along an axis; a single one of each goes as it is."""
    if next(len(stack) for stack in stacks if stack is not None) > 1:
        return jax.vmap(move, out_axes=axis)(stacks)
    found = move([stack if stack is None else stack[0] for stack in stacks])
    return [None if array is None else jnp.expand_dims(array, axis) for array in found]


def _pushing(
    equation: Equation, operands: Sequence[Any], wanted: Sequence[bool]
) -> tuple[Sequence[Any], Callable[[Sequence[Any]], list[Any]]]:
    """The results of an equation, and what pushes tangents of the wanted operands forward to them.

    Raises:
        Inexpressible: when JAX cannot differentiate it so.
    """
    carries = [is_differentiable(output.aval) for output in equation.outputs]

    def fun(*moving: Any) -> tuple[list[Any], list[Any]]:
        results = equation.evaluate(with_moving(operands, wanted, moving))
        return list(itertools.compress(results, carries)), results

    try:
        _, linear, results = jax.linearize(fun, *itertools.compress(operands, wanted), has_aux=True)
    except NO_PULLBACK as error:
        raise Inexpressible(
            f"JAX cannot differentiate '{equation.primitive.name}' so", "take jax.jacrev", equation.source
        ) from error

    def push(tangents: Sequence[Any]) -> list[Any]:
        moving = itertools.compress(operands, wanted)
        found = iter(linear(*itertools.starmap(varying_as, zip(tangents, moving, strict=True))))
        return [next(found) if carried else None for carried in carries]

    return results, push
