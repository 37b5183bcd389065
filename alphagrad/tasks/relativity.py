"""General relativity: the metric of a rotating, charged black hole of string theory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from ._task import Declaration, Uniform

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    Scalar = Float[Array, ""]


def kerr_sen_metric(
    r: Scalar, theta: Scalar, mass: Scalar, spin: Scalar, charge: Scalar
) -> tuple[Scalar, Scalar, Scalar, Scalar, Scalar]:
    """The components g_tt, g_tphi, g_rr, g_thetatheta, g_phiphi of the Kerr-Sen metric.

    Written in Boyer-Lindquist coordinates with G = c = 1. The other components vanish. Without
    charge it is the Kerr metric, and without spin as well the Schwarzschild metric.

    Args:
        r, theta: radius, outside the horizon, and polar angle.
        mass: mass of the black hole.
        spin: angular momentum per unit mass.
        charge: electric charge.
    """
    b = charge**2 / (2.0 * mass)
    sin2 = jnp.sin(theta) ** 2
    area = r * (r + 2.0 * b)
    sigma = area + spin**2 * jnp.cos(theta) ** 2
    delta = area - 2.0 * mass * r + spin**2
    drag = 2.0 * mass * r / sigma
    g_tt = drag - 1.0
    g_tphi = -drag * spin * sin2
    g_rr = sigma / delta
    g_thth = sigma
    g_phph = (area + spin**2 + drag * spin**2 * sin2) * sin2
    return g_tt, g_tphi, g_rr, g_thth, g_phph


TASKS = (
    Declaration(
        name="KerrSen",
        fun=kerr_sen_metric,
        inputs=(
            Uniform(4.0, 10.0),
            Uniform(0.4, 1.4),
            Uniform(0.8, 1.2),
            Uniform(0.1, 0.6),
            Uniform(0.1, 0.5),
        ),
        domain="general relativity",
        source="A. Sen, Phys. Rev. Lett. 69 (1992) 1006-1009",
    ),
)
