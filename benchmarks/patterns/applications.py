"""Code as people differentiate it: flows, shooting, collocation, networks, elements, cameras, control."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._case import Collection
from .reasons import CANCELLING

applications = Collection("applications", seed=8)
normal = applications.normal


_START = np.array([0, 1, 2, 3, 0, 2, 5, 6])
_END = np.array([1, 2, 3, 4, 4, 5, 6, 7])
_SUSCEPTANCE = applications.rng.uniform(1, 2, 8)
_ELEMENTS = np.array([[0, 1, 3], [1, 4, 3], [1, 2, 4], [2, 5, 4], [3, 4, 6], [4, 7, 6], [4, 5, 7], [5, 8, 7]])
_NODES = np.stack(np.meshgrid(np.arange(3.0), np.arange(3.0), indexing="ij"), -1).reshape(9, 2)
_CAMERA, _POINT = np.array([0, 0, 1, 1, 2, 2, 0]), np.array([0, 1, 1, 2, 2, 3, 3])


@applications.case(normal(30))
def burgers(u):
    """Burgers' right-hand side on a ring."""
    left, right = jnp.roll(u, 1), jnp.roll(u, -1)
    return 0.1 * (right - 2 * u + left) - 0.5 * u * (right - left)


@applications.case(normal(30))
def burgers_between_walls(u):
    """Burgers' right-hand side between fixed ends, by slices."""
    wide = jnp.concatenate([jnp.zeros(1), u, jnp.ones(1)])
    return 0.1 * (wide[2:] - 2 * u + wide[:-2]) - 0.5 * u * (wide[2:] - wide[:-2])


@applications.case(normal(6, 6))
def bratu(u):
    """Bratu's residual on a square, by padding."""
    wide = jnp.pad(u, 1)
    around = wide[2:, 1:-1] + wide[:-2, 1:-1] + wide[1:-1, 2:] + wide[1:-1, :-2]
    return around - 4 * u + 0.1 * jnp.exp(u)


@applications.case(normal(36))
def flat_reaction_diffusion(v):
    """Reaction and diffusion on a periodic plane, flattened as solvers want it."""
    u = v.reshape(6, 6)
    around = sum(jnp.roll(u, by, axis) for by in (1, -1) for axis in (0, 1))
    return (around - 4 * u + u * (1 - u**2)).reshape(-1)


@applications.case(normal(2, 5, 5))
def brusselator(state):
    """Two species on a periodic plane that react and diffuse."""
    u, v = state

    def laplacian(w):
        return sum(jnp.roll(w, by, axis) for by in (1, -1) for axis in (0, 1)) - 4 * w

    return jnp.stack([1 + u**2 * v - 4 * u + laplacian(u), 3 * u - u**2 * v + 0.5 * laplacian(v)])


@applications.case(normal(3, 8), cancelling=24, reason=CANCELLING)
def shallow_water(state):
    """Fluxes of shallow water between cells, after Lax and Friedrichs."""
    h, q, c = 2 + 0.1 * state[0], state[1], state[2]
    u = q / h
    flux = jnp.stack([q, q * u + 0.5 * h**2, c * u])
    kept = jnp.stack([h, q, c])
    between = 0.5 * (flux[:, 1:] + flux[:, :-1]) - 0.5 * (kept[:, 1:] - kept[:, :-1])
    return between[:, 1:] - between[:, :-1]


@applications.case(normal(12))
def kuramoto_sivashinsky(u):
    """A fourth-order equation on a ring: five diagonals."""
    second = jnp.roll(u, -1) - 2 * u + jnp.roll(u, 1)
    fourth = jnp.roll(second, -1) - 2 * second + jnp.roll(second, 1)
    return -second - fourth - 0.5 * u * (jnp.roll(u, -1) - jnp.roll(u, 1))


@applications.case(normal(20))
def lorenz_96(x):
    """A model of weather on a ring."""
    return (jnp.roll(x, -1) - jnp.roll(x, 2)) * jnp.roll(x, 1) - x + 8.0


@applications.case(normal(6, 3), normal(5, 1), argnums=(0, 1))
def multiple_shooting(states, controls):
    """Defects between intervals: three steps of a cart each, by states and controls."""

    def interval(state, control):
        def step(state, _):
            _, speed, angle = state
            rate = jnp.stack([speed, control[0] - jnp.sin(angle), speed - angle])
            return state + 0.1 * rate, None

        return lax.scan(step, state, length=3)[0]

    return jax.vmap(interval)(states[:-1], controls) - states[1:]


