"""Functions of small vectors from fields in which Jacobians are evaluated for many points or in tight loops.

Each takes a vector and returns a vector, and has a sampler of vectors at which it is smooth.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from alphagrad import tasks

Function = Callable[[jax.Array], jax.Array]


@dataclass(frozen=True)
class Case:
    """A function from a vector to a vector, and points at which to evaluate it."""

    fun: Function
    middle: np.ndarray
    spread: float = 0.1

    def sample(self, batch: int, dtype: Any = np.float32, seed: int = 0) -> jax.Array:
        """Points, one a row: the middle of the domain, each entry changed by up to the spread."""
        noise = np.random.default_rng(seed).uniform(-1, 1, (batch, len(self.middle)))
        return jnp.asarray(self.middle * (1 + self.spread * noise) + 0.01 * noise, dtype)


# ---- gas dynamics


def euler_flux(x: jax.Array) -> jax.Array:
    """The Rusanov flux of the Euler equations in space, between two states of five conserved variables."""
    gamma = 1.4

    def flux(u: jax.Array) -> tuple[jax.Array, jax.Array]:
        velocity = u[1:4] / u[0]
        pressure = (gamma - 1) * (u[4] - 0.5 * u[0] * jnp.dot(velocity, velocity))
        speed = jnp.abs(velocity[0]) + jnp.sqrt(gamma * pressure / u[0])
        along = jnp.array([0.0, 1.0, 0.0, 0.0, 0.0]) * pressure
        return u * velocity[0] + along.at[4].add(pressure * velocity[0]), speed

    left, right = x[:5], x[5:]
    (left_flux, left_speed), (right_flux, right_speed) = flux(left), flux(right)
    fastest = jnp.maximum(left_speed, right_speed)
    return 0.5 * (left_flux + right_flux) - 0.5 * fastest * (right - left)


# ---- chemistry

_rng = np.random.default_rng(20)
_REACTANTS = np.array([_rng.choice(20, 2, replace=False) for _ in range(30)])
_PRODUCTS = np.array([_rng.choice(20, 2, replace=False) for _ in range(30)])
_CHANGES = np.zeros((20, 30))
for _k in range(30):
    np.add.at(_CHANGES[:, _k], _REACTANTS[_k], -1.0)
    np.add.at(_CHANGES[:, _k], _PRODUCTS[_k], 1.0)
_CONSTANTS = _rng.uniform(0.5, 2.0, 30)


def mass_action(x: jax.Array) -> jax.Array:
    """Rates of change of twenty species in thirty reactions by the law of mass action."""
    rates = jnp.asarray(_CONSTANTS, x.dtype) * x[_REACTANTS[:, 0]] * x[_REACTANTS[:, 1]]
    change = jnp.zeros_like(x)
    for sign, places in ((-1, _REACTANTS), (1, _PRODUCTS)):
        for column in (0, 1):
            change = change.at[places[:, column]].add(sign * rates)
    return change


def peng_robinson(x: jax.Array) -> jax.Array:
    """Logarithms of the fugacity coefficients of four components by the equation of Peng and Robinson.

    Of the temperature, the compressibility and four mole numbers.
    """
    critical_t = jnp.array([190.6, 305.3, 369.8, 425.1], x.dtype)
    critical_p = jnp.array([4.6, 4.87, 4.25, 3.8], x.dtype)
    omega = jnp.array([0.011, 0.099, 0.152, 0.2], x.dtype)
    t, z, n = 300 * x[0], x[1], x[2:]
    share = n / jnp.sum(n)
    kappa = 0.37464 + 1.54226 * omega - 0.26992 * omega**2
    attraction = 0.45724 * critical_t**2 / critical_p * (1 + kappa * (1 - jnp.sqrt(t / critical_t))) ** 2
    a = attraction / t**2
    b = 0.0778 * critical_t / critical_p / t
    pair = jnp.sqrt(a[:, None] * a[None])
    mixed_a, mixed_b = share @ pair @ share, share @ b
    log = jnp.log((z + 2.414 * mixed_b) / (z - 0.414 * mixed_b))
    first = b / mixed_b * (z - 1) - jnp.log(z - mixed_b)
    return first - mixed_a / (2.828 * mixed_b) * (2 * pair @ share / mixed_a - b / mixed_b) * log


# ---- robots and vehicles


def quadrotor_step(x: jax.Array) -> jax.Array:
    """A step of a quadrotor by the classical Runge-Kutta method: thirteen states and four thrusts."""
    state, thrust = x[:13], x[13:]
    inertia = jnp.array([0.01, 0.012, 0.02], x.dtype)

    def rate(s: jax.Array) -> jax.Array:
        v, q, w = s[3:6], s[6:10], s[10:13]
        qw, qx, qy, qz = q
        total = jnp.sum(thrust)
        up = jnp.stack([2 * (qx * qz + qw * qy), 2 * (qy * qz - qw * qx), 1 - 2 * (qx**2 + qy**2)])
        acceleration = up * total / 0.8 - jnp.array([0.0, 0.0, 9.81], x.dtype) - 0.1 * v
        spin = 0.5 * jnp.stack(
            [
                -qx * w[0] - qy * w[1] - qz * w[2],
                qw * w[0] + qy * w[2] - qz * w[1],
                qw * w[1] - qx * w[2] + qz * w[0],
                qw * w[2] + qx * w[1] - qy * w[0],
            ]
        )
        f0, f1, f2, f3 = thrust
        torque = jnp.stack([0.17 * (f1 - f3), 0.17 * (f2 - f0), 0.016 * (f0 - f1 + f2 - f3)])
        turn = (torque - jnp.cross(w, inertia * w)) / inertia
        return jnp.concatenate([v, acceleration, spin, turn])

    h = 0.02
    k1 = rate(state)
    k2 = rate(state + h / 2 * k1)
    k3 = rate(state + h / 2 * k2)
    k4 = rate(state + h * k3)
    return state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


def arm(x: jax.Array) -> jax.Array:
    """Position and orientation of the hand of an arm of seven joints, by products of transforms."""
    lengths = (0.34, 0.0, 0.4, 0.0, 0.4, 0.0, 0.126)
    twists = (-np.pi / 2, np.pi / 2, np.pi / 2, -np.pi / 2, -np.pi / 2, np.pi / 2, 0.0)
    pose = jnp.eye(4, dtype=x.dtype)
    for k, (d, alpha) in enumerate(zip(lengths, twists, strict=True)):
        c, s, ca, sa = jnp.cos(x[k]), jnp.sin(x[k]), float(np.cos(alpha)), float(np.sin(alpha))
        link = jnp.array(
            [[c, -s * ca, s * sa, 0.0], [s, c * ca, -c * sa, 0.0], [0.0, sa, ca, d], [0.0, 0.0, 0.0, 1.0]]
        )
        pose = pose @ link
    return jnp.concatenate([pose[:3, 3], pose[:3, :3].reshape(-1)])


def vehicle_step(x: jax.Array) -> jax.Array:
    """A semi-implicit step of a single-track vehicle on tyres after Pacejka: six states, two commands."""
    px, py, yaw, vx, vy, turn, steer, force = x

    def tyre(slip: jax.Array) -> jax.Array:
        return 5200.0 * jnp.sin(1.4 * jnp.arctan(9.0 * slip - 0.97 * (9.0 * slip - jnp.arctan(9.0 * slip))))

    front = tyre(steer - jnp.arctan2(vy + 1.2 * turn, vx))
    rear = tyre(-jnp.arctan2(vy - 1.5 * turn, vx))
    h = 0.01
    new_vx = vx + h * (1000 * force / 1500 - front * jnp.sin(steer) / 1500 + vy * turn)
    new_vy = vy + h * ((front * jnp.cos(steer) + rear) / 1500 - vx * turn)
    new_turn = turn + h * (1.2 * front * jnp.cos(steer) - 1.5 * rear) / 2500
    new_yaw = yaw + h * new_turn
    c, s = jnp.cos(new_yaw), jnp.sin(new_yaw)
    return jnp.stack(
        [
            px + h * (c * new_vx - s * new_vy),
            py + h * (s * new_vx + c * new_vy),
            new_yaw,
            new_vx,
            new_vy,
            new_turn,
        ]
    )


def two_link_torques(x: jax.Array) -> jax.Array:
    """Torques of a planar arm of two links from angles, velocities and accelerations."""
    q1, q2, v1, v2, a1, a2 = x
    c2, s2 = jnp.cos(q2), jnp.sin(q2)
    m11 = 1.7 + 0.6 * c2
    m12 = 0.4 + 0.3 * c2
    gravity = jnp.stack([12.0 * jnp.cos(q1) + 4.0 * jnp.cos(q1 + q2), 4.0 * jnp.cos(q1 + q2)])
    coriolis = jnp.stack([-0.3 * s2 * (2 * v1 * v2 + v2**2), 0.3 * s2 * v1**2])
    return jnp.stack([m11 * a1 + m12 * a2, m12 * a1 + 0.4 * a2]) + coriolis + gravity


# ---- vision and geometry


def rotated(angle: jax.Array, point: jax.Array) -> jax.Array:
    """A point turned by a rotation vector, after Rodrigues; safe at no rotation at all."""
    square = jnp.dot(angle, angle)
    small = square < 1e-8
    theta = jnp.sqrt(jnp.where(small, 1.0, square))
    a = jnp.where(small, 1 - square / 6, jnp.sin(theta) / theta)
    b = jnp.where(small, 0.5 - square / 24, (1 - jnp.cos(theta)) / jnp.where(small, 1.0, square))
    across = jnp.cross(angle, point)
    return point + a * across + b * jnp.cross(angle, across)


def reprojection(x: jax.Array) -> jax.Array:
    """Where a camera of nine parameters, two of radial distortion, sees a point."""
    point = rotated(x[:3], x[9:12]) + x[3:6]
    image = -point[:2] / point[2]
    radius = jnp.dot(image, image)
    return x[6] * (1 + x[7] * radius + x[8] * radius**2) * image


def rigid_exponential(x: jax.Array) -> jax.Array:
    """The rigid motion of a twist: twelve entries of a transform."""
    turn = x[:3]
    columns = [rotated(turn, axis) for axis in jnp.eye(3, dtype=x.dtype)]
    square = jnp.dot(turn, turn)
    theta = jnp.sqrt(square)
    b = (1 - jnp.cos(theta)) / square
    c = (theta - jnp.sin(theta)) / (square * theta)
    across = jnp.cross(turn, x[3:])
    shift = x[3:] + b * across + c * jnp.cross(turn, across)
    return jnp.concatenate([*columns, shift])


def orbital_elements(x: jax.Array) -> jax.Array:
    """Semi-major axis, eccentricity, inclination, node, perihelion and anomaly from position and velocity."""
    r, v = x[:3], x[3:]
    h = jnp.cross(r, v)
    distance = jnp.sqrt(jnp.dot(r, r))
    e = jnp.cross(v, h) - r / distance
    eccentricity = jnp.sqrt(jnp.dot(e, e))
    axis = 1 / (2 / distance - jnp.dot(v, v))
    inclination = jnp.arccos(h[2] / jnp.sqrt(jnp.dot(h, h)))
    node = jnp.arctan2(h[0], -h[1])
    n = jnp.stack([jnp.cos(node), jnp.sin(node), jnp.zeros_like(node)])
    perihelion = jnp.arctan2(jnp.dot(jnp.cross(n, e), h) / jnp.sqrt(jnp.dot(h, h)), jnp.dot(n, e))
    anomaly = jnp.arctan2(jnp.dot(jnp.cross(e, r), h) / jnp.sqrt(jnp.dot(h, h)), jnp.dot(e, r))
    return jnp.stack([axis, eccentricity, inclination, node, perihelion, anomaly])


# ---- mechanics of solids


def neo_hookean(x: jax.Array) -> jax.Array:
    """The first Piola-Kirchhoff stress of a compressible neo-Hookean solid."""
    f = x.reshape(3, 3)
    cofactors = jnp.stack([jnp.cross(f[1], f[2]), jnp.cross(f[2], f[0]), jnp.cross(f[0], f[1])])
    volume = jnp.dot(f[0], cofactors[0])
    stress = 1.2 * f + (2.0 * jnp.log(volume) - 1.2) / volume * cofactors
    return stress.reshape(-1)


# ---- finance


def greeks(x: jax.Array) -> jax.Array:
    """Price, delta, gamma, vega and theta of a European call."""
    spot, strike, time, rate, sigma = x
    root = sigma * jnp.sqrt(time)
    d1 = (jnp.log(spot / strike) + (rate + 0.5 * sigma**2) * time) / root
    d2 = d1 - root

    def cumulative(z: jax.Array) -> jax.Array:
        return 0.5 * (1 + lax.erf(z / np.sqrt(2.0)))

    density = jnp.exp(-0.5 * d1**2) / np.sqrt(2 * np.pi)
    discounted = strike * jnp.exp(-rate * time)
    price = spot * cumulative(d1) - discounted * cumulative(d2)
    theta = -spot * density * sigma / (2 * jnp.sqrt(time)) - rate * discounted * cumulative(d2)
    return jnp.stack([price, cumulative(d1), density / (spot * root), spot * density * jnp.sqrt(time), theta])


def smile(x: jax.Array) -> jax.Array:
    """Implied volatilities of the SABR model at sixteen strikes, after Hagan, of its five parameters."""
    alpha, beta, rho, nu, forward = x
    strikes = jnp.asarray(np.linspace(1.1, 1.85, 16), x.dtype)
    power = (forward * strikes) ** ((1 - beta) / 2)
    log = jnp.log(forward / strikes)
    z = nu / alpha * power * log
    chi = jnp.log((jnp.sqrt(1 - 2 * rho * z + z**2) + z - rho) / (1 - rho))
    series = 1 + (1 - beta) ** 2 / 24 * log**2 + (1 - beta) ** 4 / 1920 * log**4
    drift = (1 - beta) ** 2 / 24 * alpha**2 / power**2 + rho * beta * nu * alpha / (4 * power)
    return alpha / (power * series) * (z / chi) * (1 + drift + (2 - 3 * rho**2) / 24 * nu**2)


# ---- many steps


def lorenz_steps(x: jax.Array) -> jax.Array:
    """Six states after a thousand steps of the classical Runge-Kutta method, by eight parameters.

    Two coupled systems after Lorenz, the second driven by the first.
    """

    def rate(s: jax.Array) -> jax.Array:
        a, b, c, u, v, w = s
        return jnp.stack(
            [
                x[0] * (b - a),
                a * (x[1] - c) - b,
                a * b - x[2] * c,
                x[3] * (v - u) + x[4] * jnp.sin(a),
                u * (x[5] - w) - v,
                u * v - x[6] * w - x[7] * w,
            ]
        )

    def step(s: jax.Array, _: None) -> tuple[jax.Array, None]:
        h = 0.002
        k1 = rate(s)
        k2 = rate(s + h / 2 * k1)
        k3 = rate(s + h / 2 * k2)
        k4 = rate(s + h * k3)
        return s + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), None

    start = jnp.asarray([1.0, 1.0, 1.0, 0.5, 0.4, 0.3], x.dtype)
    return lax.scan(step, start, None, length=1000)[0]


# ---- a wide result that is mostly zeros


def pipe_network(x: jax.Array) -> jax.Array:
    """Balances of twenty nodes of a network of 23 pipes, of their flows: sixty nonzeros at most."""
    flow = x * jnp.sqrt(1e-4 + x * x)
    return jnp.stack([flow[k % 23] - flow[(k + 1) % 23] + 0.1 * flow[(3 * k + 7) % 23] for k in range(20)])


def task(name: str) -> Case:
    """A task of scalars as a function of a vector."""
    found = tasks.load(name)
    count = len(found.args)

    def fun(x: jax.Array) -> jax.Array:
        leaves = jax.tree.leaves(found.fun(*(x[k] for k in range(count))))
        return jnp.stack([jnp.asarray(leaf) for leaf in leaves])

    return Case(fun, np.array([float(arg) for arg in found.args]), 0.05)


SUITE: dict[str, Case] = {
    **{name: task(name) for name in ("RoeFlux_1d", "RobotArm_6DOF", "HumanHeartDipole", "PropaneCombustion")},
    "EulerFlux": Case(euler_flux, np.array([1.0, 0.5, 0.2, -0.1, 2.5, 0.9, 0.4, 0.1, 0.2, 2.2])),
    "MassAction": Case(mass_action, np.linspace(0.5, 2, 20)),
    "PengRobinson": Case(peng_robinson, np.array([1.0, 0.9, 0.4, 0.3, 0.2, 0.1])),
    "QuadrotorStep": Case(
        quadrotor_step, np.array([0, 0, 1, 0.5, 0.1, 0.2, 0.9, 0.1, 0.2, 0.3, 0.1, 0.2, 0.1, 2, 2, 2, 2.0])
    ),
    "Arm": Case(arm, np.linspace(0.2, 1.4, 7)),
    "VehicleStep": Case(vehicle_step, np.array([1, 2, 0.3, 20, 0.5, 0.2, 0.05, 1.0])),
    "TwoLinkTorques": Case(two_link_torques, np.array([0.3, 0.7, 1.0, -0.5, 0.4, 0.8])),
    "Reprojection": Case(
        reprojection, np.array([0.1, 0.2, -0.1, 0.3, -0.2, -5.0, 500.0, -0.1, 0.01, 1.0, 0.5, -3.0])
    ),
    "RigidExponential": Case(rigid_exponential, np.array([0.5, 0.4, -0.3, 1.0, 2.0, -1.0])),
    "OrbitalElements": Case(orbital_elements, np.array([1.0, 0.2, 0.3, -0.2, 0.9, 0.3])),
    "NeoHookean": Case(neo_hookean, np.array([1.1, 0.1, 0.05, 0.02, 0.9, 0.1, -0.05, 0.1, 1.2])),
    "Greeks": Case(greeks, np.array([1.0, 1.05, 0.8, 0.03, 0.25])),
    "Smile": Case(smile, np.array([0.3, 0.6, -0.3, 0.5, 1.0]), 0.02),
    "PipeNetwork": Case(pipe_network, np.linspace(0.5, 2.0, 23)),
}

#: Functions with loops of many steps.
LOOPS: dict[str, Case] = {
    "LorenzSteps": Case(lorenz_steps, np.array([10.0, 28.0, 2.7, 10.0, 0.5, 20.0, 2.0, 0.5]), 0.02),
}
