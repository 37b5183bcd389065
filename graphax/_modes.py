"""JAX's own modes where elimination is estimated to take longer than they do."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.core import Tracer
from jax.extend import core

from ._coloured import Sides, colouring, jacobians_by_colours
from ._matrix_free import goes_forward, jacobians_by_arrays, jacobians_without_matrices
from ._numbering import Numbering
from ._reverse_mode import has_reverse_mode
from ._staged import Staged
from ._trace import Equation, holds, is_split, varying_axes
from ._tuned import NoWay
from .choose import OrderLike, are_left_open, is_candidate
from .rules import Blocks, Sparse, has_no_poles, real_type
from .sparse import without_zeros
from .timing import Flat, constants_for, estimated_seconds, flat

# A mode is taken where it is so much faster; estimates are no better than that.
_MARGIN = 0.7
# Columns are pushed through all loops where that takes no more than so much of the time.
_MARGIN_OF_LOOPS = 0.8
# Other orders are tried for no more equations than that, without loops, where waiting takes such a part.
_SHORT, _MUCH = 150, 0.15
# Sums of columns, or of rows, are moved if they are so many times fewer than these.
_SHARED = 2
# More entries take seconds to be coloured, and the places of very many do not fit into memory.
_COLOURED = 1 << 20
# A tangent takes no less than so many times what the function takes in additions and multiplications.
_AT_LEAST = 0.8
# What it takes to start, and what is in proportion to entries.
_STARTING = "kernel contraction multiplication product library matrix".split()
_OF_ENTRIES = (
    "byte fresh_byte entry inner branched division function moved chosen reduced sum cumulated gathered "
    "scattered multiply convolved factored fourier sorted"
).split()
# What a function takes for the sake of other threads, which a mode need not.
_OF_THREADS = ("woken", "divided")

_Found = tuple[list[Any], Sequence[Sequence[Any]]]


def jacobians_without_kernel(
    numbering: Numbering,
    num_outputs: int,
    values: Sequence[Any],
    order: OrderLike,
    *,
    body_order: OrderLike,
    sparse: Sparse = False,
) -> tuple[str, str, _Found]:
    """As :func:`graphax._matrix_free.jacobians_by_arrays`, or where any way will do as
    :func:`jacobians_by_estimate`, and returns what that does; so where sparse ones are compiled.
    """
    if are_left_open(order, body_order):
        if not sparse:
            return jacobians_by_estimate(numbering, num_outputs, values)
        if any(isinstance(value, Tracer) for value in values) and is_candidate("modes"):
            return _sparse_by_estimate(numbering, num_outputs, values, sparse)
    found = jacobians_by_arrays(numbering, num_outputs, values, order, body_order=body_order, sparse=sparse)
    return "auto", "Nothing else is asked for.", found


def jacobians_by_estimate(
    numbering: Numbering, num_outputs: int, values: Sequence[Any]
) -> tuple[str, str, _Found]:
    """As :func:`graphax._matrix_free.jacobians_without_matrices`, forward through all loops if that is
    faster, or by one of JAX's modes if that is.

    Others than the first are looked at where the Jacobian is traced to be compiled, and modes where they are
    candidates and give the same; see :func:`jacobians_by_mode`. So are other orders of a short elimination
    that waits for other threads for long: whether it does is seen from the program that comes out, not from
    its products and sums.

    Returns:
        what was taken, ``"auto"`` or the name of the mode, why, and what it gives.
    """
    if not any(isinstance(value, Tracer) for value in values):
        return "auto", "Nothing is compiled.", jacobians_without_matrices(numbering, num_outputs, values)
    if is_candidate("modes"):
        reason = _why_not(numbering, num_outputs, values)
        why = f"JAX's modes may give something else: {reason}."
    else:
        reason = why = _NO_CANDIDATES
    either = _has_loops(numbering) and not goes_forward(numbering, num_outputs)
    short = reason in (_POLES, _NO_CANDIDATES) and _is_short(numbering)
    if reason is not None and not (either or short):
        return "auto", why, jacobians_without_matrices(numbering, num_outputs, values)
    modes, way = _modes(numbering, num_outputs), _eliminated(numbering, num_outputs, values)
    if reason is not None and not either:
        return "auto", why, way.run()
    value = flat(numbering.program)
    if either:
        longest = _MARGIN_OF_LOOPS * way.seconds
        if _least_seconds("jacfwd", value, modes["jacfwd"]) < longest:
            pushed = _staged(numbering, num_outputs, values, forward=True)
            way = pushed if pushed.seconds < longest else way
    if reason is not None:
        return "auto", why, way.run()
    best, longest = "auto", _MARGIN * way.seconds
    for name, moved in modes.items():
        if _least_seconds(name, value, moved) < longest:
            with contextlib.suppress(NoWay):
                mode = _staged_mode(name, numbering, num_outputs, values)
                if mode.seconds < longest:
                    best, way, longest = name, mode, mode.seconds
    return best, "It is estimated to be the fastest.", way.run()


def _sparse_by_estimate(
    numbering: Numbering, num_outputs: int, values: Sequence[Any], sparse: Sparse
) -> tuple[str, str, _Found]:
    """Sparse Jacobians by elimination, or by a mode that moves sums of columns or rows, if that is faster.

    Returns:
        as :func:`jacobians_by_estimate`.
    """

    def eliminated(*values: Any) -> _Found:
        results, blocks = jacobians_by_arrays(
            numbering, num_outputs, values, "auto", body_order="auto", sparse=sparse
        )
        return results, [[block and without_zeros(block, at_last=True) for block in row] for row in blocks]

    best, reason = "auto", _why_not(numbering, num_outputs, values)
    if reason is not None:
        return best, f"JAX's modes may give something else: {reason}.", eliminated(*values)
    way = Staged.of(eliminated, *values)
    if any(block and block.placed for row in way.outline[1] for block in row):
        return best, "Where entries are is known at run time only.", way.run()
    outputs = numbering.program.outputs[:num_outputs]
    inputs = [numbering.program.inputs[at] for at in numbering.wrt]
    sizes = [[math.prod(atom.aval.shape) for atom in atoms] for atoms in (outputs, inputs)]
    sides, longest = Sides(way.outline[1], *sizes), _MARGIN * way.seconds
    if sides.count > _COLOURED:
        return best, "There are too many entries to be coloured.", way.run()
    value = flat(numbering.program)
    for name, all_of_them in _modes(numbering, num_outputs).items():
        if _least_seconds(name, value, sides.least_moved(name)) > longest:
            continue
        groups = colouring(name, sides)
        few = 0 < _SHARED * groups.count <= all_of_them
        if few and _least_seconds(name, value, groups.count) < longest:
            with contextlib.suppress(NoWay):
                shared = partial(jacobians_by_colours, numbering, num_outputs, groups)
                mode = _staged_by(shared, name, values)
                if mode.seconds < longest:
                    best, way, longest = name, mode, mode.seconds
    return best, "It is estimated to be the fastest.", way.run()


def _staged(numbering: Numbering, num_outputs: int, values: Sequence[Any], **options: Any) -> Staged:
    """Elimination, traced aside; options are those of ``jacobians_without_matrices``."""

    def eliminated(*values: Any) -> _Found:
        results, blocks = jacobians_without_matrices(numbering, num_outputs, values, **options)
        return results, _arrays(numbering, blocks)

    return Staged.of(eliminated, *values)


def _eliminated(numbering: Numbering, num_outputs: int, values: Sequence[Any]) -> Staged:
    """Elimination, traced aside, in the default order or the classical one that waits less for threads."""
    best = _staged(numbering, num_outputs, values)
    if not _is_short(numbering) or best.estimate.waiting < _MUCH * best.estimate.seconds:
        return best
    others = [_staged(numbering, num_outputs, values, order=order) for order in ("reverse", "forward")]
    return min([best, *others], key=lambda way: way.estimate.seconds)


def jacobians_by_mode(name: str, numbering: Numbering, num_outputs: int, values: Sequence[Any]) -> _Found:
    """Evaluate a program, and its Jacobians by ``jax.jacfwd`` or ``jax.jacrev``, whichever is named.

    Raises:
        NoWay: where elimination gives something else: where arrays are complex or of several dtypes, and
            where zeros that a mode multiplies by may meet what is not finite.
    """
    reason = _why_not(numbering, num_outputs, values)
    if reason is None and name == "jacrev" and not has_reverse_mode(numbering):
        reason = "a derivative goes through a while_loop, which JAX cannot pull back"
    if reason is not None:
        raise NoWay(reason)
    return _staged_mode(name, numbering, num_outputs, values).run()


def _staged_mode(name: str, numbering: Numbering, num_outputs: int, values: Sequence[Any]) -> Staged:
    """A mode, traced aside; raises NoWay where JAX has none."""
    return _staged_by(_by_mode(name, numbering, num_outputs), name, values)


def _staged_by(by_mode: Callable[..., _Found], name: str, values: Sequence[Any]) -> Staged:
    """What a mode gives, traced aside; raises NoWay where JAX has no such mode, whatever it says then."""
    try:
        return Staged.of(by_mode, *values)
    except Exception as error:
        raise NoWay(f"jax.{name} cannot differentiate it: {error}") from error


def _least_seconds(name: str, value: Flat, count: int) -> float:
    """About what a mode takes at least that moves so many tangents or cotangents along.

    It is what the function itself takes where every array has so many more entries, and every kernel is
    followed by another one. Cotangents go through loops of their own, for which values are kept.
    """
    constants = constants_for()
    backward = name == "jacrev"
    more = {each: (3 if backward else 2) * getattr(constants, each) for each in _STARTING} | {"launched": 0.0}
    if backward:
        more |= {each: 2 * getattr(constants, each) for each in ("step", "quick_step")}
    for each in _OF_ENTRIES:
        light = constants.entry if each in ("function", "division") else getattr(constants, each)
        more[each] = getattr(constants, each) + _AT_LEAST * count * light
    less = {each: getattr(constants, each) / (1 + count) for each in ("inline", "quick_bytes", "fresh")}
    return estimated_seconds(value, replace(constants, **more, **less, **dict.fromkeys(_OF_THREADS, 0.0)))


def _why_not(numbering: Numbering, num_outputs: int, values: Sequence[Any]) -> str | None:
    """Why JAX's modes may give something else than elimination; None if they do not."""
    program = numbering.program
    outputs = program.outputs[:num_outputs]
    types = {atom.aval.dtype for atom in (*outputs, *(program.inputs[at] for at in numbering.wrt))}
    if len(types) != 1 or not jax.numpy.issubdtype(types.pop(), np.floating):
        return "arguments and results are not real, of one dtype"
    if any(is_split(value.aval) or varying_axes(value.aval) for value in values if isinstance(value, Tracer)):
        return "arrays are split among devices"
    if any(equation.has_effects for equation in program.equations):
        return "the function has effects"
    if any(_has_rule_of_its_own(equation) for equation in program.equations):
        return "a function inside has a backward rule of its own"
    if not has_no_poles(replace(program, outputs=outputs), numbering.active):
        return _POLES
    return None


