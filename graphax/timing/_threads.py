"""When several threads of a processor carry a program out: to have another one join takes long.

XLA does so on CPUs for two reasons. A kernel that computes much is divided among threads; what is much is
told by counting its operations and its bytes. And kernels that are ready to run at the same time are shared
out, if there are many. A program of some microseconds then waits for another thread most of the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence

from .._trace import scan_counts
from ._equations import functions, is_fused, operations
from ._flat import Equation, Flat, Value
from ._fusion import Fusion

# A kernel is divided whose operations, with so many times its elementary functions and its bytes, are more
# than that, if it has more operations than bytes; else if it passes so many bytes.
_MUCH, _PER_FUNCTION, _PER_BYTE, _MUCH_PASSED = 200_000, 2, 10, 524_288
# Kernels are shared out if so many wait (8 to XLA, which has a few less of them than are counted here), in a
# program of more than so many kernels, unless all arrays are so little.
_WAITING, _FEW, _LITTLE = 9.5, 8.5, 512


def chance_of_division(equations: Collection[Equation], passed: float) -> float:
    """How likely it is that a kernel is divided among threads.

    Args:
        equations: what it computes.
        passed: the bytes that it reads and writes.
    """
    count = sum(map(operations, equations))
    if count <= passed:
        return _chance(passed / _MUCH_PASSED, 0.1)
    return _chance((count + _PER_FUNCTION * sum(map(functions, equations)) + _PER_BYTE * passed) / _MUCH, 0.1)


def bytes_passed(reads: Iterable[tuple[Value, Equation]]) -> int:
    """The bytes that a kernel reads, as XLA counts them.

    Args:
        reads: every value that it reads, with an equation for which it does.
    """
    shared: dict[int, int] = {}
    total = 0
    for value, equation in reads:
        if equation.name in _APART:
            total += min(value.size, equation.size) * value.itemsize
        else:
            shared[id(value)] = value.size * value.itemsize
    return total + sum(shared.values())


#: What reads a value by itself; all others read it together.
_APART = frozenset("slice dynamic_slice split broadcast_in_dim reshape squeeze expand_dims".split())


def chances_of_sharing(
    program: Flat, fusion: Fusion, around: Sequence[Value] = (), besides: int = 0
) -> tuple[float, float]:
    """How likely it is that kernels of a program are scheduled by what they wait for, and that they then run
    side by side.

    Args:
        program: the program.
        fusion: its kernels.
        around: the arrays of the loop whose step it is.
        besides: how many kernels there are besides, which wait for none.
    """
    made = [value for equation in program.equations if not is_fused(equation) for value in equation.outputs]
    values = (*program.inputs, *fusion.written, *made, *around)
    if all(value.size * value.itemsize <= _LITTLE for value in values):
        return 0.0, 0.0
    after = _Dependences(program, fusion).after + [set[int]() for _ in range(besides)]
    scheduled = _chance(len(after) / _FEW, 0.26)
    return scheduled, scheduled * _chance(_widest(after) / _WAITING, 0.26)


def _chance(part: float, width: float) -> float:
    """How likely it is that a limit is passed of which an estimate reaches a part."""
    return min(1.0, max(0.0, (part - 1 + width) / (2 * width)))


def _widest(after: list[set[int]]) -> int:
    """How many kernels wait at most, if they run one by one in the order in which they get ready."""
    left = [len(before) for before in after]
    readers: list[list[int]] = [[] for _ in after]
    for kernel, before in enumerate(after):
        for one in before:
            readers[one].append(kernel)
    ready = deque(kernel for kernel, count in enumerate(left) if not count)
    widest = 0
    while ready:
        kernel = ready.popleft()
        widest = max(widest, len(ready))
        for reader in readers[kernel]:
            left[reader] -= 1
            if not left[reader]:
                ready.append(reader)
    return widest


class _Dependences:
    """Which kernels wait for which.

    Attributes:
        after: for every kernel those that have to run before.
    """

    def __init__(self, program: Flat, fusion: Fusion) -> None:
        self._maker = {id(value): equation for equation in program.equations for value in equation.outputs}
        keys = [id(value) for value in fusion.written]
        keys += [id(equation) for equation in program.equations if not is_fused(equation)]
        self._number = {key: number for number, key in enumerate(keys)}
        self._first: dict[object, int] = {}
        self.after = [set(self._made_by(fusion.reads[key])) for key in keys]
        for equation in program.equations:
            if equation.name in ("scan", "while"):
                self._set_up(equation)

    def _made_by(self, values: Iterable[int]) -> Iterable[int]:
        """The kernels that write values, which may have been renamed."""
        for value in values:
            maker = self._maker.get(value)
            while maker is not None and is_fused(maker) and value not in self._number:
                value = id(maker.inputs[0])
                maker = self._maker.get(value)
            if maker is not None:
                yield self._number[value if is_fused(maker) else id(maker)]

    def _set_up(self, loop: Equation) -> None:
        """What a loop carries, and returns of every step, stands in arrays of its own, which are copied."""
        if loop.name == "scan":
            consts, carried = scan_counts(dict(loop.params))
            stacked = loop.outputs[carried:]
            initial = loop.inputs[consts : consts + carried]
        else:
            stacked = ()
            initial = loop.inputs[loop.params["cond_nconsts"] + loop.params["body_nconsts"] :]
        arrays: list[object] = ["count", *map(_alike, stacked)]
        for value in initial:
            if not list(self._made_by([id(value)])):
                arrays.append(_alike(value) if value.known else id(value))
        for array in arrays:
            number = len(self.after)
            before = self._first.setdefault(array, number)
            self.after.append({before} - {number})
            self.after[self._number[id(loop)]].add(number)


def _alike(value: Value) -> object:
    """What arrays have in common that are copied from one."""
    return value.shape, value.dtype
