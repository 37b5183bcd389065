"""Linear algebra: the matrices of a stack are apart, and so are the right-hand sides of a system."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend import core

from .._trace import Atom, Program, inline
from ..sparse import Block
from ._batched import Tie, batched_rule, of_operand, register_batched, tied_blocks, ties_of_dims
from ._registry import Blocks, Call

_OF_MATRICES = """cholesky cholesky_update eig geqp3 geqrf hessenberg householder_product lu ormqr qr
    schur svd symmetric_product tridiagonal""".split()


def _matrices(call: Call, results: Sequence[Any] | None = None) -> tuple[list[Any], Blocks]:
    """The rule for functions of one matrix."""
    return batched_rule(call, lambda at: ties_of_dims(range(np.ndim(call.operands[at]) - 2)), results)


def _eigh(call: Call) -> tuple[list[Any], Blocks]:
    """JAX differentiates at the symmetric part of the matrix, so that is where the results are taken too.

    They are the same unless only one triangle of the matrix is filled.
    """
    (operand,) = call.operands
    results, _ = jax.jvp(of_operand(call, 0), (operand,), (lax.full_like(operand, 0),))
    return _matrices(call, results)


def _triangular_solve(call: Call) -> tuple[list[Any], Blocks]:
    rank = np.ndim(call.operands[1])
    stack = ties_of_dims(range(rank - 2))
    side = rank - 1 if call.params["left_side"] else rank - 2
    return batched_rule(call, lambda at: [*stack, Tie(side, side, constant=True)] if at == 1 else stack)


def _tridiagonal_solve(call: Call) -> tuple[list[Any], Blocks]:
    rank = np.ndim(call.operands[3])
    stack = ties_of_dims(range(rank - 2))
    return batched_rule(
        call, lambda at: [*stack, Tie(rank - 1, rank - 1, constant=True)] if at == 3 else stack
    )


def _linear_solve(call: Call) -> tuple[list[Any], Blocks]:
    """Of ``x = A^-1 b`` the derivatives are ``A^-1`` and, with respect to A, ``-A^-1 dA x``."""
    lengths, jaxprs = call.params["const_lengths"], call.params["jaxprs"]
    if call.num_results != 1 or len(call.operands) != sum(lengths) + 1:
        return batched_rule(call, lambda at: ())
    (x,) = call.evaluate()
    row: list[Block | None] = [None] * len(call.operands)
    if not x.size:
        return [x], [row]
    held = list(call.operands[: lengths.matvec])
    moving = [at for at in call.moving if at < lengths.matvec]
    # An iterative solver stops by a norm of the whole, so that its slices are not quite apart.
    iterates = any(
        "while" in e.primitive.name or "scan" in e.primitive.name for e in inline(jaxprs.solve).equations
    )
    ties = [] if iterates else _solve_ties(inline(jaxprs.matvec), len(held))
    whole = [tie.operand for tie in ties if tie.constant]

    def solve(b: Any) -> list[Any]:
        # The program of the solver has fixed shapes: what was cut to size 1 is filled up again.
        b = lax.broadcast_in_dim(b, x.shape, range(x.ndim))
        (solution,) = call.with_operands([*call.operands[:-1], b]).evaluate()
        return [lax.slice(solution, [0] * x.ndim, [1 if d in whole else n for d, n in enumerate(x.shape)])]

    (inverse,) = tied_blocks(call, len(call.operands) - 1, solve, [x], ties)
    assert inverse is not None
    if call.wanted[-1]:
        row[-1] = inverse

    def residual(*values: Any) -> Any:
        consts = list(held)
        for at, value in zip(moving, values, strict=True):
            consts[at] = value
        return lax.neg(core.jaxpr_as_fun(jaxprs.matvec)(*consts, x)[0])

    if moving:
        values = [held[at] for at in moving]
        program = jax.make_jaxpr(residual)(*values)
        _, (blocks,) = call.jacobians(program, values, [True] * len(values), "forward")
        for at, block in zip(moving, blocks, strict=True):
            row[at] = block and inverse @ block
    return [x], [row]


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
        elif name in ("mul", "div") and len(ours) == 1 and found[0] is not None:
            result = ours[0]
            varying.update(ours[0])
        elif name == "neg":
            result = ours[0]
        else:
            return []
        dims[equation.outputs[0]] = result
    out = dims.get(matvec.outputs[0], [])
    return [Tie(dim, dim, dim not in varying) for dim, source in enumerate(out) if dim == source]


register_batched(_OF_MATRICES, _matrices)
register_batched(("eigh",), _eigh)
register_batched(("triangular_solve",), _triangular_solve)
register_batched(("tridiagonal_solve",), _tridiagonal_solve)
register_batched(("custom_linear_solve",), _linear_solve)
