"""Complex arguments and results."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from ._case import Collection
from .reasons import COMPLEX, PARTS

complex_numbers = Collection("complex numbers", seed=7)
normal = complex_numbers.normal


def complex_normal(*shape: int) -> np.ndarray:
    return normal(*shape) + 1j * normal(*shape)


_ADMITTANCE = np.where(abs(np.arange(6)[:, None] - np.arange(6)) <= 1, complex_normal(6, 6), 0)


@complex_numbers.case(complex_normal(8), holomorphic=True, reason=COMPLEX)
def holomorphic_elementwise(z):
    """A holomorphic function of every entry."""
    return jnp.sin(z) * z


@complex_numbers.case(complex_normal(8), holomorphic=True, reason=COMPLEX)
def holomorphic_stencil(z):
    """Products of complex neighbours."""
    return z * jnp.roll(z, 1) + jnp.exp(1j * z)


@complex_numbers.case(normal(8), reason=COMPLEX)
def phases(x):
    """Complex numbers from real angles, entry by entry."""
    return jnp.exp(1j * x) * x


@complex_numbers.case(complex_normal(8), reason=COMPLEX)
def intensities(z):
    """Squared magnitudes of complex numbers."""
    return jnp.abs(z) ** 2


@complex_numbers.case(normal(8))
def amplitudes(x):
    """Real numbers by way of complex ones, with neighbours."""
    z = jnp.exp(1j * x)
    return jnp.real(z * jnp.conj(jnp.roll(z, 1)))


@complex_numbers.case(normal(6), normal(6), argnums=(0, 1), reason=PARTS)
def injected_powers(angle, voltage):
    """Complex powers into six nodes of a line, as real and imaginary parts."""
    u = voltage * jnp.exp(1j * angle)
    power = u * jnp.conj(_ADMITTANCE @ u)
    return jnp.concatenate([power.real, power.imag])


@complex_numbers.case(complex_normal(6), holomorphic=True, reason=COMPLEX)
def complex_currents(u):
    """Currents into six nodes of a line by complex voltages."""
    return _ADMITTANCE @ u


@complex_numbers.case(normal(4), normal(4), argnums=(0, 1))
def impedances(resistance, reactance):
    """Magnitudes and phases of impedances, entry by entry."""
    z = 1 / (resistance + 1j * reactance)
    return jnp.abs(z), jnp.angle(z)
