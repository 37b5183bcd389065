"""Products with parts whose places are known at run time only: the other factor's entries are taken there.

Of ``B`` let an input dimension be found at run time: the entry of its stand-in ``k`` is at ``index[k]``. In
the product with ``A`` then only ``A[index[k], ...]`` matters. So the labels of ``A``'s output that lead there
are solved for: they are functions of the labels of ``B``, known at run time. The numbers of ``A`` are
gathered there, and where its input depends on them, it is found at run time itself.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Iterable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from ._cost import LARGEST_INVERSE
from ._holes import Mask, Zeros, holes_of, numbers_of, numeric, widened, with_holes
from ._index import Grid, Index, combined, labels_of, own, place_of, read, taken, weighted
from ._placed import Part
from ._scaled import Scaled
from ._steps import Value, reshape, transpose
from ._structure import product, structure
from ._term import Digit, Dim, Kind, canonical, digit_table


class Unsolvable(Exception):
    """The entries that lead to a place are not one for each, or not known to be."""


class _Solution:
    """Labels of one term as functions of those of another, at which some of their digits agree.

    Attributes:
        found: by label.
        valid: where there is a solution; None where there is one everywhere.
    """

    def __init__(self, sizes: dict[int, int]) -> None:
        self.sizes = sizes
        self.found: dict[int, Grid] = {}
        self.valid: Grid | None = None
        self._tables: list[tuple[Grid, Digit]] = []

    def require(self, grid: Grid) -> None:
        if grid.is_static and grid.array.all():
            return
        self.valid = grid if self.valid is None else combined(operator.and_, self.valid, grid)

    def meet(self, place: Grid, dim: Dim, within: bool) -> None:
        """Let a dimension be at a place; what is not within it is no entry."""
        rest = math.prod(digit.radix for digit in dim)
        if not within:
            inside = combined(lambda place, size=rest: place < size, place)
            self.require(inside._replace(of=place.of))
        for digit in dim:
            rest //= digit.radix
            value = place
            if len(dim) > 1:
                value = combined(lambda place, rest=rest, radix=digit.radix: place // rest % radix, place)
            self._let(digit, value)

    def _let(self, digit: Digit, value: Grid) -> None:
        if digit.radix == 1:
            return
        if digit.table is not None:
            self._tables.append((value, digit))
        elif not digit.labels:
            self.require(combined(lambda value: value == digit.start, value))
        else:
            label, start, step = digit.labels[0], digit.start, digit.step
            if not digit.covers(self.sizes):
                last = self.sizes[label] - 1
                gap = combined(lambda value: value - start, value)
                value = combined(lambda gap: gap // step, gap)
                if abs(step) != 1:
                    self.require(combined(lambda at, gap: at * step == gap, value, gap))
                self.require(combined(lambda at: (at >= 0) & (at <= last), value))
            self._set(label, value)

    def _set(self, label: int, value: Grid) -> None:
        if label in self.found:
            self.require(combined(operator.eq, self.found[label], value))
        else:
            self.found[label] = value

    def finish(self) -> None:
        """Solve for what stands in tables.

        Raises:
            Unsolvable: when several entries of tables are the same, or too many could be.
        """
        while self._tables:
            labels = self._tables[0][1].labels
            some = [pair for pair in self._tables if pair[1].labels == labels]
            self._tables = [pair for pair in self._tables if pair[1].labels != labels]
            radices = [digit.radix for _, digit in some]
            place = weighted([value for value, _ in some], radices)
            tables = [Grid((0,), digit.indices(self.sizes).astype(np.int64)) for _, digit in some]
            table = weighted(tables, radices).array
            known = [label in self.found for label in labels]
            if all(known):
                at = self.at(labels)
                self.require(combined(operator.eq, read(table.astype(np.int32), at), place))
                continue
            size = math.prod(radices)
            if any(known) or size > LARGEST_INVERSE or len(np.unique(table)) < len(table):
                raise Unsolvable
            inverse = np.full(size, -1, np.int32)
            inverse[table] = np.arange(len(table))
            entry = read(inverse, place)
            self.require(combined(lambda entry: entry >= 0, entry))
            rest = len(table)
            for label in labels:
                rest //= self.sizes[label]
                self._set(
                    label,
                    combined(lambda entry, rest=rest, radix=self.sizes[label]: entry // rest % radix, entry)
                    if len(labels) > 1
                    else entry,
                )

    def at(self, labels: Sequence[int]) -> Grid:
        """The row-major position of labels, some of which have been solved for."""
        grids = [self.found.get(label) or own(label, self.sizes[label]) for label in labels]
        return weighted(grids, [self.sizes[label] for label in labels])

    def place(self, dim: Dim) -> Grid:
        """Where a dimension is, some of whose labels have been solved for."""
        return weighted([self._value(digit) for digit in dim], [digit.radix for digit in dim])

    def _value(self, digit: Digit) -> Grid:
        if digit.table is not None:
            return read(digit.table.indices, self.at(digit.labels))
        if not digit.labels:
            return Grid((), np.asarray(digit.start, np.int32))
        found = self.at(digit.labels)
        if digit.covers(self.sizes):
            return found
        return combined(lambda at: digit.start + digit.step * at, found)


def multiplied(outer: Part, inner: Part, finite: tuple[bool, bool], sparse: bool) -> list[Part]:
    """The product of two parts, as one or several.

    Args:
        outer: from what is between to the output.
        inner: from the input to what is between.
        finite: which of the two are known to be finite.
        sparse: whether a sparse Jacobian is wanted.
    """
    by_outer = any(index is not None for index in outer.in_)
    if not by_outer and all(index is None for index in inner.out):
        plan = product(outer.structure, inner.structure, sparse)
        values = plan.run(outer.values, inner.values, finite)
        return [Part(plan.structure, values, outer.out, inner.in_)] if plan.structure.terms else []
    if not by_outer:
        turned = multiplied(inner.T, outer.T, (finite[1], finite[0]), sparse)
        return [part.T for part in turned]
    found = []
    for one, other in itertools.product(outer.terms(), inner.one_for_each_row().terms()):
        try:
            pair = _substituted(one, other)
        except Unsolvable:
            pair = _one_written_out(one, other, finite, sparse)
        found += multiplied(*pair, finite, sparse)
    return found


def _one_written_out(outer: Part, inner: Part, finite: tuple[bool, bool], sparse: bool) -> tuple[Part, Part]:
    """Two parts of one term with what cannot be substituted written out in one of them.

    That is the inner one where it adds entries up, which leaves no more of them.
    """
    both = [dim for dim, index in enumerate(inner.out) if index is not None]
    (term,) = inner.structure.terms
    if both and set(labels_of(term.out[dim] for dim in both)).isdisjoint(labels_of(term.in_)):
        return outer, inner.without_outputs(both, finite[1], sparse)
    dims = range(len(outer.in_))
    return outer.T.without_outputs(dims, finite[0], sparse).T, inner


def _substituted(outer: Part, inner: Part) -> tuple[Part, Part]:
    """Two parts of one term each, with the labels of the outer one in the place of what they lead to.

    Raises:
        Unsolvable: when there is no solution of this form.
    """
    (b,), (a,) = outer.structure.terms, inner.structure.terms
    group = _group(b.in_, a.out, [dim for dim, index in enumerate(outer.in_) if index is not None])
    if any(inner.out[dim] is not None for dim in group):
        raise Unsolvable
    shift = len(b.sizes)
    sizes = dict(enumerate((*b.sizes, *a.sizes)))
    a_out, a_in = ([_shifted(dim, shift) for dim in side] for side in (a.out, a.in_))
    solution = _Solution(sizes)
    for dim in group:
        index = outer.in_[dim]
        within = index is None or index.within
        solution.meet(place_of(b.in_[dim], index, sizes), a_out[dim], within)
    solution.finish()

    rest = [dim for dim in range(len(a_out)) if dim not in group]
    leading = [(Digit(sizes[label], (label,)),) for label in labels_of(b.in_[dim] for dim in group)]
    in_, indices = _inputs(solution, a_in, inner.in_)
    value, axes = _value(solution, inner.values[0], [label + shift for label in a.axes])
    final = canonical(
        [*(a_out[dim] for dim in rest), *leading],
        in_,
        sizes,
        a.kind if value.array is None else Kind.VALUE,
        axes,
    )
    value = value.arranged([axes.index(label) for label in final.axes], final.term.value_shape)
    none = (None,) * len(leading)
    between = Part(structure(final.term), (value,), (*(inner.out[dim] for dim in rest), *none), indices)
    onto = canonical(b.out, [*(b.in_[dim] for dim in rest), *leading], b.sizes, b.kind, b.axes)
    value = outer.values[0].arranged([b.axes.index(label) for label in onto.axes], onto.term.value_shape)
    return (
        Part(structure(onto.term), (value,), outer.out, (*(outer.in_[dim] for dim in rest), *none)),
        between,
    )


def _group(b: Sequence[Dim], a: Sequence[Dim], dims: Iterable[int]) -> list[int]:
    """Some dimensions, and those that share labels with them on either side."""
    group = sorted(dims)
    while True:
        held = [set(labels_of(side[dim] for dim in group)) for side in (b, a)]
        more = [
            dim
            for dim in range(len(b))
            if dim not in group
            and any(
                not one.isdisjoint(labels_of([side[dim]])) for one, side in zip(held, (b, a), strict=True)
            )
        ]
        if not more:
            return group
        group = sorted([*group, *more])


def _shifted(dim: Dim, shift: int) -> Dim:
    return tuple(digit._replace(labels=tuple(label + shift for label in digit.labels)) for digit in dim)


def _inputs(
    solution: _Solution, dims: Sequence[Dim], indices: Sequence[Index | None]
) -> tuple[list[Dim], tuple[Index | None, ...]]:
    """The dimensions of the input after a substitution, and their indices.

    Where there is no solution, the first that is found at run time says so.
    """
    sizes, found, at = solution.sizes, list(indices), list(dims)
    for place, (dim, index) in enumerate(zip(dims, indices, strict=True)):
        if solution.found.keys().isdisjoint(labels_of([dim])):
            continue
        grid = solution.place(dim)
        radix = math.prod(digit.radix for digit in dim)
        if grid.is_static:
            at[place] = (digit_table(radix, grid.labels, grid.array),)
            continue
        if index is not None:
            grid = Grid(grid.labels, taken(index.array, grid.array))
        size, within = (radix, True) if index is None else index[1:]
        known = grid.of
        if known is not None and solution.valid is not None and solution.valid.of is known:
            solution.valid = None  # the index itself says where there is none
        if solution.valid is not None:
            labels = tuple(dict.fromkeys(grid.labels + solution.valid.labels))
            inside, places = solution.valid.over(labels), grid.over(labels)
            grid = Grid(labels, jnp.where(inside, places, size))
            solution.valid = known = None
            within = False
        array = jnp.asarray(grid.array, np.int32).reshape(-1)
        found[place] = known if known is not None and known.size == size else Index(array, size, within)
        at[place] = tuple(Digit(sizes[label], (label,)) for label in grid.labels)
    return at, tuple(found)


def _value(solution: _Solution, value: Scaled, axes: Sequence[int]) -> tuple[Scaled, list[int]]:
    """A value after a substitution, and the labels of its axes; zero where there is no solution."""
    array, scale = value
    moved = [label for label in axes if label in solution.found]
    axes = list(axes)
    if array is not None and moved:
        at = solution.at(moved)
        rest = [label for label in axes if label not in moved]
        array = transpose(array, [axes.index(label) for label in (*moved, *rest)])
        array = _gathered(reshape(array, (-1, *array.shape[len(moved) :])), at)
        axes = [*at.labels, *rest]
    if solution.valid is not None:
        inside = solution.valid
        axes = [*axes, *(label for label in inside.labels if label not in axes)]
        if array is None:
            mask = widened(inside.over(tuple(axes)), [solution.sizes[label] for label in axes])
            array = with_holes(jnp.asarray(mask), Zeros.OF_ORDER)
        else:
            array = _masked(array, inside.over(tuple(axes)), [solution.sizes[label] for label in axes])
    return Scaled(array, scale).settled(), axes


def _gathered(value: Value, at: Grid) -> Value:
    """Entries of the first axis of a value; of a place beyond it any."""
    if at.is_static:
        if at.array.size == len(value) and (np.diff(at.array.reshape(-1)) == 1).all():
            return reshape(value, (*at.array.shape, *value.shape[1:]))
        if isinstance(value, np.ndarray):
            return value[np.clip(at.array, 0, len(value) - 1)]
    places = jnp.asarray(at.array)
    holes = holes_of(value)
    numbers = taken(numbers_of(value), places)
    if isinstance(holes, Mask):
        whole = widened(holes.taken, (value.shape[0], *holes.taken.shape[1:]))
        return with_holes(numbers, holes._replace(taken=taken(whole, places)))
    return with_holes(numbers, Zeros.OF_STRUCTURE if isinstance(holes, np.ndarray) else holes)


def _masked(value: Value, inside: Any, shape: Sequence[int]) -> Value:
    """A value over more axes, with nothing where a mask does not hold."""
    numbers, holes = numeric(numbers_of(value)), holes_of(value)
    numbers = reshape(numbers, (*numbers.shape, *[1] * (len(shape) - numbers.ndim)))
    numbers = widened(jnp.where(inside, numbers, jnp.zeros((), numbers.dtype)), shape)
    seen = holes is not None
    return with_holes(numbers, Mask(jnp.asarray(inside), seen=seen, missing=True))
