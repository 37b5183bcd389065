"""Whether a program is linear in some of its inputs: proved from its equations, or not at all.

A derivative rule of the user's own may be anything: it may clip its cotangent, normalise it, or ignore it.
Only a linear one is a Jacobian.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend import core

from .._known import KnownValues
from .._trace import (
    Atom,
    Constant,
    Equation,
    Program,
    bind,
    inline,
    is_differentiable,
    scan_counts,
)
from ._carried import through_steps
from ._elementwise import array_type, remembered
from ._scatter_apply import applied_function


class Degree(enum.Enum):
    """What is known of a value as a function of the inputs that the program may be linear in."""

    ZERO = enum.auto()  # zero, whatever the inputs are
    FREE = enum.auto()  # independent of them
    LINEAR = enum.auto()
    UNKNOWN = enum.auto()


ZERO, FREE, LINEAR, UNKNOWN = Degree

# Linear in all operands together: copies and sums of entries.
_SUMS = frozenset(
    """add add_any broadcast_in_dim complex concatenate conj copy copy_p cumsum device_put expand_dims fft
    imag layout_constraint name neg pad pvary real reduce_precision reduce_sum reduce_window_sum reshape
    reshard rev sharding_constraint slice split squeeze stack stop_gradient sub tile transpose
    unstack""".split()
)
# Linear in every operand alone.
_PRODUCTS = frozenset("conv_general_dilated dot_general mul ragged_dot ragged_dot_general".split())
# Linear in what JAX can transpose them for, the other numbers being coefficients: those of JAX and Lineax.
_BY_TRANSPOSE = frozenset("custom_transpose_call linear_call linear_solve".split())
# Linear in some operands together where the others are free: by name the positions of those.
_LINEAR_AT: dict[str, Callable[[int], Iterable[int]]] = {
    "div": lambda count: [0],
    "dynamic_slice": lambda count: [0],
    "dynamic_update_slice": lambda count: [0, 1],
    "gather": lambda count: [0],
    "scatter": lambda count: [0, 2],
    "scatter-add": lambda count: [0, 2],
    "scatter-mul": lambda count: [0],
    "scatter-sub": lambda count: [0, 2],
    "select_and_gather_add": lambda count: [0],
    "select_and_scatter_add": lambda count: [0],
    "select_n": lambda count: range(1, count),
    "triangular_solve": lambda count: [1],
    "tridiagonal_solve": lambda count: [3],
}


def is_linear(program: Program, inputs: Iterable[int], outputs: Iterable[int]) -> bool:
    """Whether some outputs of a program are provably linear in some of its inputs, taken together.

    Args:
        program: the program.
        inputs: the positions of the inputs.
        outputs: the positions of the outputs. Those that carry no derivative count as linear.
    """
    moving = set(inputs)
    degrees = _degrees(program, [LINEAR if at in moving else FREE for at in range(len(program.inputs))])
    return all(degrees[at] in (ZERO, LINEAR) for at in outputs if is_differentiable(program.outputs[at].aval))


def coefficients(equation: Equation, at: int) -> list[int]:
    """The operands that the derivative of a primitive with respect to one of them may depend on."""
    name, every = equation.primitive.name, range(len(equation.inputs))
    if name in _SUMS or name == "convert_element_type":
        return []
    if name in _PRODUCTS:
        return [other for other in every if other != at]
    if name in _LINEAR_AT and not (name == "scatter" and applied_function(equation.params)):
        together = set(_LINEAR_AT[name](len(every)))
        if at in together:
            return [other for other in every if other not in together]
    return list(every)


def _degrees(program: Program, inputs: Sequence[Degree]) -> list[Degree]:
    """The degrees of a program's outputs, from those of its inputs."""
    found: dict[Atom, Degree] = dict(zip(program.inputs, inputs, strict=True))
    known = KnownValues(program)

    def degree(atom: Atom) -> Degree:
        if isinstance(atom, Constant):
            return FREE if np.any(atom.value) else ZERO
        return found.get(atom, FREE)

    def settled(atoms: Sequence[Atom], degrees: list[Degree]) -> list[Degree]:
        """A free value beside a linear one may be known to be zero."""
        return [
            ZERO if each is FREE and _is_zero(known, atom) else each
            for atom, each in zip(atoms, degrees, strict=True)
        ]

    for equation in program.equations:
        degrees = [degree(atom) for atom in equation.inputs]
        results = _of_equation(equation, degrees)
        if UNKNOWN in results and UNKNOWN not in degrees and FREE in degrees:
            results = _of_equation(equation, settled(equation.inputs, degrees))
        found.update(zip(equation.outputs, results, strict=True))
    return settled(program.outputs, [degree(atom) for atom in program.outputs])


def _is_zero(known: KnownValues, atom: Atom) -> bool:
    if not is_differentiable(atom.aval):
        return False
    value = known(atom)
    return value is not None and not value.any()


def _of_equation(equation: Equation, degrees: list[Degree]) -> list[Degree]:
    """The degrees of an equation's results, from those of its operands."""
    name, count = equation.primitive.name, len(equation.outputs)
    if name in _INNER:
        return _INNER[name](equation, degrees)
    if UNKNOWN in degrees:
        return [UNKNOWN] * count
    if name in _SUMS or (name == "convert_element_type" and is_differentiable(equation.outputs[0].aval)):
        return [_sum(*degrees)] * count
    if name in _PRODUCTS:
        return [_product(degrees)] * count
    if name in _LINEAR_AT:
        chosen = set(_LINEAR_AT[name](len(degrees)))
        applies = name == "scatter" and applied_function(equation.params)
        if not applies and all(degrees[at] is not LINEAR for at in range(len(degrees)) if at not in chosen):
            return [_sum(*(degrees[at] for at in chosen))] * count
        return [UNKNOWN if LINEAR in degrees else FREE] * count
    return _of_stranger(equation, degrees)


