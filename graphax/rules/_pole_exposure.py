"""Whether zeros among columns may meet what is not finite, when JAX pushes them forward through a loop.

Where a derivative is infinite, a column that is zero there becomes NaN. Elimination leaves out what is zero
by structure; JAX's forward mode multiplies it. No harm is done where there are no poles, nor where all that
meets a pole depends on the column, so that it is not zero by structure there. Where what comes of a pole
never depends on the column, zeros are put back: see ``_kept_zeros.py``.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jax.extend import core

from .._trace import Atom, Constant, Equation, Program, inline, scan_counts
from ._carried import through_steps
from ._dependence import results_of
from ._elementwise import ELEMENTWISE
from ._entry_dependence import AT_LEAST, AT_MOST, SOLUTIONS, Dependent, dependent_entries
from ._finite import FiniteValues, has_no_poles
from ._kept_zeros import KeptZeros
from ._linearity import coefficients
from ._poleless import is_poleless
from ._ranges import Ranges
from ._registry import Inputs

_NONE: Inputs = frozenset()


class State(NamedTuple):
    """What is known of a value beside which columns are pushed.

    Attributes:
        least: on which columns its entries depend at least.
        most: on which they may depend.
        exposed: in which columns entries that are not finite may meet zeros: where they need not have made
            the column infinite, too.
        moves: whether it carries a derivative.
        finite: whether it is known to be finite.
        known: whether it depends on no argument: then structures may know where it is zero.
    """

    least: Dependent
    most: Dependent
    exposed: Dependent
    moves: bool
    finite: bool
    known: bool = False

    @classmethod
    def moving(cls, least: Dependent, most: Dependent, *, finite: bool, known: bool = False) -> State:
        """That of a value that depends on columns; where it is not finite, they are not either."""
        nothing = Dependent.throughout(least.shape, least.count, False)
        return cls(least, most, nothing if finite else ~least, True, finite, known)

    @classmethod
    def resting(cls, shape: Sequence[int], count: int, *, finite: bool, known: bool = False) -> State:
        """That of a value of a shape that depends on none of so many columns."""
        nothing = Dependent.throughout(shape, count, False)
        return cls(nothing, nothing, nothing if finite else ~nothing, False, finite, known)

    def if_finite(self, holds: bool) -> State:
        """The same where that is known."""
        nothing = Dependent.throughout(self.least.shape, self.least.count, False)
        return self._replace(exposed=nothing, finite=True) if holds else self

    def of_some_slice(self) -> State:
        """That of a slice, whichever it is."""
        least, most = self.least.of_some_slice(AT_LEAST), self.most.of_some_slice(AT_MOST)
        return self._replace(least=least, most=most, exposed=self.exposed.of_some_slice(AT_MOST))

    def stacked(self, length: int) -> State:
        """That of as many slices."""
        least, most, exposed = (on.stacked(length) for on in self[:3])
        return self._replace(least=least, most=most, exposed=exposed)

    def joined(self, other: State) -> State:
        """That of a value that may be the one or the other."""
        return State(
            self.least & other.least,
            self.most | other.most,
            self.exposed | other.exposed,
            self.moves or other.moves,
            self.finite and other.finite,
            self.known and other.known,
        )


class Passage(NamedTuple):
    """What becomes of columns inside of an equation or a program.

    Attributes:
        results: what is known of the results.
        loses: whether zeros may become something else, and cannot be put back.
        kept: where they are put back.
    """

    results: Sequence[State]
    loses: bool
    kept: KeptZeros


def kept_zeros(loop: Equation, operands: Sequence[State]) -> KeptZeros | None:
    """How zeros among columns stay zeros inside of a loop; None where they may not.

    Args:
        loop: the loop, an equation.
        operands: what is known of its operands.
    """
    _, loses, kept = _INNER[loop.primitive.name](loop, operands)
    return None if loses else kept


def followed(program: Program, inputs: Sequence[State]) -> Passage:
    """What becomes of columns inside of a program.

    Args:
        program: the program.
        inputs: what is known of its inputs, one at least.
    """
    finite = FiniteValues(program, [state.finite for state in inputs])
    ranges, loses, kept = Ranges(program), False, KeptZeros()
    count = inputs[0].least.count
    found: dict[Atom, State] = dict(zip(program.inputs, inputs, strict=True))

    def resting(atom: Atom, known: bool) -> State:
        return State.resting(getattr(atom.aval, "shape", ()), count, finite=finite.holds(atom), known=known)

    def state_of(atom: Atom, holds: bool) -> State:
        state = resting(atom, not atom.value) if isinstance(atom, Constant) else found[atom]
        return state.if_finite(holds)

    found.update((variable, resting(variable, True)) for variable, _ in program.constants)
    for equation in program.equations:
        operands = list(map(state_of, equation.inputs, finite.of(equation)))
        finite.after(equation, [])
        known = all(found[atom].known for atom in equation.inputs if not isinstance(atom, Constant))
        found.update((output, resting(output, known)) for output in equation.outputs)
        if any(state.moves for state in operands):
            passage = _through(equation, operands, ranges)
            loses, kept = loses or passage.loses, kept | passage.kept
            for output, state in zip(equation.outputs, passage.results, strict=False):
                if state.moves or state.finite:
                    found[output] = state.if_finite(finite.holds(output))
    return Passage([state_of(atom, finite.holds(atom)) for atom in program.outputs], loses, kept)


def _through(equation: Equation, operands: Sequence[State], ranges: Ranges) -> Passage:
    if equation.primitive.name in _INNER:
        return _INNER[equation.primitive.name](equation, operands)
    given = [frozenset([at]) if state.moves else _NONE for at, state in enumerate(operands)]
    has_poles = equation.primitive.name in SOLUTIONS or not _has_no_poles(equation, ranges)
    results, loses, kept = list[State](), False, KeptZeros()
    for output, way in zip(equation.outputs, results_of(equation, given), strict=False):
        shape = output.aval.shape
        if not way:
            results.append(State.resting(shape, operands[0].least.count, finite=False))
            continue
        least = _least_of_result(equation, shape, operands, way)
        most = _of_result(equation, shape, [state.most for state in operands], way)
        exposed = _of_result(equation, shape, [state.exposed for state in operands])
        if has_poles:
            exposed, met = exposed | ~least, _zeros_at_poles(equation, shape, operands, way, least)
        else:
            met = _zeros_at_factors(equation, shape, operands, way)
        loses = loses or not (met & most).is_empty
        if not met.is_empty:
            kept = kept | KeptZeros({output: most})
        results.append(State(least, most, exposed, True, False))
    return Passage(results, loses, kept)


def _zeros_at_poles(
    equation: Equation, shape: tuple[int, ...], operands: Sequence[State], way: Inputs, least: Dependent
) -> Dependent:
    """The columns of a result in which zeros may meet a pole of the equation."""
    if equation.primitive.name in SOLUTIONS:
        return ~least
    if equation.primitive.name == "div":  # where one derivative is infinite, so is the other
        dividend, divisor = operands
        return ~least | (~divisor.least & dividend.exposed) if divisor.moves else ~least
    return _of_result(equation, shape, [~state.least for state in operands], way)


def _zeros_at_factors(
    equation: Equation, shape: tuple[int, ...], operands: Sequence[State], way: Inputs
) -> Dependent:
    """The columns of a result in which zeros may meet infinite factors."""
    count = operands[0].least.count
    found = Dependent.throughout(shape, count, False)
    for each, other in ((at, other) for at in sorted(way) for other in coefficients(equation, at)):
        zeros, factor = ~operands[each].least, operands[other].exposed
        if zeros.shape == factor.shape == shape and equation.primitive.name in ELEMENTWISE:
            found |= zeros & factor
        elif not factor.is_empty:
            of_any = [
                Dependent(np.asarray(on.on.any(tuple(range(on.on.ndim - 1))))) for on in (zeros, factor)
            ]
            found |= Dependent.throughout(shape, count, (of_any[0] & of_any[1]).on)
    return found


def _least_of_result(
    equation: Equation, shape: tuple[int, ...], operands: Sequence[State], way: Inputs
) -> Dependent:
    # A factor that is known may be known to be zero.
    if equation.primitive.name in _PRODUCTS and any(state.known for state in operands):
        return Dependent.throughout(shape, operands[0].least.count, False)
    given = [state.least if at in way else None for at, state in enumerate(operands)]
    return dependent_entries(equation, shape, given, AT_LEAST)


_PRODUCTS = frozenset(("dot_general", "mul"))


def _of_result(
    equation: Equation, shape: tuple[int, ...], operands: Sequence[Dependent], way: Inputs | None = None
) -> Dependent:
    """The columns of a result's entries, that of all entries of the operands that they are made of."""
    given = [on if way is None or at in way else None for at, on in enumerate(operands)]
    return dependent_entries(equation, shape, given, AT_MOST)


