"""Triangles: cumulative operations, factorisations and solutions of batches."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._case import Collection

triangular = Collection("triangular", seed=3)
normal = triangular.normal


def positive(*shape: int) -> np.ndarray:
    return triangular.rng.uniform(0.5, 1.5, shape)


_SHIFT = 4 * np.eye(3)


@triangular.case(normal(12))
def running_sum(x):
    """Sums up to every entry."""
    return jnp.cumsum(x)


@triangular.case(normal(12))
def brownian_path(x):
    """A path from its steps, through a function."""
    return jnp.exp(0.1 * jnp.cumsum(x))


@triangular.case(normal(4, 5))
def sums_along_rows(x):
    """Sums along every row of a matrix."""
    return jnp.cumsum(x**2, 1)


@triangular.case(normal(10))
def sums_from_the_end(x):
    """Sums from every entry on."""
    return lax.cumsum(jnp.sin(x), reverse=True)


@triangular.case(positive(10))
def running_product(x):
    """Products up to every entry."""
    return jnp.cumprod(x)


@triangular.case(normal(3, 4))
def products_along_columns(x):
    """Products along every column."""
    return jnp.cumprod(1 + x**2, 0)


@triangular.case(normal(8), wide=True)
def running_maximum(x):
    """The largest entry so far."""
    return lax.cummax(x)


@triangular.case(normal(8), wide=True)
def running_minimum(x):
    """The least entry from every place on."""
    return lax.cummin(x, reverse=True)


@triangular.case(normal(10))
def running_logsumexp(x):
    """Logarithms of sums of exponentials so far."""
    return lax.cumlogsumexp(x)


@triangular.case(normal(10))
def associative_sum(x):
    """Sums so far, by an associative scan."""
    return lax.associative_scan(jnp.add, x)


@triangular.case(positive(8), normal(8), argnums=(0, 1))
def linear_recurrence(a, b):
    """A linear recurrence, by an associative scan."""

    def combine(one, other):
        return one[0] * other[0], other[0] * one[1] + other[1]

    return lax.associative_scan(combine, (a, b))[1]


@triangular.case(normal(6, 2, 2))
def products_of_matrices(x):
    """Products of matrices so far, by an associative scan."""
    return lax.associative_scan(jnp.matmul, x)


@triangular.case(positive(9))
def stick_breaking(x):
    """Parts of a stick that is broken again and again."""
    share = x / (1 + x)
    left = jnp.concatenate([jnp.ones(1), jnp.cumprod(1 - share)])
    return jnp.concatenate([share, jnp.ones(1)]) * left


@triangular.case(normal(10))
def monotone_knots(x):
    """Knots that ascend: positive steps, added up."""
    return jnp.concatenate([x[:1], x[0] + jnp.cumsum(jax.nn.softplus(x[1:]))])


@triangular.case(normal(3, 3))
def factor_of_matrix(a):
    """The Cholesky factor of a symmetric matrix."""
    return jnp.linalg.cholesky(a @ a.T + _SHIFT)


@triangular.case(normal(4, 3, 3))
def factors_of_matrices(a):
    """Cholesky factors of four matrices."""
    return jnp.linalg.cholesky(a @ a.transpose(0, 2, 1) + _SHIFT)


@triangular.case(_SHIFT + 0.1 * normal(4, 3, 3))
def factors_by_matrices(a):
    """Cholesky factors by the matrices themselves: a triangle each."""
    return lax.linalg.cholesky(a)


@triangular.case(normal(6), np.tril(normal(6, 6)) + 3 * np.eye(6))
def forward_substitution(b, lower):
    """A triangular system by its right-hand side."""
    return jax.scipy.linalg.solve_triangular(lower, b, lower=True)


@triangular.case(np.tril(normal(5, 5)) + 3 * np.eye(5), normal(5))
def substitution_by_matrix(lower, b):
    """A triangular system by its matrix, whose upper half is not read."""
    return jax.scipy.linalg.solve_triangular(lower, b, lower=True)


@triangular.case(_SHIFT + np.triu(normal(4, 3, 3)), normal(4, 3, 1), argnums=(0, 1))
def batched_substitution(upper, b):
    """Four triangular systems."""
    return lax.linalg.triangular_solve(upper, b, left_side=True, lower=False)


@triangular.case(_SHIFT + normal(4, 3, 3), normal(4, 3), argnums=(0, 1))
def batched_solve(a, b):
    """Four systems of three equations."""
    return jax.vmap(jnp.linalg.solve)(a, b)


@triangular.case(_SHIFT + normal(4, 3, 3))
def batched_inverse(a):
    """Four inverses."""
    return jnp.linalg.inv(a)


@triangular.case(_SHIFT + normal(4, 3, 3))
def batched_determinant(a):
    """Logarithms of four determinants."""
    return jnp.linalg.slogdet(a)[1]


@triangular.case(normal(4, 3, 3))
def batched_eigenvalues(a):
    """Eigenvalues of four symmetric matrices."""
    return jnp.linalg.eigvalsh(a + a.transpose(0, 2, 1))


@triangular.case(normal(3, 4, 2))
def batched_orthogonal_factors(a):
    """Triangular factors of three matrices of full rank."""
    return jnp.linalg.qr(a)[1]


@triangular.case(normal(4, 3))
def orthogonal_factor(a):
    """The orthogonal factor of a matrix: every column by those before it."""
    return jnp.linalg.qr(a)[0]


@triangular.case(normal(3), normal(4, 3))
def upper_factor_product(x, a):
    """The product with the upper factor of a matrix."""
    return jnp.linalg.qr(a)[1] @ x


@triangular.case(normal(2, 3, 3), wide=True)
def upper_factors_by_elimination(a):
    """What is left of two matrices by elimination; which of their rows come first differs."""
    return jnp.triu(lax.linalg.lu(a)[0])


@triangular.case(normal(5), normal(5, 5))
def product_with_inverse_of_factor(x, w):
    """White noise from correlated one, by the inverse of a triangular factor."""
    inverse = jax.scipy.linalg.solve_triangular(jnp.tril(w) + 4 * np.eye(5), np.eye(5), lower=True)
    return inverse @ x


@triangular.case(normal(5), normal(5, 5))
def solution_with_assembled_triangle(b, w):
    """A system by a general solver, whose matrix is a triangle by its making."""
    return jnp.linalg.solve(jnp.triu(w) + 4 * np.eye(5), b)


@triangular.case(normal(6), normal(3, 2, 2))
def solution_with_assembled_blocks(b, w):
    """A system by a general solver, whose matrix is put together of three blocks."""
    return jnp.linalg.solve(jax.scipy.linalg.block_diag(*w) + 4 * np.eye(6), b)


@triangular.case(normal(6))
def inverse_of_bidiagonal(b):
    """A system whose matrix is a constant of two diagonals: a triangle."""
    matrix = np.eye(6) + 0.5 * np.diag(np.ones(5), -1)
    return jax.scipy.linalg.solve_triangular(matrix, b, lower=True)


@triangular.case(normal(3, 6))
def tridiagonal_systems(b):
    """Three tridiagonal systems of one matrix by their right-hand sides."""
    lower, upper = np.full(6, -1.0), np.full(6, -1.0)
    lower[0] = upper[-1] = 0.0
    diagonal = np.full(6, 4.0)

    def solve(b):
        return lax.linalg.tridiagonal_solve(
            jnp.asarray(lower), jnp.asarray(diagonal), jnp.asarray(upper), b[:, None]
        )[:, 0]

    return jax.vmap(solve)(b)


@triangular.case(normal(3, 8))
def spectra_of_rows(x):
    """Power spectra of three signals: dense in each."""
    return jnp.abs(jnp.fft.rfft(x)) ** 2
