"""A kernel as a primitive of JAX: which form of it runs is decided where batch and platform are known."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.core import ShapedArray
from jax.extend import core
from jax.interpreters import ad, batching, mlir

from . import _native, _triton
from ._program import ScalarProgram
from ._scalars import KINDS


@dataclass(frozen=True, eq=False)
class Kernel:
    """What a kernel computes for one element of a batch, in all its forms.

    Attributes:
        program: the straight-line program.
        plain: the same as a function of arrays, for wherever the program is not compiled.
        insist: whether a kernel is compiled wherever one can be, be it faster or not.
    """

    program: ScalarProgram
    plain: Callable[..., Sequence[Any]]
    insist: bool = False

    @property
    def types(self) -> list[Any]:
        """Of the results."""
        return [jax.ShapeDtypeStruct(result.shape, KINDS[result.kind]) for result in self.program.results]

    def __call__(self, *operands: Any) -> list[Any]:
        """The results for arrays of the operands' shapes and dtypes."""
        return kernel_p.bind(*operands, kernel=self, batch=(), mapped=((),) * len(operands))


kernel_p = core.Primitive("kernel")
kernel_p.multiple_results = True

# Parameters of the primitive:
#   kernel: the Kernel;
#   batch: the sizes of the axes of the batch, outermost first;
#   mapped: for every operand, which of these axes it has (of its own size; other ones it has not at all).


@kernel_p.def_abstract_eval
def _types(*_: Any, kernel: Kernel, batch: tuple[int, ...], mapped: Any) -> list[Any]:
    return [ShapedArray((*batch, *type.shape), type.dtype) for type in kernel.types]


@kernel_p.def_impl
def _evaluate(*operands: Any, **params: Any) -> Any:
    return _compiled(tuple(params.items()))(*operands)


@functools.lru_cache(maxsize=256)
def _compiled(params: tuple[tuple[str, Any], ...]) -> Callable[..., Any]:
    return jax.jit(functools.partial(kernel_p.bind, **dict(params)))


def _batch(operands: Sequence[Any], axes: Sequence[Any], *, kernel: Kernel, batch: Any, mapped: Any) -> Any:
    sizes = {x.shape[axis] for x, axis in zip(operands, axes, strict=True) if axis is not None}
    operands = [
        x if axis is None else jax.numpy.moveaxis(x, axis, 0) for x, axis in zip(operands, axes, strict=True)
    ]
    mapped = tuple((axis is not None, *before) for axis, before in zip(axes, mapped, strict=True))
    results = kernel_p.bind(*operands, kernel=kernel, batch=(*sizes, *batch), mapped=mapped)
    return results, [0] * len(results)


batching.primitive_batchers[kernel_p] = _batch


def plain_form(kernel: Kernel, batch: tuple[int, ...], mapped: Any) -> Callable[..., Sequence[Any]]:
    """The results by the function of arrays, over the axes of the batch."""
    fun: Callable[..., Any] = lambda *operands: list(kernel.plain(*operands))  # noqa: E731
    for level in reversed(range(len(batch))):
        axes = [0 if flags[level] else None for flags in mapped]
        fun = jax.vmap(fun, axes, axis_size=batch[level])
    return fun


def _push_forward(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> Any:
    fun = plain_form(**params)
    moving = [at for at, tangent in enumerate(tangents) if not isinstance(tangent, ad.Zero)]

    def along(*values: Any) -> Any:
        operands = list(primals)
        for at, value in zip(moving, values, strict=True):
            operands[at] = value
        return tuple(fun(*operands))

    results, changes = jax.jvp(along, [primals[at] for at in moving], [tangents[at] for at in moving])
    return list(results), list(changes)


ad.primitive_jvps[kernel_p] = _push_forward


def _rows(
    operands: Sequence[Any], *, kernel: Kernel, batch: Any, mapped: Any
) -> tuple[list[Any], list[bool]]:
    """Every operand with one axis of the batch, or with none where it has none of its axes."""
    rows, batched = [], []
    for x, operand, flags in zip(operands, kernel.program.operands, mapped, strict=True):
        if any(flags) and not all(flags):
            own = [size if flag else 1 for size, flag in zip(batch, flags, strict=True)]
            x = lax.broadcast_in_dim(
                x.reshape(*own, *operand.shape),
                (*batch, *operand.shape),
                tuple(range(len(batch) + len(operand.shape))),
            )
        batched.append(any(flags))
        rows.append(x.reshape(-1, *operand.shape) if batched[-1] and len(batch) != 1 else x)
    return rows, batched


def _on_cpu(*operands: Any, kernel: Kernel, batch: tuple[int, ...], mapped: Any) -> list[Any]:
    """The results by machine code."""
    rows, batched = _rows(operands, kernel=kernel, batch=batch, mapped=mapped)
    size = math.prod(batch)
    name = _native.target(kernel.program, tuple(batched), single=size == 1)
    types = [jax.ShapeDtypeStruct((size, *type.shape), type.dtype) for type in kernel.types]
    results = jax.ffi.ffi_call(name, types)(*rows)
    return [result.reshape(*batch, *type.shape) for result, type in zip(results, kernel.types, strict=True)]


def _lower_plain(ctx: Any, *operands: Any, **params: Any) -> Any:
    return mlir.lower_fun(plain_form(**params), multiple_results=True)(ctx, *operands)


def _lower_on_cpu(ctx: Any, *operands: Any, **params: Any) -> Any:
    kept = getattr(ctx.module_context.lowering_parameters, "for_export", False)
    if kept or _native.available() is not None or 0 in params["batch"]:
        return _lower_plain(ctx, *operands, **params)
    return mlir.lower_fun(functools.partial(_on_cpu, **params), multiple_results=True)(ctx, *operands)


def _on_gpu(*operands: Any, kernel: Kernel, batch: tuple[int, ...], mapped: Any) -> list[Any]:
    """The results by a Pallas kernel."""
    rows, batched = _rows(operands, kernel=kernel, batch=batch, mapped=mapped)
    results = _triton.call(kernel.program, batched, math.prod(batch))(*rows)
    return [result.reshape(*batch, *type.shape) for result, type in zip(results, kernel.types, strict=True)]


def _lower_on_gpu(ctx: Any, *operands: Any, **params: Any) -> Any:
    kept = getattr(ctx.module_context.lowering_parameters, "for_export", False)
    if kept or 0 in params["batch"]:
        return _lower_plain(ctx, *operands, **params)
    try:
        return mlir.lower_fun(functools.partial(_on_gpu, **params), multiple_results=True)(ctx, *operands)
    except (NotImplementedError, ImportError):  # operations that Triton has not, or no Triton
        return _lower_plain(ctx, *operands, **params)


mlir.register_lowering(kernel_p, _lower_plain)
mlir.register_lowering(kernel_p, _lower_on_gpu, platform="cuda")
mlir.register_lowering(kernel_p, _lower_on_cpu, platform="cpu")

_KIND_OF = {np.dtype(dtype): kind for kind, dtype in KINDS.items()}


def kind_of(dtype: Any) -> str | None:
    """Of which kind scalars of a dtype are; None where kernels have none."""
    return _KIND_OF.get(np.dtype(dtype)) if isinstance(dtype, np.dtype) else None
