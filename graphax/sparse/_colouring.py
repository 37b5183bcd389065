"""Columns that meet in no row share a colour: their sum tells all of them.

A. R. Curtis, M. J. D. Powell and J. K. Reid, *On the estimation of sparse Jacobian matrices*, J. Inst. Math.
Appl. 13, 1974.
"""

from __future__ import annotations

import itertools

import numpy as np


def coloured(columns: np.ndarray, rows: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A colour for every column, each the first that no column has which it meets.

    Args:
        columns, rows: of every entry. For colours of rows each stands in the place of the other.
        shape: how many columns and rows there are.
    """
    ends = np.cumsum([0, *np.bincount(columns, minlength=shape[0])]).tolist()
    met = rows[np.argsort(columns, kind="stable")].tolist()
    taken, found = [0] * shape[1], []  # for every row a bit for every colour
    for first, last in itertools.pairwise(ends):
        lines = met[first:last]
        used = 0
        for line in lines:
            used |= taken[line]
        free = ~used & (used + 1)
        for line in lines:
            taken[line] |= free
        found.append(free.bit_length() - 1)
    return np.array(found, np.int32)
