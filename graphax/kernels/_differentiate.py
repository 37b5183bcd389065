"""From a numbered program to the kernel of its Jacobian."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from .._modes import jacobians_without_kernel
from .._numbering import Numbering
from .._remembered import Remembered
from .._trace import Atom, Program, Variable, trace_program
from ..choose import OrderLike, check_name
from ..sparse import Block
from ._eliminate import jacobian
from ._lowering import unavailable
from ._primitive import Kernel, kind_of
from ._program import Operand, ScalarProgram
from ._scalars import Scalars, TooManyScalars
from ._simplify import simplify
from .expand import NoKernel, expand

#: Of so many expressions a kernel may be made; longer programs are compiled slowly and spill registers.
LIMIT = 20_000
# A kernel that nobody insists on has so many operations at most, and so many more for every operation on
# arrays: LLVM compiles them in the time that XLA takes for these. An entry of a result counts for so many.
_SHORT, _PER_EQUATION, _PER_ENTRY = 2_400, 10, 2
# The function itself may have half as many; and how many expressions may come into being for each one that
# such a kernel may have, as orders are tried.
_ON_THE_WAY = 4
# So many times that the function and a classical order may take: searched ones save, but not everything.
_AT_FIRST = 1.5


def jacobians_by_kernel(
    numbering: Numbering,
    num_outputs: int,
    values: Sequence[Any],
    order: OrderLike,
    *,
    body_order: OrderLike = "auto",
    with_values: bool = True,
    insist: bool = False,
    limit: int = LIMIT,
) -> tuple[list[Any], list[list[Any]]]:
    """Evaluate a program and its Jacobians by one kernel.

    Args:
        numbering, num_outputs, values, order, body_order: as for ``jacobians_of``.
        with_values: whether the values of the differentiated outputs are wanted, too.
        insist: whether the kernel runs wherever it can, be it faster or not; if not, there is none where it
            would take longer to compile than the operations on arrays.
        limit: of how many expressions the kernel may be made.

    Returns:
        the values of the outputs, None for those that are not wanted, and for every differentiated output its
        Jacobian with respect to every differentiated input as an array, or None where it is zero.

    Raises:
        NoKernel: when there is none, and why.
    """
    if (reason := unavailable()) is not None:
        raise NoKernel(reason)
    program, values = closed_over(numbering.program, values)
    numbering, scalars = replace(numbering, program=program), Scalars()
    for name in (order, body_order):
        if isinstance(name, str):
            check_name(name)
    wanted = range(0 if with_values else num_outputs, len(program.outputs))
    if not insist:
        limit = min(limit, _SHORT + _PER_EQUATION * len(program.equations))
        held = _PER_ENTRY * _entries(numbering, num_outputs, wanted)
        _check_length(held, limit)
        scalars.most, scalars.longest = _ON_THE_WAY * limit, _AT_FIRST * limit - held
    try:
        scalar_program, places = _differentiated(
            scalars, numbering, num_outputs, order, body_order, wanted, limit if insist else limit // 2
        )
    except TooManyScalars:
        raise NoKernel(_TOO_LONG) from None
    if not insist:
        entries = sum(len(result.entries) for result in scalar_program.results)
        _check_length(scalar_program.operations + _PER_ENTRY * entries, limit)
    kernel = Kernel(
        scalar_program,
        functools.partial(_plain, numbering, num_outputs, order, body_order, tuple(wanted), tuple(places)),
        insist,
        weak=tuple(program.outputs[at].aval.weak_type for at in wanted) + (False,) * len(places),
        equations=len(program.equations),
    )
    found = kernel(*values)
    rows: list[list[Any]] = [[None] * len(numbering.wrt) for _ in range(num_outputs)]
    for (i, j), array in zip(places, found[len(wanted) :], strict=True):
        rows[i][j] = array
    return [None] * wanted.start + found[: len(wanted)], rows


_TOO_LONG = "it would take longer to compile than operations on arrays"


def _check_length(length: int, limit: int) -> None:
    if length > limit:
        raise NoKernel(_TOO_LONG)


def _entries(numbering: Numbering, num_outputs: int, wanted: range) -> int:
    """How many numbers the wanted outputs and all Jacobians hold."""
    outputs = [atom.aval.size for atom in numbering.program.outputs]
    inputs = sum(numbering.program.inputs[at].aval.size for at in numbering.wrt)
    return sum(outputs[at] for at in wanted) + sum(outputs[:num_outputs]) * inputs


#: The named orders that scalars are eliminated in; others are orders of arrays.
_OF_SCALARS = {
    "auto": None,
    "forward": "forward",
    "fwd": "forward",
    "reverse": "reverse",
    "rev": "reverse",
    "markowitz": "markowitz",
}
#: A program of scalars, and of which results and inputs its last results are the Jacobians.
Found = tuple[ScalarProgram, list[tuple[int, int]]]


def _differentiated(
    scalars: Scalars,
    numbering: Numbering,
    num_outputs: int,
    order: OrderLike,
    body_order: OrderLike,
    wanted: range,
    limit: int,
) -> Found:
    """The program of the wanted outputs and of the Jacobians that are not zero."""
    program = numbering.program
    inputs, operands = operands_of(scalars, program.inputs)
    moving = [place in numbering.wrt for place in range(len(inputs))]
    outs = expand(program, scalars, inputs, limit=limit, moving=moving)
    wrt = [inputs[place] for place in numbering.wrt]
    values_end = len(scalars)
    named = isinstance(order, str) and order in _OF_SCALARS and isinstance(body_order, str)

    def find() -> Found:
        if named:
            beside = [x for at in wanted for x in outs[at].flat]
            blocks = _by_scalars(scalars, outs[:num_outputs], wrt, str(order), beside)
        else:
            blocks = _in_order(scalars, numbering, num_outputs, inputs, order, body_order, limit)
        blocks = _simplified(scalars, blocks, values_end)
        results = [(outs[at].shape, entries_of(outs[at], program.outputs[at])) for at in wanted]
        places = [
            (row, column)
            for row, found in enumerate(blocks)
            for column, block in enumerate(found)
            if any(not scalars.is_zero(x) for x in block.flat)
        ]
        results += [
            (blocks[i][j].shape, entries_of(blocks[i][j], program.inputs[numbering.wrt[j]]))
            for i, j in places
        ]
        return ScalarProgram(scalars, operands, results), places

    if not named:
        return find()
    asked = order, wanted, num_outputs, numbering.wrt, operands, [array.tolist() for array in outs]
    types = [(atom.aval.shape, str(atom.aval.dtype)) for atom in program.outputs]
    return _remembered(repr((asked, types)), scalars, find)


_known: Remembered[str, Found] = Remembered(128)


def _remembered(asked: str, scalars: Scalars, find: Callable[[], Found]) -> Found:
    """What was found when the same was asked of the same expressions; else what is found now."""
    loops = [(loop.length, loop.first, loop.after) for loop in scalars.loops]
    content = repr((asked, scalars.ops, scalars.args, scalars.kinds, loops))
    key = hashlib.sha256(content.encode()).hexdigest()
    return _known.get(key) or _known.keep(key, find())


def _plain(
    numbering: Numbering,
    num_outputs: int,
    order: OrderLike,
    body_order: OrderLike,
    wanted: Sequence[int],
    places: Sequence[tuple[int, int]],
    *values: Any,
) -> list[Any]:
    """What the kernel computes, as operations on arrays."""
    *_, (results, rows) = jacobians_without_kernel(
        numbering, num_outputs, values, order, body_order=body_order
    )
    arrays = [jax.numpy.asarray(results[at]) for at in wanted]
    for i, j in places:
        out, arg = numbering.program.outputs[i].aval, numbering.program.inputs[numbering.wrt[j]].aval
        block = rows[i][j]
        if block is None:
            block = jax.numpy.zeros((*out.shape, *arg.shape), arg.dtype)
        dense = block.todense(arg.dtype) if isinstance(block, Block) else block
        arrays.append(jax.numpy.asarray(dense, arg.dtype))
    return arrays


def closed_over(program: Program, values: Sequence[Any]) -> tuple[Program, list[Any]]:
    """Arrays that are traced elsewhere, and that the function closes over, become inputs."""
    traced = [(variable, value) for variable, value in program.constants if isinstance(value, Tracer)]
    if not traced:
        return program, list(values)
    program = replace(
        program,
        inputs=(*program.inputs, *(variable for variable, _ in traced)),
        constants=tuple(pair for pair in program.constants if not isinstance(pair[1], Tracer)),
    )
    return program, [*values, *(value for _, value in traced)]


def operands_of(scalars: Scalars, variables: Sequence[Variable]) -> tuple[list[np.ndarray], list[Operand]]:
    """The expressions of the inputs, and what they are entries of."""
    inputs, operands = [], []
    for at, variable in enumerate(variables):
        kind = kind_of(variable.aval.dtype)
        if kind is None:
            raise NoKernel(f"an argument has dtype {variable.aval.dtype}, of which kernels have no scalars")
        operand = Operand(tuple(variable.aval.shape), kind)
        if operand.size > LIMIT:
            raise NoKernel(f"an argument has {operand.size} entries, more than {LIMIT}")
        entries = [scalars.input(at, offset, kind) for offset in range(operand.size)]
        inputs.append(np.array(entries, dtype=int).reshape(operand.shape))
        operands.append(operand)
    return inputs, operands


def _by_scalars(
    scalars: Scalars,
    outs: Sequence[np.ndarray],
    wrt: Sequence[np.ndarray],
    order: str,
    beside: Sequence[int],
) -> list[list[np.ndarray]]:
    """The Jacobians by elimination of scalars."""
    columns = [x for array in wrt for x in array.flat]
    flat = [x for array in outs for x in array.flat]
    found = jacobian(scalars, flat, columns, _OF_SCALARS[order], beside=beside)
    matrix = np.array(found, dtype=int).reshape(len(flat), len(columns))
    return [
        [matrix[rows, places].reshape((*out.shape, *arg.shape)) for arg, places in _parts(wrt)]
        for out, rows in _parts(outs)
    ]


def _parts(arrays: Sequence[np.ndarray]) -> list[tuple[np.ndarray, slice]]:
    """Arrays, and where their entries are when all stand one after another."""
    ends = itertools.accumulate((array.size for array in arrays), initial=0)
    return [(array, slice(*ends)) for array, ends in zip(arrays, itertools.pairwise(ends), strict=True)]


def _in_order(
    scalars: Scalars,
    numbering: Numbering,
    num_outputs: int,
    inputs: Sequence[np.ndarray],
    order: OrderLike,
    body_order: OrderLike,
    limit: int,
) -> list[list[np.ndarray]]:
    """The Jacobians by elimination of arrays in an order of the user's."""
    places = [(i, j) for i in range(num_outputs) for j in range(len(numbering.wrt))]
    plain: Callable[..., Any] = functools.partial(
        _plain, numbering, num_outputs, order, body_order, (), places
    )
    avals = [jax.ShapeDtypeStruct(v.aval.shape, v.aval.dtype) for v in numbering.program.inputs]
    program, _ = trace_program(plain, *avals)
    found = expand(program, scalars, inputs, limit=limit)
    width = len(numbering.wrt)
    return [found[i * width : (i + 1) * width] for i in range(num_outputs)]


def _simplified(scalars: Scalars, blocks: list[list[np.ndarray]], values_end: int) -> list[list[np.ndarray]]:
    flat = [block for row in blocks for block in row]
    simple = np.array(
        simplify(scalars, [int(x) for block in flat for x in block.flat], values_end), dtype=int
    )
    found = iter([simple[places].reshape(block.shape) for block, places in _parts(flat)])
    return [[next(found) for _ in row] for row in blocks]


def entries_of(array: np.ndarray, like: Atom) -> Any:
    """The entries of a result; of none its kind."""
    return [int(x) for x in array.flat] if array.size else kind_of(like.aval.dtype)
