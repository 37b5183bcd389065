"""Columns that are pushed forward through an equation by JAX, instead of being multiplied by its Jacobian.

Values and columns come of one evaluation, as with ``jax.jacfwd``. Of a loop it is not known beforehand which
takes less time: where it is to be compiled both are traced, and the one is taken that is estimated to be
faster.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Container, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import jax
from jax.core import Tracer

from ._incoming_columns import Incoming, blocks_of_columns, pushed_through
from ._linearize import by_rule
from ._numbering import Edge, Numbering
from ._pullback import NO_PULLBACK
from ._staged import Staged
from ._trace import Equation, Variable, with_moving
from .rules import (
    Blocks,
    Call,
    equations_without_poles,
    is_pushable,
    view_shape,
    worth_pushing,
)
from .sparse import Block, Zeros

#: Where rows are so many times fewer, columns are not pushed without an estimate, and not at all.
_FEWER, _FAR_FEWER = 2, 3
#: Jacobians take at least so many times what a loop itself takes.
_NEAR_THE_VALUE = 1.5
#: Jacobians by fewer columns are not asked for, if pushing these is so near to nothing.
_FEW = 8
#: Jacobians are taken where they take so much less time: pushed columns take what ``jax.jacfwd`` takes, in a
#: batch, too.
_MARGIN = 0.8
#: Jacobians are taken that hold so many times fewer numbers than they have entries: in a batch operations are
#: what takes time.
_THIN = 4
#: All entries of a factor or a solution depend on all of a matrix.
_WHOLE = frozenset("cholesky custom_linear_solve lu triangular_solve tridiagonal_solve".split())
#: So few columns go on where something else is read besides.
_JOINED = 16


def push(
    numbering: Numbering,
    call: Call,
    equation: Equation,
    edges: dict[Edge, Block],
    *,
    rows: float,
    outright: bool,
    holes: Callable[[], Zeros | None],
    moved: Moved,
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
        moved: what has been pushed before.

    Returns:
        whether columns have been pushed, the results of the equation, and its blocks where they have not;
        None where nothing has been done.
    """
    compiled = any(isinstance(operand, Tracer) for operand in call.operands)
    pushable = compiled and is_pushable(call)
    if not pushable and not (outright and worth_pushing(call, 1)):
        return None
    moved.settle(edges, [atom for atom in equation.inputs if atom in numbering.number])
    incoming = Incoming(numbering, call, equation, edges)
    if not incoming.count:
        return None
    worth = incoming.count < _FEWER * rows and worth_pushing(call, incoming.count)
    whatever = outright and worth
    kept = None
    if pushable and (whatever or incoming.count <= _FAR_FEWER * rows):
        kept = incoming.kept_zeros()
    if kept is None and not whatever:
        return None
    dynamic = [operand for operand in call.operands if isinstance(operand, jax.Array)]

    def given(arrays: Sequence[Any]) -> Call:
        moving = [isinstance(operand, jax.Array) for operand in call.operands]
        return call.with_operands(with_moving(call.operands, moving, arrays))

    def by_columns(arrays: Sequence[Any], columns: Any) -> Any:
        return pushed_through(equation, given(arrays), incoming.tangents(columns), kept)

    try:
        if worth:
            tangents = incoming.tangents(incoming.columns)
            results, stacks = pushed_through(equation, call, tangents, kept)
            moved.note_operands(incoming, tangents)
        else:
            pushed = Staged.of(by_columns, dynamic, incoming.columns)
    except NO_PULLBACK:  # JAX cannot differentiate it so
        return None
    if not worth:
        itself = Staged.of(lambda arrays: given(arrays).evaluate(), dynamic)
        if incoming.count >= _FEW or pushed.seconds > _NEAR_THE_VALUE * itself.seconds:
            ruled = Staged.of(lambda arrays: by_rule(given(arrays), equation), dynamic)
            if ruled.seconds < _MARGIN * pushed.seconds or _are_thin(ruled.outline[1]):
                return False, *ruled.run()
        results, stacks = pushed.run()
    moved.note(equation, incoming.inputs, stacks, moved.reach_all_of(incoming))
    incoming.eliminate()
    edges.update(incoming.pushed_edges(stacks, holes))
    return True, results, []


class _Tangents(NamedTuple):
    """Tangents of a value.

    Attributes:
        inputs: by node the types of the inputs, in the order of the columns.
        stack: the tangents, one for every entry of the inputs along a first axis.
        whole: whether all entries depend on all columns, constants aside.
    """

    inputs: Mapping[int, Any]
    stack: Any
    whole: bool


