"""Orders that are searched for: annealing, bounds, proofs, and measured run times."""

from ._anneal import Progress, anneal
from ._bound import lower_bound
from ._exact import Proof, exact
from ._objective import Objective, evaluate, fastest, measure

__all__ = [
    "Objective",
    "Progress",
    "Proof",
    "anneal",
    "evaluate",
    "exact",
    "fastest",
    "lower_bound",
    "measure",
]
