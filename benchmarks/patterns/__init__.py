"""Functions with sparse Jacobians and Hessians, by what makes them sparse."""

from __future__ import annotations

from ._case import Case, Collection
from .applications import applications
from .complex_numbers import complex_numbers
from .constants import constants
from .convolutions import convolutions
from .custom import custom
from .hessians import hessians
from .indexing import indexing
from .loops import loops
from .triangular import triangular

#: Chosen before any of them was measured, to stand for the patterns that people meet.
COLLECTIONS: list[Collection] = [
    convolutions,
    constants,
    loops,
    triangular,
    indexing,
    hessians,
    custom,
    complex_numbers,
    applications,
]
CASES: list[Case] = [case for part in COLLECTIONS for case in part.cases]

__all__ = ["CASES", "COLLECTIONS", "Case", "Collection"]
