"""Why a pattern has more entries than there are nonzeros."""

from __future__ import annotations

FINITE = "scores may be as low as the number that stands for those that are left out"
STEPS = "how many steps the loop takes is not known, and its state mixes in each"
TIES = "JAX spreads the derivative of a maximum over all entries that are equal to it, however many"
CANCELLING = "what a cell sends to both sides comes back to it"
START = "the first step multiplies by a state that is zero"
