"""The nodes of a graph as people read them: name, equation, source line, role."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from .._describe import Printer, stable_params
from .._graph import ComputationalGraph
from ._text import shortened


@dataclass(frozen=True)
class Node:
    """An input or a vertex, as people read it.

    Attributes:
        number: of the node; inputs are negative.
        name: of the primitive.
        equation: as ``print(graph)`` shows it.
        source: the line that the equation comes from.
        roles: such as ``input`` and ``output 2``.
    """

    number: int
    name: str
    equation: str
    source: str
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
        nodes[number] = Node(number, "input", printer.typed(program.inputs[position]), "", roles(number))
    vertices = set(graph.vertices)
    for equation in program.equations:
        params = shortened(stable_params(equation.params), 100)
        text = shortened(printer.equation(equation, params))
        for variable in equation.outputs:
            number = graph.numbering.number.get(variable)
            if number in vertices:
                place = _place(equation.source)
                nodes[number] = Node(number, equation.primitive.name, text, place, roles(number))
    return nodes


def _place(source: str) -> str:
    """A source line without the folders: pictures travel."""
    path, space, function = source.partition(" (")
    return PurePath(path.replace("\\", "/")).name + space + function
