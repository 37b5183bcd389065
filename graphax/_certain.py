"""What is certain of an array's entries by how a program makes it: zeros, and minus infinity.

A mask that weights are multiplied by, a triangle that is cut out, a matrix put together of diagonals, scores
of which some are minus infinity: the numbers depend on the inputs, but not that some of them are zero. As
elsewhere arguments count as finite, and a zero times anything else is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.core import Tracer

from ._known import KnownValues, by_numpy
from ._trace import Atom, Equation, Program, Variable, inline
from .sparse import met

#: What is certain of an entry: nothing; zero; minus infinity; something else that is not finite.
ANY, ZERO, LOWEST, ODD = range(4)

# From an equation, what is certain of its operands (an array of the shape of each), and what is known of
# their values, to what is certain of its results.
_Form = Callable[[Equation, Sequence[np.ndarray], Sequence[Any]], "np.ndarray | list[np.ndarray] | None"]

_FORMS: dict[str, _Form] = {}
#: What calls a program, whose results are its own.
_RULED = frozenset(("custom_jvp_call", "custom_vjp_call"))


def certain_of(value: np.ndarray) -> np.ndarray | None:
    """What is certain of the entries of an array whose value is known; None where none is of interest."""
    dtype = value.dtype
    if dtype.kind != "b" and not jax.numpy.issubdtype(dtype, np.number):
        return None
    found = np.asarray(_entrywise(value == 0))
    if jax.numpy.issubdtype(dtype, np.inexact):
        found[~np.isfinite(value)] = ODD
    if jax.numpy.issubdtype(dtype, np.floating):
        found[value == -np.inf] = LOWEST
    return found if found.any() else None


def always_certain(certain: np.ndarray | None) -> np.ndarray | None:
    """What is certain of every slice of an array along its first axis, from what is of the whole."""
    if certain is None or not len(certain):
        return None
    found = np.where((certain == certain[0]).all(0), certain[0], np.uint8(ANY))
    return found if found.any() else None


def _form(*names: str) -> Callable[[_Form], _Form]:
    def register(form: _Form) -> _Form:
        _FORMS.update(dict.fromkeys(names, form))
        return form

    return register


def _entrywise(zero: np.ndarray, lowest: np.ndarray | bool = False) -> np.ndarray:
    """Entries that are zero, or minus infinity."""
    return np.where(zero, np.uint8(ZERO), np.where(lowest, np.uint8(LOWEST), np.uint8(ANY)))


@_form("mul")
def _product(_: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    x, y = given
    return _entrywise(((x == ZERO) & (y <= ZERO)) | ((y == ZERO) & (x <= ZERO)))


@_form("div")
def _quotient(_: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    x, y = given
    return _entrywise((x == ZERO) & (y == ANY))


@_form("add", "add_any")
def _sum(_: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    x, y = given
    lowest = (x == LOWEST) | (y == LOWEST)
    return _entrywise((x == ZERO) & (y == ZERO), lowest & (x != ODD) & (y != ODD))


@_form("sub")
def _difference(_: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    x, y = given
    return _entrywise((x == ZERO) & (y == ZERO), (x == LOWEST) & (y <= ZERO))


@_form("max")
def _larger(_: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    x, y = given
    return _entrywise((x == ZERO) & (y == ZERO), (x == LOWEST) & (y == LOWEST))


@_form("min")
def _smaller(_: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    x, y = given
    lowest = (x == LOWEST) | (y == LOWEST)
    return _entrywise((x == ZERO) & (y == ZERO), lowest & (x != ODD) & (y != ODD))


@_form("exp", "exp2", "logistic")
def _exponential(_: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    return _entrywise(given[0] == LOWEST)


@_form(
    *"""abs asin asinh atan atanh cbrt ceil conj erf erf_inv expm1 floor imag log1p neg real round sign sin
    sinh sqrt square tan tanh""".split()
)
def _zero_at_zero(_: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    return _entrywise(given[0] == ZERO)


@_form("complex")
def _of_parts(_: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    return _entrywise((given[0] == ZERO) & (given[1] == ZERO))


@_form("integer_pow")
def _whole_power(equation: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray | None:
    return _entrywise(given[0] == ZERO) if equation.params["y"] > 0 else None


@_form("pow")
def _power(_: Equation, given: Sequence[np.ndarray], values: Sequence[Any]) -> np.ndarray | None:
    return None if values[1] is None else _entrywise((given[0] == ZERO) & (np.real(values[1]) > 0))


@_form(
    *"""copy copy_p device_put layout_constraint name optimization_barrier pvary reduce_precision reshard
    sharding_constraint stop_gradient""".split()
)
def _same(_: Equation, given: Sequence[np.ndarray], __: Any) -> list[np.ndarray]:
    return list(given)


@_form("convert_element_type")
def _convert(equation: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    floating = jax.numpy.issubdtype(equation.outputs[0].aval.dtype, np.floating)
    return given[0] if floating else _entrywise(given[0] == ZERO)


@_form("select_n")
def _selection(_: Equation, given: Sequence[np.ndarray], values: Sequence[Any]) -> np.ndarray:
    cases = np.stack(given[1:])
    if values[0] is None:
        return np.where((cases == cases[0]).all(0), cases[0], np.uint8(ANY))
    which = np.broadcast_to(np.asarray(values[0], np.intp), cases.shape[1:])
    return np.take_along_axis(cases, which[None], 0)[0]


@_form("broadcast_in_dim", "concatenate")
def _by_numpy(equation: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray | None:
    return by_numpy(equation, given)


@_form("expand_dims", "reshape", "squeeze")
def _reshaped(equation: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    array, order = given[0], equation.params.get("dimensions")
    if equation.primitive.name == "reshape" and order is not None:
        array = array.transpose(order)
    return array.reshape(equation.outputs[0].aval.shape)


@_form("stack")
def _stacked(equation: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    return np.stack(given, equation.params["axis"])


@_form("unstack")
def _unstacked(equation: Equation, given: Sequence[np.ndarray], __: Any) -> list[np.ndarray]:
    return list(np.moveaxis(given[0], equation.params["axis"], 0))


@_form("split")
def _split(equation: Equation, given: Sequence[np.ndarray], __: Any) -> list[np.ndarray]:
    ends = np.cumsum(equation.params["sizes"])
    return np.split(given[0], ends[:-1], equation.params["axis"])


@_form("tile")
def _tiled(equation: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    return np.tile(given[0], equation.params["reps"])


@_form("transpose")
def _transposed(equation: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    return given[0].transpose(equation.params["permutation"])


@_form("rev")
def _reversed(equation: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    return np.flip(given[0], equation.params["dimensions"])


@_form("slice")
def _slice(equation: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    starts, limits = equation.params["start_indices"], equation.params["limit_indices"]
    strides = equation.params["strides"] or (1,) * len(starts)
    return given[0][tuple(map(slice, starts, limits, strides))]


@_form("pad")
def _padded(equation: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    array, filling = given
    found = np.full(equation.outputs[0].aval.shape, filling, np.uint8)
    places, kept = [], []
    for size, whole, (low, _, between) in zip(
        array.shape, found.shape, equation.params["padding_config"], strict=True
    ):
        at = low + (between + 1) * np.arange(size)
        kept.append(np.flatnonzero((at >= 0) & (at < whole)))
        places.append(at[kept[-1]])
    found[np.ix_(*places)] = array[np.ix_(*kept)]
    return found


@_form("reduce_sum")
def _total(equation: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    (array,), axes = given, tuple(equation.params["axes"])
    lowest = (array == LOWEST).any(axes) & ~(array == ODD).any(axes)
    return _entrywise((array == ZERO).all(axes), lowest)


@_form("reduce_max", "reduce_min")
def _extreme(equation: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    (array,), axes = given, tuple(equation.params["axes"])
    return _entrywise((array == ZERO).all(axes), (array == LOWEST).all(axes))


@_form("cumsum")
def _running_total(equation: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray:
    axis, zero = equation.params["axis"], given[0] == ZERO
    if equation.params["reverse"]:
        return _entrywise(np.flip(np.logical_and.accumulate(np.flip(zero, axis), axis), axis))
    return _entrywise(np.logical_and.accumulate(zero, axis))


@_form("dot_general")
def _contraction(equation: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray | None:
    if any((array > ZERO).any() for array in given):
        return None
    (contract, batch), (x, y) = equation.params["dimension_numbers"], given
    left, right = list(range(x.ndim)), list(range(x.ndim, x.ndim + y.ndim))
    for ours, theirs in (contract, batch):
        for at, other in zip(ours, theirs, strict=True):
            right[other] = left[at]
    out = [left[axis] for axis in batch[0]]
    out += [label for axis, label in enumerate(left) if axis not in (*batch[0], *contract[0])]
    out += [label for axis, label in enumerate(right) if axis not in (*batch[1], *contract[1])]
    return _entrywise(~met(x != ZERO, left, y != ZERO, right, out))


@_form("cholesky")
def _lower_factor(equation: Equation, _: Any, __: Any) -> np.ndarray:
    return _triangle(equation.outputs[0].aval.shape)


@_form("qr")
def _upper_factor(equation: Equation, _: Any, __: Any) -> list[np.ndarray]:
    orthogonal, upper = (output.aval.shape for output in equation.outputs[:2])
    found = np.zeros(orthogonal, np.uint8), _triangle((*upper[:-2], upper[-1], upper[-2])).swapaxes(-1, -2)
    return [*found, *(np.zeros(output.aval.shape, np.uint8) for output in equation.outputs[2:])]


def _triangle(shape: Sequence[int]) -> np.ndarray:
    """Matrices of this shape that are lower triangles."""
    return np.broadcast_to(_entrywise(~np.tri(*shape[-2:], dtype=bool)), shape)


@_form("triangular_solve")
def _substitution(equation: Equation, given: Sequence[np.ndarray], __: Any) -> np.ndarray | None:
    params, right = equation.params, given[1]
    if (right > ZERO).any():
        return None
    lower = np.tri(given[0].shape[-1], dtype=bool)
    inverse = lower if params["lower"] != params["transpose_a"] else lower.T
    axes = list(range(right.ndim))
    row, column = axes[-2:]
    if params["left_side"]:
        return _entrywise(~met(inverse, [row, -1], right != ZERO, [*axes[:-2], -1, column], axes))
    return _entrywise(~met(right != ZERO, [*axes[:-2], row, -1], inverse, [-1, column], axes))


@_form("dynamic_slice", "dynamic_update_slice", "gather")
def _taken(equation: Equation, given: Sequence[np.ndarray], values: Sequence[Any]) -> np.ndarray | None:
    """Entries at indices that are known: JAX itself moves what is certain of them."""
    moved = 2 if equation.primitive.name == "dynamic_update_slice" else 1
    if any(value is None for value in values[moved:]) or equation.params.get("fill_value") is not None:
        return None
    with jax.ensure_compile_time_eval():
        found = np.asarray(equation.evaluate([*given[:moved], *values[moved:]])[0])
    return np.where(found > ODD, np.uint8(ANY), found)  # what a gather fills in is no number of these


@_form("scatter", "scatter-add")
def _scattered(equation: Equation, given: Sequence[np.ndarray], values: Sequence[Any]) -> np.ndarray | None:
    operand, _, updates = given
    params = equation.params
    if values[1] is None:
        return None

    def count(which: np.ndarray) -> np.ndarray:
        with jax.ensure_compile_time_eval():
            numbers = lax.scatter_add(
                np.zeros(operand.shape, np.int32),
                values[1],
                np.asarray(which, np.int32),
                params["dimension_numbers"],
                mode=params["mode"],
            )
        return np.asarray(numbers)

    numbers = count(updates != ZERO)
    if equation.primitive.name == "scatter-add":
        return np.where(numbers == 0, operand, np.uint8(ANY))
    written = count(np.ones_like(updates))
    replaced = _entrywise(numbers == 0, count(updates != LOWEST) == 0)
    return np.where(written == 0, operand, replaced)


class Certain:
    """What is certain of the entries of a program's variables, worked out when asked for.

    Args:
        program: the program.
        known: its values that depend on no input.
        inputs: for every input what is certain of it, or None; of none if left out.
    """

    def __init__(
        self, program: Program, known: KnownValues, inputs: Sequence[np.ndarray | None] | None = None
    ) -> None:
        self._program, self._known = program, known
        self._found: dict[Atom, np.ndarray | None] = dict(
            zip(program.inputs, inputs or [None] * len(program.inputs), strict=True)
        )
        # Of what is being traced nothing is certain.
        traced = [variable for variable, value in program.constants if isinstance(value, Tracer)]
        self._found.update(dict.fromkeys(traced))

    @cached_property
    def _definitions(self) -> dict[Variable, Equation]:
        return {output: equation for equation in self._program.equations for output in equation.outputs}

    def __call__(self, atom: Atom) -> np.ndarray | None:
        """What is certain of the entries of an atom: an array of its shape; None where nothing is."""
        pending = [atom]
        while pending:  # a stack of our own: programs may be longer than Python's is deep
            current = pending[-1]
            if current in self._found:
                pending.pop()
                continue
            value = self._known(current)
            if value is not None:
                self._found[current] = certain_of(value)
                continue
            assert isinstance(current, Variable)
            equation = self._definitions[current]
            missing = [other for other in equation.inputs if other not in self._found]
            if missing and (equation.primitive.name in _FORMS or equation.primitive.name in _RULED):
                pending += missing
            else:
                self._found.update(zip(equation.outputs, self._of_results(equation), strict=True))
        return self._found[atom]

    def _of_results(self, equation: Equation) -> list[np.ndarray | None]:
        """What is certain of the results of an equation, from what is of its operands."""
        name, count = equation.primitive.name, len(equation.outputs)
        given = [self._found.get(atom) for atom in equation.inputs]
        if name in _RULED:
            return self._of_program(inline(equation.params["call_jaxpr"]), equation)
        form = _FORMS.get(name)
        if form is None or (name not in ("cholesky", "qr") and all(one is None for one in given)):
            return [None] * count
        whole = [
            np.broadcast_to(np.uint8(ANY), atom.aval.shape) if one is None else one
            for atom, one in zip(equation.inputs, given, strict=True)
        ]
        found = form(equation, whole, [self._known(atom) for atom in equation.inputs])
        results = found if isinstance(found, list) else [found]
        return [
            None if result is None or not result.any() else np.broadcast_to(result, output.aval.shape)
            for output, result in zip(equation.outputs, results, strict=True)
        ]

    def _of_program(self, program: Program, equation: Equation) -> list[np.ndarray | None]:
        inner = Certain(program, KnownValues(program), [self._found[atom] for atom in equation.inputs])
        return [inner(atom) for atom in program.outputs]
