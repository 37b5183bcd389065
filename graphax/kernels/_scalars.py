"""Scalar expressions, each once: what a program of small arrays computes, entry by entry.

An expression is a number, its place in the tables of :class:`Scalars`; operands come before what they are
operands of. Only what IEEE arithmetic allows is folded: products with one, signs, operations on constants,
expressions that are equal. Zero times a value is a product like others, and NaN where the value is infinite;
a *structural zero* is none: it says that nothing is there, and whatever it is multiplied by vanishes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: Kinds of scalars: real and integer numbers by their bytes (unsigned ones with "u"), and truth values.
KINDS = {"f4": np.float32, "f8": np.float64, "i4": np.int32, "i8": np.int64, "u4": np.uint32, "b1": np.bool_}
#: What takes one real number.
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sqrt": np.sqrt,
    "cbrt": np.cbrt,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "asin": np.arcsin,
    "acos": np.arccos,
    "atan": np.arctan,
    "sinh": np.sinh,
    "cosh": np.cosh,
    "tanh": np.tanh,
    "asinh": np.arcsinh,
    "acosh": np.arccosh,
    "atanh": np.arctanh,
    "exp": np.exp,
    "exp2": np.exp2,
    "expm1": np.expm1,
    "log": np.log,
    "log1p": np.log1p,
    "erf": np.vectorize(math.erf, otypes=[float]),
    "erfc": np.vectorize(math.erfc, otypes=[float]),
    "abs": np.abs,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,
    "is_finite": np.isfinite,
}


def _quotient(x: Any, y: Any) -> Any:
    """Of integers towards zero."""
    if np.issubdtype(np.result_type(x), np.floating):
        return np.divide(x, y)
    return (x - np.fmod(x, y)) // y


COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
}
#: What takes two numbers of one kind; the last row integers and truth values.
ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": _quotient,
    "rem": np.fmod,
    "min": np.minimum,
    "max": np.maximum,
    "pow": np.power,
    "atan2": np.arctan2,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}
_COMMUTE = frozenset({"add", "mul", "min", "max", "and", "or", "xor", "eq", "ne"})


#: Operations whose arguments are no expressions, or that have none.
LEAVES = frozenset({"input", "const", "zero", "carry", "last"})


@dataclass
class Loop:
    """Steps that are all alike, and what they hand on.

    Attributes:
        length: how many steps there are, at least one.
        first: what the first step is given: expressions.
        after: what each step hands on: expressions of ``carry``, and of what is the same for all steps.
        own: how many of them belong to the program; derivatives of these follow.
        derivatives: by what they were taken, and the places of the results.
    """

    length: int
    first: list[int]
    after: list[int] = field(default_factory=list)
    own: int = 0
    derivatives: dict[tuple[int, ...], list[dict[int, int]]] = field(default_factory=dict)


class TooManyScalars(Exception):
    """More expressions would be needed than there may be."""


class Scalars:
    """The expressions of one program.

    Operations are those of ``FUNCTIONS``, ``COMPARISONS`` and ``ARITHMETIC``, and

    - ``input`` (operand, offset): an entry of an operand;
    - ``const`` (value): a number, as a NumPy scalar of its kind;
    - ``zero``: the structural zero;
    - ``neg``, ``not``: one operand;
    - ``select`` (predicate, where true, where false);
    - ``convert``: one operand, to another kind, as C does it;
    - ``sign``: of an integer or real number, with the sign of zero and NaN kept;
    - ``carry`` (loop, place): what the present step of a loop is given;
    - ``last`` (loop, place): what the last step of a loop hands on;
    - ``given`` (value, operands, partials): the value, whose derivatives by the operands are the partials,
      whatever it was computed from.

    Attributes:
        ops: the operation of every expression.
        args: its operands: expressions, except for ``input`` and ``const``.
        kinds: of which of ``KINDS`` it is.
        loops: the loops, by number.
        where_there: of derivatives for which it is known a truth value that says where they are not left out
            by selections; None where they never are.
        most: how many there may be before further ones raise :class:`TooManyScalars`.
        longest: how many operations a function and an elimination may take at first sight, likewise.
    """

    def __init__(self) -> None:
        self.most = math.inf
        self.longest = math.inf
        self.ops: list[str] = []
        self.args: list[tuple[Any, ...]] = []
        self.kinds: list[str] = []
        self.loops: list[Loop] = []
        self.where_there: dict[int, int | None] = {}
        self._known: dict[tuple[Any, ...], int] = {}

    def __len__(self) -> int:
        return len(self.ops)

    def make(self, op: str, args: tuple[Any, ...], kind: str, key: Any = None) -> int:
        """An expression as it is, without folding."""
        key = (op, args if key is None else key, kind)
        found = self._known.get(key)
        if found is None:
            if len(self.ops) >= self.most:
                raise TooManyScalars(self.most)
            found = self._known[key] = len(self.ops)
            self.ops.append(op)
            self.args.append(args)
            self.kinds.append(kind)
        return found

    # ---- leaves

    def input(self, operand: int, offset: int, kind: str) -> int:
        """An entry of an operand, by its place in the array, in rows."""
        return self.make("input", (operand, offset), kind)

    def const(self, value: Any, kind: str) -> int:
        """A number of the program."""
        number = KINDS[kind](value)
        # Zeros have signs, and NaNs are not equal to themselves.
        return self.make("const", (number,), kind, number.tobytes())

    def zero(self, kind: str) -> int:
        """The structural zero."""
        return self.make("zero", (), kind)

    def is_zero(self, x: int) -> bool:
        """Whether an expression is structurally zero."""
        return self.ops[x] == "zero"

    def value(self, x: int) -> Any:
        """The number that a constant or a structural zero stands for; None for anything else."""
        if self.ops[x] == "const":
            return self.args[x][0]
        return KINDS[self.kinds[x]](0) if self.ops[x] == "zero" else None

    def carry(self, loop: int, place: int) -> int:
        """What the present step of a loop is given in a place."""
        return self.make("carry", (loop, place), self.kinds[self.loops[loop].first[place]])

    def last(self, loop: int, place: int) -> int:
        """What the last step of a loop hands on in a place."""
        return self.make("last", (loop, place), self.kinds[self.loops[loop].first[place]])

    # ---- operations

    def operation(self, op: str, operands: Sequence[int], kind: str) -> int:
        """Any operation but ``given``, by its name."""
        if op == "select":
            return self.select(*operands)
        if op == "convert":
            return self.convert(operands[0], kind)
        if len(operands) == 1:
            return self.function(op, *operands)
        return self.compare(op, *operands) if op in COMPARISONS else self.binary(op, *operands)

    def function(self, op: str, x: int) -> int:
        """One of ``FUNCTIONS``, ``neg``, ``not`` or ``sign``."""
        if op == "neg":
            return self.neg(x)
        if op == "not" and self.ops[x] == "not":
            return self.args[x][0]
        kind = "b1" if op == "is_finite" else self.kinds[x]
        known = self.value(x)
        if known is not None:
            with np.errstate(all="ignore"):
                return self.const(_FOLDED[op](known), kind)
        return self.make(op, (x,), kind)

    def binary(self, op: str, x: int, y: int) -> int:
        """One of ``ARITHMETIC``."""
        simple = _SIMPLER.get(op)
        if simple is not None:
            return simple(self, x, y)
        return self._arithmetic(op, x, y)

    def compare(self, op: str, x: int, y: int) -> int:
        """One of ``COMPARISONS``, or ``gt`` and ``ge``."""
        if op in ("gt", "ge"):
            op, x, y = {"gt": "lt", "ge": "le"}[op], y, x
        a, b = self.value(x), self.value(y)
        if a is not None and b is not None:
            return self.const(COMPARISONS[op](a, b), "b1")
        if op in _COMMUTE and x > y:
            x, y = y, x
        return self.make(op, (x, y), "b1")

    def select(self, predicate: int, on_true: int, on_false: int) -> int:
        """One of two, as a truth value says."""
        if on_true == on_false:
            return on_true
        known = self.value(predicate)
        if known is not None:
            return on_true if known else on_false
        if self.ops[predicate] == "not":
            return self.select(self.args[predicate][0], on_false, on_true)
        # Of a selection by the same predicate only one of two can come to be chosen.
        if self.ops[on_true] == "select" and self.args[on_true][0] == predicate:
            return self.select(predicate, self.args[on_true][1], on_false)
        if self.ops[on_false] == "select" and self.args[on_false][0] == predicate:
            return self.select(predicate, on_true, self.args[on_false][2])
        return self.make("select", (predicate, on_true, on_false), self.kinds[on_true])

    def convert(self, x: int, kind: str) -> int:
        """The same number, as nearly as another kind has it."""
        if kind == self.kinds[x]:
            return x
        known = self.value(x)
        if known is not None and (self.kinds[x][0] != "f" or kind[0] == "f" or abs(known) < 2**31):
            return self.const(KINDS[kind](known), kind)
        if kind == "b1":
            return self.compare("ne", x, self.const(0, self.kinds[x]))
        return self.make("convert", (x,), kind)

    def given(self, x: int, operands: tuple[int, ...], partials: tuple[int, ...]) -> int:
        """A value with its derivatives by certain expressions, which are then all it depends on."""
        return self.make("given", (x, *operands, *partials), self.kinds[x])

    def neg(self, x: int) -> int:
        if self.ops[x] == "neg":
            return self.args[x][0]
        if self.ops[x] == "zero":
            return x
        known = self.value(x)
        if known is not None:
            return self.const(np.negative(known), self.kinds[x])
        return self.make("neg", (x,), self.kinds[x])

    def add(self, x: int, y: int) -> int:
        if self.ops[x] not in _FOLDING and self.ops[y] not in _FOLDING:
            return self._made("add", x, y)
        if self.is_zero(x):
            return y
        if self.is_zero(y):
            return x
        if self.ops[y] == "neg":
            return self.sub(x, self.args[y][0])
        if self.ops[x] == "neg":
            return self.sub(y, self.args[x][0])
        return self._arithmetic("add", x, y)

    def sub(self, x: int, y: int) -> int:
        if self.is_zero(y):
            return x
        if self.is_zero(x):
            return self.neg(y)
        if self.ops[y] == "neg":
            return self.add(x, self.args[y][0])
        return self._arithmetic("sub", x, y)

    def mul(self, x: int, y: int) -> int:
        if self.ops[x] not in _FOLDING and self.ops[y] not in _FOLDING:
            return self._made("mul", x, y)
        for a, b in ((x, y), (y, x)):
            if self.is_zero(a):
                return a
            known = self.value(a)
            if known is not None and self.kinds[a] != "b1":
                if known == 1:
                    return b
                if known == -1:
                    return self.neg(b)
            if self.ops[a] == "neg":
                return self.neg(self.mul(self.args[a][0], b))
        return self._arithmetic("mul", x, y)

    def div(self, x: int, y: int) -> int:
        if self.kinds[x][0] == "f":
            if self.is_zero(x):
                return x
            for a in (x, y):
                if self.ops[a] == "neg":
                    other = self.args[a][0]
                    return self.neg(self.div(other, y) if a == x else self.div(x, other))
            known = self.value(y)
            # The reciprocal of a power of two is a number, unless it is below the normal ones.
            if known is not None and abs(math.frexp(known)[0]) == 0.5 and 1e-30 < abs(known) < 1e30:
                return self.mul(x, self.const(1 / known, self.kinds[x]))
        return self._arithmetic("div", x, y)

    def logical(self, op: str, x: int, y: int) -> int:
        """``and`` or ``or``: of truth values one that is known decides, or is left out; so do opposites."""
        if x == y:
            return x
        if any(self.ops[a] == "not" and self.args[a][0] == b for a, b in ((x, y), (y, x))):
            return self.const(op == "or", "b1")
        for a, b in ((x, y), (y, x)):
            known = self.value(a)
            if known is not None and self.kinds[a] == "b1":
                return b if known == (op == "and") else a
        return self._arithmetic(op, x, y)

    def _arithmetic(self, op: str, x: int, y: int) -> int:
        kind = self.kinds[x]
        a, b = self.value(x), self.value(y)
        if a is not None and b is not None and (kind[0] == "f" or op not in ("div", "rem")):
            with np.errstate(all="ignore"):
                return self.const(_FOLDED[op](a, b), kind)
        return self._made(op, x, y)

    def _made(self, op: str, x: int, y: int) -> int:
        """An operation on two of a kind as it is, whose operands have no order if it does not matter."""
        if x > y and op in _COMMUTE:
            x, y = y, x
        return self.make(op, (x, y), self.kinds[x])


#: What sums and products may fold.
_FOLDING = frozenset({"zero", "const", "neg"})
_FOLDED: dict[str, Callable[..., Any]] = {
    **FUNCTIONS,
    **ARITHMETIC,
    "not": np.bitwise_not,
    "sign": lambda x: x if x == 0 or x != x else np.sign(x),
}
_SIMPLER: dict[str, Callable[[Scalars, int, int], int]] = {
    "add": Scalars.add,
    "sub": Scalars.sub,
    "mul": Scalars.mul,
    "div": Scalars.div,
    "and": lambda scalars, x, y: scalars.logical("and", x, y),
    "or": lambda scalars, x, y: scalars.logical("or", x, y),
}


def operands(scalars: Scalars, x: int) -> tuple[int, ...]:
    """The expressions that an expression is computed from; of a loop's last step what is handed on."""
    op, args = scalars.ops[x], scalars.args[x]
    if op == "last":
        loop = scalars.loops[args[0]]
        return loop.first[args[1]], loop.after[args[1]]
    if op in LEAVES:
        return ()
    return args[:1] if op == "given" else args


