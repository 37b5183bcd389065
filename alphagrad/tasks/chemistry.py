"""Chemistry: equilibrium of the combustion of propane in air, from the MINPACK-2 collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jax.numpy import sqrt

from ._task import Declaration, Uniform

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    Scalar = Float[Array, ""]

PRESSURE = 40.0
"""In atmospheres."""
AIR = 10.0
"""Air to fuel ratio."""


def propane_combustion(
    x1: Scalar,
    x2: Scalar,
    x3: Scalar,
    x4: Scalar,
    x5: Scalar,
    x6: Scalar,
    x7: Scalar,
    x8: Scalar,
    x9: Scalar,
    x10: Scalar,
    x11: Scalar,
) -> tuple[Scalar, ...]:
    """The eleven residuals of the equilibrium, every equilibrium constant being one.

    Args:
        x1 to x10: moles of each product per mole of propane, positive.
        x11: their sum, positive.
    """
    s = sqrt(PRESSURE / x11)
    f1 = x1 + x4 - 3.0
    f2 = 2.0 * x1 + x2 + x4 + x7 + x8 + x9 + 2.0 * x10 - AIR
    f3 = 2.0 * x2 + 2.0 * x5 + x6 + x7 - 8.0
    f4 = 2.0 * x3 + x9 - 4.0 * AIR
    f5 = x2 * x4 - x1 * x5
    f6 = sqrt(x2 * x4) - sqrt(x1) * s * x6
    f7 = sqrt(x1 * x2) - sqrt(x4) * x7 * s
    f8 = x1 - x4 * x8 * PRESSURE / x11
    f9 = x1 * sqrt(x3) - x4 * x9 * s
    f10 = x1**2 - x4**2 * x10 * PRESSURE / x11
    f11 = x11 - x1 - x2 - x3 - x4 - x5 - x6 - x7 - x8 - x9 - x10
    return f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11


TASKS = (
    Declaration(
        name="PropaneCombustion",
        fun=propane_combustion,
        inputs=(Uniform(0.5, 2.0),) * 10 + (Uniform(5.0, 20.0),),
        domain="chemistry",
        published={"forward": 151, "reverse": 90, "markowitz": 111, "learned": 88, "ppo": 92},
        source="B. M. Averick et al., The MINPACK-2 test problem collection, Argonne MCS-TM-150",
    ),
)
