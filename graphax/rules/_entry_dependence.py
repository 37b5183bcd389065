"""Which entries of results depend on which columns, as structures have it: at least, and at most.

Where nothing is known of a primitive, its entries need not depend on anything, and may depend on all that
its operands do.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._trace import Equation
from ._elementwise import ELEMENTWISE

#: Of values with more derivatives it is not followed which entries depend on what.
_LARGE = 2**16


@dataclass(frozen=True, eq=False)
class Dependent:
    """On which columns the entries of a value depend.

    Attributes:
        on: for every entry, along the first axes, and every column, along the last.
    """

    on: np.ndarray

    @classmethod
    def throughout(cls, shape: Sequence[int], count: int, on: Any) -> Dependent:
        """That of a value whose entries are all alike, beside so many columns."""
        if isinstance(on, np.ndarray):
            return cls(np.broadcast_to(on, (*shape, count)))
        return _uniform((*shape, count), bool(on))

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
        return bool(self.on.all() if self._alike is None else self._alike)

    @property
    def is_empty(self) -> bool:
        """Whether no entry depends on any column."""
        return (~self).is_full

    @functools.cached_property
    def _alike(self) -> np.bool_ | None:
        """What holds of all entries, where they need not be looked at one by one."""
        return None if any(self.on.strides) or not self.on.size else self.on.flat[0]

    def of_some_slice(self, ways: Ways) -> Dependent:
        """That of a slice, whichever it is."""
        if self._alike is not None:
            return Dependent.throughout(self.shape[1:], self.count, self._alike)
        return Dependent(np.asarray(ways.reduce(self.on, 0)))

    def stacked(self, length: int) -> Dependent:
        """That of as many slices."""
        return Dependent(np.broadcast_to(self.on, (length, *self.on.shape)))

    def __invert__(self) -> Dependent:
        if self._alike is not None:
            return Dependent.throughout(self.shape, self.count, ~self._alike)
        return Dependent(~self.on)

    def __or__(self, other: Dependent) -> Dependent:
        for one, another in ((self, other), (other, self)):
            if one._alike is not None:
                return one if one._alike else another
        return Dependent(self.on | other.on)

    def __and__(self, other: Dependent) -> Dependent:
        return ~(~self | ~other)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dependent) and np.array_equal(self.on, other.on)

    def __hash__(self) -> int:
        return hash(self.on.shape)


@functools.lru_cache(1024)
def _uniform(shape: tuple[int, ...], on: bool) -> Dependent:
    return Dependent(np.broadcast_to(np.bool_(on), shape))


def dependent_entries(
    equation: Equation, place: int, operands: Sequence[Dependent | None], ways: Ways
) -> Dependent:
    """On which columns the entries of a result depend.

    Args:
        equation: the equation.
        place: that of the result among its results.
        operands: the same for the operands that the result depends on; None for the others.
        ways: ``AT_LEAST`` or ``AT_MOST``.
    """
    shape = equation.outputs[place].aval.shape
    count = next(operand.count for operand in operands if operand is not None)
    if math.prod(shape) * count > _LARGE:
        return Dependent.throughout(shape, count, ways is AT_MOST)
    rule = _RULES.get(equation.primitive.name)
    if rule is None:
        every = _of_all_entries(equation, [on.on for on in operands if on is not None], ways)
        return Dependent.throughout(shape, count, every & (ways is AT_MOST))
    given = [
        _uniform((*atom.aval.shape, count), False).on if operand is None else operand.on
        for atom, operand in zip(equation.inputs, operands, strict=True)
    ]
    found = rule(equation, given, ways)
    found = found if isinstance(found, np.ndarray) else found[place]
    return Dependent(found if found.shape == (*shape, count) else np.broadcast_to(found, (*shape, count)))


#: Where it is one of several values: at least on what all of them depend on, at most on what any does.
Ways = np.ufunc
AT_LEAST, AT_MOST = np.logical_and, np.logical_or

_Given = Sequence[np.ndarray]
_Rule = Callable[[Equation, _Given, Ways], np.ndarray | Sequence[np.ndarray]]


def _any(_: Equation, given: _Given, ways: Ways) -> np.ndarray:
    return functools.reduce(np.logical_or, given)


def _one_of(first: int, end: int | None = None) -> _Rule:
    """That of entries of the one operand or the other, of some of the operands."""
    return lambda _, given, ways: functools.reduce(ways, given[first:end])


def _of_some_entry(_: Equation, given: _Given, ways: Ways) -> np.ndarray:
    return np.asarray(ways.reduce(given[0], tuple(range(given[0].ndim - 1))))


def _of_all_entries(_: Equation, given: _Given, ways: Ways) -> np.ndarray:
    return functools.reduce(np.logical_or, (np.asarray(on.any(tuple(range(on.ndim - 1)))) for on in given))


def _placed(equation: Equation, given: _Given, ways: Ways) -> np.ndarray:
    return ways(_of_some_entry(equation, given, ways), _of_some_entry(equation, given[1:], ways))


def _reshape(equation: Equation, given: _Given, ways: Ways) -> np.ndarray:
    return given[0].reshape(*equation.outputs[0].aval.shape, given[0].shape[-1])


def _broadcast(equation: Equation, given: _Given, ways: Ways) -> np.ndarray:
    params = equation.params
    expanded = [1] * len(params["shape"])
    for at, size in zip(params["broadcast_dimensions"], given[0].shape, strict=False):
        expanded[at] = size
    return np.broadcast_to(given[0].reshape(*expanded, -1), (*params["shape"], given[0].shape[-1]))


def _transpose(equation: Equation, given: _Given, ways: Ways) -> np.ndarray:
    return given[0].transpose(*equation.params["permutation"], -1 % given[0].ndim)


def _rev(equation: Equation, given: _Given, ways: Ways) -> np.ndarray:
    return np.flip(given[0], equation.params["dimensions"])


def _slice(equation: Equation, given: _Given, ways: Ways) -> np.ndarray:
    params = equation.params
    starts, limits = params["start_indices"], params["limit_indices"]
    return given[0][tuple(map(slice, starts, limits, params["strides"] or [1] * len(starts)))]


def _split(equation: Equation, given: _Given, ways: Ways) -> Sequence[np.ndarray]:
    return np.split(given[0], np.cumsum(equation.params["sizes"])[:-1], equation.params["axis"])


def _stack(equation: Equation, given: _Given, ways: Ways) -> np.ndarray:
    return np.stack(given, equation.params["axis"])


def _unstack(equation: Equation, given: _Given, ways: Ways) -> Sequence[np.ndarray]:
    return list(np.moveaxis(given[0], equation.params["axis"], 0))


def _tile(equation: Equation, given: _Given, ways: Ways) -> np.ndarray:
    return np.tile(given[0], (*equation.params["reps"], 1))


def _pad(equation: Equation, given: _Given, ways: Ways) -> np.ndarray:
    config = equation.params["padding_config"]
    if any(between or low < 0 or high < 0 for low, high, between in config):
        return _of_all_entries(equation, given, ways) & (ways is AT_MOST)
    found = np.broadcast_to(given[1], (*equation.outputs[0].aval.shape, given[1].shape[-1])).copy()
    places = zip(config, given[0].shape, strict=False)
    found[tuple(slice(low, low + size) for (low, *_), size in places)] = given[0]
    return found


def _concatenate(equation: Equation, given: _Given, ways: Ways) -> np.ndarray:
    return np.concatenate(given, equation.params["dimension"])


def _sum(equation: Equation, given: _Given, ways: Ways) -> np.ndarray:
    return np.asarray(given[0].any(tuple(equation.params["axes"])))


def _cumulated(equation: Equation, given: _Given, ways: Ways) -> np.ndarray:
    axis, reverse = equation.params["axis"], equation.params["reverse"]
    flipped = np.flip(given[0], axis) if reverse else given[0]
    found = np.logical_or.accumulate(flipped, axis)
    return np.flip(found, axis) if reverse else found


def _maximum(equation: Equation, given: _Given, ways: Ways) -> np.ndarray:
    return np.asarray(ways.reduce(given[0], tuple(equation.params["axes"])))


def _product(equation: Equation, given: _Given, ways: Ways) -> np.ndarray:
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
    **dict.fromkeys(("max", "min", "clamp"), _one_of(0)),
    "broadcast_in_dim": _broadcast,
    "concatenate": _concatenate,
    "cumsum": _cumulated,
    "dot_general": _product,
    "dynamic_slice": _of_some_entry,
    "dynamic_update_slice": _placed,
    "reduce_max": _maximum,
    "reduce_min": _maximum,
    "reduce_sum": _sum,
    "pad": _pad,
    "rev": _rev,
    "select_n": _one_of(1),
    "slice": _slice,
    "split": _split,
    "stack": _stack,
    "tile": _tile,
    "transpose": _transpose,
    "unstack": _unstack,
}
