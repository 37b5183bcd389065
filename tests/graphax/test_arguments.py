"""What is not differentiated reaches the function, and comes back, as it is; its errors are its own."""

import traceback

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from oracle import assert_same_jacobian, together

import graphax
from graphax import hessve, jacve, value_and_jacve

X = np.array([0.3, -0.2, 0.5])

USES = {
    "a shape": (lambda x, n: jnp.broadcast_to(x, (*n, 3)) * x, np.array([2, 1])),
    "a length": (lambda x, n: lax.scan(lambda c, _: (jnp.sin(c), c), x, None, length=int(n))[1], np.int64(3)),
    "a branch": (lambda x, n: jnp.sin(x) if n.any() else x, np.array([False, True])),
    "a list": (lambda x, n: sum(k * x for k in n.tolist()), np.arange(1, 4)),
    "a slice": (lambda x, n: x[n[0] : n[1]] ** 2, np.array([0, 2])),
    "indices": (lambda x, n: x[n] * 2, np.array([2, 0, 0])),
    "a mask": (lambda x, n: x[n] ** 2, np.array([True, False, True])),
    "strings": (lambda x, n: x * (2 if n[0] == "twice" else 3), np.array(["twice", "thrice"])),
    "dates": (
        lambda x, n: x * (n[1] - n[0]).astype(int),
        np.array(["2026-01-01", "2026-01-04"], "datetime64[D]"),
    ),
    "objects": (lambda x, n: n[1](x), np.array([None, jnp.sin], object)),
    "its own type": (lambda x, n: x * (2 if type(n) is np.ndarray else 3), X),
    "NumPy's arithmetic": (lambda x, n: x * np.linalg.inv(n)[0], np.eye(3) * 2),
    "data": (lambda x, n: jnp.tanh(n @ x), np.ones((2, 3))),
    "a number": (lambda x, n: x**n, 3),
    "a dictionary": (lambda x, n: n["f"](x) * n["k"][0], {"f": jnp.sin, "k": np.arange(1, 3), "s": "text"}),
}


@pytest.mark.parametrize("use", USES)
def test_arguments_that_are_not_differentiated_are_as_they_are(use):
    fun, n = USES[use]
    named = lambda x, *, n: fun(x, n)  # noqa: E731
    scalar = lambda x, n: jnp.sum(fun(x, n) ** 2)  # noqa: E731
    expected, found, found_by_name, of_jax, hessian = together(
        lambda x: jax.jacrev(fun)(x, n),
        lambda x: jacve(fun)(x, n),
        lambda x: jacve(named, order="forward")(x, n=n),
        lambda x: jax.hessian(scalar)(x, n),
        lambda x: hessve(scalar)(x, n),
    )(X)
    assert_same_jacobian(jacve(fun)(X, n), expected)
    assert_same_jacobian(found, expected)
    assert_same_jacobian(found_by_name, expected)
    assert_same_jacobian(hessian, of_jax)
    assert graphax.trace(fun)(X, n).inputs == (-1,)


def test_a_graph_does_not_depend_on_the_values_of_arrays():
    fun = lambda x, w: jnp.sin(w @ x)  # noqa: E731
    graphs = [graphax.trace(fun)(X, jnp.ones((2, 3)) * k) for k in (1, 2)]
    assert graphs[0].fingerprint == graphs[1].fingerprint
    assert len(graphs[0].numbering.program.inputs) == 2 and not graphs[0].numbering.program.constants


def test_differentiated_inputs_come_first_in_the_order_of_the_argnums():
    fun = lambda a, b, c: jnp.sin(a) * b + c  # noqa: E731
    args = jnp.ones(2), jnp.ones((3, 2)), jnp.ones((4, 1, 2))
    program = graphax.trace(fun, (2, 0))(*args).numbering.program
    assert [v.aval.ndim for v in program.inputs] == [3, 1, 2]
    assert_same_jacobian(jacve(fun, (2, 0))(*args), jax.jacrev(fun, (2, 0))(*args))


def test_auxiliary_data_may_be_anything():
    def fun(x):
        arrays = x * 2, np.arange(2), np.array(["a"])
        return jnp.sin(x), {"s": "text", "f": jnp.cos, "n": 3, "l": [1, None, 2.5], "arrays": arrays}

    for mine, theirs in ((jacve, jax.jacrev), (value_and_jacve, None)):
        found, aux = mine(fun, has_aux=True)(X)
        if theirs is None:
            ((_, aux), found) = found, aux
        expected, expected_aux = jax.jacrev(fun, has_aux=True)(X)
        assert_same_jacobian(found, expected)
        same = jax.tree.map(lambda a, b: type(a) is type(b) and bool(np.all(a == b)), aux, expected_aux)
        assert all(jax.tree.leaves(same)) and jax.tree.structure(aux) == jax.tree.structure(expected_aux)
    compiled = jax.jit(lambda x: jacve(lambda x: (x**2, (x[0], 3)), has_aux=True)(x))(X)
    assert_same_jacobian(compiled[0], jax.jacrev(lambda x: x**2)(X))
    scalar = lambda x: (jnp.sum(fun(x)[0] ** 2), fun(x)[1])  # noqa: E731
    found, aux = hessve(scalar, has_aux=True)(X)
    assert_same_jacobian(found, jax.hessian(lambda x: scalar(x)[0])(X))
    assert aux["s"] == "text" and aux["f"] is jnp.cos and aux["arrays"][2] == ["a"]


