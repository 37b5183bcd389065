"""Whether zeros among columns may meet what is not finite, when JAX pushes them forward through a loop.

Where a derivative is infinite, a column that is zero there becomes NaN. Elimination leaves out what is zero
by structure; JAX's forward mode multiplies it. No harm is done where there are no poles, nor where all that
meets a pole depends on the column, so that it is not zero by structure there. Where what comes of a pole
never depends on the column, zeros are put back: see ``_kept_zeros.py``.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from jax.extend import core

from .._trace import Atom, Constant, Equation, Program, inline, scan_counts
from ._column_states import State, none_like
from ._dependence import results_of
from ._elementwise import ELEMENTWISE
from ._entry_dependence import AT_LEAST, AT_MOST, SOLUTIONS, Dependent, dependent_entries
from ._finite import FiniteValues, has_no_poles
from ._kept_zeros import Columns, KeptZeros, Way
from ._linearity import coefficients
from ._poleless import is_poleless
from ._ranges import Ranges
from ._registry import Inputs

_NONE: Inputs = frozenset()
_PRODUCTS = frozenset(("dot_general", "mul"))


class Passage(NamedTuple):
    """What becomes of columns inside of an equation or a program.

    Attributes:
        results: what is known of the results.
        kept: where zeros are put back.
    """

    results: Sequence[State]
    kept: KeptZeros


def kept_zeros(loop: Equation, operands: Sequence[State]) -> KeptZeros | None:
    """How zeros among columns stay zeros inside of a loop; None where they may not.

    Args:
        loop: the loop, an equation.
        operands: what is known of its operands.
    """
    if all(state.finite for state in operands) and has_no_poles(Program((), (), (loop,), ())):
        return KeptZeros()
    kept = _INNER[loop.primitive.name](loop, operands).kept
    return kept.needed if kept.are_all else None


def followed(program: Program, inputs: Sequence[State]) -> Passage:
    """What becomes of columns inside of a program.

    Args:
        program: the program.
        inputs: what is known of its inputs, one at least.
    """
    finite = FiniteValues(program, [state.finite for state in inputs])
    ranges, kept = Ranges(program), KeptZeros()
    count = inputs[0].least.count
    found: dict[Atom, State] = dict(zip(program.inputs, inputs, strict=True))

    def resting(atom: Atom, known: bool, fixed: bool) -> State:
        state = State.resting(getattr(atom.aval, "shape", ()), count, finite=finite.holds(atom), known=known)
        return state._replace(fixed=fixed)

    def state_of(atom: Atom, holds: bool) -> State:
        state = resting(atom, not atom.value, True) if isinstance(atom, Constant) else found[atom]
        return state.if_finite(holds)

    found.update((variable, resting(variable, True, True)) for variable, _ in program.constants)
    for equation in program.equations:
        operands = list(map(state_of, equation.inputs, finite.of(equation)))
        finite.after(equation, [])
        known = all(found[atom].known for atom in equation.inputs if not isinstance(atom, Constant))
        fixed = all(state.fixed for state in operands)
        found.update((output, resting(output, known, fixed)) for output in equation.outputs)
        if any(state.moves for state in operands):
            passage = _through(equation, operands, ranges)
            kept = kept | passage.kept
            for output, state in zip(equation.outputs, passage.results, strict=False):
                if state.moves or state.finite:
                    found[output] = state.if_finite(finite.holds(output))._replace(fixed=fixed)
    return Passage([state_of(atom, finite.holds(atom)) for atom in program.outputs], kept)


def _through(equation: Equation, operands: Sequence[State], ranges: Ranges) -> Passage:
    if equation.primitive.name in _INNER:
        return _INNER[equation.primitive.name](equation, operands)
    given = [frozenset([at]) if state.moves else _NONE for at, state in enumerate(operands)]
    has_poles = equation.primitive.name in SOLUTIONS or not _has_no_poles(equation, ranges)
    results, columns = list[State](), dict[Way, Columns]()
    for place, way in enumerate(results_of(equation, given)):
        output = equation.outputs[place]
        if not way:
            results.append(State.resting(output.aval.shape, operands[0].least.count, finite=False))
            continue
        moving = [state if at in way else None for at, state in enumerate(operands)]
        least, later = (
            dependent_entries(equation, place, [state and of(state) for state in moving], AT_LEAST)
            for of in (operator.attrgetter("least"), operator.attrgetter("later"))
        )
        if equation.primitive.name in _PRODUCTS and any(state.known for state in operands):
            least = later = none_like(least)  # what is known may be known to be zero
        most = dependent_entries(equation, place, [state and state.most for state in moving], AT_MOST)
        exposed = dependent_entries(equation, place, _exposed_operands(equation, operands), AT_MOST)
        if has_poles:
            poles, met, by_operand = _zeros_at_poles(equation, place, operands, moving, least, later)
            exposed |= poles
        else:
            met, by_operand = none_like(least), _zeros_at_factors(equation, output.aval.shape, operands, way)
        columns.update(_columns(equation, place, moving, most, met, by_operand))
        results.append(State(least, later, most, exposed, True, False))
    return Passage(results, KeptZeros(columns))


def _columns(
    equation: Equation,
    place: int,
    moving: Sequence[State | None],
    most: Dependent,
    met: Dependent,
    by_operand: Mapping[int, Dependent],
) -> dict[Way, Columns]:
    """The columns of a result, and as they come of every operand that moves.

    Zeros are put back in the result itself where that will do.

    Args:
        equation, place, moving: the equation, the place of the result, its operands that move.
        most: on which columns the result may depend.
        met: in which zeros meet what is not finite, whichever operand they are of.
        by_operand: the same by operand.
    """
    output = equation.outputs[place]
    whole = Columns(most, functools.reduce(operator.or_, by_operand.values(), met))
    apart = len(equation.outputs) == 1 < sum(state is not None for state in moving) and not whole.are_kept
    found = {Way(output): Columns(most, met) if apart else whole}
    for at, state in enumerate(moving):
        if state is not None:
            zeros = by_operand.get(at, none_like(met)) if apart else none_like(met)
            given = [state.most if other == at else None for other in range(len(moving))]
            reached = most if zeros.is_empty else dependent_entries(equation, place, given, AT_MOST)
            found[Way(output, at)] = Columns(reached, zeros)
    return found


def _exposed_operands(equation: Equation, operands: Sequence[State]) -> list[Dependent]:
    """In which columns operands that are not finite leave a result exposed."""
    if equation.primitive.name not in ("div", "mul"):
        return [state.exposed for state in operands]
    one, other = operands  # where the one is not finite, it makes the columns of the other infinite
    return [one.exposed & other.zeros_beside(one), other.exposed & one.zeros_beside(other)]


def _zeros_at_poles(
    equation: Equation,
    place: int,
    operands: Sequence[State],
    moving: Sequence[State | None],
    least: Dependent,
    later: Dependent,
) -> tuple[Dependent, Dependent, dict[int, Dependent]]:
    """In which columns a result is exposed at a pole of the equation, in which zeros may meet one, and in
    which those of every operand may.
    """
    if equation.primitive.name == "div":  # where one derivative is infinite, so is the other
        dividend, divisor = operands
        exposed = ~(later if divisor.fixed else least)
        inside = {1: divisor.zeros_beside(dividend) & dividend.exposed} if divisor.moves else {}
        return exposed, exposed, inside
    if equation.primitive.name in SOLUTIONS:
        return ~least, ~least, {}
    first = equation.primitive.name in _OVERFLOWING
    met = {}
    for at, state in enumerate(moving):
        if state is not None:
            zeros = ~(state.later if first else state.least)
            given = [zeros if other == at else None for other in range(len(moving))]
            met[at] = dependent_entries(equation, place, given, AT_MOST)
    return ~(later if first else least), none_like(least), met


#: That these overflow already in the first steps of a loop is left aside.
_OVERFLOWING = frozenset("cosh exp exp2 expm1 sinh".split())


def _zeros_at_factors(
    equation: Equation, shape: tuple[int, ...], operands: Sequence[State], way: Inputs
) -> dict[int, Dependent]:
    """The columns of a result in which zeros of every operand may meet infinite factors."""
    count = operands[0].least.count
    found = dict.fromkeys(way, Dependent.throughout(shape, count, False))
    for each, other in ((at, other) for at in way for other in coefficients(equation, at)):
        zeros, factor = operands[each].zeros_beside(operands[other]), operands[other].exposed
        if zeros.shape == factor.shape == shape and equation.primitive.name in ELEMENTWISE:
            found[each] |= zeros & factor
        elif not factor.is_empty:
            of_any = [np.asarray(on.on.any(tuple(range(on.on.ndim - 1)))) for on in (zeros, factor)]
            found[each] |= Dependent.throughout(shape, count, of_any[0] & of_any[1])
    return found


def _has_no_poles(equation: Equation, ranges: Ranges) -> bool:
    if equation.primitive.name == "custom_jvp_call":
        return has_no_poles(Program((), (), (equation,), ()))
    return is_poleless(equation, ranges)


# ---- programs inside


def _scan(equation: Equation, operands: Sequence[State]) -> Passage:
    num_consts, num_carry = scan_counts(equation.params)
    length, end = max(1, equation.params["length"]), num_consts + num_carry
    slices = [state.of_some_slice() for state in operands[end:]]
    steps, kept = _loop(equation, "jaxpr", operands[:num_consts], operands[num_consts:end], slices, length)
    returned = _of_any([step[num_carry:] for step in steps])
    return Passage([*steps[-1][:num_carry], *(state.stacked(length) for state in returned)], kept)


def _while(equation: Equation, operands: Sequence[State]) -> Passage:
    before = equation.params["cond_nconsts"]
    end = before + equation.params["body_nconsts"]
    steps, kept = _loop(equation, "body_jaxpr", operands[before:end], operands[end:], [], None)
    return Passage(_of_any([operands[end:], *steps]), kept)


def _loop(
    equation: Equation,
    body: str,
    consts: Sequence[State],
    carried: Sequence[State],
    slices: Sequence[State],
    length: int | None,
) -> tuple[Sequence[Sequence[State]], KeptZeros]:
    """What is known of the results of its first steps, and of all later ones, and what becomes of zeros."""
    program = _program_of(equation.params[body])
    fixed = [state.entering(fixed=True) for state in consts]
    slices = [state.entering(fixed=False) for state in slices]
    # A step is the same whether it is known or not with what a loop starts.
    first = [state.entering(fixed=False)._replace(known=False) for state in carried]

    def step(carried: Sequence[State]) -> Passage:
        return followed(program, [*fixed, *carried, *slices])

    before, steps = _first_steps(step, first, length)
    # JAX moves along what does not depend on any column yet, or any more, too.
    ways = zip(first, before, steps[-1].results, strict=False)
    moving = [state._replace(moves=last.moves or after.moves) for state, last, after in ways]
    if moving != first or (len(steps) > 1 and any(each.kept.needed for each in steps)):
        moving = [state._replace(later=last.least) for state, last in zip(moving, before, strict=True)]
        _, steps = _first_steps(step, moving, length)
    kept = KeptZeros.of_loop(equation, program, [each.kept for each in steps])
    return [each.results for each in steps], kept


#: So many first steps are followed one by one; those after them are not told apart.
_FIRST_STEPS = 8


def _first_steps(
    step: Callable[[Sequence[State]], Passage], carried: Sequence[State], length: int | None
) -> tuple[Sequence[State], list[Passage]]:
    """What a loop's steps do until nothing changes any more, and with what the last of them starts."""
    steps = list[Passage]()
    while True:
        steps.append(step(carried))
        results = zip(steps[-1].results[: len(carried)], carried, strict=True)
        after = [state._replace(moves=state.moves or before.moves) for state, before in results]
        if len(steps) == _FIRST_STEPS:
            after = list(map(State.joined, carried, after))
        if list(after) == list(carried) or len(steps) == length:
            return carried, steps
        carried = after
        if len(steps) == _FIRST_STEPS:
            steps.pop()


def _of_any(several: Sequence[Sequence[State]]) -> list[State]:
    """Those of values that may be any of several ones."""
    return [functools.reduce(State.joined, states) for states in zip(*several, strict=True)]


def _cond(equation: Equation, operands: Sequence[State]) -> Passage:
    programs = list(map(_program_of, equation.params["branches"]))
    given = [state.entering(fixed=state.fixed) for state in operands[1:]]
    ways = [followed(program, given) for program in programs]
    kept = functools.reduce(operator.or_, (way.kept for way in ways))
    results = _of_any([way.results for way in ways])
    return Passage(results, kept.of_branches(equation, programs))


_INNER = {"cond": _cond, "scan": _scan, "while": _while}


def _program_of(closed: core.ClosedJaxpr) -> Program:
    """The same flat program whenever a jaxpr is asked about."""
    if closed not in _PROGRAMS:
        _PROGRAMS[closed] = inline(closed)
    return _PROGRAMS[closed]


_PROGRAMS: WeakKeyDictionary[core.ClosedJaxpr, Program] = WeakKeyDictionary()
