"""Gradients of numbers in JAX's way, which nothing beats where there is no kernel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax import lax

from ._application import Application, Traced
from ._numbering import Numbering
from ._trace import Program
from .rules import Inexpressible, zeros_are_spoilt


def by_reverse_mode(
    application: Application, unless: Exception | None = None
) -> tuple[Any, list[list[Any]], Any]:
    """The result of a function, its cotangents and the auxiliary data, by ``jax.vjp``.

    Args:
        application: the function, whose result consists of numbers, and its arguments.
        unless: is raised if it does not.

    Returns:
        the result, a pytree of numbers; for every leaf of it the cotangents of the differentiated leaves of
        the arguments, if it is one and the others zero; and the auxiliary data, None if there is none.
    """

    def of_moving(moving: Sequence[Any]) -> Any:
        return application(dict(zip(application.moving, moving, strict=True)))

    moving = [application.leaves[place] for place in application.moving]
    result, pull, aux = jax.vjp(of_moving, moving, has_aux=True)
    leaves, tree = jax.tree.flatten(result)
    if unless is not None and any(map(np.ndim, leaves)):
        raise unless
    rows = []
    for at in range(len(leaves)):
        seeds = [lax.full_like(other, int(at == to)) for to, other in enumerate(leaves)]
        (row,) = pull(tree.unflatten(seeds))
        rows.append(row)
    return result, rows, aux


def has_reverse_mode(numbering: Numbering) -> bool:
    """Whether no derivative goes through a ``while_loop``, which JAX cannot pull back."""
    return all(
        equation.primitive.name != "while" or numbering.moving.isdisjoint(equation.outputs)
        for equation in numbering.program.equations
    )


def differentiated(traced: Traced) -> Program:
    """The program of the result alone: auxiliary data pulls nothing back."""
    program = traced.numbering.program
    return replace(program, outputs=program.outputs[: traced.num_outputs])


def suits_reverse_mode(application: Application, traced: Traced) -> bool:
    """Whether a function is a real number of real arrays, whose gradient by JAX is finite where it can be."""
    types = (*traced.out_types, *application.arg_types)
    if [out.shape for out in traced.out_types] != [()] or not all(
        jax.numpy.issubdtype(kind.dtype, np.floating) for kind in types
    ):
        return False
    try:
        return has_reverse_mode(traced.numbering) and not zeros_are_spoilt(
            differentiated(traced), traced.numbering.active
        )
    except Inexpressible:
        return False
