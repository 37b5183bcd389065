"""A scalar program as one Pallas kernel for GPUs, which writes whole rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._program import Result, ScalarProgram
from ._scalars import KINDS

#: Rows of a block: a thread holds the scalars of one row.
_ROWS = 32
#: Columns that are written at once, by the bytes of a number; a row of no more is written in one tile.
_COLUMNS, _WHOLE = {1: 64, 4: 64, 8: 32}, {1: 128, 4: 128, 8: 64}
#: Of so few computed columns a tile is filled by selections; more of them are joined pairwise.
_FEW = 6


def call(
    program: ScalarProgram, batched: Sequence[bool], batch: int, *, interpret: bool = False
) -> Callable[..., list[Any]]:
    """The program over a batch, as a function of arrays.

    Args:
        program: what to compute.
        batched: for every operand whether it has an axis for the batch, the first.
        batch: the size of that axis.
        interpret: whether to run it step by step, on any device, for tests.

    Returns:
        a function of the operands that returns the results, each after an axis of the batch. Lowering it
        raises NotImplementedError or ValueError for operations that Triton has not.
    """
    from jax.experimental import pallas as pl  # noqa: PLC0415
    from jax.experimental.pallas import triton  # noqa: PLC0415

    results = [result for result in program.results if result.entries]

    def kernel(*refs: Any) -> None:
        operands, outs = refs[: len(program.operands)], refs[len(program.operands) :]
        rows = pl.program_id(0) * _ROWS + jnp.arange(_ROWS, dtype=jnp.int32)
        inside = rows < batch

        def read(operand: int, offset: int) -> Any:
            ref = operands[operand]
            if batched[operand]:
                return triton.load(ref.at[rows, offset], mask=inside)
            return triton.load(ref.at[jnp.full((_ROWS,), offset, jnp.int32)])

        values = _Values(program, read)
        for result, out in zip(results, outs, strict=True):
            for start, stop in _tiles(result):
                tile = _tile(program, values, result.entries[start:stop], result.kind)
                columns = jnp.arange(tile.shape[1], dtype=jnp.int32)
                written = inside[:, None] & (columns < stop - start)[None, :]
                triton.store(out.at[rows[:, None], start + columns[None, :]], tile, mask=written)

    types = [jax.ShapeDtypeStruct((batch, len(result.entries)), KINDS[result.kind]) for result in results]
    blocks = -(-batch // _ROWS)
    settings: dict[str, Any] = (
        {"interpret": True}
        if interpret
        else {"compiler_params": triton.CompilerParams(num_warps=1, num_stages=1)}
    )
    called = pl.pallas_call(kernel, grid=(blocks,), out_shape=types, **settings)

    def run(*arrays: Any) -> list[Any]:
        flat = [
            array.reshape(batch, -1) if has_batch else array.reshape(-1)
            for array, has_batch in zip(arrays, batched, strict=True)
        ]
        found = iter(called(*flat) if types else [])
        return [
            next(found).reshape(batch, *result.shape)
            if result.entries
            else jnp.zeros((batch, *result.shape), KINDS[result.kind])
            for result in program.results
        ]

    return run


def _tiles(result: Result) -> list[tuple[int, int]]:
    """Where the tiles of a row begin and end."""
    size = np.dtype(KINDS[result.kind]).itemsize
    count = len(result.entries)
    width = count if count <= _WHOLE[size] else _COLUMNS[size]
    return [(start, min(start + width, count)) for start in range(0, count, width)]


class _Values:
    """The values of instructions, for the rows of a block; each is worked out when it is first asked for."""

    def __init__(self, program: ScalarProgram, read: Callable[[int, int], Any]) -> None:
        self._program, self._read = program, read
        self._known: dict[int, Any] = {}

    def __call__(self, x: int) -> Any:
        pending = [x]
        while pending:
            y = pending[-1]
            if y in self._known:
                pending.pop()
                continue
            op, args, kind = self._program.ops[y], self._program.args[y], self._program.kinds[y]
            if op in ("input", "const"):
                pending.pop()
                self._known[y] = (
                    self._read(*args) if op == "input" else jnp.full((_ROWS,), args[0], KINDS[kind])
                )
                continue
            missing = [z for z in args if z not in self._known]
            if missing:
                pending.extend(reversed(missing))
                continue
            pending.pop()
            self._known[y] = _apply(op, [self._known[z] for z in args], kind)
        return self._known[x]


def _tile(program: ScalarProgram, values: _Values, entries: Sequence[int], kind: str) -> Any:
    """The entries as columns, as many as the next power of two."""
    width = 1 << (len(entries) - 1).bit_length()
    constants = [program.args[x][0] if program.ops[x] == "const" else None for x in entries]
    constants += [KINDS[kind](0)] * (width - len(entries))
    computed = [k for k, constant in enumerate(constants) if constant is None]
    if len(computed) > max(_FEW, width // 8):
        columns = [
            values(entries[k]) if k in set(computed) else jnp.full((_ROWS,), constants[k], KINDS[kind])
            for k in range(width)
        ]
        return _joined(columns)
    place = jnp.arange(width, dtype=jnp.int32)[None, :]
    tile = jnp.zeros((_ROWS, width), KINDS[kind])
    for k, constant in enumerate(constants):
        if constant is None:
            tile = jnp.where(place == k, values(entries[k])[:, None], tile)
        elif constant != 0:
            tile = jnp.where(place == k, constant, tile)
    return tile


def _joined(columns: list[Any]) -> Any:
    """Columns side by side, joined pairwise: what threads hold of a row stays with them."""
    if len(columns) == 1:
        return columns[0][:, None]
    even, odd = _joined(columns[0::2]), _joined(columns[1::2])
    count = len(columns) // 2
    if count == 1:
        return jnp.concatenate([even, odd], -1)
    pairs = jnp.concatenate([even.reshape(_ROWS, count, 1), odd.reshape(_ROWS, count, 1)], -1)
    return pairs.reshape(_ROWS, 2 * count)


def _round(x: Any) -> Any:
    """To the nearest integer, half to even: what is added and taken away again leaves no digits behind."""
    large = np.asarray(2.0 ** (23 if x.dtype == jnp.float32 else 52), x.dtype)
    near = jnp.where(x < 0, (x - large) + large, (x + large) - large)
    return jnp.where(jnp.abs(x) < large, near, x)


def _error(x: Any) -> Any:
    """The error function, which Triton has not: after Abramowitz and Stegun, 7.1.26, refined by its series."""
    raise NotImplementedError("erf")


_NAMES: dict[str, Callable[..., Any]] = {
    "add": lax.add,
    "sub": lax.sub,
    "mul": lax.mul,
    "div": lax.div,
    "rem": lax.rem,
    "min": jnp.minimum,
    "max": jnp.maximum,
    "pow": lax.pow,
    "atan2": lax.atan2,
    "and": lax.bitwise_and,
    "or": lax.bitwise_or,
    "xor": lax.bitwise_xor,
    "not": lax.bitwise_not,
    "neg": lax.neg,
    "eq": lax.eq,
    "ne": lax.ne,
    "lt": lax.lt,
    "le": lax.le,
    "round": _round,
    "sign": lambda x: jnp.where(x == 0, x, jnp.where(x < 0, -1, jnp.where(x > 0, 1, x)).astype(x.dtype)),
    "is_finite": lambda x: jnp.abs(x) < math.inf,
    "cbrt": lambda x: lax.cbrt(x),
    "erfc": lambda x: 1 - _error(x),
    "erf": _error,
}


def _apply(op: str, operands: list[Any], kind: str) -> Any:
    """An operation on the scalars of all rows."""
    if op == "select":
        return jnp.where(*operands)
    if op == "convert":
        return operands[0].astype(KINDS[kind])
    fun = _NAMES.get(op) or getattr(lax, op)
    return fun(*operands)
