"""Hessians by vertex elimination on the graph of a gradient."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax

from ._application import Application
from ._arguments import Argnums, check_callable, order_may_come_second
from ._jacobian import Options, eliminating, with_value, without_value
from .orders import OrderLike


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
) -> Callable[..., Any]:
    """The Hessian of a function, by vertex elimination on the graph of its gradient.

    Stands where ``jax.hessian`` stood, and gives the same results, tree structures and dtypes.

    Args:
        fun: the function. Where all leaves of its result are scalars, the graph is that of ``jax.grad``;
            else, and where JAX cannot pull back (``while_loop``), it is that of its Jacobian,
            ``jacve(fun, argnums=argnums)``.
        argnums: as for :func:`jacve`.
        has_aux: whether ``fun`` returns a pair of the result and auxiliary data.
        holomorphic: a promise that ``fun`` is holomorphic, as for :func:`jacve`.
        order: as for :func:`jacve`; vertex numbers are those of that graph, which
            ``graphax.trace(jax.grad(fun))`` prints.
        sparse: whether leaves are :class:`graphax.sparse.Block`, whose output is the gradient.
        body_order: as for :func:`jacve`.

    Returns:
        a function with the arguments of ``fun`` that returns the Hessian: a pytree shaped like the result
        whose leaves are pytrees shaped like the differentiated arguments, whose leaves are such pytrees
        again, with arrays of shape ``result.shape + argument.shape + argument.shape``. With ``has_aux`` a
        pair of the Hessian and the auxiliary data.

    Raises:
        TypeError, ValueError: as :func:`jacve`; complex arguments take ``holomorphic=True``.
    """
    options = Options(has_aux, holomorphic, False, sparse, body_order, as_hessian=True)
    if fun is None:
        named = options.given()
        del named["allow_int"]
        return functools.partial(hessve, argnums=argnums, order=order, **named)
    check_callable(fun)
    gradient = _gradient(fun, argnums, has_aux, holomorphic)
    plain = argnums if not isinstance(argnums, Iterable) else tuple(argnums)
    for_jax = jax.jacrev(fun, plain, has_aux, holomorphic)
    evaluate = with_value(gradient, argnums, order, options, for_jax)
    return functools.wraps(fun)(without_value(evaluate, has_aux))


def _gradient(
    fun: Callable[..., Any], argnums: Argnums, has_aux: bool, holomorphic: bool
) -> Callable[..., Any]:
    """The Jacobian with no basis where there is none to speak of: a scalar takes one pullback."""
    options = Options(has_aux, holomorphic, allow_int=False, sparse=False, body_order="reverse")
    jacobian = without_value(eliminating(fun, argnums, "reverse", options), has_aux)
    kind = np.complexfloating if holomorphic else np.floating

    @functools.wraps(fun)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        application = Application.of(fun, argnums, has_aux, False, args, kwargs)
        of_arrays, arrays, keywords = application.of_arrays(lambda result, aux: result)
        results = jax.tree.leaves(jax.eval_shape(of_arrays, *arrays, **keywords))
        if any(leaf.shape or not jax.numpy.issubdtype(leaf.dtype, kind) for leaf in results):
            return jacobian(*args, **kwargs)

        def of_moving(moving: Sequence[Any]) -> Any:
            return application(dict(zip(application.moving, moving, strict=True)))

        moving = [application.leaves[place] for place in application.moving]
        result, pull, aux = jax.vjp(of_moving, moving, has_aux=True)
        leaves, tree = jax.tree.flatten(result)
        rows = []
        for at in range(len(leaves)):
            seeds = [lax.full_like(other, int(at == to)) for to, other in enumerate(leaves)]
            try:
                (row,) = pull(tree.unflatten(seeds))
            except (ValueError, NotImplementedError, AssertionError):
                # JAX pulls back through no `while_loop`, and through no rule that is not linear.
                return jacobian(*args, **kwargs)
            rows.append(application.arg_tree.unflatten(row))
        found = tree.unflatten(rows)
        return (found, aux) if has_aux else found

    return gradient
