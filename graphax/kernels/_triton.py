"""A scalar program as one Pallas kernel for GPUs, which writes whole rows."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import ManualAxisType

from ._program import Body, Instructions, Result, ScalarProgram
from ._scalars import KINDS

#: Rows of a block: a thread holds the scalars of one row.
_ROWS = 32
#: Columns that are written at once, by the bytes of a number. Where most of a row is zero, two threads share
#: it, and write twice as many.
_COLUMNS = {1: 128, 4: 128, 8: 64}
_MOSTLY = 0.75


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
        raises NotImplementedError for operations that Triton has not.
    """
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import triton

    results = [result for result in program.results if result.entries]
    sharing = 2 if _is_mostly_zero(program) else 1

    def kernel(*refs: Any) -> None:
        operands, outs = refs[: len(program.operands)], refs[len(program.operands) :]
        rows = pl.program_id(0) * _ROWS + jnp.arange(_ROWS, dtype=jnp.int32)
        inside = None if batch % _ROWS == 0 else rows < batch

        def read(operand: int, offset: int) -> Any:
            ref = operands[operand]
            if batched[operand]:
                return triton.load(ref.at[rows, offset], mask=inside)
            return triton.load(ref.at[jnp.full((_ROWS,), offset, jnp.int32)])

        values = _Values(program, {"input": read})
        for result, out in zip(results, outs, strict=True):
            for start, stop in _tiles(result, sharing):
                tile = _tile(program, values, result.entries[start:stop], result.kind)
                columns = jnp.arange(tile.shape[1], dtype=jnp.int32)
                place = out.at[rows[:, None], start + columns[None, :]]
                triton.store(place, tile, mask=_written(inside, columns, stop - start, tile.shape))

    blocks = -(-batch // _ROWS)
    settings: dict[str, Any] = (
        {"interpret": True}
        if interpret
        else {"compiler_params": triton.CompilerParams(num_warps=sharing, num_stages=1)}
    )

    def run(*arrays: Any) -> list[Any]:
        flat = [
            array.reshape(batch, -1) if has_batch else array.reshape(-1)
            for array, has_batch in zip(arrays, batched, strict=True)
        ]
        # Within jax.shard_map types say along which axes of the mesh arrays differ.
        differ = ManualAxisType(
            varying=frozenset().union(*(jax.typeof(x).manual_axis_type.varying for x in flat))
        )
        types = [
            jax.ShapeDtypeStruct((batch, len(result.entries)), KINDS[result.kind], manual_axis_type=differ)
            for result in results
        ]
        called = pl.pallas_call(kernel, grid=(blocks,), out_shape=types, **settings)
        found = iter(called(*flat) if types else [])
        return [
            next(found).reshape(batch, *result.shape)
            if result.entries
            else jnp.zeros((batch, *result.shape), KINDS[result.kind])
            for result in program.results
        ]

    return run


def _written(inside: Any, columns: Any, count: int, shape: tuple[int, ...]) -> Any:
    """Which entries of a tile are written; None for all of them."""
    masks = [jnp.broadcast_to(inside[:, None], shape)] if inside is not None else []
    if count < shape[1]:
        masks.append(jnp.broadcast_to((columns < count)[None, :], shape))
    return functools.reduce(lax.bitwise_and, masks) if masks else None


def _is_mostly_zero(program: ScalarProgram) -> bool:
    """Whether most of what is written is zero."""
    entries = [x for result in program.results for x in result.entries]
    zeros = sum(program.ops[x] == "const" and not program.args[x][0] for x in entries)
    return zeros > _MOSTLY * len(entries)


def _tiles(result: Result, sharing: int) -> list[tuple[int, int]]:
    """Where the tiles of a row begin and end, if so many threads share a row."""
    width = sharing * _COLUMNS[np.dtype(KINDS[result.kind]).itemsize]
    count = len(result.entries)
    return [(start, min(start + width, count)) for start in range(0, count, width)]


class _Values:
    """The values of instructions, for the rows of a block; each is worked out when it is first asked for.

    Args:
        block: the instructions.
        known: for ``input``, ``carry`` and ``outside`` a function of the arguments.
    """

    def __init__(self, block: Instructions, known: dict[str, Callable[..., Any]]) -> None:
        self._block, self._read = block, known
        self._known: dict[int, Any] = {}

    def __call__(self, x: int) -> Any:
        block, known = self._block, self._known
        pending = [x]
        while pending:
            y = pending[-1]
            if y in known:
                pending.pop()
                continue
            op, args, kind = block.ops[y], block.args[y], block.kinds[y]
            needed = args[:1] if op == "last" else () if op == "const" or op in self._read else args
            missing = [z for z in needed if z not in known]
            if missing:
                pending.extend(reversed(missing))
                continue
            pending.pop()
            if op in self._read:
                known[y] = self._read[op](*args)
            elif op == "const":
                known[y] = jnp.full((_ROWS,), args[0], KINDS[kind])
            elif op == "loop":
                known[y] = _steps(block.bodies[y], [known[z] for z in args])
            elif op == "last":
                known[y] = known[args[0]][args[1]]
            else:
                known[y] = _apply(op, [known[z] for z in args], kind)
        return known[x]


def _steps(body: Body, given: list[Any]) -> Sequence[Any]:
    """What the last step of a loop hands on."""
    count = len(body.after)
    outside = given[count:]

    def step(_: Any, carried: tuple[Any, ...]) -> tuple[Any, ...]:
        values = _Values(body, {"carry": carried.__getitem__, "outside": outside.__getitem__})
        return tuple(values(x) for x in body.after)

    return lax.fori_loop(0, body.length, step, tuple(given[:count]))


def _tile(program: ScalarProgram, values: _Values, entries: Sequence[int], kind: str) -> Any:
    """The entries as columns, as many as the next power of two."""
    width = 1 << (len(entries) - 1).bit_length()
    constants = [program.args[x][0] if program.ops[x] == "const" else None for x in entries]
    constants += [KINDS[kind](0)] * (width - len(entries))
    columns = [
        values(x) if constant is None else jnp.full((_ROWS,), constant, KINDS[kind])
        for x, constant in zip([*entries, *[0] * (width - len(entries))], constants, strict=True)
    ]
    return _joined(columns)


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


def _horner(coefficients: Sequence[float], x: Any) -> Any:
    total = jnp.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        total = total * x + coefficient
    return total


def _near_zero(x: Any) -> Any:
    """The error function next to zero; see ``_error_functions.py``."""
    from .cpu._error_functions import SMALL, coefficients

    square = x * x
    terms = coefficients(SMALL, np.finfo(x.dtype).nmant + 1)
    return 2 / math.sqrt(math.pi) * (x + x * square * _horner(terms, square))


def _complement(a: Any) -> Any:
    """erfc from 1/2 on; see ``_error_functions.py``."""
    from .cpu._error_functions import CENTRE, LARGE, MEAN, coefficients

    terms = coefficients(LARGE, np.finfo(a.dtype).nmant + 1)
    scaled = MEAN + _horner(terms, (a - CENTRE) / (a + CENTRE))
    # The square of the leading digits is exact.
    split = a * (2.0 ** (np.finfo(a.dtype).nmant // 2 + 1) + 1)
    leading = split - (split - a)
    return jnp.exp(-leading * leading) * jnp.exp(-(a - leading) * (a + leading)) * scaled / (1 + 2 * a)


def _erf(x: Any) -> Any:
    a = jnp.minimum(jnp.maximum(jnp.abs(x), 0.5), 7.0)
    large = 1 - _complement(a)
    return jnp.where(jnp.abs(x) < 0.5, _near_zero(x), jnp.where(x < 0, -large, jnp.where(x > 0, large, x)))


def _erfc(x: Any) -> Any:
    a = jnp.minimum(jnp.maximum(jnp.abs(x), 0.5), 28.0)
    large = _complement(a)
    far = jnp.where(x < 0, 2 - large, jnp.where(x > 0, large, x))
    return jnp.where(jnp.abs(x) < 0.5, 1 - _near_zero(x), far)


def _remainder(x: Any, y: Any) -> Any:
    """Of integers.

    Raises:
        NotImplementedError: for real numbers, whose remainders Triton takes from rounded quotients.
    """
    if jnp.issubdtype(x.dtype, jnp.floating):
        raise NotImplementedError("exact remainders of real numbers")
    return lax.rem(x, y)


def _chosen(among_integers: Callable[..., Any], precedes: Callable[..., Any], x: Any, y: Any) -> Any:
    """The lesser or the greater of two; NaN where one of them is, which Triton's own of real numbers drop."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        return among_integers(x, y)
    return jnp.where(lax.bitwise_or(precedes(x, y), lax.ne(x, x)), x, y)


_NAMES: dict[str, Callable[..., Any]] = {
    "add": lax.add,
    "sub": lax.sub,
    "mul": lax.mul,
    "div": lax.div,
    "rem": _remainder,
    "min": lambda x, y: _chosen(lax.min, lax.lt, x, y),
    "max": lambda x, y: _chosen(lax.max, lax.gt, x, y),
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
    "erf": _erf,
    "erfc": _erfc,
}


def _apply(op: str, operands: list[Any], kind: str) -> Any:
    """An operation on the scalars of all rows."""
    if op == "select":
        return jnp.where(*operands)
    if op == "convert":
        return operands[0].astype(KINDS[kind])
    fun = _NAMES.get(op) or getattr(lax, op)
    return fun(*operands)
