"""Diagonals and traces of Hessians, without what is beside them."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax import lax
from jax.core import Tracer

from ._accumulate import InnerJacobians
from ._application import Application, Traced
from ._arguments import Argnums, check_callable, check_has_aux, order_may_come_second
from ._elimination import Elimination, accumulate
from ._fallback import refusing, with_one_warning
from ._gradient import expressible_gradient
from ._graph import ComputationalGraph, build_graph
from ._linearize import linearize
from ._matrix_free import jacobians_without_matrices
from ._staged import Staged
from ._trace import is_complex, usual_promotion
from .choose import OrderLike, are_left_open, resolve_order
from .sparse import Block


@order_may_come_second
def hessian_diagonal(
    fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, *, order: OrderLike = "auto"
) -> Callable[..., Any]:
    """The second derivatives of a function with respect to each single entry of its arguments.

    They are the diagonal of :func:`hessve`, and take less: the vertices that come last in the order are not
    eliminated. Through them only the products are computed that stand on the diagonal, so that there is no
    matrix with a row and a column for every entry.

    Args:
        fun: a function of real arrays that returns a real number.
        argnums, has_aux, order: as for :func:`hessve`.

    Returns:
        a function with the arguments of ``fun`` that returns the diagonal, shaped like the differentiated
        argument (or a tuple of such); with ``has_aux`` a pair of it and the auxiliary data.

    Raises:
        TypeError, ValueError: as :func:`hessve`; also where the result is no real number, an argument is
            complex, or elimination cannot express the function.

    Example:
        >>> print(graphax.hessian_diagonal(lambda x: (x**3).sum())(jnp.array([1.0, 2.0])))
        [ 6. 12.]
        >>> field = lambda point: jnp.sin(point[0]) * point[1] ** 2
        >>> jax.vmap(graphax.hessian_diagonal(field))(jnp.ones((5, 2))).shape  # at five points
        (5, 2)
    """
    evaluate = _diagonals(fun, argnums, has_aux, order)

    @functools.wraps(fun)
    def diagonal(*args: Any, **kwargs: Any) -> Any:
        leaves, tree, aux = evaluate(*args, **kwargs)
        found = tree.unflatten(leaves)
        return (found, aux) if has_aux else found

    return diagonal


@order_may_come_second
def laplacian(
    fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, *, order: OrderLike = "auto"
) -> Callable[..., Any]:
    """The sum of the second derivatives of a function: the trace of its Hessian.

    Args:
        fun, argnums, has_aux, order: as for :func:`hessian_diagonal`.

    Returns:
        a function with the arguments of ``fun`` that returns a number; with ``has_aux`` a pair of it and the
        auxiliary data.

    Raises:
        TypeError, ValueError: as :func:`hessian_diagonal`.

    Example:
        >>> u = lambda point: (point**2).sum()  # solves Poisson's equation with the source 2 * 3
        >>> float(graphax.laplacian(u)(jnp.ones(3)))
        6.0
    """
    evaluate = _diagonals(fun, argnums, has_aux, order)

    @functools.wraps(fun)
    def trace(*args: Any, **kwargs: Any) -> Any:
        leaves, _, aux = evaluate(*args, **kwargs)
        found = functools.reduce(lax.add, [leaf.sum() for leaf in leaves])
        return (found, aux) if has_aux else found

    return trace


def _diagonals(
    fun: Callable[..., Any], argnums: Argnums, has_aux: bool, order: OrderLike
) -> Callable[..., tuple[list[Any], Any, Any]]:
    """From arguments to the diagonals of the differentiated leaves, the tree of these, and auxiliary data."""
    check_callable(fun)
    check_has_aux(has_aux)
    of_gradient = expressible_gradient(fun, argnums, has_aux, False)

    def evaluate(*args: Any, **kwargs: Any) -> tuple[list[Any], Any, Any]:
        def compute() -> tuple[list[Any], Any, Any]:
            application = Application.of(of_gradient, argnums, has_aux, False, args, kwargs)
            traced = application.trace()
            _check_types(application, traced)
            with usual_promotion():
                results, leaves = _quickest(traced, order)
            aux = traced.aux.joined(results[traced.num_outputs :]) if has_aux else None
            return leaves, application.arg_tree, aux

        with refusing():
            return with_one_warning(compute)

    return evaluate


def _check_types(application: Application, traced: Traced) -> None:
    for name, kind in zip(application.arg_names, application.arg_types, strict=True):
        if is_complex(kind):
            raise TypeError(
                f"diagonals of Hessians are those of real arguments, but {name} has dtype {kind.dtype}"
            )
    shapes = [[kind.shape for kind in kinds] for kinds in (application.arg_types, traced.out_types)]
    if shapes[0] != shapes[1] or any(map(is_complex, traced.out_types)):
        raise TypeError(
            "a Hessian has a diagonal where the function returns one real number; differentiate its entries "
            "one by one, or sum them up"
        )


# Sums of products entry by entry, for so few entries, take as long as a product of matrices.
_FEW = 8


def _quickest(traced: Traced, order: OrderLike) -> tuple[list[Any], list[Any]]:
    """The results of the gradient and the diagonals, by what is estimated to be faster if it is compiled."""
    left_open = are_left_open(order, "auto")
    if left_open and sum(math.prod(kind.shape) for kind in traced.out_types) <= _FEW:
        return _of_jacobians(traced, traced.values)
    if not left_open or not any(isinstance(value, Tracer) for value in traced.values):
        return _without_products(traced, order, traced.values)
    ways = [
        Staged.of(lambda *values: _without_products(traced, order, values), *traced.values),
        Staged.of(lambda *values: _of_jacobians(traced, values), *traced.values),
    ]
    return min(ways, key=lambda way: way.seconds).run()


def _of_jacobians(traced: Traced, values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """All of the Hessian's blocks on the diagonal, and what stands on theirs."""
    results, rows = jacobians_without_matrices(traced.numbering, traced.num_outputs, values)
    own = [row[at] for at, row in enumerate(rows)]
    return results, [
        lax.full(kind.shape, 0, kind.dtype) if block is None else block.astype(kind.dtype).diagonal()
        for block, kind in zip(own, traced.out_types, strict=True)
    ]