def _of_stranger(equation: Equation, degrees: list[Degree]) -> list[Degree]:
    """The degrees of the results of a primitive that has no rule here.

    It is linear in the numbers that are not free if JAX can transpose it for these; but a free number might
    be added to them, if the primitive is not known to multiply by it.
    """
    numbers = [at for at, atom in enumerate(equation.inputs) if is_differentiable(atom.aval)]
    kind = LINEAR if LINEAR in degrees else ZERO
    moving = [at for at in numbers if degrees[at] is kind]
    if equation.primitive.name not in _BY_TRANSPOSE:
        moving = [at for at in numbers if degrees[at] is not FREE]
        # What holds a function is transposed by transposing that, constants and all.
        holds = equation.primitive.name == "noinline" or any(
            True for _ in core.jaxprs_in_params(equation.params)
        )
        if len(moving) < len(numbers) or holds:
            moving = []
    types = tuple(array_type(atom.aval) for atom in equation.inputs)
    if moving and _transposes(equation.primitive, equation.params, types, tuple(moving)):
        of_others = UNKNOWN if kind is LINEAR else FREE
        return [kind if is_differentiable(output.aval) else of_others for output in equation.outputs]
    return [UNKNOWN if kind is LINEAR else FREE] * len(equation.outputs)


@remembered
def _transposes(
    primitive: core.Primitive,
    params: dict[str, Any],
    types: tuple[jax.ShapeDtypeStruct, ...],
    moving: tuple[int, ...],
) -> bool:
    """Whether JAX can transpose a primitive with respect to some operands."""

    def transpose(values: Sequence[Any]) -> Any:
        def fun(*numbers: Any) -> list[Any]:
            operands = list(values)
            for at, number in zip(moving, numbers, strict=True):
                operands[at] = number
            found = bind(primitive, params, operands)
            return [result for result in found if is_differentiable(jax.typeof(result))]

        numbers = [types[at] for at in moving]
        cotangents = [lax.full(aval.shape, 0, aval.dtype) for aval in jax.eval_shape(fun, *numbers)]
        return jax.linear_transpose(fun, *numbers)(cotangents)

    try:
        jax.eval_shape(transpose, types)
    except Exception:  # whatever the rules of others raise
        return False
    return True


def _sum(*degrees: Degree) -> Degree:
    """The degree of a sum, and of a value that is one of several."""
    kinds = set(degrees) - {ZERO}
    if not kinds:
        return ZERO
    return kinds.pop() if len(kinds) == 1 else UNKNOWN


def _product(degrees: Sequence[Degree]) -> Degree:
    """The degree of a product of known ones."""
    if LINEAR in degrees:
        return LINEAR if degrees.count(LINEAR) == 1 else UNKNOWN
    return ZERO if ZERO in degrees else FREE


def _of_body(equation: Equation, degrees: list[Degree]) -> list[Degree]:
    return _degrees(inline(equation.params["call_jaxpr"]), degrees)


def _sort(equation: Equation, degrees: list[Degree]) -> list[Degree]:
    keys = degrees[: equation.params["num_keys"]]
    return degrees if all(each in (ZERO, FREE) for each in keys) else [UNKNOWN] * len(degrees)


def _cond(equation: Equation, degrees: list[Degree]) -> list[Degree]:
    if degrees[0] in (LINEAR, UNKNOWN):
        return [UNKNOWN] * len(equation.outputs)
    ways = [_degrees(inline(branch), degrees[1:]) for branch in equation.params["branches"]]
    return [_sum(*way) for way in zip(*ways, strict=True)]


def _scan(equation: Equation, degrees: list[Degree]) -> list[Degree]:
    results_of = functools.partial(_degrees, inline(equation.params["jaxpr"]))
    return through_steps(degrees, *scan_counts(equation.params), results_of, _sum)[1]


def _while(equation: Equation, degrees: list[Degree]) -> list[Degree]:
    of_test, of_body = equation.params["cond_nconsts"], equation.params["body_nconsts"]
    results_of = functools.partial(_degrees, inline(equation.params["body_jaxpr"]))
    _, carry = through_steps(degrees[of_test:], of_body, len(equation.outputs), results_of, _sum)
    (tests,) = _degrees(inline(equation.params["cond_jaxpr"]), [*degrees[:of_test], *carry])
    return carry if tests in (ZERO, FREE) else [UNKNOWN] * len(carry)


def _linear_solve(equation: Equation, degrees: list[Degree]) -> list[Degree]:
    held = sum(equation.params["const_lengths"])
    operator, right = degrees[:held], degrees[held:]
    linear = all(each in (ZERO, FREE) for each in operator)
    return [_sum(*right) if linear else UNKNOWN] * len(equation.outputs)


_INNER: dict[str, Callable[[Equation, list[Degree]], list[Degree]]] = {
    "cond": _cond,
    "custom_jvp_call": _of_body,
    "custom_linear_solve": _linear_solve,
    "custom_vjp_call": _of_body,
    "optimization_barrier": lambda equation, degrees: degrees,
    "scan": _scan,
    "sort": _sort,
    "while": _while,
}
