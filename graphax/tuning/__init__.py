"""Which way to a Jacobian is fastest: measured, and explained."""

from ._tune import Tuning, tune

__all__ = ["Tuning", "tune"]
