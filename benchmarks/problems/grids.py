"""Differential equations on grids, and images."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._problem import Collection, normal, uniform

grids = Collection()


@grids.problem(16_384, 16)
def burgers(points):
    """The right-hand side on a ring."""

    def rate(u):
        left, right = jnp.roll(u, 1), jnp.roll(u, -1)
        return 0.1 * (right - 2 * u + left) - 0.5 * u * (right - left)

    return rate, uniform(points)


@grids.problem(192, 5)
def bratu(side):
    """The residual on a square with zeros around, of a flat vector, as solvers want it."""

    def residual(v):
        u = v.reshape(side, side)
        wide = jnp.pad(u, 1)
        around = wide[2:, 1:-1] + wide[:-2, 1:-1] + wide[1:-1, 2:] + wide[1:-1, :-2]
        return (4 * u - around - 5 / (side + 1) ** 2 * jnp.exp(u)).reshape(-1)

    return residual, uniform(side * side)


@grids.problem(32, 4)
def heat_in_space(side):
    """A conductivity that grows with temperature, in a cube with reflecting walls."""

    def rate(u):
        total = jnp.zeros_like(u)
        for axis in range(3):
            wide = jnp.pad(u, [(1, 1) if at == axis else (0, 0) for at in range(3)], mode="edge")
            low = lax.slice_in_dim(wide, 0, side + 1, axis=axis)
            high = lax.slice_in_dim(wide, 1, side + 2, axis=axis)
            flux = (1 + 0.25 * (low + high) ** 2) * (high - low)
            total += jnp.diff(flux, axis=axis)
        return total

    return rate, uniform(side, side, side)


@grids.problem(96, 4)
def brusselator(side):
    """Two species on a periodic plane that react and diffuse."""

    def rate(state):
        u, v = state

        def laplacian(w):
            return sum(jnp.roll(w, by, axis) for by in (1, -1) for axis in (0, 1)) - 4 * w

        return jnp.stack([1 + u**2 * v - 4 * u + laplacian(u), 3 * u - u**2 * v + 0.5 * laplacian(v)])

    return rate, uniform(2, side, side)


@grids.problem(16_384, 16)
def filtered_signal(length):
    """What a filter of nine taps, an amplifier that saturates, and another filter leave of a signal."""
    first, second = np.hanning(11)[1:-1], np.array([-1.0, 0.0, 1.0])

    def received(x):
        return jnp.convolve(jnp.tanh(jnp.convolve(x, first, "same")), second, "same")

    return received, normal(length)


@grids.problem(128, 8)
def pooled_image(side):
    """Means of squares of patches of an image."""

    def pooled(image):
        means = lax.reduce_window(image**2, 0.0, lax.add, (4, 4), (2, 2), "VALID") / 16
        return jnp.sqrt(means)

    return pooled, uniform(side, side)


@grids.problem(96, 5, kind="hessian")
def minimal_surface(side):
    """The area of a surface over a square."""

    def area(u):
        down, across = u[1:, :-1] - u[:-1, :-1], u[:-1, 1:] - u[:-1, :-1]
        return jnp.sum(jnp.sqrt(1 + down**2 + across**2))

    return area, normal(side, side)


@grids.problem(4096, 8)
def steps_of_a_wave(points):
    """Four steps of a wave in time, of the pair of position and speed, by a scan."""

    def after(state):
        def step(carry, _):
            u, v = carry
            v = v + 0.1 * (jnp.roll(u, 1) - 2 * u + jnp.roll(u, -1) - jnp.sin(u))
            return (u + 0.1 * v, v), None

        (u, v), _ = lax.scan(step, (state[0], state[1]), length=4)
        return jnp.stack([u, v])

    return after, normal(2, points)


@grids.problem(32, 6)
def convolutional_network(side):
    """An image of two channels through three layers of 3 x 3 filters: a number for every pixel."""
    widths = (2, 4, 4, 1)
    filters = [jnp.asarray(0.3 * normal(o, i, 3, 3, seed=o + i)) for i, o in itertools.pairwise(widths)]

    def network(image):
        x = image[None]
        for kernel in filters[:-1]:
            x = jax.nn.silu(lax.conv(x, kernel, (1, 1), "SAME"))
        return lax.conv(x, filters[-1], (1, 1), "SAME")[0, 0]

    return network, normal(2, side, side)
