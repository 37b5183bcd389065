"""Why a pattern has more entries than there are nonzeros."""

from __future__ import annotations

FINITE = "scores may be as low as the number that stands for those that are left out"
STEPS = "how many steps the loop takes is not known, and its state mixes in each"
TRACED = "the index is an argument: all that it may pick is in the structure"
ORDER = "which entry comes where is known at run time alone"
CANCELLING = "what a cell sends to both sides comes back to it"
START = "the first step multiplies by a state that is zero"
