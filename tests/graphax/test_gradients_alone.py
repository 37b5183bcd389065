"""`graphax.gradient` called by itself: what it gives, and what it refuses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax


def decides(x):
    """A vector, along a way that depends on a value."""
    return x * 2.0 if x[0] > 0 else x * 3.0


def spreads(x):
    """No scalar, with a sum over a mapped axis."""
    return jnp.sin(x) * jax.lax.psum(x, "lanes")


def clipped():
    @jax.custom_vjp
    def fun(x):
        return jnp.sin(x)

    fun.defvjp(lambda x: (jnp.sin(x), x), lambda x, ct: (jnp.clip(ct * jnp.cos(x), -0.5, 0.5),))
    return fun


X = np.array([0.3, -0.2, 0.9])


REFUSED = {
    "a decision of Python on a value": (decides, "Python needs the value of a traced array"),
    "a rule that is not linear": (clipped(), "not seen to be linear"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_elimination_cannot_express_of_a_vector_is_a_type_error(name):
    fun, message = REFUSED[name]
    with pytest.raises(TypeError, match=message):
        graphax.gradient(fun)(X)
    with pytest.raises(TypeError):
        jax.jit(graphax.gradient(fun))(X)


def test_a_decision_of_python_on_a_value_is_pulled_back_by_jax_for_a_scalar():
    found = graphax.gradient(lambda x: jnp.sum(decides(x) ** 2))(X)
    np.testing.assert_allclose(found, jax.grad(lambda x: jnp.sum(decides(x) ** 2))(X), rtol=1e-12)


def test_a_sum_over_a_mapped_axis_is_a_type_error():
    with pytest.raises(TypeError, match="combines the values of a mapped axis"):
        jax.vmap(graphax.gradient(spreads), axis_name="lanes")(np.stack([X, X]))


def test_a_graph_of_such_a_gradient_is_refused_too():
    with pytest.raises(TypeError, match="not seen to be linear"):
        graphax.trace(graphax.gradient(clipped()))(X)


def test_hessians_fall_back_where_gradients_refuse():
    fun = clipped()
    with pytest.warns(graphax.FallbackWarning, match="not seen to be linear"):
        found = graphax.hessve(fun)(X)
    np.testing.assert_allclose(found, jax.jacfwd(jax.jacrev(fun))(X), rtol=1e-12)


@pytest.mark.parametrize("order", ["forward", "reverse", "auto"])
def test_a_gradient_is_that_of_jax(order):
    def loop(x):
        """JAX cannot pull back through it, so it is eliminated."""
        return jax.lax.while_loop(lambda state: state[0] < 2, lambda s: (s[0] + 1, jnp.sin(s[1])), (0, x))[1]

    def scalar(x):
        return jnp.sum(loop(x) * x)

    np.testing.assert_allclose(graphax.gradient(scalar)(X), jax.jacfwd(scalar)(X), rtol=1e-12)
    np.testing.assert_allclose(graphax.gradient(loop)(X), jax.jacfwd(loop)(X), rtol=1e-12)
    found = graphax.hessve(scalar, order=order)(X)
    np.testing.assert_allclose(found, jax.jacfwd(jax.jacfwd(scalar))(X), rtol=1e-12)


def test_the_function_of_a_gradient_is_traced_once_where_it_is_eliminated():
    calls = []

    def fun(x):
        calls.append(x)
        return jnp.sin(x)

    found, aux = graphax.gradient(lambda x: (fun(x), x[0]), has_aux=True)(X)
    assert len(calls) == 1
    np.testing.assert_allclose(found, np.diag(np.cos(X)), rtol=1e-12)
    np.testing.assert_allclose(aux, X[0])
