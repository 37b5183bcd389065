"""Products with selections at places known at run time: gathered and scattered, not multiplied."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend import core
from oracle import assert_same_jacobian, together

from graphax import jacve

RANDOM = np.random.default_rng(5)
X = RANDOM.normal(size=24)
GROUPS = RANDOM.integers(0, 6, 24)
MIX = RANDOM.normal(size=(24, 24))


def softmax_in_groups(x, groups):
    top = jax.ops.segment_max(x, groups, 6)
    share = jnp.exp(x - top[groups])
    return share / jax.ops.segment_sum(share, groups, 6)[groups]


def gathered(x, groups):
    return jnp.log1p(jnp.tanh(MIX @ x)[groups] ** 2)


def scattered(x, groups):
    return jnp.sin(jnp.zeros(24).at[groups].add(1 / (MIX @ x)))


def written(x, groups):
    return MIX @ lax.dynamic_update_slice(1 / x, jnp.log(x[:5] ** 2), (groups[0],))


def sliced(x, groups):
    return MIX[:, :7] @ (1 / lax.dynamic_slice(MIX @ x, (groups[1],), (7,)))


def largest(x, groups):
    return jax.nn.softmax(lax.top_k(x * groups, 9)[0])


def in_order(x, groups):
    return MIX @ (1 / jnp.sort(jnp.sin(MIX @ x) + groups))


FUNCTIONS = [softmax_in_groups, gathered, scattered, written, sliced, largest, in_order]


@pytest.mark.parametrize("fun", FUNCTIONS)
def test_jacobians_through_selections_are_those_of_jax(fun):
    orders = [jacve(fun, order=order, kernel=False) for order in ("forward", "reverse", "auto")]
    sparse = jacve(fun, sparse=True)
    wanted, *found = together(jax.jacrev(fun), *orders, lambda *at: sparse(*at).todense())(X, GROUPS)
    for jacobian in found:
        assert_same_jacobian(jacobian, wanted)


def test_jacobians_through_selections_are_those_of_jax_under_vmap():
    xs, groups = np.stack([X, X[::-1]]), np.stack([GROUPS, GROUPS[::-1]])
    found = together(*(jax.vmap(jacve(fun, order="reverse", kernel=False)) for fun in FUNCTIONS))(xs, groups)
    wanted = together(*(jax.vmap(jax.jacrev(fun)) for fun in FUNCTIONS))(xs, groups)
    for jacobian, other in zip(found, wanted, strict=True):
        assert_same_jacobian(jacobian, other)


@pytest.mark.parametrize("order", ["forward", "reverse", "auto"])
def test_a_group_that_is_not_finite_spoils_no_other(order):
    x = X.copy()
    x[np.flatnonzero(GROUPS == 2)[0]] = np.inf
    found, wanted = together(
        jacve(softmax_in_groups, order=order, kernel=False), jax.jacfwd(softmax_in_groups)
    )(x, GROUPS)
    others = GROUPS != 2
    assert np.isfinite(np.asarray(wanted)[others]).all()
    np.testing.assert_allclose(np.asarray(found)[others], np.asarray(wanted)[others], atol=1e-12)


def test_no_product_of_matrices_looks_for_what_is_not_finite_in_a_selection():
    jaxpr = jax.make_jaxpr(jacve(softmax_in_groups, order="reverse", kernel=False))(X, GROUPS)
    used = {equation.primitive.name for equation in _equations(jaxpr.jaxpr)}
    assert "dot_general" not in used and "gather" in used


def _equations(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in core.jaxprs_in_params(equation.params):
            yield from _equations(inner)


def test_hessians_through_selections_are_those_of_jax():
    def total(x, groups):
        return jnp.sum(scattered(x, groups) ** 2) + jnp.sum(jnp.cos(in_order(x, groups)))

    wanted, *found = together(
        jax.hessian(total), *(jacve(jacve(total, order="reverse"), order=o) for o in ("forward", "reverse"))
    )(X, GROUPS)
    for hessian in found:
        assert_same_jacobian(hessian, wanted, rtol=1e-7)
