"""Parts of Jacobians whose places are known at run time only: terms between stand-ins for dimensions.

A *part* is a short sum of terms, as static as any, in which other dimensions stand in for some of those of
the Jacobian. For each of these an array, the index, says where in the dimension an entry goes. So the algebra
of terms works on parts as it is, and what it does not know are the numbers of the index. An entry whose index
is the size of the dimension is none.

Where a product meets an index, the entries of the other factor are taken there (``_substitution.py``). Where
that cannot be, the index is written out: as a matrix of ones and zeros, which is multiplied like any other.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from ._cost import MAX_TERMS
from ._holes import Holed, Map, Mask, Zeros, holes_of, numbers_of, seen_of, with_holes
from ._index import Index, Indices, added_at, labels_of, place_of, taken, weighted
from ._places import any_repeated
from ._rewriting import transposed
from ._scaled import Scaled, expand
from ._steps import Value, reshape
from ._structure import (
    Structure,
    Values,
    added_label,
    entries_of,
    from_labels,
    label_dims,
    make_term,
    product,
    structure,
    total,
)
from ._term import Digit, Dim, Kind, Term, canonical, digit_table


@dataclass(frozen=True, eq=False)
class Part:
    """A sum of terms between stand-ins.

    Attributes:
        structure: the terms.
        values: their numbers.
        out, in_: the indices of the dimensions of the output and of the input.
    """

    structure: Structure
    values: Values
    out: Indices
    in_: Indices

    @property
    def is_static(self) -> bool:
        """Whether every dimension stands for itself."""
        return not any(index is not None for index in self.out + self.in_)

    @property
    def T(self) -> Part:
        """The transpose."""
        finals = [transposed(term) for term in self.structure.terms]
        values = [
            value.arranged([term.axes.index(label) for label in final.axes], final.term.value_shape)
            for term, final, value in zip(self.structure.terms, finals, self.values, strict=True)
        ]
        terms = tuple(final.term for final in finals)
        found = Structure(self.structure.in_shape, self.structure.out_shape, terms)
        return Part(found, tuple(values), self.in_, self.out)

    def __str__(self) -> str:
        def side(indices: Indices) -> str:
            return "".join(f"[{at}]" for at, index in enumerate(indices) if index is not None)

        places = "" if self.is_static else f" at run time: {side(self.out) or '-'} <- {side(self.in_) or '-'}"
        return f"{self.structure}{places}"

    def terms(self) -> Iterator[Part]:
        """Every term as a part."""
        for term, value in zip(self.structure.terms, self.values, strict=True):
            yield replace(self, structure=structure(term), values=(value,))

    @property
    def held(self) -> int:
        """How many numbers it holds, static zeros aside."""

        def count(term: Term, array: Value) -> int:
            holes = None if array is None else holes_of(array)
            if not isinstance(holes, np.ndarray):
                return term.numbers if term.has_value else 0
            return int(np.count_nonzero(np.broadcast_to(holes, term.value_shape)))

        terms = self.structure.terms
        return sum(count(term, value.array) for term, value in zip(terms, self.values, strict=True))

    def stands_as(self, other: Part) -> bool:
        """Whether the dimensions of both have the same stand-ins."""
        return all(
            x is y or (x is not None and x.is_same(y))
            for x, y in zip(self.out + self.in_, other.out + other.in_, strict=True)
        )

    def plus(self, other: Part, sparse: bool) -> Part:
        """The sum with a part that has the same stand-ins."""
        plan = total(self.structure, other.structure, sparse)
        return replace(self, structure=plan.structure, values=plan.run([*self.values, *other.values]))

    def without_outputs(self, dims: Iterable[int], finite: bool, sparse: bool) -> Part:
        """The part with the index of some dimensions of the output written out.

        Args:
            dims: the dimensions.
            finite: whether the values are known to be finite.
            sparse: whether a sparse Jacobian is wanted.
        """
        found = self
        for dim in dims:
            index = found.out[dim]
            if index is not None:
                of_index, value = _one_hot(found.structure.out_shape, dim, index)
                plan = product(of_index, found.structure, sparse)
                values = plan.run((value,), found.values, (True, finite))
                out = (*found.out[:dim], None, *found.out[dim + 1 :])
                found = Part(plan.structure, values, out, found.in_)
        return found

    def written_out(self, finite: bool, sparse: bool) -> Part:
        """The part with every index written out."""
        found = self.without_outputs(range(len(self.out)), finite, sparse)
        return found.T.without_outputs(range(len(self.in_)), finite, sparse).T

    def settled(self, finite: bool, sparse: bool) -> Part:
        """The part with those indices written out that leave nothing out: where more entries than the
        dimension has are added up in it, and where there are as many numbers as in the dense Jacobian."""
        found = self.without_outputs(self._crowded(), finite, sparse)
        turned = found.T
        found = turned.without_outputs(turned._crowded(), finite, sparse).T
        entries = math.prod(
            real_shape(self.structure.out_shape + self.structure.in_shape, self.out + self.in_)
        )
        if not found.is_static and found.held >= entries:
            return found.written_out(finite, sparse)
        return found

    def one_for_each_row(self) -> Part:
        """The part as one term, where no two entries of its terms stand in one row of stand-ins."""
        terms = self.structure.terms
        every = [range(len(term.sizes)) for term in terms]
        if len(terms) < 2 or any(
            set(x) > set(labels_of(term.out)) for x, term in zip(every, terms, strict=True)
        ):
            return self
        dims = (*self.structure.out_shape, *self.structure.in_shape)
        sides = [[_every_place(dim, term) for dim in (*term.out, *term.in_)] for term in terms]
        columns = [np.concatenate(places) for places in zip(*sides, strict=True)]
        rank = len(self.out)
        if any_repeated(np.ravel_multi_index(columns[:rank], dims[:rank]) if rank else columns[0]):
            return self
        digits = [[digit_table(size, [0], column)] for size, column in zip(dims, columns, strict=True)]
        value, count = _in_one(self), len(columns[0])
        axes = [] if value.array is None else [0]
        term = make_term(digits[:rank], digits[rank:], [count], value.kind, axes)
        return replace(self, structure=structure(term), values=(value,))

    def selected(self) -> list[Part]:
        """The part in several, in which nothing is where a mask that is known at run time leaves it out."""
        return [_with_mask_as_index(part) for part in self.terms()]

    def places(self) -> tuple[Any, Any]:
        """Rows and columns of the entries of every term. Of what is no entry the row is beyond the last."""
        sides: list[list[Any]] = [[], []]
        rows = math.prod(real_shape(self.structure.out_shape, self.out))
        for term in self.structure.terms:
            sizes, every = dict(enumerate(term.sizes)), tuple(range(len(term.sizes)))
            found, inside = [], None
            for dims, indices in ((term.out, self.out), (term.in_, self.in_)):
                grids = [place_of(dim, index, sizes) for dim, index in zip(dims, indices, strict=True)]
                for grid, index in zip(grids, indices, strict=True):
                    if index is not None and not index.within:
                        there = grid.over(every) < index.size
                        inside = there if inside is None else inside & there
                shape = real_shape(tuple(math.prod(digit.radix for digit in dim) for dim in dims), indices)
                found.append(
                    weighted(grids, shape).over(every) if grids else np.zeros((1,) * len(every), int)
                )
            if inside is not None:
                found[0] = jnp.where(inside, found[0], rows)
            for side, places in zip(sides, found, strict=True):
                side.append(_flat(places, term.sizes))
        return _continued(sides[0]), _continued(sides[1])

    def entries(self, dtype: Any) -> Any:
        """The entries of every term."""
        return entries_of(self.structure, self.values, dtype)

    def _crowded(self) -> list[int]:
        """The dimensions of the output into which more entries are added up than they have."""

        def is_crowded(dim: int, index: Index | None) -> bool:
            return index is not None and all(
                _adds_up(term, dim)
                and math.prod(term.sizes[x] for x in labels_of([term.out[dim]])) > index.size
                for term in self.structure.terms
            )

        return [dim for dim, index in enumerate(self.out) if is_crowded(dim, index)]


def _with_mask_as_index(part: Part) -> Part:
    """A part of one term whose mask, if its value has one or is one, says in an index what is no entry."""
    (term,), (value,) = part.structure.terms, part.values
    mask, value = _without_mask(value)
    rank, indices, dims = len(part.out), [*part.out, *part.in_], [*term.out, *term.in_]
    large = [at for at, dim in enumerate(dims) if indices[at] is not None or dim]
    if mask is None or not large:
        return part
    at = next((at for at in large if at >= rank), large[0])
    sizes, index = dict(enumerate(term.sizes)), indices[at]
    varies = tuple(label for label, size in zip(term.axes, mask.shape, strict=True) if size != 1)
    size = math.prod(digit.radix for digit in dims[at]) if index is None else index.size
    grid = place_of(dims[at], index, sizes)
    labels = tuple(dict.fromkeys((*grid.labels, *varies)))
    inside = expand(reshape(mask, [sizes[label] for label in varies]), varies, labels)
    places = jnp.asarray(jnp.where(inside, grid.over(labels), size), np.int32)
    indices[at] = Index(places.reshape(-1), size, False)
    dims[at] = tuple(Digit(sizes[label], (label,)) for label in labels)
    axes = term.axes if value.array is not None else ()
    found = canonical(dims[:rank], dims[rank:], term.sizes, value.kind, axes)
    value = value.arranged([axes.index(label) for label in found.axes], found.term.value_shape)
    return Part(structure(found.term), (value,), tuple(indices[:rank]), tuple(indices[rank:]))


def _without_mask(value: Scaled) -> tuple[Any, Scaled]:
    """The mask of a value that is known at run time only, None if it has none, and the value without it."""
    array, scale = value
    if array is None or isinstance(array, np.ndarray):
        return None, value
    if array.dtype == bool:
        return numbers_of(array), Scaled(None, scale)
    holes = holes_of(array)
    if not isinstance(holes, Mask):
        return None, value
    rest = with_holes(numbers_of(array), Zeros.OF_STRUCTURE if holes.seen else None)
    return holes.taken, Scaled(rest, scale)


def _every_place(dim: Dim, term: Term) -> np.ndarray:
    """Where the stand-in of a dimension is at every row-major position of the labels."""
    grid = place_of(dim, None, dict(enumerate(term.sizes)))
    return _flat(grid.over(tuple(range(len(term.sizes)))), term.sizes)


def _flat(places: Any, sizes: Sequence[int]) -> Any:
    by = np if isinstance(places, np.ndarray) else jnp
    return by.broadcast_to(places, sizes).reshape(-1)


def _continued(parts: Sequence[Any]) -> Any:
    known = all(isinstance(part, np.ndarray) for part in parts)
    return np.concatenate(parts) if known else jnp.concatenate(parts)


def _in_one(part: Part) -> Scaled:
    """The entries of all terms as one value."""
    values = part.values
    if all(value.array is None and value.scale == values[0].scale for value in values):
        return values[0]
    arrays = [value.array for value in values if value.array is not None]
    types = [array.dtype for array in arrays if array.dtype != bool and not isinstance(array, np.ndarray)]
    holes = [holes for holes in map(holes_of, arrays) if holes is not None]
    numbers = part.entries(jnp.result_type(*types) if types else jnp.zeros(()).dtype)
    return Scaled(with_holes(numbers, seen_of(*holes)) if holes else numbers)


def _adds_up(term: Term, dim: int) -> bool:
    """Whether a dimension of the output has labels of its own."""
    others = labels_of([*term.out[:dim], *term.out[dim + 1 :], *term.in_])
    return set(labels_of([term.out[dim]])).isdisjoint(others)


def summed_up(
    parts: Iterable[Part], out_shape: tuple[int, ...], in_shape: tuple[int, ...], finite: bool, sparse: bool
) -> tuple[Part, tuple[Part, ...]]:
    """The sum of parts of these shapes: all of it whose places are known, and the others.

    Args:
        parts: the parts.
        out_shape, in_shape: of the Jacobian.
        finite: whether the values are known to be finite.
        sparse: whether a sparse Jacobian is wanted.
    """
    none = (None,) * len(out_shape), (None,) * len(in_shape)
    found = [Part(Structure(out_shape, in_shape, ()), (), *none)]

    def add(part: Part) -> None:
        for at, other in enumerate(found):
            if part.stands_as(other):
                found[at] = other.plus(part, sparse)
                return
        found.append(part)

    for part in parts:
        add(part.settled(finite, sparse))
    if len(found) > 1 and (
        len(found) > MAX_TERMS or sum(part.held for part in found) >= math.prod(out_shape + in_shape)
    ):
        others = found[1:]
        del found[1:]
        for part in others:
            add(part.written_out(finite, sparse))
    return found[0], tuple(found[1:])


def real_shape(shape: Sequence[int], indices: Indices) -> tuple[int, ...]:
    """The shape whose dimensions have stand-ins of these sizes."""
    return tuple(size if index is None else index.size for size, index in zip(shape, indices, strict=True))


def _one_hot(shape: Sequence[int], dim: int, index: Index) -> tuple[Structure, Scaled]:
    """What puts an array of stand-ins of this shape to its places along a dimension."""
    places, size, count = index.array, index.size, shape[dim]
    in_, sizes = label_dims(shape)
    out = [*in_[:dim], added_label(size, sizes), *in_[dim + 1 :]]
    hits = places == np.arange(size, dtype=places.dtype)[:, None]
    axes = [*out[dim], *in_[dim]]
    final = from_labels(out, in_, sizes, Kind.VALUE, axes)
    array: Any = Holed(reshape(hits, [sizes[label] for label in axes]), Zeros.OF_ORDER)
    if len(axes) == 2:
        array = Holed(array.raw, array.holes, map=_map(places, size, count))
    assert [axes.index(label) for label in final.axes] == list(range(len(axes)))
    return structure(final.term), Scaled(array)


def _map(places: Any, size: int, count: int) -> Map:
    """How entries are added up at their places, and taken from there."""

    def push(columns: Any) -> Any:
        return added_at(lax.full((size, columns.shape[1]), 0, columns.dtype), (places,), columns)

    def pull(rows: Any) -> Any:
        return taken(rows.T, places, beyond=True).T

    return Map(1, push, pull, "both")
