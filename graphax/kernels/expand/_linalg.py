"""Small linear algebra: factorizations and systems as straight-line code, pivots chosen by selections."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from .._scalars import Scalars
from ._expansion import Call, Expansion, Expressions, NoKernel, kind_of, register

#: The largest matrix that is factorized.
LARGEST = 6
Matrix = list[list[int]]


def _matrices(call: Call, at: int = 0) -> list[Matrix]:
    """The matrices of a stack.

    Raises:
        NoKernel: if they are too large.
    """
    operand = call.operands[at]
    if max(operand.shape[-2:]) > LARGEST:
        size = " x ".join(map(str, operand.shape[-2:]))
        raise NoKernel(
            f"'{call.name}' of {size} matrices is not expanded into scalars, but up to {LARGEST} x {LARGEST}"
        )
    return operand.reshape(-1, *operand.shape[-2:]).tolist()


def _stacked(call: Call, at: int, found: Sequence[Any]) -> Expressions:
    return np.array(found, np.int64).reshape(call.equation.outputs[at].aval.shape)


# ---- LU


@register("lu")
def _lu(call: Call) -> list[Expressions]:
    """With partial pivoting: the first of the entries that are largest in size."""
    index = kind_of(call.equation.outputs[1].aval)
    found = [_lu_of(call, matrix, index) for matrix in _matrices(call)]
    return [_stacked(call, at, [parts[at] for parts in found]) for at in range(3)]


def _lu_of(call: Call, matrix: Matrix, index: str) -> tuple[Matrix, list[int], list[int]]:
    scalars = call.scalars
    rows = [[*row, scalars.const(at, index)] for at, row in enumerate(matrix)]  # with the row's number
    columns, pivots = len(matrix[0]), list[int]()
    nothing = scalars.const(0, call.kind)
    for k in range(min(len(rows), columns)):
        pivots.append(_pivot(scalars, [row[k] for row in rows[k:]], k, index))
        rows = _exchanged(scalars, rows, k, pivots[-1])
        pivot = rows[k][k]
        singular = scalars.compare("eq", pivot, nothing)
        for row in rows[k + 1 :]:
            # Below a pivot that is zero all entries are.
            row[k] = scalars.select(singular, row[k], scalars.div(row[k], pivot))
            for at in range(k + 1, columns):
                row[at] = scalars.sub(row[at], scalars.mul(row[k], rows[k][at]))
    return [row[:-1] for row in rows], pivots, [row[-1] for row in rows]


def _pivot(scalars: Scalars, column: list[int], first: int, index: str) -> int:
    """The number of the row of the entry that is largest in size."""
    best, at = scalars.function("abs", column[0]), scalars.const(first, index)
    for k, x in enumerate(column[1:], first + 1):
        size = scalars.function("abs", x)
        larger = scalars.compare("lt", best, size)
        best, at = scalars.select(larger, size, best), scalars.select(larger, scalars.const(k, index), at)
    return at


def _exchanged(scalars: Scalars, rows: Matrix, k: int, other: int) -> Matrix:
    """A matrix whose row k, and a later one with a number that is an expression, have changed places."""
    kind, select = scalars.kinds[other], scalars.select
    found, top = rows[:k], rows[k]
    below = []
    for at, row in enumerate(rows[k + 1 :], k + 1):
        here = scalars.compare("eq", other, scalars.const(at, kind))
        top = [select(here, x, y) for x, y in zip(row, top, strict=True)]
        below.append([select(here, x, y) for x, y in zip(rows[k], row, strict=True)])
    return [*found, top, *below]


@register("lu_pivots_to_permutation")
def _permutation(call: Call) -> list[Expressions]:
    operand, size = call.operands[0], call.params["permutation_size"]
    found = []
    for pivots in operand.reshape(-1, operand.shape[-1]).tolist():
        rows = [[call.scalars.const(k, call.kind)] for k in range(size)]
        for k, pivot in enumerate(pivots):
            rows = _exchanged(call.scalars, rows, k, pivot)
        found.append(rows)
    return [_stacked(call, 0, found)]


# ---- triangular systems


@register("triangular_solve")
def _triangular_solve(call: Call) -> list[Expressions]:
    params, scalars = call.params, call.scalars
    right = call.operands[1]
    left_side, lower, transposed = params["left_side"], params["lower"], params["transpose_a"]
    if transposed:
        lower = not lower
    if not left_side:  # x a = b is the system of the transposed
        right, transposed, lower = right.swapaxes(-1, -2), not transposed, not lower
    found = []
    for matrix, columns in zip(
        _matrices(call), right.reshape(-1, *right.shape[-2:]).swapaxes(-1, -2).tolist(), strict=True
    ):
        if transposed:
            matrix = [list(row) for row in zip(*matrix, strict=True)]
        inverses = None if params["unit_diagonal"] else _inverses(scalars, matrix)
        found.append([_substituted(scalars, matrix, inverses, column, lower) for column in columns])
    solution = np.array(found, np.int64).reshape(*right.shape[:-2], right.shape[-1], right.shape[-2])
    return [solution.swapaxes(-1, -2) if left_side else solution]


def _inverses(scalars: Scalars, matrix: Matrix) -> list[int]:
    """The reciprocals of the diagonal."""
    one = scalars.const(1, scalars.kinds[matrix[0][0]])
    return [scalars.div(one, matrix[k][k]) for k in range(len(matrix))]


def _substituted(
    scalars: Scalars, matrix: Matrix, inverses: list[int] | None, right: list[int], lower: bool
) -> list[int]:
    """The solution of a triangular system, by substitution."""
    size, found = len(right), dict[int, int]()
    for i in range(size) if lower else reversed(range(size)):
        x = right[i]
        for j in range(i) if lower else range(i + 1, size):
            x = scalars.sub(x, scalars.mul(matrix[i][j], found[j]))
        found[i] = x if inverses is None else scalars.mul(x, inverses[i])
    return [found[i] for i in range(size)]


# ---- Cholesky


@register("cholesky")
def _cholesky(call: Call) -> list[Expressions]:
    return [_stacked(call, 0, [_cholesky_of(call.expansion, matrix) for matrix in _matrices(call)])]


def _cholesky_of(expansion: Expansion, matrix: Matrix) -> Matrix:
    """The lower factor of a matrix, of which the lower triangle is read; NaN if there is none.

    Releases of JAX differ in whether its derivatives are by both triangles, which are those by the lower one
    if the matrix is symmetric.
    """
    scalars, size = expansion.scalars, len(matrix)
    plain = _factor(scalars, matrix)
    symmetric = all(matrix[i][j] == matrix[j][i] for i in range(size) for j in range(i))
    if symmetric or not (expansion.order and _is_differentiated_by_both_triangles()):
        return plain
    factor, operands = plain, list(itertools.chain(*matrix))
    for _ in range(expansion.order):
        by_matrix = _derivative_of_factor(scalars, factor)
        factor = [
            [expansion.given(x, operands, partials) for x, partials in zip(*rows, strict=True)]
            for rows in zip(plain, by_matrix, strict=True)
        ]
    return factor


@functools.cache
def _is_differentiated_by_both_triangles() -> bool:
    """Whether the derivatives of a Cholesky factor by what is above the diagonal differ from zero."""
    matrix, above = np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([[0.0, 1.0], [0.0, 0.0]])
    factor = functools.partial(jax.lax.linalg.cholesky, symmetrize_input=False)
    with jax.ensure_compile_time_eval():
        _, derivatives = jax.jit(lambda x, along: jax.jvp(factor, (x,), (along,)))(matrix, above)
        return bool(np.any(np.asarray(derivatives)))


def _factor(scalars: Scalars, matrix: Matrix) -> Matrix:
    size, kind = len(matrix), scalars.kinds[matrix[0][0]]
    nothing, nan, definite = scalars.const(0, kind), scalars.const(np.nan, kind), scalars.const(True, "b1")
    factor: Matrix = [[nothing] * size for _ in range(size)]
    for j in range(size):
        inverse = nothing
        for i in range(j, size):
            x = matrix[i][j]
            for k in range(j):
                x = scalars.sub(x, scalars.mul(factor[i][k], factor[j][k]))
            if i == j:
                definite = scalars.binary("and", definite, scalars.compare("gt", x, nothing))
                factor[j][j] = scalars.function("sqrt", x)
                inverse = scalars.div(scalars.const(1, kind), factor[j][j])
            else:
                factor[i][j] = scalars.mul(x, inverse)
    for i in range(size):
        for j in range(i + 1):
            factor[i][j] = scalars.select(definite, factor[i][j], nan)
    return factor


def _derivative_of_factor(scalars: Scalars, factor: Matrix) -> list[list[list[int]]]:
    """For every entry of the factor its derivatives by those of the matrix, in rows.

    ``dL = L phi(L^-1 dA L^-T)``, where phi is the lower triangle with half of the diagonal.
    """
    size, kind = len(factor), scalars.kinds[factor[0][0]]
    zero, one, half = scalars.zero(kind), scalars.const(1, kind), scalars.const(0.5, kind)
    diagonal = _inverses(scalars, factor)
    columns = [
        _substituted(scalars, factor, diagonal, [one if i == j else zero for i in range(size)], True)
        for j in range(size)
    ]
    found = [[[zero] * size**2 for _ in range(size)] for _ in range(size)]
    for i in range(size):
        for j in range(i + 1):
            for k in range(i + 1):
                weight = zero
                for m in range(max(j, k), i + 1):
                    term = scalars.mul(factor[i][m], columns[k][m])
                    weight = scalars.add(weight, scalars.mul(half, term) if m == j else term)
                for n in range(j + 1):
                    found[i][j][k * size + n] = scalars.mul(weight, columns[n][j])
    return found
