"""Which values are others less their greatest entry, as in every softmax: exponentials are at most one."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import NamedTuple

from .._trace import Atom, Constant, Equation, Variable

_Producer = Callable[[Atom], Equation | None]


class _Maximum(NamedTuple):
    """A value whose entries are the greatest along some axes of another.

    Attributes:
        of: the other.
        axes: the axes.
        dims: for every axis of the value that of the other which it runs along; None where it does not vary.
    """

    of: Atom
    axes: Collection[int]
    dims: tuple[int | None, ...]


def is_shifted(producer: _Producer, equation: Equation) -> bool:
    """Whether an equation takes from a value its greatest entries, along some axes or all."""
    return _shifted_along(producer, equation) is not None


def is_exponential_of_shifted(producer: _Producer, atom: Atom, axes: Collection[int]) -> bool:
    """Whether a value is the exponential of one less its greatest entries along some of these axes."""
    exponential = producer(atom)
    if exponential is None or exponential.primitive.name != "exp":
        return False
    difference = producer(exponential.inputs[0])
    along = difference and _shifted_along(producer, difference)
    return along is not None and set(along) <= set(axes)


def _shifted_along(producer: _Producer, equation: Equation) -> Collection[int] | None:
    """The axes along which the greatest entries are taken from a value; None where that is not so."""
    if equation.primitive.name != "sub":
        return None
    value, less = equation.inputs
    maximum = _maximum(producer, less)
    if maximum is None or maximum.of is not _itself(producer, value):
        return None
    aligned = len(maximum.dims) in (0, value.aval.ndim) and all(
        dim in (None, at) for at, dim in enumerate(maximum.dims)
    )
    return maximum.axes if aligned else None


def _maximum(producer: _Producer, atom: Atom) -> _Maximum | None:
    """What a value is the maximum of."""
    equation = producer(atom)
    if equation is None:
        return None
    name, inputs = equation.primitive.name, equation.inputs
    if name == "reduce_max":
        axes = equation.params["axes"]
        dims = tuple(at for at in range(inputs[0].aval.ndim) if at not in axes)
        return _Maximum(_itself(producer, inputs[0]), axes, dims)
    if name == "max" and len(inputs) == 2:
        others = [x for x in inputs if not (isinstance(x, Constant) and x.value == -math.inf)]
        return _maximum(producer, others[0]) if len(others) == 1 else None
    if name == "select_n" and len(inputs) == 3:  # where it is finite, and it always is
        asked = producer(inputs[0])
        finite = asked is not None and asked.primitive.name == "is_finite" and asked.inputs[0] is inputs[2]
        return _maximum(producer, inputs[2]) if finite else None
    if name in ("stop_gradient", "copy", "optimization_barrier"):
        return _maximum(producer, inputs[0])
    found = _maximum(producer, inputs[0]) if name in _MOVES else None
    dims = found and _MOVES[name](equation, found.dims)
    return None if found is None or dims is None else found._replace(dims=dims)


def _broadcast(equation: Equation, dims: tuple[int | None, ...]) -> tuple[int | None, ...]:
    found: list[int | None] = [None] * len(equation.params["shape"])
    for at, dim in zip(equation.params["broadcast_dimensions"], dims, strict=True):
        found[at] = dim
    return tuple(found)


def _reshaped(equation: Equation, dims: tuple[int | None, ...]) -> tuple[int | None, ...] | None:
    """Axes of size 1 come and go."""
    before, after = equation.inputs[0].aval.shape, equation.outputs[0].aval.shape
    if [size for size in before if size != 1] != [size for size in after if size != 1]:
        return None
    kept = iter([dim for dim, size in zip(dims, before, strict=True) if size != 1])
    return tuple(None if size == 1 else next(kept) for size in after)


_MOVES: dict[str, Callable[[Equation, tuple[int | None, ...]], tuple[int | None, ...] | None]] = {
    "broadcast_in_dim": _broadcast,
    "expand_dims": _reshaped,
    "reshape": _reshaped,
    "squeeze": _reshaped,
}


def _itself(producer: _Producer, atom: Atom) -> Atom:
    """The value that an atom repeats."""
    equation = producer(atom)
    while isinstance(atom, Variable) and equation is not None and equation.primitive.name == "stop_gradient":
        atom = equation.inputs[0]
        equation = producer(atom)
    return atom
