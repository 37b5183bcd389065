"""Primitives that treat slices apart: their Jacobians over the other dimensions only.

Where every slice of the result along some dimension depends on the same slice of an operand alone, the local
Jacobian is a Kronecker delta along that dimension. One tangent that is a unit array in the other dimensions
and the same in every slice then finds a column of all slices at once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np
from jax import lax

from .._trace import is_complex, is_differentiable
from ..sparse import Block, Mask, arranged_block, expand, label_dims, reshape, with_holes
from ._complex import TAKES_COMPLEX
from ._dense import basis, first_that_works, pulled_rows, real_view
from ._registry import Blocks, Call, R, register_rule

Parts = Sequence[Sequence[int]]  # for every dimension the sizes of its parts, major first
#: Entries up to which a static matrix of zeros and ones is written out while tracing.
STATIC_LIMIT = 2**20
Fun = Callable[[Any], list[Any]]
Quick = Literal["push", "pull", "both"]


@dataclass(frozen=True)
class Tie:
    """A part of a result's dimension whose slices depend on the same slice of the operand alone.

    Attributes:
        operand: the part, counted through all dimensions of the operand.
        result: the part, counted through all dimensions of the result.
        constant: whether the derivative is the same in every slice. Both parts are cut to size 1 then, and
            the primitive must be applicable to what is left.
    """

    operand: int
    result: int
    constant: bool = False


@dataclass(frozen=True)
class Apart:
    """Where slices of an operand and of all results are apart.

    Attributes:
        ties: the parts of their dimensions along which they are.
        operand_parts: how the dimensions of the operand are split; whole if None.
        result_parts: the same for every result.
    """

    ties: Sequence[Tie]
    operand_parts: Parts | None = None
    result_parts: Parts | None = None


def ties_of_dims(dims: Sequence[int], constant: bool = False) -> list[Tie]:
    """Dimensions that stand at the same place in the operand and in the result."""
    return [Tie(dim, dim, constant) for dim in dims]


def register_batched(*names: str) -> Callable[[R], R]:
    """Give primitives a rule that returns the blocks of the real views of complex arrays."""

    def register(rule: R) -> R:
        TAKES_COMPLEX.add(rule)
        return register_rule(*names)(rule)

    return register


def batched_rule(
    call: Call,
    ties: Callable[[int], Sequence[Tie]],
    results: Sequence[Any] | None = None,
    quick: Quick | None = None,
) -> tuple[list[Any], Blocks]:
    """The rule of a primitive that treats slices apart.

    Args:
        call: the call.
        ties: from the position of a wanted operand to the dimensions that all results share with it.
        results: the results, if they are known already.
        quick: the directions in which derivatives are moved faster than they are multiplied by matrices; see
            :meth:`Block.with_map`.
    """
    found = call.evaluate() if results is None else list(results)

    def column(at: int) -> list[Block | None]:
        return tied_blocks(call, at, call.of_operand(at), found, Apart(ties(at)), quick=quick)

    return found, by_columns(call, column)


def by_columns(call: Call, column: Callable[[int], list[Block | None]]) -> Blocks:
    """The blocks of a call, from those of all its results with respect to one operand."""
    columns = call.row(column)
    return [[blocks[result] if blocks else None for blocks in columns] for result in range(call.num_results)]


def tied_blocks(
    call: Call,
    at: int,
    fun: Fun,
    results: Sequence[Any],
    apart: Apart,
    pull_first: bool = False,
    selects: bool = False,
    missing: Any = None,
    quick: Quick | None = None,
) -> list[Block | None]:
    """The blocks of all results with respect to one operand.

    Args:
        call: the call, for the operand and for errors.
        at: the position of the operand.
        fun: from the operand to the results; also of an operand whose constant ties are cut to size 1.
        results: the results.
        apart: where slices are apart.
        pull_first: whether to use the vjp where there is one, even if the jvp needs fewer directions.
        selects: whether the results are selections from the operand, so that zeros are what is left out.
        missing: for a selection that fills in what is not finite, an array like the result, cut along
            constant ties, that is zero there and nowhere else.
        quick: the directions in which derivatives are moved faster than they are multiplied by matrices: for
            a selection the one in which they are gathered, while they are scattered in the other; see
            :meth:`Block.with_map`.
    """
    operand = call.operands[at]
    carriers = [
        k
        for k, result in enumerate(results)
        if is_differentiable(result) and result.size and np.size(operand)
    ]
    blocks: list[Block | None] = [None] * len(results)
    if not carriers:
        return blocks
    ties = apart.ties
    inner = _Side(operand, apart.operand_parts, [tie.operand for tie in ties if tie.constant])
    view = inner.view(operand)
    cut = [tie.result for tie in ties if tie.constant]
    outer = {k: _Side(results[k], apart.result_parts, cut) for k in carriers}
    in_free = inner.free([tie.operand for tie in ties])
    out_free = {k: side.free([tie.result for tie in ties]) for k, side in outer.items()}

    def of_view(view: Any) -> list[Any]:
        values = fun(inner.array(view))
        return [outer[k].view(values[k]) for k in carriers]

    def push(of_view: Any, view: Any) -> list[tuple[Any, bool]]:
        tangents = basis(view, in_free)
        columns = jax.vmap(lambda tangent: jax.jvp(of_view, (view,), (tangent,))[1], out_axes=-1)(tangents)
        return [(array, True) for array in columns]

    def pull(of_view: Any, view: Any) -> list[tuple[Any, bool]]:
        values, pull_back = jax.vjp(of_view, view)
        return [(row, False) for (row,) in pulled_rows(pull_back, values, free=out_free.values())]

    columns = math.prod(inner.cut_shape[part] for part in in_free)
    rows = sum(math.prod(side.cut_shape[part] for part in out_free[k]) for k, side in outer.items())
    ways = [push, pull] if columns <= rows and not pull_first else [pull, push]
    found = first_that_works(ways, of_view, view, call)
    for k, (value, pushed) in zip(carriers, found, strict=True):
        side = outer[k]
        out, in_, sizes = label_dims(side.shape, inner.shape)
        for tie in ties:
            in_[tie.operand] = out[tie.result]
        if pushed:
            axes = side.uncut(out) + [in_[part] for part in in_free]
        else:
            axes = [out[part] for part in out_free[k]] + inner.uncut(in_)
        flat = [label for dim in axes for label in dim]
        if missing is not None:
            value = _with_mask(value, flat, *side.places(missing, out), sizes)
        elif selects:
            value = with_holes(value)
        block = arranged_block(side.grouped(out), inner.grouped(in_), sizes, value, flat)
        if quick is not None and all(tie.constant for tie in ties):
            block = block.with_map(*_maps(of_view, view, carriers.index(k)), quick)
        blocks[k] = block
    return blocks


def _maps(of_view: Fun, view: Any, at: int) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    """What multiplies the Jacobian of one result by columns, and what multiplies rows by it.

    Args:
        of_view: the results.
        view: where they are differentiated.
        at: the position of the result.
    """

    def push(columns: Any) -> Any:
        tangents = reshape(columns.T, (-1, *view.shape)).astype(view.dtype)
        moved = jax.vmap(lambda tangent: jax.jvp(of_view, (view,), (tangent,))[1][at])(tangents)
        return reshape(moved, (len(tangents), -1)).T.astype(columns.dtype)

    def pull(rows: Any) -> Any:
        result, back = jax.vjp(lambda view: of_view(view)[at], view)
        cotangents = reshape(rows, (-1, *result.shape)).astype(result.dtype)
        (moved,) = jax.vmap(back)(cotangents)
        return reshape(moved, (len(cotangents), -1)).astype(rows.dtype)

    return push, pull


def _with_mask(
    value: Any, labels: Sequence[int], places: Any, own: Sequence[int], sizes: Sequence[int]
) -> Any:
    """The value of a selection with what it fills in, as far as the labels of its axes tell."""
    if not set(own) <= set(labels):
        return with_holes(value)
    taken = reshape(places != 0, [sizes[label] for label in own])
    value = reshape(value, [sizes[label] for label in labels])
    return with_holes(value, Mask(expand(taken, own, labels), seen=True, missing=True))


class _Side:
    """An array as the helper sees it: real, its dimensions split into parts, constant ties cut to size 1.

    Attributes:
        shape: the sizes of all parts, of which a last one of size 2 is a complex array's.
        cut_shape: those of the view.
    """

    def __init__(self, array: Any, parts: Parts | None, cut: Sequence[int]) -> None:
        whole = [(size,) for size in np.shape(array)]
        self._parts = whole if parts is None else [tuple(dim) for dim in parts]
        self._complex = is_complex(array)
        self._cut = set(cut)
        if self._complex:
            self._parts.append((2,))
        self.shape = tuple(itertools.chain.from_iterable(self._parts))
        self.cut_shape = tuple(1 if part in self._cut else size for part, size in enumerate(self.shape))

    def view(self, array: Any) -> Any:
        """The view of an array, be it whole or cut already."""
        view = real_view(array)
        whole = view.size == math.prod(self.shape)
        view = lax.reshape(view, self.shape if whole else self.cut_shape)
        return lax.slice(view, [0] * view.ndim, self.cut_shape)

    def array(self, view: Any) -> Any:
        """The array, cut, of a view."""
        sizes = iter(self.cut_shape)
        array = lax.reshape(view, [math.prod(itertools.islice(sizes, len(dim))) for dim in self._parts])
        return lax.complex(array[..., 0], array[..., 1]) if self._complex else array

    def free(self, tied: Sequence[int]) -> list[int]:
        return [part for part in range(len(self.shape)) if part not in tied]

    def uncut(self, dims: list[list[int]]) -> list[list[int]]:
        return [dim for part, dim in enumerate(dims) if part not in self._cut]

    def places(self, array: Any, dims: list[list[int]]) -> tuple[Any, list[int]]:
        """The real part of the view of an array, and the labels of its axes of those of all parts."""
        view, dims = self.view(array), self.uncut(dims)
        if self._complex:
            view, dims = view[..., 0], dims[:-1]
        return view, [label for dim in dims for label in dim]

    def grouped(self, dims: list[list[int]]) -> list[list[int]]:
        """The labels of the dimensions from those of the parts."""
        parts = iter(dims)
        return [
            [label for dim in itertools.islice(parts, len(group)) for label in dim] for group in self._parts
        ]
