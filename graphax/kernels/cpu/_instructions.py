"""Scalar operations as LLVM instructions on one value of each of several rows."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

_REGISTERS = {"f4": "float", "f8": "double", "i4": "i32", "u4": "i32", "i8": "i64", "b1": "i1"}
_INTRINSICS = {"sqrt": "sqrt", "abs": "fabs", "floor": "floor", "ceil": "ceil", "round": "roundeven"}
#: Bytes of an entry in memory.
SIZES = {"f4": 4, "f8": 8, "i4": 4, "u4": 4, "i8": 8, "b1": 1}


def memory_type(kind: str) -> str:
    """The LLVM type of an array's entry; truth values are bytes."""
    return "i8" if kind == "b1" else _REGISTERS[kind]


def literal(value: Any, kind: str) -> str:
    """A number of a kind as LLVM writes it."""
    if kind == "b1":
        return "true" if value else "false"
    if kind[0] != "f":
        return str(int(value))
    # A float is written as the double that it is.
    with np.errstate(invalid="ignore"):
        return f"0x{struct.unpack('<Q', struct.pack('<d', float(value)))[0]:016X}"


def memory_literal(value: Any, kind: str) -> str:
    """A number of a kind as LLVM writes an array's entry."""
    return str(int(value)) if kind == "b1" else literal(value, kind)


