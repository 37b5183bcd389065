"""Elementwise primitives: every output entry depends on the operands' entries at the same place.

The table holds names, not calculus: the partial derivatives come from JAX's own ``jvp`` of the primitive.
Its jaxpr is linear in the tangents, and elementwise; so it is evaluated with tangents that are kept as
*coefficients*, one for every operand, and what comes out at its end are the partial derivatives.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import lax
from jax.extend import core

from .._trace import (
    Atom,
    Constant,
    Equation,
    Program,
    Variable,
    bind,
    inline,
    is_differentiable,
    read,
    with_moving,
)
from ..sparse import (
    Block,
    Kind,
    Mask,
    Scaled,
    Structure,
    Support,
    chosen,
    label_dims,
    make_term,
    reshape,
    structure,
    with_holes,
    with_support,
)
from ._poleless import is_poleless
from ._ranges import Ranges
from ._registry import Call, T, register_rule
from ._vanishing import vanishing_outside

ELEMENTWISE = tuple(
    """abs acos acosh add add_any asin asinh atan atan2 atanh bessel_i0e bessel_i1e cbrt ceil clamp
    conj cos cosh copy copy_p digamma div erf erfc erf_inv exp exp2 expm1 floor igamma igammac
    igamma_grad_a integer_pow is_finite lgamma log log1p log2 logistic max min mul neg nextafter
    one_minus_square polygamma pow random_gamma convert_element_type reduce_precision
    regularized_incomplete_beta rem round rsqrt select_n sign sin sinh sqrt square stop_gradient sub tan
    tanh zeta""".split()
)


# What puts an array elsewhere, or into another dtype, and leaves its entries as they are.
_PLACING = frozenset(
    """broadcast_in_dim convert_element_type copy copy_p device_put layout_constraint name pvary reshard
    sharding_constraint""".split()
)


class NotElementwise(Exception):
    """A tangent meets a primitive that is not elementwise."""


class Partial(NamedTuple):
    """A derivative with respect to one operand, entry by entry.

    Where there is a mask and it does not hold there is no derivative, whatever the factor says.
    """

    factor: Scaled
    mask: Any = None

    def array(self, like: Any) -> Any:
        """The derivative, but for the mask, as an array of the shape and dtype of ``like``."""
        dtype, shape = like.dtype, like.shape
        whole = self.factor.map(lambda array: _with_shape(lax.convert_element_type(array, dtype), shape))
        return whole.numbers(dtype, shape)

    def selected(self, like: Any) -> Any:
        """The derivative as an array like another, zero where there is none."""
        array = self.array(like)
        return (
            array if self.mask is None else lax.select(self.holds(like.shape), array, lax.full_like(array, 0))
        )

    def holds(self, shape: tuple[int, ...]) -> Any:
        """The mask as an array of this shape."""
        return lax.full(shape, True) if self.mask is None else _with_shape(self.mask, shape)

    def where(self, taken: Any) -> Partial:
        """The derivative where it is taken."""
        if self.mask is not None:
            shape = np.broadcast_shapes(self.mask.shape, taken.shape)
            taken = lax.bitwise_and(_with_shape(self.mask, shape), _with_shape(taken, shape))
        return self._replace(mask=taken)

    def times(self, other: Any, static: Any) -> Partial:
        array, scale = self.factor
        if static is not None:
            return self._replace(factor=Scaled(array, scale * static))
        return self._replace(factor=Scaled(other if array is None else lax.mul(array, other), scale))

    def over(self, other: Any, static: Any) -> Partial:
        array, scale = self.factor
        if static:
            return self._replace(factor=Scaled(array, scale / static))
        return self._replace(factor=Scaled(lax.div(_array_of(self.factor, other.dtype), other), scale))


_NONE = Partial(Scaled(None, 0.0))
Partials = dict[int, Partial]  # by operand


def _array_of(factor: Scaled, dtype: Any) -> Any:
    """An array that the scale of a factor may stand beside."""
    return np.ones((), dtype) if factor.array is None else factor.array


def _with_shape(array: Any, shape: tuple[int, ...]) -> Any:
    """An array broadcast to more leading dimensions, and along those of size 1."""
    if array.shape == shape:
        return array
    return lax.broadcast_in_dim(array, shape, range(len(shape) - array.ndim, len(shape)))


@register_rule(*ELEMENTWISE)
def elementwise(call: Call, program: Program | None = None) -> tuple[list[Any], list[list[Block | None]]]:
    """The rule of every elementwise primitive, and of whatever turns out to be elementwise.

    Args:
        call: the call.
        program: its :func:`derivative_program`, if that is known already.

    Raises:
        NotElementwise: when the derivative is not elementwise in the tangents.
    """
    program = program or derivative_program(call)
    results, tangents = partial_derivatives(program, call.operands, call.static, call.num_results)
    ranges = Ranges(program)
    finite = all(is_poleless(equation, ranges) for equation in program.equations)
    moving = call.moving
    blocks: list[list[Block | None]] = []
    for result, partials in zip(results, tangents, strict=True):
        row: list[Block | None] = [None] * len(call.operands)
        for key, partial in partials.items():
            at = moving[key]
            support = vanishing_outside(call, at)
            block = entrywise_block(np.shape(result), np.shape(call.operands[at]), partial, support)
            row[at] = replace(block, finite=finite)
        blocks.append(row)
    return results, blocks


@register_rule("mul")
def _product(call: Call) -> tuple[list[Any], list[list[Block | None]]]:
    """A known factor with zeros is a static array in a sparse Jacobian."""
    if call.sparse:
        pairs = enumerate(call.wanted)
        call = call.with_operands([call.operands[at] if want else call.factor(at) for at, want in pairs])
    return elementwise(call)


def elementwise_as_found(call: Call) -> tuple[list[Any], list[list[Block | None]]]:
    """The rule of a primitive that nothing is known of: releases of JAX bring new elementwise ones.

    Raises:
        NotElementwise: when the derivative is not elementwise in the tangents, or JAX has no jvp.
    """
    try:
        program = derivative_program(call)
    except Exception as error:  # whatever the rules of others raise; a dense Jacobian may need no jvp
        raise NotElementwise(call.primitive.name) from error
    return elementwise(call, program)


def entrywise_block(
    out_shape: tuple[int, ...], in_shape: tuple[int, ...], partial: Partial, support: Support | None = None
) -> Block:
    """The block of a derivative that is taken entry by entry, with broadcasting.

    Args:
        out_shape, in_shape: the shapes of the result and of the operand.
        partial: the derivative.
        support: where in the result it may be nonzero, if that is known.
    """
    factor, mask = partial.factor.settled(), partial.mask
    array = factor.array
    if array is not None and mask is not None:
        shape = np.broadcast_shapes(array.shape, mask.shape)
        mask = _with_shape(mask, shape)
        array = with_holes(chosen(mask, _with_shape(array, shape)), Mask(mask))
    if array is not None and array.shape == out_shape:
        array = with_support(array, support)
    found = _entrywise(out_shape, in_shape, None if array is None else array.shape, factor.kind)
    value = Scaled(array, factor.scale).map(lambda array: reshape(array, found.terms[0].value_shape))
    return Block(found, (value,))


@functools.lru_cache(maxsize=4096)
def _entrywise(
    out_shape: tuple[int, ...],
    in_shape: tuple[int, ...],
    factor_shape: tuple[int, ...] | None,
    kind: Kind,
) -> Structure:
    out, sizes = label_dims(out_shape)
    rank = len(out_shape)

    def labels_of(shape: tuple[int, ...]) -> list[list[int]]:
        dims = out[rank - len(shape) :]
        return [dim if size != 1 else [] for dim, size in zip(dims, shape, strict=True)]

    axes = [] if factor_shape is None else [label for dim in labels_of(factor_shape) for label in dim]
    return structure(make_term(out, labels_of(in_shape), sizes, kind, axes))


def partial_derivatives(
    program: Program, operands: Sequence[Any], static: Sequence[Any], num_results: int
) -> tuple[list[Any], list[Partials]]:
    """Evaluate a program ``(operands, tangents) -> (results, tangents out)`` for coefficients.

    Args:
        program: linear and elementwise in its tangents.
        operands: one array for every operand.
        static: the numbers of literal operands, None for others.
        num_results: how many of the program's outputs are results; the others are tangents.

    Returns:
        the results and, for every tangent that comes out, its coefficients by the position of the tangent
        that goes in.

    Raises:
        NotElementwise: when a tangent meets a primitive that is not elementwise.
    """
    walk = _Walk(dict(program.constants), {}, {}, {})
    for variable, operand, number in zip(program.inputs, operands, static, strict=False):
        walk.values[variable] = operand
        if number is not None:
            walk.numbers[variable] = number
    for at, variable in enumerate(program.inputs[len(operands) :]):
        walk.tangents[variable] = {at: Partial(Scaled(None, 1.0))}
    for equation in program.equations:
        walk.step(equation)
    results = [read(walk.values, atom) for atom in program.outputs[:num_results]]
    return results, [walk.coefficients(atom) or {} for atom in program.outputs[num_results:]]


class _Walk(NamedTuple):
    """The state of a walk through a derivative's program."""

    values: dict[Variable, Any]
    numbers: dict[Variable, Any]  # of operands that are literals
    tangents: dict[Variable, Partials]
    squeezed: dict[Variable, tuple[Partials, tuple[int, ...]]]  # tangents, and their shapes before

    def coefficients(self, atom: Atom) -> Partials | None:
        if not isinstance(atom, Variable):
            return None
        if atom in self.squeezed:
            raise NotElementwise("reshape")
        return self.tangents.get(atom)

    def step(self, equation: Equation) -> None:
        if self._broadcasts(equation):
            return
        tangents = [self.coefficients(atom) for atom in equation.inputs]
        if any(tangent is not None for tangent in tangents):
            result = self._propagate(equation, tangents)
            if result is not None:
                self.tangents[equation.outputs[0]] = result
        else:
            values = [read(self.values, atom) for atom in equation.inputs]
            results = equation.evaluate(values)
            self.values.update(zip(equation.outputs, results, strict=True))

    def _broadcasts(self, equation: Equation) -> bool:
        """Whether an equation is half of how JAX broadcasts a tangent along dimensions of size 1.

        They are squeezed, and the others then go to their own places among those of the result.
        """
        name = equation.primitive.name
        if name not in ("reshape", "squeeze", "broadcast_in_dim"):
            return False
        source, (output,) = equation.inputs[0], equation.outputs
        if not isinstance(source, Variable):
            return False
        if name == "broadcast_in_dim":
            partials, before = self.squeezed.get(source, ({}, ()))
            dims = zip(equation.params["broadcast_dimensions"], source.aval.shape, strict=True)
            places = [dim for dim, size in dims if size != 1]
            same = places == [dim for dim, size in enumerate(before) if size != 1]
            if not partials or not same or len(before) != len(output.aval.shape):
                return False
            self.tangents[output] = partials
            return True
        partials = self.coefficients(source) or {}
        sizes = [[size for size in shape if size != 1] for shape in (source.aval.shape, output.aval.shape)]
        plain = all(part.factor.array is None and part.mask is None for part in partials.values())
        if not partials or not plain or sizes[0] != sizes[1]:
            return False
        self.squeezed[output] = partials, source.aval.shape
        return True

    def _propagate(self, equation: Equation, tangents: list[Partials | None]) -> Partials | None:
        """The coefficients of an equation's result; None if it cannot carry a derivative."""
        name = equation.primitive.name
        moving = [tangent for tangent in tangents if tangent is not None]
        first = moving[0]
        if len(equation.outputs) != 1:
            raise NotElementwise(name)
        if not is_differentiable(equation.outputs[0].aval):
            return None
        if name in ("mul", "div") and len(moving) == 1:
            apply = Partial.times if name == "mul" else Partial.over
            other = equation.inputs[1 if tangents[0] is not None else 0]
            value, number = self._operand(other)
            return {key: apply(part, value, number) for key, part in first.items()}
        if name == "neg":
            return _negated(first)
        if name == "select_n":
            return self._selected(equation, tangents)
        if name in ("add", "add_any", "sub") and len(moving) == 1:
            # The sum is linear, so what carries no tangent is zero: that of an operand that does not move.
            return first if tangents[0] is not None or name != "sub" else _negated(first)
        if name in ("add", "add_any", "sub") and len(moving) == 2:
            second = _negated(moving[1]) if name == "sub" else moving[1]
            if first.keys().isdisjoint(second):
                return first | second
        if name in _PLACING and len(equation.inputs) == 1:
            if name == "broadcast_in_dim" and not _aligns_trailing_dims(equation):
                raise NotElementwise(name)
            if all(part.factor.array is None for part in first.values()):
                return first
        elif name not in ELEMENTWISE:
            raise NotElementwise(name)
        return self._propagate_as_arrays(equation, tangents)

    def _operand(self, atom: Atom) -> tuple[Any, Any]:
        """The array of an operand, and its number if it is a literal."""
        if isinstance(atom, Constant):
            return np.asarray(atom.value, atom.aval.dtype), static_number(atom.value)
        return self.values[atom], self.numbers.get(atom)

    def _propagate_as_arrays(self, equation: Equation, tangents: list[Partials | None]) -> Partials:
        """Any elementwise linear equation maps coefficients as it maps tangents."""
        result: Partials = {}
        for key, parts in _by_key(tangents).items():
            values = [
                read(self.values, atom) if tangent is None else parts.get(at, _NONE).selected(atom.aval)
                for at, (atom, tangent) in enumerate(zip(equation.inputs, tangents, strict=True))
            ]
            masks = [part.mask for part in parts.values()]
            mask = None if any(mask is None for mask in masks) else functools.reduce(lax.bitwise_or, masks)
            result[key] = Partial(Scaled(equation.evaluate(values)[0]), mask)
        return result

    def _selected(self, equation: Equation, tangents: list[Partials | None]) -> Partials:
        """A selection of tangents; what it does not take is not there."""
        which = read(self.values, equation.inputs[0])
        aval = equation.outputs[0].aval
        result: Partials = {}
        for key, parts in _by_key(tangents).items():
            cases = range(1, len(tangents))
            if len(parts) == 1:
                ((at, part),) = parts.items()
                factor = Scaled(_array_of(part.factor, aval.dtype), part.factor.scale)
                result[key] = part._replace(factor=factor).where(_is_case(which, at - 1))
                continue
            factors = [parts.get(at, _NONE).array(aval) for at in cases]
            factor = lax.select_n(which, *factors)
            holds = [
                parts[at].holds(aval.shape) if at in parts else lax.full(aval.shape, False) for at in cases
            ]
            whole = len(parts) == len(cases) and all(part.mask is None for part in parts.values())
            result[key] = Partial(Scaled(factor), None if whole else lax.select_n(which, *holds))
        return result


