"""What the equations of a program take, family by family."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ._constants import Constants
from ._flat import Equation, Value


class Work(NamedTuple):
    """What a device has to do.

    Attributes:
        nanoseconds: how long it takes.
        operations: how many floating-point operations it is, elementary functions aside.
        bytes: how many bytes are read and written.
        kernels: how many kernels are started.
        woken: how often it is likely to have other threads join.
    """

    nanoseconds: float = 0.0
    operations: float = 0.0
    bytes: float = 0.0
    kernels: float = 0.0
    woken: float = 0.0

    def plus(self, other: Work) -> Work:
        """Both, one after the other."""
        return Work(*map(operator.add, self, other))


Estimate = Callable[[Equation, Constants], Work]

_ESTIMATES: dict[str, Estimate] = {}


def register_estimate(names: str | Iterable[str], estimate: Estimate) -> None:
    """Say what primitives take that are a kernel of their own.

    Args:
        names: of the primitives.
        estimate: a function of an equation and the constants of a device.
    """
    for name in (names,) if isinstance(names, str) else names:
        _ESTIMATES[name] = estimate


# ---- what is fused: computed entry by entry within the kernel that reads it

#: Operations that are no work: where an entry is to be found is known.
_PLACED = frozenset(
    "reshape squeeze expand_dims broadcast_in_dim iota bitcast_convert_type slice split unstack full_like "
    "real imag complex".split()
)
#: What of these leaves the entries of an array where they are.
RENAMED = frozenset("reshape squeeze expand_dims bitcast_convert_type".split())
_MOVED = frozenset("transpose rev".split())
#: Entries that are computed in branches, each by itself.
CHOSEN = frozenset("pad concatenate stack".split())
_GATHERED = frozenset("gather dynamic_slice".split())
_DIVISIONS = frozenset("div rem sqrt".split())
#: How many times as long as others functions take whose arguments are reduced to a period first.
_PERIODIC = 2.5
_FUNCTIONS = frozenset(
    "exp exp2 log log1p expm1 sin cos tan asin acos atan atan2 sinh cosh tanh asinh acosh atanh logistic pow "
    "erf erfc erf_inv lgamma digamma cbrt rsqrt bessel_i0e bessel_i1e igamma igammac "
    "regularized_incomplete_beta random_bits threefry2x32 polygamma zeta".split()
)
_SIMPLE = frozenset(
    "add sub mul neg abs sign max min floor ceil round clamp select_n and or xor not eq ne lt le gt ge "
    "is_finite convert_element_type integer_pow square add_any conj nextafter shift_left "
    "shift_right_logical shift_right_arithmetic reduce_precision population_count clz copysign".split()
)
_FUSED = _PLACED | _MOVED | CHOSEN | _GATHERED | _DIVISIONS | _FUNCTIONS | _SIMPLE
_COUNTED = (_SIMPLE | _DIVISIONS | {"dot_general"}) - {"convert_element_type"}
#: Computed once, and written, if several kernels read it.
EXPENSIVE = _DIVISIONS | _FUNCTIONS
#: Arrays are chosen among by so many comparisons as long as a padded one takes.
_SEVERAL = 5


def is_fused(equation: Equation) -> bool:
    """Whether what reads the results computes them by itself."""
    if equation.name == "dot_general":  # without a sum
        (contracted, _), _ = equation.params["dimension_numbers"]
        return all(equation.inputs[0].shape[axis] == 1 for axis in contracted)
    return equation.name in _FUSED


def fused(equation: Equation, constants: Constants) -> float:
    """Nanoseconds that an equation takes within a kernel for an entry of its result."""
    name = equation.name
    if name in _PLACED:
        return 0.0
    if name in _MOVED:
        return constants.moved
    if name in CHOSEN:
        return constants.chosen * max(1.0, len(equation.inputs) / _SEVERAL)
    if name in _GATHERED:
        return constants.gathered
    each = constants.entry * _operations(equation)
    if name in _FUNCTIONS:
        each = constants.function * (_PERIODIC if name in ("sin", "cos", "tan") else 1)
    if name in _DIVISIONS:
        each = constants.division
    return each * width(equation.outputs[0], constants)


def operations(equation: Equation) -> int:
    """How many floating-point operations an equation is that is fused."""
    counted = equation.name in _COUNTED or _is_converted(equation)
    return equation.size * _operations(equation) if counted else 0


def functions(equation: Equation) -> int:
    """How many elementary functions an equation is that is fused."""
    return equation.size if equation.name in _FUNCTIONS else 0


def _is_converted(equation: Equation) -> bool:
    """Whether numbers become others of another type."""
    return equation.name == "convert_element_type" and equation.inputs[0].dtype != equation.outputs[0].dtype


def _operations(equation: Equation) -> int:
    """How many an entry takes."""
    if equation.name != "integer_pow":
        return 1
    return max(1, math.ceil(math.log2(max(1, abs(equation.params["y"])))))


def entries_read(equation: Equation, operand: Value, entries: float) -> float:
    """How many entries of an operand are computed for so many of the result."""
    name = equation.name
    if name in CHOSEN:
        return entries * min(1.0, operand.size / max(1, equation.size))
    if name == "broadcast_in_dim" and equation.outputs[0].shape:
        # What does not change along the last axis is computed once for all of it.
        last = len(equation.outputs[0].shape) - 1
        kept = equation.params["broadcast_dimensions"]
        if last not in kept or operand.shape[kept.index(last)] == 1:
            return max(operand.size, entries / max(1, equation.outputs[0].shape[last]))
    return entries


def width(value: Value, constants: Constants) -> float:
    """How many times as long operations on these numbers take as on those of 32 bits."""
    kind = getattr(value.dtype, "kind", "f")
    wide = constants.wide if value.itemsize == (16 if kind == "c" else 8) else 1
    return 3 * wide if kind == "c" else wide


def read(values: Iterable[Value], constants: Constants) -> Work:
    """What it takes to read arrays."""
    total = sum(value.size * value.itemsize for value in values)
    return Work(total * constants.byte, 0, total)


def written(values: Iterable[Value], constants: Constants) -> Work:
    """What it takes to write arrays."""
    time = total = 0.0
    for value in values:
        size = value.size * value.itemsize
        time += size * (constants.byte if size <= constants.fresh else constants.fresh_byte)
        total += size
    return Work(time, 0, total)


# ---- what is a kernel of its own


def of_kernel(equation: Equation, constants: Constants) -> Work:
    """What an equation takes that is a kernel of its own."""
    name = equation.name
    estimate = _ESTIMATES.get(name)
    if estimate is not None:
        return estimate(equation, constants)
    for prefix, other in _PREFIXES.items():
        if name.startswith(prefix):
            return other(equation, constants)
    return Work(constants.kernel + _entries(equation) * constants.moved + equation.size * constants.function)


def _entries(equation: Equation) -> int:
    """How many entries its operands have."""
    return sum(value.size for value in equation.inputs)


def _product(equation: Equation, constants: Constants) -> Work:
    (contracted, _), (batched, _) = equation.params["dimension_numbers"]
    left = equation.inputs[0].shape
    count = equation.size * math.prod(left[axis] for axis in contracted)
    batch = math.prod(left[axis] for axis in batched)
    wide = width(equation.outputs[0], constants)
    start = constants.kernel + constants.contraction
    if batch == 1 and _is_of_matrices(equation):
        start += constants.multiplication
    time = start + batch * constants.product + count * constants.multiply * wide
    passed = read(equation.inputs, constants).plus(written(equation.outputs, constants))
    return Work(time, 2 * count).plus(passed)


def _is_of_matrices(equation: Equation) -> bool:
    """Whether a product is one of two matrices, for which a library is called unless both are tiny."""
    (contracted, _), (batched, _) = equation.params["dimension_numbers"]
    inner = math.prod(equation.inputs[0].shape[axis] for axis in (*contracted, *batched))
    rows, columns = (value.size // max(1, inner) for value in equation.inputs[:2])
    return min(rows, columns) > 1 and max(rows, columns, inner) >= _NOT_TINY


#: Products with a side of so many entries are those of a library.
_NOT_TINY = 8


def _convolution(equation: Equation, constants: Constants) -> Work:
    kernel = equation.inputs[1]
    channels = kernel.shape[equation.params["dimension_numbers"].rhs_spec[0]]
    count = equation.size * kernel.size / max(1, channels)
    time = constants.kernel + count * constants.convolved * width(equation.outputs[0], constants)
    return Work(time, 2 * count)


def _reduction(equation: Equation, constants: Constants) -> Work:
    entries = _entries(equation)
    wide = width(equation.outputs[0], constants)
    time = constants.kernel + entries * wide * constants.reduced + equation.size * constants.sum
    return Work(time, max(0, entries - equation.size)).plus(written(equation.outputs, constants))


def _cumulation(equation: Equation, constants: Constants) -> Work:
    return Work(constants.kernel + _entries(equation) * constants.cumulated, equation.size)


def _scatter(equation: Equation, constants: Constants) -> Work:
    operand, indices, updates = equation.inputs[0], equation.inputs[1], equation.inputs[-1]
    places = indices.size // max(1, indices.shape[-1] if indices.shape else 1)
    time = 2 * constants.kernel + places * constants.scattered + updates.size * constants.moved
    return Work(time, updates.size).plus(read([operand], constants)).plus(written([operand], constants))


def _update_slice(equation: Equation, constants: Constants) -> Work:
    return Work(constants.kernel).plus(read(equation.inputs[1:2], constants))


def _sort(equation: Equation, constants: Constants) -> Work:
    entries = _entries(equation)
    dimension = equation.params.get("dimension", -1)
    length = max(2, equation.inputs[0].shape[dimension]) if equation.inputs[0].shape else 2
    return Work(constants.kernel + entries * math.log2(length) * constants.sorted, entries)


def _transform(equation: Equation, constants: Constants) -> Work:
    lengths = max(2, math.prod(equation.params["fft_lengths"]))
    size = max(equation.size, _entries(equation))
    batch = size // lengths
    doublings = size * math.log2(lengths)
    time = constants.library + batch * constants.matrix + doublings * constants.fourier
    return Work(time, 5 * doublings)


def _factorisation(equation: Equation, constants: Constants) -> Work:
    shape = equation.inputs[0].shape
    batch = math.prod(shape[:-2])
    count = max(equation.size, _entries(equation)) * (shape[-1] if shape else 1)
    wide = width(equation.inputs[0], constants)
    time = constants.library + batch * constants.matrix + count * constants.factored * wide
    return Work(time)


register_estimate("dot_general", _product)
register_estimate("conv_general_dilated", _convolution)
register_estimate("dynamic_update_slice", _update_slice)
register_estimate("sort", _sort)
register_estimate("top_k", _sort)
register_estimate("fft", _transform)
register_estimate(
    "lu cholesky triangular_solve eigh eig qr svd householder_product geqrf geqp3 hessenberg schur "
    "tridiagonal_solve tridiagonal lu_pivots_to_permutation".split(),
    _factorisation,
)
_PREFIXES: dict[str, Estimate] = {
    "scatter": _scatter,
    "reduce": _reduction,
    "arg": _reduction,
    "cum": _cumulation,
}
