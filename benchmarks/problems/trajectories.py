"""Optimal control: shooting, collocation, Lagrangians, chains of pendulums."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ._problem import Collection, Function, normal, uniform

trajectories = Collection()


def cart_pole(state: jax.Array, force: jax.Array) -> jax.Array:
    """The rates of the position of a cart, the angle of its pole, and their speeds."""
    _, angle, speed, turning = state
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    mass = 1 + 0.1 * sine**2
    push = (force + 0.1 * sine * (0.5 * turning**2 + 9.81 * cosine)) / mass
    turn = -(force * cosine + 0.05 * turning**2 * cosine * sine + 1.1 * 9.81 * sine) / (0.5 * mass)
    return jnp.stack([speed, turning, push, turn])


def runge_kutta(state: jax.Array, force: jax.Array) -> jax.Array:
    first = cart_pole(state, force)
    second = cart_pole(state + 0.025 * first, force)
    third = cart_pole(state + 0.025 * second, force)
    fourth = cart_pole(state + 0.05 * third, force)
    return state + 0.05 / 6 * (first + 2 * second + 2 * third + fourth)


def defects(intervals: int) -> Function:
    """Of multiple shooting, by one vector of states and forces; one state more than forces."""

    def fun(z):
        states, forces = z[: 4 * (intervals + 1)].reshape(-1, 4), z[4 * (intervals + 1) :]
        return (jax.vmap(runge_kutta)(states[:-1], forces) - states[1:]).reshape(-1)

    return fun


@trajectories.problem(1000, 4)
def multiple_shooting(intervals):
    """The defects."""
    return defects(intervals), uniform(5 * intervals + 4)


@trajectories.problem(1000, 4, kind="hessian")
def shooting_lagrangian(intervals):
    """Squared states and forces, plus multipliers times defects."""
    multipliers, residual = normal(4 * intervals), defects(intervals)

    def lagrangian(z):
        return 0.5 * jnp.sum(z**2) + multipliers @ residual(z)

    return lagrangian, uniform(5 * intervals + 4)


@trajectories.problem(2000, 4)
def collocation(intervals):
    """The defects of the trapezoidal rule."""

    def residual(z):
        states, forces = z[: 4 * (intervals + 1)].reshape(-1, 4), z[4 * (intervals + 1) :]
        rates = jax.vmap(cart_pole)(states, forces)
        return (states[1:] - states[:-1] - 0.025 * (rates[1:] + rates[:-1])).reshape(-1)

    return residual, uniform(5 * (intervals + 1))


@trajectories.problem(8000, 6)
def chain_of_pendulums(links):
    """The rates of pendulums on springs between neighbours, of angles and speeds in one vector."""

    def rate(state):
        angle, speed = state[:links], state[links:]
        stretched = jnp.sin(jnp.diff(angle))
        pulled = jnp.concatenate([stretched, np.zeros(1)]) - jnp.concatenate([np.zeros(1), stretched])
        return jnp.concatenate([speed, pulled - 9.81 * jnp.sin(angle) - 0.1 * speed * jnp.abs(speed)])

    return rate, normal(2 * links)
