"""The rule of every family against `jax.jacrev`, and the structure that each must keep."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.ad_checkpoint import checkpoint_name
from jax.extend import core
from oracle import assert_same_jacobian

from graphax import jacve

NUMBERS = np.random.default_rng(0)


def array(*shape):
    return np.asarray(NUMBERS.normal(size=shape))


def matrices(*shape):
    """Well-conditioned ones."""
    return 0.3 * array(*shape) + np.diag(2 + 0.5 * np.arange(shape[-1]))


def symmetric(x):
    return x + x.swapaxes(-1, -2)


def conv(x, kernel, strides, padding, **options):
    spec = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=spec, **options)


def pooled(operation, x, window, strides, padding="VALID", **options):
    init = {lax.add: 0.0, lax.max: -np.inf, lax.min: np.inf}[operation]
    return lax.reduce_window(x, init, operation, window, strides, padding, **options)


def generic_pool(x):
    def first_by_square(a, b):
        return lax.select(a[0] * a[0] > b[0] * b[0], a[0], b[0]), a[1] + b[1]

    return lax.reduce_window((x, x * x), (0.0, 0.0), first_by_square, (1, 2), (1, 2), "VALID")


def dense_solver(a):
    return lambda matvec, b: jnp.linalg.inv(a) @ b


N = 4  # slices, of everything below
I = np.array([2, 0])  # noqa: E741
CASES = {
    "cumsum": (lambda x: lax.cumsum(x, axis=1), [array(N, 3, 2)]),
    "cumsum from the end": (lambda x: lax.cumsum(x, axis=0, reverse=True), [array(3, N)]),
    "cumsum of one entry": (lambda x: lax.cumsum(x, axis=1), [array(N, 1)]),
    "complex cumsum": (lambda x, y: jnp.abs(jnp.cumsum(x + 1j * y, 1)), [array(N, 3), array(N, 3)]),
    "cumprod": (lambda x: lax.cumprod(x, axis=1, reverse=True), [array(N, 3)]),
    "cumprod with a zero": (lambda x: lax.cumprod(x * jnp.array([1, 0, 1, 1.0]), axis=1), [array(3, 4)]),
    "cummax": (lambda x: lax.cummax(x, axis=0), [array(3, N)]),
    "cummin": (lambda x: lax.cummin(x, axis=1), [array(N, 3)]),
    "cummax of ties": (lambda x: lax.cummax(jnp.round(x) + 0 * x, axis=1), [array(N, 3)]),
    "cumlogsumexp": (lambda x: lax.cumlogsumexp(x, axis=1, reverse=True), [array(N, 3)]),
    "sort": (lambda x: lax.sort(x, dimension=0), [array(3, N)]),
    "sort of ties": (lambda x: jnp.sort(jnp.concatenate([x, x], 1)), [array(N, 2)]),
    "sort by integers": (
        lambda x, y: lax.sort((jnp.argsort(-x, 1), x, y), dimension=1, num_keys=1)[1:],
        [array(N, 3), array(N, 3)],
    ),
    "sort by two keys": (
        lambda x, y: lax.sort((jnp.round(x) + 0 * x, y, x * y), dimension=1, num_keys=2),
        [array(N, 3), array(N, 3)],
    ),
    "complex sort": (lambda x, y: jnp.abs(jnp.sort(x + 1j * y)), [array(N, 3), array(N, 3)]),
    "top_k": (lambda x: lax.top_k(x, 2)[0], [array(N, 3)]),
    "top_1": (lambda x: lax.top_k(x, 1)[0], [array(N, 3)]),
    "approx_max_k": (lambda x: lax.approx_max_k(x, 2)[0], [array(N, 3)]),
    "approx_min_k": (lambda x: lax.approx_min_k(x, 2, reduction_dimension=0)[0], [array(3, N)]),
    "sum of tiles": (lambda x: pooled(lax.add, x, (1, 2, 3), (1, 2, 3)), [array(N, 4, 3)]),
    "sum of sparse tiles": (
        lambda x: pooled(lax.add, x, (1, 2), (1, 4), window_dilation=(1, 2)),
        [array(N, 8)],
    ),
    "sum of windows": (
        lambda x: pooled(
            lax.add,
            x,
            (1, 3, 2),
            (1, 2, 1),
            ((0, 0), (2, 1), (0, 1)),
            base_dilation=(1, 2, 1),
            window_dilation=(1, 1, 2),
        ),
        [array(N, 3, 4)],
    ),
    "max of tiles": (lambda x: pooled(lax.max, x, (1, 2, 2, 1), (1, 2, 2, 1)), [array(2, 4, 2, 3)]),
    "max of windows": (lambda x: pooled(lax.max, x, (1, 3), (1, 1), "SAME"), [array(N, 4)]),
    "min of windows": (lambda x: pooled(lax.min, x, (2, 1), (1, 1)), [array(3, N)]),
    "max of windows of a row": (lambda x: pooled(lax.max, x, (2,), (2,)), [array(5)]),
    "mean pooling's gradient": (
        jax.grad(lambda x: jnp.sum(pooled(lax.add, x, (1, 2), (1, 1)) ** 2)),
        [array(N, 3)],
    ),
    "max pooling's gradient, tiles": (
        jax.grad(lambda x: jnp.sum(pooled(lax.max, x, (1, 2), (1, 2)) ** 2)),
        [array(N, 4)],
    ),
    "max pooling's gradient, windows": (
        jax.grad(lambda x: jnp.sum(pooled(lax.max, x, (1, 2), (1, 1)) ** 2)),
        [array(N, 3)],
    ),
    "max pooling's tangent": (
        lambda x: jax.jvp(lambda x: pooled(lax.max, x, (1, 2), (1, 2)) ** 2, (x,), (jnp.sin(x),))[1],
        [array(N, 4)],
    ),
    "generic windows": (generic_pool, [array(N, 4)]),
    "generic reduction": (
        lambda x: lax.reduce((x, x * x), (0.0, 1.0), lambda a, b: (a[0] + b[0], a[1] * b[1]), (1,)),
        [array(N, 3)],
    ),
    "convolution": (
        lambda x, k: conv(x, k, (1, 2), ((1, 0), (0, 0))),
        [array(2, 3, 4, 2), array(2, 2, 2, 3)],
    ),
    "convolution of tiles": (
        lambda x, k: conv(x, k, (2, 2), "VALID"),
        [array(2, 4, 2, 2), array(2, 2, 2, 3)],
    ),
    "convolution of pixels": (
        lambda x, k: conv(x, k, (1, 1), "SAME"),
        [array(2, 2, 3, 2), array(1, 1, 2, 3)],
    ),
    "depthwise convolution": (
        lambda x, k: conv(x, k, (1, 1), "SAME", feature_group_count=3),
        [array(2, 2, 3, 3), array(2, 2, 1, 6)],
    ),
    "grouped convolution": (
        lambda x, k: conv(x, k, (1, 1), "VALID", feature_group_count=2),
        [array(2, 2, 3, 4), array(2, 1, 2, 6)],
    ),
    "convolution of batch groups": (
        lambda x, k: conv(x, k, (1, 1), "VALID", batch_group_count=2),
        [array(4, 2, 3, 2), array(2, 1, 2, 6)],
    ),
    "dilated convolution": (
        lambda x, k: conv(x, k, (1, 1), ((1, 0), (2, 1)), lhs_dilation=(2, 1), rhs_dilation=(1, 2)),
        [array(2, 2, 3, 1), array(2, 2, 1, 2)],
    ),
    "transposed convolution": (
        lambda x, k: lax.conv_transpose(x, k, (2,), "SAME"),
        [array(2, 3, 2), array(3, 2, 2)],
    ),
    "fft": (lambda x, y: jnp.abs(jnp.fft.fft(x + 1j * y)), [array(N, 3), array(N, 3)]),
    "fft in two dimensions": (lambda x: jnp.real(jnp.fft.fft2(x) * 1j), [array(2, 3, 2)]),
    "rfft": (lambda x: jnp.abs(jnp.fft.rfft(x)), [array(N, 3)]),
    "irfft": (lambda x: jnp.fft.irfft(x + 2j * x, 4), [array(N, 3)]),
    "cholesky": (lambda x: lax.linalg.cholesky(jnp.eye(3) * 9 + symmetric(x)), [array(N, 3, 3)]),
    "cholesky as it is": (
        lambda x: lax.linalg.cholesky(x, symmetrize_input=False),
        [symmetric(matrices(N, 3, 3))],
    ),
    "complex cholesky": (
        lambda x: jnp.abs(lax.linalg.cholesky(jnp.eye(2) * 9 + x + 1j * x)),
        [array(N, 2, 2)],
    ),
    "lu": (lambda x: lax.linalg.lu(x)[0], [matrices(N, 3, 3)]),
    "lu of a tall matrix": (lambda x: lax.linalg.lu(x)[0], [array(N, 3, 2)]),
    "qr": (lambda x: jnp.linalg.qr(x), [array(N, 3, 2)]),
    "eigenvalues": (lambda x: jnp.linalg.eigvalsh(symmetric(x)), [matrices(N, 3, 3)]),
    "eigenvalues from a triangle": (
        lambda x: lax.linalg.eigh(jnp.tril(x), symmetrize_input=False)[1],
        [matrices(N, 3, 3)],
    ),
    "eigenvectors": (lambda x: jnp.linalg.eigh(symmetric(x))[1] ** 2, [matrices(N, 3, 3)]),
    "eigenvalues of any matrix": (lambda x: jnp.abs(jnp.linalg.eigvals(x)), [matrices(N, 3, 3)]),
    "svd": (lambda x: jnp.linalg.svd(x, full_matrices=False)[1:], [array(N, 3, 2)]),
    "complex svd": (lambda x: jnp.linalg.svd(x + 1j * x**2, compute_uv=False), [array(N, 2, 2)]),
    "triangular solve": (
        lambda a, b: lax.linalg.triangular_solve(a, b, left_side=True, lower=True),
        [matrices(N, 3, 3), array(N, 3, 2)],
    ),
    "triangular solve from the right": (
        lambda a, b: lax.linalg.triangular_solve(a, b, transpose_a=True, unit_diagonal=True),
        [matrices(N, 2, 2), array(N, 3, 2)],
    ),
    "complex triangular solve": (
        lambda a, b: jnp.abs(
            lax.linalg.triangular_solve(a + 1j * a, b + 0j, left_side=True, conjugate_a=True)
        ),
        [matrices(N, 2, 2), array(N, 2, 2)],
    ),
    "tridiagonal solve": (
        lax.linalg.tridiagonal_solve,
        [array(2, 3), 5 + array(2, 3), array(2, 3), array(2, 3, 2)],
    ),
    "solve": (jnp.linalg.solve, [matrices(N, 3, 3), array(N, 3, 2)]),
    "solve for a vector": (jnp.linalg.solve, [matrices(3, 3), array(3)]),
    "solve in a vmap": (jax.vmap(jnp.linalg.solve, (0, 1)), [matrices(N, 3, 3), array(3, N)]),
    "complex solve": (
        lambda a, b: jnp.abs(jnp.linalg.solve(a + 1j * a**2, b + 0j)),
        [matrices(N, 2, 2), array(N, 2, 2)],
    ),
    "conjugate gradients": (
        lambda a, b: jax.scipy.sparse.linalg.cg(lambda x: x @ symmetric(a) * jnp.arange(1, 3.0)[:, None], b)[
            0
        ],
        [symmetric(matrices(2, 2)), array(2, 2)],
    ),
    "solver of one's own": (
        lambda a, b: lax.custom_linear_solve(
            lambda x: jnp.sin(a) @ x, b, dense_solver(jnp.sin(a)), dense_solver(jnp.sin(a).T)
        ),
        [matrices(3, 3), array(3, 2)],
    ),
    "inverse": (jnp.linalg.inv, [matrices(N, 3, 3)]),
    "determinant": (lambda x: (jnp.linalg.det(x), jnp.linalg.slogdet(x)[1]), [matrices(N, 3, 3)]),
    "pseudo-inverse": (jnp.linalg.pinv, [array(N, 3, 2)]),
    "least squares": (lambda a, b: jnp.linalg.lstsq(a, b)[0], [array(3, 2), array(3, 2)]),
    "dynamic slice": (lambda x: lax.dynamic_slice(x, (jnp.argmax(x[:, 0]), 5), (2, N)), [array(3, N)]),
    "dynamic index": (lambda x: lax.dynamic_index_in_dim(x, jnp.argmax(x[0]), 1), [array(N, 3, 2)]),
    "dynamic update": (
        lambda x, y: lax.dynamic_update_slice(x, y, (jnp.argmax(x[:, 0]), 5)),
        [array(3, N), array(2, N)],
    ),
    "dynamic update of an entry": (
        lambda x, y: x.at[jnp.argmax(x)].set(y),
        [array(3), array()],
    ),
    "gather of rows": (lambda x: x[jnp.argsort(x[:, 0])[:2]], [array(3, N)]),
    "gather of entries": (lambda x: x[jnp.argsort(x[:, 0])[:2], jnp.argsort(x[0])[:2]], [array(3, 2)]),
    "gather out of bounds": (
        lambda x: jnp.take(x, 2 * jnp.argsort(x[:, 0]), axis=0, mode="fill", fill_value=0.0),
        [array(3, N)],
    ),
    "gather along an axis": (lambda x: jnp.take_along_axis(x, jnp.argsort(-x, 1), 1), [array(N, 3)]),
    "gather in a vmap": (jax.vmap(lambda x: x[jnp.argsort(x[:, 0])[:2]]), [array(N, 3, 2)]),
    "complex gather": (lambda x: jnp.abs((x + 1j * x**2)[jnp.argsort(x[:, 0])[:2]]), [array(3, N)]),
    "scatter": (lambda x, y: x.at[jnp.argsort(x[:, 0])[:2]].set(y), [array(3, N), array(2, N)]),
    "scatter on the same place": (
        lambda x, y: x.at[jnp.argmax(x[:, 0]) * I * 0].set(y),
        [array(3, N), array(2, N)],
    ),
    "scatter out of bounds": (lambda x, y: x.at[jnp.argmax(x[:, 0]) + I].add(y), [array(3, N), array(2, N)]),
    "scatter-sub": (lambda x, y: x.at[jnp.argmax(x[:, 0])].subtract(y), [array(3, N), array(N)]),
    "scatter-mul": (
        lambda x, y: x.at[jnp.argsort(x[:, 0])[:2]].multiply(y, unique_indices=True),
        [array(3, N), array(2, N)],
    ),
    "scatter-max": (lambda x, y: x.at[jnp.argsort(x[:, 0])[:2]].max(y), [array(3, N), array(2, N)]),
    "scatter-min with ties": (lambda x: x.at[jnp.argsort(x[:, 0])[:2]].min(x[:1]), [array(3, N)]),
    "scatter in a vmap": (
        jax.vmap(lambda x, y: x.at[jnp.argsort(x)[:2]].add(y)),
        [array(N, 3), array(N, 2)],
    ),
    "clamp by scalars": (lambda x: lax.clamp(-0.5, x, jnp.float64(0.5)), [array(N)]),
    "select by a scalar": (lambda x, y: lax.select(x[0] > 0, x, y), [array(N), array(N)]),
    "tile": (lambda x: jnp.tile(x, (2, 3)), [array(N, 3)]),
    "stack": (lambda x, y: jnp.stack([x, jnp.ones((N, 3)), y, x], 1), [array(N, 3), array(N, 3)]),
    "unstack": (lambda x: jnp.unstack(x, axis=1)[1:], [array(N, 3)]),
    "handed on": (
        lambda x: jnp.abs(lax.optimization_barrier((3, checkpoint_name(x, "x"), 1j * x))[2]),
        [array(N)],
    ),
    "gamma distribution": (lambda x: jax.random.gamma(jax.random.key(0), jnp.exp(x)), [array(N)]),
    "ragged product": (
        lambda x, y: lax.ragged_dot(x, y, jnp.array([1, 2])),
        [array(3, 2), array(2, 2, 2)],
    ),
    "zero size": (
        lambda x: (
            jnp.sort(x),
            lax.cumsum(x, 1),
            lax.cumprod(x, 0),
            jnp.fft.irfft(x + 0j, 4),
            x[:, jnp.argmax(jnp.ones(2))],
        ),
        [array(0, 3)],
    ),
}


def wrapped(fun):
    """The function between two elementwise ones, so that there is something to eliminate."""

    def between(*args):
        moved = [jnp.sin(0.1 * arg) * 10 for arg in args]
        return jax.tree.map(lambda leaf: leaf * jnp.cos(leaf), fun(*moved))

    return between


def columns(fun, argnums):
    """`jax.jacfwd` for what JAX can't batch, one column after the other."""

    def jacobian(*args):
        def one(at):
            def push(tangent):
                tangents = [jnp.zeros_like(arg) for arg in args]
                tangents[at] = tangent
                return jax.jvp(fun, args, tuple(tangents))[1]

            shape = args[at].shape
            found = lax.map(push, jnp.eye(args[at].size).reshape(-1, *shape))
            return jax.tree.map(
                lambda leaf: jnp.moveaxis(leaf, 0, -1).reshape(*leaf.shape[1:], *shape), found
            )

        return jax.tree.map(lambda *leaves: leaves, *map(one, argnums))

    return jacobian


