"""Jacobians by vertex elimination: pytrees in, pytrees out."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any, Literal, get_args

import jax

from ._accumulate import abstract_graph
from ._application import NEEDS_VALUE, Application, Traced, as_array
from ._arguments import Argnums, check_callable, check_has_aux, order_may_come_second
from ._assemble import assemble
from ._elimination import OpCount
from ._fallback import differentiate, refusing, warn_of_fallback, with_one_warning
from ._graph import ComputationalGraph, order_cost
from ._trace import is_differentiable, usual_promotion
from ._ways import Options, UseKernel, by_some_way, check_kernel, check_sparse
from .choose import OrderLike, resolve_order
from .rules import Inexpressible, Sparse

UnitEdges = Literal["free", "counted"]


@order_may_come_second
def jacve(
    fun: Callable[..., Any] | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    *,
    order: OrderLike = "auto",
    sparse: Sparse = False,
    body_order: OrderLike = "auto",
    kernel: UseKernel = "auto",
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
            :func:`graphax.load_order`. ``"auto"`` is the order that :func:`graphax.orders.auto` knows or a
            shorter search finds, or reverse or forward order, if that is estimated to run faster. With
            ``"auto"`` there need be no elimination: what :func:`graphax.tune` found to be fastest is taken;
            the gradient of a number that has no kernel is that of ``jax.grad``, unless entries are left out
            that need not be finite; under ``jit``, ``jax.jacfwd`` or ``jax.jacrev`` is taken where it is
            estimated to run faster and all derivatives inside are finite; and of a function with few results,
            or few arguments, scans, factorisations, convolutions and the like have no Jacobian: rows are
            pulled back through them, or columns pushed forward. Of sparse Jacobians, a kernel makes what is
            the same for many rows, and modes move sums of columns or rows. :func:`graphax.explain` tells what
            is taken for dense ones.
            The environment variable ``GRAPHAX_CANDIDATES`` names which of ``kernels`` and ``modes`` (JAX's
            own) may be taken beside elimination on arrays; both unless it is set.
            A name or a loaded order may also stand in second place, before the argnums:
            ``jacve(fun, "reverse", (0, 1))``.
        sparse: whether leaves of the Jacobian are :class:`graphax.sparse.Block`, which hold the structural
            nonzeros alone, instead of arrays. Where indices are arguments, or an order among these says what
            is taken, blocks hold what is taken and where that is; with ``"static"`` they hold all that may be
            taken, so that where their entries are is known while tracing.
        body_order: the order in which the bodies of loops are eliminated, as ``order``; a sequence holds the
            vertex numbers of the body's own program.
        kernel: whether a small function's Jacobian becomes one compiled kernel, which goes over a batch of
            :func:`jax.vmap` once (see :mod:`graphax.kernels`): ``True`` asks for one, ``False`` for none, and
            ``"auto"`` takes one where there can be one that compiles no slower than operations on arrays.

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
    - zeros where ``x`` is an integer, as with ``jax.jacrev``; of dtype ``float0`` for booleans and keys;
    - zeros of the dtype of ``y`` where ``y`` is an integer, as with ``jax.jacfwd``.

    What elimination cannot express exactly is differentiated as a whole by JAX's own forward or reverse mode,
    with one :class:`graphax.FallbackWarning`: collectives of a mapped axis, symbolic dimensions, Python
    control flow on the values of arrays, custom backward rules that are not linear.

    Raises:
        TypeError: when a differentiated argument or the result has a dtype that these terms leave out, or a
            primitive cannot be differentiated; when ``has_aux`` is no boolean; with ``sparse=True`` or
            ``kernel=True`` also for what elimination cannot express, and with the latter where there is no
            kernel, with the reason.
        ValueError: when the order does not fit the function, an argnum is out of range or named twice, or
            ``kernel`` or ``sparse`` is none of its choices, or ``kernel=True`` stands beside ``sparse=True``.

    Example:
        >>> def f(x, y):
        ...     return jnp.sin(x) * y
        >>> to_x, to_y = graphax.jacve(f, argnums=(0, 1))(jnp.zeros(3), jnp.ones(3))
        >>> print(to_x)
        [[1. 0. 0.]
         [0. 1. 0.]
         [0. 0. 1.]]
        >>> graphax.jacve(f, sparse=True)(jnp.zeros(1000), jnp.ones(1000)).nnz  # of a million entries
        1000
        >>> batch = jax.jit(jax.vmap(graphax.jacve(f, order="markowitz")))
        >>> batch(jnp.zeros((8, 3)), jnp.ones((8, 3))).shape
        (8, 3, 3)

    Vertex elimination: A. Griewank and A. Walther, *Evaluating Derivatives*, 2nd ed., SIAM 2008, chapter 9.
    """
    asked = check_sparse(sparse), body_order, check_kernel(kernel, sparse)
    options = Options(has_aux, holomorphic, allow_int, *asked)
    return without_value(with_value(fun, argnums, order, options._replace(value=False)), has_aux)


