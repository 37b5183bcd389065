"""What is taken when nothing is said: kernels, JAX's own reverse mode, elimination."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from oracle import assert_same_jacobian

from graphax import hessve, jacve, value_and_jacve

X = np.random.default_rng(0).uniform(0.1, 0.9, 40)
W = np.random.default_rng(1).normal(size=(40, 40))


@pytest.fixture(autouse=True)
def all_candidates(monkeypatch, by_operations_on_arrays):
    monkeypatch.delenv("GRAPHAX_CANDIDATES")


def loss(x, w=W):
    hidden = jnp.tanh(w @ x)
    return jnp.mean((w @ hidden - jnp.roll(x, 1)) ** 2)


def primitives(fun, *args):
    return [equation.primitive.name for equation in jax.make_jaxpr(fun)(*args).jaxpr.eqns]


def test_the_gradient_of_a_large_function_is_what_jax_makes_of_it():
    assert primitives(jacve(loss), X) == primitives(jax.grad(loss), X)
    assert primitives(jacve(loss, order="reverse"), X) != primitives(jax.grad(loss), X)


def test_small_functions_are_kernels():
    assert primitives(jacve(lambda x: jnp.sin(x) * x[0]), X[:3]) == ["graphax_kernel"]


@pytest.mark.parametrize("candidates", ["kernels", "modes", "kernels, modes", ""])
def test_candidates_that_are_left_out_are_not_taken(monkeypatch, candidates):
    monkeypatch.setenv("GRAPHAX_CANDIDATES", candidates)
    by_jax = primitives(jacve(loss), X) == primitives(jax.grad(loss), X)
    by_kernel = primitives(jacve(jnp.sin), X[:3]) == ["graphax_kernel"]
    assert (by_kernel, by_jax) == ("kernels" in candidates, "modes" in candidates)


def test_other_candidates_are_refused(monkeypatch):
    monkeypatch.setenv("GRAPHAX_CANDIDATES", "kernel")
    with pytest.raises(ValueError, match=r"names 'kernel'; did you mean 'kernels'\?"):
        jacve(jnp.sin)(X)


def pairs(x):
    return {"loss": loss(x["x"], x["w"]), "two": (loss(2.0 * x["x"]),)}


def test_values_and_gradients_are_those_of_jax():
    both = jax.jit(lambda x: (value_and_jacve(loss)(x), jax.value_and_grad(loss)(x)))
    assert_same_jacobian(*both(X))
    assert_same_jacobian(jax.vmap(jacve(loss))(X[None]), jax.grad(loss)(X)[None])
    assert_same_jacobian(jacve(loss, argnums=(1, 0))(X, W), jax.grad(loss, (1, 0))(X, W))
    assert_same_jacobian(jacve(pairs)({"x": X, "w": W}), jax.jacrev(pairs)({"x": X, "w": W}))
    single = X.astype(np.float32)
    assert_same_jacobian(jacve(loss)(single), jax.grad(loss)(single))
    assert_same_jacobian(jacve(lambda x: (loss(x), x), has_aux=True)(X)[0], jax.grad(loss)(X))
    assert_same_jacobian(jax.jit(jax.jacfwd(jacve(loss)))(X), jax.hessian(loss)(X))
    assert_same_jacobian(jax.jit(hessve(loss))(X), jax.hessian(loss)(X))


def test_what_a_selection_leaves_out_stays_zero():
    def fun(x):
        return jnp.sum(jnp.where(x > 0.5, jnp.log(x - 0.5), 0.0)) + loss(x)

    x = np.r_[0.5, X[1:]]
    assert np.isnan(jax.grad(fun)(x)).any()
    assert np.isfinite(jacve(fun)(x)).all()


def test_loops_that_jax_does_not_pull_back_are_eliminated():
    def fun(x):
        return lax.while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, jnp.tanh(W @ s[1])), (0, x))[1].sum()

    assert_same_jacobian(jacve(fun)(X), jax.jacfwd(fun)(X))
