"""Expressions at the edges: NaN, infinity, overflow, indices out of bounds, ties, second derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from array_functions import LINE, SQUARE, controlled, customized, picked
from expanded import Expanded, check_derivatives, check_values
from jax import lax

pytestmark = pytest.mark.usefixtures("on_cpu")

NAN, INF = np.nan, np.inf
SPECIAL = np.array([1.5, -2.5, 0.5, -0.5, 0.0, -0.0, NAN, INF, -INF, 3e9, -3e9, 1e20, 0.49999999999999994])


EXPONENTS = -3.5, -3.0, -2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0, 2.5, 4.0, 5.0


def special(x):
    y = x[::-1]
    return (
        [lax.pow(x, jnp.array(exponent, x.dtype)) for exponent in EXPONENTS]
        + [x.astype(kind) for kind in (jnp.int32, jnp.uint32, jnp.int64, bool, jnp.float32, jnp.float64)]
        + [lax.round(x, method) for method in lax.RoundingMethod]
        + [jnp.sign(x), jnp.trunc(x), x // 2, x % 2, jnp.fmod(x, 2), jnp.maximum(x, y), jnp.minimum(x, y)]
        + [lax.clamp(-1.0, x, 1.0), x > y, x <= y, x == y, x != y, jnp.sqrt(x), jnp.log1p(x), 0 * x]
        + [jnp.logaddexp(x, y), lax.cumlogsumexp(x), lax.cummax(x), lax.cummin(x), jnp.isfinite(x)]
        + [
            jax.nn.sigmoid(x),
            x**2,
            x**-3,
            lax.rsqrt(x),
            jnp.power(x, y),
            jnp.arctan2(x, y),
            jnp.nan_to_num(x),
        ]
        + [x.max(), x.min(), x.argmax(), x.argmin(), jnp.nanmax(x), x[:5].max(), x[:7].argmin(), x.sum()]
        + [jnp.sort(x), jnp.argsort(x), lax.top_k(x, 5), lax.sort((y, x), num_keys=2), jnp.median(x)]
        + [jnp.sort(x > 0), jnp.argmax(x > 0), (x > y) < (y > 1), (x > y) >= (y > 1), jnp.max(x > 0)]
    )


def test_values_are_those_of_jax_at_nan_infinity_and_signed_zeros():
    check_values(special, SPECIAL)
    expanded = Expanded(lambda x: (jnp.sort(x), -x, jnp.sign(x), jnp.round(x)), SPECIAL)
    wanted = jnp.sort(SPECIAL), -SPECIAL, lax.sign(SPECIAL), jnp.round(SPECIAL)
    for found, want in zip(expanded.values(), wanted, strict=True):
        signs = ~np.isnan(want)
        np.testing.assert_array_equal(np.signbit(found)[signs], np.signbit(want)[signs])


def integers(a, b):
    # Sums of unsigned numbers are of 64 bits.
    signed = [-a, abs(a), jnp.sign(a), a.sum(), jnp.cumsum(a)] if a.dtype != jnp.uint32 else []
    return [
        a << 3,
        a >> 2,
        lax.shift_right_logical(a, jnp.array(5, a.dtype)) if a.dtype != jnp.int64 else a,
        a // b,
        a % b,
        lax.div(a, b),
        lax.rem(a, b),
        a & b,
        a | b,
        a ^ b,
        ~a,
        a + b,
        a - b,
        a * b,
        a**3,
        a < b,
        a == b,
        jnp.maximum(a, b),
        jnp.minimum(a, b),
        lax.clamp(b[0], a, b[1]),
        jnp.where(a > b, a, b),
        a.max(),
        a.argmin(),
        jnp.sort(a),
        a @ b,
        a.astype(float),
        a.astype(bool),
        *signed,
        lax.reduce_and(a, (0,)),
        lax.reduce_xor(a, (0,)),
        jnp.take(a, jnp.array([1, 9]), mode="fill"),
    ]


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint32])
def test_integers_wrap_around_and_are_divided_as_in_jax(dtype):
    limits = np.iinfo(dtype)
    a = np.array([7, limits.max, 5, limits.min, limits.min, limits.max - 7], dtype)
    check_values(integers, a, np.array([2, 3, 0, limits.max, 0 if limits.min == 0 else -1, 1], dtype))


@pytest.mark.parametrize("i", [[5, -1, 3, 3], [-9, 9, 0, 2], [2, 2, -4, 6]])
def test_indices_known_at_run_time_are_clamped_dropped_and_filled_as_in_jax(i):
    check_values(picked, LINE, SQUARE, np.array(i))
    check_values(lambda x, a: picked(x, a, np.array(i)), LINE, SQUARE)


@pytest.mark.parametrize("i", [-1, 0, 2, 3])
def test_of_branches_the_nearest_is_taken(i):
    check_values(controlled, -LINE, i)


def tied(x):
    return [
        x.max(),
        x.min(),
        x[:2].max(),
        lax.cummax(x),
        lax.cummin(x),
        jnp.sort(x),
        lax.top_k(x, 3),
        x.prod(),
        jnp.maximum(x, 1),
        jnp.minimum(x, 1),
        lax.clamp(1.0, x, 2.0),
        lax.clamp(x[0], x[1], x[2]),
        jnp.abs(x - 1),
        jnp.median(x),
        jax.nn.relu(x - 1),
        x**3,
        (x - 1) ** 4,
        lax.cumprod(x - 1),
        jnp.linalg.norm(x),
        lax.sort((x, x**2), num_keys=1),
        jax.nn.sigmoid(-1000 * x),
        jax.nn.sigmoid(1000 * x),
    ]


def test_what_is_tied_shares_derivatives_as_in_jax():
    check_derivatives(tied, np.array([1.0, 1, 2, 1, 2]))


def test_derivatives_are_infinite_where_those_of_jax_are():
    check_derivatives(lambda x: (x**-2, x**-1, x**3, jnp.sqrt(x), lax.rsqrt(x), jnp.cbrt(x)), np.zeros(2))
    check_derivatives(lambda x, i: lax.pow(x, i), np.zeros(4), np.arange(-1, 3))
    check_derivatives(lambda x: [x**exponent for exponent in EXPONENTS], np.array([0.0, 0.7]))


def curved(x, a, s, i):
    return [
        jnp.linalg.solve(a, x[:2]),
        jnp.linalg.inv(a),
        jnp.linalg.det(a),
        jax.scipy.linalg.cholesky(s),
        jax.nn.sigmoid(x),
        jax.nn.silu(x),
        jax.nn.softplus(x),
        jax.nn.logsumexp(x),
        lax.rsqrt(x**2 + 1),
        x**4,
        x ** (-3),
        lax.clamp(-1.0, x, 1.0) ** 2,
        x.max() ** 2,
        lax.cumlogsumexp(x),
        jnp.sort(x) ** 2,
        lax.cummax(x) ** 2,
        x.prod(),
        jnp.linalg.norm(x),
        jnp.logaddexp(x, 1.0),
        jnp.linalg.cholesky(s),
        lax.pow(x, i),
    ]


def test_second_derivatives_are_those_of_jax_when_they_are_asked_for():
    a = SQUARE[:2, :2]
    check_derivatives(curved, LINE[:3], a, a @ a.T + np.eye(2), np.arange(3), times=2)


def test_second_derivatives_of_rules_are_those_of_the_rules():
    check_derivatives(customized, LINE[:2], SQUARE[0, :2], times=2, mode=jax.jacrev)


def test_the_factor_of_a_matrix_has_the_derivatives_that_this_release_of_jax_gives_it():
    def fun(a):
        return lax.linalg.cholesky(a, symmetrize_input=False)

    matrix = np.array([[2.0, 0.3, 0.1], [0.3, 1.5, 0.2], [0.1, 0.2, 1.0]])
    for times in (1, 2):
        check_derivatives(fun, matrix, times=times)
