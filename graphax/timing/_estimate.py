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
    EXPENSIVE,
    RENAMED,
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
        program: what ``jax.make_jaxpr`` returns, a ``jax.extend.core.ClosedJaxpr``, an open one, or what
            :func:`flat` makes of these.
        constants: those of the device; by default of JAX's default device, see :func:`constants_for`.

    Returns:
        seconds of a call, to its end.

    Example:
        >>> by_rows, by_columns = (jax.make_jaxpr(mode(f))(x) for mode in (jax.jacrev, jax.jacfwd))
        >>> estimated_seconds(by_rows) < estimated_seconds(by_columns)
    """
    constants = constants or constants_for()
    found = flat(program)
    work = _work(found, constants)
    time = constants.call + len(found.outputs) * constants.result + work.nanoseconds
    time += constants.handover * _chance(work.operations, constants.inline)
    return time * 1e-9


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
    for equation, work in _kernels_of(flat(program), constants):
        line = source_info_util.summarize(equation.source_info) if equation.source_info else ""
        found[line] += work.nanoseconds * 1e-9
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def _work(program: Flat, constants: Constants) -> Work:
    return functools.reduce(Work.plus, (work for _, work in _kernels_of(program, constants)), Work())


def _kernels_of(program: Flat, constants: Constants) -> Iterator[tuple[Equation, Work]]:
    """The kernels of a program, each by the last of its equations, and what they take."""
    kernels, one = _Kernels(program, constants), Work(kernels=1)
    for value in kernels.written:
        work = Work(constants.kernel).plus(written([value], constants)).plus(kernels.of_written(value))
        yield kernels.maker(value), work.plus(one)
    for equation in program.equations:
        if not is_fused(equation):
            work = of_kernel(equation, constants).plus(one)
            yield equation, work.plus(kernels.of_read(equation.inputs)) if _fuses(equation) else work


def _fuses(equation: Equation) -> bool:
    """Whether a kernel computes what it reads by itself."""
    return equation.name.startswith(("reduce_", "arg"))


class _Kernels:
    """Which results of fused operations are written, and what is computed anew by every kernel.

    Attributes:
        written: those that a kernel reads which does not fuse, and the results of the program; expensive ones
            also if several kernels read them, or one reads them repeatedly.
    """

    def __init__(self, program: Flat, constants: Constants) -> None:
        self._constants = constants
        self._maker = {
            id(value): equation
            for equation in program.equations
            if is_fused(equation)
            for value in equation.outputs
        }
        self.written = self._find_written(program)
        self._stops = set(map(id, self.written))
        entries = {"alone": constants.entry, "reduced": constants.inner, "branched": constants.branched}
        self._prices = {place: _Prices(replace(constants, entry=each)) for place, each in entries.items()}
        self._left = _LOOKS * len(program.equations) + 1000

    def _find_written(self, program: Flat) -> list[Value]:
        readers: dict[int, int] = {}
        wanted = set(map(id, program.outputs))
        for equation in program.equations:
            repeats = equation.name == "broadcast_in_dim" and equation.size > equation.inputs[0].size
            for value in set(equation.inputs):
                readers[id(value)] = readers.get(id(value), 0) + (2 if repeats else 1)
                if not is_fused(equation) and not _fuses(equation):
                    wanted.add(id(value))
        found: list[Value] = []
        for equation in reversed(program.equations):
            if not is_fused(equation):
                continue
            for value in equation.outputs:
                if id(value) in wanted and equation.name in RENAMED:
                    wanted.add(id(equation.inputs[0]))
                elif id(value) in wanted or (equation.name in EXPENSIVE and readers.get(id(value), 0) > 1):
                    found.append(value)
        return found

    def maker(self, value: Value) -> Equation:
        """The equation whose result a value is that is written."""
        return self._maker[id(value)]

    def of_written(self, value: Value) -> Work:
        """What the kernel computes that writes a value."""
        return self._computed([_Made(self._maker[id(value)], value.size, self._prices["alone"], set())])

    def of_read(self, values: Sequence[Value]) -> Work:
        """What a kernel reads, and computes, that reduces values."""
        makers = {id(maker): (maker, value.size) for value in values if (maker := self._fused_maker(value))}
        beside = set(makers)
        prices = self._prices["reduced"]
        work = self._computed([_Made(maker, size, prices, beside) for maker, size in makers.values()])
        stored = sum(value.size * value.itemsize for value in values if self._fused_maker(value) is None)
        return work.plus(Work(bytes=stored))

    def _fused_maker(self, value: Value) -> Equation | None:
        """What makes a value that is not written."""
        return None if id(value) in self._stops else self._maker.get(id(value))

    def _computed(self, ahead: list[_Made]) -> Work:
        """What equations take within a kernel, and those that make what they read."""
        time = total = 0.0
        counted = {id(made.equation): made.equation for made in ahead}
        while ahead:
            equation, entries, prices, beside = ahead.pop()
            time += entries * prices.of_entry(equation)
            counted[id(equation)] = equation
            if equation.name in CHOSEN:
                prices, beside = self._prices["branched"], set()
            for operand in equation.inputs:
                maker = self._fused_maker(operand)
                if maker is None:
                    total += operand.size * operand.itemsize
                elif id(maker) not in beside:
                    beside.add(id(maker))
                    ahead.append(_Made(maker, entries_read(equation, operand, entries), prices, beside))
                if equation.name in CHOSEN:
                    beside = set()
            self._left -= 1
            if self._left < 0:  # from here on everything counts once
                self._stops.update(id(value) for value in equation.outputs)
        return Work(time, sum(map(operations, counted.values())), total)


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
    body, _ = equation.body
    _, carried = scan_counts(dict(equation.params))
    stacked = written(equation.outputs[carried:], constants)
    steps = _repeated(equation.params["length"], [body], constants)
    return steps._replace(nanoseconds=steps.nanoseconds + stacked.nanoseconds)


def _while(equation: Equation, constants: Constants) -> Work:
    return _repeated(_STEPS, [flat(program) for program in programs_in(equation.params)], constants)


def _repeated(length: int, programs: Sequence[Flat], constants: Constants) -> Work:
    """What a loop takes."""

    def step(each: float, constants: Constants) -> Work:
        return functools.reduce(Work.plus, (_work(program, constants) for program in programs), Work(each))

    once = step(constants.step, constants)
    if once.bytes <= constants.quick_bytes:
        once = step(constants.quick_step, replace(constants, kernel=0.0))
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
