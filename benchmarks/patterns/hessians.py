"""Hessians of sums whose terms see few arguments each, and terms that overlap."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ._case import Collection

hessians = Collection("hessians", seed=5)
normal = hessians.normal


_OFFSET = np.abs(np.arange(16)[:, None] - np.arange(16))
_BAND = np.where(_OFFSET <= 1, 1.0 / (1 + _OFFSET), 0.0)
_DESIGN = np.where(hessians.rng.uniform(size=(12, 10)) < 0.25, normal(12, 10), 0.0)
_PAIRS = np.array([[0, 1], [1, 2], [0, 2], [3, 4], [4, 5], [2, 3]])


@hessians.case(normal(10), kind="hessian")
def chained_rosenbrock(x):
    """Rosenbrock's function on a chain: three diagonals."""
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@hessians.case(normal(10), kind="hessian")
def paired_rosenbrock(x):
    """Rosenbrock's function on pairs: blocks of two by two."""
    return jnp.sum(100 * (x[1::2] - x[::2] ** 2) ** 2 + (1 - x[::2]) ** 2)


@hessians.case(normal(8), kind="hessian")
def powell_singular(x):
    """Powell's singular function on groups of four."""
    a, b, c, d = x.reshape(-1, 4).T
    return jnp.sum((a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4)


@hessians.case(normal(10), kind="hessian")
def broyden_tridiagonal(x):
    """The squares of Broyden's tridiagonal residuals: five diagonals."""
    wide = jnp.pad(x, 1)
    return jnp.sum(((3 - 2 * x) * x - wide[:-2] - 2 * wide[2:] + 1) ** 2)


@hessians.case(normal(10), kind="hessian")
def separable(x):
    """A sum of functions of one number each."""
    return jnp.sum(jnp.cosh(x) + x**4)


@hessians.case(normal(10), kind="hessian")
def arrowhead(x):
    """All that one number meets: an arrow."""
    return jnp.sum(x[0] * jnp.sin(x[1:])) + jnp.sum(x**4)


@hessians.case(normal(16), kind="hessian")
def banded_quadratic_form(x):
    """A quadratic form of a tridiagonal matrix."""
    return x @ (_BAND @ x)


@hessians.case(normal(16), kind="hessian")
def banded_form_of_functions(x):
    """A tridiagonal form of functions of every entry."""
    return jnp.sin(x) @ _BAND @ jnp.cosh(x)


@hessians.case(normal(10), kind="hessian")
def sparse_least_squares(x):
    """Least squares of a sparse design matrix."""
    return jnp.sum((_DESIGN @ x - 1.0) ** 2)


@hessians.case(normal(10), kind="hessian")
def sparse_logistic_regression(x):
    """Logistic losses of a sparse design matrix, with a ridge."""
    return jnp.sum(jax.nn.softplus(_DESIGN @ x)) + 0.1 * jnp.sum(x**2)


@hessians.case(normal(8), normal(6), argnums=0, kind="hessian")
def lagrangian(x, multipliers):
    """The Lagrangian of a chain with constraints between three neighbours."""
    constraints = x[:-2] * x[1:-1] - x[2:] ** 2
    return jnp.sum((x[1:] - x[:-1] ** 2) ** 2) + multipliers @ constraints


@hessians.case(normal(8), normal(7), argnums=(0, 1), kind="hessian")
def lagrangian_by_all(x, multipliers):
    """The same by arguments and multipliers: four blocks."""
    return jnp.sum(jnp.cosh(x)) + multipliers @ (x[1:] * jnp.sin(x[:-1]))


@hessians.case(normal(8), normal(7), kind="hessian")
def augmented_lagrangian(x, multipliers):
    """A Lagrangian with squares of its constraints."""
    constraints = x[1:] * x[:-1] - 1.0
    return jnp.sum(x**4) + multipliers @ constraints + 5 * jnp.sum(constraints**2)


@hessians.case(np.linspace(0.5, 1.5, 8), kind="hessian")
def barrier_of_differences(x):
    """A sum with logarithmic barriers on what lies between neighbours."""
    return jnp.sum(x**2) - jnp.sum(jnp.log(x[1:] - x[:-1] + 1.0)) - jnp.sum(jnp.log(x))


@hessians.case(normal(6, 2), kind="hessian")
def springs_in_a_plane(points):
    """The energy of springs between six points, a few of which are joined."""
    apart = points[_PAIRS[:, 0]] - points[_PAIRS[:, 1]]
    return jnp.sum((jnp.sqrt(jnp.sum(apart**2, 1) + 0.1) - 1.0) ** 2)


@hessians.case(normal(5, 2), kind="hessian")
def repulsion_of_all_pairs(points):
    """The energy of charges, each of which feels all others."""
    upper = np.triu_indices(5, 1)
    apart = points[upper[0]] - points[upper[1]]
    return jnp.sum(1 / jnp.sqrt(jnp.sum(apart**2, 1) + 0.1))


@hessians.case(normal(10), kind="hessian")
def lattice_field(phi):
    """The action of a scalar field on a ring."""
    return jnp.sum(0.5 * (jnp.roll(phi, -1) - phi) ** 2 + 0.1 * phi**4)


@hessians.case(normal(5, 5), kind="hessian")
def lattice_field_in_plane(phi):
    """The action of a scalar field on a periodic plane."""
    kinetic = sum(jnp.sum((jnp.roll(phi, -1, axis) - phi) ** 2) for axis in (0, 1))
    return 0.5 * kinetic + 0.1 * jnp.sum(phi**4)


@hessians.case(normal(5, 5), kind="hessian")
def minimal_surface(u):
    """The area of a surface over a square grid."""
    down, across = u[1:, :-1] - u[:-1, :-1], u[:-1, 1:] - u[:-1, :-1]
    return jnp.sum(jnp.sqrt(1 + down**2 + across**2))


@hessians.case(normal(5, 5), kind="hessian")
def total_variation(image):
    """A smoothed total variation, and the misfit of every pixel."""
    down, across = jnp.diff(image, axis=0), jnp.diff(image, axis=1)
    return jnp.sum(jnp.sqrt(down**2 + 0.1)) + jnp.sum(jnp.sqrt(across**2 + 0.1)) + jnp.sum(image**2)


@hessians.case(normal(12), kind="hessian")
def elastic_rod(u):
    """Bending and stretching of a rod: five diagonals."""
    bending, stretching = jnp.diff(u, 2), jnp.diff(u)
    return jnp.sum(bending**2) + jnp.sum(jnp.cosh(stretching))


@hessians.case(normal(4, 3), kind="hessian")
def logsumexp_of_rows(x):
    """A sum of log-sum-exp of rows: a block for every row."""
    return jnp.sum(jax.nn.logsumexp(x, 1))


@hessians.case(normal(3, 3, 3), kind="hessian")
def determinants_of_blocks(a):
    """Logarithms of the determinants of three matrices."""
    return jnp.sum(jnp.linalg.slogdet(a @ a.transpose(0, 2, 1) + np.eye(3))[1])


@hessians.case(normal(4, 3), kind="hessian")
def losses_under_vmap(x):
    """A sum of losses of rows, by vmap."""
    return jnp.sum(jax.vmap(lambda row: jnp.prod(jnp.sin(row)) + row[0] ** 3)(x))


@hessians.case(normal(9), kind="hessian")
def product_of_all(x):
    """The cosine of a sum: dense."""
    return jnp.cos(jnp.sum(x)) + jnp.sum(x**2)


@hessians.case(normal(7, 2), kind="hessian")
def smoothed_track(states):
    """The posterior of a track: motion between neighbours, a range seen at each."""
    motion = jnp.sum((states[1:] - states[:-1] - 0.1 * jnp.sin(states[:-1])) ** 2)
    return motion + jnp.sum((jnp.sqrt(jnp.sum(states**2, 1) + 0.1) - 1.0) ** 2)


@hessians.case(normal(6), normal(6), kind="hessian", argnums=(0, 1))
def bilinear_form(x, y):
    """A form that is linear in each argument."""
    return x @ (_BAND[:6, :6] @ y)


@hessians.case(normal(6), np.array(0.3), kind="hessian", argnums=(0, 1))
def shared_parameter(x, p):
    """A sum in which every number meets one that all share."""
    return jnp.sum(jnp.exp(p * x) + x**2)


@hessians.case(normal(9), kind="hessian")
def three_body_chain(x):
    """Products of three neighbours, and of two further ones: terms that overlap."""
    return jnp.sum(x[:-2] * x[1:-1] * x[2:]) + jnp.sum(x[:-3] * x[3:] ** 2)


@hessians.case(normal(8), kind="hessian", wide=True)
def hinge_losses(x):
    """Squared hinges of differences of neighbours."""
    return jnp.sum(jax.nn.relu(1 - jnp.diff(x)) ** 2)


@hessians.case(normal(6), kind="hessian")
def squared_norm_of_stencil(x):
    """Half the square of a stencil, by the norm of a residual."""
    residual = jnp.sin(x) * jnp.roll(x, 1) - 1.0
    return 0.5 * jnp.vdot(residual, residual)