@pytest.mark.parametrize("name", CASES)
def test_jacobians_equal_those_of_jacrev(name):
    fun, args = CASES[name]
    argnums = tuple(range(len(args)))
    reference = columns if name in ("generic windows", "ragged product") else jax.jacrev
    tolerance = {"conjugate gradients": 1e-4}.get(name, 1e-9)
    if jax.default_backend() == "gpu":
        if name == "scatter on the same place":
            pytest.skip("which update wins is left open on a GPU")
        if name.startswith("max pooling's gradient"):
            tolerance = 1e-6  # JAX packs two float64 into one for it

    args = [jnp.asarray(arg) for arg in args]

    @jax.jit
    def both(*args):
        bare = jacve(fun, order="reverse", argnums=argnums)(*args), reference(fun, argnums)(*args)
        between = wrapped(fun)
        expected = reference(between, argnums)(*args)
        return [
            bare,
            *(
                (jacve(between, order=order, argnums=argnums)(*args), expected)
                for order in ("forward", "reverse")
            ),
        ]

    for mine, theirs in both(*args):
        assert_same_jacobian(mine, theirs, tolerance)


B = 60  # slices, of which none may meet another
STRUCTURE = {
    "gamma distribution": (lambda x: jax.random.gamma(jax.random.key(0), jnp.exp(x)), [array(B, 5)], 5),
    "stack, unstack and tile": (lambda x: jnp.stack(jnp.unstack(jnp.tile(x, 2))), [array(B, 5)], 10),
    "cumsum": (lambda x: lax.cumsum(x, axis=1), [array(B, 5)], 25),
    "cumprod": (lambda x: lax.cumprod(x, axis=1), [array(B, 5)], 25),
    "sort": (lambda x: jnp.sort(x), [array(B, 5)], 25),
    "top_k": (lambda x: lax.top_k(x, 2)[0], [array(B, 5)], 10),
    "pooling": (lambda x: pooled(lax.max, x, (1, 2, 2), (1, 2, 2)), [array(B, 8, 8)], 64),
    "average pooling": (lambda x: pooled(lax.add, x, (1, 2, 2), (1, 2, 2)), [array(B, 8, 8)], 64),
    "windows": (lambda x: pooled(lax.max, x, (1, 3), (1, 1)), [array(B, 5)], 15),
    "convolution": (
        lambda x, k: conv(x, k, (1, 1), "SAME"),
        [array(B, 2, 2, 2), array(2, 2, 2, B)],
        2 * 2 * B,
    ),
    "depthwise convolution": (
        lambda x, k: conv(x, k, (2, 2), "VALID", feature_group_count=4),
        [array(B, 4, 4, 4), array(2, 2, 1, 4)],
        64,
    ),
    "fft": (lambda x: jnp.abs(jnp.fft.fft(x)), [array(B, 5)], 5 * 2 * 5),
    "cholesky": (lambda x: lax.linalg.cholesky(symmetric(x)), [array(B, 3, 3)], 81),
    "qr": (lambda x: jnp.linalg.qr(x), [array(B, 3, 2)], 6 * 6),
    "eigh": (lambda x: jnp.linalg.eigvalsh(x), [array(B, 3, 3)], 81),
    "inverse": (jnp.linalg.inv, [array(B, 3, 3)], 81),
    "triangular solve": (
        lambda a, b: lax.linalg.triangular_solve(a, b, left_side=True),
        [array(3, 3), array(3, B)],
        27,
    ),
    "solve": (jnp.linalg.solve, [array(3, 3), array(3, B)], 27),
    "solve in a vmap": (jax.vmap(jnp.linalg.solve), [array(B, 3, 3), array(B, 3)], 81),
    "dynamic slice": (lambda x: lax.dynamic_slice(x, (0, jnp.argmax(x[0])), (B, 2)), [array(B, 5)], 10),
    "dynamic update": (
        lambda x, y: lax.dynamic_update_slice(x, y, (jnp.argmax(x[0]), 0)),
        [array(B, 5), array(3, 5)],
        15,
    ),
    "gather": (lambda x: x[:, jnp.argsort(x[0])], [array(B, 5)], 5),
    "gather along an axis": (lambda x: jnp.take_along_axis(x, jnp.argsort(x), 1), [array(B, 5)], 25),
    "scatter": (lambda x, y: x.at[jnp.argsort(x[:, 0])[:3]].set(y), [array(5, B), array(3, B)], 15),
    "scatter in a vmap": (jax.vmap(lambda x, y: x.at[jnp.argmax(x)].add(y)), [array(B, 5), array(B)], 15),
}


