"""The nodes of a graph as people read them: name, equation, source line, role."""

from __future__ import annotations

import functools
import linecache
import re
from dataclasses import dataclass
from pathlib import PurePath

from .._describe import Printer, stable_params
from .._graph import ComputationalGraph
from ._text import shortened

# As JAX writes it: the file, the line, the column, the function.
_SOURCE = re.compile(r"(.*?):(\d+)(?::\d+)?( \(.*\))?", re.DOTALL)
_LONGEST_NAME = 120


@dataclass(frozen=True)
class Node:
    """An input or a vertex, as people read it.

    Attributes:
        number: of the node; inputs are negative.
        name: of the primitive.
        equation: as ``print(graph)`` shows it.
        place: the line that the equation comes from, such as ``arm.py:12 (forward)``.
        code: the text of that line, if it can be read.
        roles: such as ``input`` and ``output 2``.
    """

    number: int
    name: str
    equation: str
    place: str
    code: str
    roles: tuple[str, ...]

    @property
    def is_output(self) -> bool:
        return any(role.startswith("output") for role in self.roles)

    @property
    def label(self) -> str:
        return shortened(self.name, 14)

    @property
    def width(self) -> float:
        """The width of its box."""
        return max(34.0, 5.1 * len(self.label) + 12.0)


def nodes_of(graph: ComputationalGraph) -> dict[int, Node]:
    """The inputs and the vertices of a graph, sources before targets."""
    program = graph.numbering.program
    printer = Printer()

    def roles(number: int) -> tuple[str, ...]:
        found = [f"output {at}" for at, node in enumerate(graph.outputs, 1) if node == number]
        return (f"input {-number}",) * (number < 0) + tuple(found)

    for variable in program.inputs:
        printer.name(variable)
    nodes = {}
    for number, position in zip(graph.inputs, graph.numbering.wrt, strict=True):
        nodes[number] = Node(number, "input", printer.typed(program.inputs[position]), "", "", roles(number))
    vertices = set(graph.vertices)
    for equation in program.equations:
        params = shortened(stable_params(equation.params), 100)
        text = shortened(printer.equation(equation, params))
        for variable in equation.outputs:
            number = graph.numbering.number.get(variable)
            if number in vertices:
                nodes[number] = Node(
                    number, equation.primitive.name, text, *_line(equation.source), roles(number)
                )
    return nodes


@functools.cache
def _line(source: str) -> tuple[str, str]:
    """A source line without the folders, since pictures travel, and what stands there; empty if unknown.

    What notebooks and prompts run is in Python's cache of lines, like the lines of files.
    """
    found = _SOURCE.fullmatch(source)
    if not found:
        return _tail(source), ""
    path, number, function = found.groups("")
    name = "notebook" if "ipykernel_" in path or "<ipython-input" in path else PurePath(_slashed(path)).name
    code = linecache.getline(path, int(number)).strip()
    return f"{_tail(name)}:{number}{function}", shortened(code, 100)


def _slashed(path: str) -> str:
    return path.replace("\\", "/")


def _tail(name: str) -> str:
    """The end of a long name."""
    return name if len(name) <= _LONGEST_NAME else "…" + name[1 - _LONGEST_NAME :]
