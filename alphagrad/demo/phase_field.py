"""The sparse example of `alphagrad demo`: a step of a phase field on a grid."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float


def residual(u: Float[Array, "n n"]) -> Any:
    """What an implicit step of the Allen-Cahn equation leaves over, on a periodic grid."""
    around = sum(jnp.roll(u, shift, axis) for shift in (1, -1) for axis in (0, 1))
    return u - 0.1 * (around - 4 * u + u - u**3)