def reads(scalars: Scalars, x: int) -> tuple[int, ...]:
    """The expressions that an expression is computed from; of what a loop hands on, those from outside it."""
    if scalars.ops[x] != "last":
        return operands(scalars, x)
    number = scalars.args[x][0]
    loop = scalars.loops[number]
    return (*loop.first, *outside_of(scalars, number, loop.after))


def outside_of(scalars: Scalars, number: int, roots: Sequence[int]) -> list[int]:
    """The expressions that steps of a loop take from outside, all but constants."""
    inside = inside_of(scalars, number, roots)
    found: dict[int, None] = {}
    read = (y for x, is_in in inside.items() if is_in for y in reads(scalars, x))
    for x in [*roots, *read]:
        if not inside[x] and scalars.value(x) is None:
            found[x] = None
    return list(found)


def operands_first(
    roots: Sequence[int], done: Container[int], parts: Callable[[int], Sequence[int]]
) -> Iterator[int]:
    """Expressions, each after its parts, however deep they go.

    Args:
        roots: the last ones.
        done: those that are left out. Whoever is given one puts it there before asking for the next.
        parts: from one to those that come before it.
    """
    pending = list(roots)
    while pending:
        x = pending[-1]
        if x in done:
            pending.pop()
            continue
        missing = [y for y in parts(x) if y not in done]
        if missing:
            pending.extend(missing)
            continue
        pending.pop()
        yield x


def inside_of(scalars: Scalars, number: int, roots: Sequence[int]) -> dict[int, bool]:
    """For all that roots are computed from whether it differs from step to step of a loop."""
    found: dict[int, bool] = {}
    for x in operands_first(roots, found, lambda x: reads(scalars, x)):
        if scalars.ops[x] == "carry":
            found[x] = scalars.args[x][0] == number
        else:
            found[x] = any(found[y] for y in reads(scalars, x))
    return found


def evaluate(op: str, operands: list[Any], kind: str) -> Any:
    """What an operation gives, by NumPy; arrays are taken entry by entry."""
    if op == "select":
        return np.where(*operands)
    if op == "neg":
        return np.negative(operands[0])
    if op == "convert":
        return np.asarray(operands[0]).astype(KINDS[kind])
    if op == "sign":
        return np.where((operands[0] == 0) | (operands[0] != operands[0]), operands[0], np.sign(operands[0]))
    return np.asarray((COMPARISONS.get(op) or _FOLDED[op])(*operands)).astype(KINDS[kind])
