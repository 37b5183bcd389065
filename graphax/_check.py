"""Jacobians checked against JAX's own products with vectors."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from ._arguments import Argnums, argument_positions, as_pair, check_callable
from ._jacobian import jacve
from ._trace import is_complex
from .sparse import Block


def check_jacobian(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    jacobian: Callable[..., Any] | None = None,
    rounds: int = 3,
    seed: int = 0,
    rtol: float | None = None,
) -> Callable[..., float]:
    """Compare a Jacobian with JAX's products of random vectors with it, on both sides.

    A product costs what an evaluation of the function costs, so that large functions can be checked, too. A
    wrong entry is found with probability one, as long as it is wrong by more than the tolerance beside the
    other entries of its row, or of its column.

    Args:
        fun, argnums, has_aux: as for :func:`jacve`; arguments and results are real.
        jacobian: what to check, a function with the arguments of ``fun``, of which leaves are arrays or
            blocks, beside auxiliary data where ``fun`` has some; if left out,
            ``jacve(fun, argnums, has_aux, sparse=True)``.
        rounds: how many random vectors are taken on each side.
        seed: of the random numbers.
        rtol: how far the products may differ, in terms of those of absolute values; the root of the machine
            epsilon of their type if left out.

    Returns:
        a function with the arguments of ``fun`` that returns the largest difference, in these terms.

    Raises:
        ValueError: when a difference is larger, with the place of the leaf; when ``rounds`` is less than one.
        TypeError: when an argument or the result is complex.

    Example:
        >>> def f(x):
        ...     return jnp.sin(x) * x[::-1]
        >>> graphax.check_jacobian(f)(jnp.arange(4.0)) < 1e-3
        True
        >>> wrong = lambda x: 2 * graphax.jacve(f)(x)
        >>> graphax.check_jacobian(f, jacobian=wrong)(jnp.arange(4.0))  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ValueError: ...

    Products with random vectors as a test of a matrix: R. Freivalds, IFIP Congress 1977.
    """
    check_callable(fun)
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    checked = jacobian or jacve(fun, argnums, has_aux, sparse=True)

    @functools.wraps(fun)
    def check(*args: Any, **kwargs: Any) -> float:
        places, single = argument_positions(argnums, len(args))
        moving = args[places[0]] if single else tuple(args[at] for at in places)
        moving = jax.tree.map(jax.numpy.asarray, moving)
        _require_real(moving, "an argument")

        def moved(values: Any) -> Any:
            given = dict(zip(places, [values] if single else values, strict=True))
            result = fun(*(given.get(at, arg) for at, arg in enumerate(args)), **kwargs)
            return as_pair(result)[0] if has_aux else result

        found = checked(*args, **kwargs)
        result, pull = jax.vjp(moved, moving)
        _require_real(result, "the result")
        rows = jax.tree.structure(result).flatten_up_to(as_pair(found)[0] if has_aux else found)
        entries = [jax.tree.structure(moving).flatten_up_to(row) for row in rows]
        random, worst = np.random.default_rng(seed), 0.0
        for _ in range(rounds):
            tangent, cotangent = (jax.tree.map(_drawn(random), side) for side in (moving, result))
            _, pushed = jax.jvp(moved, (moving,), (tangent,))
            (pulled,) = pull(cotangent)
            forward = _differences(entries, tangent, pushed, _push, "the result", rtol)
            columns = [list(column) for column in zip(*entries, strict=True)]
            backward = _differences(columns, cotangent, pulled, _pull, "the argument", rtol)
            worst = max(worst, forward, backward)
        return worst

    return check


def _require_real(tree: Any, what: str) -> None:
    for leaf in jax.tree.leaves(tree):
        if is_complex(leaf):
            raise TypeError(
                f"check_jacobian checks derivatives of real arrays by real ones, but {what} has dtype "
                f"{leaf.dtype}; check the function of real and imaginary parts"
            )


def _drawn(random: np.random.Generator) -> Callable[[Any], jax.Array]:
    return lambda array: jax.numpy.asarray(random.normal(size=array.shape), array.dtype)


def _push(leaf: Any, vector: jax.Array) -> jax.Array:
    return leaf @ vector if isinstance(leaf, Block) else jax.numpy.tensordot(leaf, vector, vector.ndim)


def _pull(leaf: Any, vector: jax.Array) -> jax.Array:
    return vector @ leaf if isinstance(leaf, Block) else jax.numpy.tensordot(vector, leaf, vector.ndim)


def _differences(
    entries: list[list[Any]], vectors: Any, products: Any, apply: Any, what: str, rtol: float | None
) -> float:
    """The largest difference of a Jacobian's products from those that are expected.

    Args:
        entries: for every leaf of the products the leaves of the Jacobian that are summed over.
        vectors: what these are applied to, a pytree.
        products: what is expected, a pytree.
        apply: the product of a leaf of the Jacobian with a vector.
        what: the products are, for the error.
        rtol: what is allowed.
    """
    given, worst = jax.tree.leaves(vectors), 0.0
    for leaves, (path, wanted) in zip(entries, jax.tree.leaves_with_path(products), strict=True):
        found = sum(map(apply, leaves, given))
        kind = jax.numpy.finfo(wanted.dtype)
        scale = abs(wanted) + sum(map(apply, map(abs, leaves), map(abs, given)))
        share = float(jax.numpy.max(abs(found - wanted) / (scale + kind.tiny), initial=0))
        allowed = float(kind.eps) ** 0.5 if rtol is None else rtol
        if not share <= allowed:
            raise ValueError(
                f"the Jacobian is wrong at {what}{jax.tree_util.keystr(path)}: a product with a random "
                f"vector differs from JAX's by {share:.2g} of the sum of absolute values, "
                f"where {allowed:.2g} is allowed"
            )
        worst = max(worst, share)
    return worst
