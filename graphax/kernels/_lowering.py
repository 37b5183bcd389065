"""Which form of a kernel runs: decided where the batch, the platform and what it is for are known."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import mlir

from ..timing import Constants, Equation, Work, read, register_estimate, work_of, written
from . import _triton
from ._partition import partitioned
from ._primitive import Kernel, kernel_p, plain_form
from ._scalars import KINDS
from .cpu import _native
from .cpu._llvm import cycles


def unavailable() -> str | None:
    """Why kernels do not run on the default platform; None if they do."""
    platform = jax.default_backend()
    if platform == "cpu":
        return _native.available()
    return None if platform == "gpu" else f"kernels are compiled for CPUs and GPUs, and this is a {platform}"


def _lower_plain(
    ctx: Any, *operands: Any, kernel: Kernel, batch: tuple[int, ...], mapped: Any, devices: Any
) -> Any:
    return mlir.lower_fun(plain_form(kernel, batch, mapped), multiple_results=True)(ctx, *operands)


def _lower_by(form: Callable[..., Any], repays: Callable[[Kernel, int], bool]) -> Callable[..., Any]:
    """Lowering to a form for one platform, where there is one.

    Args:
        form: what gives it.
        repays: of a kernel and the size of a batch, whether the form is worth the time that compiling it
            takes, when nobody insists on it.
    """

    def lower(
        ctx: Any, *operands: Any, kernel: Kernel, batch: tuple[int, ...], mapped: Any, devices: Any
    ) -> Any:
        # What is exported runs on machines of which nothing is known.
        kept = getattr(ctx.module_context.lowering_parameters, "for_export", False)
        worth = len(kernel.program) > 0 if kernel.insist else repays(kernel, math.prod(batch))
        if not kept and all(batch) and worth:
            cut = devices is not None
            try:
                compute, content = form(kernel, batch, mapped, cut)
                if cut:
                    ranks = [len(type.shape) for type in kernel.types]
                    compute = partitioned(compute, content, ranks, mapped)
                return mlir.lower_fun(compute, multiple_results=True)(ctx, *operands)
            except (NotImplementedError, ImportError):  # operations that Triton has not, or no Triton
                pass
        return _lower_plain(ctx, *operands, kernel=kernel, batch=batch, mapped=mapped, devices=devices)

    return lower


def _computes(kernel: Kernel, batch: int) -> bool:
    """What only moves numbers XLA does as well."""
    return kernel.program.operations > 0


def _is_quick_or_wide(kernel: Kernel, batch: int) -> bool:
    """Vectors are of rows: a few rows of a long program XLA computes with vectors of what is in them."""
    return _computes(kernel, batch) and (batch >= _ROWS or cycles(kernel.program) <= _QUICK)


def _is_short_or_busy(kernel: Kernel, batch: int) -> bool:
    """Triton compiles long programs slowly, beside XLA that of a few operations, which many rows repay."""
    program = kernel.program
    length = program.operations + sum(len(result.entries) for result in program.results)
    length += sum(math.prod(operand.shape) for operand in program.operands)
    short = length <= max(_SHORT, _PER_EQUATION * kernel.equations) or bool(program.bodies)
    return _computes(kernel, batch) and (short or batch * length >= _BUSY)


#: So many rows fill vectors, and so many cycles pass while XLA begins a few dozen loops.
_ROWS, _QUICK = 8, 200_000
#: So many operations and entries, for each operation on arrays, Triton compiles in XLA's time; and
#: so many of all rows together repay seconds.
_SHORT, _PER_EQUATION, _BUSY = 60, 8, 1 << 27

# A form is a function of the operands, or of parts of them along the batch, to the results; with it come 32
# bytes that name all that it is made of.


def _on_cpu(kernel: Kernel, batch: tuple[int, ...], mapped: Any, cut: bool) -> Any:
    """By machine code."""
    if _native.available() is not None:
        raise NotImplementedError(_native.available())
    batched = tuple(any(flags) for flags in mapped)
    # Parts have sizes of their own. All that is called is registered here: XLA may find the rest in a cache.
    name = _native.target(kernel.program, batched, single=math.prod(batch) == 1 and not cut)

    def compute(*operands: Any) -> list[Any]:
        rows, sizes = _rows(kernel, mapped, operands)
        types = [jax.ShapeDtypeStruct((math.prod(sizes), *t.shape), t.dtype) for t in kernel.types]
        return _unrolled(kernel, jax.ffi.ffi_call(name, types)(*rows), sizes)

    return compute, _digest(name)


def _on_gpu(kernel: Kernel, batch: tuple[int, ...], mapped: Any, cut: bool) -> Any:
    """By a Pallas kernel."""
    batched = tuple(any(flags) for flags in mapped)

    def compute(*operands: Any) -> list[Any]:
        rows, sizes = _rows(kernel, mapped, operands)
        return _unrolled(kernel, _triton.call(kernel.program, batched, math.prod(sizes))(*rows), sizes)

    if cut:  # parts are lowered only when XLA compiles, too late for another form
        jax.jit(compute).trace(*_operand_types(kernel, batch, mapped)).lower(lowering_platforms=("cuda",))
    return compute, _digest(kernel.program.identity)


def _operand_types(kernel: Kernel, batch: tuple[int, ...], mapped: Any) -> list[jax.ShapeDtypeStruct]:
    return [
        jax.ShapeDtypeStruct((*itertools.compress(batch, flags), *operand.shape), KINDS[operand.kind])
        for operand, flags in zip(kernel.program.operands, mapped, strict=True)
    ]


def _digest(content: str) -> bytes:
    return hashlib.sha256(content.encode()).digest()


def _rows(kernel: Kernel, mapped: Any, operands: Sequence[Any]) -> tuple[list[Any], tuple[int, ...]]:
    """Every operand with one axis of the batch, or with none where it has none of its axes; and its sizes."""
    own = [x.shape[: sum(flags)] for x, flags in zip(operands, mapped, strict=True)]
    found = dict(
        pair
        for sizes, flags in zip(own, mapped, strict=True)
        for pair in zip(itertools.compress(itertools.count(), flags), sizes, strict=True)
    )
    batch = tuple(found[level] for level in range(len(found)))
    rows = []
    for x, operand, flags in zip(operands, kernel.program.operands, mapped, strict=True):
        if any(flags):
            sizes = [size if flag else 1 for size, flag in zip(batch, flags, strict=True)]
            x = jnp.broadcast_to(x.reshape(*sizes, *operand.shape), (*batch, *operand.shape))
            x = x.reshape(-1, *operand.shape)
        rows.append(x)
    return rows, batch


def _unrolled(kernel: Kernel, results: Sequence[Any], batch: tuple[int, ...]) -> list[Any]:
    """The results with all axes of the batch."""
    return [x.reshape(*batch, *type.shape) for x, type in zip(results, kernel.types, strict=True)]


mlir.register_lowering(kernel_p, _lower_plain)
mlir.register_lowering(kernel_p, _lower_by(_on_cpu, _is_quick_or_wide), platform="cpu")
mlir.register_lowering(kernel_p, _lower_by(_on_gpu, _is_short_or_busy), platform="cuda")


def _estimate(equation: Equation, constants: Constants) -> Work:
    """What a kernel takes, in the form that runs on the default platform."""
    kernel, batch, mapped = (equation.params[name] for name in ("kernel", "batch", "mapped"))
    rows = math.prod(batch)
    repays = _is_short_or_busy if jax.default_backend() == "gpu" else _is_quick_or_wide
    if unavailable() is not None or not (kernel.insist or repays(kernel, rows)):
        types = [jax.ShapeDtypeStruct(value.shape, value.dtype) for value in equation.inputs]
        return work_of(jax.make_jaxpr(plain_form(kernel, batch, mapped))(*types), constants)
    lanes = _ROWS if rows >= _ROWS else 1
    time = constants.kernel + constants.cycle * cycles(kernel.program) * rows / lanes
    return Work(time).plus(read(equation.inputs, constants)).plus(written(equation.outputs, constants))


register_estimate(kernel_p.name, _estimate)