class Moved:
    """Columns that go on through the equations that read them, as in ``jax.jacfwd``.

    They do where no zero is lost: where nothing need be infinite, or all depends on every column, as what
    comes of a factorisation, and derivatives are finite. Where an equation reads something else besides,
    columns go on if they are few: what is read otherwise is as good as dense then, and arrays with a short
    last axis take longer.

    Args:
        numbering: the numbered program.
        outputs: the nodes whose Jacobians are asked for.
        holes: what is to be known of zeros among what has been pushed.
    """

    def __init__(
        self, numbering: Numbering, outputs: Container[int], holes: Callable[[], Zeros | None]
    ) -> None:
        self._numbering = numbering
        self._outputs = outputs
        self._holes = holes
        self._found: dict[Variable, _Tangents] = {}
        self._without_edges: set[Variable] = set()

    def note(self, equation: Equation, inputs: Mapping[int, Any], stacks: Sequence[Any], whole: bool) -> None:
        """Note the tangents of the results of an equation."""
        for output, stack in zip(equation.outputs, stacks, strict=True):
            if stack is not None and output in self._numbering.active:
                self._found[output] = _Tangents(inputs, stack, whole)

    def note_operands(self, incoming: Incoming, stacks: Sequence[Any]) -> None:
        """Note the tangents of operands whose Jacobians are dense."""
        for atom, stack in zip(incoming.wanted, stacks, strict=True):
            if atom not in self._found and incoming.is_dense(atom):
                self._found[atom] = _Tangents(incoming.inputs, stack, False)

    def further(self, call: Call, equation: Equation, edges: dict[Edge, Block]) -> Sequence[Any] | None:
        """The results of an equation through which columns go on; None where they do not.

        Args:
            call: the equation with its operands.
            equation: the equation.
            edges: those of all that precedes.
        """
        atoms = itertools.compress(equation.inputs, call.wanted) if self._found else ()
        wanted = [atom for atom in atoms if isinstance(atom, Variable)]
        found = [self._found[atom] for atom in wanted if atom in self._found]
        if not found or not self._lose_no_zero(equation, found):
            return None
        inputs, stacks = found[0].inputs, [one.stack for one in found]
        whole = all(one.whole for one in found)
        if len(found) < len(wanted) or any(list(one.inputs) != list(inputs) for one in found):
            if self._number > _JOINED:
                return None
            self.settle(edges, wanted)
            incoming = Incoming(self._numbering, call, equation, edges)
            inputs, stacks = incoming.inputs, incoming.tangents(incoming.columns)
            self.note_operands(incoming, stacks)
            whole = any(one.whole for one in found) and equation.primitive.name in _DEPENDING_ON_BOTH
            incoming.eliminate()
        results, stacks = pushed_through(equation, call, stacks)
        self.note(equation, inputs, stacks, whole)
        self._without_edges.update(output for output in equation.outputs if output in self._found)
        return results

    def reach_all_of(self, incoming: Incoming) -> bool:
        """Whether all entries of the results of an equation depend on all columns, constants aside."""
        if incoming.equation.primitive.name not in _WHOLE:
            return False
        whole = any(atom in self._found and self._found[atom].whole for atom in incoming.wanted)
        return whole or incoming.all_reach

    def _lose_no_zero(self, equation: Equation, found: Sequence[_Tangents]) -> bool:
        poleless, finite = self._without_poles
        return equation in finite or (equation in poleless and any(one.whole for one in found))

    @cached_property
    def _without_poles(self) -> tuple[set[Equation], set[Equation]]:
        return equations_without_poles(self._numbering.program)

    @cached_property
    def _number(self) -> int:
        """How many entries the arguments have."""
        inputs = self._numbering.program.inputs
        return sum(math.prod(view_shape(inputs[at].aval)) for at in self._numbering.wrt)

    def settle(self, edges: dict[Edge, Block], read_now: Sequence[Variable] = ()) -> None:
        """Add the edges to what is read otherwise, or is asked for."""
        read = {source for source, _ in edges}.union(self._numbering.number[atom] for atom in read_now)
        for variable in [*self._without_edges]:
            node = self._numbering.number[variable]
            if node in read or node in self._outputs:
                self._without_edges.remove(variable)
                found = self._found[variable]
                blocks = blocks_of_columns(found.stack, found.inputs, self._holes)
                edges.update(((at, node), block) for at, block in blocks.items())


#: Whatever one of their operands depends on, their results do.
_DEPENDING_ON_BOTH = frozenset("add add_any dot_general mul sub".split())


def _are_thin(blocks: Blocks) -> bool:
    """Whether Jacobians hold few of their entries."""
    found = [block for row in blocks for block in row if block is not None]
    entries = sum(math.prod(block.shape) for block in found)
    return _THIN * sum(block.structure.numbers for block in found) <= entries