@applications.case(normal(7, 2), normal(7), argnums=(0, 1))
def trapezoidal_collocation(states, controls):
    """Defects of the trapezoidal rule for a pendulum."""
    rates = jnp.stack([states[:, 1], controls - jnp.sin(states[:, 0])], 1)
    return states[1:] - states[:-1] - 0.05 * (rates[1:] + rates[:-1])


@applications.case(normal(5, 2), normal(4, 2), argnums=(0, 1))
def hermite_simpson(states, middles):
    """Defects of Hermite and Simpson for Van der Pol's oscillator."""

    def rates(y):
        return jnp.stack([y[:, 1], (1 - y[:, 0] ** 2) * y[:, 1] - y[:, 0]], 1)

    at_ends, at_middles = rates(states), rates(middles)
    hermite = middles - (states[1:] + states[:-1]) / 2 - 0.0125 * (at_ends[:-1] - at_ends[1:])
    simpson = states[1:] - states[:-1] - (at_ends[:-1] + 4 * at_middles + at_ends[1:]) / 60
    return hermite, simpson


@applications.case(normal(8))
def chebyshev_collocation(u):
    """A boundary-value problem by a dense differentiation matrix."""
    x = np.cos(np.pi * np.arange(8) / 7)
    c = np.hstack([2, np.ones(6), 2]) * (-1) ** np.arange(8)
    apart = x[:, None] - x + np.eye(8)
    d = np.outer(c, 1 / c) / apart
    d = d - np.diag(d.sum(1))
    return (d @ d) @ u - jnp.exp(u)


@applications.case(normal(8), 1 + 0.1 * normal(8), argnums=(0, 1))
def power_flow(angle, voltage):
    """Active and reactive powers into the nodes of a network."""
    between = angle[_START] - angle[_END]
    both = _SUSCEPTANCE * voltage[_START] * voltage[_END]
    active, reactive = both * jnp.sin(between), both * jnp.cos(between)
    p = jnp.zeros(8).at[_START].add(active).at[_END].add(-active)
    q = jnp.zeros(8).at[_START].add(-reactive).at[_END].add(-reactive)
    return p, q


@applications.case(normal(9), kind="hessian")
def membrane_of_elements(u):
    """The energy of a membrane of linear triangles."""
    a, b, c = (_NODES[_ELEMENTS[:, k]] for k in range(3))
    edges = np.stack([b - a, c - a], 1)
    slopes = jnp.stack([u[_ELEMENTS[:, 1]] - u[_ELEMENTS[:, 0]], u[_ELEMENTS[:, 2]] - u[_ELEMENTS[:, 0]]], 1)
    gradient = jnp.einsum("eij,ej->ei", np.linalg.inv(edges), slopes)
    area = 0.5 * abs(np.linalg.det(edges))
    return jnp.sum(area * jnp.sqrt(1 + jnp.sum(gradient**2, 1)))


@applications.case(_NODES + 0.05 * normal(9, 2), kind="hessian")
def elastic_solid(x):
    """The energy of a Neo-Hookean solid of triangles."""
    a, b, c = (_NODES[_ELEMENTS[:, k]] for k in range(3))
    rest = np.linalg.inv(np.stack([b - a, c - a], 2))

    def energy(corners, rest):
        f = jnp.stack([corners[1] - corners[0], corners[2] - corners[0]], 1) @ rest
        j = f[0, 0] * f[1, 1] - f[0, 1] * f[1, 0]
        return 0.5 * jnp.sum(f**2) - jnp.log(j) + 2 * jnp.log(j) ** 2

    return jnp.sum(jax.vmap(energy)(x[_ELEMENTS], rest))


@applications.case(normal(10))
def bar_of_elements(u):
    """Internal forces of a nonlinear bar, added up element by element."""
    index = np.stack([np.arange(9), np.arange(1, 10)], 1)
    strain = u[index[:, 1]] - u[index[:, 0]]
    force = strain + strain**3
    return jnp.zeros(10).at[index.reshape(-1)].add(jnp.stack([-force, force], 1).reshape(-1))


