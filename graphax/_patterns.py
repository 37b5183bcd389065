"""Where the entries of Jacobians and Hessians are, from shapes alone."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import jax

from ._arguments import Argnums, check_callable
from ._gradient import gradient
from ._graph import ComputationalGraph, reachable
from ._hessian import hessve
from ._jacobian import jacve, trace
from .choose import OrderLike
from .sparse import Block, Pattern, Structure


class DenseWarning(UserWarning):
    """A Jacobian of which the pattern was asked for has no zeros, by its structure.

    It names the operations whose own Jacobians have none.
    ``warnings.filterwarnings("error", category=graphax.DenseWarning)`` makes it an error.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings():
        ...     warnings.filterwarnings("error", category=graphax.DenseWarning)
        ...     try:
        ...         graphax.jacobian_structure(lambda x: x / x.sum())(jnp.ones(3))
        ...     except graphax.DenseWarning:
        ...         print("every entry may depend on every other")
        every entry may depend on every other
    """


def jacobian_structure(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    holomorphic: bool = False,
    order: OrderLike = "auto",
) -> Callable[..., Any]:
    """Where the entries of a Jacobian are; no number is computed.

    Args:
        fun, argnums, has_aux, holomorphic, order: as for :func:`jacve`.

    Returns:
        a function with the arguments of ``fun``, arrays or their ``jax.ShapeDtypeStruct``, that returns what
        ``jacve(fun, argnums, has_aux, holomorphic, sparse="static")`` would, a
        :class:`graphax.sparse.Pattern` for every block, and nothing in the place of auxiliary data. NumPy
        arrays and Python's numbers that are not differentiated stay as they are: they may be indices, or the
        lengths of loops.

    Raises:
        TypeError, ValueError: as :func:`jacve`.

    Warns:
        DenseWarning: when there is no zero in a block of several rows and columns.

    Example:
        >>> pattern = graphax.jacobian_structure(lambda x: x[1:] * x[:-1])(jnp.ones(4))
        >>> pattern.nnz
        6
        >>> list(zip(pattern.rows.tolist(), pattern.columns.tolist()))
        [(0, 0), (0, 1), (1, 1), (1, 2), (2, 2), (2, 3)]
    """
    of = jacve(fun, argnums, has_aux, holomorphic, order=order, sparse="static")
    graph_of = trace(fun, argnums, has_aux=has_aux)
    return _structure_of(fun, of, graph_of, has_aux)


def hessian_structure(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    holomorphic: bool = False,
    order: OrderLike = "auto",
) -> Callable[..., Any]:
    """Where the entries of a Hessian are; no number is computed.

    Args:
        fun, argnums, has_aux, holomorphic, order: as for :func:`hessve`.

    Returns:
        a function with the arguments of ``fun``, arrays or their ``jax.ShapeDtypeStruct``, that returns what
        ``hessve(fun, argnums, has_aux, holomorphic, sparse="static")`` would, a
        :class:`graphax.sparse.Pattern` for every block; as for :func:`jacobian_structure`.

    Raises:
        TypeError, ValueError: as :func:`hessve`.

    Warns:
        DenseWarning: when there is no zero in a block of several rows and columns.

    Example:
        >>> energy = lambda x: jnp.sum((x[1:] - x[:-1]) ** 4)  # springs between neighbours
        >>> graphax.hessian_structure(energy)(jnp.ones(5)).nnz  # of 25: a tridiagonal matrix
        13
    """
    of = hessve(fun, argnums, has_aux, holomorphic, order=order, sparse="static")
    graph_of = trace(gradient(fun, argnums, has_aux, holomorphic), argnums, has_aux=has_aux)
    return _structure_of(fun, of, graph_of, has_aux)


def _structure_of(
    fun: Callable[..., Any],
    of: Callable[..., Any],
    graph_of: Callable[..., ComputationalGraph],
    has_aux: bool,
) -> Callable[..., Any]:
    """A function that returns the patterns of the blocks that another one returns.

    Args:
        fun: the user's function.
        of: its Jacobian or its Hessian, of blocks.
        graph_of: its graph.
        has_aux: whether these return auxiliary data, too.
    """
    check_callable(fun)

    @functools.wraps(fun)
    def structure(*args: Any, **kwargs: Any) -> Any:
        leaves, tree = jax.tree.flatten((args, kwargs))
        abstract = [
            at for at, leaf in enumerate(leaves) if isinstance(leaf, jax.Array | jax.ShapeDtypeStruct)
        ]

        def blocks(*values: Any) -> Any:
            given = dict(zip(abstract, values, strict=True))
            args, kwargs = tree.unflatten([given.get(at, leaf) for at, leaf in enumerate(leaves)])
            found = of(*args, **kwargs)
            return found[0] if has_aux else found

        types = [jax.ShapeDtypeStruct(leaves[at].shape, leaves[at].dtype) for at in abstract]
        found = jax.eval_shape(blocks, *types)
        patterns = jax.tree.map(Pattern.of, found, is_leaf=_is_block)
        full = [name for name, pattern in _named(patterns) if _is_full(pattern)]
        if full:
            causes = _dense_operations(graph_of(*args, **kwargs))
            where = (
                f"the Jacobians of {', '.join(causes)} have none"
                if causes
                else ("no operation by itself is dense, but their product is")
            )
            warnings.warn(f"there are no zeros in {', '.join(full)}: {where}", DenseWarning, stacklevel=2)
        return patterns

    return structure


def _is_block(leaf: Any) -> bool:
    return isinstance(leaf, Block)


def _named(patterns: Any) -> list[tuple[str, Pattern]]:
    leaves = jax.tree.leaves_with_path(patterns)
    return [(f"the block{jax.tree_util.keystr(path)}", pattern) for path, pattern in leaves]


def _is_full(pattern: Pattern | Structure) -> bool:
    """Whether there are several rows and columns, and no zero."""
    if isinstance(pattern, Structure):
        sides = math.prod(pattern.out_shape), math.prod(pattern.in_shape)
        if min(sides) < 2 or sum(math.prod(term.sizes) for term in pattern.terms) < math.prod(sides):
            return False
        pattern = Pattern.of(pattern)
    return min(pattern.matrix_shape) > 1 and pattern.nnz == math.prod(pattern.matrix_shape)


def _dense_operations(graph: ComputationalGraph) -> list[str]:
    """The operations of a graph that have a local Jacobian without zeros, and their lines."""
    down = reachable(graph.inputs, graph.edges)
    full = {target for (source, target), found in graph.edges.items() if source in down and _is_full(found)}
    number = graph.numbering.number
    return [
        f"'{equation.primitive.name}' ({equation.source})"
        for equation in graph.numbering.program.equations
        if any(number.get(output) in full for output in equation.outputs)
    ]
