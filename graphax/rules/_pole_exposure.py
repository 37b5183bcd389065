"""Whether zeros among columns may meet what is not finite, when JAX pushes them forward through a loop.

Where a derivative is infinite, a column that is zero there becomes NaN. Elimination leaves out what is zero
by structure; JAX's forward mode multiplies it. No harm is done where there are no poles, nor where all that
meets a pole depends on every column, so that no column is zero by structure there.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import NamedTuple

from jax.extend import core

from .._trace import Atom, Constant, Equation, Program, inline, scan_counts
from ._carried import through_steps
from ._dependence import results_of
from ._entry_dependence import SOLUTIONS, Dependent, dependent_entries
from ._finite import FiniteValues, has_no_poles
from ._linearity import coefficients
from ._poleless import is_poleless
from ._ranges import Ranges
from ._registry import Inputs

_NONE: Inputs = frozenset()


class State(NamedTuple):
    """What is known of a value that columns are pushed to.

    Attributes:
        columns: on which columns it depends at least; None where it carries no derivative.
        finite: whether it is known to be finite.
        safe: whether entries that are not finite depend on every column.
        known: whether it depends on no argument: then structures may know where it is zero.
    """

    columns: Dependent | None
    finite: bool
    safe: bool
    known: bool = False

    @property
    def is_full(self) -> bool:
        """Whether all entries depend on every column."""
        return self.columns is not None and self.columns.is_full


def zeros_meet_poles(loop: Equation, operands: Sequence[State]) -> bool:
    """Whether zeros among columns may meet what is not finite inside of a loop.

    Args:
        loop: the loop, an equation.
        operands: what is known of its operands.
    """
    return _INNER[loop.primitive.name](loop, operands)[0]


def _followed(program: Program, inputs: Sequence[State]) -> tuple[bool, list[State]]:
    """Whether zeros meet poles in a program, and what is known of its outputs."""
    finite = FiniteValues(program, [state.finite for state in inputs])
    ranges, meets = Ranges(program), False
    found: dict[Atom, State] = dict(zip(program.inputs, inputs, strict=True))
    for variable, _ in program.constants:
        found[variable] = State(None, finite.holds(variable), finite.holds(variable), known=True)

    def state_of(atom: Atom, holds: bool) -> State:
        if isinstance(atom, Constant):
            return State(None, holds, holds, known=not atom.value)
        return found[atom]._replace(finite=True, safe=True) if holds else found[atom]

    for equation in program.equations:
        operands = list(map(state_of, equation.inputs, finite.of(equation)))
        finite.after(equation, [])
        moved: Sequence[State] = ()
        if any(state.columns is not None for state in operands):
            met, moved = _through(equation, operands, ranges)
            meets = meets or met
        known = all(found[atom].known for atom in equation.inputs if not isinstance(atom, Constant))
        for output, state in itertools.zip_longest(equation.outputs, moved):
            holds = finite.holds(output) or (state is not None and state.finite)
            if state is None or state.columns is None:
                found[output] = State(None, holds, holds, known)
            else:
                found[output] = state._replace(finite=holds, safe=state.safe or holds)
    return meets, [state_of(atom, finite.holds(atom)) for atom in program.outputs]


def _through(equation: Equation, operands: Sequence[State], ranges: Ranges) -> tuple[bool, Sequence[State]]:
    """Whether zeros meet poles in an equation, and what is known of its results."""
    name = equation.primitive.name
    if name in _INNER:
        return _INNER[name](equation, operands)
    moving = [at for at, state in enumerate(operands) if state.columns is not None]
    ways = results_of(equation, [frozenset([at]) if at in moving else _NONE for at in range(len(operands))])
    partial = [at for at in sorted(_NONE.union(*ways)) if not operands[at].is_full]
    found = [
        _result(equation, output.aval.shape, operands, way) if way else None
        for output, way in zip(equation.outputs, ways, strict=False)
    ]
    full = [columns is None or columns.is_full for columns in found]
    if name in SOLUTIONS:  # nothing of them is finite where the matrix is singular
        return not all(full), [State(columns, False, True) for columns in found]
    if not _has_no_poles(equation, ranges):
        meets = bool(partial) and not (name == "div" and operands[1].is_full)
        return meets, [State(columns, False, whole) for columns, whole in zip(found, full, strict=True)]
    meets = any(not operands[other].safe for at in partial for other in coefficients(equation, at))
    return meets, [State(columns, False, all(operand.safe for operand in operands)) for columns in found]


def _result(equation: Equation, shape: tuple[int, ...], operands: Sequence[State], way: Inputs) -> Dependent:
    """On which columns a result depends at least."""
    given = [state.columns if at in way else None for at, state in enumerate(operands)]
    # A factor that is known may be known to be zero.
    if equation.primitive.name in _PRODUCTS and any(state.known for state in operands):
        return Dependent.on_nothing(shape, next(columns for columns in given if columns is not None).count)
    return dependent_entries(equation, shape, given)


_PRODUCTS = frozenset("div dot_general mul".split())


def _has_no_poles(equation: Equation, ranges: Ranges) -> bool:
    if equation.primitive.name == "custom_jvp_call":
        return has_no_poles(Program((), (), (equation,), ()))
    return is_poleless(equation, ranges)


# ---- programs inside


def _scan(equation: Equation, operands: Sequence[State]) -> tuple[bool, list[State]]:
    num_consts, num_carry = scan_counts(equation.params)
    first = num_consts + num_carry
    slices = [
        state if state.columns is None else state._replace(columns=state.columns.in_every_step)
        for state in operands[first:]
    ]
    meets, found = _loop(equation.params["jaxpr"], num_consts, num_carry, [*operands[:first], *slices])
    length = equation.params["length"]
    stacked = [
        state if state.columns is None else state._replace(columns=state.columns.stacked(length))
        for state in found[num_carry:]
    ]
    return meets, [*found[:num_carry], *stacked]


def _while(equation: Equation, operands: Sequence[State]) -> tuple[bool, list[State]]:
    before, consts = equation.params["cond_nconsts"], equation.params["body_nconsts"]
    carried = len(operands) - before - consts
    return _loop(equation.params["body_jaxpr"], consts, carried, operands[before:])


def _loop(
    body: core.ClosedJaxpr, num_consts: int, num_carry: int, operands: Sequence[State]
) -> tuple[bool, list[State]]:
    program = inline(body)

    def results_of(inputs: list[State]) -> list[State]:
        return _followed(program, inputs)[1]

    found, results = through_steps(operands, num_consts, num_carry, results_of, _one_or_the_other)
    return _followed(program, found)[0], results


def _cond(equation: Equation, operands: Sequence[State]) -> tuple[bool, list[State]]:
    ways = [_followed(inline(branch), operands[1:]) for branch in equation.params["branches"]]
    several = zip(*(states for _, states in ways), strict=True)
    results = [functools.reduce(_one_or_the_other, states) for states in several]
    return any(meets for meets, _ in ways), results


def _one_or_the_other(left: State, right: State) -> State:
    columns = left.columns if right.columns is None else right.columns
    if left.columns is not None and right.columns is not None:
        columns = left.columns.and_on(right.columns)
    elif columns is not None:
        columns = Dependent.on_nothing(columns.shape, columns.count)
    safe, known = left.safe and right.safe, left.known and right.known
    return State(columns, left.finite and right.finite, safe, known)


_INNER = {"cond": _cond, "scan": _scan, "while": _while}