@applications.case(0.3 * normal(3, 6), 4 + normal(4, 3), argnums=(0, 1))
def bundle_adjustment(cameras, points):
    """Where points are seen in images, by cameras and points."""

    def project(camera, point):
        turn, shift = camera[:3], camera[3:]
        turned = point + jnp.cross(turn, point) + 0.5 * jnp.cross(turn, jnp.cross(turn, point))
        seen = turned + shift
        return seen[:2] / seen[2]

    return jax.vmap(project)(cameras[_CAMERA], points[_POINT])


@applications.case(normal(6, 3))
def pose_graph(poses):
    """Residuals between poses in a plane that follow one another, and of one loop."""
    before, after = np.array([0, 1, 2, 3, 4, 5]), np.array([1, 2, 3, 4, 5, 0])
    apart = poses[after] - poses[before]
    c, s = jnp.cos(poses[before, 2]), jnp.sin(poses[before, 2])
    forward = c * apart[:, 0] + s * apart[:, 1] - 1.0
    aside = -s * apart[:, 0] + c * apart[:, 1]
    return jnp.stack([forward, aside, apart[:, 2] - 1.0], 1)


@applications.case(0.5 * normal(6), normal(3, 5), argnums=(0, 1))
def rigid_motion(twist, points):
    """Points moved by the exponential map of SE(3), by twist and points."""
    w, v = twist[:3], twist[3:]
    angle = jnp.sqrt(w @ w)
    hat = jnp.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])
    turn = jnp.eye(3) + jnp.sin(angle) / angle * hat + (1 - jnp.cos(angle)) / angle**2 * hat @ hat
    return turn @ points + v[:, None]


@applications.case(0.5 * normal(4, 6), normal(4, 3), argnums=(0, 1))
def rigid_motions(twists, points):
    """Four points, each moved by a map of its own: terms that overlap."""

    def move(twist, point):
        w, v = twist[:3], twist[3:]
        hat = jnp.cross(w, jnp.eye(3)).T
        return point + hat @ point + 0.5 * hat @ (hat @ point) + v + 0.5 * jnp.cross(w, v)

    return jax.vmap(move)(twists, points)


@applications.case(normal(6, 2))
def graph_laplacian(x):
    """Diffusion on a graph, of two channels, by gathers and segment sums."""
    start, end = np.array([0, 1, 2, 3, 4, 1]), np.array([1, 2, 3, 4, 5, 4])
    flow = jnp.tanh(x[start] - x[end])
    return jax.ops.segment_sum(flow, end, 6) - jax.ops.segment_sum(flow, start, 6)


@applications.case(normal(6, 3), normal(3, 2), argnums=(0, 1))
def graph_convolution(x, w):
    """A layer of a network on a graph, by its normalised adjacency matrix."""
    adjacency = np.eye(6)
    adjacency[np.arange(5), np.arange(1, 6)] = adjacency[np.arange(1, 6), np.arange(5)] = 1
    degree = 1 / np.sqrt(adjacency.sum(1))
    return jnp.tanh((degree[:, None] * adjacency * degree) @ x @ w)


@applications.case(normal(6, 4))
def message_passing(x):
    """A layer of messages along edges, through a small network."""
    start, end = np.array([0, 1, 2, 3, 4]), np.array([1, 2, 3, 4, 5])
    weights = np.linspace(-1, 1, 32).reshape(8, 4)
    messages = jnp.tanh(jnp.concatenate([x[start], x[end]], 1) @ weights)
    return x + jnp.zeros((6, 4)).at[end].add(messages)


@applications.case(normal(6, 2), normal(5, 1), argnums=(0, 1), kind="hessian")
def optimal_control_cost(states, controls):
    """The cost of a trajectory, stage by stage: a block for every stage."""
    stages = states[:-1, 0] ** 2 * jnp.cosh(controls[:, 0]) + states[:-1, 1] ** 2
    return jnp.sum(stages) + jnp.sum(states[-1] ** 4)


@applications.case(normal(6, 2), normal(5, 1), normal(5, 2), argnums=(0, 1), kind="hessian")
def optimal_control_lagrangian(states, controls, multipliers):
    """The Lagrangian of an optimal control problem by states and controls."""

    def step(state, control):
        return jnp.stack([state[0] + 0.1 * state[1], state[1] + 0.1 * (control[0] - jnp.sin(state[0]))])

    defects = jax.vmap(step)(states[:-1], controls) - states[1:]
    return jnp.sum(states**2) + jnp.sum(controls**2) + jnp.sum(multipliers * defects)


