"""Columns that are pushed forward through an equation by JAX, instead of being multiplied by its Jacobian.

Values and columns come of one evaluation, as with ``jax.jacfwd``. Of a loop it is not known beforehand which
takes less time: where it is to be compiled both are traced, and the one is taken that is estimated to be
faster.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ._elimination import accumulate
from ._graph import reachable
from ._linearize import by_rule
from ._numbering import Edge, Numbering
from ._pullback import NO_PULLBACK
from ._staged import Staged
from ._trace import Equation, Variable, is_complex, is_differentiable, varying_as, with_moving
from .rules import (
    Blocks,
    Call,
    Dependent,
    State,
    array_of,
    is_pushable,
    of_real_view,
    real_type,
    real_view,
    results_of,
    view_shape,
    worth_pushing,
    zeros_meet_poles,
)
from .sparse import Block, Zeros, dense_block, identity_block, with_holes

#: Where rows are so many times fewer, columns are not pushed without an estimate, and not at all.
_FEWER, _FAR_FEWER = 2, 3
#: Jacobians take at least so many times what a loop itself takes.
_NEAR_THE_VALUE = 1.5
#: Jacobians by fewer columns are not asked for, if pushing these is so near to nothing.
_FEW = 8
#: Jacobians are taken that hold so many times fewer numbers than they have entries: in a batch operations are
#: what takes time.
_THIN = 4
#: Of blocks of more entries it is not looked at which are zero by structure.
_LARGE = 2**16


def push(
    numbering: Numbering,
    call: Call,
    equation: Equation,
    edges: dict[Edge, Block],
    *,
    rows: float,
    outright: bool,
    holes: Callable[[], Zeros | None],
) -> tuple[bool, Sequence[Any], Blocks] | None:
    """Push columns forward through an equation, if that is better.

    What precedes the equation is eliminated then, and edges join the inputs to its results.

    Args:
        numbering: the numbered program.
        call: the equation with its operands.
        equation: the equation.
        edges: those of all that precedes; where columns have been pushed, those afterwards.
        rows: how many numbers the results of the whole function are.
        outright: whether columns are pushed where they are far fewer than derivatives, whatever they meet.
        holes: what is to be known of zeros among what has been pushed.

    Returns:
        whether columns have been pushed, the results of the equation, and its blocks where they have not;
        None where nothing has been done.
    """
    compiled = any(isinstance(operand, Tracer) for operand in call.operands)
    pushable, outright = compiled and is_pushable(call), outright and worth_pushing(call, 1)
    if not pushable and not outright:
        return None
    incoming = _Incoming(numbering, call, equation, edges)
    if not incoming.count:
        return None
    worth = incoming.count < _FEWER * rows and worth_pushing(call, incoming.count)
    if not (outright and worth):
        if not pushable or incoming.count > _FAR_FEWER * rows or not incoming.keep_zeros:
            return None
    dynamic = [operand for operand in call.operands if isinstance(operand, jax.Array)]

    def given(arrays: Sequence[Any]) -> Call:
        moving = [isinstance(operand, jax.Array) for operand in call.operands]
        return call.with_operands(with_moving(call.operands, moving, arrays))

    def by_columns(arrays: Sequence[Any], columns: Any) -> Any:
        return pushed_through(equation, given(arrays), incoming.tangents(columns))

    try:
        pushed = Staged.of(by_columns, dynamic, incoming.columns)
    except NO_PULLBACK:  # JAX cannot differentiate it so
        return None
    if not worth:
        itself = Staged.of(lambda arrays: given(arrays).evaluate(), dynamic)
        if incoming.count >= _FEW or pushed.seconds > _NEAR_THE_VALUE * itself.seconds:
            ruled = Staged.of(lambda arrays: by_rule(given(arrays), equation), dynamic)
            if ruled.seconds < pushed.seconds or _are_thin(ruled.outline[1]):
                return False, *ruled.run()
    results, arrays = pushed.run()
    for edge in incoming.preceding:
        del edges[edge]
    edges.update(
        ((source, target), block) for target, row in incoming.columns.items() for source, block in row.items()
    )
    edges.update(incoming.pushed_edges(arrays, holes))
    return True, results, []


def _are_thin(blocks: Blocks) -> bool:
    """Whether Jacobians hold few of their entries."""
    found = [block for row in blocks for block in row if block is not None]
    entries = sum(math.prod(block.shape) for block in found)
    return _THIN * sum(block.structure.numbers for block in found) <= entries


@dataclass(frozen=True)
class _Incoming:
    """The columns that arrive at an equation.

    Attributes:
        numbering: the numbered program.
        call: the equation with its operands.
        equation: the equation.
        edges: those of all that precedes.
    """

    numbering: Numbering
    call: Call
    equation: Equation
    edges: dict[Edge, Block]

    @cached_property
    def wanted(self) -> list[Variable]:
        """The differentiated operands."""
        moving = itertools.compress(self.equation.inputs, self.call.wanted)
        return [atom for atom in moving if isinstance(atom, Variable)]

    @cached_property
    def before(self) -> set[int]:
        """The operands and all that they depend on."""
        read = {self.numbering.number[atom] for atom in self.wanted}
        return reachable(read, [(target, source) for source, target in self.edges])

    @cached_property
    def preceding(self) -> dict[Edge, Block]:
        """The edges between these."""
        return {edge: block for edge, block in self.edges.items() if edge[1] in self.before}

    @cached_property
    def inputs(self) -> dict[int, Any]:
        """The differentiated inputs that the operands depend on, and their types."""
        inputs, wrt = self.numbering.program.inputs, self.numbering.wrt
        nodes = zip(self.numbering.inputs, wrt, strict=True)
        return {node: inputs[at].aval for node, at in nodes if node in self.before}

    @cached_property
    def sizes(self) -> list[int]:
        """How many columns there are for every input."""
        return [math.prod(view_shape(aval)) for aval in self.inputs.values()]

    @property
    def count(self) -> int:
        """How many columns there are."""
        return sum(self.sizes)

    @cached_property
    def columns(self) -> dict[int, dict[int, Block]]:
        """By node before the equation its Jacobians with respect to the inputs."""
        vertices = sorted(at for at in self.before if at > 0)
        found = accumulate(self.preceding, self.before, vertices)
        return {target: dict(row) for target, row in found.items()}

    def _block(self, columns: Any, atom: Variable, source: int) -> Block | None:
        target = self.numbering.number[atom]
        return (
            identity_block(view_shape(atom.aval)) if target == source else columns.get(target, {}).get(source)
        )

    def tangents(self, columns: Any) -> list[Any]:
        """Those of the differentiated operands, real views, one for every column along a first axis."""

        def stacked(atom: Variable) -> Any:
            shape, dtype, strips = view_shape(atom.aval), real_type(atom.aval.dtype), []
            for (source, aval), size in zip(self.inputs.items(), self.sizes, strict=True):
                array = array_of(self._block(columns, atom, source), shape, view_shape(aval), dtype)
                strips.append(array.reshape(*shape, size))
            return jnp.moveaxis(jnp.concatenate(strips, -1), -1, 0)

        return list(map(stacked, self.wanted))

    @property
    def keep_zeros(self) -> bool:
        """Whether what is zero by structure stays zero in a loop: see :func:`zeros_meet_poles`."""

        def unknown(atom: Variable) -> Dependent:
            return Dependent.on_nothing(atom.aval.shape, self.count)

        return any(not zeros_meet_poles(self.equation, self._states(of)) for of in (unknown, self._dependent))

    def _states(self, dependent: Callable[[Variable], Dependent]) -> list[State]:
        call, states = self.call, []
        finite = call.finite or [False] * len(call.operands)
        for at, atom in enumerate(self.equation.inputs):
            found = dependent(atom) if call.wanted[at] and isinstance(atom, Variable) else None
            safe = finite[at] or (found is not None and found.is_full)
            states.append(State(found, finite[at], safe, not isinstance(call.operands[at], jax.Array)))
        return states

    def _dependent(self, atom: Variable) -> Dependent:
        """On which columns an operand depends, as the structures of its blocks have it."""
        strips, rows = [], math.prod(view_shape(atom.aval))
        for source, size in zip(self.inputs, self.sizes, strict=True):
            block, strip = self._block(self.columns, atom, source), np.zeros((rows, size), bool)
            if block is not None and not block.has_holes and strip.size <= _LARGE:
                strip[block.pattern()] = True
            strips.append(strip)
        on = np.concatenate(strips, 1).reshape(*view_shape(atom.aval), self.count)
        return Dependent(np.asarray(on.all(-2)) if is_complex(atom.aval) else on)

    def pushed_edges(self, arrays: Sequence[Any], holes: Callable[[], Zeros | None]) -> dict[Edge, Block]:
        """The edges from the inputs to the results that depend on them.

        Their zeros may be of what depends on nothing.

        Args:
            arrays: the tangents of the results along a last axis; None for those that carry none.
            holes: what is to be known of their zeros.
        """
        number, active = self.numbering.number, self.numbering.active
        sources = [
            frozenset(at for at in self.inputs if self._block(self.columns, atom, at) is not None)
            if want and isinstance(atom, Variable)
            else frozenset[int]()
            for atom, want in zip(self.equation.inputs, self.call.wanted, strict=True)
        ]
        found = {}
        ways = results_of(self.equation, sources)
        for output, array, way in zip(self.equation.outputs, arrays, ways, strict=True):
            if output not in active or array is None:
                continue
            shape, strips = array.shape[:-1], jnp.split(array, np.cumsum(self.sizes)[:-1].tolist(), -1)
            for (source, aval), strip in zip(self.inputs.items(), strips, strict=True):
                if source in way:
                    of_input = view_shape(aval)
                    value = with_holes(strip.reshape(*shape, *of_input), holes() or Zeros.OF_STRUCTURE)
                    found[source, number[output]] = dense_block(value, shape, of_input)
        return found


def pushed_through(
    equation: Equation, call: Call, stacks: Sequence[Any]
) -> tuple[Sequence[Any], Sequence[Any]]:
    """The results of an equation and their tangents, from one evaluation.

    Args:
        equation: the equation.
        call: it with its operands.
        stacks: the tangents of the differentiated operands, real views, one for every column.

    Returns:
        the results, and their tangents along a last axis; None for those that carry none.
    """
    moving = list(itertools.compress(call.operands, call.wanted))
    carries = [is_differentiable(output.aval) for output in equation.outputs]

    def fun(*moving: Any) -> tuple[list[Any], list[Any]]:
        results = equation.evaluate(with_moving(call.operands, call.wanted, moving))
        return list(itertools.compress(results, carries)), results

    def push(views: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        tangents = [
            varying_as(of_real_view(view, jax.typeof(value)), value)
            for view, value in zip(views, moving, strict=True)
        ]
        _, found, results = jax.jvp(fun, moving, tangents, has_aux=True)
        return results, [real_view(tangent) for tangent in found]

    if len(stacks[0]) > 1:
        results, found = jax.vmap(push, out_axes=(None, -1))(stacks)
    else:
        results, found = push([stack[0] for stack in stacks])
        found = [jnp.expand_dims(array, -1) for array in found]
    remaining = iter(found)
    return results, [next(remaining) if carried else None for carried in carries]
