"""Orders that are searched for: annealing, bounds, proofs, and run times, estimated and measured."""

from ._anneal import anneal
from ._bound import lower_bound
from ._exact import Proof, exact
from ._objective import Objective, estimate, evaluate, fastest, measure
from ._progress import Progress

__all__ = [
    "Objective",
    "Progress",
    "Proof",
    "anneal",
    "estimate",
    "evaluate",
    "exact",
    "fastest",
    "lower_bound",
    "measure",
]
