"""What a kernel consists of, for people who look."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
from jax.extend import core

from .._application import Application, Traced
from .._arguments import Argnums, check_callable
from .._trace import Program, inline
from ..choose import OrderLike
from ..rules import Inexpressible
from . import _triton
from ._differentiate import jacobians_by_kernel
from ._fuse import fuse
from ._primitive import kernel_p
from ._program import NO_OPERATIONS, Instructions, ScalarProgram
from ._scalars import COMPARISONS, FUNCTIONS, KINDS
from .cpu import _native
from .cpu._llvm import loop
from .expand import NoKernel

_NO_FLOPS = frozenset({"neg", "abs", "sign", "select", "convert", "not", "and", "or", "xor", *COMPARISONS})
#: Primitives that compute an entry of a result by one operation.
_ENTRYWISE = (
    frozenset(
        """add add_any sub mul div rem neg pow integer_pow square atan2 min max sign abs select_n clamp
    convert_element_type not and or xor eq ne lt le gt ge logistic rsqrt""".split()
    )
    | FUNCTIONS.keys()
)
_REDUCTIONS = {"reduce_sum": "add", "reduce_prod": "mul", "reduce_max": "max", "reduce_min": "min"}
#: Primitives that carry out all programs that they hold.
_HOLDING = frozenset({"scan", "cond", "custom_jvp_call", "custom_vjp_call"})


@dataclass(frozen=True)
class Operations:
    """What a straight-line program does for one element of a batch.

    Attributes:
        program: the program.

    Example:
        >>> view = graphax.show_kernel(lambda x: x * jnp.sin(x[0]), jnp.ones(2, "float32"))
        >>> view.jacobian.count, view.jacobian.bytes_in, view.jacobian.bytes_out
        (5, 8, 16)
    """

    program: ScalarProgram

    def __repr__(self) -> str:
        return f"{self.count} operations: {_listed(self.kinds)}"

    @cached_property
    def kinds(self) -> Counter[str]:
        """How many operations there are of each kind; those of loops at every step."""
        return _kinds(self.program)

    @property
    def count(self) -> int:
        """How many operations there are; reading, writing and constants are none."""
        return self.kinds.total()

    @property
    def flops(self) -> int:
        """Operations with rounding, each function of a number taken for one."""
        return sum(count for op, count in self.kinds.items() if op not in _NO_FLOPS)

    @property
    def bytes_in(self) -> int:
        """How many bytes of operands are read."""
        return sum(x.size * np.dtype(KINDS[x.kind]).itemsize for x in self.program.operands)

    @property
    def bytes_out(self) -> int:
        """How many bytes of results are written."""
        return sum(len(x.entries) * np.dtype(KINDS[x.kind]).itemsize for x in self.program.results)

    @cached_property
    def registers(self) -> int:
        """The most values that are needed later, in the order of the instructions: compilers have others.

        Values within loops are left out.
        """
        program = self.program
        last = {x: at for at, args in enumerate(map(_reads, program.ops, program.args)) for x in args}
        last.update({x: len(program) for result in program.results for x in result.entries})
        ends = Counter(last[x] for x in range(len(program)) if x in last and program.ops[x] != "const")
        live = most = 0
        for at, op in enumerate(program.ops):
            live += at in last and op != "const"
            most = max(most, live)
            live -= ends[at]
        return most


@dataclass(frozen=True)
class KernelView:
    """The kernel of a Jacobian; printed, a summary. See :func:`graphax.show_kernel`.

    Attributes:
        written: how many entries the function computes by each arithmetic primitive, as it is traced:
            before equal ones are found and constants folded.
        values: the operations of the function itself as a kernel.
        jacobian: the operations of its Jacobian, values that it needs among them.
        orders: how many operations the Jacobian takes in other orders.
        trace_seconds: how long it took to expand and differentiate the function, the search included.
        compile_seconds: how long it took to compile the kernel for this machine's CPU; None if it cannot be.

    Example:
        >>> view = graphax.show_kernel(lambda x: x * jnp.sin(x[0]), jnp.ones(2))
        >>> view.jacobian.flops, sorted(view.orders)
        (5, ['forward', 'markowitz', 'reverse'])
        >>> "define" in view.llvm, "pallas_call" in view.pallas
        (True, True)
    """

    written: Mapping[str, int]
    values: Operations
    jacobian: Operations
    orders: Mapping[str, int]
    trace_seconds: float
    compile_seconds: float | None

    def __str__(self) -> str:
        view, compiled = self.jacobian, self.compile_seconds
        lines = [
            f"the function, as written: {sum(self.written.values())} operations: {_listed(self.written)}",
            f"the function, as a kernel: {self.values!r}",
            f"its Jacobian, as a kernel: {view!r}",
            f"  in other orders: {_listed(self.orders)}",
            f"  for one element: {view.flops} flops, {view.bytes_in} bytes in, {view.bytes_out} bytes out",
            f"  at most {view.registers} values at once",
            f"  traced in {self.trace_seconds:.3f} s, "
            + ("not compiled" if compiled is None else f"compiled in {compiled:.3f} s"),
        ]
        return "\n".join(lines)

    @property
    def _batched(self) -> tuple[bool, ...]:
        return (True,) * len(self.jacobian.program.operands)

    @property
    def llvm(self) -> str:
        """The kernel's LLVM IR for this machine, all operands having the axis of the batch."""
        return loop(self.jacobian.program, self._batched, _native.host()).text

    @property
    def assembly(self) -> str:
        """The kernel's machine code for this machine, as text."""
        return _native.assembly(self.jacobian.program, self._batched)

    @property
    def pallas(self) -> str:
        """The kernel for GPUs, as the jaxpr of a Pallas kernel for a batch of 1,024."""
        program = self.jacobian.program
        types = [jax.ShapeDtypeStruct((1024, *x.shape), KINDS[x.kind]) for x in program.operands]
        return str(jax.make_jaxpr(_triton.call(program, self._batched, 1024))(*types))