class Writer:
    """The lines of one function, with a value of each of ``width`` rows in a register.

    Attributes:
        width: how many rows are worked on at once; one means scalars.
        lines: what has been written.
        block: in which block the next line is.
        prefix: what the names of its own begin with.
        declarations: the intrinsics called, by name.
        functions: the functions called that have to be defined, as (operation, kind, width).
    """

    def __init__(self, width: int, prefix: str = "v", block: str = "entry") -> None:
        self.width = width
        self.lines: list[str] = []
        self.declarations: dict[str, str] = {}
        self.functions: set[tuple[str, str, int]] = set()
        self.prefix = prefix
        self.block = block

    # ---- text

    def do(self, line: str) -> None:
        """A line without a value."""
        self.lines.append(f"  {line}")

    def value(self, line: str) -> str:
        """A line with a value, whose name is returned."""
        name = f"%{self.prefix}{len(self.lines)}"
        self.lines.append(f"  {name} = {line}")
        return name

    def label(self, name: str) -> None:
        """The beginning of a block."""
        self.lines.append(f"{name}:")
        self.block = name

    def wide(self, scalar: str) -> str:
        """The type of a value of every row."""
        return scalar if self.width == 1 else f"<{self.width} x {scalar}>"

    def type(self, kind: str) -> str:
        """The type of a kind of scalars in registers."""
        return self.wide(_REGISTERS[kind])

    def fill(self, text: str, scalar: str) -> str:
        """A constant, the same for every row."""
        return text if self.width == 1 else f"<{', '.join([f'{scalar} {text}'] * self.width)}>"

    def constant(self, value: Any, kind: str) -> str:
        """A number of the program, the same for every row."""
        return self.fill(literal(value, kind), _REGISTERS[kind])

    def splat(self, scalar: str, kind: str) -> str:
        """One scalar in a register, for every row."""
        if self.width == 1:
            return scalar
        wide, one = self.type(kind), _REGISTERS[kind]
        first = self.value(f"insertelement {wide} poison, {one} {scalar}, i64 0")
        return self.value(
            f"shufflevector {wide} {first}, {wide} poison, <{self.width} x i32> zeroinitializer"
        )

    def shuffle(self, x: str, y: str, scalar: str, width: int, places: list[int]) -> str:
        """Certain entries of two vectors of a width, one after the other."""
        mask = ", ".join(f"i32 {p}" for p in places)
        wide = f"<{width} x {scalar}>"
        return self.value(f"shufflevector {wide} {x}, {wide} {y}, <{len(places)} x i32> <{mask}>")

    def load(self, address: str, kind: str) -> str:
        """Values that lie in memory, as they are computed with."""
        scalar = memory_type(kind)
        return self.from_memory(
            self.value(f"load {self.wide(scalar)}, ptr {address}, align {SIZES[kind]}"), kind
        )

    def store(self, value: str, address: str, kind: str) -> None:
        """Values into memory."""
        entry = self.to_memory(value, kind)
        self.do(f"store {self.wide(memory_type(kind))} {entry}, ptr {address}, align {SIZES[kind]}")

    def from_memory(self, x: str, kind: str) -> str:
        """A value as computed with, of one as it lies in an array."""
        if kind != "b1":
            return x
        return self.value(f"icmp ne {self.wide('i8')} {x}, {self.fill('0', 'i8')}")

    def to_memory(self, x: str, kind: str) -> str:
        """A value as it lies in an array."""
        return self.value(f"zext {self.type(kind)} {x} to {self.wide('i8')}") if kind == "b1" else x

    def intrinsic(self, name: str, operands: list[str], kind: str, result: str = "") -> str:
        """One of LLVM's own functions of values of one kind."""
        wide = self.type(kind)
        suffix = _suffix(kind, self.width)
        if result:  # a conversion
            suffix = f"{_suffix(result, self.width)}.{suffix}"
        gives = self.type(result or kind)
        flags = name in ("abs", "ctlz")
        parameters = [wide] * len(operands) + ["i1"] * flags
        arguments = [f"{wide} {x}" for x in operands] + ["i1 false"] * flags
        full = f"llvm.{name}.{suffix}"
        self.declarations[full] = f"declare {gives} @{full}({', '.join(parameters)})"
        return self.value(f"call {gives} @{full}({', '.join(arguments)})")

    # ---- operations

    def operation(self, op: str, operands: list[str], kinds: list[str], kind: str) -> str:
        """The instructions of one operation of a program.

        Args:
            op: an operation of :class:`Scalars`, other than ``input`` and ``const``.
            operands: the values it takes.
            kinds: what kinds of scalars these are.
            kind: what kind the result is of.
        """
        if op == "select":
            p, x, y = operands
            wide = self.type(kind)
            return self.value(f"select {self.type('b1')} {p}, {wide} {x}, {wide} {y}")
        if op == "convert":
            return self._convert(operands[0], kinds[0], kind)
        if op in _COMPARED:
            return self.compare(op, operands[0], operands[1], kinds[0])
        if op == "is_finite":
            size = self.intrinsic("fabs", operands, kinds[0])
            return self.compare("lt", size, self.constant(np.inf, kinds[0]), kinds[0])
        if kind == "b1":
            return self._logical(op, operands)
        return self._real(op, operands, kind) if kind[0] == "f" else self._integer(op, operands, kind)

    def instruction(self, name: str, operands: list[str], kind: str) -> str:
        """An instruction of values of one kind that gives another of them."""
        return self.value(f"{name} {self.type(kind)} {', '.join(operands)}")

    def compare(self, op: str, x: str, y: str, kind: str) -> str:
        """A comparison, false for NaN except for ``ne``."""
        real, signed, unsigned = _COMPARED[op]
        if kind[0] == "f":
            return self.instruction(f"fcmp {real}", [x, y], kind)
        return self.instruction(f"icmp {signed if kind[0] == 'i' else unsigned}", [x, y], kind)

    def choose(self, predicate: str, x: str, y: str, kind: str) -> str:
        """One of two values by a truth value."""
        return self.operation("select", [predicate, x, y], ["b1", kind, kind], kind)

    def _real(self, op: str, operands: list[str], kind: str) -> str:
        if op in ("add", "sub", "mul"):
            return self.instruction(f"f{op} contract", operands, kind)
        if op in ("div", "neg"):
            return self.instruction(f"f{op}", operands, kind)
        if op in ("min", "max"):
            return self.intrinsic(f"{op}imum", operands, kind)
        if op in _INTRINSICS:
            return self.intrinsic(_INTRINSICS[op], operands, kind)
        if op == "sign":
            (x,) = operands
            zero = self.constant(0, kind)
            moves = self.instruction("fcmp one", [x, zero], kind)
            return self.choose(moves, self.intrinsic("copysign", [self.constant(1, kind), x], kind), x, kind)
        return self.function(op, operands, kind, self.type(kind))

    def function(self, op: str, operands: list[str], kind: str, gives: str) -> str:
        """A call of a function that has to be defined, and the type of what it gives."""
        self.functions.add((op, kind, self.width))
        name, wide = function_name(op, kind, self.width), self.type(kind)
        self.declarations[name] = f"declare {gives} @{name}({', '.join([wide] * len(operands))})"
        return self.value(f"call {gives} @{name}({', '.join(f'{wide} {x}' for x in operands)})")

    def sine_and_cosine(self, x: str, kind: str) -> list[str]:
        """Both of one angle, which cost little more than one of them."""
        both = f"{{ {self.type(kind)}, {self.type(kind)} }}"
        pair = self.function("sincos", [x], kind, both)
        return [self.value(f"extractvalue {both} {pair}, {k}") for k in range(2)]

    def _integer(self, op: str, operands: list[str], kind: str) -> str:
        signed = kind[0] == "i"
        zero, one, ones = (self.constant(v, kind) for v in (0, 1, -1))
        if op in ("add", "sub", "mul", "and", "or", "xor"):
            return self.instruction(op, operands, kind)
        if op == "neg":
            return self.instruction("sub", [zero, operands[0]], kind)
        if op == "not":
            return self.instruction("xor", [operands[0], ones], kind)
        if op == "abs":
            return self.intrinsic("abs", operands, kind) if signed else operands[0]
        if op in ("min", "max"):
            return self.intrinsic(f"{'s' if signed else 'u'}{op}", operands, kind)
        if op in ("floor", "ceil", "round"):
            return operands[0]
        if op == "sign":
            (x,) = operands
            positive = self.choose(self.instruction("icmp ne", [x, zero], kind), one, zero, kind)
            if not signed:
                return positive
            return self.choose(self.instruction("icmp slt", [x, zero], kind), ones, positive, kind)
        if op in ("div", "rem"):
            return self._divide(op, operands[0], operands[1], kind)
        raise NotImplementedError(f"{op} of integers")

    def _divide(self, op: str, x: str, y: str, kind: str) -> str:
        """Quotients by zero are -1, remainders the dividend; the least number by -1 is itself."""
        signed = kind[0] == "i"
        zero, one, ones = (self.constant(v, kind) for v in (0, 1, -1))
        by_zero = self.instruction("icmp eq", [y, zero], kind)
        divisor = self.choose(by_zero, one, y, kind)
        if not signed:
            result = self.instruction(f"u{op}", [x, divisor], kind)
            return self.choose(by_zero, ones if op == "div" else x, result, kind)
        negated = self.instruction("icmp eq", [y, ones], kind)
        divisor = self.choose(negated, one, divisor, kind)
        result = self.instruction(f"s{op}", [x, divisor], kind)
        if op == "div":
            result = self.choose(negated, self.instruction("sub", [zero, x], kind), result, kind)
            return self.choose(by_zero, ones, result, kind)
        return self.choose(by_zero, x, result, kind)

    def _logical(self, op: str, operands: list[str]) -> str:
        if op == "not":
            return self.instruction("xor", [operands[0], self.constant(True, "b1")], "b1")
        return self.instruction(_LOGICAL[op], operands, "b1")

    def _convert(self, x: str, source: str, kind: str) -> str:
        """To the nearest number, to integers towards zero and no further than there are any."""
        if kind == "b1":
            return self.compare("ne", x, self.constant(0, source), source)
        if source[0] == "f" and kind[0] != "f":
            return self.intrinsic(f"fpto{'u' if kind[0] == 'u' else 's'}i.sat", [x], source, kind)
        if source[0] == "f":
            name = "fpext" if kind == "f8" else "fptrunc"
        elif kind[0] == "f":
            name = "sitofp" if source[0] == "i" else "uitofp"
        elif SIZES[kind] < SIZES[source]:
            name = "trunc"
        elif SIZES[kind] == SIZES[source]:
            return x
        else:
            name = "sext" if source[0] == "i" else "zext"
        return self.value(f"{name} {self.type(source)} {x} to {self.type(kind)}")


#: Comparisons of real numbers, integers and unsigned ones.
_COMPARED = {
    "eq": ("oeq", "eq", "eq"),
    "ne": ("une", "ne", "ne"),
    "lt": ("olt", "slt", "ult"),
    "le": ("ole", "sle", "ule"),
}
_LOGICAL = {
    "and": "and", "or": "or", "xor": "xor", "min": "and", "max": "or", "add": "or", "mul": "and",
}  # fmt: skip


def _suffix(kind: str, width: int) -> str:
    """How intrinsics are told apart."""
    scalar = {"f4": "f32", "f8": "f64"}.get(kind) or _REGISTERS[kind]
    return scalar if width == 1 else f"v{width}{scalar}"


def function_name(op: str, kind: str, width: int) -> str:
    """The name of a function of a kernel's own."""
    return f"{op}.{kind}.{width}"
