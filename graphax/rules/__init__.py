"""Local Jacobians of primitives, one file per family."""

# pyright: reportUnusedImport=false
# `__all__` holds what users import; the rest is for the rest of graphax.
from . import (  # they register their rules
    _cond,
    _contract,
    _coordinates,
    _cumulative,
    _custom,
    _dynamic,
    _elementwise,
    _fourier,
    _indexing,
    _linalg,
    _relabel,
    _sorting,
    _windows,
)
from ._column_states import State
from ._common_structure import array_of
from ._complex import complex_rule, touches_complex
from ._custom import as_differentiated
from ._dense import dense_rule, of_real_view, real_type, real_view, view_shape
from ._dependence import follow, results_of
from ._elementwise import (
    ELEMENTWISE,
    NotElementwise,
    array_type,
    elementwise_as_found,
    jvp_program,
    static_number,
)
from ._entry_dependence import AT_LEAST, AT_MOST, Dependent, Ways
from ._finite import (
    FiniteValues,
    equations_without_poles,
    finite_in_every_step,
    has_no_poles,
    zeros_are_spoilt,
)
from ._fourier import are_long_transforms
from ._kept_zeros import KeptZeros
from ._pole_exposure import kept_zeros
from ._registry import (
    Blocks,
    Call,
    Inexpressible,
    Jacobians,
    Rule,
    Sparse,
    find_rule,
    is_pushable,
    register_rule,
    worth_pulling,
    worth_pushing,
)
from ._relabel import COPYING
from .loops import follow_loop

__all__ = [
    "Blocks",
    "Call",
    "Inexpressible",
    "Rule",
    "register_rule",
]
