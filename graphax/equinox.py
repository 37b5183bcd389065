"""Jacobians of functions of Equinox modules."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax

from ._arguments import as_pair, check_has_aux, order_may_come_second
from ._jacobian import jacve
from ._ways import UseKernel, check_kernel, check_sparse
from .choose import OrderLike
from .rules import Sparse

try:
    import equinox as eqx
except ModuleNotFoundError as error:
    raise ImportError(
        "graphax.equinox needs Equinox, which is not installed: pip install 'alphagrad[train]'"
    ) from error

__all__ = ["filter_jacve"]


@order_may_come_second
def filter_jacve(
    fun: Callable[..., Any] | None = None,
    has_aux: bool = False,
    *,
    order: OrderLike = "auto",
    holomorphic: bool = False,
    sparse: Sparse = False,
    kernel: UseKernel = "auto",
) -> Callable[..., Any]:
    """The Jacobian with respect to all floating and complex arrays of the first argument.

    Stands where ``equinox.filter_jacfwd`` or ``equinox.filter_jacrev`` stood. Everything else in the first
    argument, and every other argument, is passed on as it is: integer arrays, numbers, functions, flags.

    Args:
        fun: the function; its first argument and its result are any pytrees, Equinox modules among them.
        has_aux: whether ``fun`` returns a pair of the result and auxiliary data, which may be anything.
        order: as for :func:`graphax.jacve`.
        holomorphic: a promise that ``fun`` is holomorphic, as for :func:`graphax.jacve`.
        sparse: whether leaves are :class:`graphax.sparse.Block`, as for :func:`graphax.jacve`.
        kernel: whether the Jacobian becomes one compiled kernel, as for :func:`graphax.jacve`.

    Returns:
        a function with the arguments of ``fun`` that returns the Jacobian: a pytree shaped like the result
        whose leaves are pytrees shaped like the first argument, with arrays of shape
        ``result.shape + argument.shape``, and None for every leaf of either that is not differentiated. With
        ``has_aux`` a pair of the Jacobian and the auxiliary data.

    Raises:
        TypeError, ValueError: as :func:`graphax.jacve`; also when ``fun`` is called without a positional
            argument, or has no floating or complex array in its result.

    Example:
        >>> import equinox as eqx, graphax.equinox
        >>> linear = eqx.nn.Linear(3, 2, key=jax.random.key(0))
        >>> jacobian = graphax.equinox.filter_jacve(lambda module, x: module(x))(linear, jnp.ones(3))
        >>> jacobian.weight.shape, jacobian.bias.shape
        ((2, 2, 3), (2, 2))
    """
    check_has_aux(has_aux)
    check_kernel(kernel, check_sparse(sparse))
    if not callable(fun):
        raise TypeError(f"filter_jacve differentiates a function, got {type(fun).__name__}")

    @functools.wraps(fun)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        if not args:
            raise TypeError(
                "filter_jacve differentiates with respect to the first argument: pass it by position"
            )
        moving, still = eqx.partition(args[0], eqx.is_inexact_array)

        @functools.wraps(fun)
        def of_arrays(moving: Any, *rest: Any, **kwargs: Any) -> Any:
            result = fun(eqx.combine(moving, still), *rest, **kwargs)
            result, aux = as_pair(result) if has_aux else (result, None)
            result = eqx.filter(result, _is_inexact)
            if not jax.tree.leaves(result):
                raise TypeError(
                    "filter_jacve differentiates functions with floating or complex arrays in their result, "
                    "but there are none"
                )
            return (result, aux) if has_aux else result

        evaluate = jacve(
            of_arrays, has_aux=has_aux, holomorphic=holomorphic, order=order, sparse=sparse, kernel=kernel
        )
        return evaluate(moving, *args[1:], **kwargs)

    return jacobian


def _is_inexact(leaf: Any) -> bool:
    return eqx.is_inexact_array(leaf) or isinstance(leaf, float | complex)
