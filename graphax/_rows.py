"""Sparse Jacobians of programs that do the same for every row of their arrays: a kernel for the rows.

What shooting does for every interval, or a mesh for every element, is a small function. Its part of the
program is cut out, and its Jacobian, entries alone, is one kernel that goes over all rows; what comes before
and after (slices, gathers, scatters) is eliminated as ever, and multiplied with it.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ._accumulate import InnerJacobians, jacobians_of
from ._certain import Certain
from ._known import KnownValues
from ._numbering import Numbering, number_vertices
from ._trace import Atom, Equation, Program, Variable, bind
from .kernels import NoKernel, fuse
from .rules import ELEMENTWISE, Blocks, Sparse
from .sparse import Block, Digit, arranged_block, digit_table, identity_block, without_zeros
from .timing import EXPENSIVE

#: So many rows are worth a kernel where each takes so many operations, of which functions and divisions count
#: several times; more equations than that take long to trace.
_ROWS, _OPERATIONS, _EXPENSIVE, _EQUATIONS = 64, 24, 4, 1000

#: Whose derivatives are zero where operands are.
_WITH_ZEROS = frozenset("mul dot_general div integer_pow square cos cosh exp exp2 logistic".split())

#: What acts on every entry by itself.
_ENTRYWISE = frozenset(ELEMENTWISE) | frozenset("eq ne lt le gt ge and or xor not".split())

_Found = tuple[list[Any], Blocks]


@dataclass(frozen=True)
class _Part:
    """The equations of a program that do the same for every row of arrays, and those before and after.

    Attributes:
        rows: how many there are: the size of one axis of every array.
        before, inside, after: the equations.
        inputs, outputs: the variables that are read, and those that are read of it.
        certain: what is certain of the entries of all variables.
    """

    rows: int
    before: list[Equation]
    inside: list[Equation]
    after: list[Equation]
    inputs: list[Variable]
    outputs: list[Variable]
    certain: Certain

    def axis(self, variable: Variable) -> int:
        """That of the rows."""
        return _axis(variable, self.rows)

    @property
    def operations(self) -> int:
        """About what a row takes."""
        return sum(
            equation.outputs[0].aval.size
            // self.rows
            * (_EXPENSIVE if equation.primitive.name in EXPENSIVE else 1)
            for equation in self.inside
            if equation.primitive.name not in _FORMS
        )

    def row(self, *values: Any) -> list[Any]:
        """The outputs of one row."""
        env = dict(zip(self.inputs, values, strict=True))
        for equation in self.inside:
            operands = [_read(env, atom) for atom in equation.inputs]
            params = _of_a_row(equation, self.rows)
            assert params is not None
            env.update(zip(equation.outputs, bind(equation.primitive, params, operands), strict=True))
        return [env[variable] for variable in self.outputs]


def _read(env: dict[Variable, Any], atom: Atom) -> Any:
    return env[atom] if isinstance(atom, Variable) else np.asarray(atom.value, atom.aval.dtype)


def _axis(variable: Variable, rows: int) -> int:
    """The only axis of this size, -1 where there is none, or several."""
    shape = variable.aval.shape
    return shape.index(rows) if shape.count(rows) == 1 else -1


def jacobians_by_rows(
    numbering: Numbering, num_outputs: int, values: Sequence[Any], sparse: Sparse = True
) -> _Found | None:
    """Evaluate a program, and its sparse Jacobians, with a kernel for its rows; None where there is none."""
    if jax.default_backend() != "cpu" or not any(isinstance(value, Tracer) for value in values):
        return None
    part = _largest_part(numbering)
    if part is None:
        return None
    try:
        found = _through(part, numbering, num_outputs, values, sparse)
    except TypeError as error:
        if isinstance(error.__cause__, NoKernel):
            return None
        raise
    # Beside entries whose places are known at run time only, masks are structure, which rows do not see.
    return None if any(block and block.placed for row in found[1] for block in row) else found


def _largest_part(numbering: Numbering) -> _Part | None:
    """The part with the most equations, if these are enough."""
    equations = numbering.program.equations
    sizes = collections.Counter(
        size
        for equation in equations
        for size in set(equation.outputs[0].aval.shape)
        if size >= _ROWS and equation.primitive.name in _ENTRYWISE
    )
    if not sizes or any(equation.has_effects for equation in equations):
        return None
    made = [one for equation in equations for one in equation.outputs if hasattr(one.aval, "dtype")]
    if any(
        jax.numpy.issubdtype(one.aval.dtype, np.complexfloating) for one in (*numbering.program.inputs, *made)
    ):
        return None
    rows = max(sizes, key=lambda size: sizes[size])
    part = _part(numbering, rows)
    return part if part.operations >= _OPERATIONS and len(part.inside) <= _EQUATIONS else None


def _part(numbering: Numbering, rows: int) -> _Part:
    program = numbering.program
    known = KnownValues(program)
    certain = Certain(program, known)
    made: set[Variable] = set()
    later: set[Variable] = set()
    before, inside, after = list[Equation](), list[Equation](), list[Equation]()
    for equation in program.equations:
        moves = not numbering.moving.isdisjoint(equation.inputs)
        depends = not later.isdisjoint(equation.inputs)
        of_rows = moves and not depends and _of_a_row(equation, rows) is not None
        zeros = of_rows and equation.primitive.name in _WITH_ZEROS
        zeros = zeros and any(
            _has_zeros(atom, rows, atom in made, known, certain) for atom in equation.inputs
        )
        if of_rows and not zeros and not _is_structure(equation, known):
            inside.append(equation)
            made.update(equation.outputs)
        elif depends or not made.isdisjoint(equation.inputs):
            after.append(equation)
            later.update(equation.outputs)
        else:
            before.append(equation)
    read = [atom for equation in inside for atom in equation.inputs if isinstance(atom, Variable)]
    outside = {atom for equation in after for atom in equation.inputs} | set(program.outputs)
    inputs = [variable for variable in dict.fromkeys(read) if variable not in made]
    outputs = [one for equation in inside for one in equation.outputs if one in outside]
    return _Part(rows, before, inside, after, inputs, outputs, certain)


def _has_zeros(atom: Atom, rows: int, inside: bool, known: KnownValues, certain: Certain) -> bool:
    """Whether entries are certainly zero that a row does not know of: made before, or not in every row."""
    if not isinstance(atom, Variable) or known(atom) is not None or (found := certain(atom)) is None:
        return False
    axis = _axis(atom, rows)
    return not inside or axis < 0 or bool((found != found.take([0], axis)).any())


def _is_structure(equation: Equation, known: KnownValues) -> bool:
    """Whether a constant says which entries there are: one of truth values, or with zeros.

    Products with matrices see the zeros of those alone that have few numbers.
    """
    share = {"mul": 1, "dot_general": 2}.get(equation.primitive.name, 0)
    for atom in equation.inputs:
        value = known(atom) if isinstance(atom, Variable) else None
        if value is not None and (
            value.dtype == bool or share * np.count_nonzero(value) < value.size * (share > 0)
        ):
            return True
    return False


def _of_a_row(equation: Equation, rows: int) -> dict[str, Any] | None:
    """The parameters of the same equation for one row; None where it does not keep the rows apart."""
    name, params = equation.primitive.name, equation.params
    variables = [atom for atom in equation.inputs if isinstance(atom, Variable)]
    axes = [_axis(variable, rows) for variable in (*variables, *equation.outputs)]
    if min(axes) < 0 or not all(
        np.issubdtype(one.aval.dtype, np.number) or one.aval.dtype == bool for one in equation.outputs
    ):
        return None
    to = axes[-1]
    if name in _ENTRYWISE:
        return params if len(set(axes)) == 1 else None
    if not variables:
        alike = name == "broadcast_in_dim" and len(equation.inputs) == 1
        return {**params, "shape": _without(params["shape"], to)} if alike else None
    if name == "dot_general":
        return _multiplied(params, axes[0], axes[1])
    made = _FORMS.get(name)
    if made is None or len(variables) < len(equation.inputs) - (name == "pad"):
        return None
    return made(params, axes[0], to, variables[0].aval.shape, equation.outputs[0].aval.shape)


def _without(sizes: Sequence[Any], at: int) -> tuple[Any, ...]:
    return (*sizes[:at], *sizes[at + 1 :])


def _lower(axis: int, at: int) -> int:
    """The number of another axis without that at a place."""
    return axis - (axis > at)


def _multiplied(params: Any, left: int, right: int) -> Any:
    """Of products of a matrix of every row with another one of it."""
    contracted, batch = params["dimension_numbers"]
    if (left, right) not in zip(*batch, strict=True):
        return None
    lowered = [
        [
            tuple(_lower(axis, at) for axis in axes if axis != at)
            for axes, at in zip(pair, (left, right), strict=True)
        ]
        for pair in (contracted, batch)
    ]
    return {**params, "dimension_numbers": tuple(map(tuple, lowered))}


def _transposed(params: Any, of: int, to: int, shape: Any, out: Any) -> Any:
    permutation = params["permutation"]
    return {**params, "permutation": tuple(_lower(axis, of) for axis in permutation if axis != of)}


def _reshaped(params: Any, of: int, to: int, shape: Any, out: Any) -> Any:
    if params["dimensions"] is not None or math.prod(shape[:of]) != math.prod(out[:to]):
        return None
    return {**params, "new_sizes": _without(out, to)}


def _broadcast(params: Any, of: int, to: int, shape: Any, out: Any) -> Any:
    places = params["broadcast_dimensions"]
    if places[of] != to:
        return None
    places = tuple(_lower(axis, to) for axis in places if axis != to)
    return {**params, "shape": _without(out, to), "broadcast_dimensions": places}


def _sliced(params: Any, of: int, to: int, shape: Any, out: Any) -> Any:
    start, limit, strides = (params[key] for key in ("start_indices", "limit_indices", "strides"))
    if (start[of], limit[of]) != (0, shape[of]) or (strides is not None and strides[of] != 1):
        return None
    strides = strides if strides is None else _without(strides, of)
    return {
        **params,
        "start_indices": _without(start, of),
        "limit_indices": _without(limit, of),
        "strides": strides,
    }


def _padded(params: Any, of: int, to: int, shape: Any, out: Any) -> Any:
    config = params["padding_config"]
    return {**params, "padding_config": _without(config, of)} if tuple(config[of]) == (0, 0, 0) else None


def _along(key: str) -> Any:
    """Of what is joined or taken apart along another axis than that of the rows."""

    def form(params: Any, of: int, to: int, shape: Any, out: Any) -> Any:
        axis, at = params[key], of if len(shape) >= len(out) else to
        return None if axis == at else {**params, key: _lower(axis, at)}

    return form


def _over(params: Any, of: int, to: int, shape: Any, out: Any) -> Any:
    """Of what goes over several axes that the result lacks."""
    key = "axes" if "axes" in params else "dimensions"
    if of in params[key]:
        return None
    return {**params, key: tuple(_lower(axis, of) for axis in params[key])}


_FORMS = {
    "pad": _padded,
    "transpose": _transposed,
    "reshape": _reshaped,
    "broadcast_in_dim": _broadcast,
    "slice": _sliced,
    "squeeze": _over,
    "reduce_sum": _over,
    "concatenate": _along("dimension"),
    "stack": _along("axis"),
    "unstack": _along("axis"),
}


def _through(
    part: _Part, numbering: Numbering, num_outputs: int, values: Sequence[Any], sparse: Sparse
) -> _Found:
    """The results and the blocks of a program around a part of it."""
    program, moving = numbering.program, numbering.moving
    constants = {variable for variable, _ in program.constants}
    sources = [program.inputs[at] for at in numbering.wrt]

    # What does not move is computed where it is read: indices have to be known there.
    still = [one for one in part.before if moving.isdisjoint(one.inputs)]
    after = (*_needed(still, part.after, program.outputs), *part.after)
    made_before = [one for equation in part.before for one in equation.outputs]
    wanted_later = {atom for equation in after for atom in equation.inputs} | set(program.outputs)
    wanted_later -= {one for equation in still for one in equation.outputs}
    kept = [one for one in made_before if one in wanted_later or one in set(part.inputs)]
    read = list(dict.fromkeys([*kept, *(one for one in part.inputs if one not in constants)]))
    read.sort(key=lambda one: one not in moving)
    first = Program(program.inputs, program.constants, tuple(part.before), tuple(read))
    count = sum(one in moving for one in read)
    found, rows = jacobians_of(
        number_vertices(first, numbering.wrt, count), count, values, "auto", sparse=sparse
    )
    env = (
        dict(program.constants)
        | dict(zip(program.inputs, values, strict=True))
        | dict(zip(read, found, strict=True))
    )
    by: dict[Variable, dict[Variable, Block]] = {
        one: {source: block for source, block in zip(sources, row, strict=True) if block is not None}
        for one, row in zip(read, rows, strict=False)
    }
    for source in sources:
        by.setdefault(source, {source: identity_block(source.aval.shape)})

    results, inner = _rows(part, [env[one] for one in part.inputs], [one in moving for one in part.inputs])
    env.update(zip(part.outputs, results, strict=True))
    for one, row in zip(part.outputs, inner, strict=True):
        by[one] = _composed(dict(zip(part.inputs, row, strict=True)), by)

    between = [one for one in dict.fromkeys([*sources, *kept, *part.outputs]) if one in moving]
    others = [
        one for one in dict.fromkeys([*program.inputs, *kept, *part.outputs]) if one not in set(between)
    ]
    last = Program((*between, *others), program.constants, after, program.outputs)
    operands = [env[one] for one in last.inputs]
    outputs, rows = jacobians_of(
        number_vertices(last, range(len(between)), num_outputs),
        num_outputs,
        operands,
        "auto",
        sparse=sparse,
        certain=[part.certain(one) for one in last.inputs],
    )
    composed = [_composed(dict(zip(between, row, strict=True)), by) for row in rows]
    return outputs, [[row.get(source) for source in sources] for row in composed]


def _needed(equations: Sequence[Equation], by: Sequence[Equation], outputs: Sequence[Atom]) -> list[Equation]:
    """Those of some equations whose results are read, directly or not."""
    read = {atom for equation in by for atom in equation.inputs} | set(outputs)
    found = []
    for equation in reversed(equations):
        if not read.isdisjoint(equation.outputs):
            found.append(equation)
            read.update(equation.inputs)
    return found[::-1]


def _composed(
    outer: dict[Variable, Block | None], by: dict[Variable, dict[Variable, Block]]
) -> dict[Variable, Block]:
    """Blocks by variables, times those of the variables, by source."""
    found: dict[Variable, Block] = {}
    for variable, block in outer.items():
        if block is None:
            continue
        for source, inner in by.get(variable, {}).items():
            product = block.compose(inner)
            found[source] = found[source].plus(product) if source in found else product
    return {source: block for source, block in found.items() if not block.is_zero}


def _rows(
    part: _Part, values: Sequence[Any], wanted: Sequence[bool]
) -> tuple[list[Any], list[list[Block | None]]]:
    """The outputs of all rows, and their blocks by every input that is wanted."""
    types = [
        jax.ShapeDtypeStruct(_without(one.aval.shape, part.axis(one)), one.aval.dtype) for one in part.inputs
    ]
    program = jax.make_jaxpr(part.row)(*types)
    patterns: list[list[tuple[np.ndarray, np.ndarray] | None]] = []

    def entries(*operands: Any) -> tuple[list[Any], list[Any]]:
        results, blocks = InnerJacobians("auto", sparse="static")(program, operands, wanted)
        data = []
        for result, row in zip(results, blocks, strict=True):
            row = [block and without_zeros(block, at_last=True).astype(result.dtype) for block in row]
            patterns.append([block and block.pattern() for block in row])
            data += [block.data() for block in row if block is not None]
        return results, data

    axes = tuple(part.axis(one) for one in part.inputs)
    out_axes = [part.axis(one) for one in part.outputs], 0
    results, data = jax.vmap(fuse(entries), axes, out_axes)(*values)
    remaining = iter(data)
    blocks = [
        [
            None if found is None else _block(part, one, of, found, next(remaining))
            for of, found in zip(part.inputs, row, strict=True)
        ]
        for one, row in zip(part.outputs, patterns, strict=True)
    ]
    return results, blocks


def _block(
    part: _Part, out: Variable, of: Variable, found: tuple[np.ndarray, np.ndarray], data: Any
) -> Block | None:
    """The block of all rows from the entries of every row."""
    if not len(found[0]):
        return None

    def dims(variable: Variable, flat: np.ndarray) -> list[list[int | Digit]]:
        axis, shape = part.axis(variable), variable.aval.shape
        rest = _without(shape, axis)
        places = iter(np.unravel_index(flat, rest) if rest else ())
        return [
            [0] if at == axis else [digit_table(size, [1], next(places))] for at, size in enumerate(shape)
        ]

    return arranged_block(dims(out, found[0]), dims(of, found[1]), [part.rows, len(found[0])], data, [0, 1])
