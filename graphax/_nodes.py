"""The nodes of a graph as people read them: name, equation, source line, role."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from ._describe import _letters, _stable_params
from ._graph import ComputationalGraph
from ._trace import Atom, Constant, Equation, Variable, short_type

_LONG = 220  # characters of an equation or a structure that are shown


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
    names: dict[Variable, str] = {}

    def name(atom: Atom) -> str:
        if isinstance(atom, Constant):
            return repr(atom)
        return names.setdefault(atom, _letters(len(names)))

    def roles(number: int) -> tuple[str, ...]:
        found = [f"output {at}" for at, node in enumerate(graph.outputs, 1) if node == number]
        return (f"input {-number}",) * (number < 0) + tuple(found)

    def typed(variable: Variable) -> str:
        return f"{name(variable)}:{short_type(variable.aval)}"

    for variable in program.inputs:
        name(variable)
    nodes = {}
    for number, position in zip(graph.inputs, graph.numbering.wrt, strict=True):
        nodes[number] = Node(number, "input", typed(program.inputs[position]), "", roles(number))
    vertices = set(graph.vertices)
    for equation in program.equations:
        operands = " ".join(map(name, equation.inputs))
        results = " ".join(map(typed, equation.outputs))
        for variable in equation.outputs:
            number = graph.numbering.number.get(variable)
            if number in vertices:
                primitive = equation.primitive.name
                text = shortened(f"{results} = {primitive}{_bracketed(equation)} {operands}")
                nodes[number] = Node(number, primitive, text, _place(equation.source), roles(number))
    return nodes


def _bracketed(equation: Equation) -> str:
    params = _stable_params(equation.params)
    return f"[{shortened(params, 100)}]" if params else ""


def _place(source: str) -> str:
    """A source line without the folders: pictures travel."""
    path, space, function = source.partition(" (")
    return PurePath(path.replace("\\", "/")).name + space + function


def shortened(text: str, length: int = _LONG) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
