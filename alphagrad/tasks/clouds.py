"""Atmospheric science: one time step of a warm-rain cloud microphysics scheme."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from ._task import Declaration, Uniform

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    Scalar = Float[Array, ""]

LATENT_HEAT = 2.5e6
"""Of vaporisation, in J/kg."""
HEAT_CAPACITY = 1004.0
"""Of dry air at constant pressure, in J/(kg K)."""


def cloud_microphysics(
    temperature: Scalar,
    vapour: Scalar,
    cloud: Scalar,
    rain: Scalar,
    rain_from_above: Scalar,
    pressure: Scalar,
    density: Scalar,
    step: Scalar,
    depth: Scalar,
) -> tuple[Scalar, Scalar, Scalar, Scalar, Scalar]:
    """One step of Kessler's scheme in one grid box.

    Cloud water turns to rain by autoconversion and accretion, rain falls and evaporates in
    unsaturated air, and a saturation adjustment condenses vapour or evaporates cloud.

    Args:
        temperature: in K.
        vapour, cloud, rain: mixing ratios of water in kg/kg, that of rain positive.
        rain_from_above: flux of rain into the box, in kg/(m² s).
        pressure: in hPa.
        density: of the air, in kg/m³.
        step: length of the time step, in s.
        depth: height of the box, in m.

    Returns:
        The new temperature and mixing ratios, and the flux of rain out of the box.
    """
    # The empirical laws want the density of rain water in g/cm³.
    rain_density = 0.001 * density * rain

    autoconversion = 0.001 * jnp.maximum(cloud - 0.001, 0.0)
    accretion = 2.2 * cloud * rain**0.875
    collected = jnp.minimum(step * (autoconversion + accretion), cloud)

    fall_speed = 36.34 * rain_density**0.1364 * jnp.sqrt(1.2 / density)
    rain_below = density * rain * fall_speed
    sedimented = step * (rain_from_above - rain_below) / (density * depth)

    saturated = 3.8 / pressure * jnp.exp(17.27 * (temperature - 273.0) / (temperature - 36.0))
    deficit = jnp.maximum(saturated - vapour, 0.0) / saturated
    ventilation = 1.6 + 124.9 * rain_density**0.2046
    diffusion = 5.4e5 + 2.55e6 / (pressure * saturated)
    evaporation = deficit * ventilation * rain_density**0.525 / diffusion / (0.001 * density)
    evaporated = jnp.minimum(step * evaporation, rain)

    sensitivity = LATENT_HEAT / HEAT_CAPACITY * 4093.0 / (temperature - 36.0) ** 2
    adjustment = (vapour - saturated) / (1.0 + sensitivity * saturated)
    condensed = jnp.maximum(adjustment, collected - cloud)

    new_temperature = temperature + LATENT_HEAT / HEAT_CAPACITY * (condensed - evaporated)
    new_vapour = vapour - condensed + evaporated
    new_cloud = cloud - collected + condensed
    new_rain = rain + collected - evaporated + sedimented
    return new_temperature, new_vapour, new_cloud, new_rain, rain_below


TASKS = (
    Declaration(
        name="CloudMicrophysics",
        fun=cloud_microphysics,
        inputs=(
            Uniform(280.0, 295.0),
            Uniform(0.006, 0.016),
            Uniform(0.0015, 0.004),
            Uniform(0.0005, 0.003),
            Uniform(0.0, 0.02),
            Uniform(850.0, 950.0),
            Uniform(1.0, 1.2),
            Uniform(2.0, 10.0),
            Uniform(200.0, 500.0),
        ),
        argnums=(0, 1, 2, 3, 4),
        domain="atmospheric science",
        source="E. Kessler (1969), as in J. B. Klemp and R. B. Wilhelmson, J. Atmos. Sci. 35 "
        "(1978) 1070-1096",
    ),
)
