"""Which results a compiler writes, and which it computes within every kernel that reads them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ._constants import Constants
from ._equations import CHOSEN, EXPENSIVE, RENAMED, is_fused
from ._flat import Equation, Flat, Value

#: An array that is joined from more than that is written.
_JOINED = 8
#: A value that more kernels would compute is written.
_KERNELS = 40
#: What costs nothing at any number of places.
_ANYWHERE = frozenset({"broadcast_in_dim", "iota"})


class Fusion:
    """What is fused in a program, as XLA does it: from the results back, a kernel takes up what it reads.

    It does not take up what is expensive and read more than once, nor what it would have to compute at too
    many places: every slice or broadcast of a value is a place of its own, while what is computed entry by
    entry of arrays of one shape shares its places. A value that is too much for one of the kernels is written
    for that; others go on to compute it.

    Attributes:
        written: the values that kernels write, the last of the program first.
        reads: for every kernel what it reads that is written; its key is the identity of the value that it
            writes, or of the equation that is a kernel by itself.
    """

    def __init__(self, program: Flat, constants: Constants) -> None:
        self._most = constants.copies
        self.written: list[Value] = []
        self.reads: dict[int, set[int]] = {}
        self._readers, self._wanted = _readers(program)
        # In which kernels a value is computed, and for which equation that looks for it at places of its own.
        self._places: dict[int, set[tuple[int, int]]] = {}
        self._copies: dict[tuple[int, int], int] = {}
        for equation in reversed(program.equations):
            if not is_fused(equation):
                self._read(equation)
                self._start(id(equation), equation)
            else:
                self._take_up(equation)

    def _start(self, kernel: int, equation: Equation) -> None:
        """An equation is a kernel, or the last one of a kernel."""
        reads = self.reads.setdefault(kernel, set())
        if not is_fused(equation) and not fuses(equation):
            reads.update(map(id, equation.inputs))
            return
        place = kernel, id(equation)
        self._copies[place] = 1
        for operand in equation.inputs:
            self._places.setdefault(id(operand), set()).add(place)

    def _read(self, equation: Equation) -> None:
        """Whatever a kernel by itself makes is read by those that look for it."""
        for value in equation.outputs:
            for kernel, _ in self._places.pop(id(value), ()):
                self.reads[kernel].add(id(value))

    def _take_up(self, equation: Equation) -> None:
        places: set[tuple[int, int]] = set()
        own: set[tuple[int, int]] = set()
        for value in equation.outputs:
            if id(value) in self._wanted and equation.name in RENAMED:
                self._wanted.add(id(equation.inputs[0]))
            found = self._places.pop(id(value), set())
            copies = Counter[int]()
            for place in found:
                copies[place[0]] += self._copies[place]
            reading = self._reading(value, equation, copies)
            if reading or self._is_wanted(value, equation):
                self.written.append(value)
                for kernel in reading:
                    self.reads[kernel].add(id(value))
                self._start(id(value), equation)
            for kernel, count in copies.items():
                if kernel not in reading:
                    self._copies[kernel, id(equation)] = count
                    own.add((kernel, id(equation)))
            places |= {place for place in found if place[0] not in reading}
        for operand in equation.inputs:
            together = equation.name == "transpose" or operand.shape == equation.outputs[0].shape
            self._places.setdefault(id(operand), set()).update(places if together else own)

    def _is_wanted(self, value: Value, equation: Equation) -> bool:
        return id(value) in self._wanted and equation.name not in RENAMED

    def _reading(self, value: Value, equation: Equation, copies: Counter[int]) -> Iterable[int]:
        """The kernels that do not compute a value, but read it."""
        if self._is_wanted(value, equation):
            return copies.keys()
        if equation.name in EXPENSIVE and self._readers[id(value)] > 1:
            return copies.keys()
        if not self._most or equation.name in _ANYWHERE:
            return ()
        joined = equation.name == "concatenate" and len(equation.inputs) > _JOINED
        chosen = equation.name in CHOSEN  # entries that are chosen are not kept for another place
        if joined or (chosen and self._readers[id(value)] > 1) or len(copies) > _KERNELS:
            return copies.keys()
        return {kernel for kernel, count in copies.items() if count > (1 if chosen else self._most)}


def fuses(equation: Equation) -> bool:
    """Whether a kernel computes what it reads by itself."""
    return equation.name.startswith(("reduce_", "arg"))


def _readers(program: Flat) -> tuple[Counter[int], set[int]]:
    """How often values are read, for which a repetition counts twice, and those that have to be written."""
    readers = Counter[int]()
    wanted = set(map(id, program.outputs))
    for equation in program.equations:
        repeats = equation.name == "broadcast_in_dim" and equation.size > equation.inputs[0].size
        for value in set(equation.inputs):
            readers[id(value)] += 2 if repeats else 1
            if not is_fused(equation) and not fuses(equation):
                wanted.add(id(value))
    return readers, wanted
