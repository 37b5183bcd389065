"""Computational neuroscience: one step of a network of leaky integrate-and-fire neurons."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from ._task import Declaration, Uniform

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    Scalar = Float[Array, ""]

THRESHOLD = 1.0
SHARPNESS = 10.0


@jax.custom_jvp
def spike(excess: Float[Array, "n"]) -> Float[Array, "n"]:
    """One where the potential is above the threshold, else zero.

    Its derivative is replaced by that of a fast sigmoid, 1 / (1 + SHARPNESS |excess|)², with which
    spiking networks learn (Zenke & Ganguli 2018).
    """
    return (excess > 0.0).astype(excess.dtype)


@spike.defjvp
def _spike_jvp(primals, tangents):
    (excess,), (tangent,) = primals, tangents
    surrogate = 1.0 / (1.0 + SHARPNESS * jnp.abs(excess)) ** 2
    return spike(excess), surrogate * tangent


def spiking_lif(
    current: Float[Array, "4"],
    potential1: Float[Array, "6"],
    potential2: Float[Array, "3"],
    w1: Float[Array, "6 4"],
    w2: Float[Array, "3 6"],
    recurrent: Float[Array, "6 6"],
    leak: Scalar,
) -> tuple[Float[Array, "6"], Float[Array, "3"], Float[Array, "3"]]:
    """One step of two layers, of which the first is recurrent.

    A potential leaks, integrates what arrives, and is lowered by the threshold after a spike.

    Args:
        current: what the first layer receives from outside.
        potential1, potential2: membrane potentials of the layers.
        w1, w2, recurrent: synaptic weights into the layers, and within the first.
        leak: the part of a potential that is left after one step.

    Returns:
        The new potentials of both layers, and the spikes of the second.
    """
    spikes1 = spike(potential1 - THRESHOLD)
    spikes2 = spike(potential2 - THRESHOLD)
    new1 = leak * potential1 + w1 @ current + recurrent @ spikes1 - THRESHOLD * spikes1
    new2 = leak * potential2 + w2 @ spike(new1 - THRESHOLD) - THRESHOLD * spikes2
    return new1, new2, spike(new2 - THRESHOLD)


TASKS = (
    Declaration(
        name="SpikingLIF",
        fun=spiking_lif,
        inputs=(
            Uniform(0.0, 1.0, (4,)),
            Uniform(0.0, 1.5, (6,)),
            Uniform(0.0, 1.5, (3,)),
            Uniform(-1.0, 1.0, (6, 4)),
            Uniform(-1.0, 1.0, (3, 6)),
            Uniform(-1.0, 1.0, (6, 6)),
            Uniform(0.8, 0.95),
        ),
        domain="computational neuroscience",
        source="E. O. Neftci, H. Mostafa and F. Zenke, IEEE Signal Process. Mag. 36 (2019) 51-63",
    ),
)
