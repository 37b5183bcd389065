"""Equations of which no Jacobian is made: rows are pulled back through them, or columns pushed forward.

The Jacobian of a scan has a row for every number that the loop returns, and a column for every number that it
reads; that of a factorisation or a convolution takes a derivative for every number of a matrix or a kernel.
Where the results of the whole function are far fewer numbers, what follows such an equation is eliminated
first, and its rows go backwards through the equation, as cotangents do. Where the arguments are far fewer,
what precedes it is eliminated, and the columns go forward: see ``_pushed_columns.py``, also for loops through
which columns are pushed because that takes less time. Fourier transforms are moved through where they are no
shorter than rows, or columns, are many; rows stay complex between them.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._accumulate import InnerJacobians, accumulated, jacobians_of
from ._elimination import accumulate
from ._graph import reachable
from ._linearize import by_rule, linearize
from ._numbering import Edge, Numbering
from ._pullback import Pull, cotangent_of, pullback_of, view_of_cotangent
from ._pushed_columns import Moved, push
from ._trace import Atom, Equation, Variable, is_complex, is_differentiable, is_split
from .choose import OrderLike, are_left_open
from .rules import (
    Blocks,
    Call,
    Inexpressible,
    Sparse,
    are_long_transforms,
    array_of,
    equations_without_poles,
    real_type,
    results_of,
    view_shape,
    worth_pulling,
    zeros_are_spoilt,
)
from .sparse import Block, Zeros, dense_block, identity_block, with_holes

Edges = Mapping[Edge, Block]


@dataclass(frozen=True)
class _Apart:
    """An equation through which rows are to be pulled back; no edges join its operands and its results.

    Attributes:
        equation: the equation.
        wanted: for every operand whether it is differentiated.
        pull: from the cotangents of its results to those of the wanted operands; None stands for results that
            carry no derivative.
    """

    equation: Equation
    wanted: Sequence[bool]
    pull: Pull


class _Rows(NamedTuple):
    """Rows that have been pulled back to a variable, and the blocks that were made of them.

    Attributes:
        blocks: by output.
        stack: the cotangents, one for every row of these outputs.
    """

    blocks: Mapping[int, Block]
    stack: Any

    def are(self, found: Mapping[int, Block | None]) -> bool:
        """Whether nothing has been added to the blocks, by output, and all of them are asked for."""
        return list(found) == list(self.blocks) and all(found[at] is self.blocks[at] for at in found)


def jacobians_by_arrays(
    numbering: Numbering,
    num_outputs: int,
    values: Sequence[Any],
    order: OrderLike,
    *,
    body_order: OrderLike,
    sparse: Sparse = False,
) -> tuple[list[Any], Blocks]:
    """As :func:`graphax._accumulate.jacobians_of`, without matrices where arrays in any order will do."""
    if are_left_open(order, body_order) and not sparse:
        return jacobians_without_matrices(numbering, num_outputs, values)
    return jacobians_of(numbering, num_outputs, values, order, body_order=body_order, sparse=sparse)


def jacobians_without_matrices(
    numbering: Numbering,
    num_outputs: int,
    values: Sequence[Any],
    order: str = "auto",
    *,
    forward: bool = False,
) -> tuple[list[Any], Blocks]:
    """As :func:`graphax._accumulate.jacobians_of`, with rows pulled back or columns pushed forward through
    equations where that is better: then all of the program goes in that direction, in whatever order.

    Args:
        numbering: the numbered program.
        num_outputs: how many of its outputs are differentiated.
        values: its arguments.
        order: the name of an order.
        forward: that columns are to be pushed, however many they are.
    """
    outputs = _differentiated(numbering, num_outputs)
    returned, _ = _rows_and_columns(numbering, num_outputs)
    rows = math.inf if forward else returned

    @functools.cache
    def holes() -> Zeros | None:
        """Zeros among what has been moved may be what a selection has left out."""
        spoilt = zeros_are_spoilt(replace(numbering.program, outputs=tuple(outputs)), numbering.active)
        return Zeros.OF_SELECTION if spoilt else None

    spectral = are_long_transforms(numbering.program, numbering.active, returned)
    backward = returned > 0 and not (forward or goes_forward(numbering, num_outputs))
    every, pushed = list[_Apart](), False
    finite = equations_without_poles(numbering.program)[1] if spectral and backward else set[Equation]()
    moved = Moved(numbering, {numbering.number[atom] for atom in outputs}, holes)

    def way(call: Call, equation: Equation, edges: dict[Edge, Block]) -> tuple[Sequence[Any], Blocks]:
        nonlocal pushed
        if any(is_split(atom.aval) for atom in equation.inputs):
            return by_rule(call, equation)
        beside_transforms = equation in finite and _is_of_complex(equation)
        if backward and not pushed and (beside_transforms or worth_pulling(call, returned)):
            with contextlib.suppress(Inexpressible):
                results, pull = pullback_of(equation, call.operands, call.wanted)
                every.append(_Apart(equation, call.wanted, pull))
                return results, []
        if not every:
            if (further := moved.further(call, equation, edges)) is not None:
                return further, []
            found = push(
                numbering, call, equation, edges, rows=rows, outright=not backward, holes=holes, moved=moved
            )
            if found is not None:
                pushed = pushed or found[0]
                return found[1:]
        return by_rule(call, equation)

    results, edges = linearize(numbering, values, InnerJacobians("auto"), way=way)
    moved.settle(edges)
    nodes = {numbering.number[x]: view_shape(x.aval) for x in outputs if isinstance(x, Variable)}
    arrived: dict[int, _Rows] = {}
    for one in reversed(every):
        edges = _pulled(numbering, nodes, edges, one, holes(), arrived)
    # What is left is no graph whose orders are remembered.
    order = ("reverse" if backward else "forward") if every or pushed else order
    return accumulated(numbering, num_outputs, results, edges, order)


def _is_of_complex(equation: Equation) -> bool:
    """Whether it is done on complex numbers, which go on as such between transforms."""
    return any(is_complex(atom.aval) for atom in (*equation.inputs, *equation.outputs))


def goes_forward(numbering: Numbering, num_outputs: int) -> bool:
    """Whether columns are pushed, however many they are, without being asked for."""
    rows, columns = _rows_and_columns(numbering, num_outputs)
    if columns == rows:  # rows of transforms need not be transposed
        return not are_long_transforms(numbering.program, numbering.active, rows)
    return columns < rows


def _rows_and_columns(numbering: Numbering, num_outputs: int) -> tuple[int, int]:
    """How many numbers are differentiated, and by how many."""
    inputs = numbering.program.inputs
    rows = _numbers(dict.fromkeys(_differentiated(numbering, num_outputs)))
    return rows, _numbers(inputs[at] for at in numbering.wrt)


def _differentiated(numbering: Numbering, num_outputs: int) -> list[Variable]:
    return [atom for atom in numbering.program.outputs[:num_outputs] if atom in numbering.active]


def _numbers(atoms: Iterable[Atom]) -> int:
    return sum(math.prod(view_shape(atom.aval)) for atom in atoms)


def _pulled(
    numbering: Numbering,
    outputs: Mapping[int, tuple[int, ...]],
    edges: Edges,
    one: _Apart,
    holes: Zeros | None,
    arrived: dict[int, _Rows],
) -> dict[Edge, Block]:
    """The edges after what follows an equation has been eliminated and its operands joined to the outputs.

    Args:
        numbering: the numbered program.
        outputs: the nodes of the outputs, and their shapes.
        edges: those so far.
        one: the equation.
        holes: what is to be known of zeros among what has been pulled.
        arrived: by node the rows that have been pulled back to it; those of the operands are added.
    """
    number = numbering.number
    returned = {atom: number[atom] for atom in one.equation.outputs if atom in numbering.active}
    after = reachable(returned.values(), edges) - set(returned.values())
    rows = accumulate(edges, outputs, sorted(after, reverse=True))
    found = _edges(rows, without_sources=returned.values())

    def joins(atom: Variable, target: int) -> bool:
        return target == returned[atom] or returned[atom] in rows.get(target, {})

    reached = [target for target in outputs if any(joins(atom, target) for atom in returned)]
    if not reached:  # structures leave nothing of what follows
        return found
    sizes = [math.prod(outputs[target]) for target in reached]

    def cotangents(atom: Variable) -> Any:
        """Those of a result of the equation, one for every row of the outputs."""
        shape, dtype, source = view_shape(atom.aval), real_type(atom.aval.dtype), number[atom]
        if source in arrived and arrived[source].are({at: rows.get(at, {}).get(source) for at in reached}):
            return arrived[source].stack
        strips = []
        for target, size in zip(reached, sizes, strict=True):
            block = identity_block(shape) if target == source else rows.get(target, {}).get(source)
            strips.append(array_of(block, outputs[target], shape, dtype).reshape(size, *shape))
        return cotangent_of(jnp.concatenate(strips), atom.aval)

    stacks = [cotangents(atom) if is_differentiable(atom.aval) else None for atom in one.equation.outputs]
    own = [frozenset([at]) if want else frozenset[int]() for at, want in enumerate(one.wanted)]
    ways = dict(zip(one.equation.outputs, results_of(one.equation, own), strict=True))
    reading = {
        target: frozenset[int]().union(*(ways[atom] for atom in returned if joins(atom, target)))
        for target in reached
    }
    places = itertools.compress(itertools.count(), one.wanted)
    for at, array in zip(places, _pulled_through(one.pull, stacks), strict=True):
        atom, view = one.equation.inputs[at], view_of_cotangent(array)
        assert isinstance(atom, Variable)  # constants are never wanted
        before = {target: found.get((number[atom], target)) for target in reached}
        for target, strip in zip(reached, jnp.split(view, _cuts(sizes)), strict=True):
            if at in reading[target]:
                shapes = outputs[target], view.shape[1:]
                block = dense_block(with_holes(strip.reshape(*shapes[0], *shapes[1]), holes), *shapes)
                _add(found, (number[atom], target), block)
        if all(at in reading[target] for target in reached):
            known = arrived.get(number[atom])
            blocks = {target: found[number[atom], target] for target in reached}
            if all(block is None for block in before.values()):
                arrived[number[atom]] = _Rows(blocks, array)
            elif known is not None and known.are(before):
                arrived[number[atom]] = _Rows(blocks, lax.add(known.stack, array))
    return found


def _pulled_through(pull: Pull, stacks: Sequence[Any]) -> Sequence[Any]:
    """The cotangents of operands, one for every row, from those of results; a single row goes as it is."""
    if next(len(stack) for stack in stacks if stack is not None) > 1:
        return jax.vmap(pull)(stacks)
    found = pull([stack if stack is None else stack[0] for stack in stacks])
    return [jnp.expand_dims(array, 0) for array in found]


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
