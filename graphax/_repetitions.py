"""Which equations of a program repeat others."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ._trace import Atom, Constant, Equation, Variable


class Repetitions:
    """Equations that have been seen, so that the results of equal ones need not be found again.

    Equal are those that apply one primitive with equal parameters to the same operands.
    """

    def __init__(self) -> None:
        self._first: dict[Variable, Variable] = {}
        self._seen: dict[Hashable, tuple[Variable, ...]] = {}

    def of(self, equation: Equation) -> tuple[Variable, ...] | None:
        """The results of an equal equation before; None where there is none, which is noted."""
        if equation.has_effects:
            return None
        inputs = tuple(map(self._operand, equation.inputs))
        key: Any = equation.primitive, tuple(sorted(equation.params.items())), inputs
        try:
            found = self._seen.setdefault(key, equation.outputs)
        except TypeError:  # parameters that cannot be compared
            return None
        if found is equation.outputs:
            return None
        self._first.update(zip(equation.outputs, found, strict=True))
        return found

    def _operand(self, atom: Atom) -> Hashable:
        if isinstance(atom, Constant):
            return repr(atom.value), str(atom.aval)
        return self._first.get(atom, atom)
