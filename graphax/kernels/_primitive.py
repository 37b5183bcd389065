"""A kernel as a primitive of JAX: which form of it runs is decided where batch and platform are known."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.core import ShapedArray, Tracer
from jax.extend import core
from jax.interpreters import ad, batching
from jax.sharding import AxisType

from .._trace import register_program
from . import _partition
from ._program import ScalarProgram
from ._scalars import KINDS


@dataclass(frozen=True, eq=False)
class Kernel:
    """What a kernel computes for one element of a batch, in all its forms.

    Attributes:
        program: the straight-line program.
        plain: the same as a function of arrays, for wherever the program is not compiled.
        insist: whether a kernel is compiled wherever one can be, be it faster or not.
        weak: for every result whether its dtype gives way to those of others; none does if left out.
        equations: of how many operations on arrays the differentiated function consists, if it is known.
    """

    program: ScalarProgram
    plain: Callable[..., Sequence[Any]]
    insist: bool = False
    weak: tuple[bool, ...] = ()
    equations: int = 0

    def __repr__(self) -> str:
        return f"<{self.program.identity[:8]}, {len(self.program)} instructions>"

    @property
    def types(self) -> list[Any]:
        """Of the results."""
        return [jax.ShapeDtypeStruct(result.shape, KINDS[result.kind]) for result in self.program.results]

    def __call__(self, *operands: Any) -> list[Any]:
        """The results for arrays of the operands' shapes and dtypes."""
        if not self.program.results:
            return []
        return kernel_p.bind(*operands, kernel=self, batch=(), mapped=((),) * len(operands), devices=None)


kernel_p = core.Primitive("graphax_kernel")
kernel_p.multiple_results = True

# Parameters of the primitive:
#   kernel: the Kernel;
#   batch: the sizes of the axes of the batch, outermost first;
#   mapped: for every operand, which of these axes it has (of its own size; other ones it has not at all);
#   devices: see _partition.py.


@kernel_p.def_abstract_eval
def _types(*operands: Any, kernel: Kernel, batch: tuple[int, ...], mapped: Any, devices: Any) -> list[Any]:
    mesh = jax.sharding.get_abstract_mesh()
    if any(kind != AxisType.Auto for kind in mesh.axis_types):  # types say how arrays lie on devices, too
        return jax.make_jaxpr(plain_form(kernel, batch, mapped))(*operands).out_avals
    weak = kernel.weak or (False,) * len(kernel.types)
    return [
        ShapedArray((*batch, *type.shape), type.dtype, weak_type=gives_way)
        for type, gives_way in zip(kernel.types, weak, strict=True)
    ]


@kernel_p.def_impl
def _evaluate(*operands: Any, **params: Any) -> Any:
    with jax.disable_jit(False):  # what is compiled is this one operation
        return _compiled(_Called(**params))(*operands)


class _Called(NamedTuple):
    """What is called; equal where the same is computed, though its derivatives may be others."""

    kernel: Kernel
    batch: tuple[int, ...]
    mapped: tuple[tuple[bool, ...], ...]
    devices: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Called) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)

    @property
    def _content(self) -> Any:
        kernel = self.kernel
        return kernel.program.identity, kernel.insist, kernel.weak, self.batch, self.mapped


@functools.lru_cache(maxsize=64)
def _compiled(called: _Called) -> Callable[..., Any]:
    plain = plain_form(called.kernel, called.batch, called.mapped)

    def compiled(*operands: Any) -> Any:
        # JAX calls this with arrays when it looks for the operation that made a NaN (jax_debug_nans).
        looking = operands and not any(isinstance(x, Tracer) for x in operands)
        return plain(*operands) if looking else kernel_p.bind(*operands, **called._asdict())

    return jax.jit(compiled)


def _batch(
    operands: Sequence[Any], axes: Sequence[Any], *, kernel: Kernel, batch: Any, mapped: Any, devices: Any
) -> Any:
    sizes = {x.shape[axis] for x, axis in zip(operands, axes, strict=True) if axis is not None}
    operands = [
        x if axis is None else jax.numpy.moveaxis(x, axis, 0) for x, axis in zip(operands, axes, strict=True)
    ]
    mapped = tuple((axis is not None, *before) for axis, before in zip(axes, mapped, strict=True))
    results = kernel_p.bind(
        *operands, kernel=kernel, batch=(*sizes, *batch), mapped=mapped, devices=_partition.devices()
    )
    return results, [0] * len(results)


batching.primitive_batchers[kernel_p] = _batch


def plain_form(kernel: Kernel, batch: tuple[int, ...], mapped: Any) -> Callable[..., Sequence[Any]]:
    """The results by the function of arrays, over the axes of the batch."""
    fun: Callable[..., Any] = lambda *operands: list(kernel.plain(*operands))  # noqa: E731
    for level in reversed(range(len(batch))):
        axes = [0 if flags[level] else None for flags in mapped]
        fun = jax.vmap(fun, axes, axis_size=batch[level])
    return fun


def _push_forward(
    primals: Sequence[Any], tangents: Sequence[Any], *, kernel: Kernel, batch: Any, mapped: Any, devices: Any
) -> Any:
    moving = [at for at, tangent in enumerate(tangents) if not isinstance(tangent, ad.Zero)]
    along = _of_some(plain_form(kernel, batch, mapped), primals, moving)
    results, changes = jax.jvp(along, [primals[at] for at in moving], [tangents[at] for at in moving])
    return list(results), list(changes)


def _pull_back(
    cotangents: Sequence[Any], *operands: Any, kernel: Kernel, batch: Any, mapped: Any, devices: Any
) -> list[Any]:
    linear = [at for at, x in enumerate(operands) if ad.is_undefined_primal(x)]
    along = _of_some(plain_form(kernel, batch, mapped), operands, linear)
    types = [jax.ShapeDtypeStruct(operands[at].aval.shape, operands[at].aval.dtype) for at in linear]
    given = tuple(
        jax.numpy.zeros((*batch, *type.shape), type.dtype) if isinstance(ct, ad.Zero) else ct
        for ct, type in zip(cotangents, kernel.types, strict=True)
    )
    found: list[Any] = [None] * len(operands)
    for at, cotangent in zip(linear, jax.linear_transpose(along, *types)(given), strict=True):
        found[at] = cotangent
    return found


def _of_some(
    fun: Callable[..., Sequence[Any]], operands: Sequence[Any], places: Sequence[int]
) -> Callable[..., Any]:
    """A function of some of its operands."""

    def along(*values: Any) -> Any:
        given = list(operands)
        for at, value in zip(places, values, strict=True):
            given[at] = value
        return tuple(fun(*given))

    return along


ad.primitive_jvps[kernel_p] = _push_forward
ad.primitive_transposes[kernel_p] = _pull_back


@functools.partial(register_program, kernel_p.name)
def _operations(equation: Any) -> core.ClosedJaxpr:
    """What is differentiated in the place of a kernel."""
    kernel, batch, mapped = (equation.params[name] for name in ("kernel", "batch", "mapped"))
    types = [jax.ShapeDtypeStruct(atom.aval.shape, atom.aval.dtype) for atom in equation.inputs]
    return jax.make_jaxpr(plain_form(kernel, batch, mapped))(*types)


_KIND_OF = {np.dtype(dtype): kind for kind, dtype in KINDS.items()}


def kind_of(dtype: Any) -> str | None:
    """Of which kind scalars of a dtype are; None where kernels have none."""
    return _KIND_OF.get(np.dtype(dtype)) if isinstance(dtype, np.dtype) else None
