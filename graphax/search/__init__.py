"""Orders that are searched for: annealing, bounds, proofs, and run times, estimated and measured."""

# pyright: reportUnusedImport=false
# All of it is for the rest of graphax; users have it from graphax.orders.
from ._anneal import anneal
from ._bound import lower_bound
from ._exact import Proof, exact
from ._objective import Objective, estimate, evaluate, fastest, measure
from ._progress import Progress
