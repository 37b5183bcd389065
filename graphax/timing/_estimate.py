"""How long a program takes: what its equations take, as a compiler fuses them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._constants import Constants, constants_for
from ._equations import EXPENSIVE, FUSED, PLACED, Work, fused, of_kernel, register_estimate, written
from ._flat import Equation, Flat, Value, flat, programs_in, scanned

#: How many steps a loop takes of which that is not known.
_STEPS = 10


def estimated_seconds(program: Any, constants: Constants | None = None) -> float:
    """About how long a compiled program runs; what it is good for is to compare programs.

    The estimate is that of a model of what XLA makes of a program. What is not needed is left out, and what
    depends on no argument. Operations entry by entry are fused into the kernel that reads them, and cost
    little; products, reductions, scatters, factorisations and the like are a kernel each, which takes time
    to start. Bodies of loops count for every step, ten times where their number is not known; of branches
    the longest counts.

    Args:
        program: what ``jax.make_jaxpr`` returns, a ``jax.extend.core.ClosedJaxpr``, or an open one.
        constants: those of the device; by default of JAX's default device, see :func:`constants_for`.

    Returns:
        seconds of a call, to its end.

    Example:
        >>> by_rows, by_columns = (jax.make_jaxpr(mode(f))(x) for mode in (jax.jacrev, jax.jacfwd))
        >>> estimated_seconds(by_rows) < estimated_seconds(by_columns)
    """
    constants = constants or constants_for()
    found = flat(program)
    work = work_of(found, constants)
    time = constants.call + len(found.outputs) * constants.result + work.nanoseconds
    if work.operations >= constants.inline:
        time += constants.handover
    return time * 1e-9


def work_of(program: Flat, constants: Constants) -> Work:
    """What a program takes, without the call."""
    total = Work()
    for value in _written(program):
        total = total.plus(written(value, constants))
    for equation in program.equations:
        cost = fused if equation.name in FUSED else of_kernel
        total = total.plus(cost(equation, constants))
    return total


def _written(program: Flat) -> list[Value]:
    """The results of fused operations that are written: those that a kernel reads, and results."""
    readers: dict[int, int] = {}
    wanted = set(map(id, program.outputs))
    for equation in program.equations:
        for value in equation.inputs:
            readers[id(value)] = readers.get(id(value), 0) + 1
            if equation.name not in FUSED:
                wanted.add(id(value))
    found: list[Value] = []
    for equation in reversed(program.equations):
        if equation.name not in FUSED:
            continue
        for value in equation.outputs:
            if id(value) in wanted:
                if equation.name in _RENAMED:  # the same entries in the same places
                    wanted.add(id(equation.inputs[0]))
                else:
                    found.append(value)
            elif equation.name in EXPENSIVE and readers.get(id(value), 0) > 1:
                found.append(value)
    return found


_RENAMED = PLACED - {"broadcast_in_dim", "iota", "full_like"}


# ---- programs inside


def _scan(equation: Equation, constants: Constants) -> Work:
    body, _ = scanned(equation)
    step = work_of(body, constants)
    length = equation.params["length"]
    return Work(constants.kernel + length * (constants.step + step.nanoseconds), step.operations)


def _while(equation: Equation, constants: Constants) -> Work:
    step = _together([work_of(flat(program), constants) for program in programs_in(equation.params)])
    return Work(constants.kernel + _STEPS * (constants.step + step.nanoseconds), step.operations)


def _cond(equation: Equation, constants: Constants) -> Work:
    branches = [work_of(flat(branch, equation.needed), constants) for branch in equation.params["branches"]]
    longest = max(branches, key=lambda work: work.nanoseconds, default=Work())
    return Work(constants.branch + longest.nanoseconds, max(work.operations for work in branches))


def _linear_solve(equation: Equation, constants: Constants) -> Work:
    solve = equation.params["jaxprs"].solve
    return work_of(flat(solve), constants)


def _together(works: Sequence[Work]) -> Work:
    total = Work()
    for work in works:
        total = total.plus(work)
    return total


register_estimate("scan", _scan)
register_estimate("while", _while)
register_estimate("cond", _cond)
register_estimate("custom_linear_solve", _linear_solve)
