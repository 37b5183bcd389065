"""Computational fluid dynamics: Roe's approximate Riemann solver in one and three dimensions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from ._task import Declaration, Uniform

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    Scalar = Float[Array, ""]
    One = Float[Array, "1"]
    Three = Float[Array, "3"]

GAMMA = 0.5
"""The ratio of specific heats in the published benchmark (for air it would be 1.4)."""


def roe_flux_1d(
    rho_l: Scalar, m_l: Scalar, e_l: Scalar, rho_r: Scalar, m_r: Scalar, e_r: Scalar
) -> tuple[Scalar, Scalar, Scalar]:
    """The flux between two cells, of mass, momentum and energy (Roe 1981).

    Args:
        rho_l, m_l, e_l: density, momentum density and energy density of the left cell.
        rho_r, m_r, e_r: the same of the right cell.
    """
    drho = rho_r - rho_l
    rho = jnp.sqrt(rho_l * rho_r)
    weight = jnp.sqrt(rho_l) + jnp.sqrt(rho_r)

    v_l = m_l / rho_l
    p_l = _pressure_1d(rho_l, m_l, e_l)
    h_l = _enthalpy(rho_l, e_l, p_l)
    v_r = m_r / rho_r
    p_r = _pressure_1d(rho_r, m_r, e_r)
    h_r = _enthalpy(rho_r, e_r, p_r)
    dp = p_r - p_l
    dv = v_r - v_l

    u = (jnp.sqrt(rho_l) * v_l + jnp.sqrt(rho_r) * v_r) / weight
    h = (jnp.sqrt(rho_l) * h_l + jnp.sqrt(rho_r) * h_r) / weight
    q = u**2
    a2 = (GAMMA - 1.0) * (h - 0.5 * q)
    a = jnp.sqrt(a2)

    speed_plus = jnp.abs(u + a)
    speed = jnp.abs(u)
    speed_minus = jnp.abs(u)  # u - a in the textbooks; the published benchmark has it this way.
    n = a * rho
    c0 = (drho - dp / a2) * speed
    c1 = (dv + dp / n) * speed_plus
    c2 = (dv - dp / n) * speed_minus

    mass_l, momentum_l, energy_l = _flux_1d(rho_l, m_l, e_l, p_l)
    mass_r, momentum_r, energy_r = _flux_1d(rho_r, m_r, e_r, p_r)
    mass = mass_l + mass_r
    momentum = momentum_l + momentum_r
    energy = energy_l + energy_r

    c = 0.5 * rho / a
    dmass = c0 + c * c1 - c * c2
    dmomentum = c0 * u + c * c1 * (u + a) - c * c2 * (u - a)
    denergy = c0 * 0.5 * q + c * c1 * (h + u * a) - c * c2 * (h - u * a)
    return 0.5 * (mass - dmass), 0.5 * (momentum - dmomentum), 0.5 * (energy - denergy)


def roe_flux_3d(rho_l: One, m_l: Three, e_l: One, rho_r: One, m_r: Three, e_r: One) -> tuple[One, Three, One]:
    """The flux along the first axis, of mass, momentum and energy, between two cells (Roe 1981).

    The arguments are those of `roe_flux_1d`, the momentum densities being vectors.
    """
    drho = rho_r - rho_l
    dm = m_r - m_l
    dm1, dm2, dm3 = dm[0:1], dm[1:2], dm[2:3]
    de = e_r - e_l

    v_l = m_l / rho_l
    v_r = m_r / rho_r
    weight = jnp.sqrt(rho_l) + jnp.sqrt(rho_r)
    velocity = (jnp.sqrt(rho_l) * v_l + jnp.sqrt(rho_r) * v_r) / weight
    u, v, s = velocity[0:1], velocity[1:2], velocity[2:3]

    p_l = _pressure_3d(rho_l, m_l, e_l)
    h_l = _enthalpy(rho_l, e_l, p_l)
    p_r = _pressure_3d(rho_r, m_r, e_r)
    h_r = _enthalpy(rho_r, e_r, p_r)
    h = (jnp.sqrt(rho_l) * h_l + jnp.sqrt(rho_r) * h_r) / weight
    q = jnp.sum(velocity**2)
    a2 = (GAMMA - 1.0) * (h - 0.5 * q)
    a = jnp.sqrt(a2)

    speed_plus = u + a
    speed = u
    speed_minus = u - a
    c3 = ((GAMMA - 1.0) / a2 * ((h - q) * drho + jnp.dot(velocity, dm) - de)) * speed
    c2 = (dm3 / s - dm1) * speed
    c1 = (dm2 / v - drho) * speed
    k1 = drho - c3
    k2 = (dm1 - u * drho) / a
    c0 = 0.5 * (k1 - k2) * speed_minus
    c4 = 0.5 * (k1 + k2) * speed_plus

    mass_l, momentum_l, energy_l = _flux_3d(m_l, v_l, e_l, p_l)
    mass_r, momentum_r, energy_r = _flux_3d(m_r, v_r, e_r, p_r)
    mass = mass_l + mass_r
    momentum = momentum_l + momentum_r
    energy = energy_l + energy_r

    dmass = c0 + c3 + c4 * speed_plus
    d1 = c0 * speed_minus + c3 * u + c4 * speed_plus
    d2 = c0 * v + c1 * v + c3 * v + c4 * v
    d3 = c0 * s + c2 * s + c3 * s + c4 * s
    denergy = c0 * (h - u * a) + c1 * v**2 + c2 * s**2 + c3 * 0.5 * q + c4 * (h + u * a)
    dmomentum = jnp.concatenate([d1, d2, d3])
    return 0.5 * (mass - dmass), 0.5 * (momentum - dmomentum), 0.5 * (energy - denergy)


def _pressure_1d(rho, m, e):
    return (GAMMA - 1.0) * (e - 0.5 * m**2 / rho)


def _pressure_3d(rho, m, e):
    return (GAMMA - 1.0) * (e - 0.5 * jnp.sum(m**2) / rho)


def _enthalpy(rho, e, p):
    return (e + p) / rho


def _flux_1d(rho, m, e, p):
    v = m / rho
    return m, p + m * v, v * (p + e)


def _flux_3d(m, v, e, p):
    v1 = v[0:1]
    p3 = jnp.concatenate([p, jnp.zeros(2)])
    return m[0:1], p3 + m * v, v1 * (p + e)


# With GAMMA below one the square of the speed of sound is positive only if the kinetic energy is
# more than half of the total: hence the fast, light and cold cells.
_DENSITY = (0.1, 0.2)
_MOMENTUM = (0.6, 0.8)
_ENERGY = (0.3, 0.5)
_SOURCE = "P. L. Roe, J. Comput. Phys. 43 (1981) 357-372"

TASKS = (
    Declaration(
        name="RoeFlux_1d",
        fun=roe_flux_1d,
        inputs=(Uniform(*_DENSITY), Uniform(*_MOMENTUM), Uniform(*_ENERGY)) * 2,
        domain="computational fluid dynamics",
        published={"forward": 620, "reverse": 364, "markowitz": 407, "learned": 320, "ppo": 326},
        source=_SOURCE,
    ),
    Declaration(
        name="RoeFlux_3d",
        fun=roe_flux_3d,
        inputs=(Uniform(*_DENSITY, (1,)), Uniform(*_MOMENTUM, (3,)), Uniform(*_ENERGY, (1,))) * 2,
        domain="computational fluid dynamics",
        published={"forward": 1556, "reverse": 979, "markowitz": 938, "learned": 784, "ppo": 877},
        source=_SOURCE,
    ),
)
