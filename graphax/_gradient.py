"""Gradients of scalar functions: the functions whose Jacobians are Hessians."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax

from ._application import Application, Traced
from ._arguments import Argnums, check_callable
from ._fallback import refusing
from ._jacobian import by_elimination
from ._pullback import NO_PULLBACK, pulled_back
from ._reverse_mode import by_reverse_mode, differentiated, has_reverse_mode
from ._ways import Options
from .rules import Inexpressible, zeros_are_spoilt


def gradient(
    fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """The gradient as :func:`graphax.hessve` takes it: the Jacobian of a scalar function in reverse order.

    That is ``jax.grad``, with two exceptions. Where the function leaves out entries that need not be finite
    (``where(x > 0, log(x), 0)``, ``sqrt(x)[0]``), what is left out stays zero whatever it meets, as in
    ``jax.jacfwd``, by reverse accumulation on blocks. And where JAX cannot pull back (``while_loop``), or a
    result is no scalar, it is ``jacve(fun, order="reverse")``.

    Args:
        fun, argnums, has_aux, holomorphic: as for :func:`graphax.hessve`.

    Returns:
        a function with the arguments of ``fun`` that returns a pytree shaped like the result, whose leaves
        are pytrees shaped like the differentiated arguments; with ``has_aux`` a pair of it and the auxiliary
        data.

    Raises:
        TypeError, ValueError: as :func:`graphax.jacve`.

    Example:
        >>> f = lambda x: jnp.sum(jnp.sin(x) ** 2)
        >>> gradient = graphax.gradient(f)
        >>> bool(jnp.allclose(gradient(jnp.ones(2)), jax.grad(f)(jnp.ones(2))))
        True
        >>> graph = graphax.trace(gradient)(jnp.ones(2))  # the graph that hessve(f) eliminates
        >>> len(graph.eliminable)
        4
    """
    found = expressible_gradient(fun, argnums, has_aux, holomorphic)

    @functools.wraps(fun)
    def gradient_of_fun(*args: Any, **kwargs: Any) -> Any:
        with refusing():
            return found(*args, **kwargs)

    return gradient_of_fun


def expressible_gradient(
    fun: Callable[..., Any], argnums: Argnums, has_aux: bool, holomorphic: bool
) -> Callable[..., Any]:
    """As :func:`gradient`, for those who fall back: it may raise :class:`Inexpressible`."""
    check_callable(fun)
    options = Options(has_aux, holomorphic, allow_int=False, sparse=False, body_order="reverse")
    kind = np.complexfloating if holomorphic else np.floating

    @functools.wraps(fun)
    def gradient_of_fun(*args: Any, **kwargs: Any) -> Any:
        application = Application.of(fun, argnums, has_aux, False, args, kwargs)
        try:
            traced = application.trace()
        except Inexpressible as reason:
            return _pulled_by_jax(application, reason)

        def eliminated() -> Any:
            value, jacobian = by_elimination(application, traced, "reverse", options)
            return (jacobian, value[1]) if has_aux else jacobian

        numbers = all(not leaf.shape and jax.numpy.issubdtype(leaf.dtype, kind) for leaf in traced.out_types)
        if not (numbers and has_reverse_mode(traced.numbering)):
            return eliminated()
        try:
            if zeros_are_spoilt(differentiated(traced), traced.numbering.active):
                return _pulled_by_blocks(application, traced)
        except Inexpressible:
            pass
        try:
            return _pulled_by_jax(application)
        except NO_PULLBACK:
            return eliminated()

    return gradient_of_fun


def _pulled_by_jax(application: Application, reason: Inexpressible | None = None) -> Any:
    """The gradient in JAX's way. Of what is no scalar there is none: the reason to come here is raised."""
    result, rows, aux = by_reverse_mode(application, unless=reason)
    found = jax.tree.unflatten(jax.tree.structure(result), map(application.arg_tree.unflatten, rows))
    return (found, aux) if application.has_aux else found


def _pulled_by_blocks(application: Application, traced: Traced) -> Any:
    seeds = [
        [lax.full((), int(at == to), kind.dtype) for to, kind in enumerate(traced.out_types)]
        for at in range(traced.num_outputs)
    ]
    results, pulled = pulled_back(traced.numbering, traced.values, seeds)
    found = traced.out_tree.unflatten(application.arg_tree.unflatten(row) for row in pulled)
    if not application.has_aux:
        return found
    return found, traced.aux.joined(results[traced.num_outputs :])
