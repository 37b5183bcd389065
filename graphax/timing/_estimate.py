"""How long a program takes: what its equations take, as a compiler fuses them."""

from __future__ import annotations

import collections
import functools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from jax.extend import source_info_util

from .._trace import scan_counts
from ._constants import Constants, constants_for
from ._equations import (
    CHOSEN,
    Work,
    entries_read,
    fused,
    is_fused,
    of_kernel,
    operations,
    register_estimate,
    written,
)
from ._flat import Equation, Flat, Value, flat, programs_in
from ._fusion import Fusion, fuses
from ._threads import bytes_passed, chance_of_division, chances_of_sharing

#: How many steps a loop takes of which that is not known, and how many kernels count them, and copy.
_STEPS, _COUNTING = 10, 3


def estimated_seconds(program: Any, constants: Constants | None = None) -> float:
    """About how long a compiled program runs; what it is good for is to compare programs.

    The estimate is that of a model of what XLA makes of a program. What is not needed is left out, and what
    depends on no argument. Operations entry by entry are fused into the kernel that reads them, and cost
    little; products, reductions, scatters, factorisations and the like are a kernel each, which takes time
    to start. Bodies of loops count for every step, ten times where their number is not known; of branches
    the longest counts.

    Args:
        program: what ``jax.make_jaxpr`` returns, a ``jax.extend.core.ClosedJaxpr``, an open one, or what
            :func:`flat` makes of these.
        constants: those of the device; by default of JAX's default device, see :func:`constants_for`.

    Returns:
        seconds of a call, to its end.

    Example:
        >>> from graphax import timing
        >>> f = lambda x: jnp.sin(x).sum()  # one result: a row is cheaper than 1000 columns
        >>> by_rows = jax.make_jaxpr(jax.jacrev(f))(jnp.ones(1000))
        >>> by_columns = jax.make_jaxpr(jax.jacfwd(f))(jnp.ones(1000))
        >>> timing.estimated_seconds(by_rows) < timing.estimated_seconds(by_columns)
        True
    """
    return estimate_of(program, constants).seconds


class Estimated(NamedTuple):
    """What is estimated of a program.

    Attributes:
        seconds: how long a call takes, to its end.
        waiting: the part of it for which it waits for other threads to join.
    """

    seconds: float
    waiting: float


def estimate_of(program: Any, constants: Constants | None = None) -> Estimated:
    """As :func:`estimated_seconds`, and how long the program waits."""
    constants = constants or constants_for()
    found = flat(program)
    work = _work(found, constants)
    time = constants.call + len(found.outputs) * constants.result + work.nanoseconds
    time += constants.handover * _chance(work.operations, constants.inline)
    waiting = constants.woken * min(1.0, work.woken)
    return Estimated((time + waiting) * 1e-9, waiting * 1e-9)


def _chance(operations: float, inline: float) -> float:
    """How likely it is that a program is handed over, as compilers do not count just like that."""
    return min(1.0, max(0.0, operations / inline - 0.5)) if inline else 1.0


def work_of(program: Any, constants: Constants) -> Work:
    """What a program takes as a part of another one; arguments as for :func:`estimated_seconds`."""
    return _work(flat(program), constants)


def seconds_by_line(program: Any, constants: Constants | None = None) -> dict[str, float]:
    """About how long a compiled program is busy with what lines of the user's code asked for.

    Args:
        program, constants: as for :func:`estimated_seconds`.

    Returns:
        seconds for every line, as ``file.py:line (function)``, the longest first; what is of no line is under
        an empty one.
    """
    constants = constants or constants_for()
    found: collections.defaultdict[str, float] = collections.defaultdict(float)
    whole = flat(program)
    for equation, work in _kernels_of(whole, _Kernels(whole, constants), constants):
        line = source_info_util.summarize(equation.source_info) if equation.source_info else ""
        found[line] += work.nanoseconds * 1e-9
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _work(program: Flat, constants: Constants) -> Work:
    kernels = _Kernels(program, constants)
    shared = Work(woken=chances_of_sharing(program, kernels.fusion)[1] if constants.woken else 0.0)
    return functools.reduce(Work.plus, (work for _, work in _kernels_of(program, kernels, constants)), shared)


def _kernels_of(program: Flat, kernels: _Kernels, constants: Constants) -> Iterator[tuple[Equation, Work]]:
    """The kernels of a program, each by the last of its equations, and what they take."""
    one = Work(kernels=1)
    for value in kernels.fusion.written:
        yield kernels.maker(value), kernels.of_written(value).plus(one)
    for equation in program.equations:
        if not is_fused(equation):
            work = of_kernel(equation, constants).plus(one)
            yield equation, work.plus(kernels.of_read(equation)) if fuses(equation) else work


