"""Where the entries of blocks are: in the structure, or known at run time only and then looked up."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ._batches import over_batches, pairwise
from ._holes import numbers_of
from ._index import Index
from ._layout import entries_at, entry_values, layout_of
from ._placed import Part
from ._structure import Structure
from ._sum_of_terms import SumOfTerms


class Located(SumOfTerms):
    """A sum of terms that knows where its entries are, or what is needed to tell.

    Of parts whose places are known at run time only they are known as soon as their indices are numbers, as
    outside of ``jit``. Then the entries are listed, exactly as many as there are.
    """

    @property
    def places_are_known(self) -> bool:
        """Whether it can be told now where the entries are, the same for every Jacobian of a batch."""
        arrays = self._index_arrays()
        if not all(isinstance(array, np.ndarray | jax.Array) for array in arrays):
            return False
        return not any(isinstance(array, Tracer) for array in arrays) and all(map(_is_repeated, arrays))

    @property
    def known_structure(self) -> Structure:
        """The structure as far as it is known while tracing, with all that may be taken at run time."""
        return jax.eval_shape(_written_out, self).structure if self.placed else self.structure

    def located(self) -> Self:
        """The block with its entries in the structure: all that may be taken, where that is not known yet."""
        if not self.placed:
            return self
        return self._listed if self.places_are_known else _written_out(self)

    def with_known_places(self, what: str) -> Self:
        """The block with its entries, and no others, in the structure.

        Args:
            what: what asks for it.

        Raises:
            TypeError: while tracing, where they depend on traced indices.
            ValueError: when they are not the same for all Jacobians of a batch.
        """
        if not self.placed or self.places_are_known:
            return self.located()
        if self._is_traced():
            raise TypeError(
                f"{what} tells where the entries are, but that depends on indices that are traced; return "
                "the block from the jitted function and ask outside, use to_bcoo or todense, or take the "
                "derivative with sparse='static'"
            )
        raise ValueError(
            f"{what} tells where the entries are, but they are at other places in every Jacobian of this "
            f"batch {self.batch_shape}; take one of them by its index, as in block[0], or use to_bcoo"
        )

    @functools.cached_property
    def _listed(self) -> Self:
        batch = self.batch_shape
        width = self.matrix_shape[1]
        parts = [_at_hand(part, len(batch)) for part in self.placed]
        rows, columns = (
            np.concatenate(side) for side in zip(*(part.places() for part in parts), strict=True)
        )
        there = np.flatnonzero(rows < self.matrix_shape[0])
        keys, merged = np.unique(rows[there].astype(np.int64) * width + columns[there], return_inverse=True)
        data = _entries(self)[..., there]
        if len(keys) == len(there):
            data = data[..., np.argsort(merged)]
        else:
            data = jnp.zeros((*batch, len(keys)), data.dtype).at[..., merged].add(data)
        found = entries_at(self.out_shape, self.in_shape, keys // width, keys % width)
        values = entry_values(found, data) if len(keys) else ()
        anchor = None if len(keys) else data
        others = replace(self, structure=found, values=values, placed=(), anchor=anchor)
        if not self.structure.terms:
            return others
        return pairwise(lambda left, right: left.plus(right), replace(self, placed=()), others)

    @over_batches
    def _bcoo_parts(self) -> tuple[Any, Any]:
        """The entries as they come, and their indices in the dense Jacobian; beyond it for what is none."""
        known = layout_of(self.structure).indices if self.structure.terms else None
        data: list[Any] = [] if known is None else [replace(self, placed=())._data()]
        indices: list[Any] = [] if known is None else [known]
        shape = self.out_shape + self.in_shape
        for part in self.placed:
            rows, columns = part.places()
            inside = rows < self.matrix_shape[0]
            at = [*_unravelled(rows, self.out_shape), *_unravelled(columns, self.in_shape)]
            places = [jnp.where(inside, one, size) for one, size in zip(at, shape, strict=True)]
            indices.append(jnp.stack(places, -1).astype(np.int32))
            entries = part.entries(self.dtype)
            data.append(jnp.where(inside, entries, jnp.zeros((), entries.dtype)))
        return jnp.concatenate(data), jnp.concatenate(indices)

    def _data(self) -> Any:
        """The structural nonzeros of a block with its entries in the structure."""
        raise NotImplementedError

    def _index_arrays(self) -> list[Any]:
        return [index.array for part in self.placed for index in part.out + part.in_ if index is not None]

    def _is_traced(self) -> bool:
        return any(isinstance(numbers_of(array), Tracer) for array, _ in self._shapes())


@over_batches
def _written_out(block: Any) -> Any:
    return block.written_out()


@over_batches
def _entries(block: Any) -> Any:
    """The entries of the parts whose places are known at run time only."""
    dtype = block.dtype or jnp.zeros(()).dtype
    return jnp.concatenate([part.entries(dtype) for part in block.placed])


def _is_repeated(array: Any) -> bool:
    """Whether all indices of a batch are the same."""
    lines = np.asarray(array).reshape(-1, array.shape[-1])
    return bool((lines == lines[:1]).all())


def _at_hand(part: Part, many: int) -> Part:
    """A part with the numbers of its indices, those of the first of a batch."""

    def first(index: Index | None) -> Index | None:
        return index and index._replace(array=np.asarray(index.array)[(0,) * many])

    return replace(part, out=tuple(map(first, part.out)), in_=tuple(map(first, part.in_)))


def _unravelled(places: Any, shape: tuple[int, ...]) -> list[Any]:
    """The indices of row-major places; of those beyond the last any."""
    found, rest = [], int(np.prod(shape))
    for size in shape:
        rest //= size
        found.append(places // rest % size)
    return found