@pytest.mark.parametrize("name", STRUCTURE)
def test_slices_that_are_apart_never_meet(name):
    fun, args, size = STRUCTURE[name]

    def scalar(*args):
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(fun(*map(jnp.cos, args))))

    jaxpr = jax.make_jaxpr(jacve(scalar, order="reverse", argnums=tuple(range(len(args)))))(*args)
    assert largest_array(jaxpr.jaxpr) <= 3 * B * size


def largest_array(jaxpr):
    """The most entries that a result of an equation has."""
    largest = 0
    for eqn in jaxpr.eqns:
        largest = max(largest, *(var.aval.size for var in eqn.outvars), 0)
        largest = max(largest, *map(largest_array, core.jaxprs_in_params(eqn.params)), 0)
    return largest


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_dtypes_are_kept(dtype):
    def fun(x):
        pooled_ = pooled(lax.add, x, (1, 3), (1, 1))
        return jnp.cumsum(x, 1) * jnp.sort(x), pooled_, x[:, jnp.argmax(x[0])], x @ lax.cumprod(x, axis=1).T

    x = jnp.asarray(array(N, 4), dtype)
    mine, theirs = jax.jit(lambda x: (jacve(fun)(x), jax.jacrev(fun)(x)))(x)
    assert_same_jacobian(mine, theirs, 8 * float(jnp.finfo(dtype).eps))


