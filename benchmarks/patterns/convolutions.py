"""Convolutions and windows in one to three dimensions: bands in space, dense in channels alone."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import signal

from ._case import Collection

convolutions = Collection("convolutions", seed=0)
normal = convolutions.normal
_LINE, _PLANE = ("NWC", "WIO", "NWC"), ("NHWC", "HWIO", "NHWC")
_SMOOTH = np.array([0.25, 0.5, 0.25])
_CROSS = np.array([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


@convolutions.case(normal(20))
def smoothed_signal(x):
    """A signal smoothed by three weights that are known, as long as it was."""
    return jnp.convolve(x, _SMOOTH, "same")


@convolutions.case(normal(12), normal(4), argnums=(0, 1))
def product_of_polynomials(p, q):
    """Coefficients of a product of polynomials by those of both."""
    return jnp.convolve(p, q)


@convolutions.case(normal(16), normal(5))
def matched_filter(x, template):
    """The correlation of a signal with a template where they overlap wholly."""
    return jnp.correlate(x, template, "valid")


@convolutions.case(normal(16))
def squared_slopes(x):
    """Squares of differences that a convolution takes."""
    return jnp.convolve(x, np.array([1.0, 0.0, -1.0]), "valid") ** 2


@convolutions.case(normal(1, 12, 2), normal(3, 2, 3))
def convolution_of_channels(x, w):
    """A convolution over twelve places from two channels to three."""
    return lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers=_LINE)


@convolutions.case(normal(1, 12, 2), normal(3, 2, 3), argnums=1)
def convolution_by_its_kernel(x, w):
    """A convolution over twelve places by its kernel."""
    return lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers=_LINE)


@convolutions.case(normal(2, 13, 2), normal(3, 2, 2))
def strided_convolution(x, w):
    """A convolution at every second place, of two signals."""
    return lax.conv_general_dilated(x, w, (2,), "VALID", dimension_numbers=_LINE)


@convolutions.case(normal(1, 14, 1), normal(3, 1, 2))
def dilated_convolution(x, w):
    """A convolution with holes in its kernel, and none before its time: a temporal network's layer."""
    return lax.conv_general_dilated(x, w, (1,), [(4, 0)], rhs_dilation=(2,), dimension_numbers=_LINE)


@convolutions.case(normal(1, 7, 2), normal(3, 2, 2))
def upsampling_convolution(x, w):
    """A convolution of a signal with zeros between its entries."""
    return lax.conv_general_dilated(x, w, (1,), [(1, 1)], lhs_dilation=(2,), dimension_numbers=_LINE)


@convolutions.case(normal(1, 10, 4), normal(3, 2, 4))
def grouped_convolution(x, w):
    """A convolution of two groups of channels that do not mix."""
    return lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers=_LINE, feature_group_count=2)


@convolutions.case(normal(1, 5, 5, 3), normal(3, 3, 1, 3))
def depthwise_convolution(x, w):
    """Every channel of an image by a kernel of its own."""
    return lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=_PLANE, feature_group_count=3)


@convolutions.case(normal(1, 8, 2), normal(3, 2, 2))
def transposed_convolution(x, w):
    """A convolution that doubles a signal's length."""
    return lax.conv_transpose(x, w, (2,), "SAME", dimension_numbers=_LINE)


@convolutions.case(normal(1, 4, 4, 2), normal(3, 3, 2, 1))
def decoded_image(x, w):
    """A decoder's layer that doubles both sides of an image."""
    return jnp.tanh(lax.conv_transpose(x, w, (2, 2), "SAME", dimension_numbers=_PLANE))


@convolutions.case(normal(1, 6, 6, 1), normal(3, 3, 1, 2), normal(2), argnums=(0, 1, 2))
def image_layer(x, w, b):
    """A layer of a network on images by image, kernel and offsets."""
    return jnp.tanh(lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=_PLANE) + b)


@convolutions.case(normal(2, 7, 7, 1), normal(3, 3, 1, 1))
def strided_image_layer(x, w):
    """A layer that halves both sides of two images."""
    return jax.nn.softplus(lax.conv_general_dilated(x, w, (2, 2), "VALID", dimension_numbers=_PLANE))


@convolutions.case(normal(1, 6, 6, 1), normal(3, 3, 1, 2), normal(3, 3, 2, 1))
def two_image_layers(x, first, second):
    """Two layers: every result sees five by five points."""
    hidden = jnp.tanh(lax.conv_general_dilated(x, first, (1, 1), "SAME", dimension_numbers=_PLANE))
    return lax.conv_general_dilated(hidden, second, (1, 1), "SAME", dimension_numbers=_PLANE)


