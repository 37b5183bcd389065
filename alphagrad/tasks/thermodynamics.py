"""Thermodynamics: the mixing part of the Helmholtz free energy of a mixed fluid."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from ._task import Declaration, Uniform

if TYPE_CHECKING:
    from jaxtyping import Array, Float


def helmholtz(x: Float[Array, "n"]) -> Float[Array, "n"]:
    """What each component adds to the free energy, x log(x / (1 - sum x)).

    Args:
        x: positive amounts whose sum is below one.
    """
    return x * jnp.log(x / (1.0 - jnp.sum(x)))


TASKS = (
    Declaration(
        name="Helmholtz",
        fun=helmholtz,
        inputs=(Uniform(0.05, 0.2, (4,)),),
        domain="thermodynamics",
        source="A. Griewank, in Mathematical Programming (1989) 83-108",
    ),
)
