"""What is certain of entries that a primitive makes, from what is of those that it takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

from ._known import by_numpy
from ._trace import Atom, Equation
from .sparse import met

#: What is certain of an entry: nothing; zero; minus infinity; something else that is not finite.
ANY, ZERO, LOWEST, ODD = range(4)

# From an equation, what is certain of its operands (an array of the shape of each), and the value of an
# operand by its position, where that is known, to what is certain of its results.
_Read = Callable[[int], "np.ndarray | None"]
_Form = Callable[[Equation, Sequence[np.ndarray], _Read], "np.ndarray | list[np.ndarray] | None"]

FORMS: dict[str, _Form] = {}


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
        FORMS.update(dict.fromkeys(names, form))
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
def _power(_: Equation, given: Sequence[np.ndarray], read: _Read) -> np.ndarray | None:
    power = read(1)
    return None if power is None else _entrywise((given[0] == ZERO) & (np.real(power) > 0))


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
def _selection(_: Equation, given: Sequence[np.ndarray], read: _Read) -> np.ndarray:
    cases, which = np.stack(given[1:]), read(0)
    if which is None:
        return np.where((cases == cases[0]).all(0), cases[0], np.uint8(ANY))
    which = np.broadcast_to(which.astype(np.intp), cases.shape[1:])
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
def _taken(equation: Equation, given: Sequence[np.ndarray], read: _Read) -> np.ndarray | None:
    """Entries at indices that are known: JAX itself moves what is certain of them."""
    moved = MOVED[equation.primitive.name]
    indices = [read(at) for at in range(len(moved), len(given))]
    if any(index is None for index in indices) or equation.params.get("fill_value") is not None:
        return None
    with jax.ensure_compile_time_eval():
        found = np.asarray(equation.evaluate([*given[: len(moved)], *indices])[0])
    return np.where(found > ODD, np.uint8(ANY), found)  # what a gather fills in is no number of these


@_form("scatter", "scatter-add")
def _scattered(equation: Equation, given: Sequence[np.ndarray], read: _Read) -> np.ndarray | None:
    (operand, _, updates), params, indices = given, equation.params, read(1)
    if indices is None:
        return None

    def count(which: np.ndarray) -> np.ndarray:
        with jax.ensure_compile_time_eval():
            numbers = lax.scatter_add(
                np.zeros(operand.shape, np.int32),
                indices,
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


#: Which operands are moved by the others, that is, whose entries are in the result.
MOVED = {
    "dynamic_slice": (0,),
    "dynamic_update_slice": (0, 1),
    "gather": (0,),
    "scatter": (0, 2),
    "scatter-add": (0, 2),
    "scatter-sub": (0, 2),
}


def carriers(equation: Equation) -> Sequence[Atom]:
    """The operands of which it matters what is certain of them."""
    name, inputs = equation.primitive.name, equation.inputs
    if name == "select_n":
        return inputs[1:]
    return [inputs[at] for at in MOVED[name]] if name in MOVED else inputs