@convolutions.case(normal(1, 8, 8, 1), normal(3, 3, 1, 2), wide=True)
def layer_and_pooling(x, w):
    """A rectified layer, and the largest of every two by two."""
    hidden = jax.nn.relu(lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=_PLANE))
    return lax.reduce_window(hidden, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


@convolutions.case(normal(6, 6))
def laplacian_by_convolution(u):
    """Heat's flow on a plane, by a kernel whose corners are zero."""
    return signal.convolve2d(u, jnp.asarray(_CROSS), mode="same")


@convolutions.case(normal(6, 6))
def edges_of_image(image):
    """How strong edges are: two differences by kernels with a column of zeros."""
    kernel = jnp.array([[1.0, 0.0, -1.0], [2.0, 0.0, -2.0], [1.0, 0.0, -1.0]])
    across, down = signal.convolve2d(image, kernel, "valid"), signal.convolve2d(image, kernel.T, "valid")
    return jnp.sqrt(across**2 + down**2 + 1e-3)


@convolutions.case(normal(6, 6), normal(6, 6))
def wave_on_plane(u, before):
    """A step of the wave equation, whose differences a convolution takes."""
    kernel = jnp.asarray(_CROSS)[None, None]
    force = lax.conv_general_dilated(u[None, None], kernel, (1, 1), "SAME")[0, 0]
    return 2 * u - before + 0.1 * force - 0.01 * u**3


@convolutions.case(normal(1, 1, 4, 4, 4), normal(1, 1, 3, 3, 3))
def convolution_in_space(x, w):
    """A convolution in three dimensions."""
    return lax.conv_general_dilated(x, w, (1, 1, 1), "SAME")


@convolutions.case(normal(1, 1, 6, 6))
def image_patches(x):
    """All patches of two by two."""
    return lax.conv_general_dilated_patches(x, (2, 2), (1, 1), "VALID")


@convolutions.case(normal(8, 8))
def separable_blur(image):
    """An image blurred along rows, then along columns."""
    rows = jax.vmap(lambda row: jnp.convolve(row, _SMOOTH, "same"))(image)
    return jax.vmap(lambda column: jnp.convolve(column, _SMOOTH, "same"), 1, 1)(rows)


@convolutions.case(normal(12), wide=True)
def largest_of_pairs(x):
    """The larger of every two."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (2,), (2,), "VALID")


@convolutions.case(normal(6, 6), wide=True)
def eroded_image(image):
    """The least of three by three around every point."""
    return lax.reduce_window(image, jnp.inf, lax.min, (3, 3), (1, 1), "SAME")


@convolutions.case(normal(1, 6, 6, 2))
def average_pooling(x):
    """Means of two by two, squared."""
    return (lax.reduce_window(x, 0.0, lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4) ** 2


@convolutions.case(normal(15))
def moving_sums(x):
    """Sums over five entries at every third place, past the ends too."""
    return jnp.tanh(lax.reduce_window(x, 0.0, lax.add, (5,), (3,), [(2, 2)]))


@convolutions.case(normal(15))
def dilated_window_sums(x):
    """Sums over three entries that lie two apart."""
    return lax.reduce_window(x, 0.0, lax.add, (3,), (1,), "VALID", window_dilation=(2,))


@convolutions.case(1 + normal(10) ** 2)
def window_products(x):
    """Products of three neighbours."""
    return lax.reduce_window(x, 1.0, lax.mul, (3,), (1,), "VALID")


@convolutions.case(normal(14))
def moving_deviation(x):
    """The standard deviation over a window that moves."""

    def mean(y):
        return lax.reduce_window(y, 0.0, lax.add, (4,), (1,), "VALID") / 4

    return jnp.sqrt(mean(x**2) - mean(x) ** 2 + 1e-2)


@convolutions.case(normal(1, 8, 3), normal(3, 3, 2))
def mean_of_layer(x, w):
    """The mean of a layer over all places, which depends on everything."""
    return jnp.tanh(lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers=_LINE)).mean(1)


@convolutions.case(normal(12), kind="hessian")
def roughness(x):
    """The energy of second differences that a convolution takes."""
    return jnp.sum(jnp.sqrt(1 + jnp.convolve(x, np.array([1.0, -2.0, 1.0]), "valid") ** 2))


@convolutions.case(normal(5, 5), kind="hessian")
def deblurring_loss(image):
    """The misfit of a blurred image, and a penalty on every point."""
    blurred = signal.convolve2d(image, jnp.asarray(_CROSS), mode="same")
    return jnp.sum((blurred - 1.0) ** 2) + jnp.sum(jnp.cosh(image))
