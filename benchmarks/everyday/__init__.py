"""Functions as people differentiate them every day, from many fields, in their natural sizes."""

from __future__ import annotations

from ._case import Case, Function
from .examples import examples
from .fits import fits
from .geometry import geometry
from .kinetics import kinetics
from .losses import losses
from .networks import networks
from .recurrences import recurrences
from .solvers import solvers

#: Chosen before any of them was timed, to stand for what Jacobians and Hessians are taken of.
CHOSEN: list[Case] = [
    case for part in (fits, networks, recurrences, kinetics, solvers, geometry) for case in part.cases
]
EXAMPLES: list[Case] = examples.cases
LOSSES: list[Case] = losses.cases

__all__ = ["CHOSEN", "EXAMPLES", "LOSSES", "Case", "Function"]
