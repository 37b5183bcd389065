"""Systems of equations whose matrix has a narrow band, in some order of its rows and columns."""

from __future__ import annotations

from typing import NamedTuple

import jax
import numpy as np
from jax import lax


class Band(NamedTuple):
    """How far entries are from the diagonal.

    Attributes:
        order: the rows and columns in the order in which the band is narrow; None for that of the matrix.
        below, above: how far entries stand from the diagonal at most.
    """

    order: np.ndarray | None
    below: int
    above: int

    @property
    def width(self) -> int:
        return self.below + self.above + 1


def narrow_band(rows: np.ndarray, columns: np.ndarray, size: int) -> Band:
    """The band of entries, or the narrower one of their reverse Cuthill-McKee order."""
    from scipy import sparse
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    own = Band(None, int((rows - columns).max()), int((columns - rows).max()))
    matrix = sparse.csr_matrix((np.ones(len(rows), np.int8), (rows, columns)), shape=(size, size))
    order = reverse_cuthill_mckee(matrix, symmetric_mode=False)
    place = np.empty(size, np.intp)
    place[order] = np.arange(size)
    distance = place[columns] - place[rows]
    other = Band(order, int(-distance.min()), int(distance.max()))
    return other if other.width < own.width else own


def rows_of_band(rows: np.ndarray, columns: np.ndarray, data: jax.Array, size: int, band: Band) -> jax.Array:
    """The entries of every row from ``below`` before the diagonal on, ``[size, width]``."""
    if band.order is not None:
        place = np.empty(size, np.intp)
        place[band.order] = np.arange(size)
        rows, columns = place[rows], place[columns]
    held = jax.numpy.zeros((size, band.width), data.dtype)
    return held.at[rows, columns - rows + band.below].set(data, unique_indices=True)


def solve_band(held: jax.Array, b: jax.Array, band: Band) -> jax.Array:
    """The solution by elimination with partial pivoting.

    The rows among which a pivot is found are a window that moves along the diagonal. An exchange of rows
    widens the band of the upper factor by ``below``.

    G. H. Golub and C. F. Van Loan, *Matrix Computations*, 4th ed., section 4.3.

    Args:
        held: the rows of the matrix, ``[size, width]``, as :func:`rows_of_band` gives them.
        b: ``[size, columns]``, in the order of the matrix.
        band: its band.
    """
    below, width = band.below, band.width
    b = b if band.order is None else b[band.order]
    padded, padded_b = (jax.numpy.pad(array, ((0, below + 1), (0, 0))) for array in (held, b))
    # The first rows begin before the first column.
    first = [jax.numpy.pad(padded[at, below - at :], (0, below - at)) for at in range(below + 1)]

    def eliminate(carry: tuple[jax.Array, jax.Array], entering: tuple[jax.Array, jax.Array]):
        window, right = carry
        pivot = jax.numpy.argmax(abs(window[:, 0]))
        exchanged = [array.at[pivot].set(array[0]).at[0].set(array[pivot]) for array in (window, right)]
        window, right = exchanged
        factors = window[1:, :1] / window[0, 0]
        upper, solved = window[0], right[0]
        window = jax.numpy.pad((window[1:] - factors * upper)[:, 1:], ((0, 0), (0, 1)))
        right = right[1:] - factors * solved
        row, of_row = entering
        carry = jax.numpy.concatenate([window, row[None]]), jax.numpy.concatenate([right, of_row[None]])
        return carry, (upper, solved)

    def substitute(following: jax.Array, row: tuple[jax.Array, jax.Array]):
        upper, right = row
        found = (right - upper[1:] @ following) / upper[0]
        return jax.numpy.concatenate([found[None], following])[: width - 1], found

    entering = padded[below + 1 :], padded_b[below + 1 :]
    _, factored = lax.scan(eliminate, (jax.numpy.stack(first), padded_b[: below + 1]), entering)
    nothing = jax.numpy.zeros((width - 1, b.shape[1]), b.dtype)
    _, found = lax.scan(substitute, nothing, factored, reverse=True)
    if band.order is None:
        return found
    return jax.numpy.zeros_like(found).at[band.order].set(found, unique_indices=True)
