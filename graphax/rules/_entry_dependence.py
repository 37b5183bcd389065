"""Which entries of results depend on which columns at least, as structures have it.

Where nothing is known of a primitive, none of its entries need depend on anything.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .._trace import Equation
from ._elementwise import ELEMENTWISE

#: Of values with more derivatives it is not followed which entries depend on what.
_LARGE = 2**16


@dataclass(frozen=True, eq=False)
class Dependent:
    """On which columns the entries of a value depend at least.

    Attributes:
        on: for every entry, along the first axes, and every column, along the last.
    """

    on: np.ndarray

    @classmethod
    def on_nothing(cls, shape: Sequence[int], count: int) -> Dependent:
        """That of a value of which nothing is known, beside so many columns."""
        return cls(np.broadcast_to(np.False_, (*shape, count)))

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the value."""
        return self.on.shape[:-1]

    @property
    def count(self) -> int:
        """How many columns there are."""
        return self.on.shape[-1]

    @property
    def is_full(self) -> bool:
        """Whether all entries depend on all columns."""
        return bool(self.on.all())

    @property
    def in_every_step(self) -> Dependent:
        """That of a slice, whichever it is."""
        return Dependent(np.asarray(self.on.all(0)))

    def stacked(self, length: int) -> Dependent:
        """That of as many slices."""
        return Dependent(np.broadcast_to(self.on, (length, *self.on.shape)))

    def and_on(self, other: Dependent) -> Dependent:
        """That of a value that may be the one or the other."""
        return Dependent(self.on & other.on)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dependent) and np.array_equal(self.on, other.on)

    def __hash__(self) -> int:
        return hash(self.on.shape)


def dependent_entries(
    equation: Equation, shape: tuple[int, ...], operands: Sequence[Dependent | None]
) -> Dependent:
    """On which columns the entries of a result depend at least.

    Args:
        equation: the equation.
        shape: that of the result.
        operands: the same for the operands that the result depends on; None for the others.
    """
    count = next(operand.count for operand in operands if operand is not None)
    rule = _RULES.get(equation.primitive.name)
    if rule is None or math.prod(shape) * count > _LARGE:
        return Dependent.on_nothing(shape, count)
    given = [
        np.broadcast_to(np.False_, (*atom.aval.shape, count)) if operand is None else operand.on
        for atom, operand in zip(equation.inputs, operands, strict=True)
    ]
    return Dependent(np.broadcast_to(rule(equation, given), (*shape, count)))


_Given = Sequence[np.ndarray]
_Rule = Callable[[Equation, _Given], np.ndarray]


def _any(_: Equation, given: _Given) -> np.ndarray:
    return functools.reduce(np.logical_or, given)


def _all(first: int, end: int | None = None) -> _Rule:
    """That of entries of the one operand or the other, of some of the operands."""
    return lambda _, given: functools.reduce(np.logical_and, given[first:end])


def _of_some_entry(_: Equation, given: _Given) -> np.ndarray:
    return np.asarray(given[0].all(tuple(range(given[0].ndim - 1))))


def _of_all_entries(_: Equation, given: _Given) -> np.ndarray:
    return functools.reduce(np.logical_or, (np.asarray(on.any(tuple(range(on.ndim - 1)))) for on in given))


def _reshape(equation: Equation, given: _Given) -> np.ndarray:
    return given[0].reshape(*equation.outputs[0].aval.shape, given[0].shape[-1])


def _broadcast(equation: Equation, given: _Given) -> np.ndarray:
    params = equation.params
    expanded = [1] * len(params["shape"])
    for at, size in zip(params["broadcast_dimensions"], given[0].shape, strict=False):
        expanded[at] = size
    return np.broadcast_to(given[0].reshape(*expanded, -1), (*params["shape"], given[0].shape[-1]))


def _transpose(equation: Equation, given: _Given) -> np.ndarray:
    return given[0].transpose(*equation.params["permutation"], -1 % given[0].ndim)


def _rev(equation: Equation, given: _Given) -> np.ndarray:
    return np.flip(given[0], equation.params["dimensions"])


def _slice(equation: Equation, given: _Given) -> np.ndarray:
    params = equation.params
    starts, limits = params["start_indices"], params["limit_indices"]
    return given[0][tuple(map(slice, starts, limits, params["strides"] or [1] * len(starts)))]


def _concatenate(equation: Equation, given: _Given) -> np.ndarray:
    return np.concatenate(given, equation.params["dimension"])


def _sum(equation: Equation, given: _Given) -> np.ndarray:
    return np.asarray(given[0].any(tuple(equation.params["axes"])))


def _maximum(equation: Equation, given: _Given) -> np.ndarray:
    return np.asarray(given[0].all(tuple(equation.params["axes"])))


def _product(equation: Equation, given: _Given) -> np.ndarray:
    """Entries of a sum over products depend on all that is summed."""
    contracted, batched = equation.params["dimension_numbers"]
    parts, frees = [], []
    for on, axes, batch in zip(given, contracted, batched, strict=True):
        free = [at for at in range(on.ndim - 1) if at not in (*axes, *batch)]
        summed = np.asarray(np.any(on, axis=tuple(axes), keepdims=True))
        arranged = summed.transpose(*batch, *free, *axes, on.ndim - 1)
        sizes = arranged.shape
        parts.append(arranged.reshape(*sizes[: len(batch) + len(free)], sizes[-1]))
        frees.append(len(free))
    left, right = parts
    batch, count = left.shape[: len(batched[0])], left.shape[-1]
    left = left.reshape(*left.shape[:-1], *[1] * frees[1], count)
    right = right.reshape(*batch, *[1] * frees[0], *right.shape[len(batch) :])
    return left | right


#: All entries of a solution depend on all of the operands.
SOLUTIONS = frozenset(("custom_linear_solve", "lu", "triangular_solve", "tridiagonal_solve"))
_RULES: dict[str, _Rule] = {
    **dict.fromkeys(ELEMENTWISE, _any),
    **dict.fromkeys(SOLUTIONS, _of_all_entries),
    **dict.fromkeys(("expand_dims", "reshape", "squeeze"), _reshape),
    **dict.fromkeys(("max", "min", "clamp"), _all(0)),
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "cumsum": _any,
    "dot_general": _product,
    "dynamic_slice": _of_some_entry,
    "dynamic_update_slice": lambda equation, given: (
        _of_some_entry(equation, given) & _of_some_entry(equation, given[1:])
    ),
    "reduce_max": _maximum,
    "reduce_min": _maximum,
    "reduce_sum": _sum,
    "rev": _rev,
    "select_n": _all(1),
    "slice": _slice,
    "transpose": _transpose,
}