def _by_key(tangents: Sequence[Partials | None]) -> dict[int, dict[int, Partial]]:
    """For every operand the coefficients that tangents have for it, by the position of the tangent."""
    found: dict[int, dict[int, Partial]] = {}
    for at, tangent in enumerate(tangents):
        for key, part in (tangent or {}).items():
            found.setdefault(key, {})[at] = part
    return found


def _is_case(which: Any, case: int) -> Any:
    """Where a selection takes one of its cases."""
    if which.dtype != bool:
        return lax.eq(which, lax.full_like(which, case))
    return which if case else lax.bitwise_not(which)


def _negated(partials: Partials) -> Partials:
    return {key: part._replace(factor=-part.factor) for key, part in partials.items()}


def _aligns_trailing_dims(equation: Equation) -> bool:
    rank = len(equation.outputs[0].aval.shape)
    dims = equation.params["broadcast_dimensions"]
    return tuple(dims) == tuple(range(rank - len(dims), rank))


def static_number(value: Any) -> Any:
    """A literal as a Python number, or None if it is not a finite real or complex one."""
    if value is None or isinstance(value, bool | np.bool_) or np.ndim(value):
        return None
    number = value.item() if hasattr(value, "item") else value
    if not isinstance(number, int | float | complex):
        return None
    finite = math.isfinite(abs(number))
    return number if finite else None


