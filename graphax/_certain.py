"""What is certain of an array's entries by how a program makes it: zeros, and minus infinity.

A mask that weights are multiplied by, a triangle that is cut out, a matrix put together of diagonals, scores
of which some are minus infinity: the numbers depend on the inputs, but not that some of them are zero. As
elsewhere arguments count as finite, and a zero times anything else is zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jax.core import Tracer

from ._certain_forms import ANY, FORMS, carriers, certain_of
from ._known import KnownValues
from ._trace import Atom, Equation, Program, Variable, inline

#: What calls a program, whose results are its own.
_RULED = frozenset(("custom_jvp_call", "custom_vjp_call"))


class Certain:
    """What is certain of the entries of a program's variables, worked out when asked for.

    Args:
        program: the program.
        known: its values that depend on no input.
        inputs: for every input what is certain of it, or None; of none if left out.
    """

    def __init__(
        self, program: Program, known: KnownValues, inputs: Sequence[np.ndarray | None] | None = None
    ) -> None:
        self._program, self._known = program, known
        self._found: dict[Atom, np.ndarray | None] = dict(
            zip(program.inputs, inputs or [None] * len(program.inputs), strict=True)
        )
        # Of what is being traced nothing is certain.
        traced = [variable for variable, value in program.constants if isinstance(value, Tracer)]
        self._found.update(dict.fromkeys(traced))

    @cached_property
    def _definitions(self) -> dict[Variable, Equation]:
        return {output: equation for equation in self._program.equations for output in equation.outputs}

    def __call__(self, atom: Atom) -> np.ndarray | None:
        """What is certain of the entries of an atom: an array of its shape; None where nothing is."""
        pending = [atom]
        while pending:  # a stack of our own: programs may be longer than Python's is deep
            current = pending[-1]
            if current in self._found:
                pending.pop()
                continue
            value = self._known(current, at_once=True)
            if value is not None:
                self._found[current] = certain_of(value)
                continue
            assert isinstance(current, Variable)
            equation = self._definitions[current]
            missing = [other for other in carriers(equation) if other not in self._found]
            if missing and (equation.primitive.name in FORMS or equation.primitive.name in _RULED):
                pending += missing
            else:
                self._found.update(zip(equation.outputs, self._of_results(equation), strict=True))
        return self._found[atom]

    def _of_results(self, equation: Equation) -> list[np.ndarray | None]:
        """What is certain of the results of an equation, from what is of its operands."""
        name, count = equation.primitive.name, len(equation.outputs)
        given = [self._found.get(atom) for atom in equation.inputs]
        if name in _RULED:
            return self._of_program(inline(equation.params["call_jaxpr"]), equation)
        if name == "mul":  # a mask, perhaps, for which something has to be compiled
            given = [
                certain_of(value) if one is None and (value := self._known(atom)) is not None else one
                for atom, one in zip(equation.inputs, given, strict=True)
            ]
        form = FORMS.get(name)
        if form is None or (name not in ("cholesky", "qr") and all(one is None for one in given)):
            return [None] * count
        whole = [
            np.broadcast_to(np.uint8(ANY), atom.aval.shape) if one is None else one
            for atom, one in zip(equation.inputs, given, strict=True)
        ]
        found = form(equation, whole, lambda at: self._known(equation.inputs[at]))
        results = found if isinstance(found, list) else [found]
        return [
            None if result is None or not result.any() else np.broadcast_to(result, output.aval.shape)
            for output, result in zip(equation.outputs, results, strict=True)
        ]

    def _of_program(self, program: Program, equation: Equation) -> list[np.ndarray | None]:
        inner = Certain(program, KnownValues(program), [self._found[atom] for atom in equation.inputs])
        return [inner(atom) for atom in program.outputs]
