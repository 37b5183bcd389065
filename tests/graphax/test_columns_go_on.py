"""Few columns that came through a factorisation go on as tangents; a factor fails as a whole."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy import linalg
from oracle import assert_same_jacobian, together

import graphax
from graphax import _pushed_columns
from graphax._trace import inline
from graphax.rules import zeros_are_spoilt

jacve, hessve = (functools.partial(mode, kernel=False) for mode in (graphax.jacve, graphax.hessve))
RANDOM = np.random.default_rng(4)
X, Y = np.sort(RANDOM.normal(size=6)), RANDOM.normal(size=6)
P = np.array([0.1, -0.5, -1.0])


@pytest.fixture(autouse=True)
def without_modes(monkeypatch):
    monkeypatch.setenv("GRAPHAX_CANDIDATES", "kernels")


@pytest.fixture
def went(monkeypatch):
    """The primitives through which columns went as they were."""
    names, further = [], _pushed_columns.Moved.further

    def spy(moved, call, equation, edges):
        results = further(moved, call, equation, edges)
        names.extend([equation.primitive.name] * (results is not None))
        return results

    monkeypatch.setattr(_pushed_columns.Moved, "further", spy)
    return names


def kernel(p):
    return jnp.exp(p[1] - jnp.exp(-p[0]) * (X[:, None] - X) ** 2) + jnp.exp(p[2]) * jnp.eye(6)


def likelihood(p):
    factor = jnp.linalg.cholesky(kernel(p))
    return 0.5 * Y @ linalg.cho_solve((factor, True), Y) + jnp.sum(jnp.log(jnp.diagonal(factor)))


def predicted(p):
    factor = jnp.linalg.cholesky(kernel(p))
    weights = linalg.solve_triangular(factor, Y * p[0], lower=True)
    return kernel(p)[:3] @ weights, jnp.sqrt(jnp.diagonal(factor)) + p[1]


def mixed_with_branches(p):
    """What columns went through is joined by what they did not, and by a second factor."""
    factor = jnp.linalg.cholesky(kernel(p))
    other = jnp.linalg.cholesky(kernel(p[::-1] / 2))
    both = jnp.where(X > 0, factor @ other, factor * p[2])
    return jnp.concatenate([both[0] ** 2, p * 2, jnp.tanh(both[2, :2])])


@pytest.mark.parametrize("fun", [predicted, mixed_with_branches])
def test_jacobians_are_those_of_jax(fun, went):
    stack = np.stack([P, P[::-1] / 3])
    found, forward, mapped, expected, same = together(
        lambda s: jacve(fun)(s[0]),
        lambda s: jacve(fun, order="forward")(s[0]),
        jax.vmap(jacve(fun)),
        lambda s: jax.jacfwd(fun)(s[0]),
        jax.vmap(jax.jacfwd(fun)),
    )(stack)
    assert "dot_general" in went
    assert_same_jacobian(found, expected)
    assert_same_jacobian(forward, expected)
    assert_same_jacobian(mapped, same)


def test_hessians_of_a_likelihood_go_on_to_the_end(went):
    found, expected = together(hessve(likelihood), jax.hessian(likelihood))(P)
    assert_same_jacobian(found, expected)
    assert {"dot_general", "select_n", "reduce_sum", "mul", "pad"} <= set(went)


def test_many_columns_do_not_go_on_where_something_else_is_read(went):
    def fun(x):
        return jnp.concatenate([jnp.fft.fft(x).real * jnp.sin(x), x[:1]])

    jax.make_jaxpr(jacve(fun))(np.ones(20))
    assert went == ["real"]


SPOILT = {
    "a triangle and its diagonal": (False, lambda a: jnp.diagonal(jnp.linalg.cholesky(a)) * 2),
    "a choice by data": (True, lambda a: jnp.where(a[0] > 0, jnp.linalg.cholesky(a), 0.0)),
    "a choice by finiteness": (
        True,
        lambda a: jnp.where(jnp.isnan(low := jnp.linalg.cholesky(a)), jnp.linalg.cholesky(a + 1), low),
    ),
    "one of several matrices": (True, lambda a: jnp.linalg.cholesky(jnp.stack([a, a + 1]))[0]),
    "a determinant": (False, lambda a: jnp.linalg.slogdet(a)[1] + jnp.linalg.det(a)),
    "the trace of solutions": (False, lambda a: jnp.trace(jnp.linalg.solve(a, a.T))),
    "a row of solutions": (True, lambda a: jnp.linalg.solve(a, a.T)[0]),
    "a triangular solution": (True, lambda a: linalg.solve_triangular(a, a[0], lower=True)[:2]),
}


@pytest.mark.parametrize("name", SPOILT)
def test_zeros_are_spoilt_where_less_than_a_whole_factor_may_fail(name):
    spoilt, fun = SPOILT[name]
    assert zeros_are_spoilt(inline(jax.make_jaxpr(fun)(np.eye(3)))) == spoilt


def test_what_has_failed_and_is_left_out_stays_left_out():
    def fun(p):
        factor = jnp.linalg.cholesky(jnp.array([[p[0], 2.0], [2.0, p[1]]]))
        return jnp.where(p[0] * p[1] > 4, jnp.sum(factor**2, 0), p[0] ** 2) + p[1]

    found, expected = together(jacve(fun), jax.jacfwd(fun))(np.array([1.0, 3.0]))
    assert np.isfinite(found).all()
    assert_same_jacobian(found, expected)
