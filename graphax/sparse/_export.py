"""Blocks as matrices of other packages: where their entries are, and what they are."""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.core import Tracer

from ._steps import scatter_add
from ._structure import Structure
from ._sum_of_terms import SumOfTerms


class Exports(SumOfTerms):
    """A sum of terms that tells its entries."""

    @property
    def nnz(self) -> int:
        """The number of structural nonzeros."""
        return len(self.pattern()[0])

    def pattern(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the structural nonzeros are: static row and column indices.

        Returns:
            the row-major positions in the output and in the input, in the order of :meth:`data`; no pair
            occurs twice.
        """
        rows, columns, _ = _pattern(self.structure)
        return rows, columns

    def data(self) -> jax.Array:
        """The structural nonzeros, in the order of :meth:`pattern`."""
        dtype = self._require_dtype()
        _, _, merge = _pattern(self.structure)
        entries = self._entries(dtype)
        if merge is None:
            return entries
        size = int(merge.max(initial=-1)) + 1
        return scatter_add(lax.full((size,), 0, dtype), merge, entries)

    def to_bcoo(self) -> Any:
        """A ``jax.experimental.sparse.BCOO`` of shape ``out_shape + in_shape``."""
        from jax.experimental import sparse

        rows, columns = self.pattern()
        places = [
            *(np.unravel_index(rows, self.out_shape) if self.out_shape else ()),
            *(np.unravel_index(columns, self.in_shape) if self.in_shape else ()),
        ]
        indices = np.stack(places, -1) if places else np.zeros((len(rows), 0), np.int32)
        return sparse.BCOO(
            (self.data(), jax.numpy.asarray(indices, np.int32)), shape=self.shape, unique_indices=True
        )

    def to_scipy(self) -> Any:
        """A ``scipy.sparse.csr_array`` with a row for every output and a column for every input entry.

        Raises:
            TypeError: under a transformation, where the numbers are not known yet.
        """
        from scipy import sparse

        data = self.data()
        if isinstance(data, Tracer):
            raise TypeError(
                "to_scipy needs numbers, but was called while tracing; return the block from the jitted "
                "function and convert it outside, or use to_bcoo"
            )
        shape = (math.prod(self.out_shape), math.prod(self.in_shape))
        return sparse.coo_array((np.asarray(data), self.pattern()), shape=shape).tocsr()


@functools.lru_cache(maxsize=256)
def _pattern(found: Structure) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Rows, columns, and for every entry its place among them where some coincide."""
    rows, columns = SumOfTerms(found, ())._places()
    if len(found.terms) > 1:
        keys, merge = np.unique(rows * math.prod(found.in_shape) + columns, return_inverse=True)
        if len(keys) < len(rows):
            return *np.divmod(keys, math.prod(found.in_shape)), merge.reshape(-1)
    return rows, columns, None
