"""Networks, meshes and cameras: functions of what constant lists of indices name."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ._problem import Collection, normal, uniform

meshes = Collection()


def random_edges(nodes: int, edges: int) -> np.ndarray:
    """Both ends of random edges, of which no two join the same nodes: an array of shape (2, edges)."""
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, nodes, (2 * edges, 2))
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], 1), axis=0)
    return rng.permutation(pairs)[:edges].T


def triangles(side: int) -> tuple[np.ndarray, np.ndarray]:
    """The nodes of a square grid, (side², 2), and the corners of its triangles, (2 (side - 1)², 3)."""
    nodes = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), -1).reshape(-1, 2)
    corner = (side * np.arange(side - 1)[:, None] + np.arange(side - 1)).reshape(-1)
    lower = np.stack([corner, corner + side, corner + 1], 1)
    upper = np.stack([corner + side + 1, corner + 1, corner + side], 1)
    return nodes.astype(float), np.concatenate([lower, upper])


@meshes.problem(4000, 8)
def power_flow(buses):
    """Active and reactive powers into the buses of a network, by angles and voltages."""
    start, end = random_edges(buses, 2 * buses)
    conductance, susceptance = uniform(2, len(start), seed=1)

    def powers(state):
        angle, voltage = state
        across = angle[start] - angle[end]
        both = voltage[start] * voltage[end]
        sine, cosine = both * jnp.sin(across), both * jnp.cos(across)
        forth, back = conductance * cosine + susceptance * sine, conductance * cosine - susceptance * sine
        active = jnp.zeros(buses).at[start].add(forth).at[end].add(back)
        forth, back = conductance * sine - susceptance * cosine, -conductance * sine - susceptance * cosine
        reactive = jnp.zeros(buses).at[start].add(forth).at[end].add(back)
        return jnp.stack([active, reactive])

    return powers, uniform(2, buses)


def project(camera: jax.Array, point: jax.Array) -> jax.Array:
    """Where a camera, of a rotation vector, a shift, a focal length and two distortions, sees a point."""
    turn, shift = camera[:3], camera[3:6]
    angle = jnp.sqrt(turn @ turn)
    axis = turn / angle
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    turned = cosine * point + sine * jnp.cross(axis, point) + (1 - cosine) * (axis @ point) * axis
    seen = turned + shift
    at = -seen[:2] / seen[2]
    squared = at @ at
    return camera[6] * (1 + camera[7] * squared + camera[8] * squared**2) * at


@meshes.problem(4000, 8)
def bundle_adjustment(observations):
    """Where points are seen by cameras, of one vector of both."""
    cameras, points = max(2, observations // 100), max(3, observations // 4)
    camera = np.arange(observations) * cameras // observations
    point = np.random.default_rng(0).integers(0, points, observations)

    def seen(z):
        poses, places = z[: 9 * cameras].reshape(-1, 9), z[9 * cameras :].reshape(-1, 3)
        return jax.vmap(project)(poses[camera], places[point])

    return seen, uniform(9 * cameras + 3 * points)


@meshes.problem(48, 4, kind="hessian")
def elastic_mesh(side):
    """The energy of a Neo-Hookean solid of triangles, by the places of its nodes."""
    nodes, corners = triangles(side)
    edges = nodes[corners[:, 1:]] - nodes[corners[:, :1]]
    rest = np.linalg.inv(edges.swapaxes(1, 2))

    def density(places, rest):
        f = jnp.stack([places[1] - places[0], places[2] - places[0]], 1) @ rest
        j = f[0, 0] * f[1, 1] - f[0, 1] * f[1, 0]
        return 0.5 * jnp.sum(f**2) - jnp.log(j) + 2 * jnp.log(j) ** 2

    def energy(x):
        return 0.5 * jnp.sum(jax.vmap(density)(x[corners], rest))

    return energy, nodes + 0.05 * normal(*nodes.shape)


@meshes.problem(3000, 8, kind="hessian")
def network_of_springs(nodes):
    """The energy of springs between random points in space."""
    start, end = random_edges(nodes, 2 * nodes)

    def energy(x):
        apart = x[start] - x[end]
        return 0.5 * jnp.sum((jnp.sqrt(jnp.sum(apart**2, 1)) - 1.0) ** 2)

    return energy, normal(nodes, 3)
