"""Blocks in the formats of other packages."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

import jax
import numpy as np
from jax import lax

from ._batches import over_batches
from ._holes import numbers_of
from ._layout import Compressed, layout_of
from ._located import Located
from ._steps import scatter_add, take

Format = Literal["csr", "csc", "coo"]


class Exports(Located):
    """A sum of terms that tells its entries.

    Where they are is found once for a structure, and kept. In every format an entry is a structural nonzero,
    whatever number stands there: one factorisation by symbols serves all Jacobians of a structure.
    """

    @over_batches
    def todense(self, dtype: Any = None) -> jax.Array:
        """The array ``J[o..., i...]``, zeros included, without a multiplication.

        Args:
            dtype: its type; that of the block if left out.

        Returns:
            an array of shape ``out_shape + in_shape``; batch dimensions lead.
        """
        return self.dense(np.dtype(dtype or self._require_dtype()))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """The dense array for NumPy, and for ``jax.numpy.asarray``, which has no way of its own to ask
        for an array that would not also keep ``array @ block`` from being sparse."""
        if copy is False:
            raise ValueError("a block becomes an array of NumPy by writing its zeros, which is a copy")
        self._require_numbers("an array of NumPy", "todense")
        return np.array(self.todense(), dtype)

    @property
    def nnz(self) -> int:
        """The number of structural nonzeros, of each Jacobian where there is a batch."""
        return len(layout_of(self.with_known_places("nnz").structure).rows)

    @property
    def density(self) -> float:
        """The share of structural nonzeros; 0 where there are no entries."""
        entries = math.prod(self.matrix_shape)
        return self.nnz / entries if entries else 0.0

    def pattern(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the structural nonzeros are: static row and column indices.

        Returns:
            the row-major positions in the output and in the input, in row-major order, which is that of
            :meth:`data`; no pair occurs twice.
        """
        found = layout_of(self.with_known_places("pattern").structure)
        return found.rows, found.columns

    def data(self) -> jax.Array:
        """The structural nonzeros, in the order of :meth:`pattern`."""
        return self.with_known_places("data")._data()

    @over_batches
    def _data(self) -> jax.Array:
        self._require_dtype()
        return _ordered(self) if self._is_traced() else _ordered_at_once(self)

    def csr(self) -> tuple[np.ndarray, np.ndarray, jax.Array]:
        """The entries row by row: ``(indptr, indices, data)``; the first two are static and not to be
        written to."""
        one = self.with_known_places("csr")
        return one._compressed(layout_of(one.structure).by_rows)

    def csc(self) -> tuple[np.ndarray, np.ndarray, jax.Array]:
        """The entries column by column: ``(indptr, indices, data)``, as :meth:`csr`."""
        one = self.with_known_places("csc")
        return one._compressed(layout_of(one.structure).by_columns)

    def _compressed(self, found: Compressed) -> tuple[np.ndarray, np.ndarray, jax.Array]:
        data = self.data()
        if found.order is not None:
            data = data[..., found.order]
        return found.indptr, found.indices, data

    def to_bcoo(self) -> Any:
        """A ``jax.experimental.sparse.BCOO`` of the shape of the block, sorted and without duplicates, unless
        its indices are traced: then entries come as they do, and what is none has an index beyond the shape.
        """
        from jax.experimental import sparse

        if not self.places_are_known:
            return sparse.BCOO(self._bcoo_parts(), shape=self.shape)
        one = self.located()
        indices = layout_of(one.structure).indices
        indices = jax.numpy.asarray(indices.reshape((1,) * len(self.batch_shape) + indices.shape))
        return sparse.BCOO((one.data(), indices), shape=self.shape, indices_sorted=True, unique_indices=True)

    def to_bcsr(self) -> Any:
        """A ``jax.experimental.sparse.BCSR`` with a row for every output and a column for every input entry,
        sorted and without duplicates."""
        from jax.experimental import sparse

        indptr, indices, data = self.csr()
        batch = self.batch_shape
        indptr, indices = (np.broadcast_to(array, (*batch, *array.shape)) for array in (indptr, indices))
        parts = data, jax.numpy.asarray(indices), jax.numpy.asarray(indptr)
        shape = batch + self.matrix_shape
        return sparse.BCSR(parts, shape=shape, indices_sorted=True, unique_indices=True)

    def to_scipy(self, format: Format = "csr") -> Any:
        """A ``scipy.sparse`` array with a row for every output and a column for every input entry.

        Args:
            format: ``"csr"``, ``"csc"`` or ``"coo"``.

        Returns:
            an array of SciPy, which may be written to.

        Raises:
            TypeError: under a transformation, where the numbers are not known yet.
            ValueError: for another format, and for many Jacobians at once.
        """
        from scipy import sparse

        if format not in get_args(Format):
            raise ValueError(f"format must be 'csr', 'csc' or 'coo', got {format!r}")
        if self.batch_shape:
            raise ValueError(
                f"to_scipy makes one matrix, but this block has batch dimensions {self.batch_shape}; "
                "take one of them by its index, as in block[0]"
            )
        self._require_numbers("to_scipy", "to_bcoo")
        one = self.with_known_places("to_scipy")
        found = layout_of(one.structure)
        data = one._known_data()
        if format == "coo":
            return sparse.coo_array((data, (found.rows, found.columns)), shape=self.matrix_shape)
        compressed = found.by_rows if format == "csr" else found.by_columns
        if compressed.order is not None:
            data = data[compressed.order]
        parts = data, compressed.indices.copy(), compressed.indptr.copy()  # SciPy's arrays may be written to
        made = sparse.csr_array if format == "csr" else sparse.csc_array
        array = made(parts, shape=self.matrix_shape)
        array.has_canonical_format = True
        return array

    def _known_data(self) -> np.ndarray:
        """The structural nonzeros, in the order of :meth:`pattern`, by NumPy, which starts sooner."""
        found = layout_of(self.structure)
        total, first = np.zeros(len(found.rows), self.dtype), 0
        for at, (term, (array, scale)) in enumerate(self._terms()):
            number = np.asarray(scale if array is None else numbers_of(array), self.dtype)
            shape = [size if label in term.axes else 1 for label, size in enumerate(term.sizes)]
            entries = number.reshape(shape)
            if entries.shape != term.sizes:
                entries = np.broadcast_to(entries, term.sizes)
            entries = entries.reshape(-1)
            factor = np.asarray(1 if array is None else scale, self.dtype)
            if found.merge is not None:
                np.add.at(total, found.merge[first : first + len(entries)], entries * factor)
                first += len(entries)
                continue
            for source, target in found.runs[at]:
                if isinstance(target, slice):
                    np.multiply(entries[source], factor, out=total[target])
                else:
                    total[target] = entries * factor
        return total

    def _require_numbers(self, what: str, other: str) -> None:
        self._require_dtype()
        if self._is_traced():
            raise TypeError(
                f"{what} needs numbers, but was called while tracing; return the block from the jitted "
                f"function and convert it outside, or use {other}"
            )


def _ordered(block: Exports) -> jax.Array:
    """The structural nonzeros in their order."""
    found, entries = layout_of(block.structure), block.entries(block.dtype)
    if found.merge is not None:
        return scatter_add(lax.full((len(found.rows),), 0, block.dtype), found.merge, entries)
    return entries if found.order is None else take(entries, found.order)


_ordered_at_once = jax.jit(_ordered)  # outside of tracing, one program in the place of five
