"""The algebra of structured Jacobians: labels, affine maps and tables instead of zeros.

A Jacobian is a static :class:`Structure`, a short sum of :class:`Term`, and the values of the terms. Products
and sums are decided on structures alone, while tracing; values only follow.
"""

from ._add import add, refine
from ._block import Block, arranged_block, dense_block, identity_block, unit_block
from ._compose import compose
from ._counted import counted
from ._draft import common_factors
from ._structure import (
    Structure,
    dense,
    identity,
    label_dims,
    make_term,
    product,
    structure,
    total,
)
from ._table import ZERO, ClosedTable, StructureTable, UnitEdges, close_table
from ._term import Digit, Kind, Table, Term, digit_table

__all__ = [
    "ZERO",
    "Block",
    "ClosedTable",
    "Digit",
    "Kind",
    "Structure",
    "StructureTable",
    "Table",
    "Term",
    "UnitEdges",
    "add",
    "arranged_block",
    "close_table",
    "common_factors",
    "compose",
    "counted",
    "dense",
    "dense_block",
    "digit_table",
    "identity",
    "identity_block",
    "label_dims",
    "make_term",
    "product",
    "refine",
    "structure",
    "total",
    "unit_block",
]
