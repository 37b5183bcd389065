"""Rows that are pulled back, and columns that are pushed forward, through branches."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from moves import spy_on_moves
from oracle import assert_same_jacobian, together

import graphax
from graphax import gradient
from graphax._trace import inline
from graphax.rules import zeros_are_spoilt

jacve, hessve = (functools.partial(mode, kernel=False) for mode in (graphax.jacve, graphax.hessve))
RANDOM = np.random.default_rng(5)
A = RANDOM.normal(size=(3, 3)) / 2


@pytest.fixture(autouse=True)
def without_modes(monkeypatch):
    monkeypatch.setenv("GRAPHAX_CANDIDATES", "kernels")


@pytest.fixture
def moved(monkeypatch):
    """In which direction derivatives were moved through which primitives."""
    return spy_on_moves(monkeypatch)


def powers(m):
    """A chain of branches, as in repeated squaring, then a solution within a branch."""
    for at in range(3):
        m = lax.cond(jnp.sum(m) < 4 * at, lambda m: m @ m, lambda m: jnp.sin(m), m)
    return lax.cond(
        m[0, 0] < 9, lambda m: jnp.linalg.solve(m.T @ m + jnp.eye(3), m), lambda m: m * jnp.nan, m
    )


def test_the_matrix_exponential_is_pushed(moved):
    found, expected, mapped, same = together(
        jacve(jax.scipy.linalg.expm),
        jax.jacfwd(jax.scipy.linalg.expm),
        lambda a: jax.vmap(jacve(powers))(jnp.stack([a, 3 * a.T])),
        lambda a: jax.vmap(jax.jacfwd(powers))(jnp.stack([a, 3 * a.T])),
    )(A)
    assert ("_pushed", "cond") in moved
    assert_same_jacobian(found, expected)
    assert_same_jacobian(mapped, same)


@pytest.mark.parametrize("order", ["auto", "forward", "reverse"])
def test_columns_of_few_arguments_go_through_branches(moved, order):
    def fun(t):
        return powers(A * t[0] + jnp.sin(A) * t[1])

    found, expected = together(jacve(fun, order=order), jax.jacfwd(fun))(np.array([1.1, 0.2]))
    assert (("_pushed", "cond") in moved) == (order == "auto")
    assert_same_jacobian(found, expected)


def test_rows_of_few_results_go_through_branches(moved):
    def fun(m):
        return jnp.trace(powers(m)), jnp.sum(powers(m) * m)

    found, expected, curved, same = together(
        jacve(fun),
        jax.jacrev(fun),
        hessve(lambda m: fun(m)[1]),
        jax.hessian(lambda m: fun(m)[1]),
    )(A)
    assert moved.count(("_pulled", "cond")) == 8
    assert_same_jacobian(found, expected)
    assert_same_jacobian(curved, same)


def test_what_a_branch_leaves_out_stays_left_out(moved):
    """Rows are not pulled through branches that leave out what is infinite."""

    def fun(x):
        y = lax.cond(x[0] < 1, lambda x: jnp.where(x > 0, jnp.sqrt(x), 0.0) @ A, lambda x: x @ A, x)
        return jnp.sum(y), y[0]

    x = np.array([0.0, 0.5, 1.5])
    found, expected = together(jacve(fun), jax.jacfwd(fun))(x)
    assert ("_pulled", "cond") not in moved and np.isfinite(found).all()
    assert_same_jacobian(found, expected)


def test_elementwise_branches_have_jacobians(moved):
    def fun(x):
        return jnp.sum(lax.cond(x[0] < 1, jnp.sin, jnp.cos, x)), x[1] * 2

    found, expected = together(jacve(fun), jax.jacrev(fun))(np.arange(8.0))
    assert not moved
    assert_same_jacobian(found, expected)


def test_how_a_system_is_solved_spoils_no_zeros():
    """Solvers permute; that leaves nothing out of the solution. What is cut from a solution is left out."""

    def solved(m):
        return jnp.linalg.solve(m, m[0])

    for fun, spoilt in ((solved, False), (lambda m: solved(m)[:2], True)):
        assert zeros_are_spoilt(inline(jax.make_jaxpr(fun)(A))) == spoilt
    fun = lambda m: jnp.sum(solved(m @ m.T + jnp.eye(3)) ** 2)  # noqa: E731
    found, expected = together(gradient(fun), jax.grad(fun))(A)
    assert_same_jacobian(found, expected)
