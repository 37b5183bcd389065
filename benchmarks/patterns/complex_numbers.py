"""Complex arguments and results."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import lax

from ._case import Collection

complex_numbers = Collection("complex numbers", seed=7)
normal = complex_numbers.normal


def complex_normal(*shape: int) -> np.ndarray:
    return normal(*shape) + 1j * normal(*shape)


_ADMITTANCE = np.where(abs(np.arange(6)[:, None] - np.arange(6)) <= 1, complex_normal(6, 6), 0)


@complex_numbers.case(complex_normal(8), holomorphic=True)
def holomorphic_elementwise(z):
    """A holomorphic function of every entry."""
    return jnp.sin(z) * z


@complex_numbers.case(complex_normal(8), holomorphic=True)
def holomorphic_stencil(z):
    """Products of complex neighbours."""
    return z * jnp.roll(z, 1) + jnp.exp(1j * z)


@complex_numbers.case(normal(8))
def phases(x):
    """Complex numbers from real angles, entry by entry."""
    return jnp.exp(1j * x) * x


@complex_numbers.case(complex_normal(8))
def intensities(z):
    """Squared magnitudes of complex numbers."""
    return jnp.abs(z) ** 2


@complex_numbers.case(normal(8))
def amplitudes(x):
    """Real numbers by way of complex ones, with neighbours."""
    z = jnp.exp(1j * x)
    return jnp.real(z * jnp.conj(jnp.roll(z, 1)))


@complex_numbers.case(normal(6), normal(6), argnums=(0, 1))
def injected_powers(angle, voltage):
    """Complex powers into six nodes of a line, as real and imaginary parts."""
    u = voltage * jnp.exp(1j * angle)
    power = u * jnp.conj(_ADMITTANCE @ u)
    return jnp.concatenate([power.real, power.imag])


@complex_numbers.case(complex_normal(6), holomorphic=True)
def complex_currents(u):
    """Currents into six nodes of a line by complex voltages."""
    return _ADMITTANCE @ u


@complex_numbers.case(normal(4), normal(4), argnums=(0, 1))
def impedances(resistance, reactance):
    """Magnitudes and phases of impedances, entry by entry."""
    z = 1 / (resistance + 1j * reactance)
    return jnp.abs(z), jnp.angle(z)


@complex_numbers.case(complex_normal(8), holomorphic=True)
def schroedinger_step(psi):
    """A step of a wave function in a potential, by its second differences."""
    return psi - 0.1j * (
        np.linspace(-1, 1, 8) ** 2 * psi - 0.5 * jnp.convolve(psi, np.array([1, -2, 1]), "same")
    )


@complex_numbers.case(complex_normal(5), complex_normal(5, 5), holomorphic=True, argnums=(0, 1))
def masked_complex_weights(z, w):
    """The product with a lower triangle of complex weights."""
    return (w * np.tri(5)) @ z


@complex_numbers.case(complex_normal(4), holomorphic=True)
def iterated_squares(z):
    """Eight steps of an iteration in the complex plane, point by point."""
    return lax.scan(lambda c, _: (c * c / 3 + z, None), z, None, length=8)[0]


@complex_numbers.case(normal(7))
def analytic_signal(x):
    """A complex signal whose imaginary part is the difference of neighbours."""
    return lax.complex(x[1:], jnp.diff(x))


@complex_numbers.case(complex_normal(6), complex_normal(6), argnums=(0, 1))
def coherences(a, b):
    """Magnitudes of products of one wave with the next entry of another."""
    return jnp.abs(a * jnp.conj(jnp.roll(b, 1))) ** 2


@complex_numbers.case(complex_normal(3, 2, 2), holomorphic=True)
def inverses_of_impedances(z):
    """Inverses of three complex matrices: dense in each."""
    return jnp.linalg.inv(z)
