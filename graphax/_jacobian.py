"""Jacobians and Hessians by vertex elimination: pytrees in, pytrees out."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax.extend.core import primitives

from ._arguments import (
    Argnums,
    argument_positions,
    as_pair,
    check_callable,
    check_has_aux,
    order_may_come_second,
)
from ._elimination import OpCount, accumulate, order_cost
from ._graph import ComputationalGraph, abstract_graph, build_graph
from ._linearize import linearize
from ._numbering import Numbering, number_vertices
from ._trace import is_complex, is_differentiable, trace_program
from .orders import OrderLike, resolve_order
from .rules import Inexpressible, real_type
from .sparse import Block, UnitEdges, identity_block


@order_may_come_second
def jacve(
    fun: Callable[..., Any] | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    *,
    order: OrderLike = "auto",
    sparse: bool = False,
    body_order: OrderLike = "auto",
) -> Callable[..., Any]:
    """The Jacobian of a function, accumulated by vertex elimination.

    Stands where ``jax.jacfwd`` or ``jax.jacrev`` stood, and gives the same results, tree structures and
    dtypes: for every order the exact Jacobian, at a cost that the order decides.

    Args:
        fun: the function; its differentiated arguments and its result are pytrees of floating or complex
            arrays, on the terms below. Left out, a decorator is returned: ``@jacve(order="markowitz")``.
        argnums: which positional arguments to differentiate, an integer or a sequence of integers; negative
            ones count from the end.
        has_aux: whether ``fun`` returns a pair of the result and auxiliary data.
        holomorphic: a promise that ``fun`` is holomorphic; everything differentiated is then complex, and so
            is the result.
        allow_int: whether differentiated arguments may hold integers, booleans and random keys, along which
            the function has no derivative.
        order: ``"auto"``, ``"forward"`` or ``"fwd"``, ``"reverse"`` or ``"rev"``, ``"markowitz"``, a sequence
            of vertex numbers as :func:`graphax.trace` prints them, or an order from
            :func:`graphax.load_order`. ``"auto"`` is the order that :func:`graphax.orders.auto` remembers or
            finds: never of more multiplications than the other three, unless these take too long to count.
            A name or a loaded order may also stand in second place, before the argnums:
            ``jacve(fun, "reverse", (0, 1))``.
        sparse: whether leaves of the Jacobian are :class:`graphax.sparse.Block`, which hold the structural
            nonzeros alone, instead of arrays. For real arguments and results.
        body_order: the order in which the bodies of loops are eliminated, as ``order``; a sequence holds the
            vertex numbers of the body's own program.

    Returns:
        a function with the arguments of ``fun`` that returns the Jacobian: a pytree shaped like the result
        whose leaves are pytrees shaped like the differentiated arguments (a tuple of them if ``argnums`` is
        a sequence), whose leaves are arrays of shape ``result.shape + argument.shape``, or blocks with
        ``sparse=True``. With ``has_aux`` a pair of the Jacobian and the auxiliary data.

    The leaf for a result ``y`` and an argument ``x`` is, and has the dtype,

    - of ``x`` where both are real;
    - of ``y`` where ``x`` is real and ``y`` is complex: the derivatives of the real and the imaginary part
      of ``y`` are its real and imaginary part, as with ``jax.jacfwd``;
    - of ``x`` where ``x = a + ib`` is complex and ``y`` is real: ``dy/da - i dy/db``, as with ``jax.jacrev``;
    - of ``x`` where both are complex, which takes ``holomorphic=True``: the complex derivative ``dy/dx``;
    - zeros where ``x`` is an integer, as with ``jax.jacrev``; of dtype ``float0`` for booleans and keys.

    Raises:
        TypeError: when a differentiated argument or the result has a dtype that these terms leave out, or a
            primitive cannot be differentiated; when ``has_aux`` is no boolean.
        ValueError: when the order does not fit the function, or an argnum is out of range or named twice.

    Vertex elimination: A. Griewank and A. Walther, *Evaluating Derivatives*, 2nd ed., SIAM 2008, chapter 9.
    """
    options = _Options(has_aux, holomorphic, allow_int, sparse, body_order)
    if fun is None:
        return functools.partial(jacve, argnums=argnums, order=order, **options.given())
    return _without_value(_value_and_jacve(fun, argnums, order, options), has_aux)


@order_may_come_second
def value_and_jacve(
    fun: Callable[..., Any] | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    *,
    order: OrderLike = "auto",
    sparse: bool = False,
    body_order: OrderLike = "auto",
) -> Callable[..., Any]:
    """The value and the Jacobian of a function, from one evaluation.

    Args and errors are those of :func:`jacve`.

    Returns:
        a function that returns ``(value, jacobian)``, or ``((value, aux), jacobian)`` with ``has_aux``.
    """
    options = _Options(has_aux, holomorphic, allow_int, sparse, body_order)
    if fun is None:
        return functools.partial(value_and_jacve, argnums=argnums, order=order, **options.given())
    return _value_and_jacve(fun, argnums, order, options)


class _Options(NamedTuple):
    """What may be asked of a Jacobian; see :func:`jacve`."""

    has_aux: bool
    holomorphic: bool
    allow_int: bool
    sparse: bool
    body_order: OrderLike
    as_jacfwd: bool = False  # a leaf's dtype is that of the result, not that of the argument as with jacrev

    def given(self) -> dict[str, Any]:
        """What the user may give, by name."""
        named = self._asdict()
        del named["as_jacfwd"]
        return named


def _value_and_jacve(
    fun: Callable[..., Any], argnums: Argnums, order: OrderLike, options: _Options
) -> Callable[..., Any]:
    check_callable(fun)
    check_has_aux(options.has_aux)

    @functools.wraps(fun)
    def value_and_jacobian(*args: Any, **kwargs: Any) -> Any:
        traced = _trace(fun, argnums, options.has_aux, options.allow_int, args, kwargs)
        _check_complex(traced, options)
        try:
            results, blocks = linearize(traced.numbering, traced.values, options.body_order)
        except Inexpressible as error:
            raise TypeError(str(error)) from error
        graph, blocks = build_graph(traced.numbering, traced.num_outputs, blocks)
        vertices = resolve_order(graph, order)
        with jax.named_scope("accumulate"):
            jacobians = accumulate(graph, blocks, vertices, options.sparse)
        jacobian = _assemble(traced, graph, jacobians, options)
        leaves = [_as_array(leaf) for leaf in results]
        value = jax.tree.unflatten(traced.out_tree, leaves[: traced.num_outputs])
        if options.has_aux:
            value = (value, jax.tree.unflatten(traced.aux_tree, leaves[traced.num_outputs :]))
        return value, jacobian

    return value_and_jacobian


def _without_value(evaluate: Callable[..., Any], has_aux: bool) -> Callable[..., Any]:
    """The Jacobian alone, or with the auxiliary data, of a function that returns the value as well."""

    @functools.wraps(evaluate)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        value, result = evaluate(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return jacobian


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
    options = _Options(has_aux, holomorphic, False, sparse, body_order, as_jacfwd=True)
    if fun is None:
        named = options.given()
        del named["allow_int"]
        return functools.partial(hessve, argnums=argnums, order=order, **named)
    check_callable(fun)
    gradient = _gradient(fun, argnums, has_aux, holomorphic)
    evaluate = _value_and_jacve(gradient, argnums, order, options)
    return functools.wraps(fun)(_without_value(evaluate, has_aux))


def _gradient(
    fun: Callable[..., Any], argnums: Argnums, has_aux: bool, holomorphic: bool
) -> Callable[..., Any]:
    """The Jacobian with no basis where there is none to speak of: a scalar takes one pullback."""
    options = {"has_aux": has_aux, "holomorphic": holomorphic}
    jacobian = jacve(fun, argnums=argnums, order="reverse", body_order="reverse", **options)

    def gradient(*args: Any, **kwargs: Any) -> Any:
        positions, single = argument_positions(argnums, len(args))

        def of_moving(moving: Sequence[Any]) -> Any:
            values = list(args)
            for at, value in zip(positions, moving, strict=True):
                values[at] = value
            result = fun(*values, **kwargs)
            return as_pair(result) if has_aux else (result, None)

        moving = [args[at] for at in positions]
        results = jax.tree.leaves(jax.eval_shape(of_moving, moving)[0])
        kind = np.complexfloating if holomorphic else np.floating
        if any(leaf.shape or not jax.numpy.issubdtype(leaf.dtype, kind) for leaf in results):
            return jacobian(*args, **kwargs)
        result, pull, aux = jax.vjp(of_moving, moving, has_aux=True)
        leaves, tree = jax.tree.flatten(result)
        rows = []
        for at in range(len(leaves)):
            seeds = [lax.full_like(other, int(at == to)) for to, other in enumerate(leaves)]
            try:
                (row,) = pull(jax.tree.unflatten(tree, seeds))
            except (ValueError, NotImplementedError):  # `while_loop`: JAX pulls back through none
                return jacobian(*args, **kwargs)
            rows.append(row[0] if single else tuple(row))
        found = jax.tree.unflatten(tree, rows)
        return (found, aux) if has_aux else found

    return gradient


def trace(
    fun: Callable[..., Any], argnums: Argnums = 0, *, has_aux: bool = False, allow_int: bool = False
) -> Callable[..., ComputationalGraph]:
    """The computational graph of a function.

    Args:
        fun: the function.
        argnums: the differentiated positional arguments.
        has_aux: whether ``fun`` returns a pair of the result and auxiliary data.
        allow_int: whether differentiated arguments may hold integers; they are no nodes of the graph.

    Returns:
        a function with the arguments of ``fun`` (arrays, or anything with a shape and a dtype) that returns
        the :class:`graphax.ComputationalGraph`: print it to read the vertex numbers.

    Raises:
        TypeError, ValueError: as :func:`jacve`.
    """
    check_callable(fun)
    check_has_aux(has_aux)

    def traced(*args: Any, **kwargs: Any) -> ComputationalGraph:
        found = _trace(fun, argnums, has_aux, allow_int, args, kwargs)
        try:
            return abstract_graph(found.numbering, found.num_outputs)
        except Inexpressible as error:
            raise TypeError(str(error)) from error

    return traced


@order_may_come_second
def count_ops(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    order: OrderLike = "auto",
    unit_edges: UnitEdges = "free",
    has_aux: bool = False,
    allow_int: bool = False,
) -> Callable[..., OpCount]:
    """What accumulating a Jacobian in some order costs; no array is computed.

    Args:
        fun: the function.
        argnums: the differentiated positional arguments.
        order: as for :func:`jacve`.
        unit_edges: ``"free"`` counts what is executed; ``"counted"`` follows the published tables, in which
            the edges of additions, negations and sums hold explicit ones that are multiplied like any number.
            ``order="markowitz"`` compares costs in the same convention; ``"auto"`` is the order that is
            executed, in either.
        has_aux, allow_int: as for :func:`jacve`.

    Returns:
        a function with the arguments of ``fun`` that returns an :class:`graphax.OpCount`.

    Raises:
        TypeError, ValueError: as :func:`jacve`; also for another word for ``unit_edges``.
    """
    graph_of = trace(fun, argnums, has_aux=has_aux, allow_int=allow_int)

    def count(*args: Any, **kwargs: Any) -> OpCount:
        graph = graph_of(*args, **kwargs)
        return order_cost(graph, resolve_order(graph, order, unit_edges), unit_edges)

    return count


class _Traced(NamedTuple):
    """A traced function and the values that it is to be linearised at."""

    numbering: Numbering
    values: list[Any]
    out_types: list[Any]  # of the differentiated output leaves; auxiliary ones follow them
    out_names: list[str]
    out_tree: Any
    aux_tree: Any
    arg_types: list[Any]  # of the leaves of the differentiated arguments, integers included
    arg_names: list[str]
    arg_tree: Any  # of the differentiated argument, or of the tuple of them

    @property
    def num_outputs(self) -> int:
        return len(self.out_types)


def _trace(
    fun: Callable[..., Any],
    argnums: Argnums,
    has_aux: bool,
    allow_int: bool,
    args: Sequence[Any],
    kwargs: Any,
) -> _Traced:
    positions, single = argument_positions(argnums, len(args))
    arg_names = [
        f"argument {at}{jax.tree_util.keystr(path)}"
        for at in positions
        for path, _ in jax.tree.leaves_with_path(args[at])
    ]
    wrt_leaves, arg_tree = jax.tree.flatten(
        args[positions[0]] if single else tuple(args[at] for at in positions)
    )
    for name, leaf in zip(arg_names, wrt_leaves, strict=True):
        _check_input(name, leaf, allow_int)
    wrt_leaves = [_as_array(leaf) for leaf in wrt_leaves]
    # Other arguments are traced if they are arrays, so that the graph does not depend on their values;
    # Python scalars, strings and the like stay as they are.
    rest = [None if at in positions else arg for at, arg in enumerate(args)]
    rest_leaves, rest_tree = jax.tree.flatten((rest, kwargs))
    is_array = [hasattr(leaf, "shape") and hasattr(leaf, "dtype") for leaf in rest_leaves]
    arrays = [_as_array(leaf) for leaf, array in zip(rest_leaves, is_array, strict=True) if array]

    def flat(wrt_values: list[Any], array_values: list[Any]) -> Any:
        remaining = iter(array_values)
        leaves = [
            next(remaining) if array else leaf for leaf, array in zip(rest_leaves, is_array, strict=True)
        ]
        values, keywords = jax.tree.unflatten(rest_tree, leaves)
        moving = jax.tree.unflatten(arg_tree, wrt_values)
        for at, value in zip(positions, (moving,) if single else moving, strict=True):
            values[at] = value
        result = fun(*values, **keywords)
        return as_pair(result) if has_aux else (result, ())

    program, (types, aux_types) = trace_program(flat, wrt_leaves, arrays)
    out_types, out_tree = jax.tree.flatten(types)
    out_names = [f"the result{jax.tree_util.keystr(path)}" for path, _ in jax.tree.leaves_with_path(types)]
    for name, kind in zip(out_names, out_types, strict=True):
        _check_output(name, kind)
    arg_types = [variable.aval for variable in program.inputs[: len(wrt_leaves)]]
    moving = [at for at, kind in enumerate(arg_types) if is_differentiable(kind)]
    return _Traced(
        number_vertices(program, moving, len(out_types)),
        [*wrt_leaves, *arrays],
        out_types,
        out_names,
        out_tree,
        jax.tree.structure(aux_types),
        arg_types,
        arg_names,
        arg_tree,
    )


def _check_input(name: str, leaf: Any, allow_int: bool) -> None:
    try:
        dtype = jax.numpy.result_type(leaf)
    except TypeError:
        raise TypeError(
            f"graphax differentiates with respect to arrays, but {name} has type {type(leaf).__name__}; "
            "convert it, or leave it out of argnums"
        ) from None
    if not (allow_int or jax.numpy.issubdtype(dtype, np.inexact)):
        raise TypeError(
            f"graphax differentiates with respect to floating or complex arrays, but {name} has dtype "
            f"{dtype}; convert it, leave it out of argnums, or pass allow_int=True"
        )


def _check_output(name: str, kind: Any) -> None:
    if not is_differentiable(kind):
        raise TypeError(
            f"graphax differentiates functions with floating or complex results, but {name} has dtype "
            f"{kind.dtype}; convert it, or return it as auxiliary data with has_aux=True"
        )


def _check_complex(traced: _Traced, options: _Options) -> None:
    """Complex derivatives of complex arguments are asked for, and are all that is asked for."""
    moving = [
        (name, kind)
        for name, kind in zip(traced.arg_names, traced.arg_types, strict=True)
        if is_differentiable(kind)
    ]
    results = list(zip(traced.out_names, traced.out_types, strict=True))
    for name, kind in (*moving, *results):
        if options.sparse and is_complex(kind):
            raise TypeError(
                f"sparse=True takes real arguments and results, but {name} has dtype {kind.dtype}; split it "
                "into real and imaginary parts, or leave sparse out"
            )
    if options.holomorphic:
        for name, kind in (*moving, *results):
            if not is_complex(kind):
                raise TypeError(
                    f"holomorphic=True takes complex arguments and results, but {name} has dtype "
                    f"{kind.dtype}; convert it to a complex dtype, or leave holomorphic out"
                )
        return
    for name, kind in moving:
        for result_name, result in results:
            if is_complex(kind) and is_complex(result):
                raise TypeError(
                    f"{name} has dtype {kind.dtype} and {result_name} has dtype {result.dtype}; pass "
                    "holomorphic=True if the function is holomorphic, else differentiate with respect to "
                    "real and imaginary parts"
                )


def _assemble(traced: _Traced, graph: ComputationalGraph, jacobians: Any, options: _Options) -> Any:
    """The Jacobian as a pytree of pytrees."""
    rows = []
    for node, out in zip(graph.outputs, traced.out_types, strict=True):
        inputs = iter(graph.inputs)
        row = []
        for arg in traced.arg_types:
            if not is_differentiable(arg):
                row.append(_no_derivative(out.shape, arg))
                continue
            wrt = next(inputs)
            block = jacobians.get(node, {}).get(wrt)
            if node == wrt:
                block = identity_block((*out.shape, 2) if is_complex(out) else out.shape)
            like = out if options.as_jacfwd or (is_complex(out) and not is_complex(arg)) else arg
            if options.sparse:
                row.append((block or Block.zero(out.shape, arg.shape)).astype(like.dtype))
            else:
                row.append(_dense(block, out, arg, like))
        rows.append(jax.tree.unflatten(traced.arg_tree, row))
    return jax.tree.unflatten(traced.out_tree, rows)


def _dense(block: Block | None, out: Any, arg: Any, like: Any) -> jax.Array:
    """The array of a block between real views, for the arrays as they are; its dtype is that of ``like``."""
    if block is None:
        found = lax.full(out.shape + arg.shape, 0, like.dtype)
    else:
        found = block.todense(real_type(like.dtype))
        if is_complex(out):
            # A holomorphic function is known by its derivative along the real axis.
            found = found[..., 0] if is_complex(arg) else found
            rank = len(out.shape)
            parts = [lax.index_in_dim(found, part, rank, keepdims=False) for part in (0, 1)]
            found = lax.complex(*parts)
        elif is_complex(arg):
            found = lax.complex(found[..., 0], lax.neg(found[..., 1]))
    return _weak_as(found, like)


def _no_derivative(out_shape: tuple[int, ...], arg: Any) -> Any:
    """The Jacobian with respect to something discrete."""
    if jax.numpy.issubdtype(arg.dtype, np.integer):
        return _weak_as(lax.full(out_shape + arg.shape, 0, arg.dtype), arg)
    return np.zeros(out_shape + arg.shape, jax.dtypes.float0)


def _weak_as(array: jax.Array, like: Any) -> jax.Array:
    """What comes of a Python number gives way to other dtypes, as with JAX."""
    if not like.weak_type or array.weak_type:
        return array
    convert = primitives.convert_element_type_p
    return convert.bind(array, new_dtype=array.dtype, weak_type=True, sharding=None)


def _as_array(leaf: Any) -> Any:
    """Python numbers and NumPy arrays become JAX arrays; abstract values stay what they are."""
    return leaf if isinstance(leaf, jax.Array | jax.ShapeDtypeStruct) else jax.numpy.asarray(leaf)
