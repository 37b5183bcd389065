"""Local Jacobians of primitives, one file per family."""

from . import (  # noqa: F401  (they register their rules)
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
    "AT_LEAST",
    "AT_MOST",
    "COPYING",
    "ELEMENTWISE",
    "Blocks",
    "Call",
    "Dependent",
    "FiniteValues",
    "Inexpressible",
    "Jacobians",
    "KeptZeros",
    "NotElementwise",
    "Rule",
    "Sparse",
    "State",
    "Ways",
    "are_long_transforms",
    "array_of",
    "array_type",
    "as_differentiated",
    "complex_rule",
    "dense_rule",
    "elementwise_as_found",
    "equations_without_poles",
    "find_rule",
    "finite_in_every_step",
    "follow",
    "follow_loop",
    "has_no_poles",
    "is_pushable",
    "jvp_program",
    "kept_zeros",
    "of_real_view",
    "real_type",
    "real_view",
    "register_rule",
    "results_of",
    "static_number",
    "touches_complex",
    "view_shape",
    "worth_pulling",
    "worth_pushing",
    "zeros_are_spoilt",
]
