"""The algebra of structured Jacobians: labels, affine maps and tables instead of zeros.

A Jacobian is a static :class:`Structure`, a short sum of :class:`Term`, and the values of the terms. Products
and sums are decided on structures alone, while tracing; values only follow.

What a selection leaves out is a *hole* of the value (see ``_holes.py``): zero in every product, whatever it
meets. Structures know nothing of holes. A selection is a value that holds zeros and ones, in the free and in
the counted convention alike, and a product with it costs what a product with any such value does. Keeping
the holes is bookkeeping and not counted; where a product of matrices may meet infinity, it takes a second
product of zeros and ones. Arguments of a function are taken for finite there: what is made of them without a
pole is multiplied by the zeros of a selection, so that layers with such units cost what they always did.
A selection at places that are known at run time only may know how it gathers and scatters entries
(:meth:`Block.with_map`): then large products with it are made so, without a product of matrices.
"""

# pyright: reportUnusedImport=false
# `__all__` holds what users import; the rest is for the rest of graphax.
from ._add import add, refine
from ._block import (
    AtRunTime,
    Block,
    arranged_block,
    dense_block,
    diag,
    eye,
    eye_like,
    identity_block,
    placed_block,
    unit_block,
)
from ._colouring import coloured
from ._complex_entries import complex_entries
from ._compose import compose
from ._counted import counted
from ._draft import common_factors
from ._entry_sets import Places, are_in, empty_sets, singletons, words
from ._execution import Execution, execution_of_product, execution_of_sum
from ._holes import (
    Mask,
    Support,
    Zeros,
    chosen,
    numbers_of,
    selection,
    spared,
    with_holes,
    with_support,
)
from ._pattern import Pattern
from ._places import met
from ._scaled import Scaled, expand
from ._steps import reshape, take
from ._structure import (
    Structure,
    added_label,
    dense,
    identity,
    label_dims,
    make_term,
    product,
    structure,
    total,
)
from ._support import without_zeros
from ._table import ZERO, ClosedTable, StructureTable, close_table
from ._term import Digit, Kind, Table, Term, digit_table

__all__ = [
    "Block",
    "Digit",
    "Pattern",
    "Structure",
    "arranged_block",
    "dense_block",
    "diag",
    "eye",
    "eye_like",
    "identity_block",
    "unit_block",
]
