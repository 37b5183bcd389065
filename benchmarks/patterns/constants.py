"""Matrices, masks and indices that are constants, and zeros in them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental import sparse

from ._case import Collection
from .reasons import FINITE

constants = Collection("constants", seed=1)
normal = constants.normal


def banded(n: int, width: int = 1) -> np.ndarray:
    """A random matrix whose entries further than this from the diagonal are zero."""
    rows, columns = np.indices((n, n))
    return normal(n, n) * (abs(rows - columns) <= width)


_TRIDIAGONAL, _BIDIAGONAL, _SMALL = banded(20), np.triu(banded(20)), banded(8)
_RANDOM = normal(15, 20) * (constants.rng.uniform(size=(15, 20)) < 0.12)
_BLOCKS = np.kron(np.eye(4), np.ones((3, 3))) * normal(12, 12)
_PERMUTATION = constants.rng.permutation(10)
_CHESS = np.indices((6, 6)).sum(0) % 2 == 0
_PLACES = np.argwhere(_RANDOM)
_ENTRIES = _RANDOM[tuple(_PLACES.T)]
_EDGES = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 0], [0, 3], [2, 6], [6, 7]])
_ADJACENCY = np.eye(8)
_ADJACENCY[_EDGES[:, 0], _EDGES[:, 1]] = _ADJACENCY[_EDGES[:, 1], _EDGES[:, 0]] = 1.0
_PART = np.arange(30).reshape(6, 5) % 4 == 1
_INCIDENCE = np.zeros((9, 8))
_INCIDENCE[np.arange(9), _EDGES[:, 0]], _INCIDENCE[np.arange(9), _EDGES[:, 1]] = -1.0, 1.0


@constants.case(normal(20))
def banded_product(x):
    """The product with a tridiagonal matrix."""
    return _TRIDIAGONAL @ x


@constants.case(normal(20))
def product_from_the_left(x):
    """A row times a bidiagonal matrix, through a function."""
    return jnp.sin(x @ _BIDIAGONAL)


@constants.case(normal(20))
def two_banded_products(x):
    """A residual of two products with matrices of three diagonals: five diagonals."""
    return _TRIDIAGONAL @ jnp.tanh(_TRIDIAGONAL @ x) + x**2


@constants.case(normal(20))
def sparse_product(x):
    """The product with a matrix of which one in eight entries is not zero."""
    return _RANDOM @ x


@constants.case(normal(12))
def block_diagonal_product(x):
    """The product with a matrix of four blocks, written in full."""
    return jnp.exp(_BLOCKS @ x)


@constants.case(normal(8, 3))
def banded_times_matrix(x):
    """A tridiagonal matrix times a matrix of three columns."""
    return _SMALL @ x


@constants.case(normal(5, 6))
def difference_matrices(u):
    """Second differences along both axes of a plane by matrices."""

    def second(n):
        return np.diag(np.ones(n - 1), 1) - 2 * np.eye(n) + np.diag(np.ones(n - 1), -1)

    return second(5) @ u + u @ second(6).T + u**3


@constants.case(normal(12))
def kronecker_laplacian(u):
    """The Laplacian of a plane of three by four as one matrix."""

    def second(n):
        return np.diag(np.ones(n - 1), 1) - 2 * np.eye(n) + np.diag(np.ones(n - 1), -1)

    return (np.kron(second(3), np.eye(4)) + np.kron(np.eye(3), second(4))) @ u - jnp.exp(u)


@constants.case(normal(8))
def graph_flows(potential):
    """Flows along the edges of a graph, by its incidence matrix."""
    return jnp.tanh(_INCIDENCE @ potential)


@constants.case(normal(8))
def graph_divergence(potential):
    """What flows into every node of a graph, by its incidence matrix twice."""
    return _INCIDENCE.T @ jnp.sinh(_INCIDENCE @ potential)


@constants.case(normal(10))
def permutation_matrix(x):
    """Entries in another order, by a matrix."""
    return np.eye(10)[_PERMUTATION] @ x**2


@constants.case(normal(6, 4))
def one_hot_lookup(table):
    """Rows of a table by a product with ones and zeros."""
    return jax.nn.one_hot(np.array([3, 1, 1, 5]), 6, dtype=table.dtype) @ table


@constants.case(normal(6, 6))
def upper_triangle(x):
    """The upper triangle of a matrix."""
    return jnp.triu(x)


@constants.case(normal(5, 5))
def lower_factor_product(x):
    """A matrix from a triangular factor that is cut out of a square one."""
    lower = jnp.tril(x, -1) + jnp.diag(jnp.exp(jnp.diagonal(x)))
    return lower @ lower.T


@constants.case(normal(6, 6), normal(6))
def triangular_weights(w, x):
    """The product of a lower triangle with a vector by the matrix."""
    return jnp.tril(w) @ x


@constants.case(normal(6), normal(6, 6))
def masked_weights(x, w):
    """A layer of an autoregressive network, whose weights a mask takes, by its input."""
    return jnp.tanh((w * np.tril(np.ones((6, 6)), -1)) @ x)


@constants.case(normal(6), normal(6, 6), normal(6, 6))
def masked_autoencoder(x, first, second):
    """Two layers whose masks leave every output those before it."""
    mask = np.tril(np.ones((6, 6)), -1)
    return (second * np.tril(np.ones((6, 6)))) @ jnp.tanh((first * mask) @ x)


@constants.case(normal(6, 6))
def masked_matrix(x):
    """A matrix times a mask of ones and zeros."""
    return x * _CHESS


@constants.case(normal(6), normal(6), argnums=(0, 1))
def selected_outer_product(x, y):
    """Every second entry of an outer product; zero is selected elsewhere."""
    return jnp.where(_CHESS, jnp.outer(x, y), 0.0)


@constants.case(normal(12), normal(12), argnums=(0, 1))
def selected_by_constant(x, y):
    """Entries of one array or of another, as a constant says."""
    return jnp.where(np.arange(12) % 3 == 0, jnp.sin(x), y * x[::-1])


@constants.case(normal(10))
def boundary_values(u):
    """Differences inside, values at the boundary, by a mask."""
    inside = (np.arange(10) > 0) & (np.arange(10) < 9)
    return jnp.where(inside, jnp.roll(u, 1) - 2 * u + jnp.roll(u, -1), u - 1.0)


def in_coordinates(data):
    """The sparse matrix of JAX with these entries."""
    return sparse.BCOO((jnp.asarray(data), jnp.asarray(_PLACES)), shape=(15, 20))


@constants.case(normal(20))
def bcoo_product(x):
    """The product with a sparse matrix of JAX, in coordinates."""
    return in_coordinates(_ENTRIES) @ x


@constants.case(normal(20))
def bcsr_product(x):
    """The product with a sparse matrix of JAX, in compressed rows."""
    return sparse.BCSR.from_bcoo(in_coordinates(_ENTRIES)) @ jnp.sin(x)


@constants.case(normal(20, 2))
def bcoo_times_matrix(x):
    """A sparse matrix of JAX times a matrix of two columns."""
    return in_coordinates(_ENTRIES) @ x


@constants.case(_ENTRIES, normal(20))
def bcoo_by_its_entries(data, x):
    """The product with a sparse matrix of JAX by its entries."""
    return in_coordinates(data) @ x


@constants.case(normal(8))
def diagonal_matrix(x):
    """A vector as a diagonal matrix."""
    return jnp.diag(x)


@constants.case(normal(6), normal(6, 6), argnums=(0, 1))
def scaled_rows(d, a):
    """A product with a diagonal matrix."""
    return jnp.diag(d) @ a


@constants.case(normal(6, 6))
def diagonals_of_matrix(a):
    """The diagonal, and the one above."""
    return jnp.concatenate([jnp.diagonal(a), jnp.diag(a, 1)])


@constants.case(normal(6), normal(5), normal(5), normal(6), argnums=(0, 1, 2, 3))
def assembled_tridiagonal(d, lower, upper, x):
    """The product with a matrix that is put together from three diagonals."""
    return (jnp.diag(d) + jnp.diag(lower, -1) + jnp.diag(upper, 1)) @ x


@constants.case(normal(8))
def constant_branches(x):
    """Branches by indices that are known, one for each half."""
    branches = (jnp.sin, lambda y: y[::-1], jnp.cumsum)
    return jnp.concatenate([lax.switch(1, branches, x[:4]), lax.switch(0, branches, x[4:])])


@constants.case(normal(6), normal(6))
def condition_that_is_known(x, y):
    """A branch that is known when the function is traced."""
    return lax.cond(np.bool_(True), lambda x, y: x * y, lambda x, y: jnp.outer(x, y).sum(0), x, y)


@constants.case(normal(3, 4))
def einsum_with_band(x):
    """A contraction over one axis with a bidiagonal matrix."""
    return jnp.einsum("ij,kj->ik", x, np.eye(4) + np.diag(np.ones(3), 1))


@constants.case(normal(12))
def interpolation_matrix(x):
    """Values on a fine grid from a coarse one, by a matrix of weights."""
    at = np.linspace(0, 11, 30)
    weights = np.maximum(0, 1 - abs(at[:, None] - np.arange(12)))
    return jnp.exp(weights @ x)


@constants.case(normal(9))
def running_totals_by_matrix(x):
    """Sums up to every entry, by a triangle of ones."""
    return np.tril(np.ones((9, 9))) @ x


@constants.case(normal(3, 4), normal(3, 4), argnums=(0, 1))
def cross_products(a, b):
    """Cross products by the symbol of Levi-Civita."""
    symbol = np.zeros((3, 3, 3))
    symbol[[0, 1, 2], [1, 2, 0], [2, 0, 1]], symbol[[0, 2, 1], [2, 1, 0], [1, 0, 2]] = 1, -1
    return jnp.einsum("ijk,jn,kn->in", symbol, a, b)


@constants.case(normal(10, 2), normal(10, 2), normal(10, 2), argnums=(0, 1, 2))
def local_attention(q, k, v):
    """Attention in which every place sees itself and its neighbours."""
    near = abs(np.arange(10)[:, None] - np.arange(10)) <= 1
    scores = jnp.where(near, q @ k.T, -jnp.inf)
    return jax.nn.softmax(scores) @ v


@constants.case(normal(8, 2), normal(8, 2), normal(8, 2), argnums=(0, 1, 2), reason=FINITE)
def causal_attention(q, k, v):
    """Attention in which every place sees those before it, others by a score of -1e30."""
    scores = jnp.where(np.tril(np.ones((8, 8), bool)), q @ k.T, -1e30)
    return jax.nn.softmax(scores) @ v


# The first place sees itself alone, with a weight of one.
@constants.case(normal(2, 6, 2), normal(2, 6, 2), normal(2, 6, 2), argnums=(0, 1, 2), cancelling=16)
def causal_attention_of_heads(q, k, v):
    """Attention of two heads in which every place sees those before it, by scores of minus infinity."""
    scores = jnp.einsum("hid,hjd->hij", q, k) + np.where(np.tri(6), 0.0, -np.inf)
    return jnp.einsum("hij,hjd->ihd", jax.nn.softmax(scores), v).reshape(6, 4)


@constants.case(normal(7, 2), normal(2, 2), normal(7, 2), argnums=(0, 2))
def attention_to_what_is_there(x, w, v):
    """Attention to the first five of seven places; the others are padding."""
    there = np.arange(7) < 5
    weights = jnp.exp(jnp.where(there, x @ w @ x.T, -jnp.inf))
    return weights / weights.sum(1, keepdims=True) @ v


@constants.case(normal(5), normal(6, 5), normal(6), argnums=(0, 1, 2), wide=True)
def masked_layer(x, w, b):
    """A layer of a chosen part of the weights, with biases, by all of them."""
    return jax.nn.relu((w * _PART) @ x + b)


@constants.case(normal(6), normal(2, 2), normal(4, 4))
def weights_in_blocks(x, first, second):
    """The product with a matrix of two blocks, put together with zeros."""
    upper = jnp.concatenate([first, jnp.zeros((2, 4))], axis=1)
    lower = jnp.concatenate([jnp.zeros((4, 2)), second], axis=1)
    return jnp.sinh(jnp.concatenate([upper, lower]) @ x)


@constants.case(normal(7), normal(7), normal(6), argnums=(0, 1, 2))
def band_by_its_entries(x, d, e):
    """The product with a symmetric band that is set entry by entry."""
    at = np.arange(7)
    matrix = jnp.zeros((7, 7)).at[at, at].set(jnp.exp(d))
    return matrix.at[at[1:], at[:-1]].set(e).at[at[:-1], at[1:]].set(e) @ x


@constants.case(normal(10), normal(4), argnums=(0, 1))
def packed_factor(packed, x):
    """A triangular factor from packed entries, those of its diagonal positive, times a vector."""
    factor = jnp.zeros((4, 4)).at[np.tril_indices(4)].set(packed)
    factor = jnp.tril(factor, -1) + jnp.diag(jnp.exp(jnp.diagonal(factor)))
    return factor @ x


@constants.case(normal(8, 2), normal(8, 8), normal(2, 2))
def weighted_graph_convolution(features, weights, mixing):
    """Features of a graph's nodes, taken from their neighbours with weights of the edges."""
    return jnp.tanh((_ADJACENCY * weights) @ features @ mixing)


@constants.case(normal(5), normal(5, 5))
def factor_of_covariance(z, a):
    """Correlated numbers from independent ones by a Cholesky factor."""
    return jnp.linalg.cholesky(a @ a.T + jnp.eye(5)) @ z


@constants.case(normal(1, 1, 5, 5), normal(1, 1, 3, 3))
def masked_convolution(image, kernel):
    """A convolution that sees pixels above and to the left alone, as a mask of its kernel says."""
    seen = (np.arange(9) < 4).reshape(3, 3)
    return lax.conv(image, kernel * seen, (1, 1), "SAME")


@constants.case(normal(6), normal(6, 6))
def two_masked_steps(x, w):
    """Two steps of a network whose weights lead from a node to the next two."""
    leads = np.triu(np.ones((6, 6)), 1) * np.tril(np.ones((6, 6)), 2)
    return (w * leads).T @ jnp.tanh((w * leads).T @ x)


@constants.case(normal(10))
def padding_and_stacking(x):
    """Arrays with zeros around them, put together."""
    wide = jnp.pad(x**2, (2, 3))
    return jnp.stack([wide, jnp.roll(wide, 2), jnp.flip(wide)])