def _without_products(traced: Traced, order: OrderLike, values: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The last vertices of an order stay, and of the products through them the diagonals are taken."""
    numbering = traced.numbering
    results, blocks = linearize(numbering, values, InnerJacobians("auto"))
    graph, blocks = build_graph(numbering, traced.num_outputs, blocks)
    vertices = resolve_order(graph, order)
    kept = _last_apart(graph, vertices)
    with jax.named_scope("accumulate"):
        found = accumulate(blocks, graph.output_vertices, vertices[: len(vertices) - len(kept)])
        return results, [
            _diagonal(found, kept, node, source, kind)
            for node, source, kind in zip(graph.outputs, graph.inputs, traced.out_types, strict=True)
        ]


def _diagonal(
    edges: Mapping[int, Mapping[int, Block]], kept: Sequence[int], node: int | None, source: int, kind: Any
) -> Any:
    """The diagonal of the Jacobian of a node with respect to an input, past the vertices that are left."""
    if node == source:
        return lax.full(kind.shape, 1, kind.dtype)
    found = lax.full(kind.shape, 0, kind.dtype)
    arriving = {} if node is None else edges.get(node, {})
    if source in arriving:
        found = lax.add(found, arriving[source].astype(kind.dtype).diagonal())
    for vertex in kept:
        inner = edges.get(vertex, {}).get(source)
        if vertex in arriving and inner is not None:
            products = arriving[vertex].astype(kind.dtype) * inner.astype(kind.dtype).T
            rank = len(kind.shape)
            found = lax.add(found, products.sum(tuple(range(rank, products.ndim))))
    return found


def _last_apart(graph: ComputationalGraph, order: Sequence[int]) -> tuple[int, ...]:
    """The most vertices at the end of an order between which no edge is left when their turn comes."""
    rest = Elimination(dict.fromkeys(graph.edges, True), graph.output_vertices)
    for at, vertex in enumerate(order):
        last = order[at:]
        if not any(other in rest.out.get(one, {}) for one in last for other in last):
            return tuple(last)
        rest.eliminate(vertex, lambda outer, inner: True, lambda left, right: True)
    return ()