_NO_CANDIDATES = "JAX's modes are no candidates."
_POLES = "a derivative inside need not be finite, and JAX's mode multiplies it by zeros"


def _has_rule_of_its_own(equation: Equation) -> bool:
    """Whether a primitive is, or holds, a ``custom_vjp``, which has no forward mode."""
    return equation.primitive.name in _CUSTOM_VJP or any(
        holds(jaxpr, _CUSTOM_VJP) for jaxpr in core.jaxprs_in_params(equation.params)
    )


_CUSTOM_VJP = ("custom_vjp_call", "custom_vjp_call_jaxpr")


def _is_short(numbering: Numbering) -> bool:
    """Whether other orders are tried if need be."""
    return len(numbering.program.equations) <= _SHORT and not _has_loops(numbering)


def _has_loops(numbering: Numbering) -> bool:
    return any(equation.primitive.name in ("scan", "while") for equation in numbering.program.equations)


def _modes(numbering: Numbering, num_outputs: int) -> dict[str, int]:
    """JAX's modes, and how many tangents or cotangents they move."""
    outputs = numbering.program.outputs[:num_outputs]
    found = {"jacfwd": sum(math.prod(numbering.program.inputs[at].aval.shape) for at in numbering.wrt)}
    if has_reverse_mode(numbering):
        found["jacrev"] = sum(math.prod(atom.aval.shape) for atom in dict.fromkeys(outputs))
    return found


def _by_mode(name: str, numbering: Numbering, num_outputs: int) -> Callable[..., _Found]:
    program = numbering.program
    mode: Callable[..., Any] = {"jacfwd": jax.jacfwd, "jacrev": jax.jacrev}[name]

    def differentiated(*values: Any) -> _Found:
        def of_moving(moving: Sequence[Any]) -> Any:
            given = list(values)
            for place, value in zip(numbering.wrt, moving, strict=True):
                given[place] = value
            results = program(*given)
            return results[:num_outputs], results

        rows, results = mode(of_moving, has_aux=True)([values[place] for place in numbering.wrt])
        return results, rows

    return differentiated


def _arrays(numbering: Numbering, blocks: Blocks) -> list[list[Any]]:
    """The blocks as arrays, between real views, in a type that neither results nor arguments exceed."""

    def dense(block: Any, output: Any, at: int) -> Any:
        types = output.aval.dtype, numbering.program.inputs[at].aval.dtype
        return block and block.todense(real_type(jax.numpy.promote_types(*types)))

    rows = zip(numbering.program.outputs, blocks, strict=False)
    return [
        [dense(block, output, at) for block, at in zip(row, numbering.wrt, strict=True)]
        for output, row in rows
    ]
