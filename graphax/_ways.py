"""The ways to a Jacobian, and which is gone: the one asked for, measured, or taken to be the best."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import jax
import numpy as np

from ._application import Application, Traced
from ._matrix_free import jacobians_by_arrays
from ._modes import jacobians_by_mode, jacobians_without_kernel
from ._numbering import Numbering
from ._pullback import NO_PULLBACK
from ._reverse_mode import by_reverse_mode, suits_reverse_mode
from ._rows import jacobians_by_rows
from ._tuned import Chosen, NoWay, Trial, fastest_way, place_of
from .choose import OrderLike, are_left_open, is_candidate
from .kernels import NoKernel, jacobians_by_kernel
from .rules import Sparse

UseKernel = Literal["auto"] | bool


class Options(NamedTuple):
    """What may be asked of a Jacobian; see :func:`jacve`."""

    has_aux: bool
    holomorphic: bool
    allow_int: bool
    sparse: Sparse
    body_order: OrderLike
    kernel: UseKernel = False
    value: bool = True  # whether the value of the function is wanted, too
    as_hessian: bool = False  # dtypes of leaves and the mode to fall back to are those of jax.jacfwd
    trial: Trial | None = None  # of somebody who wants to know


def check_sparse(sparse: Sparse) -> Sparse:
    """The choice; ValueError for none of them."""
    if isinstance(sparse, bool | np.bool_) or (isinstance(sparse, str) and sparse == "static"):
        return sparse if isinstance(sparse, str) else bool(sparse)
    raise ValueError(f"sparse must be True, False or 'static', got {sparse!r}")


def check_kernel(kernel: UseKernel, sparse: Sparse) -> UseKernel:
    """The choice, as the environment has it; ValueError for none of them, or a kernel of sparse blocks."""
    if not isinstance(kernel, bool) and not (isinstance(kernel, str) and kernel == "auto"):
        raise ValueError(f"kernel must be True, False or 'auto', got {kernel!r}")
    if kernel is True and sparse:
        raise ValueError("kernel=True gives arrays, and sparse=True blocks; leave one of them out")
    return False if kernel == "auto" and not is_candidate("kernels") else kernel


#: The values of outputs, and their rows of blocks or arrays.
_Found = tuple[list[Any], Any]


def by_some_way(application: Application, traced: Traced, order: OrderLike, options: Options) -> _Found:
    """The values of a function's outputs and its Jacobians, in the way that was asked for or is best.

    Args:
        application: the function and its arguments.
        traced: its program.
        order, options: what was asked for.

    Returns:
        values, None where nobody asked for them; for every differentiated output a row of blocks or arrays,
        None where they are zero.

    Raises:
        Inexpressible: when there is no way but JAX's own mode for the whole function.
        NoWay: when the way that is tried is none.
        TypeError: when a kernel was asked for, and there is none.
    """
    return _by_known_way(traced, order, options) or _by_best(application, traced, order, options)


def _by_known_way(traced: Traced, order: OrderLike, options: Options) -> _Found | None:
    """The way that somebody tries, or that was measured to be the fastest where nothing is said."""
    asked = traced.numbering, traced.num_outputs, traced.values
    if options.trial is not None:
        options.trial.place = place_of(*asked)
        if options.trial.way is not None:
            return _by_way(options.trial.way, asked, options)
    if options.kernel != "auto" or options.sparse or not are_left_open(order, options.body_order):
        return None
    way = fastest_way(*asked)
    try:
        found = None if way is None else _by_way(way, asked, options)
    except (NoWay, ValueError):  # what was found once holds no more
        return None
    name = way if isinstance(way, str) else "order"
    return found and _noted(str(name), "It was measured to be the fastest.", found, options)


#: Longer kernels, in expressions, take too long to compile to be tried unless one asks for them.
_WORTH_TRYING = 6_000


def _by_way(way: Chosen, asked: tuple[Numbering, int, list[Any]], options: Options) -> _Found:
    """One of the ways to a Jacobian; raises NoWay where it is none."""
    if way == "kernel":
        try:
            return jacobians_by_kernel(
                *asked, "auto", with_values=options.value, insist=True, limit=_WORTH_TRYING
            )
        except NoKernel as reason:
            raise NoWay(f"there is no kernel: {reason}") from reason
    if way in ("jacfwd", "jacrev"):
        return jacobians_by_mode(way, *asked)
    return jacobians_by_arrays(*asked, way, body_order="auto")


def _by_best(application: Application, traced: Traced, order: OrderLike, options: Options) -> _Found:
    """The way that is taken to be the best one of those that are not excluded."""
    found = _by_kernel(traced, order, options)
    if found is not None:
        return _noted("kernel", "It compiles no slower than operations on arrays.", found, options)
    found = _by_reverse_mode(application, traced, order, options)
    if found is not None:
        return _noted("jacrev", "It is the gradient of a number.", found, options)
    found = _by_rows(traced, order, options)
    if found is not None:
        return _noted("rows", "A kernel goes over what is the same for many rows.", found, options)
    name, why, found = jacobians_without_kernel(
        *_asked(traced, order), body_order=options.body_order, sparse=options.sparse
    )
    return _noted(name, why, found, options)


def _by_rows(traced: Traced, order: OrderLike, options: Options) -> _Found | None:
    """Sparse Jacobians with a kernel for what is done to many rows; None where there is none."""
    if options.kernel is False or not options.sparse or not are_left_open(order, options.body_order):
        return None
    return jacobians_by_rows(traced.numbering, traced.num_outputs, traced.values, options.sparse)


def _noted(name: str, why: str, found: _Found, options: Options) -> _Found:
    if options.trial is not None:
        options.trial.taken = name
        options.trial.reasons.append(why)
    return found


def _asked(traced: Traced, order: OrderLike) -> tuple[Any, int, list[Any], OrderLike]:
    """What all ways to a Jacobian take first."""
    return traced.numbering, traced.num_outputs, traced.values, order


def _by_reverse_mode(
    application: Application, traced: Traced, order: OrderLike, options: Options
) -> _Found | None:
    """The gradient of a number as JAX takes it; None for other functions, and where it may not be finite."""
    asked_otherwise = options.sparse or options.has_aux or not are_left_open(order, options.body_order)
    if asked_otherwise or not is_candidate("modes") or not suits_reverse_mode(application, traced):
        return None
    try:
        result, rows, _ = by_reverse_mode(application)
    except NO_PULLBACK:
        return None
    return jax.tree.leaves(result), rows


def _by_kernel(traced: Traced, order: OrderLike, options: Options) -> _Found | None:
    """None where there is no kernel; values of outputs that nobody asked for may be None."""
    if options.kernel is False or options.sparse:
        return None
    try:
        return jacobians_by_kernel(
            *_asked(traced, order),
            body_order=options.body_order,
            with_values=options.value,
            insist=options.kernel is True,
        )
    except NoKernel as reason:
        if options.trial is not None:
            options.trial.reasons.append(f"There is no kernel: {reason}.")
        if options.kernel is not True:
            return None
        raise TypeError(
            f"there is no kernel for this Jacobian: {reason}; kernel='auto' does without if need be"
        ) from reason
