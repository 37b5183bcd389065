"""The columns that arrive at an equation, and how JAX pushes them through it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._elimination import accumulate
from ._graph import reachable
from ._numbering import Edge, Numbering
from ._trace import Equation, Variable, is_complex, is_differentiable, varying_as, with_moving
from .rules import (
    AT_LEAST,
    AT_MOST,
    Call,
    Dependent,
    KeptZeros,
    State,
    Ways,
    array_of,
    kept_zeros,
    of_real_view,
    real_type,
    real_view,
    results_of,
    view_shape,
)
from .sparse import Block, Zeros, dense_block, identity_block, with_holes

#: Of blocks of more entries it is not looked at which are zero by structure.
_LARGE = 2**16


@dataclass(frozen=True)
class Incoming:
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

    def eliminate(self) -> None:
        """Let edges join the inputs to the operands."""
        for edge in self.preceding:
            del self.edges[edge]
        self.edges.update(
            ((source, target), block) for target, row in self.columns.items() for source, block in row.items()
        )

    def _block(self, columns: Any, atom: Variable, source: int) -> Block | None:
        target = self.numbering.number[atom]
        return (
            identity_block(view_shape(atom.aval)) if target == source else columns.get(target, {}).get(source)
        )

    def tangents(self, columns: Any) -> list[Any]:
        """Those of the differentiated operands, one for every column along a first axis."""

        def stacked(atom: Variable) -> Any:
            shape, dtype, strips = view_shape(atom.aval), real_type(atom.aval.dtype), []
            for (source, aval), size in zip(self.inputs.items(), self.sizes, strict=True):
                array = array_of(self._block(columns, atom, source), shape, view_shape(aval), dtype)
                strips.append(array.reshape(*shape, size))
            return of_real_view(jnp.moveaxis(jnp.concatenate(strips, -1), -1, 0), atom.aval)

        return list(map(stacked, self.wanted))

    def kept_zeros(self) -> KeptZeros | None:
        """How what is zero by structure stays zero in a loop; None where it may not."""
        return kept_zeros(self.equation, self._states())

    def is_dense(self, atom: Variable) -> bool:
        """Whether the columns of an operand hold most of their entries."""
        blocks = [self._block(self.columns, atom, source) for source in self.inputs]
        entries = self.count * math.prod(view_shape(atom.aval))
        return 2 * sum(block.structure.numbers for block in blocks if block is not None) >= entries

    @cached_property
    def all_reach(self) -> bool:
        """Whether every column reaches some operand."""
        on = [self._dependent(atom)[0].on.reshape(-1, self.count) for atom in self.wanted]
        return bool(np.concatenate(on).any(0).all())

    def _states(self) -> list[State]:
        call, states = self.call, []
        finite = call.finite or [False] * len(call.operands)
        for at, atom in enumerate(self.equation.inputs):
            known, holds = not isinstance(call.operands[at], jax.Array), bool(finite[at])
            if call.wanted[at] and isinstance(atom, Variable):
                states.append(State.moving(*self._dependent(atom), finite=holds, known=known))
            else:
                shape = getattr(atom.aval, "shape", ())
                states.append(State.resting(shape, self.count, finite=holds, known=known))
        return states

    def _dependent(self, atom: Variable) -> tuple[Dependent, Dependent]:
        """On which columns an operand depends at least and at most, as the structures of its blocks say."""
        rows, least, most = math.prod(view_shape(atom.aval)), [], []
        for source, size in zip(self.inputs, self.sizes, strict=True):
            block = self._block(self.columns, atom, source)
            unknown = block is not None and (block.has_holes or rows * size > _LARGE)
            strip = np.zeros((rows, size), bool)
            if block is not None and not unknown:
                strip[block.pattern()] = True
            least.append(strip)
            most.append(strip | unknown)

        def joined(strips: Sequence[np.ndarray], ways: Ways) -> Dependent:
            on = np.concatenate(strips, 1).reshape(*view_shape(atom.aval), self.count)
            return Dependent(np.asarray(ways.reduce(on, -2)) if is_complex(atom.aval) else on)

        return joined(least, AT_LEAST), joined(most, AT_MOST)

    def pushed_edges(self, stacks: Sequence[Any], holes: Callable[[], Zeros | None]) -> dict[Edge, Block]:
        """The edges from the inputs to the results that depend on them.

        Their zeros may be of what depends on nothing.

        Args:
            stacks: the tangents of the results along a first axis; None for those that carry none.
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
        for output, stack, way in zip(self.equation.outputs, stacks, ways, strict=True):
            if output in active and stack is not None:
                blocks = blocks_of_columns(stack, self.inputs, holes)
                found.update(((at, number[output]), blocks[at]) for at in self.inputs if at in way)
        return found


def blocks_of_columns(
    stack: Any, inputs: Mapping[int, Any], holes: Callable[[], Zeros | None]
) -> dict[int, Block]:
    """The blocks of an array with respect to inputs, from its tangents.

    Args:
        stack: the tangents along a first axis.
        inputs: by node the types of the inputs, in the order of the columns.
        holes: what is to be known of their zeros.
    """
    array = jnp.moveaxis(real_view(stack), 0, -1)
    shapes = {at: view_shape(aval) for at, aval in inputs.items()}
    cuts = np.cumsum([math.prod(shape) for shape in shapes.values()])[:-1].tolist()
    found = {}
    for (at, shape), strip in zip(shapes.items(), jnp.split(array, cuts, -1), strict=True):
        value = with_holes(strip.reshape(*array.shape[:-1], *shape), holes() or Zeros.OF_STRUCTURE)
        found[at] = dense_block(value, array.shape[:-1], shape)
    return found


def pushed_through(
    equation: Equation, call: Call, stacks: Sequence[Any], kept: KeptZeros | None = None
) -> tuple[Sequence[Any], Sequence[Any]]:
    """The results of an equation and their tangents, from one evaluation.

    Args:
        equation: the equation.
        call: it with its operands.
        stacks: the tangents of the differentiated operands, one for every column.
        kept: where zeros are put back inside of it.

    Returns:
        the results, and their tangents along a first axis; None for those that carry none.
    """
    moving = list(itertools.compress(call.operands, call.wanted))
    carries = [is_differentiable(output.aval) for output in equation.outputs]

    masks = kept.masks if kept else []

    def push(tangents: Sequence[Any], masks: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        def fun(*moving: Any) -> tuple[list[Any], list[Any]]:
            operands = with_moving(call.operands, call.wanted, moving)
            results = kept.evaluate(equation, operands, masks) if kept else equation.evaluate(operands)
            return list(itertools.compress(results, carries)), results

        tangents = [varying_as(tangent, value) for tangent, value in zip(tangents, moving, strict=True)]
        _, found, results = jax.jvp(fun, moving, tangents, has_aux=True)
        return results, found

    if len(stacks[0]) > 1:
        results, found = jax.vmap(push, out_axes=(None, 0))(stacks, masks)
    else:
        results, found = push([stack[0] for stack in stacks], [mask[0] for mask in masks])
        found = [jnp.expand_dims(array, 0) for array in found]
    remaining = iter(found)
    return results, [next(remaining) if carried else None for carried in carries]
