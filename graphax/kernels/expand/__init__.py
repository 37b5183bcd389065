"""A program of small arrays becomes expressions of scalars, one for every entry of its results."""

from __future__ import annotations

from collections.abc import Sequence

from ..._trace import Program, is_differentiable
from .._scalars import Scalars
from . import (  # they register their rules
    _control,
    _custom,
    _elementwise,
    _indexing,
    _kernel,
    _linalg,
    _linear_solve,
    _powers,
    _reductions,
    _relabel,
    _sorting,
    _windows,
)
from ._expansion import Expansion, Expressions, NoKernel

__all__ = ["NoKernel", "expand"]


def expand(
    program: Program,
    scalars: Scalars,
    inputs: Sequence[Expressions],
    *,
    limit: int,
    order: int = 1,
    moving: Sequence[bool] | None = None,
) -> list[Expressions]:
    """The expressions that are the entries of a program's results.

    Where what JAX differentiates is not the operations themselves, an expression is given with its partial
    derivatives: derivatives of the expressions by the chain rule are those that JAX defines.

    Args:
        program: the program; what it closes over is concrete.
        scalars: the table that the expressions are put into.
        inputs: an array of expressions for every input, of the input's shape.
        limit: how many expressions may come into being.
        order: the highest order of derivatives that will be taken; 0 for values alone.
        moving: for every input whether derivatives by it will be taken; by those of real numbers if left out.

    Returns:
        an array of expressions for every result.

    Raises:
        NoKernel: if something in the program cannot be expanded, or the limit is passed.
    """
    if moving is None:
        moving = [is_differentiable(variable.aval) for variable in program.inputs]
    return Expansion(scalars, limit=limit, order=order).run(program, inputs, moving)[0]
