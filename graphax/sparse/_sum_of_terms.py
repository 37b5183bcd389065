"""A Jacobian as a sum of terms: a static structure and, where the structure says so, values."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import jax
import numpy as np
from jax import lax

from ._cost import LARGEST_STATIC, worth_scattering
from ._holes import (
    Holed,
    Holes,
    Map,
    Mask,
    Support,
    Zeros,
    holes_of,
    numbers_of,
    of_selection,
    raw_parts,
    seen_of,
    support_of,
    with_holes,
    with_support,
)
from ._index import Index, added_at
from ._placed import Part, summed_up
from ._rewriting import extended, stacked
from ._scaled import Scaled
from ._steps import reshape, scatter_add, transpose
from ._structure import Structure, Values, entries_of, product, total
from ._substitution import multiplied
from ._term import Canonical, Term
from ._writing import densify, term_places, written_out


@dataclass(frozen=True, eq=False)
class SumOfTerms:
    """What the chain rule works with: terms and their values.

    Attributes:
        structure: the terms of which it is the sum.
        values: for every term an array of shape ``term.value_shape`` (None for units and constants) with a
            static number that multiplies it (+1 or -1 where there is an array).
        dtype: the type of its entries; None while it is a part of something else.
        finite: whether its entries are known to be finite, overflow aside.
        anchor: an array without entries that keeps the batch dimensions of a block without arrays.
        placed: parts of the sum whose places are known at run time only.

    Under :func:`jax.vmap` there are many at once: their arrays have leading batch dimensions, and so has
    the block that comes out of it.
    """

    structure: Structure
    values: Values
    dtype: Any = None
    finite: bool = False
    anchor: Any = None
    placed: tuple[Part, ...] = ()

    @classmethod
    def zero(cls, out_shape: Sequence[int], in_shape: Sequence[int], dtype: Any = None) -> Self:
        """The block of an array that does not depend on another.

        Args:
            out_shape: the shape of the one.
            in_shape: the shape of the other.
            dtype: the type of the entries that it would have.

        Returns:
            a block without entries.
        """
        return cls(Structure(tuple(map(int, out_shape)), tuple(map(int, in_shape)), ()), (), dtype)

    @property
    def out_shape(self) -> tuple[int, ...]:
        """The shape of the differentiated array."""
        return self.structure.out_shape

    @property
    def in_shape(self) -> tuple[int, ...]:
        """The shape of the array that it is differentiated with respect to."""
        return self.structure.in_shape

    @property
    def batch_shape(self) -> tuple[int, ...]:
        """The sizes of the leading dimensions that :func:`jax.vmap` has made; ``()`` outside of it, and for
        what is a part of something else.

        Raises:
            ValueError: when batch dimensions of its arrays are not the leading ones.
        """
        if self.dtype is None:
            return ()
        found = None
        for array, expected in self._shapes():
            dims = max(len(array.shape) - len(expected), 0)
            batch, own = array.shape[:dims], array.shape[dims:]
            found = batch if found is None else found
            if (batch, own) != (found, expected):
                raise ValueError(
                    f"a part of this block has shape {array.shape}, where {found + expected} is "
                    "expected, batch dimensions first; return blocks from jax.vmap with out_axes=0"
                )
        if found is None:
            return () if self.anchor is None else self.anchor.shape[:-1]
        return found

    def _shapes(self) -> Iterator[tuple[Any, tuple[int, ...]]]:
        """All arrays, and their shapes without batch dimensions."""
        for term, (array, _) in self._terms():
            if array is not None:
                yield array, term.value_shape
        for part in self.placed:
            for term, (array, _) in zip(part.structure.terms, part.values, strict=True):
                if array is not None:
                    yield array, term.value_shape
            shape = part.structure.out_shape + part.structure.in_shape
            for index, size in zip(part.out + part.in_, shape, strict=True):
                if index is not None:
                    yield index.array, (size,)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the dense Jacobian: that of the output and that of the input, after batches."""
        return self.batch_shape + self.out_shape + self.in_shape

    @property
    def ndim(self) -> int:
        """How many dimensions the dense Jacobian has."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """How many entries the dense Jacobian has, zeros included."""
        return math.prod(self.shape)

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """The numbers of rows, entries of the output, and of columns, entries of the input."""
        return math.prod(self.out_shape), math.prod(self.in_shape)

    @property
    def selects(self) -> bool:
        """Whether a selection has left something out of it."""
        return bool(self.placed) or any(
            isinstance(array, Holed) and of_selection(array.holes) for array, _ in self.values
        )

    @property
    def has_holes(self) -> bool:
        """Whether entries of its structure may be zero because something has been left out."""
        return bool(self.placed) or any(
            array is not None and holes_of(array) is not None for array, _ in self.values
        )

    @property
    def holes(self) -> Holes:
        """The holes of the dense array: static ones, none, or such as are seen from its zeros."""
        if self.placed:
            return Zeros.OF_ORDER
        shape = self.out_shape + self.in_shape
        if math.prod(shape) > LARGEST_STATIC:
            return Zeros.OF_STRUCTURE
        taken = np.zeros(shape, bool)
        for term, (array, _) in self._terms():
            holes = None if array is None else holes_of(array)
            if isinstance(holes, Zeros | Mask):
                return seen_of(holes)
            value = np.ones(term.value_shape, bool) if holes is None else holes
            taken |= written_out(term, value) != 0
        return taken

    @property
    def supports(self) -> list[Support | None]:
        """For every value where it may have numbers, if that is known."""
        return [None if array is None else support_of(array) for array, _ in self.values]

    @property
    def support(self) -> Support:
        """Where the dense array may have numbers."""
        if self.placed:
            return self.written_out().support
        terms, shape = self.structure.terms, self.out_shape + self.in_shape
        known = [support for support in self.supports if support is not None]
        unknown = [support is None for support in self.supports]

        def found(*arrays: np.ndarray) -> np.ndarray:
            given, taken = iter(arrays), np.zeros(shape, bool)
            for term, whole in zip(terms, unknown, strict=True):
                value = np.ones(term.value_shape, bool) if whole else next(given)
                taken |= np.asarray(written_out(term, value) != 0)
            return taken

        return Support(found, *known)

    def within(self, ways: Sequence[Sequence[Support | None] | None]) -> Self:
        """The block of values that may have numbers where they may in some of several ways.

        Args:
            ways: for each of them the supports of all values; None where all is zero.
        """
        values = []
        for at, value in enumerate(self.values):
            supports = [way[at] for way in ways if way is not None]
            known = [support for support in supports if support is not None]
            if known and len(known) == len(supports):
                either = Support(lambda *every: functools.reduce(np.logical_or, every), *known)
                value = value.map(lambda array, either=either: with_support(array, either))
            values.append(value)
        return replace(self, values=tuple(values))

    def unsigned(self) -> Self:
        """The block without the static signs beside its arrays, so that none is left on sums with it."""
        values = [value if value.array is None else Scaled(value.array) for value in self.values]
        return replace(self, values=tuple(values))

    def with_map(
        self,
        push: Callable[[Any], Any],
        pull: Callable[[Any], Any],
        quick: Literal["push", "pull", "both"],
    ) -> Self:
        """The block of one term that products with dense Jacobians are made with by functions.

        Args:
            push: the product with columns, from an array ``[columns, n]`` to one ``[rows, n]``. Rows and
                columns are the places of the block's value in the output and in the input.
            pull: the product with rows, from an array ``[n, rows]`` to one ``[n, columns]``.
            quick: which of the two is faster than a product of matrices, as where entries are taken and no
                zeros written.
        """
        ((term, (array, scale)),) = self._terms()
        if array is None or isinstance(array, np.ndarray):
            return self
        rows = {label for dim in term.out for digit in dim for label in digit.labels}
        outputs = sum(label in rows for label in term.axes)
        found = Map(outputs, push, pull, quick)
        mapped = with_support(Holed(*raw_parts(array), found), support_of(array))
        return replace(self, values=(Scaled(mapped, scale),))

    def compose(self, inner: SumOfTerms, sparse: bool = True) -> Self:
        """The chain rule: ``self`` is d out / d mid, ``inner`` is d mid / d in.

        Args:
            inner: the other factor.
            sparse: whether a sparse Jacobian is wanted in the end. If not, small products are made dense.
        """
        finite, dtype = (self.finite, inner.finite), self.dtype or inner.dtype
        if self.placed or inner.placed:
            pairs = itertools.product(self.parts(), inner.parts())
            found = [part for pair in pairs for part in multiplied(*pair, finite, sparse)]
            shapes = self.out_shape, inner.in_shape
            return type(self)._of_parts(*shapes, found, dtype, all(finite), sparse)
        plan = product(self.structure, inner.structure, sparse)
        values = plan.run(self.values, inner.values, finite)
        return type(self)(plan.structure, values, dtype, all(finite))

    def plus(self, other: SumOfTerms, sparse: bool = True) -> Self:
        """The sum with a block of the same shape; ``sparse`` as for :meth:`compose`."""
        finite, dtype = self.finite and other.finite, self.dtype or other.dtype
        plan = total(self.structure, other.structure, sparse)
        values = plan.run([*self.values, *other.values])
        found = type(self)(plan.structure, values, dtype, finite)
        if not self.placed and not other.placed:
            return found
        parts = [*found.parts(), *self.placed, *other.placed]
        return type(self)._of_parts(self.out_shape, self.in_shape, parts, dtype, finite, sparse)

    def parts(self) -> list[Part]:
        """The parts of the sum: the terms whose places are known, and the others."""
        none = (None,) * len(self.out_shape), (None,) * len(self.in_shape)
        known = [Part(self.structure, self.values, *none)] if self.structure.terms else []
        return [*known, *self.placed]

    @classmethod
    def _of_parts(
        cls,
        out_shape: tuple[int, ...],
        in_shape: tuple[int, ...],
        parts: Iterable[Part],
        dtype: Any,
        finite: bool,
        sparse: bool,
    ) -> Self:
        """The sum of parts, as few as they can be."""
        known, placed = summed_up(parts, out_shape, in_shape, finite, sparse)
        return cls(known.structure, known.values, dtype, finite, placed=placed)

    def written_out(self) -> Self:
        """The block with all that it may take in the structure, in the place of what is known at run time."""
        if not self.placed:
            return self
        parts = [part.written_out(self.finite, True) for part in self.parts()]
        return self._of_parts(self.out_shape, self.in_shape, parts, self.dtype, self.finite, True)

    def selected(self, anyhow: bool = False) -> Self:
        """The block, if some of its places are known at run time only, without what masks leave out then.

        Args:
            anyhow: whether that is so whatever is known of its places.
        """
        if not self.placed and not anyhow:
            return self
        parts = [one for part in self.parts() for one in part.selected()]
        return self._of_parts(self.out_shape, self.in_shape, parts, self.dtype, self.finite, True)

    @property
    def is_zero(self) -> bool:
        """Whether there are no entries."""
        return not self.structure.terms and not self.placed

    @property
    def numbers(self) -> int:
        """How many numbers it holds, those that say where others go aside."""
        return self.structure.numbers + sum(part.structure.numbers for part in self.placed)

    def times_identity(self, size: int) -> Self:
        """The block with one more dimension of this size on both sides, tied together."""
        shapes = (*self.out_shape, size), (*self.in_shape, size)
        return self.written_out().rewritten(*shapes, lambda term: extended(term, size))

    def of_steps(self, length: int, tied: bool = False) -> Self:
        """The block of an array that is stacked step by step, from the block of a step with stacked values.

        Args:
            length: how many steps there are; leading axes of the values, and of the output, have that size.
            tied: whether the input is stacked, too, and every step depends on its own slice of it.
        """
        finals = [stacked(term, length, tied) for term in self.structure.terms]
        values = []
        for term, final, (array, scale) in zip(self.structure.terms, finals, self.values, strict=True):
            if array is not None:
                holes = array.holes if isinstance(array, Holed) and isinstance(array.holes, Zeros) else None
                axes = (len(term.sizes), *term.axes)
                order = [axes.index(label) for label in final.axes]
                array = with_holes(
                    reshape(transpose(numbers_of(array), order), final.term.value_shape), holes
                )
            values.append(Scaled(array, scale))
        shapes = (length, *self.out_shape), (length, *self.in_shape) if tied else self.in_shape
        found = Structure(*shapes, tuple(final.term for final in finals))
        return replace(self, structure=found, values=tuple(values))

    def rewritten(
        self, out_shape: tuple[int, ...], in_shape: tuple[int, ...], rewrite: Callable[[Term], Canonical]
    ) -> Self:
        """The block with every term written anew."""
        finals = [rewrite(term) for term in self.structure.terms]
        values = [
            value.arranged([term.axes.index(label) for label in final.axes], final.term.value_shape)
            for term, final, value in zip(self.structure.terms, finals, self.values, strict=True)
        ]
        found = Structure(out_shape, in_shape, tuple(final.term for final in finals))
        return replace(self, structure=found, values=tuple(values))

    def astype(self, dtype: Any) -> Self:
        """The block with entries of another type.

        Args:
            dtype: the type.

        Returns:
            a block of the same structure.
        """
        dtype = np.dtype(dtype)
        found = self.with_values(
            lambda value: value.map(lambda array: jax.numpy.asarray(numbers_of(array), dtype))
        )
        return replace(found, dtype=dtype)

    def with_values(self, change: Callable[[Scaled], Scaled]) -> Self:
        """The block with other numbers at its places: arrays where it has arrays, one number elsewhere."""
        found, values = _changed(self.structure, self.values, change)
        placed = []
        for part in self.placed:
            of_part, held = _changed(part.structure, part.values, change)
            placed.append(replace(part, structure=of_part, values=held))
        return replace(self, structure=found, values=values, placed=tuple(placed))

    def dense(self, dtype: Any) -> jax.Array:
        """The array ``J[o..., i...]`` of this type."""
        shape = self.out_shape + self.in_shape
        if self.placed:
            known = replace(self, placed=()).dense(dtype)
            matrix = lax.reshape(known, self.matrix_shape)
            for part in self.placed:
                matrix = added_at(matrix, part.places(), part.entries(dtype))
            return lax.reshape(matrix, shape)
        if not self.structure.terms:
            return lax.full(shape, 0, dtype)
        if worth_scattering(self.structure.terms):
            rows, columns = self.places()
            flat = lax.full((math.prod(shape),), 0, dtype)
            flat = scatter_add(flat, rows * math.prod(self.in_shape) + columns, self.entries(dtype))
            return lax.reshape(flat, shape)
        return functools.reduce(lax.add, (densify(term, value, dtype) for term, value in self._terms()))

    def _terms(self) -> Iterator[tuple[Term, Scaled]]:
        return zip(self.structure.terms, self.values, strict=True)

    def _require_dtype(self) -> Any:
        if self.dtype is None:
            raise TypeError("the block has no dtype yet; give it one with astype")
        return self.dtype

    def places(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of the entries of every term."""
        places = [term_places(term) for term in self.structure.terms]
        if not places:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return np.concatenate([rows for rows, _ in places]), np.concatenate(
            [columns for _, columns in places]
        )

    def entries(self, dtype: Any) -> jax.Array:
        """The entries of every term."""
        return entries_of(self.structure, self.values, dtype)

    def tree_flatten(self) -> tuple[tuple[Any, ...], Any]:
        """The arrays, and what is static, for JAX."""
        values = [*self.values, *(value for part in self.placed for value in part.values)]
        # What is known of places alone is no part of the type that branches and loops have to agree on.
        children = [
            array.raw if isinstance(array, Holed) and array.holes is None else array
            for array, _ in values
            if array is not None
        ]
        scales = tuple((array is None, scale) for array, scale in values)
        indices, placed = list[Any](), list[Any]()
        for part in self.placed:
            sides = tuple(tuple(_numbered(index, indices) for index in side) for side in (part.out, part.in_))
            placed.append((part.structure, *sides))
        children += indices
        if not children and self.dtype is not None:
            children.append(np.zeros(0, self.dtype) if self.anchor is None else self.anchor)
        aux = self.structure, scales, self.dtype, self.finite, tuple(placed), len(indices)
        return tuple(children), aux

    @classmethod
    def tree_unflatten(cls, aux: Any, children: Any) -> Self:
        """The block of what :meth:`tree_flatten` gave."""
        structure, scales, dtype, finite, placed, count = aux
        remaining = iter(children)
        values = iter([Scaled(None if bare else next(remaining), scale) for bare, scale in scales])
        own = tuple(itertools.islice(values, len(structure.terms)))
        indices = list(itertools.islice(remaining, count))
        parts = []
        for of_part, *sides in placed:
            held = tuple(itertools.islice(values, len(of_part.terms)))
            out, in_ = (
                tuple(index and Index(indices[index[0]], *index[1:]) for index in side) for side in sides
            )
            parts.append(Part(of_part, held, out, in_))
        return cls(structure, own, dtype, finite, next(remaining, None), tuple(parts))


def _changed(
    found: Structure, values: Values, change: Callable[[Scaled], Scaled]
) -> tuple[Structure, Values]:
    """A structure and its values, each of which is changed."""
    values = tuple(map(change, values))
    terms = [
        term if term.has_value else replace(term, kind=value.kind)
        for term, value in zip(found.terms, values, strict=True)
    ]
    return Structure(found.out_shape, found.in_shape, tuple(terms)), values


def _numbered(index: Index | None, arrays: list[Any]) -> tuple[int, int, bool] | None:
    """An index with the number of its array, which is added to those given if it is not among them."""
    if index is None:
        return None
    at = next((at for at, array in enumerate(arrays) if array is index.array), len(arrays))
    if at == len(arrays):
        arrays.append(index.array)
    return at, index.size, index.within
