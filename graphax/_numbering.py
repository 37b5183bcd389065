"""Number the vertices of a program, and find those that a derivative may pass through."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from ._trace import Atom, Program, Variable, is_differentiable, opened
from .rules import follow

Edge = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Numbering:
    """Which variables of a program are vertices, and which of them can carry a derivative.

    Attributes:
        program: the flat program.
        wrt: positions of the differentiated ones among the program's inputs.
        number: the vertex number of every variable that has one; inputs count down from -1.
        active: variables that depend on a differentiated input and that an output depends on.
        moving: variables that depend on a differentiated input.
        wanted: for every equation whether its local Jacobian with respect to each operand is needed.
    """

    program: Program
    wrt: tuple[int, ...]
    number: dict[Variable, int]
    active: frozenset[Variable]
    moving: frozenset[Atom]
    wanted: tuple[tuple[bool, ...], ...]

    @property
    def inputs(self) -> tuple[int, ...]:
        """The node of every differentiated input."""
        return tuple(-1 - at for at in range(len(self.wrt)))


def number_vertices(program: Program, wrt: Sequence[int], num_outputs: int) -> Numbering:
    """Number the vertices 1, 2, 3, ... by the position of their equation.

    Every equation counts, before anything is pruned; one with several results takes a number for each
    result that can carry a derivative (one if none can).

    Args:
        program: the flat program; calls of programs through which a derivative passes are replaced by these.
        wrt: positions of the differentiated inputs.
        num_outputs: how many of the program's outputs are differentiated; any others are auxiliary.
    """
    inputs = [program.inputs[position] for position in wrt]
    moving, links = follow(program, dict.fromkeys(inputs, frozenset([0])))
    while (whole := opened(program, moving)) is not program:
        program = whole
        moving, links = follow(program, dict.fromkeys(inputs, frozenset([0])))
    number: dict[Variable, int] = {}
    numbers = itertools.count(1)
    for equation in program.equations:
        carriers = [output for output in equation.outputs if is_differentiable(output.aval)]
        number.update(zip(carriers, numbers, strict=False))
        if not carriers:
            next(numbers)
    for at, position in enumerate(wrt):
        number[program.inputs[position]] = -1 - at

    useful = moving.keys() & set(program.outputs[:num_outputs])
    wanted = []
    for equation, ways in zip(reversed(program.equations), reversed(links), strict=True):
        needed = (way for output, way in zip(equation.outputs, ways, strict=False) if output in useful)
        read = frozenset().union(*needed)
        useful.update(equation.inputs[at] for at in read)
        wanted.append(tuple(at in read for at in range(len(equation.inputs))))
    active = frozenset(atom for atom in useful if isinstance(atom, Variable))
    return Numbering(program, tuple(wrt), number, active, frozenset(moving), tuple(reversed(wanted)))