def several(x):
    """Some of the rules in one function of a (2, 2) array."""
    y = jnp.sort(x) + lax.cumprod(x, axis=1)
    y = lax.linalg.triangular_solve(y + 3 * jnp.eye(2), y[:, jnp.argsort(x[0])], left_side=True)
    return pooled(lax.max, lax.dynamic_update_slice(y, x[:1], (jnp.argmax(x[1]), 0)), (1, 2), (1, 1))


def test_under_and_over_every_transformation():
    points = jnp.asarray(0.3 * array(3, 2, 2) + np.eye(2))

    @jax.jit
    def both(points):
        x = points[0]
        mine, theirs = jacve(several), jax.jacrev(several)
        square = lambda jacobian: jax.grad(lambda x: jnp.sum(jacobian(x) ** 2))(x)  # noqa: E731
        return [
            (jax.vmap(mine)(points), jax.vmap(theirs)(points)),
            (square(mine), square(theirs)),
            (jacve(mine)(x), jax.jacfwd(theirs)(x)),
            (jacve(jax.vmap(several))(points), jax.jacrev(jax.vmap(several))(points)),
        ]

    for mine, theirs in both(points):
        assert_same_jacobian(mine, theirs)
    assert_same_jacobian(jacve(jnp.sort)(points[0]), jax.jacrev(jnp.sort)(points[0]))


def test_nans_stay_in_their_slices():
    x = jnp.array([[-1.0, 4.0, 9.0], [1.0, 4.0, 9.0]])
    fun = lambda x: jnp.cumsum(jnp.sort(jnp.sqrt(x)), axis=1)  # noqa: E731
    for order in ("forward", "reverse"):
        jacobian = jax.jit(jacve(fun, order=order))(x)
        assert_same_jacobian(jacobian[1], jax.jacrev(fun)(x)[1].at[:, 0].set(0.0))
