"""Linear algebra: the matrices of a stack are apart, and so are the right-hand sides of a system."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend import core

from .._trace import Atom, Program, inline, is_complex, with_moving
from ..sparse import Block, dense_block, met
from ._batched import Apart, Tie, batched_rule, register_batched, tied_blocks, ties_of_dims
from ._dense import basis, of_real_view, real_view
from ._registry import Blocks, Call, far_fewer, register_pulling, register_pushing
from ._supported import within

_OF_MATRICES = """cholesky cholesky_update eig geqp3 geqrf hessenberg householder_product lu ormqr qr
    schur svd symmetric_product tridiagonal""".split()


@register_batched(*_OF_MATRICES)
def _matrices(call: Call, results: Sequence[Any] | None = None) -> tuple[list[Any], Blocks]:
    """The rule for functions of one matrix."""
    results, rows = batched_rule(
        call, lambda at: ties_of_dims(range(np.ndim(call.operands[at]) - 2)), results
    )
    supports = None if call.params.get("pivoting") else _SUPPORTS.get(call.primitive.name)
    if supports is not None and call.sparse:
        rank = np.ndim(call.operands[0])
        matrix = [rank - 2, rank - 1]
        found = supports(*np.shape(call.operands[0])[-2:], np.shape(results[0])[-1])
        for at, support in enumerate(found):
            rows[at] = [within(block, matrix, matrix, support) for block in rows[at]]
    return results, rows


# Which entries of a factor depend on which of its matrix, by row and column in each. ----------------------


def _of_cholesky(size: int, _: int, __: int) -> list[np.ndarray]:
    """Of the factor, before the matrix is made symmetric."""
    row, column, at, by = np.ogrid[:size, :size, :size, :size]
    return [(row >= column) & (by <= column) & ((at <= column) | (at == row))]


def _of_qr(height: int, width: int, many: int) -> list[np.ndarray]:
    """Columns of the orthogonal factor go by those of the matrix before them; so do rows of the other one."""
    _, column, _, by = np.ogrid[:height, :many, :height, :width]
    orthogonal = np.broadcast_to((by <= column) | (column >= width), (height, many, height, width))
    row, column, _, by = np.ogrid[:many, :width, :height, :width]
    triangle = (row <= column) & ((by <= row) | (by == column))
    return [orthogonal, np.broadcast_to(triangle, (many, width, height, width))]


def _of_lu(height: int, width: int, __: int) -> list[np.ndarray]:
    """Both factors in one; which rows come first is not known."""
    row, column, _, by = np.ogrid[:height, :width, :height, :width]
    support = (by == column) | (by < np.minimum(row, column))
    return [np.broadcast_to(support, (height, width, height, width))]


_SUPPORTS = {"cholesky": _of_cholesky, "lu": _of_lu, "qr": _of_qr}


@register_batched("eigh")
def _eigh(call: Call) -> tuple[list[Any], Blocks]:
    """JAX differentiates at the symmetric part of the matrix, so that is where the results are taken too.

    They are the same unless only one triangle of the matrix is filled.
    """
    (operand,) = call.operands
    results, _ = jax.jvp(call.of_operand(0), (operand,), (lax.full_like(operand, 0),))
    return _matrices(call, results)


@register_batched("triangular_solve", "tridiagonal_solve")
def _solve(call: Call) -> tuple[list[Any], Blocks]:
    """The right-hand sides are the last operand, side by side as columns, or as rows."""
    last = len(call.operands) - 1
    rank = np.ndim(call.operands[last])
    stack = ties_of_dims(range(rank - 2))
    side = rank - 1 if call.params.get("left_side", True) else rank - 2
    results, rows = batched_rule(
        call, lambda at: [*stack, Tie(side, side, constant=True)] if at == last else stack
    )
    if call.primitive.name == "triangular_solve" and call.sparse:
        rows = [_of_triangle(call, *row) for row in rows]
    return results, rows


def _of_triangle(call: Call, by_matrix: Block | None, by_right: Block | None) -> list[Block | None]:
    """The blocks of the solution of a triangular system, of which only one half of the matrix is read."""
    params, (_, right) = call.params, call.operands
    left, size, rank = params["left_side"], np.shape(call.operands[0])[-1], np.ndim(right)
    dim = rank - 2 if left else rank - 1
    lower = params["lower"] != params["transpose_a"]
    # Entry `by` of a right-hand side reaches entry `at` of its solution, as row `at` of the inverse has it.
    reaches = np.tri(size, dtype=bool) if lower == left else np.tri(size, dtype=bool).T
    by_right = within(by_right, [dim], [dim], reaches)
    if by_matrix is None:
        return [None, by_right]
    at, row, column = np.ogrid[:size, :size, :size]
    if params["transpose_a"]:
        row, column = column, row
    half = (row >= column) if lower else (row <= column)
    if params["unit_diagonal"]:
        half = half & (row != column)
    support = np.broadcast_to(half & reaches[at, row if left else column], (size,) * 3)
    return [within(by_matrix, [dim], [rank - 2, rank - 1], support), by_right]


@register_batched("custom_linear_solve")
def _linear_solve(call: Call) -> tuple[list[Any], Blocks]:
    """Of ``x = A^-1 b`` the derivatives are ``A^-1`` and, with respect to A, ``-A^-1 dA x``.

    Right-hand sides and solutions may be several, and auxiliary results, which have no derivative, follow.
    """
    lengths, matvec = call.params["const_lengths"], call.params["jaxprs"].matvec
    first = sum(lengths)
    results = call.evaluate()
    solutions = results[: len(call.operands) - first]
    held, moves = call.operands[: lengths.matvec], call.wanted[: lengths.matvec]
    moving = [at for at in call.moving if at < lengths.matvec]
    inverse = _inverse(call, solutions, [bool(moving) or want for want in call.wanted[first:]])
    blocks: Blocks = [[None] * len(call.operands) for _ in results]
    for row, of_solution in zip(blocks, inverse, strict=False):
        row[first:] = [
            block if want else None for block, want in zip(of_solution, call.wanted[first:], strict=True)
        ]

    def residual(*values: Any) -> list[Any]:
        consts = with_moving(held, moves, values)
        return [lax.neg(product) for product in core.jaxpr_as_fun(matvec)(*consts, *solutions)]

    if moving:
        values = [held[at] for at in moving]
        program = jax.make_jaxpr(residual)(*values)
        _, by_consts = call.jacobians.by("forward")(program, values, [True] * len(values))
        for row, of_solution in zip(blocks, inverse, strict=False):
            for at, column in zip(moving, zip(*by_consts, strict=True), strict=True):
                parts = [a @ b for a, b in zip(of_solution, column, strict=True) if a and b]
                row[at] = functools.reduce(Block.__add__, parts) if parts else None
    return results, blocks


@register_pulling(*_OF_MATRICES, "eigh")
@register_pushing(*_OF_MATRICES, "eigh")
def _moving_through_a_function(call: Call, moved: int) -> bool:
    """The Jacobian takes a derivative for every number of the matrix."""
    return far_fewer(moved, math.prod(np.shape(call.operands[0])[-2:]))


@register_pulling("triangular_solve", "tridiagonal_solve", "custom_linear_solve")
@register_pushing("triangular_solve", "tridiagonal_solve", "custom_linear_solve")
def _moving_through_a_solution(call: Call, moved: int) -> bool:
    """The Jacobian takes a solution for every number of a right-hand side, and for every one of a matrix, or
    of the solution if these are fewer.
    """
    sides = np.shape(call.operands[-1])[-2:]
    if call.primitive.name == "custom_linear_solve":
        return far_fewer(moved, min([size for size in sides if size > 1], default=1))
    length = np.shape(call.operands[0])[-1]
    rank = 2 if call.primitive.name == "triangular_solve" else 1
    of_matrix = min(length**rank, math.prod(sides))
    return far_fewer(moved, length * call.wanted[-1] + of_matrix * sum(call.wanted[:-1]))


def _inverse(call: Call, solutions: Sequence[Any], wanted: Sequence[bool]) -> list[list[Block | None]]:
    """The derivatives of the solutions of a linear system with respect to its right-hand sides.

    Args:
        call: the system.
        solutions: its solutions.
        wanted: for every right-hand side whether its derivatives are needed.

    Returns:
        by solution and right-hand side.
    """
    first = len(call.operands) - len(solutions)
    if len(solutions) == 1:
        return [_inverse_of_one(call, solutions[0])]
    found: list[list[Block | None]] = [[None] * len(solutions) for _ in solutions]
    for column, (right, want) in enumerate(zip(call.operands[first:], wanted, strict=True)):
        if not want or not right.size:
            continue

        def solve(view: Any, column: int = column, right: Any = right) -> list[Any]:
            rights = [lax.full_like(other, 0) for other in call.operands[first:]]
            rights[column] = of_real_view(view, right)
            found = call.with_operands([*call.operands[:first], *rights]).evaluate()
            return [real_view(solution) for solution in found[: len(rights)]]

        view = real_view(right)
        columns = jax.vmap(solve, out_axes=-1)(basis(view, range(view.ndim)))
        for row, solution, array in zip(found, solutions, columns, strict=True):
            row[column] = dense_block(array, real_view(solution).shape, view.shape) if solution.size else None
    return found


def _inverse_of_one(call: Call, x: Any) -> list[Block | None]:
    """The derivative of a single solution, apart along the dimensions that the system treats apart."""
    lengths, jaxprs = call.params["const_lengths"], call.params["jaxprs"]
    # An iterative solver stops by a norm of the whole, so that its slices are not quite apart.
    iterates = any(
        "while" in e.primitive.name or "scan" in e.primitive.name for e in inline(jaxprs.solve).equations
    )
    ties = [] if iterates else _solve_ties(inline(jaxprs.matvec), lengths.matvec)
    whole = [tie.operand for tie in ties if tie.constant]

    def solve(b: Any) -> list[Any]:
        # The program of the solver has fixed shapes: what was cut to size 1 is filled up again.
        b = lax.broadcast_in_dim(b, x.shape, range(x.ndim))
        solution = call.with_operands([*call.operands[:-1], b]).evaluate()[0]
        return [lax.slice(solution, [0] * x.ndim, [1 if d in whole else n for d, n in enumerate(x.shape)])]

    (block,) = tied_blocks(call, len(call.operands) - 1, solve, [x], Apart(ties))
    support = _support_of_inverse(call, x) if call.sparse else None
    if support is None:
        return [block]
    tied = sorted((tie.operand for tie in ties), reverse=True)
    for dim in tied:
        support = np.asarray(np.diagonal(support, axis1=dim, axis2=support.ndim // 2 + dim).any(-1))
    free = [dim for dim in range(x.ndim + is_complex(x)) if dim not in tied]
    return [within(block, free, free, support)]


def _support_of_inverse(call: Call, x: Any) -> np.ndarray | None:
    """Where the inverse of a system's matrix may have entries, if that is not everywhere.

    It is a polynomial of the matrix, so that there is one only where some power has one.
    """
    lengths, jaxprs = call.params["const_lengths"], call.params["jaxprs"]
    count = lengths.matvec
    _, ((*_, block),) = call.jacobians.by("forward").static()(
        jaxprs.matvec,
        [*call.operands[:count], x],
        [False] * count + [True],
        certain=[*call.all_certain()[:count], None],
    )
    if block is None:
        return None
    size, shape = math.prod(block.out_shape), block.out_shape
    reached = block.support.array.reshape(size, size) | np.eye(size, dtype=bool)
    while not reached.all():
        further = met(reached, [0, 1], reached, [1, 2], [0, 2])
        if (further == reached).all():
            return reached.reshape(shape + shape)
        reached = further
    return None


def _solve_ties(matvec: Program, num_consts: int) -> list[Tie]:
    """Along which dimensions of x the map ``x -> A x``, and so its inverse, treats slices apart.

    Follows the dimensions of x through products and re-labellings; none if anything else is met.
    """
    x = matvec.inputs[num_consts]
    dims: dict[Atom, list[int | None]] = {x: list(range(len(x.aval.shape)))}
    varying: set[int | None] = set()
    for equation in matvec.equations:
        found = [dims.get(atom) for atom in equation.inputs]
        ours = [dim for dim in found if dim is not None]
        if not ours:
            continue
        name, params = equation.primitive.name, equation.params
        if name == "transpose":
            result = [ours[0][axis] for axis in params["permutation"]]
        elif name == "dot_general" and len(ours) == 1:
            contract, batch = params["dimension_numbers"]
            side = 0 if found[0] is not None else 1
            varying.update(ours[0][axis] for axis in batch[side])
            kept = [d for axis, d in enumerate(ours[0]) if axis not in (*batch[side], *contract[side])]
            other = equation.inputs[1 - side].aval.shape
            free: list[int | None] = [None] * (len(other) - len(batch[0]) - len(contract[0]))
            result = [ours[0][axis] for axis in batch[side]] + (kept + free if side == 0 else free + kept)
        elif name in ("add", "sub", "add_any") and len(ours) == 2:
            result = [a if a == b else None for a, b in zip(*ours, strict=True)]
        elif (name == "mul" or (name == "div" and found[0] is not None)) and len(ours) == 1:
            result = ours[0]
            varying.update(ours[0])
        elif name == "neg":
            result = ours[0]
        else:
            return []
        dims[equation.outputs[0]] = result
    out = dims.get(matvec.outputs[0], [])
    return [Tie(dim, dim, dim not in varying) for dim, source in enumerate(out) if dim == source]
