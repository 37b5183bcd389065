"""The algebra of structured Jacobians: what is known of them statically, and what they hold."""

from ._add import Sum, add
from ._block import Block, arranged_block, dense_block, identity_block
from ._compose import Composition, compose
from ._structure import (
    Kind,
    Structure,
    common_factors,
    dense,
    identity,
    label_dims,
    make_structure,
)
from ._table import ClosedTable, StructureTable, close_table

__all__ = [
    "Block",
    "ClosedTable",
    "Composition",
    "Kind",
    "Structure",
    "StructureTable",
    "Sum",
    "add",
    "arranged_block",
    "close_table",
    "common_factors",
    "compose",
    "dense",
    "dense_block",
    "identity",
    "identity_block",
    "label_dims",
    "make_structure",
]
