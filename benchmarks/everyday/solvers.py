"""Differential equations, implicit steps, linear systems and transforms."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import linalg

from ._case import Collection

solvers = Collection()
_rng = np.random.default_rng(4)


@solvers.case(np.array([0.9, 0.05, 0.05]), np.array([0.04, 30.0, 10.0]), argnums=(0, 1), batch=(None, 4096))
def backward_euler(state, rates):
    """Chemical kinetics: an implicit step of three reacting species, three Newton iterations."""

    def residual(y):
        a, b, c = y
        first, second, third = rates[0] * a, rates[1] * b**2, rates[2] * b * c
        return y - state - 0.1 * jnp.stack([third - first, first - second - third, second])

    y = state
    for _ in range(3):
        y = y - jnp.linalg.solve(jax.jacfwd(residual)(y), residual(y))
    return y


@solvers.case(np.array([0.5, 0.2]), batch=(None, 4096))
def implicit_midpoint(state):
    """Mechanics: a step of a pendulum by the implicit midpoint rule, eight fixed-point iterations."""

    def rate(s):
        return jnp.stack([s[1], -jnp.sin(s[0])])

    return lax.fori_loop(0, 8, lambda _, new: state + 0.1 * rate((state + new) / 2), state)


@solvers.case(np.array([0.0, 0.1, 0.0, 0.0]), 0.1 * _rng.normal(size=100), argnums=1)
def cart_pole(state, forces):
    """Optimal control: the final state of a cart with a pole by a hundred forces, Runge-Kutta steps."""

    def rate(s, force):
        _, angle, speed, turn = s
        sine, cosine = jnp.sin(angle), jnp.cos(angle)
        push = (force + 0.05 * turn**2 * sine) / 1.1
        turning = (9.81 * sine - cosine * push) / (0.5 * (4 / 3 - 0.1 * cosine**2 / 1.1))
        return jnp.stack([speed, turn, push - 0.05 * turning * cosine / 1.1, turning])

    def step(s, force):
        h = 0.02
        k1 = rate(s, force)
        k2 = rate(s + h / 2 * k1, force)
        k3 = rate(s + h / 2 * k2, force)
        k4 = rate(s + h * k3, force)
        return s + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    return lax.scan(step, state, forces)[0]


@solvers.case(_rng.normal(size=(3, 3)), _rng.normal(size=(3, 3)), argnums=(0, 1))
def three_bodies(position, velocity):
    """Astronomy: ten leapfrog steps of three bodies by positions and velocities."""
    masses = jnp.array([1.0, 0.5, 0.3])

    def pull(q):
        apart = q[None] - q[:, None]
        square = jnp.sum(apart**2, axis=-1) + 0.1
        return jnp.einsum("ijk,ij,j->ik", apart, square**-1.5, masses)

    def step(_, s):
        q, v = s
        v = v + 0.005 * pull(q)
        q = q + 0.01 * v
        return q, v + 0.005 * pull(q)

    return lax.fori_loop(0, 10, step, (position, velocity))


@solvers.case(np.sin(np.linspace(0, 3, 64)), np.array(0.5), argnums=(0, 1))
def crank_nicolson(u, diffusivity):
    """Heat conduction: ten implicit steps on 64 points by the initial field and the diffusivity."""
    r = diffusivity * 0.1

    def step(_, u):
        right = u + r / 2 * (jnp.roll(u, 1) - 2 * u + jnp.roll(u, -1)).at[0].set(0.0).at[-1].set(0.0)
        side = jnp.full(64, -r / 2)
        return lax.linalg.tridiagonal_solve(
            side.at[0].set(0.0), jnp.full(64, 1 + r), side.at[-1].set(0.0), right[:, None]
        )[:, 0]

    return lax.fori_loop(0, 10, step, u)


@solvers.case(np.linspace(1, 2, 21))
def conductivities(k):
    """Inverse problems: potentials of a resistor chain of twenty nodes by its conductivities."""
    matrix = jnp.diag(k[:-1] + k[1:]) - jnp.diag(k[1:-1], 1) - jnp.diag(k[1:-1], -1)
    return jnp.linalg.solve(matrix, jnp.ones(20))


@solvers.case(np.array(0.1), _rng.normal(size=(30, 8)), _rng.normal(size=30), argnums=(0, 2))
def ridge_regression(penalty, x, y):
    """Statistics: coefficients by the penalty and by the observations."""
    return jnp.linalg.solve(x.T @ x + penalty * jnp.eye(8), x.T @ y)


@solvers.case(
    np.array([0.1, -0.5, -1.0]), _rng.normal(size=(30, 2)), _rng.normal(size=30), _rng.normal(size=(10, 2))
)
def kriging(p, x, y, at):
    """Geostatistics: predictions at ten places by three hyperparameters."""

    def kernel(a, b):
        square = jnp.sum((a[:, None] - b[None]) ** 2, axis=-1)
        return jnp.exp(p[1]) * jnp.exp(-0.5 * square * jnp.exp(-2 * p[0]))

    factor = linalg.cho_factor(kernel(x, x) + (jnp.exp(p[2]) + 1e-2) * jnp.eye(30))
    return kernel(at, x) @ linalg.cho_solve(factor, y)


@solvers.case(np.sin(np.linspace(0, 2 * np.pi, 64, endpoint=False)))
def spectral_burgers(u):
    """Turbulence: a step of Burgers' equation by Fourier transforms on 64 points."""
    wave = 1j * jnp.fft.rfftfreq(64, 1 / 64)
    spectrum = jnp.fft.rfft(u)
    slope = jnp.fft.irfft(wave * spectrum, 64)
    bend = jnp.fft.irfft(wave**2 * spectrum, 64)
    return u + 0.01 * (-u * slope + 0.05 * bend)