@order_may_come_second
def value_and_jacve(
    fun: Callable[..., Any] | None = None,
    argnums: Argnums = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
    *,
    order: OrderLike = "auto",
    sparse: Sparse = False,
    body_order: OrderLike = "auto",
    kernel: UseKernel = "auto",
) -> Callable[..., Any]:
    """The value and the Jacobian of a function, from one evaluation.

    Args:
        fun, argnums, has_aux, holomorphic, allow_int: as for :func:`jacve`.
        order, sparse, body_order, kernel: as for :func:`jacve`.

    Returns:
        a function that returns ``(value, jacobian)``, or ``((value, aux), jacobian)`` with ``has_aux``.

    Raises:
        TypeError, ValueError: as :func:`jacve`.

    Example:
        >>> value, jacobian = graphax.value_and_jacve(lambda x: x**2)(jnp.array([1.0, 3.0]))
        >>> print(value, jacobian.tolist())
        [1. 9.] [[2.0, 0.0], [0.0, 6.0]]
    """
    asked = check_sparse(sparse), body_order, check_kernel(kernel, sparse)
    options = Options(has_aux, holomorphic, allow_int, *asked)
    return with_value(fun, argnums, order, options)


def with_value(
    fun: Callable[..., Any] | None,
    argnums: Argnums,
    order: OrderLike,
    options: Options,
    for_jax: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """The value and the Jacobian, by elimination or else by JAX's own mode.

    Args:
        fun, argnums, order, options: as for :func:`jacve`.
        for_jax: the function in a form that JAX's own mode is better applied to.
    """
    fun = check_callable(fun)
    check_has_aux(options.has_aux)

    @functools.wraps(fun)
    def value_and_jacobian(*args: Any, **kwargs: Any) -> Any:
        def compute() -> Any:
            try:
                application = Application.of(fun, argnums, options.has_aux, options.allow_int, args, kwargs)
                return by_elimination(application, application.trace(), order, options)
            except Inexpressible as error:
                reason = error
            if options.sparse or options.kernel is True:
                raise TypeError(str(reason)) from reason
            application = Application.of(
                for_jax or fun, argnums, options.has_aux, options.allow_int, args, kwargs
            )
            try:
                found = _by_mode(application, options)
            except NEEDS_VALUE:
                raise reason.__cause__ or reason from None
            warn_of_fallback(f"the whole function is differentiated by JAX's own mode: {reason}")
            return found

        return with_one_warning(compute)

    return value_and_jacobian


def by_elimination(application: Application, traced: Traced, order: OrderLike, options: Options) -> Any:
    """The value and the Jacobian by elimination; may raise :class:`Inexpressible`."""
    application.check_complex(traced.out_names, traced.out_types, options)
    try:
        with usual_promotion():
            return _eliminate(application, traced, order, options)
    except Exception as error:
        if type(error).__name__ != "ShardingTypeError":  # JAX has no public name for it
            raise
        raise Inexpressible(
            "explicit shardings of these arguments do not go through the structures of Jacobians",
            "make the axes of the mesh automatic (jax.sharding.auto_axes)",
            application.definition,
        ) from error


def _eliminate(application: Application, traced: Traced, order: OrderLike, options: Options) -> Any:
    results, rows = by_some_way(application, traced, order, options)
    rows = itertools.compress(rows, map(is_differentiable, traced.out_types))
    jacobian = assemble(
        application, traced.out_tree, traced.out_types, rows, options.as_hessian, bool(options.sparse)
    )
    leaves = [None if leaf is None else as_array(leaf) for leaf in results]
    value = traced.out_tree.unflatten(leaves[: traced.num_outputs])
    if options.has_aux:
        value = (value, traced.aux.joined(leaves[traced.num_outputs :]))
    return value, jacobian


def _by_mode(application: Application, options: Options) -> Any:
    """The value and the Jacobian by JAX's own mode, of the dtypes that elimination gives."""
    found = differentiate(application, forward_first=options.as_hessian)
    out_types = [jax.typeof(leaf) for leaf in found.results]
    application.check_complex(found.names, out_types, options)
    jacobian = assemble(application, found.tree, out_types, found.jacobians, options.as_hessian)
    value = found.tree.unflatten(found.results)
    return ((value, found.aux) if options.has_aux else value), jacobian


def without_value(evaluate: Callable[..., Any], has_aux: bool) -> Callable[..., Any]:
    """The Jacobian alone, or with the auxiliary data, of a function that returns the value as well."""

    @functools.wraps(evaluate)
    def jacobian(*args: Any, **kwargs: Any) -> Any:
        value, result = evaluate(*args, **kwargs)
        return (result, value[1]) if has_aux else result

    return jacobian


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

    Example:
        >>> graph = graphax.trace(lambda x: jnp.sin(x) * jnp.exp(x))(1.0)
        >>> graph.eliminable  # what an order has to name
        (1, 2)
        >>> float(graphax.jacve(lambda x: jnp.sin(x) * jnp.exp(x), order=(2, 1))(0.0))
        1.0
    """
    check_callable(fun)
    check_has_aux(has_aux)

    def traced(*args: Any, **kwargs: Any) -> ComputationalGraph:
        with refusing():
            found = Application.of(fun, argnums, has_aux, allow_int, args, kwargs).trace()
            with usual_promotion():
                return abstract_graph(found.numbering, found.num_outputs)

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

    Example:
        >>> f = lambda x: jnp.sin(x) * x.sum()
        >>> graphax.count_ops(f, order="reverse")(jnp.ones(3)).mults
        3
        >>> graphax.count_ops(f, order="reverse", unit_edges="counted")(jnp.ones(3)).mults
        12
    """
    if unit_edges not in get_args(UnitEdges):
        raise ValueError(f"unit_edges must be 'free' or 'counted', got {unit_edges!r}")
    graph_of = trace(fun, argnums, has_aux=has_aux, allow_int=allow_int)

    def count(*args: Any, **kwargs: Any) -> OpCount:
        graph = graph_of(*args, **kwargs)
        if unit_edges == "counted":
            graph = graph.counted()
        return order_cost(graph, resolve_order(graph, order))

    return count
