"""Arithmetic on vectors of numbers, written as formulas and emitted as LLVM IR.

:class:`Lanes` is a vector of a kernel: its operators append instructions. A :class:`Pair` is a number of
twice the precision, the unevaluated sum of two (Dekker, "A floating-point technique for extending the
available precision", 1971; Muller, "Elementary Functions", on double-word arithmetic).

Nothing here lets the compiler reorder arithmetic. ``fused`` rounds once on every machine: where the hardware
cannot, LLVM calls the platform's ``fma``, which is right and slow. ``times_plus`` rounds once or twice,
whichever is quick, and is for polynomials.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from llvmlite import ir

Kind = Literal["f4", "f8"]


@dataclass(frozen=True)
class Format:
    """A binary format of IEEE 754.

    Attributes:
        kind: its name in programs.
        bits: of the significand, the leading one counted.
        suffix: LLVM's name for it, in the names of intrinsics.
    """

    kind: Kind
    bits: int
    suffix: str

    @property
    def scalar(self) -> ir.Type:
        return ir.FloatType() if self.kind == "f4" else ir.DoubleType()

    @property
    def integer(self) -> ir.IntType:
        """Integers as wide as a number."""
        return ir.IntType(32 if self.kind == "f4" else 64)

    @property
    def bias(self) -> int:
        """The exponent field of one."""
        return (1 << (self.integer.width - self.bits - 1)) - 1

    @property
    def smallest(self) -> float:
        """The smallest normal number."""
        return 2.0 ** (1 - self.bias)

    @property
    def rounder(self) -> float:
        """Added to and taken from a number below ``2**(bits - 2)`` it rounds to an integer; the sum has the
        integer in its last bits."""
        return 1.5 * 2.0 ** (self.bits - 1)

    def nearest(self, value: float | Fraction) -> float:
        """The number of the format next to one."""
        return float(np.float32(float(value))) if self.kind == "f4" else float(value)

    def parts(self, value: Fraction, count: int, short: int | None = None) -> tuple[float, ...]:
        """Numbers whose sum is one, to as many digits as they have, the largest first.

        Args:
            value: what to take apart.
            count: how many parts.
            short: bits of all parts but the last, so that products with small integers are exact.
        """
        found: list[float] = []
        for index in range(count):
            part = self.nearest(value)
            if short is not None and index < count - 1:
                mantissa, exponent = np.frexp(part)
                part = float(np.ldexp(np.rint(np.ldexp(mantissa, short)), exponent - short))
            found.append(part)
            value -= Fraction(part)
        return tuple(found)


FORMATS: dict[str, Format] = {"f4": Format("f4", 24, "f32"), "f8": Format("f8", 53, "f64")}


@lru_cache(maxsize=4096)
def _constant(type_: ir.Type, written: str) -> ir.Constant:
    """A number as a constant, in every lane; it is told by how it is written, since zeros have signs."""
    element = type_.element if isinstance(type_, ir.VectorType) else type_
    value = int(written) if isinstance(element, ir.IntType) else float(written)
    return ir.Constant(type_, [value] * type_.count if isinstance(type_, ir.VectorType) else value)


class Lanes:
    """A vector of real numbers, integers or truth values in a function that is being built.

    Width 1 is a scalar. Numbers of Python stand for vectors with the same number everywhere.
    """

    __slots__ = ("builder", "value")

    def __init__(self, builder: ir.IRBuilder, value: Any) -> None:
        self.builder = builder
        self.value = value

    @property
    def type(self) -> ir.Type:
        return self.value.type

    @property
    def element(self) -> ir.Type:
        return self.type.element if isinstance(self.type, ir.VectorType) else self.type

    @property
    def format(self) -> Format:
        """The format of real numbers and of what their bits are."""
        return FORMATS["f4" if str(self.element) in ("float", "i32") else "f8"]

    @property
    def is_integer(self) -> bool:
        return isinstance(self.element, ir.IntType)

    def _lanes_of(self, element: ir.Type) -> ir.Type:
        return ir.VectorType(element, self.type.count) if isinstance(self.type, ir.VectorType) else element

    def same(self, value: float | int | Fraction) -> Lanes:
        """A vector like this one of one number."""
        if self.is_integer:
            return Lanes(self.builder, _constant(self.type, str(int(value))))
        return Lanes(self.builder, _constant(self.type, repr(self.format.nearest(value))))

    def _of(self, value: Any) -> Lanes:
        return Lanes(self.builder, value)

    def _lift(self, other: Any) -> Any:
        return other.value if isinstance(other, Lanes) else self.same(other).value

    def _apply(self, on_reals: str, on_integers: str | None, other: Any, swapped: bool = False) -> Lanes:
        operation = on_integers if self.is_integer else on_reals
        assert operation is not None
        operands = (self.value, self._lift(other))
        return self._of(getattr(self.builder, operation)(*(operands[::-1] if swapped else operands)))

    def __add__(self, other: Any) -> Lanes:
        return self._apply("fadd", "add", other)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Lanes:
        return self._apply("fsub", "sub", other)

    def __rsub__(self, other: Any) -> Lanes:
        return self._apply("fsub", "sub", other, swapped=True)

    def __mul__(self, other: Any) -> Lanes:
        return self._apply("fmul", "mul", other)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Lanes:
        return self._apply("fdiv", None, other)

    def __rtruediv__(self, other: Any) -> Lanes:
        return self._apply("fdiv", None, other, swapped=True)

    def __mod__(self, other: Any) -> Lanes:
        """What C's ``fmod`` gives, which is exact."""
        return self._apply("frem", None, other)

    def __neg__(self) -> Lanes:
        return self._of(self.builder.fneg(self.value))

    def __lshift__(self, count: int) -> Lanes:
        return self._of(self.builder.shl(self.value, self._lift(count)))

    def __rshift__(self, count: int) -> Lanes:
        """Shifted to the right, with zeros coming in."""
        return self._of(self.builder.lshr(self.value, self._lift(count)))

    def __and__(self, other: Any) -> Lanes:
        return self._of(self.builder.and_(self.value, self._lift(other)))

    def __or__(self, other: Any) -> Lanes:
        return self._of(self.builder.or_(self.value, self._lift(other)))

    def __xor__(self, other: Any) -> Lanes:
        return self._of(self.builder.xor(self.value, self._lift(other)))

    def __invert__(self) -> Lanes:
        return self._of(self.builder.not_(self.value))

    def _compare(self, relation: str, other: Any) -> Lanes:
        compare = self.builder.icmp_signed if self.is_integer else self.builder.fcmp_ordered
        return self._of(compare(relation, self.value, self._lift(other)))

    def __lt__(self, other: Any) -> Lanes:
        return self._compare("<", other)

    def __le__(self, other: Any) -> Lanes:
        return self._compare("<=", other)

    def __gt__(self, other: Any) -> Lanes:
        return self._compare(">", other)

    def __ge__(self, other: Any) -> Lanes:
        return self._compare(">=", other)

    def equals(self, other: Any) -> Lanes:
        """Where two vectors are equal; nowhere for NaN."""
        return self._compare("==", other)

    def is_nan(self) -> Lanes:
        return self._of(self.builder.fcmp_unordered("uno", self.value, self.value))

    def at_most(self, bound: float) -> Lanes:
        """The smaller one; NaN stays."""
        return where(self > bound, bound, self)

    def at_least(self, bound: float) -> Lanes:
        """The larger one; NaN stays."""
        return where(self < bound, bound, self)

    def intrinsic(self, name: str, *operands: Any) -> Lanes:
        """One of LLVM's functions that take vectors of one type to a vector of that type."""
        arguments = [self.value, *(self._lift(x) for x in operands)]
        lanes = f"v{self.type.count}" if isinstance(self.type, ir.VectorType) else ""
        function = declared(
            self.builder.module,
            f"llvm.{name}.{lanes}{self.format.suffix}",
            ir.FunctionType(self.type, [self.type] * len(arguments)),
        )
        return self._of(self.builder.call(function, arguments))

    def fused(self, factor: Any, addend: Any) -> Lanes:
        """``self * factor + addend``, rounded once."""
        return self.intrinsic("fma", factor, addend)

    def times_plus(self, factor: Any, addend: Any) -> Lanes:
        """``self * factor + addend``, as it is quickest."""
        return self.intrinsic("fmuladd", factor, addend)

    def sqrt(self) -> Lanes:
        return self.intrinsic("sqrt")

    def __abs__(self) -> Lanes:
        return self.intrinsic("fabs")

    def with_sign_of(self, other: Lanes) -> Lanes:
        return self.intrinsic("copysign", other)

    def bits(self) -> Lanes:
        """The integers that the numbers are written as."""
        return self._of(self.builder.bitcast(self.value, self._lanes_of(self.format.integer)))

    def number(self) -> Lanes:
        """The numbers that integers are the bits of."""
        return self._of(self.builder.bitcast(self.value, self._lanes_of(self.format.scalar)))

    def widened(self) -> Lanes:
        """The same numbers in float64."""
        return self._of(self.builder.fpext(self.value, self._lanes_of(ir.DoubleType())))

    def narrowed(self) -> Lanes:
        """The nearest numbers in float32."""
        return self._of(self.builder.fptrunc(self.value, self._lanes_of(ir.FloatType())))

    def any(self) -> Any:
        """Whether some truth value is true."""
        if not isinstance(self.type, ir.VectorType):
            return self.value
        function = declared(
            self.builder.module,
            f"llvm.vector.reduce.or.v{self.type.count}i1",
            ir.FunctionType(ir.IntType(1), [self.type]),
        )
        return self.builder.call(function, [self.value])

    def polynomial(self, coefficients: Sequence[float]) -> Lanes:
        """A polynomial, the constant first; even and odd powers side by side, as Estrin would begin."""
        if len(coefficients) < 4:
            return self._horner(coefficients)
        square = self * self
        return self.times_plus(square._horner(coefficients[1::2]), square._horner(coefficients[::2]))

    def _horner(self, coefficients: Sequence[float]) -> Lanes:
        total = self.same(coefficients[-1])
        for coefficient in coefficients[-2::-1]:
            total = total.times_plus(self, coefficient)
        return total


