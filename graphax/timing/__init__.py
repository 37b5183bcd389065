"""How long programs run: an estimate from what they consist of, and the constants of a device."""

# pyright: reportUnusedImport=false
# `__all__` holds what users import; the rest is for the rest of graphax or, named twice, for alphagrad.
from ._calibrate import calibrate
from ._constants import Constants, constants_for
from ._constants import calibrated_file as calibrated_file
from ._constants import kind_of as kind_of
from ._device_time import busy_seconds
from ._equations import EXPENSIVE, Work, read, register_estimate, written
from ._estimate import Estimated, estimate_of, estimated_seconds, seconds_by_line, work_of
from ._flat import Equation, Flat, Value, flat

__all__ = [
    "Constants",
    "calibrate",
    "constants_for",
    "estimated_seconds",
]
