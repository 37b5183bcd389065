"""Complex entries, from a Jacobian in which complex arrays are real ones with a last dimension of size 2."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from jax import lax

from ._block import Block, unit_block
from ._holes import numbers_of, support_of, with_support
from ._scaled import Scaled, numeric
from ._steps import Value
from ._structure import label_dims
from ._term import Digit


def complex_entries(block: Block, of_output: bool, of_input: bool) -> Block:
    """The Jacobian between arrays of which one is complex, or both.

    Of a real array by a complex one ``a + ib`` it is ``d/da - i d/db``. Where both are complex the function
    is holomorphic, and known by its derivative along the real axis.

    Args:
        block: between the real forms of the two.
        of_output, of_input: which of them is complex.
    """
    sides = [block if not of_output else _part(block.out_shape[:-1], part).compose(block) for part in (0, 1)]
    if of_input:
        shape = block.in_shape[:-1]
        parts = (0, 0) if of_output else (0, 1)
        sides = [side.compose(_part(shape, part).T) for side, part in zip(sides, parts, strict=True)]
    real, imaginary = sides
    return _times(real, 1.0).plus(_times(imaginary, 1j if of_output else -1j))


@functools.lru_cache(maxsize=256)
def _part(shape: tuple[int, ...], part: int) -> Block:
    """The Jacobian of the real or the imaginary part, by the real form of a complex array."""
    dims, sizes = label_dims(shape)
    return unit_block(dims, [*dims, [Digit(2, (), part)]], sizes)


def _times(block: Block, number: complex) -> Block:
    """A real block with complex entries, times 1, i or -i."""
    return block.with_values(lambda value: _value_times(value, number))


def _value_times(value: Scaled, number: complex) -> Scaled:
    array, scale = value
    if array is None:
        return Scaled(None, scale * number if number.imag else scale)
    return Scaled(with_support(_array_times(numeric(numbers_of(array)), number), support_of(array)), scale)


def _array_times(array: Value, number: complex) -> Any:
    if isinstance(array, np.ndarray):
        return array * number
    zero = lax.full_like(array, 0)
    if not number.imag:
        return lax.complex(array, zero)
    return lax.complex(zero, array if number.imag > 0 else lax.neg(array))
