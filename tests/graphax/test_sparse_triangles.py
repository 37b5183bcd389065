"""Running reductions, factors, triangular systems and scattered extremes have known zeros."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import graphax

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def assert_sparse(fun, *args, entries, argnums=0, same=None):
    """The values of JAX, which may be those of what is the same, and so many entries."""
    found = jax.jit(graphax.jacve(fun, argnums, sparse=True))(*args)
    wanted = jax.jit(jax.jacrev(same or fun, argnums))(*args)
    np.testing.assert_allclose(found.todense(), wanted, rtol=1e-10, atol=1e-12)
    assert found.nnz == entries
    np.testing.assert_allclose(graphax.jacve(fun, argnums)(*args), wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("running", (lax.cumprod, lax.cummax, lax.cummin, lax.cumlogsumexp))
@pytest.mark.parametrize("reverse", (False, True))
def test_a_running_reduction_is_a_triangle_along_its_axis(running, reverse):
    x = jnp.asarray(RNG.normal(size=(3, 4)))
    assert_sparse(lambda x: jnp.sin(running(x, 1, reverse)), x, entries=3 * 10)
    assert_sparse(lambda x: running(x, 0, reverse), x, entries=4 * 6)


@pytest.mark.parametrize(
    ("left", "lower", "transposed", "unit"),
    [case for case in itertools.product((True, False), repeat=4) if sum(case) % 2],
)
def test_triangular_systems_read_half_of_their_matrices(left, lower, transposed, unit):
    a = jnp.asarray(RNG.normal(size=(2, 3, 3)) + 3 * np.eye(3))
    b = jnp.asarray(RNG.normal(size=(2, 3, 2) if left else (2, 2, 3)))

    def solve(a, b):
        return lax.linalg.triangular_solve(
            a, b, left_side=left, lower=lower, transpose_a=transposed, unit_diagonal=unit
        )

    assert_sparse(solve, a, b, entries=2 * 2 * 6, argnums=1)
    # Of three rows one to three (none to two) entries reach one to three places.
    assert_sparse(solve, a, b, entries=2 * 2 * ((1 + 2) + (1 + 0 if unit else 3 + 1 * 4)), argnums=0)


@pytest.mark.parametrize("symmetrize", (True, False))
def test_a_factor_depends_on_the_rows_before_and_its_own(symmetrize):
    a = RNG.normal(size=(2, 3, 3))
    a = jnp.asarray(a @ a.transpose(0, 2, 1) + 3 * np.eye(3))

    def factor(a):
        return lax.linalg.cholesky(a, symmetrize_input=symmetrize)

    found = jax.jit(graphax.jacve(factor, sparse=True))(a)
    wanted = jax.jit(jax.jacfwd(factor))(a)
    np.testing.assert_allclose(found.todense(), wanted, rtol=1e-10, atol=1e-12)
    entries = np.count_nonzero(abs(wanted) > 1e-12)
    # Newer releases of JAX read one half of the matrix alone, where it is not made symmetric.
    assert found.nnz == entries if symmetrize else found.nnz >= entries


@pytest.mark.parametrize("shape", ((2, 4, 3), (3, 3)))
def test_factors_of_qr_go_by_the_columns_before(shape):
    a = jnp.asarray(RNG.normal(size=shape))
    height, width = shape[-2:]
    count = math.prod(shape[:-2])
    columns = [k + 1 for k in range(width)]
    of_triangle = [min(i, j) + 1 + (i < j) for i in range(width) for j in range(i, width)]
    for at, entries in enumerate((height * height * sum(columns), height * sum(of_triangle))):
        assert_sparse(lambda a, at=at: jnp.linalg.qr(a)[at], a, entries=count * entries)


def test_factors_of_lu_go_by_the_columns_before_and_rows_in_any_order():
    a = jnp.asarray(RNG.normal(size=(2, 3, 3)))
    entries = 3 * sum(min(i, j) + 1 for i in range(3) for j in range(3))
    assert_sparse(lambda a: lax.linalg.lu(a)[0], a, entries=2 * entries)


def solver(solve):
    return lambda _, b: solve(b)


@pytest.mark.parametrize("size", (6, 66))
def test_the_inverse_of_a_system_has_the_entries_of_its_powers(size):
    """Diagonals, triangles and blocks, whoever solves; at every size."""
    b, d = jnp.asarray(RNG.normal(size=size)), jnp.asarray(RNG.uniform(1, 2, size))
    w = jnp.asarray(RNG.normal(size=(size, size))) / size + 2 * jnp.eye(size)
    triangle = size * (size + 1) // 2
    assert_sparse(
        lambda b: lax.custom_linear_solve(
            lambda x: d * x, b, solver(lambda b: b / d), solver(lambda b: b / d)
        ),
        b,
        entries=size,
    )
    assert_sparse(lambda b: jax.scipy.sparse.linalg.cg(lambda x: jnp.diag(d) @ x, b)[0], b, entries=size)
    assert_sparse(lambda b: jnp.linalg.solve(jnp.tril(w), b), b, entries=triangle)
    assert_sparse(lambda b: jnp.linalg.solve(jnp.triu(w), jnp.sin(b)), b, entries=triangle)
    assert_sparse(
        lambda b: jnp.linalg.solve(jax.scipy.linalg.block_diag(w[::2, ::2], w[1::2, 1::2]), b),
        b,
        entries=size**2 // 2,
    )


def test_solutions_of_several_systems_are_apart_and_triangles():
    w, b = jnp.asarray(RNG.normal(size=(3, 4, 4)) + 4 * np.eye(4)), jnp.asarray(RNG.normal(size=(3, 4, 2)))
    assert_sparse(lambda b: jnp.linalg.solve(jnp.tril(w), b), b, entries=3 * 2 * 10)
    # Row i of a solution goes by the rows up to it, each of which by what stands below the diagonal there.
    assert_sparse(lambda w: jnp.linalg.solve(jnp.tril(w), b), w, entries=3 * 2 * (1 + 3 + 6 + 10))


@pytest.mark.slow
def test_complex_factors_and_solutions_have_the_zeros_of_real_ones():
    z = RNG.normal(size=(2, 3, 3)) + 1j * RNG.normal(size=(2, 3, 3))
    hermitian, b = z @ z.conj().transpose(0, 2, 1) + 3 * np.eye(3), RNG.normal(size=(2, 3, 1)) + 0j
    x = jnp.zeros((2, 3, 3))
    for fun in (lambda x: jnp.linalg.cholesky(hermitian + x), lambda x: jnp.linalg.qr(z + x)[1]):
        found, wanted = graphax.jacve(fun, sparse=True)(x), jax.jacfwd(fun)(x)
        np.testing.assert_allclose(found.todense(), wanted, rtol=1e-10, atol=1e-12)
        assert found.nnz == np.count_nonzero(abs(wanted) > 1e-12)

    def solve(z):
        return lax.linalg.triangular_solve(z, b, left_side=True, lower=True)

    found = graphax.jacve(solve, holomorphic=True, sparse=True)(jnp.asarray(z))
    wanted = jax.jacfwd(solve, holomorphic=True)(jnp.asarray(z))
    np.testing.assert_allclose(found.todense(), wanted, rtol=1e-10, atol=1e-12)
    assert found.nnz == np.count_nonzero(wanted)


@pytest.mark.parametrize("mode", (None, "clip", "drop"))
def test_scattered_extremes_have_one_entry_for_everything_scattered(mode):
    index = np.array([0, 2, 2, 1, 2, 4])
    y, x = jnp.asarray(RNG.normal(size=(4, 2))), jnp.asarray(RNG.integers(-2, 3, (6, 2)), float)

    def both(y, x, index=index):
        return jnp.sin(y).at[index].max(x, mode=mode) * jnp.cos(y).at[index].min(x * x, mode=mode)

    def same(y, x):  # JAX's derivative knows of no clipping
        return both(y, x, np.minimum(index, 3) if mode == "clip" else index)

    assert_sparse(both, y, x, entries=8, argnums=0, same=same)
    assert_sparse(both, y, x, entries=2 * (6 if mode == "clip" else 5), argnums=1, same=same)


def test_the_largest_of_segments_are_those_of_jax():
    x, segments = jnp.asarray(RNG.normal(size=7)), np.array([0, 0, 2, 1, 2, 2, 0])
    assert_sparse(lambda x: jax.ops.segment_max(x**2, segments, 4), x, entries=7)

    def shares(x):
        share = jnp.exp(x - jax.ops.segment_max(x, segments, 3)[segments])
        return share / jax.ops.segment_sum(share, segments, 3)[segments]

    assert_sparse(shares, x, entries=9 + 1 + 9)


@pytest.mark.parametrize("size", (12, 80))  # static arrays of more than 64 x 64 places are not held
@pytest.mark.parametrize(
    "fun",
    (
        lambda x: jnp.cumsum(jnp.sin(jnp.cumsum(x))),
        lambda x: lax.cumsum(jnp.exp(lax.cumprod(x, 0, True)), 0, True),
        lambda x: lax.associative_scan(lambda a, b: a * b, x),
        lambda x: jax.scipy.linalg.solve_triangular(
            np.tri(len(x)) + np.eye(len(x)), lax.cummax(x), lower=True
        ),
    ),
    ids=("sums_of_sums", "from_the_end", "associative", "solution_of_running_maxima"),
)
def test_a_product_of_triangles_is_one_however_large_it_is(fun, size):
    x = jnp.asarray(RNG.permutation(np.linspace(0.9, 1.1, size)))
    derivative = jax.jit(graphax.jacve(fun, sparse=True))(x)
    wanted = jax.jit(jax.jacfwd(fun))(x)
    np.testing.assert_allclose(derivative.todense(), wanted, rtol=1e-10, atol=1e-12)
    assert derivative.nnz == size * (size + 1) // 2


def test_what_is_known_of_one_triangle_is_known_beyond_the_static_ones():
    pattern = graphax.jacobian_structure(jnp.cumsum)(jax.ShapeDtypeStruct((1100,), np.float64))
    assert pattern.nnz == 1100 * 1101 // 2
    assert (pattern.columns <= pattern.rows).all()


def test_few_rows_are_followed_from_the_results():
    def first_of_two_runs(x):
        return jnp.cumsum(jnp.sin(jnp.cumsum(x)))[:3]

    found = graphax.jacve(first_of_two_runs, sparse=True)(jnp.linspace(0.1, 1, 100))
    assert found.nnz == 1 + 2 + 3
