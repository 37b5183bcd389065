"""Small programs that tell what a device takes for the parts of programs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class Probe(NamedTuple):
    """A program to be timed.

    Attributes:
        fun: a function of arrays.
        args: its arguments, of 32 bits.
    """

    fun: Callable[..., Any]
    args: tuple[Any, ...]


def probes() -> Iterator[Probe]:
    """Programs in each of which something takes most of the time; those that matter most come first."""
    yield Probe(lambda x: x + 1, (_drawn(16),))
    yield Probe(_polynomial(10), (_drawn(100),))
    yield Probe(lambda x: [x * k for k in range(30)], (_drawn(16),))
    for size, length in ((3, 27), (40, 20), (300, 2)):
        yield Probe(_products(length), (_drawn(size, size), _drawn(size)))
        yield Probe(_products(length), (_drawn(size, size), _drawn(size, size)))
    yield Probe(_branching(40), (_drawn(8, 8), _drawn(8)))
    for size in (40, 45):  # too little to be divided among threads, and enough
        yield Probe(_polynomial(8), (_drawn(size, 50),))
    for count in (6, 20):  # few kernels that are ready at the same time, and many
        yield Probe(_side_by_side(count), (_drawn(200),))
        yield Probe(_steps(200, lambda x: x * 0.9 + 0.1, stacked=count), (_drawn(400),))
    yield Probe(lambda x: sum(jnp.pad(x, ((0, 0), (k, 9 - k))) for k in range(10)), (_drawn(2000, 4),))
    yield Probe(lambda x: jnp.concatenate([x * k for k in range(5)], 1), (_drawn(5000, 4),))
    yield Probe(_joined, (_drawn(10_000, 4),))
    yield Probe(_assembled, (_drawn(4000, 6),))
    for shapes in (((4000, 3, 3), (4000, 3, 1)), ((1000, 8, 8), (1000, 8, 8)), ((200, 64, 64), (200, 64, 1))):
        yield Probe(jnp.matmul, (_drawn(*shapes[0]), _drawn(*shapes[1])))
    yield Probe(jnp.matmul, (_drawn(4096, 16), _drawn(16, 16)))
    size = 100_000
    yield Probe(_polynomial(2), (_drawn(size),))
    yield Probe(_polynomial(60), (_drawn(size),))
    yield Probe(_divisions, (_drawn(size),))
    yield Probe(lambda x: jnp.tanh(jnp.exp(-x)) + jnp.log(x) * jnp.sin(x), (_drawn(size),))
    yield Probe(_reversals, (_drawn(size),))
    yield Probe(lambda x: x[:, None] * x[None, :300], (_drawn(size // 10),))
    yield Probe(lambda x: x - x.sum(), (_drawn(size),))
    yield Probe(lambda x: jnp.cumsum(x), (_drawn(size),))
    yield Probe(lambda x, places: x[places] * 2, (_drawn(size), _places(size)))
    yield Probe(lambda x, places: x.at[places].add(x), (_drawn(size), _places(size)))
    yield Probe(lambda x: jnp.sort(x), (_drawn(size),))
    yield Probe(lambda x: jnp.sum(x.reshape(-1, 20) ** 2, 1), (_drawn(size),))
    yield Probe(lambda x: jnp.sum(x.reshape(-1, 20) ** 2, 0), (_drawn(size),))
    yield Probe(lambda x: jnp.sum(_polynomial(30)(x.reshape(-1, 20)), 1), (_drawn(100_000),))
    yield Probe(lambda x: jnp.sum(x.reshape(-1, 2, 2), 1), (_drawn(100_000),))
    yield Probe(lambda x: jnp.sum(x.reshape(-1, 3), 1), (_drawn(30_000),))
    yield Probe(_steps(500, lambda x: x * 0.9 + 0.1), (_drawn(8),))
    for size in (6, 20):
        yield Probe(_steps(200, _several_products), (_drawn(size, size),))
    for size in (10, 100):
        yield Probe(_steps(200, _several_sums), (_drawn(size),))
    yield Probe(_steps(200, lambda x: x * 0.9 + 0.1), (_drawn(400),))
    yield Probe(_steps(200, lambda x: (x - x[::-1] * x.sum()) * 0.1), (_drawn(400),))
    yield Probe(_steps(200, _either), (_drawn(400),))
    for size in (4, 60):
        matrix = np.asarray(_drawn(size, size)) + size * np.eye(size, dtype=np.float32)
        yield Probe(jnp.linalg.solve, (jnp.asarray(matrix), _drawn(size)))
        yield Probe(jnp.linalg.cholesky, (jnp.asarray(matrix + matrix.T),))
    many = np.asarray(_drawn(1000, 4, 4)) + 4 * np.eye(4, dtype=np.float32)
    yield Probe(jnp.linalg.solve, (jnp.asarray(many), _drawn(1000, 4, 1)))
    for size in (64, 4096):
        yield Probe(lambda x: jnp.abs(jnp.fft.fft(x)), (_drawn(size),))
    yield Probe(_convolved, (_drawn(2, 4, 20, 20), _drawn(8, 4, 3, 3)))
    yield Probe(_convolved, (_drawn(4, 16, 32, 32), _drawn(16, 16, 3, 3)))


def wide_probes() -> tuple[Probe, Probe]:
    """A program that computes, on numbers of 32 bits, and the same on numbers of 64 bits."""

    def fun(x: jax.Array) -> jax.Array:
        return _polynomial(40)(x @ x * 0.01)

    narrow = _drawn(200, 200)
    with jax.enable_x64(True):
        return Probe(fun, (narrow,)), Probe(fun, (jnp.asarray(narrow, "float64"),))


def _drawn(*shape: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).uniform(0.1, 0.9, shape), "float32")


def _places(size: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(1).permutation(size), "int32")


def _polynomial(degree: int) -> Callable[..., Any]:
    def fun(x: jax.Array) -> jax.Array:
        total = x
        for _ in range(degree):
            total = total * x + x
        return total

    return fun


def _products(length: int) -> Callable[..., Any]:
    def fun(matrix: jax.Array, x: jax.Array) -> jax.Array:
        for _ in range(length):
            x = matrix @ x
        return x

    return fun


def _branching(length: int) -> Callable[..., Any]:
    def fun(matrix: jax.Array, x: jax.Array) -> jax.Array:
        total = x.sum()
        for _ in range(length):
            x = matrix @ x
            total += jnp.tanh(x) @ (x * 2)
        return total

    return fun


def _joined(x: jax.Array) -> jax.Array:
    left, right = _polynomial(10)(x), _polynomial(10)(x * 2)
    return jnp.concatenate([left * right, left + right], 1)


def _assembled(x: jax.Array) -> jax.Array:
    """Columns of products put together by sums of padded ones, as Jacobians are."""
    columns = [x[:, k : k + 1] for k in range(6)]
    shared = columns[0] * columns[1] + columns[2]
    parts = [
        shared * y - z * x
        for x, y, z in zip(columns, columns[1:] + columns[:1], columns[2:] + columns[:2], strict=True)
    ]
    rows = [jnp.pad(part, ((0, 0), (k, 5 - k))) for k, part in enumerate(parts)]
    return functools.reduce(jnp.add, rows) * functools.reduce(jnp.add, reversed(rows))


def _divisions(x: jax.Array) -> jax.Array:
    total = x
    for _ in range(20):
        total = x / (total + 1)
    return total


def _reversals(x: jax.Array) -> jax.Array:
    rows = x.reshape(-1, 10)
    return (rows.T * 2).reshape(-1, 10)[::-1].T + 1


def _side_by_side(count: int) -> Callable[..., Any]:
    def fun(x: jax.Array) -> jax.Array:
        start = jnp.tanh(x)
        return sum((jnp.dot(start * k, start + k) for k in range(count)), start)

    return fun


def _steps(length: int, step: Callable[..., Any], stacked: int = 0) -> Callable[..., Any]:
    def carried(x: jax.Array, _: None) -> tuple[jax.Array, list[jax.Array]]:
        x = step(x)
        return x, [x[0], *(x * k for k in range(stacked))]

    return lambda x: lax.scan(carried, x, None, length)


def _several_products(x: jax.Array) -> jax.Array:
    vector = x[0]
    for _ in range(10):
        vector = x @ vector
    return x + vector


def _several_sums(x: jax.Array) -> jax.Array:
    for _ in range(10):
        x = jnp.tanh(x - 0.1 * x.sum())
    return x


def _either(x: jax.Array) -> jax.Array:
    return lax.cond(x[0] > 0.5, lambda x: x[::-1] * 0.9, lambda x: x[::-1] * 1.1, x)


def _convolved(images: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv(images, kernel, (1, 1), "SAME")
