"""Rows that are pulled back, and columns that are pushed forward, through what would be a large Jacobian."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend import core
from moves import spy_on_moves
from oracle import assert_same_jacobian, together

from graphax import _modes, hessve, jacve, value_and_jacve

RANDOM = np.random.default_rng(3)
M = RANDOM.normal(size=(6, 6)) / 4 + np.eye(6)
W, SLICES = RANDOM.normal(size=(8, 8)) / 4, RANDOM.normal(size=(3, 8))
KERNEL = RANDOM.normal(size=(2, 1, 3, 3))


def recurrent(w, slices=SLICES):
    def step(h, x):
        h = jnp.tanh(w @ h + x)
        return h, (jnp.sum(h), jnp.argmax(h))

    return lax.scan(step, jnp.ones(8), slices)


def convolved(x):
    return lax.conv_general_dilated(jnp.sin(x)[None, None], jnp.asarray(KERNEL), (1, 1), "SAME")


WHOLE = {
    "scan": lambda m: recurrent(W + jnp.pad(m, (0, 2)))[0],
    "cholesky": lambda m: jnp.linalg.cholesky(m @ m.T),
    "eigh": lambda m: jnp.linalg.eigh(m + m.T)[0],
    "qr": lambda m: jnp.linalg.qr(m)[1],
    "inverse": jnp.linalg.inv,
    "triangular solve": lambda m: jax.scipy.linalg.solve_triangular(m, jnp.arange(6.0), lower=True),
    "transform": lambda m: jnp.abs(jnp.fft.rfft(m)) ** 2,
    "convolution": convolved,
    "largest in windows": lambda m: lax.reduce_window(m**2, -jnp.inf, lax.max, (2, 2), (1, 1), "VALID"),
    "cumulative product": lambda m: jnp.cumprod(m, 1),
}


@pytest.fixture
def moved(monkeypatch):
    """The names of the primitives through which rows or columns were moved."""
    monkeypatch.setattr(_modes, "_has_loops", lambda _: False)  # no other direction is tried
    return spy_on_moves(monkeypatch)


@pytest.mark.parametrize("name", WHOLE)
def test_rows_of_few_results_are_pulled_back(moved, name):
    def fun(m):
        whole = jnp.sin(WHOLE[name](m))
        return jnp.sum(whole**2), jnp.sum(whole * m[0, 0])

    found, expected = together(jacve(fun), jax.jacrev(fun))(M)
    assert moved and all(direction == "_pulled" for direction, _ in moved)
    assert_same_jacobian(found, expected)


@pytest.mark.parametrize("name", WHOLE)
def test_columns_of_few_arguments_are_pushed_forward(moved, name):
    def fun(t):
        return jnp.sin(WHOLE[name](M * t[0] + jnp.sin(M) * t[1]))

    found, expected = together(jacve(fun), jax.jacfwd(fun))(np.array([1.1, 0.2]))
    assert moved and all(direction == "_pushed" for direction, _ in moved)
    assert_same_jacobian(found, expected)


def test_one_after_another_beside_others_and_values_of_their_own(moved):
    """Results that are returned themselves, integers among them, and a way around."""

    def fun(w, m):
        h, (_, places) = recurrent(w)
        factor = jnp.linalg.cholesky(m @ m.T + jnp.outer(h[:6], h[:6]))
        return jnp.sum(jnp.sin(factor)) * h[0] + w[0, 1], h[:2] @ m[:2, 0], places

    options = {"argnums": (0, 1), "allow_int": True}
    (value, found), expected = together(value_and_jacve(fun, **options), lambda *a: fun(*a))(W, M)
    assert [name for _, name in moved] == ["cholesky", "scan"]
    assert_same_jacobian(value[:2], expected[:2])
    assert_same_jacobian(found[:2], jax.jit(jax.jacrev(lambda *a: fun(*a)[:2], (0, 1)))(W, M))


def test_a_result_of_a_loop_that_is_a_result_of_the_function(moved):
    def fun(w):
        h, (sums, _) = recurrent(w, SLICES[:1])
        return sums, sums[0] * h[1]

    found, expected = together(jacve(fun), jax.jacrev(fun))(W)
    assert moved == [("_pulled", "scan")]
    assert_same_jacobian(found, expected)


def test_complex_numbers_are_moved(moved):
    def fun(w):
        z = lax.scan(lambda z, x: (jnp.tanh((w * 1j) @ z + x), None), jnp.ones(8, complex), SLICES)[0]
        return jnp.sum(jnp.abs(jnp.fft.ifft(z)) ** 2)

    few = jacve(lambda t: fun(W * t))
    found, expected, by_number, again = together(
        jacve(fun), jax.jacrev(fun), lambda w: few(1.0), lambda w: jnp.sum(jax.grad(fun)(w) * w)
    )(W)
    assert {name for _, name in moved} == {"scan", "fft"}
    assert_same_jacobian((found, by_number), (expected, again))


def test_no_array_is_as_large_as_the_jacobian_of_a_loop():
    def fun(w):
        return jnp.sum(recurrent(w)[0] ** 2)

    def sizes(jaxpr):
        for equation in jaxpr.eqns:
            yield from (var.aval.size for var in equation.outvars)
            for inner in core.jaxprs_in_params(equation.params):
                yield from sizes(inner)

    assert max(sizes(jax.make_jaxpr(jacve(fun))(W).jaxpr)) < W.size * 8
    assert max(sizes(jax.make_jaxpr(jacve(fun, order="reverse"))(W).jaxpr)) >= W.size * 8


def test_thin_loops_have_a_jacobian(moved):
    def thin(a):
        return jnp.sum(lax.scan(lambda h, x: (jnp.tanh(a * h + x), None), jnp.ones(8), SLICES)[0])

    assert_same_jacobian(*together(jacve(thin), jax.jacrev(thin))(W[0]))
    assert not moved


def test_rows_of_small_loops_are_not_pulled_back(moved):
    def small(a):
        return jnp.sum(lax.fori_loop(0, 3, lambda _, h: jnp.tanh(a.reshape(2, 2) @ h), jnp.ones(2)))

    assert_same_jacobian(*together(jacve(small), jax.jacrev(small))(W[0, :4]))
    assert ("_pulled", "scan") not in moved


def test_an_order_that_is_given_is_kept(moved):
    def fun(m):
        return jnp.sum(jnp.linalg.cholesky(m @ m.T))

    jax.make_jaxpr(lambda m: [jacve(fun, order="markowitz")(m), jacve(fun, sparse=True)(m).data()])(M)
    assert not moved


def test_what_is_moved_is_differentiated_again_and_mapped(moved):
    def fun(m):
        return jnp.sum(jnp.sin(jnp.linalg.cholesky(m @ m.T)))

    small, stack = M[:2, :2], np.stack([M[:2, :2], M[2:4, 2:4]])
    found, expected = together(
        lambda m, s: (
            jax.jacrev(jacve(fun))(m),
            jax.jacfwd(jacve(fun))(m),
            hessve(fun)(m),
            jax.vmap(jacve(fun))(s),
        ),
        lambda m, s: (*[jax.hessian(fun)(m)] * 3, jax.vmap(jax.jacrev(fun))(s)),
    )(small, stack)
    assert moved
    assert_same_jacobian(found, expected)


def test_what_windows_leave_out_stays_zero_next_to_infinity(moved):
    def fun(x):
        return jnp.sum(lax.reduce_window(jnp.sqrt(x), -jnp.inf, lax.max, (2,), (2,), "VALID"))

    found, expected = together(jacve(fun), jax.jacfwd(fun))(np.array([0.0, 4.0, 1.0, 0.0]))
    assert moved and np.isfinite(expected).all()
    assert_same_jacobian(found, expected)


def test_what_cannot_be_pulled_back_has_a_jacobian(moved):
    """Through a loop that a condition ends JAX has no reverse mode."""

    def fun(w):
        def step(h, x):
            return lax.while_loop(
                lambda h: h[0] < 3, lambda h: 2 * h + jnp.abs(w @ h), jnp.abs(h) + 0.1
            ), None

        return jnp.sum(lax.scan(step, jnp.ones(8), SLICES)[0])

    assert_same_jacobian(*together(jacve(fun), jax.jacfwd(fun))(W))
    assert ("_pulled", "scan") not in moved
