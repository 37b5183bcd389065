"""How long programs run: an estimate from what they consist of, and the constants of a device."""

from ._calibrate import calibrate
from ._constants import Constants, constants_for, kind_of
from ._equations import Work, register_estimate
from ._estimate import estimated_seconds, seconds_by_line
from ._flat import Equation

__all__ = [
    "Constants",
    "Equation",
    "Work",
    "calibrate",
    "constants_for",
    "estimated_seconds",
    "kind_of",
    "register_estimate",
    "seconds_by_line",
]
