"""Medicine: the dipole model of the human heart, from the MINPACK-2 collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._task import Declaration, Uniform

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    Scalar = Float[Array, ""]

SIGMA = 1.0
"""Every measured moment on the right-hand sides."""


def human_heart_dipole(
    x1: Scalar,
    x2: Scalar,
    x3: Scalar,
    x4: Scalar,
    x5: Scalar,
    x6: Scalar,
    x7: Scalar,
    x8: Scalar,
) -> tuple[Scalar, ...]:
    """The eight residuals of the dipole equations, which vanish at the moments of the heart."""
    f1 = x1 + x2 - SIGMA
    f2 = x3 + x4 - SIGMA
    f3 = x5 * x1 + x6 * x2 - x7 * x3 - x8 * x4 - SIGMA
    f4 = x7 * x1 + x8 * x2 + x5 * x3 + x6 * x4 - SIGMA

    p = x5**2 - x7**2
    r = x6**2 - x8**2
    f5 = x1 * p - 2.0 * x3 * x5 * x7 + x2 * r - 2.0 * x4 * x6 * x8 - SIGMA
    f6 = x3 * p - 2.0 * x1 * x5 * x7 + x4 * r - 2.0 * x2 * x6 * x8 - SIGMA

    a = x5 * (x5**2 - 3.0 * x7**2)
    b = x7 * (x7**2 - 3.0 * x5**2)
    d = x6 * (x6**2 - 3.0 * x8**2)
    g = x8 * (x8**2 - 3.0 * x6**2)
    f7 = x1 * a + x3 * b + x2 * d + x4 * g - SIGMA
    f8 = x3 * a - x1 * b + x4 * d - x2 * g - SIGMA
    return f1, f2, f3, f4, f5, f6, f7, f8


TASKS = (
    Declaration(
        name="HumanHeartDipole",
        fun=human_heart_dipole,
        inputs=(Uniform(0.2, 1.5),) * 8,
        domain="medicine",
        published={"forward": 240, "reverse": 172, "markowitz": 194, "learned": 148, "ppo": 161},
        source="B. M. Averick et al., The MINPACK-2 test problem collection, Argonne MCS-TM-150",
    ),
)