def declared(module: ir.Module, name: str, type_: ir.FunctionType) -> ir.Function:
    """A function that is defined elsewhere and has no effects that a kernel could see."""
    found = module.globals.get(name)
    if found is None:
        found = ir.Function(module, type_, name)
        found.attributes.add("nounwind")
        found.attributes.add("readnone")
    return found


def where(mask: Lanes, on_true: Any, on_false: Any) -> Lanes:
    """One of two numbers, lane by lane; at least one is a vector."""
    like = on_true if isinstance(on_true, Lanes) else on_false
    value = mask.builder.select(mask.value, like._lift(on_true), like._lift(on_false))
    return Lanes(mask.builder, value)


def rarely(mask: Lanes, instead: Callable[[], Sequence[Lanes]], usual: Sequence[Lanes]) -> list[Lanes]:
    """Vectors with some lanes replaced, at the cost of a branch where there are none to be replaced.

    Args:
        mask: which lanes.
        instead: builds what comes in their place.
        usual: what stays in the others.
    """
    builder = mask.builder
    before = builder.block
    with builder.if_then(mask.any(), likely=False):
        replaced = [where(mask, new, old) for new, old in zip(instead(), usual, strict=True)]
        after = builder.block
    merged = []
    for new, old in zip(replaced, usual, strict=True):
        phi = builder.phi(old.type)
        phi.add_incoming(old.value, before)
        phi.add_incoming(new.value, after)
        merged.append(Lanes(builder, phi))
    return merged