def show_kernel(
    fun: Callable[..., Any], *args: Any, argnums: Argnums = 0, order: OrderLike = "auto", **kwargs: Any
) -> KernelView:
    """What the kernel of a function's Jacobian consists of.

    Args:
        fun: the function, of arguments without the batch.
        args, kwargs: its arguments, arrays or anything with a shape and a dtype.
        argnums, order: as for :func:`graphax.jacve`.

    Returns:
        a :class:`KernelView`, whose ``str`` is a summary: operations by kind, flops, bytes, registers, other
        orders, compile time. ``.llvm``, ``.assembly`` and ``.pallas`` are the code, as text.

    Raises:
        TypeError: where there is no kernel, with the reason.
        ValueError: as :func:`graphax.jacve`.

    Example:
        >>> view = graphax.show_kernel(lambda x: x * jnp.sin(x[0]), jnp.ones(2))
        >>> dict(view.jacobian.kinds)
        {'sin': 1, 'cos': 1, 'mul': 2, 'add': 1}
    """
    check_callable(fun)
    try:
        traced = Application.of(fun, argnums, False, False, args, kwargs).trace()
        start = time.perf_counter()
        jacobian = _jacobian(traced, order)
        trace_seconds = time.perf_counter() - start
        orders = {name: _jacobian(traced, name).count for name in ("forward", "reverse", "markowitz")}
    except (Inexpressible, NoKernel) as reason:
        raise TypeError(f"there is no kernel for this Jacobian: {reason}") from reason
    program, compile_seconds = traced.numbering.program, None
    if _native.available() is None:
        start = time.perf_counter()
        _native.assembly(jacobian.program, (True,) * len(jacobian.program.operands))
        compile_seconds = time.perf_counter() - start
    values = _operations(fuse(lambda *values: program(*values)[: traced.num_outputs]), traced)
    return KernelView(_written(program), values, jacobian, orders, trace_seconds, compile_seconds)


def _jacobian(traced: Traced, order: OrderLike) -> Operations:
    def jacobian(*values: Any) -> Any:
        return jacobians_by_kernel(
            traced.numbering, traced.num_outputs, values, order, with_values=False, insist=True
        )

    return _operations(jacobian, traced)


def _operations(fun: Callable[..., Any], traced: Traced) -> Operations:
    """Of the kernel that a function calls."""
    found = jax.make_jaxpr(fun)(*traced.values)
    kernels = [eqn.params["kernel"] for eqn in found.eqns if eqn.primitive is kernel_p]
    if not kernels:
        raise NoKernel("it is zero everywhere")
    return Operations(kernels[0].program)


def _kinds(block: Instructions) -> Counter[str]:
    found = Counter(op for op in block.ops if op not in NO_OPERATIONS)
    for body in block.bodies.values():
        found.update({op: body.length * count for op, count in _kinds(body).items()})
    return found


def _reads(op: str, args: tuple[Any, ...]) -> tuple[int, ...]:
    return args[:1] if op == "last" else () if op in NO_OPERATIONS - {"loop"} else args


def _written(program: Program) -> Counter[str]:
    """The entries that a program computes by arithmetic, by primitive."""
    found: Counter[str] = Counter()
    for equation in program.equations:
        name, shape = equation.primitive.name, equation.outputs[0].aval.shape if equation.outputs else ()
        size = math.prod(shape)
        if name in _ENTRYWISE:
            found[name] += size
        elif name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            length = math.prod(equation.inputs[0].aval.shape[axis] for axis in contracted)
            found["mul"] += size * length
            found["add"] += size * (length - 1)
        elif name in _REDUCTIONS:
            found[_REDUCTIONS[name]] += math.prod(equation.inputs[0].aval.shape) - size
        elif name in _HOLDING:
            steps = equation.params.get("length", 1)
            for body in core.jaxprs_in_params(equation.params):
                found.update({op: steps * count for op, count in _written(inline(body)).items()})
    return found


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(counts.items(), key=lambda pair: -pair[1]))
