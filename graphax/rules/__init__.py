"""Local Jacobians of primitives, one file per family."""

from . import _contract, _custom, _elementwise, _relabel  # noqa: F401  (they register their rules)
from ._complex import complex_rule, real_type, touches_complex
from ._dense import dense_rule
from ._elementwise import NotElementwise, static_number
from ._registry import Blocks, Call, Rule, find_rule, register_rule

__all__ = [
    "Blocks",
    "Call",
    "NotElementwise",
    "Rule",
    "complex_rule",
    "dense_rule",
    "find_rule",
    "real_type",
    "register_rule",
    "static_number",
    "touches_complex",
]