def _has_no_poles(equation: Equation, ranges: Ranges) -> bool:
    if equation.primitive.name == "custom_jvp_call":
        return has_no_poles(Program((), (), (equation,), ()))
    return is_poleless(equation, ranges)


# ---- programs inside


def _scan(equation: Equation, operands: Sequence[State]) -> Passage:
    num_consts, num_carry = scan_counts(equation.params)
    first = num_consts + num_carry
    slices = [state.of_some_slice() for state in operands[first:]]
    body = equation.params["jaxpr"]
    results, loses, kept = _loop(equation, body, num_consts, num_carry, [*operands[:first], *slices])
    length = equation.params["length"]
    stacked = [state.stacked(length) for state in results[num_carry:]]
    return Passage([*results[:num_carry], *stacked], loses, kept)


def _while(equation: Equation, operands: Sequence[State]) -> Passage:
    before, consts = equation.params["cond_nconsts"], equation.params["body_nconsts"]
    carried = len(operands) - before - consts
    return _loop(equation, equation.params["body_jaxpr"], consts, carried, operands[before:])


def _loop(
    equation: Equation, body: core.ClosedJaxpr, num_consts: int, num_carry: int, operands: Sequence[State]
) -> Passage:
    program = inline(body)

    def results_of(inputs: list[State]) -> Sequence[State]:
        return followed(program, inputs).results

    found, results = through_steps(operands, num_consts, num_carry, results_of, State.joined)
    _, loses, kept = followed(program, found)
    return Passage(results, loses, kept.inside(equation, [program]))


def _cond(equation: Equation, operands: Sequence[State]) -> Passage:
    programs = [inline(branch) for branch in equation.params["branches"]]
    ways = [followed(program, operands[1:]) for program in programs]
    several = zip(*(way.results for way in ways), strict=True)
    results = [functools.reduce(State.joined, states) for states in several]
    kept = functools.reduce(operator.or_, (way.kept for way in ways))
    return Passage(results, any(way.loses for way in ways), kept.inside(equation, programs))


_INNER = {"cond": _cond, "scan": _scan, "while": _while}
