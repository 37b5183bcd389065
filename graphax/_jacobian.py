"""Jacobians by vertex elimination: pytrees in, pytrees out."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax

from ._elimination import OpCount, accumulate, order_cost
from ._graph import ComputationalGraph, abstract_graph, build_graph
from ._linearize import linearize
from ._numbering import Numbering, number_vertices
from ._trace import trace_program
from .orders import OrderLike, resolve_order
from .sparse import Block, UnitEdges, identity_block

Argnums = int | Sequence[int]


def jacve(
    fun: Callable[..., Any] | None = None,
    order: OrderLike = "reverse",
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    body_order: OrderLike = "reverse",
) -> Callable[..., Any]:
    """The Jacobian of a function, accumulated by vertex elimination.

    Stands where ``jax.jacfwd`` or ``jax.jacrev`` stood, and gives the same results, tree structures and
    dtypes: for every order the exact Jacobian, at a cost that the order decides.

    Args:
        fun: the function; its differentiated arguments and its result are pytrees of real floating arrays.
            Left out, a decorator is returned: ``@jacve(order="markowitz")``.
        order: ``"forward"``, ``"reverse"``, ``"markowitz"``, a sequence of vertex numbers as
            :func:`graphax.trace` prints them, or an order from :func:`graphax.load_order`.
        argnums: which positional arguments to differentiate, an integer or a sequence of integers.
        has_aux: whether ``fun`` returns a pair of the result and auxiliary data.
        body_order: the order in which the bodies of loops are eliminated, as ``order``; a sequence holds the
            vertex numbers of the body's own program.

    Returns:
        a function with the arguments of ``fun`` that returns the Jacobian: a pytree shaped like the result
        whose leaves are pytrees shaped like the differentiated arguments (a tuple of them if ``argnums`` is
        a sequence), whose leaves are arrays of shape ``result.shape + argument.shape``. With ``has_aux`` a
        pair of the Jacobian and the auxiliary data.

    Raises:
        TypeError: when a differentiated argument or the result is not real floating, or a primitive
            cannot be differentiated.
        ValueError: when the order does not fit the function, or an argnum is out of range.

    Vertex elimination: A. Griewank and A. Walther, *Evaluating Derivatives*, 2nd ed., SIAM 2008, chapter 9.
    """
    if fun is None:
        return functools.partial(jacve, order=order, argnums=argnums, has_aux=has_aux, body_order=body_order)
    evaluate = value_and_jacve(fun, order, argnums, has_aux=has_aux, body_order=body_order)

    @functools.wraps(fun)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        value, result = evaluate(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return jacobian


def value_and_jacve(
    fun: Callable[..., Any] | None = None,
    order: OrderLike = "reverse",
    argnums: Argnums = 0,
    *,
    has_aux: bool = False,
    body_order: OrderLike = "reverse",
) -> Callable[..., Any]:
    """The value and the Jacobian of a function, from one evaluation.

    Args and errors are those of :func:`jacve`.

    Returns:
        a function that returns ``(value, jacobian)``, or ``((value, aux), jacobian)`` with ``has_aux``.
    """
    if fun is None:
        return functools.partial(
            value_and_jacve, order=order, argnums=argnums, has_aux=has_aux, body_order=body_order
        )
    if not callable(fun):
        raise TypeError(f"jacve differentiates a function, got {type(fun).__name__}")

    @functools.wraps(fun)
    def value_and_jacobian(*args: Any, **kwargs: Any) -> Any:
        traced = _trace(fun, argnums, has_aux, args, kwargs)
        results, blocks = linearize(traced.numbering, traced.values, body_order)
        graph, blocks = build_graph(traced.numbering, traced.num_outputs, blocks)
        vertices = resolve_order(graph, order)
        with jax.named_scope("accumulate"):
            jacobians = accumulate(graph, blocks, vertices)
        jacobian = _assemble(traced, graph, jacobians, results)
        leaves = [_as_array(leaf) for leaf in results]
        value = jax.tree.unflatten(traced.out_tree, leaves[: traced.num_outputs])
        if has_aux:
            value = (value, jax.tree.unflatten(traced.aux_tree, leaves[traced.num_outputs :]))
        return value, jacobian

    return value_and_jacobian


def trace(
    fun: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False
) -> Callable[..., ComputationalGraph]:
    """The computational graph of a function.

    Args:
        fun: the function.
        argnums: the differentiated positional arguments.
        has_aux: whether ``fun`` returns a pair of the result and auxiliary data.

    Returns:
        a function with the arguments of ``fun`` (arrays, or anything with a shape and a dtype) that returns
        the :class:`graphax.ComputationalGraph`: print it to read the vertex numbers.

    Raises:
        TypeError, ValueError: as :func:`jacve`.
    """

    def traced(*args: Any, **kwargs: Any) -> ComputationalGraph:
        found = _trace(fun, argnums, has_aux, args, kwargs)
        return abstract_graph(found.numbering, found.num_outputs)

    return traced


def count_ops(
    fun: Callable[..., Any],
    order: OrderLike = "reverse",
    argnums: Argnums = 0,
    unit_edges: UnitEdges = "free",
) -> Callable[..., OpCount]:
    """What accumulating a Jacobian in some order costs; no array is computed.

    Args:
        fun: the function.
        order: as for :func:`jacve`.
        argnums: the differentiated positional arguments.
        unit_edges: ``"free"`` counts what is executed; ``"counted"`` follows the published tables, in which
            the edges of additions, negations and sums hold explicit ones that are multiplied like any number.
            ``order="markowitz"`` compares costs in the same convention.

    Returns:
        a function with the arguments of ``fun`` that returns an :class:`graphax.OpCount`.

    Raises:
        TypeError, ValueError: as :func:`jacve`; also for another word for ``unit_edges``.
    """

    def count(*args: Any, **kwargs: Any) -> OpCount:
        graph = trace(fun, argnums)(*args, **kwargs)
        return order_cost(graph, resolve_order(graph, order, unit_edges), unit_edges)

    return count


class _Traced(NamedTuple):
    """A traced function and the values that it is to be linearised at."""

    numbering: Numbering
    values: list[Any]
    num_outputs: int  # differentiated output leaves; auxiliary ones follow them
    out_tree: Any
    aux_tree: Any
    arg_tree: Any  # of the differentiated argument, or of the tuple of them
    arg_types: list[Any]  # of its leaves


def _trace(
    fun: Callable[..., Any], argnums: Argnums, has_aux: bool, args: Sequence[Any], kwargs: Any
) -> _Traced:
    positions, single = _positions(argnums, len(args))
    wrt = args[positions[0]] if single else tuple(args[at] for at in positions)
    _check_inputs(wrt)
    wrt_leaves, arg_tree = jax.tree.flatten(wrt)
    wrt_leaves = [_as_array(leaf) for leaf in wrt_leaves]
    # Other arguments are traced if they are arrays, so that the graph does not depend on their values;
    # Python scalars, strings and the like stay as they are.
    rest = [None if at in positions else arg for at, arg in enumerate(args)]
    rest_leaves, rest_tree = jax.tree.flatten((rest, kwargs))
    is_array = [hasattr(leaf, "shape") and hasattr(leaf, "dtype") for leaf in rest_leaves]
    arrays = [_as_array(leaf) for leaf, array in zip(rest_leaves, is_array, strict=True) if array]
    aux_tree = None

    def flat(wrt_values: list[Any], array_values: list[Any]) -> Any:
        nonlocal aux_tree
        remaining = iter(array_values)
        leaves = [
            next(remaining) if array else leaf for leaf, array in zip(rest_leaves, is_array, strict=True)
        ]
        values, keywords = jax.tree.unflatten(rest_tree, leaves)
        moving = jax.tree.unflatten(arg_tree, wrt_values)
        for at, value in zip(positions, (moving,) if single else moving, strict=True):
            values[at] = value
        result = fun(*values, **keywords)
        if not has_aux:
            return result, ()
        if not isinstance(result, tuple) or len(result) != 2:
            raise TypeError(
                "with has_aux=True the function must return a pair (result, auxiliary data), "
                f"got {type(result).__name__}"
            )
        return result

    program, (shapes, aux_shapes) = trace_program(flat, wrt_leaves, arrays)
    out_leaves, out_tree = jax.tree.flatten(shapes)
    _, aux_tree = jax.tree.flatten(aux_shapes)
    _check_outputs(out_leaves)
    numbering = number_vertices(program, range(len(wrt_leaves)), len(out_leaves))
    return _Traced(
        numbering,
        [*wrt_leaves, *arrays],
        len(out_leaves),
        out_tree,
        aux_tree,
        arg_tree,
        [variable.aval for variable in program.inputs[: len(wrt_leaves)]],
    )


def _positions(argnums: Argnums, num_args: int) -> tuple[tuple[int, ...], bool]:
    single = not isinstance(argnums, Iterable)
    try:
        given = tuple(operator.index(at) for at in ((argnums,) if single else argnums))
    except TypeError:
        raise TypeError(f"argnums must be an integer or a sequence of integers, got {argnums!r}") from None
    positions = tuple(at + num_args if at < 0 else at for at in given)
    for at, position in zip(given, positions, strict=True):
        if not 0 <= position < num_args:
            raise ValueError(
                f"argnums names argument {at}, but the function was called with "
                f"{num_args} positional arguments"
            )
    if len(set(positions)) != len(positions):
        raise ValueError(f"argnums names an argument twice: {given}")
    return positions, single


def _check_inputs(wrt: Any) -> None:
    for path, leaf in jax.tree.leaves_with_path(wrt):
        try:
            dtype = jax.numpy.result_type(leaf)
        except TypeError:
            dtype = None
        if dtype is None or not jax.numpy.issubdtype(dtype, np.floating):
            place = jax.tree_util.keystr(path)
            what = f"dtype {dtype}" if dtype is not None else f"type {type(leaf).__name__}"
            raise TypeError(
                "jacve differentiates with respect to real floating arrays; a differentiated argument has "
                f"{what}{place and f' at {place}'}; convert it, or leave it out of argnums"
            )


def _check_outputs(leaves: Sequence[Any]) -> None:
    for leaf in leaves:
        if not jax.numpy.issubdtype(leaf.dtype, np.floating):
            raise TypeError(
                "jacve differentiates functions with real floating results, but one leaf of the result has "
                f"dtype {leaf.dtype}; convert it, or return it as auxiliary data with has_aux=True"
            )


def _assemble(traced: _Traced, graph: ComputationalGraph, jacobians: Any, results: list[Any]) -> Any:
    """The dense Jacobian as a pytree of pytrees."""
    rows = []
    for at, node in enumerate(graph.outputs):
        out_shape = np.shape(results[at])
        row = []
        for wrt, aval in zip(graph.inputs, traced.arg_types, strict=True):
            block: Block | None
            if node == wrt:
                block = identity_block(out_shape)
            else:
                block = jacobians.get(node, {}).get(wrt)
            if block is None:
                row.append(lax.full(out_shape + aval.shape, 0, aval.dtype))
            else:
                row.append(block.todense(aval.dtype))
        rows.append(jax.tree.unflatten(traced.arg_tree, row))
    return jax.tree.unflatten(traced.out_tree, rows)


def _as_array(leaf: Any) -> Any:
    """Python numbers and NumPy arrays become JAX arrays; abstract values stay what they are."""
    return leaf if isinstance(leaf, jax.Array | jax.ShapeDtypeStruct) else jax.numpy.asarray(leaf)
