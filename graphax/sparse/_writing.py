"""The zeros of a term written out, and the places of its entries."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

from ._draft import Workspace
from ._holes import numbers_of, widened
from ._scaled import Scaled
from ._steps import Step, Value, reshape, run_steps, transpose
from ._term import Term


def densify(term: Term, value: Scaled, dtype: Any) -> jax.Array:
    """The array of a term, digit by digit."""
    return written_out(term, value.numbers(dtype))


def written_out(term: Term, value: Value) -> Value:
    """A value, which may be static, over a dimension for every digit, with zeros where there is no entry."""
    steps, shape, axes = _densification(term)
    array = transpose(numbers_of(run_steps(steps, value)), np.argsort(axes).tolist())
    over = [shape[at] if at in axes else 1 for at in range(len(shape))]
    return reshape(widened(reshape(array, over), shape), term.out_shape + term.in_shape)


@functools.lru_cache(maxsize=4096)
def _densification(term: Term) -> tuple[tuple[Step, ...], tuple[int, ...], tuple[int, ...]]:
    """What writes the zeros of a term out, the shape with a dimension for every digit, and the dimension of
    every axis of the value then."""
    space = Workspace()
    out, in_, operand = space.load(term)
    old = out.digits() + in_.digits()
    new = [space.new_label(digit.radix) for digit in old]
    space.write_out(operand, old, new)
    places = {label: at for at, label in enumerate(new)}
    shape = tuple(digit.radix for digit in old)
    return tuple(operand.steps), shape, tuple(places[label] for label in operand.axes)


@functools.lru_cache(maxsize=1024)
def term_places(term: Term) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the entries of a term, by the row-major positions of its labels."""
    space = Workspace()
    out, in_, _ = space.load(term)
    labels = range(len(term.sizes))
    return space.positions(out.digits(), labels), space.positions(in_.digits(), labels)
