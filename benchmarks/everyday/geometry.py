"""Rigid motions, distances and kernels, sorting and looking up, optimal transport."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import ndimage, special

from ._case import Collection

geometry = Collection()
_rng = np.random.default_rng(5)


@geometry.case(np.array([0.1, 0.4, -0.2]), _rng.normal(size=(20, 3)))
def kernel_matrix(log_lengths, x):
    """Gaussian processes: a kernel between twenty points by three length scales."""
    scaled = x / jnp.exp(log_lengths)
    square = jnp.sum((scaled[:, None] - scaled[None]) ** 2, axis=-1)
    return jnp.exp(-0.5 * square)


@geometry.case(_rng.normal(size=(16, 3)))
def pairwise_distances(x):
    """Distance geometry: all distances between sixteen points by their coordinates."""
    apart = x[:, None] - x[None]
    return jnp.sqrt(jnp.sum(apart**2, axis=-1) + 1e-6)


@geometry.case(2.0 * _rng.normal(size=(6, 3)), kind="hessian")
def lennard_jones(x):
    """Molecular mechanics: the energy of a cluster of six atoms, for its normal modes."""
    first, second = np.triu_indices(6, 1)
    square = jnp.sum((x[first] - x[second]) ** 2, axis=-1)
    inverse = 1 / square**3
    return jnp.sum(4 * (inverse**2 - inverse))


@geometry.case(np.array([0.4, 0.2, -0.1, 0.9, 0.1, 0.2, 0.3]), batch=(None, 4096))
def rigid_logarithm(pose):
    """Pose graphs: the twist of a rigid motion, given by a quaternion and a translation."""
    q = pose[3:] / jnp.linalg.norm(pose[3:])
    length = jnp.linalg.norm(q[1:])
    angle = 2 * jnp.arctan2(length, q[0])
    turn = angle / length * q[1:]
    across = jnp.cross(turn, pose[:3])
    factor = 1 / angle**2 - (1 + jnp.cos(angle)) / (2 * angle * jnp.sin(angle))
    return jnp.concatenate([turn, pose[:3] - 0.5 * across + factor * jnp.cross(turn, across)])


@geometry.case(
    np.array([0.1, -0.2, 0.1, 0.2, 0.1, 4.0]), _rng.normal(size=(10, 3)), _rng.normal(size=(10, 2))
)
def camera_residuals(pose, points, seen):
    """Vision: reprojection errors of ten points by the pose of the camera."""
    angle = jnp.sqrt(jnp.sum(pose[:3] ** 2))
    axis = jnp.broadcast_to(pose[:3] / angle, points.shape)
    across = jnp.cross(axis, points)
    moved = points + jnp.sin(angle) * across + (1 - jnp.cos(angle)) * jnp.cross(axis, across) + pose[3:]
    return 500.0 * moved[:, :2] / moved[:, 2:] - seen


@geometry.case(np.array([0.9, 0.1, 0.3, -0.2]), np.array([1.0, 2.0, 3.0]), argnums=(0, 1), batch=(None, 4096))
def quaternion_rotation(q, v):
    """Attitude control: a vector turned by a quaternion."""
    w, u = q[0], q[1:]
    turned = v + 2 * jnp.cross(u, jnp.cross(u, v) + w * v)
    return turned / jnp.sum(q**2)


@geometry.case(_rng.uniform(size=(16, 16)))
def sinkhorn_plan(cost):
    """Optimal transport: the plan between sixteen and sixteen points after twenty iterations."""
    kernel = jnp.exp(-cost / 0.2)

    def step(_, scaling):
        u, v = scaling
        u = 1 / 16 / (kernel @ v)
        return u, 1 / 16 / (kernel.T @ u)

    u, v = lax.fori_loop(0, 20, step, (jnp.ones(16), jnp.ones(16)))
    return u[:, None] * kernel * v


@geometry.case(_rng.normal(size=64))
def sorted_spacings(x):
    """Order statistics: logarithms of the gaps between 64 sorted numbers."""
    return jnp.log(jnp.diff(jnp.sort(x)) + 1e-2)


@geometry.case(_rng.normal(size=32))
def best_of_experts(logits):
    """Mixtures of experts: the gates of the best five of 32."""
    best, _ = lax.top_k(logits, 5)
    return jax.nn.softmax(best)


@geometry.case(_rng.normal(size=(20, 8)), _rng.integers(0, 20, 12), _rng.normal(size=(8, 4)))
def embeddings(table, words, project):
    """Language models: features of twelve words by the table of embeddings."""
    return jnp.tanh(table[words] @ project)


@geometry.case(np.sort(_rng.uniform(size=50)), np.linspace(0, 1, 20), _rng.normal(size=20), argnums=(0, 2))
def interpolation(x, knots, values):
    """Calibration: a table interpolated at fifty places, by places and values."""
    return jnp.interp(x, knots, values)


@geometry.case(np.array([3.3, 4.6]), _rng.normal(size=(16, 16)), batch=(None, 4096), shared=(1,))
def image_value(at, image):
    """Optical flow: an image and its square at a place between pixels."""
    value = ndimage.map_coordinates(image, [at[:1], at[1:]], order=1)[0]
    return jnp.stack([value, value**2])


@geometry.case(_rng.normal(size=40), np.sort(_rng.integers(0, 8, 40)))
def grouped_softmax(logits, groups):
    """Graph attention: a softmax within each of eight groups."""
    top = jax.ops.segment_max(logits, groups, 8)
    share = jnp.exp(logits - top[groups])
    return share / jax.ops.segment_sum(share, groups, 8)[groups]


@geometry.case(_rng.normal(size=(6, 2)), np.linspace(0, 1, 30))
def bezier_curve(points, t):
    """Computer graphics: thirty points of a curve by its six control points."""
    k = np.arange(6)
    binomial = special.gamma(6.0) / (special.gamma(k + 1.0) * special.gamma(6.0 - k))
    return (binomial * t[:, None] ** k * (1 - t[:, None]) ** (5 - k)) @ points