def derivative_program(call: Call) -> Program:
    """The flat program of a primitive's jvp; see :func:`jvp_program`."""
    types = tuple(array_type(jax.typeof(operand)) for operand in call.operands)
    return jvp_program(call.primitive, call.params, types, tuple(call.wanted))


def array_type(aval: Any) -> Any:
    """The type of an array, such that types that agree in shape and dtype are equal.

    On a mesh of devices the axes along which an array varies, or is split, are of its type.
    """
    if not jax.sharding.get_abstract_mesh().empty:
        return aval
    return jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type)


def remembered(fun: Callable[..., T]) -> Callable[..., T]:
    """A function of a primitive, its parameters and more, whose results are kept where all can be hashed."""

    @functools.lru_cache(maxsize=4096)
    def kept(primitive: core.Primitive, params: tuple[tuple[str, Any], ...], *others: Any) -> T:
        return fun(primitive, dict(params), *others)

    @functools.wraps(fun)
    def found(primitive: core.Primitive, params: dict[str, Any], *others: Any) -> T:
        try:
            return kept(primitive, tuple(sorted(params.items())), *others)
        except TypeError:  # parameters that cannot be hashed
            return fun(primitive, params, *others)

    return found


@remembered
def jvp_program(
    primitive: core.Primitive,
    params: dict[str, Any],
    types: tuple[Any, ...],
    wanted: tuple[bool, ...],
) -> Program:
    """The flat program of a primitive's jvp.

    Its inputs are the operands and then a tangent for every wanted one, its outputs the results and then
    a tangent for every result.
    """

    def derivative(operands: Sequence[Any], tangents: Sequence[Any]) -> tuple[Any, Any]:
        def fun(*moving: Any) -> Any:
            return bind(primitive, params, with_moving(operands, wanted, moving))

        return jax.jvp(fun, list(itertools.compress(operands, wanted)), list(tangents))

    moving_types = list(itertools.compress(types, wanted))
    return inline(jax.make_jaxpr(derivative)(list(types), moving_types)).anywhere()