class Pair(NamedTuple):
    """A number as the sum of two, the second of the size of rounding errors of the first."""

    hi: Lanes
    lo: Lanes

    def total(self) -> Lanes:
        return self.hi + self.lo

    def plus(self, small: Lanes) -> Pair:
        """With something added that is of the size of the rounding error."""
        return Pair(self.hi, self.lo + small)

    def times(self, factor: Any) -> Pair:
        """Times a power of two, or several."""
        return Pair(self.hi * factor, self.lo * factor)

    def __neg__(self) -> Pair:
        return Pair(-self.hi, -self.lo)


def exact_sum(x: Lanes, y: Lanes) -> Pair:
    """The sum of two numbers and its rounding error (Knuth)."""
    total = x + y
    of_y = total - x
    return Pair(total, (x - (total - of_y)) + (y - of_y))


def ordered_sum(x: Lanes, y: Lanes) -> Pair:
    """The sum and its rounding error, where the first number is zero, not the smaller one, or a multiple of
    the second one's last digit (Dekker)."""
    total = x + y
    return Pair(total, y - (total - x))


def exact_product(x: Lanes, y: Lanes) -> Pair:
    """The product of two numbers and its rounding error."""
    product = x * y
    return Pair(product, x.fused(y, -product))


def product(x: Pair, y: Pair) -> Pair:
    """The product of two pairs."""
    whole = exact_product(x.hi, y.hi)
    return whole.plus(x.hi.times_plus(y.lo, x.lo * y.hi))


def quotient(n: Pair, d: Pair) -> Pair:
    """The quotient of two pairs."""
    reciprocal = 1.0 / d.hi
    q = n.hi * reciprocal
    left = (-q).fused(d.hi, n.hi) + (n.lo - q * d.lo)
    return Pair(q, left * reciprocal)


def root(x: Pair) -> Pair:
    """The square root of a pair; of zero it is zero."""
    high = x.hi.sqrt()
    left = (-high).fused(high, x.hi) + x.lo
    return Pair(high, where(high > 0.0, left / (high + high), 0.0))
