"""Hessians by vertex elimination on the graph of a gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import jax

from ._arguments import Argnums, check_callable, order_may_come_second
from ._gradient import expressible_gradient
from ._jacobian import with_value, without_value
from ._ways import Options, UseKernel, check_kernel
from .choose import OrderLike


@order_may_come_second
def hessve(
    fun: Callable[..., Any] | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    order: OrderLike = "auto",
    sparse: bool = False,
    body_order: OrderLike = "auto",
    kernel: UseKernel = "auto",
) -> Callable[..., Any]:
    """The Hessian of a function, by vertex elimination on the graph of its gradient.

    Stands where ``jax.hessian`` stood, and gives the same results, tree structures and dtypes.

    Args:
        fun: the function. The graph is that of its :func:`graphax.gradient`.
        argnums: as for :func:`jacve`.
        has_aux: whether ``fun`` returns a pair of the result and auxiliary data.
        holomorphic: a promise that ``fun`` is holomorphic, as for :func:`jacve`.
        order: as for :func:`jacve`; vertex numbers are those of that graph, which
            ``graphax.trace(graphax.gradient(fun, argnums), argnums)`` prints.
        sparse: whether leaves are :class:`graphax.sparse.Block`, whose output is the gradient.
        body_order, kernel: as for :func:`jacve`.

    Returns:
        a function with the arguments of ``fun`` that returns the Hessian: a pytree shaped like the result
        whose leaves are pytrees shaped like the differentiated arguments, whose leaves are such pytrees
        again, with arrays of shape ``result.shape + argument.shape + argument.shape``. With ``has_aux`` a
        pair of the Hessian and the auxiliary data.

    Raises:
        TypeError, ValueError: as :func:`jacve`; complex arguments take ``holomorphic=True``.
    """
    kernel = check_kernel(kernel, sparse)
    options = Options(has_aux, holomorphic, False, sparse, body_order, kernel, value=False, as_hessian=True)
    return hessian_of(check_callable(fun), argnums, order, options)


def hessian_of(
    fun: Callable[..., Any], argnums: Argnums, order: OrderLike, options: Options
) -> Callable[..., Any]:
    """As :func:`hessve`, with options that have been checked."""
    has_aux, holomorphic = options.has_aux, options.holomorphic
    of_gradient = expressible_gradient(fun, argnums, has_aux, holomorphic)
    plain = argnums if not isinstance(argnums, Iterable) else tuple(argnums)
    for_jax = jax.jacrev(fun, plain, has_aux, holomorphic)
    evaluate = with_value(of_gradient, argnums, order, options, for_jax)
    return functools.wraps(fun)(without_value(evaluate, has_aux))