@solvers.case(_rng.normal(size=128))
def power_spectrum(signal):
    """Signal processing: logarithms of the power of a windowed signal."""
    spectrum = jnp.fft.rfft(signal * jnp.hanning(128))
    return jnp.log(jnp.abs(spectrum) ** 2 + 1e-3)


@solvers.case(np.array([0.3, 1.2]), np.linspace(-3, 3, 64), _rng.normal(size=64))
def blur(p, x, signal):
    """Deconvolution: a signal blurred by a kernel of two parameters, by Fourier transforms."""
    kernel = jnp.exp(-0.5 * ((x - p[0]) / p[1]) ** 2)
    return jnp.fft.irfft(jnp.fft.rfft(kernel / jnp.sum(kernel)) * jnp.fft.rfft(signal), 64)


@solvers.case(np.array(0.8), np.array(0.3), argnums=(0, 1), batch=(None, 4096))
def kepler(mean_anomaly, eccentricity):
    """Astronomy: place in an orbit by Kepler's equation, five Newton iterations."""
    e = mean_anomaly
    for _ in range(5):
        e = e - (e - eccentricity * jnp.sin(e) - mean_anomaly) / (1 - eccentricity * jnp.cos(e))
    return jnp.stack([jnp.cos(e) - eccentricity, jnp.sqrt(1 - eccentricity**2) * jnp.sin(e)])


@solvers.case(_rng.uniform(0.5, 1.5, 6), _rng.uniform(0.1, 0.4, 5), argnums=(0, 1))
def chain_frequencies(stiffness, coupling):
    """Vibrations: eigenfrequencies of a chain of six masses by its springs."""
    matrix = jnp.diag(stiffness + 1.0) - jnp.diag(coupling, 1) - jnp.diag(coupling, -1)
    return jnp.sqrt(jnp.linalg.eigvalsh(matrix))


@solvers.case(_rng.uniform(0.2, 0.8, (16, 16)), np.array([0.16, 0.08, 0.035, 0.065]), argnums=(0, 1))
def gray_scott(u, p):
    """Pattern formation: two steps of reaction and diffusion on 16 by 16 cells by field and parameters."""

    def laplacian(a):
        return jnp.roll(a, 1, 0) + jnp.roll(a, -1, 0) + jnp.roll(a, 1, 1) + jnp.roll(a, -1, 1) - 4 * a

    v = 1 - u
    for _ in range(2):
        reaction = u * v**2
        u, v = (
            u + p[0] * laplacian(u) - reaction + p[2] * (1 - u),
            v + p[1] * laplacian(v) + reaction - (p[2] + p[3]) * v,
        )
    return v
