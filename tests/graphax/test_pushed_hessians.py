"""Hessians of losses through loops, by few parameters, that are pushed forward twice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend import core

from graphax import hessve

STEPS = 40
P = np.array([1.0, 0.5, 0.8, 0.4])


@pytest.fixture(autouse=True)
def modes(monkeypatch):
    monkeypatch.setenv("GRAPHAX_CANDIDATES", "kernels,modes")


def populations(p):
    """Predators and prey, by Heun's method."""

    def change(u):
        return jnp.stack([p[0] * u[0] - p[1] * u[0] * u[1], -p[2] * u[1] + p[3] * u[0] * u[1]])

    def step(u, _):
        first = change(u)
        return u + 0.1 * change(u + 0.05 * first), u

    return lax.scan(step, jnp.array([1.0, 0.5]), None, STEPS)[1]


def loss(p):
    return jnp.mean((populations(p) - 1) ** 2)


def loss_of_tree(p, scale):
    return scale * loss(jnp.stack([p["growth"], 0.5, *p["decay"]]))


def loss_with_poles(p):
    """A division by a parameter, which has a pole."""
    return jnp.mean((lax.scan(lambda h, _: (h + 0.1 * (p[0] - h / p[1]), h), 0.0, None, STEPS)[1] - 1) ** 2)


def scans(fun, *args):
    def count(jaxpr):
        inner = (one for eqn in jaxpr.eqns for one in core.jaxprs_in_params(eqn.params))
        return sum(eqn.primitive.name == "scan" for eqn in jaxpr.eqns) + sum(map(count, inner))

    return count(jax.make_jaxpr(fun)(*args).jaxpr)


def assert_same(found, wanted):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), found, wanted)


def test_a_loss_by_few_parameters_goes_through_its_loop_once(monkeypatch):
    assert scans(hessve(loss), P) == 1
    assert scans(hessve(loss, order="reverse"), P) > 1
    monkeypatch.setenv("GRAPHAX_CANDIDATES", "kernels")
    assert scans(hessve(loss), P) > 1


@pytest.mark.parametrize("fun", [loss, loss_with_poles, lambda p: loss(p * jnp.ones(5)[:4])])
def test_hessians_are_those_of_jax(fun):
    with jax.enable_x64(True):
        wanted = jax.hessian(fun)(P)
        for found in (hessve(fun), jax.jit(hessve(fun)), jax.jit(hessve(fun, order="forward"))):
            assert_same(found(P), wanted)


@pytest.mark.slow
def test_trees_batches_and_other_arguments_pass_through():
    with jax.enable_x64(True):
        tree = {"growth": jnp.array(1.0), "decay": [jnp.array(0.8), jnp.array(0.4)]}
        assert_same(jax.jit(hessve(loss_of_tree))(tree, 2.0), jax.hessian(loss_of_tree)(tree, 2.0))
        batch = P * np.linspace(0.8, 1.2, 3)[:, None]
        assert_same(jax.vmap(hessve(loss))(batch), jax.vmap(jax.hessian(loss))(batch))
        scale = jnp.array(2.0)
        both = jax.jit(hessve(loss_of_tree, (0, 1)))(tree, scale)
        assert_same(both, jax.hessian(loss_of_tree, (0, 1))(tree, scale))


def test_no_mode_is_pushed_where_zeros_may_meet_a_pole():
    with jax.enable_x64(True):
        p = np.array([1.0, 0.0])
        found, wanted = (jax.jit(mode(loss_with_poles))(p) for mode in (hessve, jax.hessian))
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(wanted))
