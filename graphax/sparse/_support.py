"""Zeros that are known become structure: what is left is listed, or cut out where it is a box."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ._block import Block
from ._cost import worth_leaving_out, worth_leaving_out_at_last
from ._holes import numbers_of, support_of
from ._placed import Part
from ._scaled import Scaled
from ._steps import Gather, Value, run_steps
from ._structure import Structure
from ._term import Canonical, Digit, Kind, Labels, Table, Term, canonical, digit_table
from ._writing import term_places


def without_zeros(block: Block, at_last: bool = False) -> Block:
    """The block without the zeros of its static arrays, and static holes of others, where it is worth it.

    Zeros along whole slices of a static array are cut off, which leaves slices of labels; else its entries
    become one label, which tables send to their places. What is all one number is held as that.

    Args:
        block: the block.
        at_last: whether nothing is multiplied by it any more.
    """
    placed = tuple(_part_without_zeros(part, at_last) for part in block.placed)
    if any(map(operator.is_not, placed, block.placed)):
        block = replace(block, placed=placed)
    worth = worth_leaving_out_at_last if at_last else worth_leaving_out
    terms: list[Term] = []
    values: list[Scaled] = []
    for term, value in zip(block.structure.terms, block.values, strict=True):
        taken = _taken(value.array)
        if taken is None:
            terms.append(term)
            values.append(value)
        elif taken.any():
            found = _supported(term, value, taken, worth)
            terms.append(found[0])
            values.append(found[1])
    if all(map(operator.is_, values, block.values)) and len(terms) == len(block.values):
        return block
    return replace(
        block, structure=Structure(block.out_shape, block.in_shape, tuple(terms)), values=tuple(values)
    )


def _part_without_zeros(part: Part, at_last: bool) -> Part:
    found = without_zeros(Block(part.structure, part.values), at_last)
    if found.structure is part.structure:
        return part
    return replace(part, structure=found.structure, values=found.values)


def _taken(array: Value) -> np.ndarray | None:
    """Where an array is known to have numbers; None where it has them everywhere, or nothing is known.

    A static mask that holds everywhere is none.
    """
    if isinstance(array, np.ndarray) and array.dtype == bool:
        return array
    support = support_of(array)
    return None if support is None or support.array.all() else support.array


def known_places(block: Block) -> tuple[np.ndarray, np.ndarray] | None:
    """Rows and columns of all places where a block may have entries; None where that is anywhere."""
    if block.placed:
        block = Block(block.known_structure, (Scaled(None),) * len(block.known_structure.terms))
    places = math.prod(block.matrix_shape)
    found = [(np.zeros(0, np.intp), np.zeros(0, np.intp))]
    for term, value in zip(block.structure.terms, block.values, strict=True):
        taken = _taken(value.array)
        if taken is None and math.prod(term.sizes) == places:
            return None
        rows, columns = term_places(term)
        if taken is not None:
            spread = [size if label in term.axes else 1 for label, size in enumerate(term.sizes)]
            there = np.broadcast_to(taken.reshape(spread), term.sizes).reshape(-1)
            rows, columns = rows[there], columns[there]
        found.append((rows, columns))
    rows, columns = (np.concatenate(side) for side in zip(*found, strict=True))
    return rows, columns


def _supported(
    term: Term, value: Scaled, taken: np.ndarray, worth: Callable[[int, int], bool]
) -> tuple[Term, Scaled]:
    """A term and its value without zeros."""
    lines = [taken.any(tuple(set(range(taken.ndim)) - {axis})) for axis in range(taken.ndim)]
    box = np.ix_(*lines)
    whole = taken[box].all() and isinstance(value.array, np.ndarray)
    axes = list(term.axes)
    if whole:
        numbers = np.asarray(value.array)[box]
    elif worth(int(np.count_nonzero(taken)), taken.size):
        varying = [axis for axis in range(taken.ndim) if (taken != taken.take([0], axis)).any()]
        rest = [axis for axis in range(taken.ndim) if axis not in varying]
        taken = taken[tuple(slice(None) if axis in varying else 0 for axis in range(taken.ndim))]
        places = Table(np.flatnonzero(taken))
        gather = Gather(tuple(varying), places, (len(places.indices),))
        numbers = numbers_of(run_steps([gather], numbers_of(value.array)))
        axes = [len(term.sizes), *(axes[axis] for axis in rest)]
    else:
        return term, value
    held = _alike(numbers, value.scale)
    over = tuple(axes) if held.kind is Kind.VALUE else ()
    if whole:
        cut = [(label, Table(np.flatnonzero(line))) for label, line in zip(term.axes, lines, strict=True)]
        final = _cut(term, tuple(cut), held.kind, over)
    else:
        final = _listed(term, tuple(term.axes[axis] for axis in varying), _Taken(taken), held.kind, over)
    return final.term, held.arranged([axes.index(label) for label in final.axes], final.term.value_shape)


def _alike(numbers: Value, scale: Any) -> Scaled:
    """Numbers times another one; where they are static and all the same, one of them."""
    if not isinstance(numbers, np.ndarray) or not (numbers == (number := numbers.flat[0].item())).all():
        return Scaled(numbers, scale)
    return Scaled(None, scale * (int(number) if number in (1, -1) else number))


class _Taken:
    """A static array of booleans that can be compared and hashed."""

    __slots__ = ("array", "key")

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.key = array.shape, np.packbits(array).tobytes()

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Taken) and self.key == other.key


@functools.lru_cache(maxsize=128)
def _cut(term: Term, kept: tuple[tuple[int, Table], ...], kind: Kind, axes: Labels) -> Canonical:
    """A term whose labels take some of their values only."""
    places = {label: table.indices for label, table in kept if len(table.indices) < term.sizes[label]}
    sizes = [len(places[label]) if label in places else size for label, size in enumerate(term.sizes)]

    def cut(digit: Digit) -> Digit:
        if places.keys().isdisjoint(digit.labels):
            return digit
        grid = digit.indices(term.sizes).reshape([term.sizes[label] for label in digit.labels])
        every = [places.get(label, np.arange(term.sizes[label])) for label in digit.labels]
        return digit_table(digit.radix, digit.labels, grid[np.ix_(*every)])

    out, in_ = ([[cut(digit) for digit in dim] for dim in side] for side in (term.out, term.in_))
    return canonical(out, in_, sizes, kind, axes)


@functools.lru_cache(maxsize=128)
def _listed(term: Term, labels: Labels, taken: _Taken, kind: Kind, axes: Labels) -> Canonical:
    """A term with one label for the values of others that are taken, in their order."""
    entry = len(term.sizes)
    places = dict(zip(labels, np.nonzero(taken.array), strict=True))
    sizes = {label: size for label, size in enumerate(term.sizes) if label not in places}
    sizes[entry] = int(np.count_nonzero(taken.array))

    def listed(digit: Digit) -> Digit:
        if places.keys().isdisjoint(digit.labels):
            return digit
        grid = digit.indices(term.sizes).reshape([term.sizes[label] for label in digit.labels])
        rest = [label for label in digit.labels if label not in places]
        at = [
            places[label].reshape([-1] + [1] * len(rest))
            if label in places
            else np.arange(sizes[label]).reshape([-1] + [1] * (len(rest) - 1 - rest.index(label)))
            for label in digit.labels
        ]
        return digit_table(digit.radix, (entry, *rest), grid[tuple(at)])

    out, in_ = ([[listed(digit) for digit in dim] for dim in side] for side in (term.out, term.in_))
    return canonical(out, in_, sizes, kind, axes)