@applications.case(normal(16), kind="hessian")
def flat_lagrangian(z):
    """The Lagrangian of a transcription, of one vector that is unpacked first."""
    states, controls = z[:10].reshape(5, 2), z[10:14]
    following = states[:-1] + 0.1 * jnp.stack([states[:-1, 1], controls * jnp.cos(states[:-1, 0])], 1)
    return jnp.sum(np.arange(1.0, 9).reshape(4, 2) * (following - states[1:])) + jnp.sum(z**2)


@applications.case(normal(20))
def implicit_euler(u):
    """The residual of an implicit step of a nonlinear heat equation."""
    wide = jnp.pad(u, 1, mode="edge")
    conductivity = 1 + 0.25 * (wide[1:] + wide[:-1]) ** 2
    flux = conductivity * jnp.diff(wide)
    return u - np.linspace(0, 1, 20) - 0.1 * jnp.diff(flux)


@applications.case(normal(4, 5, 3))
def heat_in_space(u):
    """The Laplacian in three dimensions with reflecting walls."""
    total = -6 * u
    for axis in range(3):
        wide = jnp.pad(u, [(1, 1) if at == axis else (0, 0) for at in range(3)], mode="edge")
        size = u.shape[axis]
        total += lax.slice_in_dim(wide, 0, size, axis=axis) + lax.slice_in_dim(wide, 2, size + 2, axis=axis)
    return total + u**2


@applications.case(normal(8, 5))
def batch_of_losses(x):
    """Losses of eight samples by their inputs, through a small network."""
    first, second = np.linspace(-1, 1, 20).reshape(5, 4), np.linspace(1, -1, 4)
    return jax.vmap(lambda row: jnp.log1p(jnp.exp(jnp.tanh(row @ first) @ second)))(x)


@applications.case(1 + 0.1 * normal(10))
def chemical_kinetics(c):
    """Rates of ten species in a chain of reactions, by stoichiometry."""
    stoichiometry = np.zeros((10, 9))
    stoichiometry[np.arange(9), np.arange(9)], stoichiometry[np.arange(1, 10), np.arange(9)] = -1, 1
    return stoichiometry @ (np.linspace(1, 2, 9) * c[:-1] * c[1:])


@applications.case(normal(6, 6))
def game_of_heat_by_vmap(u):
    """A stencil written for one point, mapped over all inner points."""

    def at(i, j):
        patch = lax.dynamic_slice(u, (i, j), (3, 3))
        return patch[1, 1] * (patch[0, 1] + patch[2, 1] + patch[1, 0] + patch[1, 2])

    rows, columns = np.meshgrid(np.arange(4), np.arange(4), indexing="ij")
    return jax.vmap(at)(rows.reshape(-1), columns.reshape(-1))


@applications.case(normal(12))
def finite_volumes_with_limiter(u):
    """Fluxes of a smooth limiter between cells."""
    left, right = u - jnp.roll(u, 1), jnp.roll(u, -1) - u
    slope = left * right * (left + right) / (left**2 + right**2 + 1e-3)
    face = u + 0.5 * slope
    return -(face**2 - jnp.roll(face, 1) ** 2)


@applications.case(normal(10), normal(10), argnums=(0, 1))
def predator_and_prey_on_a_line(prey, predator):
    """Two species on a line of ten patches that move between neighbours."""

    def spread(w):
        return jnp.convolve(jnp.pad(w, 1, mode="edge"), np.array([1.0, -2.0, 1.0]), "valid")

    eaten = prey * predator / (1 + prey**2)
    return prey * (1 - prey) - eaten + 0.1 * spread(prey), eaten - predator + 0.2 * spread(predator)


@applications.case(normal(9))
def quaternion_chain(x):
    """Rotations one after another, each by three numbers: what each does to one axis."""

    def turn(axis, w):
        return axis + jnp.cross(w, axis), axis + jnp.cross(w, axis)

    return lax.scan(turn, jnp.array([1.0, 0.5, 0.2]), x.reshape(3, 3))[1]
