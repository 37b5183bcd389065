"""Convolutions, sums and selections over windows: sparse Jacobians are dense in features alone."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import graphax

RNG = np.random.default_rng(0)
LINE = ("NWC", "WIO", "NWC")


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def conv(image, kernel, strides, padding, form=None, **params):
    return lax.conv_general_dilated(image, kernel, strides, padding, dimension_numbers=form, **params)


# Shapes of an image and a kernel, and the rest of a convolution.
CONVOLUTIONS = {
    "same": ((2, 5, 2), (3, 2, 2), (1,), "SAME", {"form": LINE}),
    "strided, beyond one end": ((1, 2, 6), (2, 2, 3), (2,), [(2, -1)], {}),
    "dilated kernel": ((1, 7, 1), (3, 1, 2), (1,), [(4, 0)], {"form": LINE, "rhs_dilation": (2,)}),
    "dilated image": ((1, 1, 4), (1, 1, 3), (1,), [(1, 2)], {"lhs_dilation": (3,)}),
    "groups": ((1, 4, 4), (4, 2, 3), (1,), "SAME", {"feature_group_count": 2}),
    "groups of a batch": ((4, 1, 4), (4, 1, 2), (1,), "VALID", {"batch_group_count": 2}),
    "tiles": ((1, 1, 6), (2, 1, 2), (2,), "VALID", {}),
    "plane": ((1, 1, 3, 4), (1, 1, 3, 2), (1, 2), "SAME", {}),
    "all padding": ((1, 1, 2), (1, 1, 1), (2,), [(2, -1)], {}),
    "nothing meets": ((1, 1, 2), (1, 1, 1), (1,), [(2, -2)], {}),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_has_entries_where_image_and_kernel_meet(name):
    image, kernel, strides, padding, params = CONVOLUTIONS[name]
    args = jnp.asarray(RNG.normal(size=image)), jnp.asarray(RNG.normal(size=kernel))
    fun = functools.partial(conv, strides=strides, padding=padding, **params)
    found = jax.jit(graphax.jacve(fun, (0, 1), sparse=True))(*args)
    for block, wanted in zip(found, jax.jit(jax.jacrev(fun, (0, 1)))(*args), strict=True):
        np.testing.assert_allclose(block.todense(), wanted, rtol=1e-12, atol=1e-14)
        assert block.nnz == np.count_nonzero(wanted)
        assert block.structure.numbers <= block.nnz


def test_zeros_of_a_kernel_are_no_entries():
    cross = np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])[None, None]
    image = jnp.asarray(RNG.normal(size=(1, 1, 4, 5)))

    def flow(image):
        return jnp.tanh(conv(image, cross, (1, 1), "SAME"))

    found = graphax.jacve(flow, sparse=True)(image)
    np.testing.assert_allclose(found.todense(), jax.jacrev(flow)(image), rtol=1e-12, atol=1e-14)
    assert found.nnz == found.structure.numbers == 5 * 20 - 2 * (4 + 5)


def test_a_complex_convolution_inside_is_that_of_jax():
    x, kernel = jnp.asarray(RNG.normal(size=6)), np.array([1.0, 2j, 0.5])

    def fun(x):
        return jnp.abs(jnp.convolve(jnp.exp(1j * x), kernel)) ** 2

    found = graphax.jacve(fun, sparse=True)(x)
    np.testing.assert_allclose(found.todense(), jax.jacfwd(fun)(x), rtol=1e-12, atol=1e-12)


def column_by_column(fun):
    """The Jacobian without `jax.vmap`, through which generic reductions do not pass."""

    def jacobian(x):
        directions = np.eye(x.size).reshape(-1, *x.shape)
        return jnp.stack([jax.jvp(fun, (x,), (jnp.asarray(one),))[1] for one in directions], -1).reshape(
            *jax.eval_shape(fun, x).shape, *x.shape
        )

    return jax.jit(jacobian)


# A reduction, where it starts, the shape of its operand, and windows.
REDUCTIONS = {
    "largest": (lax.max, -jnp.inf, (4, 5), ((3, 2), (1, 2), "SAME"), {}),
    "least, dilated": (lax.min, jnp.inf, (6,), ((2,), (1,), [(1, 0)]), {"window_dilation": (3,)}),
    "products": (lax.mul, 1.0, (5,), ((3,), (1,), [(1, 1)]), {}),
    "sums": (lax.add, 0.0, (3, 2), ((3, 1), (2, 1), [(1, 1), (0, 0)]), {"base_dilation": (2, 1)}),
    "sums of tiles": (lax.add, 0.0, (6,), ((2,), (2,), "VALID"), {}),
    "sums of little": (lax.add, 0.0, (2,), ((1,), (9,), [(9, 9)]), {"base_dilation": (2,)}),
    "sums of nothing": (lax.add, 0.0, (2,), ((1,), (1,), [(2, -2)]), {}),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_a_reduction_has_entries_within_its_windows(name):
    kind, start, shape, windows, dilations = REDUCTIONS[name]

    def fun(x):
        return lax.reduce_window(x, start, kind, *windows, **dilations)

    def total(x):
        return lax.reduce_window(x, 0.0, lax.add, *windows, **dilations)

    points = jnp.asarray(RNG.normal(size=shape)), jnp.asarray(RNG.integers(1, 4, size=shape), float)
    ours, theirs = jax.jit(graphax.jacve(fun, sparse=True)), column_by_column(fun)
    for x in points:  # with ties
        found = ours(x)
        np.testing.assert_allclose(found.todense(), theirs(x), rtol=1e-12, atol=1e-14)
        assert found.nnz == np.count_nonzero(jax.jacfwd(total)(x))


def test_two_layers_and_their_hessian_are_sparse():
    x, w = jnp.asarray(RNG.normal(size=(1, 9, 1))), jnp.asarray(RNG.normal(size=(3, 1, 1)))

    def energy(x):
        hidden = jnp.tanh(conv(x, w, (1,), "VALID", LINE))
        return jnp.sum(jnp.cosh(lax.reduce_window(hidden, 0.0, lax.add, (1, 2, 1), (1, 1, 1), "VALID")))

    found = graphax.hessve(energy, sparse=True)(x)
    wanted = jax.hessian(energy)(x)
    np.testing.assert_allclose(found.todense(), wanted, rtol=1e-10, atol=1e-12)
    assert found.nnz == np.count_nonzero(abs(wanted) > 1e-14) == 9 + 2 * (8 + 7 + 6)
