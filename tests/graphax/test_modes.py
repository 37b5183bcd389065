"""JAX's own modes as candidates: where they are faster, and only where they give the same."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from oracle import assert_same_jacobian, together

import graphax
from graphax import _modes


@pytest.fixture(autouse=True)
def modes_are_candidates(monkeypatch):
    monkeypatch.setenv("GRAPHAX_CANDIDATES", "modes")


@pytest.fixture
def taken(monkeypatch):
    """Which modes have been evaluated."""
    found = []
    by_mode = _modes._by_mode

    def noted(name, *args):
        found.append(name)
        return by_mode(name, *args)

    monkeypatch.setattr(_modes, "_by_mode", noted)
    return found


def best_of_many(x):
    scores = jnp.tanh(jnp.outer(x, jnp.arange(1.0, 40.0))).sum(axis=0)
    return lax.top_k(scores, 2)[0] * jax.nn.softmax(scores)[:2]


def loop(x):
    def step(carried, _):
        return jnp.sin(carried) + 0.1 * carried[::-1], None

    return lax.scan(step, x, None, length=20)[0]


@pytest.mark.parametrize("fun", [best_of_many, loop])
@pytest.mark.parametrize("mode", ["jacfwd", "jacrev"])
def test_whichever_mode_is_estimated_to_be_fastest_gives_the_jacobian(fun, mode, monkeypatch):
    x = jnp.linspace(0.1, 1.0, 6)
    wanted = jax.jacfwd(fun)(x)
    monkeypatch.setattr(_modes, "_modes", lambda *_: {"jacfwd": 10**9, mode: 1})
    monkeypatch.setattr(_modes, "_MARGIN", 1e6)
    value, found = jax.jit(graphax.value_and_jacve(fun, kernel=False))(x)
    np.testing.assert_allclose(found, wanted, rtol=1e-12)
    np.testing.assert_allclose(value, fun(x), rtol=1e-12)
    in_batch = jax.jit(jax.vmap(graphax.jacve(fun, kernel=False)))(jnp.stack([x, 2 * x]))
    np.testing.assert_allclose(in_batch[1], jax.jacfwd(fun)(2 * x), rtol=1e-12)


def test_several_arguments_trees_and_auxiliary_data_pass_through_a_mode(monkeypatch):
    def fun(x, y, steps):
        total = loop(x["a"]) * y
        return {"b": total, "c": jnp.sum(total)}, steps + 1

    monkeypatch.setattr(_modes, "_MARGIN", 1e6)
    args = {"a": jnp.linspace(0.1, 1.0, 6)}, jnp.linspace(1.0, 2.0, 6), 3
    found, aux = jax.jit(graphax.jacve(fun, (1, 0), has_aux=True, kernel=False))(*args)
    wanted, _ = jax.jacfwd(fun, (1, 0), has_aux=True)(*args)
    assert aux == 4
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), found, wanted)


@pytest.mark.parametrize(
    "fun",
    [
        lambda x: jnp.sqrt(x) * jnp.cumsum(x),
        lambda x: jnp.where(x > 0, jnp.log(x), 0.0),
        lambda x: jnp.exp(1000 * x),
        lambda x: x[::-1] / x,
    ],
)
def test_no_mode_is_taken_where_zeros_may_meet_what_is_not_finite(fun, taken, monkeypatch):
    monkeypatch.setattr(_modes, "_MARGIN", 1e6)
    found = jax.jit(graphax.jacve(fun, kernel=False))(jnp.array([0.0, 1.0, 4.0]))
    either = [jax.jit(mode(fun))(jnp.array([0.0, 1.0, 4.0])) for mode in (jax.jacfwd, jax.jacrev)]
    assert not taken
    finite = np.isfinite(either[0]) | np.isfinite(either[1])
    assert np.isfinite(np.asarray(found)[finite]).all()


def test_a_mode_is_not_looked_at_where_nothing_is_compiled(taken):
    graphax.jacve(loop, kernel=False)(jnp.linspace(0.1, 1.0, 6))
    assert not taken


def test_loops_without_reverse_mode_are_pushed(monkeypatch, taken):
    def fun(x):
        return lax.while_loop(lambda c: c[0] < 5, lambda c: (c[0] + 1, jnp.sin(c[1]) * c[1][::-1]), (0, x))[1]

    monkeypatch.setattr(_modes, "_MARGIN", 1e6)
    x = jnp.linspace(0.1, 1.0, 6)
    np.testing.assert_allclose(
        jax.jit(graphax.jacve(fun, kernel=False))(x), jax.jacfwd(fun)(x), rtol=1e-12, atol=1e-14
    )
    assert taken == ["jacfwd"]


def test_what_jax_cannot_differentiate_so_is_eliminated(monkeypatch):
    def fun(x):
        def until_large(y):
            return lax.while_loop(lambda y: jnp.sum(y) < 3, lambda y: 1.5 * y, y)

        return lax.scan(lambda y, _: (jnp.sin(until_large(y)), None), x, None, length=3)[0]

    monkeypatch.setattr(_modes, "_MARGIN", 1e6)
    monkeypatch.setattr(_modes, "_modes", lambda *_: {"jacfwd": 10**9, "jacrev": 1})
    x = jnp.linspace(0.1, 1.0, 4)
    np.testing.assert_allclose(jax.jit(graphax.jacve(fun, kernel=False))(x), jax.jacfwd(fun)(x), rtol=1e-12)


@pytest.mark.parametrize("closed", [False, True])
def test_what_is_missing_in_data_is_left_out(closed, monkeypatch):
    data = np.array([1.0, np.nan, 3.0])

    def residuals(weights, data):
        gaps = jnp.isnan(data)
        return jnp.where(gaps, 0.0, weights * data) @ jnp.where(gaps, 0.0, weights - data) * weights

    monkeypatch.setattr(_modes, "_MARGIN", 1e6)
    fun = (lambda w: residuals(w, data)) if closed else residuals
    args = (jnp.arange(1.0, 4.0),) if closed else (jnp.arange(1.0, 4.0), data)
    for of in (fun, lambda *args: jnp.sum(fun(*args))):
        found = jax.jit(graphax.jacve(of, kernel=False))(*args)
        np.testing.assert_allclose(found, jax.jacfwd(of)(*args), rtol=1e-12)


def test_complex_values_and_several_dtypes_go_through_loops():
    def powers(z):
        return lax.scan(lambda c, _: (jnp.tanh(c) * z, c), z, None, 3)

    def sizes(x):
        last, passed = powers(x * (1 + 0.5j))
        return jnp.abs(last), jnp.abs(passed).astype(jnp.float32)

    x, z = jnp.linspace(0.1, 1.0, 3), jnp.array([1 + 1j, 0.5, 2 - 1j])
    for fun, at, options in ((sizes, x, {}), (powers, z, {"holomorphic": True})):
        ours, theirs = graphax.jacve(fun, kernel=False, **options), jax.jacrev(fun, **options)
        assert_same_jacobian(*together(ours, theirs)(at))
