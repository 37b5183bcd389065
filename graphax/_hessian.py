"""Hessians by vertex elimination on the graph of a gradient."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ._application import Application
from ._arguments import (
    Argnums,
    argument_positions,
    as_pair,
    check_callable,
    check_has_aux,
    order_may_come_second,
)
from ._gradient import expressible_gradient
from ._jacobian import with_value, without_value
from ._staged import Staged
from ._trace import with_moving
from ._tuned import NoWay, Trial
from ._ways import Options, UseKernel, check_kernel, check_sparse
from .choose import OrderLike, are_left_open, is_candidate
from .rules import Inexpressible, Sparse, has_no_poles


@order_may_come_second
def hessve(
    fun: Callable[..., Any] | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    order: OrderLike = "auto",
    sparse: Sparse = False,
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
        sparse: whether leaves are :class:`graphax.sparse.Block`, whose output is the gradient; as for
            :func:`jacve`.
        body_order, kernel: as for :func:`jacve`.

    Returns:
        a function with the arguments of ``fun`` that returns the Hessian: a pytree shaped like the result
        whose leaves are pytrees shaped like the differentiated arguments, whose leaves are such pytrees
        again, with arrays of shape ``result.shape + argument.shape + argument.shape``. With ``has_aux`` a
        pair of the Hessian and the auxiliary data.

    Raises:
        TypeError, ValueError: as :func:`jacve`; complex arguments take ``holomorphic=True``.

    Example:
        >>> energy = lambda x: jnp.sum((x[1:] - x[:-1]) ** 2)
        >>> print(graphax.hessve(energy)(jnp.ones(3)))
        [[ 2. -2.  0.]
         [-2.  4. -2.]
         [ 0. -2.  2.]]
        >>> graphax.hessve(energy, sparse=True)(jnp.ones(1000)).nnz  # of a million entries
        2998
    """
    kernel = check_kernel(kernel, sparse)
    asked = check_sparse(sparse), body_order, kernel
    options = Options(has_aux, holomorphic, False, *asked, value=False, as_hessian=True)
    return hessian_of(check_callable(fun), argnums, order, options)


@order_may_come_second
def value_and_hessve(
    fun: Callable[..., Any] | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    *,
    order: OrderLike = "auto",
    sparse: Sparse = False,
    body_order: OrderLike = "auto",
    kernel: UseKernel = "auto",
) -> Callable[..., Any]:
    """The value, the gradient and the Hessian of a function, from one evaluation.

    That is what a step of Newton's method takes.

    Args:
        fun, argnums, has_aux, holomorphic, order, sparse, body_order, kernel: as for :func:`hessve`.

    Returns:
        a function that returns ``(value, gradient, hessian)``, or ``((value, aux), gradient, hessian)`` with
        ``has_aux``. The gradient is a pytree shaped like the value, whose leaves are pytrees shaped like the
        differentiated arguments.

    Raises:
        TypeError, ValueError: as :func:`hessve`.

    Example:
        >>> energy = lambda x: jnp.sum(x**4) + jnp.sum((x[1:] - x[:-1]) ** 2)
        >>> x = jnp.ones(100)
        >>> value, gradient, hessian = graphax.value_and_hessve(energy, sparse=True)(x)
        >>> step = -hessian.solve(gradient)
        >>> bool(energy(x + step) < value)
        True
    """
    of = check_callable(fun)
    check_has_aux(has_aux)
    kernel = check_kernel(kernel, sparse)
    asked = check_sparse(sparse), body_order, kernel
    options = Options(True, holomorphic, False, *asked, as_hessian=True)

    @functools.wraps(of)
    def with_itself(*args: Any, **kwargs: Any) -> Any:
        result = of(*args, **kwargs)
        return (as_pair(result)[0] if has_aux else result), result

    evaluate = _evaluation(with_itself, argnums, order, options)

    @functools.wraps(of)
    def value_and_hessian(*args: Any, **kwargs: Any) -> Any:
        (gradient, result), hessian = evaluate(*args, **kwargs)
        return result, gradient, hessian

    return value_and_hessian


