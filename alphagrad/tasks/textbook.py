"""Textbook graphs: functions of a few operations whose whole elimination can be drawn on paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp

from ._task import Declaration, Uniform

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    Scalar = Float[Array, ""]


def simple(x: Scalar, y: Scalar) -> tuple[Scalar, Scalar]:
    """Two inputs and two outputs around two intermediate vertices."""
    z = x * y
    w = jnp.sin(z)
    return w + z, jnp.log(w)


def lighthouse(nu: Scalar, gamma: Scalar, omega: Scalar, t: Scalar) -> tuple[Scalar, Scalar]:
    """Where the beam of a turning lighthouse meets the quay y2 = gamma y1.

    Args:
        nu: distance from the lighthouse to the quay along the line y2 = 0.
        gamma: slope of the quay.
        omega: angular velocity of the beam.
        t: time.
    """
    y1 = nu * jnp.tan(omega * t) / (gamma - jnp.tan(omega * t))
    y2 = gamma * nu * jnp.tan(omega * t) / (gamma - jnp.tan(omega * t))
    return y1, y2


def hole(x: Scalar, y: Scalar, z: Scalar, w: Scalar) -> tuple[Scalar, Scalar]:
    """Six intermediate vertices in a ring without chords: the first elimination closes the hole.

    One vertex of the ring is an output as well.
    """
    product = x * y
    sine = jnp.sin(product)
    cosine = jnp.cos(product)
    left = sine * z
    right = cosine * w
    return left, jnp.exp(left + right)


_BOOK = "A. Griewank and A. Walther, Evaluating Derivatives, 2nd ed., SIAM 2008"

TASKS = (
    Declaration(
        name="Simple",
        fun=simple,
        inputs=(Uniform(0.5, 1.5), Uniform(0.5, 1.5)),
        domain="textbook",
        source=_BOOK,
    ),
    Declaration(
        name="Lighthouse",
        fun=lighthouse,
        inputs=(Uniform(0.5, 2.0), Uniform(1.5, 2.5), Uniform(0.5, 1.0), Uniform(0.2, 0.8)),
        domain="textbook",
        source=_BOOK,
    ),
    Declaration(
        name="Hole",
        fun=hole,
        inputs=(Uniform(-1.5, 1.5),) * 4,
        domain="textbook",
        source=f"in the manner of {_BOOK}",
    ),
)
