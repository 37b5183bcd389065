"""What elimination cannot express exactly is done by JAX's own mode, as a whole, and one warning says so."""

import warnings

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from oracle import assert_same_jacobian

import graphax
from graphax import FallbackWarning, count_ops, hessve, jacve, trace, value_and_jacve
from graphax.equinox import filter_jacve
from graphax.rules import Inexpressible

X = np.array([0.3, -0.2, 0.5])
POINTS = np.stack([X, X + 1.0, 2 * X, -X])


def told(call, *args):
    """What is returned, and the one warning about it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = call(*args)
    (warning,) = [w for w in caught if issubclass(w.category, FallbackWarning)]
    assert warning.filename == __file__
    return found, str(warning.message)


# Python control flow on values


def branches(x):
    if x[0] > 0:  # the branch
        return jnp.sin(x) * x
    return x**2


def counts(x):
    total, steps = jnp.sum(x**2), 0
    while total < 10.0:
        total, steps = total * 2, steps + 1
    return jnp.stack([total, steps * total])


def by_index(x):
    return x[int(jnp.argmax(x))] * x


def by_item(x):
    return x * (2.0 if x.max().item() > 0.4 else 3.0)


def by_mask(x):
    return jnp.sin(x[np.asarray(lax.stop_gradient(x) > 0)])


def inside_a_loop(x):
    scale = 2.0 if jnp.sum(x) > 0 else 3.0
    return lax.scan(lambda c, a: (jnp.sin(c * a) * scale, c), x[0], x)[1]


def wide(x):
    return jnp.outer(branches(x), x)


CONTROL = [branches, counts, by_index, by_item, inside_a_loop, wide]


@pytest.mark.parametrize("fun", CONTROL)
@pytest.mark.parametrize("x", [X, -X])
def test_python_control_flow_on_values(fun, x):
    expected = jax.jacrev(fun)(x)
    found, message = told(jacve(fun), x)
    assert_same_jacobian(found, expected)
    assert "test_fallback.py" in message and "jax.lax.cond" in message
    (value, found), _ = told(value_and_jacve(fun, order="reverse"), x)
    assert_same_jacobian((value, found), (fun(x), expected))
    assert_same_jacobian(told(hessve(fun), x)[0], jax.hessian(fun)(x))


def test_the_line_of_the_branch_is_named():
    _, message = told(jacve(branches), X)
    line = branches.__code__.co_firstlineno + 1
    assert f"test_fallback.py:{line} (branches)" in message


def test_arrays_that_are_not_differentiated_may_decide_too():
    def fun(x, which):
        return jnp.sin(x) if which[0] else jnp.cos(x)

    found, _ = told(jacve(fun), X, jnp.array([True]))
    assert_same_jacobian(found, jax.jacrev(fun)(X, jnp.array([True])))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_jacobian(jacve(fun)(X, np.array([True])), jax.jacrev(fun)(X, np.array([True])))


def test_values_that_jax_has_not_either_raise_its_error_with_the_user_s_names():
    for derivative in (jacve, value_and_jacve, hessve):
        with pytest.raises(jax.errors.TracerBoolConversionError) as caught:
            jax.jit(derivative(branches))(X)
        assert "function branches at" in str(caught.value) and "argument x" in str(caught.value)
    with pytest.raises(jax.errors.TracerArrayConversionError):
        jacve(lambda x: np.sin(x) * x)(X)


# Collectives of a mapped axis

COLLECTIVES = {
    "psum": lambda x: jnp.sin(x) * lax.psum(x, "rows"),
    "pmean": lambda x: (x - lax.pmean(x, "rows")) ** 2,
    "pmax": lambda x: x * lax.stop_gradient(lax.pmax(lax.stop_gradient(x), "rows")) * lax.psum(x, "rows"),
    "all_gather": lambda x: jnp.tanh(lax.all_gather(x, "rows")).sum(0) * x,
    "ppermute": lambda x: x * lax.ppermute(x, "rows", [(k, (k + 1) % 4) for k in range(4)]),
    "in a scan": lambda x: lax.scan(lambda c, a: (c * a + lax.psum(c, "rows"), c), x[0], x)[1],
    "in a branch": lambda x: lax.cond(True, lambda x: x * lax.psum(x, "rows"), jnp.sin, x),
    "in a custom rule": lambda x: jax.nn.relu(x) * lax.psum(jax.nn.relu(x), "rows"),
    "in a pytree": lambda x: {"a": lax.psum(x, "rows") * x, "b": (x[0] * x, 1)},
}


@pytest.mark.parametrize("name", COLLECTIVES)
def test_collectives_are_done_as_jax_does_them(name):
    fun = COLLECTIVES[name]
    mapped = lambda derivative, f: jax.vmap(derivative(f), axis_name="rows")  # noqa: E731
    # A tree with as many numbers in as out takes reverse mode, which refuses integers beside them.
    reference = jax.jacfwd if name == "in a pytree" else jax.jacrev
    found, message = told(mapped(jacve, fun), POINTS)
    assert_same_jacobian(found, jax.jit(mapped(reference, fun))(POINTS))
    assert "mapped axis" in message and "outside of the vmap" in message and "test_fallback.py" in message
    assert_same_jacobian(told(jax.jit(mapped(jacve, fun)), POINTS)[0], found)


def test_second_derivatives_of_collectives():
    fun = COLLECTIVES["psum"]
    scalar = lambda x: jnp.sum(fun(x))  # noqa: E731
    for f in (fun, scalar):
        found, _ = told(jax.vmap(hessve(f), axis_name="rows"), POINTS)
        assert_same_jacobian(found, jax.jit(jax.vmap(jax.hessian(f), axis_name="rows"))(POINTS))


def test_collectives_without_a_derivative_need_no_fallback():
    fun = lambda x: x * lax.psum(lax.stop_gradient(x), "rows")  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = jax.vmap(jacve(fun), axis_name="rows")(POINTS)
    assert_same_jacobian(found, jax.vmap(jax.jacrev(fun), axis_name="rows")(POINTS))


# Symbolic dimensions


def test_symbolic_dimensions():
    (b,) = jax.export.symbolic_shape("b")
    rows = jax.ShapeDtypeStruct((b, 3), X.dtype)
    fun = lambda x: jnp.sin(x).sum(0) * x[0]  # noqa: E731
    scalar = lambda x: jnp.sum(fun(x) ** 2)  # noqa: E731
    for mine, theirs, f in (
        (jacve, jax.jacrev, fun),
        (jacve, jax.jacrev, scalar),
        (hessve, jax.hessian, scalar),
    ):
        exported, message = told(jax.export.export(jax.jit(mine(f))), rows)
        assert "dimension b is symbolic" in message and "test_fallback.py" in message
        assert_same_jacobian(exported.call(POINTS), jax.jit(theirs(f))(POINTS))


def test_static_dimensions_are_exported_by_elimination():
    fun = lambda x: lax.scan(lambda c, a: (jnp.sin(c * a), c), x[0], x)[1] * x  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter("error", FallbackWarning)
        exported = jax.export.export(jax.jit(jacve(fun)))(X)
    assert_same_jacobian(exported.call(X), jax.jacrev(fun)(X))


# What is asked for beside it


def aux_of(x):
    return branches(x), ("text", x[0] * 2, 3, np.arange(2), jnp.sin)


def test_auxiliary_data():
    expected, expected_aux = jax.jacrev(aux_of, has_aux=True)(X)
    (found, aux), _ = told(jacve(aux_of, has_aux=True), X)
    assert_same_jacobian(found, expected)
    assert aux[0] == "text" and aux[1] == expected_aux[1] and aux[2] == 3 and aux[4] is jnp.sin
    assert type(aux[3]) is np.ndarray
    (((value, aux), found), _) = told(value_and_jacve(aux_of, has_aux=True), X)
    assert_same_jacobian((value, found), (branches(X), expected))
    (found, aux), _ = told(hessve(aux_of, has_aux=True), X)
    assert_same_jacobian(found, jax.hessian(branches)(X))
    assert aux[0] == "text"


def test_integers_complex_numbers_and_trees():
    def fun(tree, n):
        z = (branches(tree["x"]) + 1j * tree["x"]) * n
        return {"abs": jnp.abs(z) ** 2, "n": jnp.argmax(tree["x"])}

    tree = {"x": X, "more": (X[0], X.astype("float32"))}
    found, _ = told(jacve(fun, (0, 1), allow_int=True), tree, 2)
    assert_same_jacobian(found["abs"][0], jax.jacrev(lambda t: fun(t, 2)["abs"])(tree), 1e-6)
    assert found["abs"][1].dtype == int and not found["abs"][1].any()
    assert found["n"][0]["x"].shape == (3,) and found["n"][0]["x"].dtype == int
    z = X + 0.5j
    holomorphic = lambda z: z**2 if z[0].real > 0 else z**3  # noqa: E731
    found, _ = told(jacve(holomorphic, holomorphic=True), z)
    assert_same_jacobian(found, jax.jacrev(holomorphic, holomorphic=True)(z))
    modulus = lambda z: jnp.abs(holomorphic(z))  # noqa: E731
    assert_same_jacobian(told(jacve(modulus), z)[0], jax.jacrev(modulus)(z))
    to_complex = lambda x: branches(x) * 1j  # noqa: E731
    assert_same_jacobian(told(jacve(to_complex), X)[0], jax.jacfwd(to_complex)(X))
    with pytest.raises(TypeError, match="pass holomorphic=True"):
        jacve(holomorphic)(z)


def test_dtypes_are_those_of_elimination():
    for x in (X.astype("float32"), 0.5, np.float32(0.5)):
        fun = lambda x: (x if jnp.sum(x) > 0 else 2 * x) * np.arange(1.0, 3.0)[0]  # noqa: E731
        plain = lambda x: x * np.arange(1.0, 3.0)[0]  # noqa: E731
        found, _ = told(jacve(fun), x)
        assert_same_jacobian(found, jax.jacrev(fun)(x))
        assert found.weak_type == jacve(plain)(x).weak_type


def test_modules():
    class Layer(eqx.Module):
        weight: jax.Array
        name: str

        def __call__(self, x):
            return branches(self.weight * x)

    layer = Layer(X, "layer")
    call = lambda layer, x: layer(x)  # noqa: E731
    found, _ = told(filter_jacve(call), layer, X)
    assert_same_jacobian(found, eqx.filter_jacrev(call)(layer, X))


def test_a_jacobian_of_a_jacobian_warns_once():
    assert_same_jacobian(told(jacve(jacve(branches)), X)[0], jax.hessian(branches)(X))
    mapped = jax.vmap(jacve(jacve(COLLECTIVES["psum"])), axis_name="rows")
    assert_same_jacobian(
        told(mapped, POINTS)[0],
        jax.vmap(jax.jacrev(jax.jacrev(COLLECTIVES["psum"])), axis_name="rows")(POINTS),
    )


def test_where_one_mode_does_not_work_the_other_is_taken():
    def loop(x):  # reverse mode has no `while_loop`
        scale = 2.0 if x[0] > 0 else 1.0
        return lax.while_loop(lambda c: jnp.sum(c) < 10.0, lambda c: c * 2 + 1, x * scale)

    assert_same_jacobian(told(jacve(loop), X)[0], jax.jacfwd(loop)(X))

    @jax.custom_vjp
    def ruled(x):
        return x**2

    ruled.defvjp(lambda x: (x**2, x), lambda x, g: (3 * x * g,))
    fun = lambda x: jnp.outer(ruled(x), x) if x[0] > 0 else x  # noqa: E731 (forward mode fits, but fails)
    assert_same_jacobian(told(jacve(fun), X)[0], jax.jacrev(fun)(X))


# Refusing it


def test_the_warning_can_be_made_an_error():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", category=graphax.FallbackWarning)
        with pytest.raises(FallbackWarning, match="JAX's own mode"):
            jacve(branches)(X)
        assert_same_jacobian(jacve(jnp.sin)(X), jax.jacrev(jnp.sin)(X))


@pytest.mark.parametrize("fun", [branches, counts])
def test_blocks_and_graphs_are_refused_with_the_same_text(fun):
    _, message = told(jacve(fun), X)
    text = message.split(": ", 1)[1]
    for call in (jacve(fun, sparse=True), hessve(fun, sparse=True), trace(fun), count_ops(fun)):
        with pytest.raises(TypeError) as caught:
            call(X)
        assert str(caught.value) == text


def test_blocks_and_graphs_of_collectives_are_refused():
    fun = COLLECTIVES["psum"]
    for call in (jacve(fun, sparse=True), trace(fun), hessve(fun, sparse=True)):
        with pytest.raises(TypeError, match=r"'psum'.*test_fallback.py.*outside of the vmap"):
            jax.vmap(lambda x, call=call: jnp.zeros(()) if call(x) else x, axis_name="rows")(POINTS)


def test_a_rule_may_say_that_it_cannot_express_something():
    @graphax.register_rule("erf_inv")
    def refuse(call):
        raise Inexpressible("the inverse error function is shy", "use another")

    try:
        fun = lambda x: lax.scan(lambda c, a: (c, lax.erf_inv(a) * c), 1.0, x)[1]  # noqa: E731
        found, message = told(jacve(fun), X)
        assert_same_jacobian(found, jax.jacrev(fun)(X))
        assert "is shy (" in message and "test_fallback.py" in message and "; use another" in message
    finally:
        from graphax.rules._elementwise import elementwise

        graphax.register_rule("erf_inv")(elementwise)