def hessian_of(
    fun: Callable[..., Any], argnums: Argnums, order: OrderLike, options: Options
) -> Callable[..., Any]:
    """As :func:`hessve`, with options that have been checked."""
    return functools.wraps(fun)(without_value(_evaluation(fun, argnums, order, options), options.has_aux))


def _evaluation(
    fun: Callable[..., Any], argnums: Argnums, order: OrderLike, options: Options
) -> Callable[..., Any]:
    """The gradient, beside it auxiliary data if there are any, and the Hessian."""
    has_aux, holomorphic = options.has_aux, options.holomorphic
    of_gradient = expressible_gradient(fun, argnums, has_aux, holomorphic)
    plain = argnums if not isinstance(argnums, Iterable) else tuple(argnums)
    for_jax = jax.jacrev(fun, plain, has_aux, holomorphic)
    evaluate = with_value(of_gradient, argnums, order, options, for_jax)
    if are_left_open(order, options.body_order) and _is_plain(options) and is_candidate("modes"):
        evaluate = _quicker(evaluate, fun, plain, options)
    return evaluate


# JAX's forward mode, twice, is looked at for so few arguments, and where the Hessian takes longer than that
# otherwise; it is taken where it is so much faster.
_FEW, _LONG, _MARGIN = 8, 60e-6, 0.8


def _is_plain(options: Options) -> bool:
    """Whether a Hessian is asked for, and nothing else."""
    asked = options.has_aux or options.holomorphic or options.sparse or options.trial is not None
    return not asked and options.kernel is not True


def _quicker(
    pulled: Callable[..., Any], fun: Callable[..., Any], argnums: Argnums, options: Options
) -> Callable[..., Any]:
    """The Hessian from a gradient that was pulled back, or by JAX's forward mode, twice, if that is faster.

    What is pulled back through a loop goes through it twice, and keeps in arrays what every step leaves for
    the way back; both are differentiated again. Where the arguments are a few numbers, it may take less to
    push them forward, and again. Both are traced aside and estimated, where the Hessian is compiled.

    Args:
        pulled: the value and the Hessian, as :func:`with_value` gives them.
        fun, argnums, options: as for :func:`hessian_of`.
    """
    forward = options._replace(trial=Trial("jacfwd"))
    pushed = with_value(jax.jacfwd(fun, argnums), argnums, "auto", forward)

    def evaluate(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = jax.tree.flatten((args, kwargs))
        arrays = [leaf for leaf in leaves if isinstance(leaf, jax.Array)]
        if not any(isinstance(array, Tracer) for array in arrays) or _count(args, argnums) > _FEW:
            return pulled(*args, **kwargs)

        def staged(found: Callable[..., Any]) -> Staged:
            def of_arrays(*values: Any) -> Any:
                moving = [isinstance(leaf, jax.Array) for leaf in leaves]
                given, named = tree.unflatten(with_moving(leaves, moving, values))
                return found(*given, **named)

            return Staged.of(of_arrays, *arrays)

        best = staged(pulled)
        loops = any(equation.primitive.name == "scan" for equation in best.program.jaxpr.eqns)
        if loops and best.seconds > _LONG:
            with contextlib.suppress(NoWay, Inexpressible, TypeError):  # where there is no such mode
                if _has_no_poles(fun, argnums, args, kwargs):
                    other = staged(pushed)
                    if other.seconds < _MARGIN * best.seconds:
                        best = other
        return best.run()

    return evaluate


def _has_no_poles(fun: Callable[..., Any], argnums: Argnums, args: Sequence[Any], kwargs: Any) -> bool:
    """Whether the derivatives of a function are finite wherever the zeros of a tangent meet them."""
    numbering = Application.of(fun, argnums, False, False, args, kwargs).trace().numbering
    return has_no_poles(numbering.program, numbering.active)


def _count(args: Sequence[Any], argnums: Argnums) -> int:
    """How many numbers are differentiated."""
    places, _ = argument_positions(argnums, len(args))
    return sum(np.size(leaf) for at in places for leaf in jax.tree.leaves(args[at]))
