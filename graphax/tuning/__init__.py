"""Which way to a Jacobian is fastest: measured, and explained."""

from ._explain import Candidate, Explanation, explain
from ._measure import Arguments as Arguments  # named twice: for alphagrad
from ._measure import interleaved as interleaved
from ._tune import Measured, Tuning, tune

__all__ = ["Candidate", "Explanation", "Measured", "Tuning", "explain", "tune"]
