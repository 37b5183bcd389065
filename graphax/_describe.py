"""A graph as text, to be read by people."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from jax.extend import core

from ._numbering import Numbering
from ._trace import Atom, Constant, Equation, Variable, short_type
from .rules import static_number


def _literal(value: Any) -> str:
    """A literal in six digits, so that every floating type spells it alike."""
    number = static_number(value)
    return f"{number:.6g}" if number is not None else str(value)


def stable_params(params: dict[str, Any]) -> str:
    """The parameters that shape the result; types, precisions and functions are left out."""
    return " ".join(f"{key}={text}" for key, value in sorted(params.items()) if (text := _stable(value)))


def _stable(value: Any) -> str:
    if isinstance(value, bool | int | str):
        return repr(value)
    if isinstance(value, float):
        return _literal(value)
    if isinstance(value, tuple | list):
        return "(" + ",".join(_stable(item) for item in value) + ")"
    if isinstance(value, core.ClosedJaxpr | core.Jaxpr):
        jaxpr = value.jaxpr if isinstance(value, core.ClosedJaxpr) else value
        return "[" + ";".join(f"{e.primitive.name} {stable_params(e.params)}" for e in jaxpr.eqns) + "]"
    return ""


class Printer:
    """Equations as a jaxpr prints them; variables are named a, b, ... as they come up."""

    def __init__(self) -> None:
        self._names: dict[Variable, str] = {}

    def name(self, atom: Atom) -> str:
        if isinstance(atom, Constant):
            return repr(atom)
        return self._names.setdefault(atom, _letters(len(self._names)))

    def typed(self, variable: Variable) -> str:
        return f"{self.name(variable)}:{short_type(variable.aval)}"

    def equation(self, equation: Equation, params: str) -> str:
        """An equation with this text for its parameters."""
        operands = " ".join(map(self.name, equation.inputs))
        results = " ".join(map(self.typed, equation.outputs))
        return f"{results} = {equation.primitive.name}{f'[{params}]' if params else ''} {operands}"


def describe(numbering: Numbering, eliminable: Collection[int], vertices: Collection[int]) -> str:
    """The numbered equations as a jaxpr prints them, with the lines that they come from."""
    printer = Printer()
    program = numbering.program
    eliminable, vertices = set(eliminable), set(vertices)
    header = " ".join(map(printer.typed, program.inputs))
    rows = []
    last = 0
    for equation in program.equations:
        numbers = [numbering.number[v] for v in equation.outputs if v in numbering.number]
        last = numbers[-1] if numbers else last + 1
        marks = "".join(
            "*" if number in eliminable else "o" if number in vertices else " "
            for number in numbers or [last]
        )
        label = ",".join(str(number) for number in numbers or [last])
        text = printer.equation(equation, stable_params(equation.params))
        rows.append((label, marks, text, equation.source and f"# {equation.source}"))
    width = max((len(row[0]) for row in rows), default=0)
    body = max((min(len(row[2]), 72) for row in rows), default=0)
    lines = [
        f"{label:>{width}} {marks} {text:<{body}}  {place}".rstrip() for label, marks, text, place in rows
    ]
    results = " ".join(map(printer.name, program.outputs))
    legend = (
        f"{len(vertices)} vertices, {len(eliminable)} eliminable (*); o is an output that no vertex reads"
    )
    return "\n".join([f"inputs {header}", *lines, f"outputs {results}", legend])


def _letters(index: int) -> str:
    """a, b, ..., z, ba, bb, ... as jaxprs name variables."""
    text = ""
    while True:
        index, rest = divmod(index, 26)
        text = chr(ord("a") + rest) + text
        if not index:
            return text
