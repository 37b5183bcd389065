"""The operations that random programs are made of.

While a program is drawn, an interval is kept for each value. An operation is a candidate only where
its result stays within `LIMIT` and its operands stay `MARGIN` away from the edge of its domain
(logarithm, square root, quotient), so that values and derivatives stay tame in programs of any
length.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

LIMIT = 4.0
MARGIN = 0.25
MAX_SIZE = 24
"""Entries of the largest array."""

Shape = tuple[int, ...]
Interval = tuple[float, float]


class Value(NamedTuple):
    """What is known of a value before the program runs: its shape, and where its entries lie."""

    shape: Shape
    low: float
    high: float


class Choice(NamedTuple):
    """A candidate for the next operation, and the value that would come out."""

    fun: Callable[..., Any]
    result: Value


def pick(rng: np.random.Generator, items: Sequence[Any]) -> Any:
    """One of the items, all being equally likely."""
    return items[int(rng.integers(len(items)))]


def elementwise(rng: np.random.Generator, x: Value) -> Choice:
    """An elementwise operation on one value."""
    choices = [
        Choice(op.fun, Value(x.shape, *op.image(x.low, x.high)))
        for op in _ELEMENTWISE
        if op.least <= x.low and x.high <= op.most
    ]
    return pick(rng, [choice for choice in choices if _is_tame(choice)])


def arithmetic(rng: np.random.Generator, x: Value, y: Value) -> Choice:
    """A sum, difference, product or quotient of two values whose shapes broadcast."""
    tame = [choice for choice in _arithmetic(x, y) if _is_tame(choice)]
    return pick(rng, tame or _arithmetic(x, y)[:2])


def unary(rng: np.random.Generator, x: Value) -> Choice:
    """An operation on one array: elementwise half of the time, else a sum or a rearrangement."""
    choices = [choice for choice in _rearrangements(x) if _is_tame(choice)]
    if choices and rng.random() < 0.5:
        return pick(rng, choices)
    return elementwise(rng, x)


def binary(rng: np.random.Generator, x: Value, y: Value) -> Choice:
    """An operation on two arrays of any shapes: half of the time a product, where there is one."""
    products = [choice for choice in _products(x, y) if _is_tame(choice)]
    if products and rng.random() < 0.5:
        return pick(rng, products)
    others = _concatenations(x, y)
    if _broadcast_shape(x, y) is not None:
        others += _arithmetic(x, y)
    tame = [choice for choice in others if _is_tame(choice)]
    return pick(rng, tame or products or _with_mean(x, y))


class _Elementwise(NamedTuple):
    """An operation, the image of an interval under it, and where that interval may lie."""

    fun: Callable[..., Any]
    image: Callable[[float, float], Interval]
    least: float = -math.inf
    most: float = math.inf


def _monotone(fun: Callable[[float], float]) -> Callable[[float, float], Interval]:
    return lambda low, high: _hull([fun(low), fun(high)])


def _literal(fun: Callable[[Any], Any], least: float = -math.inf) -> _Elementwise:
    """A monotone operation with a literal, which means the same for arrays as for numbers."""
    return _Elementwise(fun, _monotone(fun), least)


def _wave(low: float, high: float) -> Interval:
    return -1.0, 1.0


def _square(low: float, high: float) -> Interval:
    return _hull([low**2, high**2, 0.0 if low < 0.0 < high else low**2])


def _hull(numbers: Sequence[float]) -> Interval:
    return min(numbers), max(numbers)


_ELEMENTWISE = (
    _Elementwise(jnp.sin, _wave),
    _Elementwise(jnp.cos, _wave),
    _Elementwise(jnp.tanh, _monotone(math.tanh)),
    _Elementwise(jax.nn.sigmoid, _monotone(lambda x: 0.5 + 0.5 * math.tanh(0.5 * x))),
    _Elementwise(jnp.exp, _monotone(math.exp), most=math.log(LIMIT)),
    _Elementwise(jnp.log, _monotone(math.log), least=MARGIN),
    _Elementwise(jnp.sqrt, _monotone(math.sqrt), least=MARGIN),
    _Elementwise(lambda x: x**2, _square),
    _literal(operator.neg),
    _literal(lambda x: 2.0 * x),
    _literal(lambda x: 0.5 * x),
    _literal(lambda x: x - 1.0),
    _literal(lambda x: 2.0 - x),
    _literal(lambda x: 1.0 / x, least=MARGIN),
)


def _is_tame(choice: Choice) -> bool:
    _, low, high = choice.result
    return math.prod(choice.result.shape) <= MAX_SIZE and -LIMIT <= low and high <= LIMIT


def _corners(fun: Callable[[float, float], float], x: Value, y: Value) -> Interval:
    """The image of two intervals under a function that is monotone in each argument."""
    return _hull([fun(a, b) for a, b in itertools.product(x[1:], y[1:])])


def _broadcast_shape(x: Value, y: Value) -> Shape | None:
    try:
        return np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return None


def _arithmetic(x: Value, y: Value) -> list[Choice]:
    """The sum and the difference first, because they alone are always safe."""
    shape = _broadcast_shape(x, y)
    assert shape is not None
    funs = [operator.add, operator.sub, operator.mul]
    if y.low >= MARGIN or y.high <= -MARGIN:
        funs.append(operator.truediv)
    return [Choice(fun, Value(shape, *_corners(fun, x, y))) for fun in funs]


def _with_mean(x: Value, y: Value) -> list[Choice]:
    """For shapes that nothing else joins: the array `x`, and the mean of the entries of `y`."""
    return [
        Choice(lambda x, y: x + jnp.mean(y), Value(x.shape, *_corners(operator.add, x, y))),
        Choice(lambda x, y: x - jnp.mean(y), Value(x.shape, *_corners(operator.sub, x, y))),
    ]


def _products(x: Value, y: Value) -> list[Choice]:
    low, high = _corners(operator.mul, x, y)
    choices = []
    if x.shape and y.shape and x.shape[-1] == y.shape[0]:
        length = y.shape[0]
        result = Value(x.shape[:-1] + y.shape[1:], length * low, length * high)
        choices.append(Choice(operator.matmul, result))
    if len(x.shape) == len(y.shape) == 1:
        outer = Value(x.shape + y.shape, low, high)
        choices.append(Choice(lambda x, y: x[:, None] * y[None, :], outer))
    return choices


def _concatenations(x: Value, y: Value) -> list[Choice]:
    choices = []
    low, high = _hull([*x[1:], *y[1:]])
    for axis in range(len(x.shape) if len(x.shape) == len(y.shape) else 0):
        before, after = x.shape[:axis], x.shape[axis + 1 :]
        if y.shape[:axis] == before and y.shape[axis + 1 :] == after:
            shape = (*before, x.shape[axis] + y.shape[axis], *after)
            fun = partial(_concatenate, axis=axis)
            choices.append(Choice(fun, Value(shape, low, high)))
    return choices


def _concatenate(x, y, axis):
    return jnp.concatenate([x, y], axis)


def _rearrangements(x: Value) -> list[Choice]:
    """Sums over an axis, slices, transposes, reshapes and broadcasts."""
    choices = []
    for axis, length in enumerate(x.shape):
        before, after = x.shape[:axis], x.shape[axis + 1 :]
        total = Value(before + after, length * x.low, length * x.high)
        choices.append(Choice(partial(jnp.sum, axis=axis), total))
        if length > 1:
            for part in (slice(1, None), slice(0, length - 1)):
                index = (slice(None),) * axis + (part,)
                shape = (*before, length - 1, *after)
                choices.append(Choice(operator.itemgetter(index), x._replace(shape=shape)))
    if len(x.shape) == 2:
        choices.append(Choice(jnp.transpose, x._replace(shape=x.shape[::-1])))
    size = math.prod(x.shape)
    rows = [rows for rows in range(2, size) if size % rows == 0]
    for shape in [(size,), *((n, size // n) for n in rows)]:
        if x.shape and shape != x.shape:
            choices.append(Choice(partial(jnp.reshape, shape=shape), x._replace(shape=shape)))
    for shape in [(2, *x.shape), (3, *x.shape)] if len(x.shape) < 2 else []:
        choices.append(Choice(partial(jnp.broadcast_to, shape=shape), x._replace(shape=shape)))
    return choices
