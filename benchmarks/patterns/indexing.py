"""Indices, constant and traced: segments, scatters, interpolation, sorting."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import ndimage

from ._case import Collection
from .reasons import TIES

indexing = Collection("indexing", seed=4)
normal = indexing.normal


_SEGMENTS = np.array([0, 0, 2, 1, 2, 2, 3, 0, 3, 1])
_TRIANGLES = np.array([[0, 1, 2], [1, 2, 3], [2, 3, 4], [4, 5, 0]])


@indexing.case(normal(10))
def gathered_entries(x):
    """Products of entries at two arrays of indices."""
    return x[_SEGMENTS] * x[_SEGMENTS[::-1]]


@indexing.case(normal(6, 2))
def areas_of_triangles(points):
    """Areas of triangles between points that they share."""
    a, b, c = (points[_TRIANGLES[:, k]] for k in range(3))
    return 0.5 * ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])


@indexing.case(normal(10))
def sums_of_segments(x):
    """Sums over segments."""
    return jax.ops.segment_sum(jnp.sin(x), _SEGMENTS, 4)


@indexing.case(normal(10), wide=True)
def maxima_of_segments(x):
    """The largest entry of every segment."""
    return jax.ops.segment_max(x, _SEGMENTS, 4)


@indexing.case(normal(10), wide=True)
def minima_of_segments(x):
    """The least entry of every segment."""
    return jax.ops.segment_min(x**3, _SEGMENTS, 4)


@indexing.case(normal(10))
def softmax_over_segments(x):
    """Shares within every segment."""
    share = jnp.exp(x)
    return share / jax.ops.segment_sum(share, _SEGMENTS, 4)[_SEGMENTS]


@indexing.case(normal(10), wide=True)
def stable_softmax_over_segments(x):
    """Shares within every segment, after its maximum has been taken off."""
    share = jnp.exp(x - jax.ops.segment_max(x, _SEGMENTS, 4)[_SEGMENTS])
    return share / jax.ops.segment_sum(share, _SEGMENTS, 4)[_SEGMENTS]


@indexing.case(normal(4), normal(10), argnums=(0, 1), wide=True)
def scattered_maxima(y, x):
    """The larger of what is there and of what comes, at constant indices."""
    return y.at[_SEGMENTS].max(x)


@indexing.case(normal(6), normal(3), argnums=(0, 1), wide=True)
def scattered_minima(y, x):
    """The lesser of what is there and of what comes, at three places."""
    return y.at[np.array([1, 4, 5])].min(x)


@indexing.case(normal(6), normal(3), argnums=(0, 1))
def scattered_products(y, x):
    """What is there times what comes, at three constant indices."""
    return y.at[np.array([4, 0, 2])].multiply(x, unique_indices=True)


@indexing.case(normal(8), normal(3), argnums=(0, 1))
def overwritten_entries(y, x):
    """Three entries set, one of them added to afterwards."""
    return (y**2).at[np.array([1, 3, 6])].set(jnp.sin(x)).at[3].add(x[0] * x[2])


@indexing.case(normal(5, 6))
def strided_slices(x):
    """Slices with steps, in both axes and from the end."""
    return x[::2, 1::3] * x[::-2, ::3]


@indexing.case(np.array([0.3, 1.7, 3.2, 0.9]), np.arange(6.0), normal(6), wide=False)
def interpolated_by_places(x, knots, values):
    """Linear interpolation by where it is evaluated."""
    return jnp.interp(x, knots, values)


@indexing.case(normal(6), np.array([0.3, 1.7, 3.2, 0.9]))
def interpolated_by_values(values, x):
    """Linear interpolation between constant knots, at constant places, by the values."""
    return jnp.interp(np.array([0.3, 1.7, 3.2, 0.9]), np.arange(6.0), values)


@indexing.case(normal(6), np.array([0.3, 1.7, 3.2, 0.9]), by_values=True)
def interpolated_where_asked(values, x):
    """Linear interpolation between constant knots by the values, at places that are arguments."""
    return jnp.interp(x, np.arange(6.0), values)


@indexing.case(np.array([0.0, 1.1, 2.0, 3.2, 4.0]), normal(5), by_values=True)
def interpolated_by_knots(knots, values):
    """Linear interpolation at constant places by its knots."""
    return jnp.interp(np.array([0.3, 1.7, 3.6]), knots, values)


@indexing.case(normal(5, 5))
def image_at_constant_points(image):
    """An image at constant points between pixels, by the image."""
    at = np.array([[0.5, 1.2, 3.7], [2.1, 0.4, 3.3]])
    return ndimage.map_coordinates(image, list(at), order=1)


@indexing.case(
    np.array([[0.5, 1.2, 3.7], [2.1, 0.4, 3.3]]),
    normal(5, 5),
)
def image_by_where_it_is_read(at, image):
    """An image between pixels by the coordinates: a block for every point."""
    return ndimage.map_coordinates(image, list(at), order=1)


@indexing.case(normal(5, 5), np.array([[0.5, 1.2, 3.7], [2.1, 0.4, 3.3]]), by_values=True)
def warped_image(image, at):
    """An image between pixels by the image, at coordinates that are arguments."""
    return ndimage.map_coordinates(image, list(at), order=1)


@indexing.case(normal(6))
def resized_line(x):
    """A line at twice its length, by linear interpolation."""
    return jax.image.resize(x, (12,), "linear")


@indexing.case(normal(4, 4))
def resized_image(image):
    """An image at twice its size, by linear interpolation."""
    return jax.image.resize(image, (8, 8), "linear")


@indexing.case(normal(4, 4))
def nearest_image(image):
    """An image at one and a half its size, by the nearest pixel."""
    return jax.image.resize(image, (6, 6), "nearest")


@indexing.case(normal(8), by_values=True)
def sorted_entries(x):
    """Entries in ascending order: one nonzero in every row."""
    return jnp.sort(x)


@indexing.case(normal(3, 5), by_values=True)
def sorted_rows(x):
    """Every row in ascending order."""
    return jnp.sort(x, 1)


@indexing.case(normal(8), normal(8), by_values=True)
def ordered_by_another(x, keys):
    """Entries in the order of others."""
    return jnp.sin(x)[jnp.argsort(keys)]


@indexing.case(normal(9), by_values=True)
def three_largest(x):
    """The three largest entries."""
    return jax.lax.top_k(x, 3)[0]


@indexing.case(normal(7), by_values=True)
def median_entry(x):
    """The median of seven numbers."""
    return jnp.median(x)


@indexing.case(normal(9), by_values=True, reason=TIES)
def largest_entry(x):
    """The largest of nine numbers."""
    return jnp.max(x)


@indexing.case(normal(4, 3), by_values=True, reason=TIES)
def largest_of_rows(x):
    """The largest number of every row."""
    return jnp.max(x, 1)


@indexing.case(normal(7, 3), np.array([5, 0, 2, 2]), by_values=True)
def embedded_tokens(table, tokens):
    """Rows of a table by tokens that are arguments."""
    return table[tokens]


@indexing.case(normal(7), np.array([5, 0, 2, 2]), by_values=True)
def taken_entries(x, index):
    """Entries at indices that are arguments, squared."""
    return jnp.take(x, index) ** 2


@indexing.case(normal(4, 5), np.array([[1], [0], [4], [2]]), by_values=True)
def taken_along_rows(scores, labels):
    """One entry of every row, by labels that are arguments."""
    return jnp.take_along_axis(jax.nn.tanh(scores), labels, 1)


@indexing.case(normal(4, 5), np.array([1, 0, 4, 2]))
def cross_entropy_of_rows(scores, labels):
    """Losses of four rows of scores, by labels that are arguments: a block for every row."""
    return -jnp.take_along_axis(jax.nn.log_softmax(scores), labels[:, None], 1)[:, 0]


@indexing.case(normal(4), np.array([5, 0, 2, 2]), by_values=True)
def added_at_arguments(x, index):
    """Entries added at indices that are arguments."""
    return jnp.zeros(7).at[index].add(x**2)


@indexing.case(normal(8), np.array(3), by_values=True)
def slice_from_argument(x, start):
    """Four entries from a place that is an argument on."""
    return jax.lax.dynamic_slice(x, (start,), (4,)) ** 2


@indexing.case(normal(8), normal(8))
def rolled_by_constant(x, y):
    """Two arrays, one of them rolled, multiplied."""
    return x * jnp.roll(y * x, 3)


@indexing.case(normal(8), np.array(3), by_values=True)
def rolled_by_argument(x, shift):
    """An array rolled by an argument."""
    return jnp.roll(x, shift)


@indexing.case(normal(5, 2), by_values=True, reason=TIES)
def nearest_neighbours(points):
    """Squared distances to the nearest of five points, found at run time."""
    apart = jnp.sum((points[:, None] - points) ** 2, -1) + 1e3 * np.eye(5)
    return jnp.min(apart, 1)


@indexing.case(normal(10), wide=True)
def rectified_differences(x):
    """Differences of neighbours where they are positive."""
    return jax.nn.relu(jnp.diff(x))


@indexing.case(normal(10), wide=True)
def upwind_differences(u):
    """Differences on the side from which the flow comes."""
    return jnp.where(u > 0, u - jnp.roll(u, 1), jnp.roll(u, -1) - u) * u


@indexing.case(normal(10), wide=True)
def limited_slopes(u):
    """Slopes after the minmod limiter."""
    left, right = u - jnp.roll(u, 1), jnp.roll(u, -1) - u
    return jnp.where(left * right > 0, jnp.sign(left) * jnp.minimum(abs(left), abs(right)), 0.0)


@indexing.case(normal(10), wide=True)
def clipped_entries(x):
    """Entries within bounds, others at them."""
    return jnp.clip(x, -0.5, 0.5)
