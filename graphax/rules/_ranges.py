"""Between which numbers the values of a program lie, whatever finite numbers it is applied to.

Interval arithmetic (R. Moore, *Interval Analysis*, Prentice Hall 1966), as far as poles are concerned: what
is exponentiated may be bounded from above, what divides may be far from zero. Rounding is left aside, and
what is not a number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax.core import Tracer

from .._trace import Atom, Constant, Equation, Program, Variable, inline
from ._maxima import is_exponential_of_shifted, is_shifted


class Range(NamedTuple):
    """The least and the greatest number that entries of a value may be."""

    low: float
    high: float


EVERYTHING = Range(-math.inf, math.inf)
_NOT_NEGATIVE = Range(0.0, math.inf)
# Values that more operations lead to are not followed further.
_DEEPEST = 100
# Arrays of more entries, which a function closes over, are not looked at.
_LARGEST = 1 << 16


class Ranges:
    """The ranges of the variables of a program, each found when it is asked for.

    Args:
        program: the program.
        inputs: ranges of inputs; they may be anything, unless told.
    """

    def __init__(self, program: Program, inputs: Mapping[Variable, Range] | None = None) -> None:
        self._program = program
        self._known: dict[Variable, Range] = dict(inputs or {})
        self._producers: dict[Variable, Equation] | None = None
        self._depth = 0

    def of(self, atom: Atom) -> Range:
        """The range of an atom."""
        if isinstance(atom, Constant):
            return _range_of_array(atom.value)
        if (known := self._known.get(atom)) is not None:
            return known
        equation = self.producer(atom)
        found = EVERYTHING
        if equation is not None and self._depth < _DEEPEST:
            self._depth += 1
            found = _range_of_result(self, equation)
            self._depth -= 1
        self._known[atom] = found
        return found

    def producer(self, atom: Atom) -> Equation | None:
        """The equation of which a value is the only result; None where there is none."""
        if self._producers is None:
            self._producers = {
                equation.outputs[0]: equation
                for equation in self._program.equations
                if len(equation.outputs) == 1
            }
            self._known.update((at, _range_of_array(value)) for at, value in self._program.constants)
        return self._producers.get(atom) if isinstance(atom, Variable) else None


def _range_of_array(value: Any) -> Range:
    kind = getattr(np.result_type(value) if np.isscalar(value) else value.dtype, "kind", "")
    if isinstance(value, Tracer) or kind not in {*"biuf"} or not 0 < np.size(value) <= _LARGEST:
        return EVERYTHING
    array = np.asarray(value)
    return _without_nan(Range(float(array.min()), float(array.max())))


def _range_of_result(ranges: Ranges, equation: Equation) -> Range:
    found = _OF_RESULTS.get(equation.primitive.name)
    return EVERYTHING if found is None else _without_nan(found(ranges, equation))


def _without_nan(found: Range) -> Range:
    """A bound that is no number is none."""
    return Range(*(end if end == end else none for end, none in zip(found, EVERYTHING, strict=True)))


_OfResult = Callable[[Ranges, Equation], Range]


def _within(low: float, high: float) -> _OfResult:
    return lambda ranges, equation: Range(low, high)


def _rising(function: Callable[[float], float], from_: float = -math.inf) -> _OfResult:
    """The range of a function that does not fall, from a number on."""

    def of_result(ranges: Ranges, equation: Equation) -> Range:
        return Range(*(_limit(function, max(end, from_)) for end in ranges.of(equation.inputs[0])))

    return of_result


def _limit(function: Callable[[float], float], at: float) -> float:
    try:
        return function(at)
    except OverflowError:
        return math.inf
    except ValueError:  # log(0)
        return -math.inf


def _any_operand(ranges: Ranges, equation: Equation) -> Range:
    """Entries are taken from the operands that hold numbers."""
    return _joined(map(ranges.of, equation.inputs))


def _first_operand(ranges: Ranges, equation: Equation) -> Range:
    return ranges.of(equation.inputs[0])


def _updated(ranges: Ranges, equation: Equation) -> Range:
    return _joined(map(ranges.of, equation.inputs[:2]))


def _selected(ranges: Ranges, equation: Equation) -> Range:
    predicate, *cases = equation.inputs
    found = list(map(ranges.of, cases))
    compared = ranges.producer(predicate)
    if len(cases) == 2 and compared is not None and compared.primitive.name in _GREATER:
        for at, (greater, less) in enumerate(_in_order(compared)):
            if cases[at] is greater:
                found[at] = Range(max(found[at].low, ranges.of(less).low), found[at].high)
            if cases[at] is less:
                found[at] = Range(found[at].low, min(found[at].high, ranges.of(greater).high))
    return _joined(found)


#: Which operand of a comparison is the greater one where it holds.
_GREATER = {"ge": 0, "gt": 0, "le": 1, "lt": 1}


def _in_order(comparison: Equation) -> tuple[tuple[Atom, Atom], tuple[Atom, Atom]]:
    """The operands, the greater one first: where the comparison does not hold, and where it does."""
    greater = _GREATER[comparison.primitive.name]
    one, other = comparison.inputs[greater], comparison.inputs[1 - greater]
    return (other, one), (one, other)


def _joined(found: Iterable[Range]) -> Range:
    lows, highs = zip(*found, strict=True)
    return Range(min(lows), max(highs))


def _negated(ranges: Ranges, equation: Equation) -> Range:
    low, high = ranges.of(equation.inputs[0])
    return Range(-high, -low)


def _sum(ranges: Ranges, equation: Equation) -> Range:
    x, y = map(ranges.of, equation.inputs)
    return Range(x.low + y.low, x.high + y.high)


def _difference(ranges: Ranges, equation: Equation) -> Range:
    x, y = map(ranges.of, equation.inputs)
    high = 0.0 if is_shifted(ranges.producer, equation) else x.high - y.low
    return Range(x.low - y.high, min(high, x.high - y.low))


def _product(ranges: Ranges, equation: Equation) -> Range:
    x, y = equation.inputs
    if x is y:
        return _power_of(ranges.of(x), 2)
    return _ends_of_product(ranges.of(x), ranges.of(y))


def _ends_of_product(x: Range, y: Range) -> Range:
    # Zero times a bound that is none is zero.
    ends = [0.0 if 0.0 in pair else pair[0] * pair[1] for pair in itertools.product(x, y)]
    return Range(min(ends), max(ends))


def _quotient(ranges: Ranges, equation: Equation) -> Range:
    x, y = map(ranges.of, equation.inputs)
    if y.low <= 0 <= y.high:  # by a negative zero the quotient of positive numbers is minus infinity
        return EVERYTHING
    return _ends_of_product(x, Range(1 / y.high, 1 / y.low))


def _integer_power(ranges: Ranges, equation: Equation) -> Range:
    return _power_of(ranges.of(equation.inputs[0]), equation.params["y"])


def _square(ranges: Ranges, equation: Equation) -> Range:
    return _power_of(ranges.of(equation.inputs[0]), 2)


def _power_of(x: Range, exponent: int) -> Range:
    if exponent < 0:
        return _NOT_NEGATIVE if exponent % 2 == 0 else EVERYTHING
    ends = [_limit(lambda end: float(end**exponent), end) for end in x]
    if exponent % 2:
        return Range(*ends)
    return Range(0.0 if x.low <= 0 <= x.high else min(ends), max(ends))


def _power(ranges: Ranges, equation: Equation) -> Range:
    base, exponent = map(ranges.of, equation.inputs)
    if base.low <= 0:
        return _NOT_NEGATIVE if base.low == 0 and exponent.low >= 0 else EVERYTHING
    ends = [_limit(lambda y, x=x: x**y, y) for x, y in itertools.product(base, exponent)]
    return Range(min(ends), max(ends))


def _absolute(ranges: Ranges, equation: Equation) -> Range:
    low, high = ranges.of(equation.inputs[0])
    return Range(0.0 if low <= 0 <= high else min(abs(low), abs(high)), max(abs(low), abs(high)))


def _reciprocal_root(ranges: Ranges, equation: Equation) -> Range:
    low, high = ranges.of(equation.inputs[0])
    if low <= 0:  # that of a negative zero is minus infinity
        return EVERYTHING
    return Range(1 / math.sqrt(high), 1 / math.sqrt(low))


def _greater(ranges: Ranges, equation: Equation) -> Range:
    x, y = map(ranges.of, equation.inputs)
    return Range(max(x.low, y.low), max(x.high, y.high))


def _less(ranges: Ranges, equation: Equation) -> Range:
    x, y = map(ranges.of, equation.inputs)
    return Range(min(x.low, y.low), min(x.high, y.high))


def _clamped(ranges: Ranges, equation: Equation) -> Range:
    least, x, most = map(ranges.of, equation.inputs)
    return Range(min(max(x.low, least.low), most.low), min(max(x.high, least.high), most.high))


def _rounded(ranges: Ranges, equation: Equation) -> Range:
    low, high = ranges.of(equation.inputs[0])
    return Range(low - 1, high + 1)


def _sum_of_entries(ranges: Ranges, equation: Equation) -> Range:
    (operand,), (result,) = equation.inputs, equation.outputs
    if not operand.aval.size:
        return Range(0.0, 0.0)
    low, high = ranges.of(operand)
    count = operand.aval.size // max(1, result.aval.size)
    if is_exponential_of_shifted(ranges.producer, operand, equation.params["axes"]):
        low = max(low, 1 / count)  # one of them is exp(0)
    return Range(count * low, count * high)


def _cumulative_sum(ranges: Ranges, equation: Equation) -> Range:
    low, high = ranges.of(equation.inputs[0])
    return Range(low if low >= 0 else -math.inf, high if high <= 0 else math.inf)


def _contraction(ranges: Ranges, equation: Equation) -> Range:
    """Sums of squares, and of what is not negative."""
    x, y = equation.inputs
    (of_x, of_y), (batch_x, batch_y) = equation.params["dimension_numbers"]
    ends = _ends_of_product(ranges.of(x), ranges.of(y))
    if ends.low >= 0:
        return _NOT_NEGATIVE
    same = x is y and tuple(of_x) == tuple(of_y) and tuple(batch_x) == tuple(batch_y)
    return _NOT_NEGATIVE if same and len(of_x) + len(batch_x) == x.aval.ndim else EVERYTHING


def _called(ranges: Ranges, equation: Equation) -> Range:
    program = inline(equation.params["call_jaxpr"])
    inputs = zip(program.inputs, map(ranges.of, equation.inputs), strict=True)
    return Ranges(program, dict(inputs)).of(program.outputs[0])


def _counted(ranges: Ranges, equation: Equation) -> Range:
    return Range(0.0, max(0.0, equation.params["shape"][equation.params["dimension"]] - 1.0))


_ONE_TO_ONE: Sequence[str] = """broadcast_in_dim convert_element_type copy copy_p cummax cummin device_put
    dynamic_slice expand_dims gather optimization_barrier reduce_max reduce_min reduce_precision reshape rev
    slice sharding_constraint squeeze stop_gradient transpose""".split()

_OF_RESULTS: dict[str, _OfResult] = {
    **dict.fromkeys(_ONE_TO_ONE, _first_operand),
    **dict.fromkeys(("eq", "ge", "gt", "is_finite", "le", "lt", "ne"), _within(0.0, 1.0)),
    "abs": _absolute,
    "add": _sum,
    "add_any": _sum,
    "atan": _within(-math.pi / 2, math.pi / 2),
    "ceil": _rounded,
    "clamp": _clamped,
    "concatenate": _any_operand,
    "cos": _within(-1.0, 1.0),
    "cumsum": _cumulative_sum,
    "custom_jvp_call": _called,
    "div": _quotient,
    "dynamic_update_slice": _updated,
    "dot_general": _contraction,
    "erf": _within(-1.0, 1.0),
    "erfc": _within(0.0, 2.0),
    "exp": _rising(math.exp),
    "exp2": _rising(lambda x: 2.0**x),
    "expm1": _rising(math.expm1),
    "floor": _rounded,
    "integer_pow": _integer_power,
    "iota": _counted,
    "log": _rising(math.log, 0.0),
    "log1p": _rising(math.log1p, -1.0),
    "logistic": _within(0.0, 1.0),
    "max": _greater,
    "min": _less,
    "mul": _product,
    "neg": _negated,
    "pad": _any_operand,
    "pow": _power,
    "reduce_sum": _sum_of_entries,
    "round": _rounded,
    "rsqrt": _reciprocal_root,
    "select_n": _selected,
    "sign": _within(-1.0, 1.0),
    "sin": _within(-1.0, 1.0),
    "sqrt": _rising(math.sqrt, 0.0),
    "square": _square,
    "sub": _difference,
    "tanh": _within(-1.0, 1.0),
}
