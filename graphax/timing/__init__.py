"""How long programs run: an estimate from what they consist of, and the constants of a device."""

from ._calibrate import calibrate
from ._constants import Constants, calibrated_file, constants_for, kind_of
from ._device_time import busy_seconds
from ._equations import EXPENSIVE, Work, read, register_estimate, written
from ._estimate import Estimated, estimate_of, estimated_seconds, seconds_by_line, work_of
from ._flat import Equation, Flat, Value, flat

__all__ = [
    "EXPENSIVE",
    "Constants",
    "Equation",
    "Estimated",
    "Flat",
    "Value",
    "Work",
    "busy_seconds",
    "calibrate",
    "calibrated_file",
    "constants_for",
    "estimate_of",
    "estimated_seconds",
    "flat",
    "kind_of",
    "read",
    "register_estimate",
    "seconds_by_line",
    "work_of",
    "written",
]