INTEGERS = {
    "beside": lambda x: {"y": jnp.sin(x), "n": jnp.argmax(x)},
    "a number": lambda x: (x**2, 3),
    "unsigned": lambda x: (x[0] * x, jnp.arange(2, dtype=jnp.uint8)),
    "NumPy's": lambda x: (x, np.arange(4).reshape(2, 2)),
    "alone": lambda x: jnp.argsort(x),
    "of a scan": lambda x: lax.scan(lambda c, a: ((c[0] + 1, c[1] * a), c[0]), (0, 1.0), x),
}


@pytest.mark.parametrize("name", INTEGERS)
def test_integer_results_have_integer_zeros(name):
    fun = INTEGERS[name]
    expected = jax.jit(jax.jacfwd(fun))(X)
    for order in ("forward", "reverse"):
        assert_same_jacobian(jacve(fun, order=order)(X), expected)
    assert_same_jacobian(jax.jit(value_and_jacve(fun))(X)[1], expected)
    dense = jax.tree.map(
        lambda block: block.todense(),
        jacve(fun, sparse=True)(X),
        is_leaf=lambda leaf: isinstance(leaf, graphax.sparse.Block),
    )
    assert_same_jacobian(dense, expected)


STRICT = {
    "mlp": lambda x: jnp.tanh(x @ jnp.ones((3, 3))) + 1.0,
    "softmax": jax.nn.softmax,
    "sort": lambda x: jnp.sort(x) * x,
    "scan": lambda x: lax.scan(lambda c, a: (jnp.sin(c * a), c), x[0], x)[1],
    "while": lambda x: lax.while_loop(lambda c: c[1] < 3, lambda c: (jnp.sin(c[0]), c[1] + 1), (x, 0))[0],
    "update": lambda x: x.at[1].set(x[0] * 2),
    "index": lambda x: x[jnp.array([0, 2])] ** 2,
    "norm": jnp.linalg.norm,
    "solve": lambda x: jnp.linalg.solve(jnp.outer(x, x) + jnp.eye(3), x),
    "cumprod": jnp.cumprod,
    "half": lambda x: x.astype(jnp.bfloat16).astype(jnp.float64) * x,
    "complex": lambda x: jnp.abs(jnp.fft.fft(x)) ** 2,
}


@pytest.mark.parametrize("name", STRICT)
def test_strict_promotion_of_the_user_s_code_is_no_matter(name):
    fun = STRICT[name]

    def all_ways(x):
        ways = [jacve(fun, order=order)(x) for order in ("forward", "reverse")]
        scalar = lambda x: jnp.sum(fun(x) ** 2)  # noqa: E731
        hessians = hessve(scalar)(x), jax.jacfwd(jax.jacfwd(scalar))(x)
        return [*ways, jacve(fun, sparse=True)(x).todense()], hessians

    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        ways, hessians = jax.jit(all_ways)(jnp.asarray(X))
        expected = jax.jit(jax.jacfwd(fun))(jnp.asarray(X))
        graphax.trace(fun)(jnp.asarray(X))
    for found in ways:
        assert_same_jacobian(found, expected)
    assert_same_jacobian(*hessians, rtol=1e-8)


def test_strict_promotion_is_still_asked_of_the_user_s_code():
    fun = lambda x: x * jnp.arange(3)  # noqa: E731
    with jax.numpy_dtype_promotion("strict"), pytest.raises(Exception, match="promotion"):
        jacve(fun)(X)


# Errors of the user's own


class Mistake(Exception):
    pass


def mistaken(x):
    raise Mistake("mine")  # this line


def misshapen(x, weights):
    return x @ weights  # this line


def miscarried(x):
    return lax.scan(lambda c, a: (jnp.stack([c, a]), a), x[0], x)[1]  # this line


def untraceable(x, weights):
    return np.sin(weights) * x  # this line


DERIVATIVES = {
    "jacve": jacve,
    "value": value_and_jacve,
    "hessve": hessve,
    "trace": graphax.trace,
    "count": graphax.count_ops,
    "jit": lambda fun: jax.jit(jacve(fun)),
    "sparse": lambda fun: jacve(fun, sparse=True),
}


@pytest.mark.parametrize("derivative", DERIVATIVES)
@pytest.mark.parametrize(
    ("fun", "args", "error"),
    [
        (mistaken, (X,), Mistake),
        (misshapen, (X, jnp.ones((7, 2))), TypeError),
        (miscarried, (X,), TypeError),
        (untraceable, (X, jnp.ones(3)), TypeError),
    ],
)
def test_an_error_of_the_function_ends_in_its_line(derivative, fun, args, error):
    if fun is untraceable and derivative != "jit":
        pytest.skip("NumPy takes arrays that are not traced")
    with pytest.raises(error) as caught:
        DERIVATIVES[derivative](fun)(*args)
    frames = traceback.extract_tb(caught.value.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename]
    assert own[-1].line is not None and own[-1].line.endswith("# this line")
    assert "graphax" not in str(caught.value).replace("tests/graphax", "")
    if fun is mistaken:
        assert caught.value.args == ("mine",) and caught.value.__cause__ is None


def test_messages_name_the_user_s_function_and_argument():
    def decides(first, second):
        return first if second["deep"][0] > 0 else -first

    for derivative in DERIVATIVES.values():
        with pytest.raises(TypeError) as caught:
            jax.jit(lambda *args: derivative(decides)(*args))(X, {"deep": (X[0], 1.0)})  # noqa: B023
        text = str(caught.value)
        if "function decides at" in text:
            assert "second['deep'][0]" in text
        else:
            assert "test_arguments.py" in text and "(decides)" in text