class _Kernels:
    """What the kernels of a program compute, and what every one of them computes anew.

    Attributes:
        fusion: what is fused.
    """

    def __init__(self, program: Flat, constants: Constants) -> None:
        self._constants = constants
        self.fusion = Fusion(program, constants)
        self._maker = {
            id(value): equation
            for equation in program.equations
            if is_fused(equation)
            for value in equation.outputs
        }
        self._stops: set[int] = set()
        entries = {"alone": constants.entry, "reduced": constants.inner, "branched": constants.branched}
        self._prices = {place: _Prices(replace(constants, entry=each)) for place, each in entries.items()}
        self._left = _LOOKS * len(program.equations) + 1000

    def maker(self, value: Value) -> Equation:
        """The equation whose result a value is that is written."""
        return self._maker[id(value)]

    def of_written(self, value: Value) -> Work:
        """What the kernel takes that writes a value."""
        made = _Made(self._maker[id(value)], value.size, self._prices["alone"], set())
        own = Work(self._constants.kernel).plus(written([value], self._constants))
        return own.plus(self._computed(id(value), [made], value.size * value.itemsize))

    def of_read(self, equation: Equation) -> Work:
        """What a kernel reads, and computes, that reduces values."""
        prices = self._prices["reduced"]
        stops = self._stops | self.fusion.reads[id(equation)]
        made: dict[int, tuple[Equation, int]] = {}
        stored = 0
        for value in equation.inputs:
            maker = self._fused_maker(value, stops)
            if maker is None:
                stored += value.size * value.itemsize
            else:
                made[id(maker)] = maker, value.size
        beside = set(made)
        ahead = [_Made(maker, size, prices, beside) for maker, size in made.values()]
        return self._computed(id(equation), ahead, stored).plus(Work(bytes=stored))

    def _fused_maker(self, value: Value, stops: set[int]) -> Equation | None:
        """What makes a value that is not written."""
        return None if id(value) in stops else self._maker.get(id(value))

    def _computed(self, kernel: int, ahead: list[_Made], passed: int) -> Work:
        """What equations take within a kernel, and those that make what they read.

        Args:
            kernel: its key in the fusion.
            ahead: the last equations.
            passed: bytes that it reads and writes besides.
        """
        stops = self._stops | self.fusion.reads[kernel]
        time = total = 0.0
        counted = {id(made.equation): made.equation for made in ahead}
        while ahead:
            equation, entries, prices, beside = ahead.pop()
            time += entries * prices.of_entry(equation)
            counted[id(equation)] = equation
            if equation.name in CHOSEN:
                prices, beside = self._prices["branched"], set()
            for operand in equation.inputs:
                maker = self._fused_maker(operand, stops)
                if maker is None:
                    total += operand.size * operand.itemsize
                elif id(maker) not in beside:
                    beside.add(id(maker))
                    ahead.append(_Made(maker, entries_read(equation, operand, entries), prices, beside))
                if equation.name in CHOSEN:
                    beside = set()
            self._left -= 1
            if self._left < 0:  # from here on everything counts once
                stops.update(id(value) for value in equation.outputs)
                self._stops.update(id(value) for value in equation.outputs)
        outside = [
            (operand, equation)
            for equation in counted.values()
            for operand in equation.inputs
            if not operand.known and self._fused_maker(operand, stops) is None
        ]
        divided = chance_of_division(counted.values(), passed + bytes_passed(outside))
        return Work(
            time + divided * self._constants.divided,
            sum(map(operations, counted.values())),
            total,
            woken=divided,
        )


class _Made(NamedTuple):
    """An equation that is carried out within a kernel.

    Attributes:
        equation: the equation.
        entries: for how many entries of its result.
        prices: what operations take where it is carried out.
        beside: what is carried out beside it for the same entries, and not again.
    """

    equation: Equation
    entries: float
    prices: _Prices
    beside: set[int]


class _Prices:
    """What equations take within a kernel for an entry, each looked at once."""

    def __init__(self, constants: Constants) -> None:
        self._constants = constants
        self._known: dict[int, float] = {}

    def of_entry(self, equation: Equation) -> float:
        found = self._known.get(id(equation))
        if found is None:
            found = self._known[id(equation)] = fused(equation, self._constants)
        return found


#: How often an equation is looked at, on average, that kernels compute anew.
_LOOKS = 10


# ---- programs inside


def _scan(equation: Equation, constants: Constants) -> Work:
    body, needed = equation.body
    _, carried = scan_counts(dict(equation.params))
    stacked = written(equation.outputs[carried:], constants)
    made = {id(value) for one in body.equations for value in one.outputs}
    # A kernel puts every result in its place, which is the one that makes it.
    given = sum(id(value) not in made for value in body.outputs[sum(needed[:carried]) :])
    steps = _repeated(equation, equation.params["length"], [body], constants, given)
    return steps._replace(nanoseconds=steps.nanoseconds + stacked.nanoseconds)


def _while(equation: Equation, constants: Constants) -> Work:
    programs = [flat(program) for program in programs_in(equation.params)]
    return _repeated(equation, _STEPS, programs, constants)


def _repeated(
    loop: Equation, length: int, programs: Sequence[Flat], constants: Constants, besides: int = 0
) -> Work:
    """What a loop takes, whose steps have so many kernels besides."""

    def step(each: float, constants: Constants) -> Work:
        return functools.reduce(Work.plus, (_work(program, constants) for program in programs), Work(each))

    once = step(constants.step, constants)
    if once.bytes <= constants.quick_bytes:
        once = step(constants.quick_step, replace(constants, kernel=0.0))
    elif constants.scheduled:
        body, around = programs[-1], (*loop.inputs, *loop.outputs)
        fusion = Fusion(body, constants)
        scheduled, shared = chances_of_sharing(body, fusion, around, besides + _COUNTING)
        once = once.plus(Work(scheduled * constants.scheduled + shared * constants.shared, woken=shared))
    if once.kernels < constants.captured:
        once = once.plus(Work(constants.launched))
    return once._replace(nanoseconds=constants.kernel + length * once.nanoseconds)


def _cond(equation: Equation, constants: Constants) -> Work:
    flats = [flat(branch).only(equation.needed) for branch in equation.params["branches"]]
    branches = [_work(one, constants) for one in flats]
    longest = max(branches, key=lambda work: work.nanoseconds, default=Work())
    return longest.plus(Work(constants.branch))


def _linear_solve(equation: Equation, constants: Constants) -> Work:
    return work_of(equation.params["jaxprs"].solve, constants)


register_estimate("scan", _scan)
register_estimate("while", _while)
register_estimate("cond", _cond)
register_estimate("custom_linear_solve", _linear_solve)
