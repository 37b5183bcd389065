"""A function itself as one kernel."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core

from .._arguments import check_callable
from .._trace import Program, inline, trace_program
from ._differentiate import LIMIT, closed_over, entries_of, operands_of
from ._lowering import unavailable
from ._primitive import Kernel
from ._program import ScalarProgram
from ._scalars import Scalars
from .expand import NoKernel, expand


def fuse(fun: Callable[..., Any]) -> Callable[..., Any]:
    """A function of small arrays as one compiled kernel.

    Under ``jax.vmap`` the kernel goes over the batch once. All transformations of JAX apply to it: what
    differentiates it, :func:`graphax.jacve` among them, sees the operations on arrays that it comes from.

    Args:
        fun: a function of pytrees of arrays to pytrees of arrays, as ``jax.jit`` takes it. It is traced at
            every call that is not within a ``jax.jit``.

    Returns:
        a function with the arguments and results of ``fun``.

    Raises:
        TypeError: when the function returned is called and there is no kernel: for an operation or a dtype
            that none is known for, for programs of too many scalars, or on a machine for which none can be
            compiled; the message says which. Also when an argument is no array.

    Example:
        >>> step = graphax.fuse(lambda x: x + 0.1 * jnp.sin(x))
        >>> jax.vmap(step)(jnp.zeros((4, 3))).shape
        (4, 3)
    """
    check_callable(fun)

    @functools.wraps(fun)
    def fused(*args: Any, **kwargs: Any) -> Any:
        jaxpr, types = jax.make_jaxpr(fun, return_shape=True)(*args, **kwargs)
        values = [jax.numpy.asarray(leaf) for leaf in jax.tree.leaves((args, kwargs))]
        try:
            results = _kernel(jaxpr, values)
        except NoKernel as reason:
            raise TypeError(f"there is no kernel for this function: {reason}") from reason
        return jax.tree.unflatten(jax.tree.structure(types), results)

    return fused


def _kernel(jaxpr: core.ClosedJaxpr, values: list[Any]) -> list[Any]:
    if (reason := unavailable()) is not None:
        raise NoKernel(reason)
    program, values = closed_over(inline(jaxpr), values)
    weak = tuple(aval.weak_type for aval in jaxpr.out_avals)
    return Kernel(_scalar_program(program), program, insist=True, weak=weak)(*values)


def _scalar_program(program: Program) -> ScalarProgram:
    scalars = Scalars()
    inputs, operands = operands_of(scalars, program.inputs)
    outs = expand(program, scalars, inputs, limit=LIMIT, order=0)
    results = [(out.shape, entries_of(out, atom)) for out, atom in zip(outs, program.outputs, strict=True)]
    return ScalarProgram(scalars, operands, results)


def program_of(fun: Callable[..., Any], *args: Any) -> ScalarProgram:
    """The scalar program of a function, as its kernel would carry it out.

    Args:
        fun: the function; if it holds kernels, their programs are parts of its own.
        args: its arguments, or anything with a shape and a dtype.

    Raises:
        NoKernel: when there is none, and why.
    """
    return _scalar_program(trace_program(fun, *args)[0])
