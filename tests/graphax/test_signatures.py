"""The public functions are called as JAX's are, and as published Graphax is."""

import functools
import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from oracle import assert_same_jacobian

import graphax
from graphax import count_ops, hessve, jacve, trace, value_and_jacve
from graphax.equinox import filter_jacve

X, Y = np.array([0.3, -0.2, 0.5]), np.array([0.7, 1.1, -0.4])


def fun(x, y):
    return jnp.sin(x * y) * jnp.exp(-x)


def with_aux(x, y):
    return jnp.sum(fun(x, y)), y


GRAPH = trace(fun, (0, 1))(X, Y)
ORDER = GRAPH.eliminable


@pytest.mark.parametrize(
    ("mine", "theirs"), [(jacve, jax.jacrev), (value_and_jacve, jax.jacrev), (hessve, jax.hessian)]
)
def test_what_jax_takes_by_position_stands_in_the_same_place(mine, theirs):
    names = list(inspect.signature(theirs).parameters)
    parameters = inspect.signature(mine).parameters
    assert [name for name, p in parameters.items() if p.kind is not p.KEYWORD_ONLY] == names
    defaults = {name: p.default for name, p in inspect.signature(theirs).parameters.items() if name != "fun"}
    assert all(parameters[name].default is default for name, default in defaults.items())
    assert parameters["order"].default == parameters["body_order"].default == "auto"


def test_filter_jacve_takes_by_position_what_equinox_takes():
    parameters = inspect.signature(filter_jacve).parameters
    by_position = [name for name, p in parameters.items() if p.kind is not p.KEYWORD_ONLY]
    assert by_position == ["fun", *[n for n in inspect.signature(eqx.filter_jacrev).parameters if n != "fun"]]
    found, aux = filter_jacve(with_aux, True)(X, Y)
    expected, expected_aux = eqx.filter_jacrev(with_aux, True)(jnp.asarray(X), Y)
    assert_same_jacobian((found, aux), (expected, jnp.asarray(expected_aux)))


@pytest.mark.parametrize("argnums", [(1,), 1, [0, 1], (-1, 0), range(2), np.array([1, 0])])
def test_the_second_place_is_argnums(argnums):
    plain = tuple(argnums) if not isinstance(argnums, int) else argnums
    plain = tuple(int(at) for at in plain) if isinstance(plain, tuple) else plain
    expected = jax.jacrev(fun, plain)(X, Y)
    assert_same_jacobian(jacve(fun, argnums)(X, Y), expected)
    assert_same_jacobian(value_and_jacve(fun, argnums)(X, Y)[1], expected)
    summed = lambda x, y: jnp.sum(fun(x, y))  # noqa: E731
    assert_same_jacobian(hessve(summed, argnums)(X, Y), jax.hessian(summed, plain)(X, Y))
    assert count_ops(fun, argnums, order="reverse")(X, Y) == count_ops(fun, plain, order="rev")(X, Y)


def test_the_flags_stand_where_jax_has_them():
    mine, theirs = (d(with_aux, (1, 0), True) for d in (jacve, jax.jacrev))
    assert_same_jacobian(mine(X, Y)[0], theirs(X, Y)[0])
    (_, aux), found = value_and_jacve(with_aux, (1, 0), True)(X, Y)
    assert_same_jacobian(found, theirs(X, Y)[0])
    np.testing.assert_array_equal(aux, Y)
    assert_same_jacobian(hessve(with_aux, 0, True)(X, Y)[0], jax.hessian(with_aux, 0, True)(X, Y)[0])
    z = X + 0.5j
    assert_same_jacobian(jacve(jnp.sin, 0, False, True)(z), jax.jacrev(jnp.sin, 0, False, True)(z))
    power = lambda n, x: x**n  # noqa: E731
    both = (0, 1), False, False, True
    assert_same_jacobian(jacve(power, *both)(3, X), jax.jacrev(power, *both)(3, X))


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    path = tmp_path_factory.mktemp("orders") / "order.json"
    graphax.save_order(path, GRAPH, ORDER, method="test")
    return graphax.load_order(path)


@pytest.mark.parametrize("name", ["rev", "fwd", "reverse", "forward", "markowitz", "auto", "loaded"])
def test_an_order_in_second_place_is_an_order_and_argnums_come_third(name, loaded):
    order = loaded if name == "loaded" else name
    expected = jax.jacrev(fun, (0, 1))(X, Y)
    assert_same_jacobian(jacve(fun, order, (0, 1))(X, Y), expected)
    assert_same_jacobian(jacve(fun, order, argnums=(0, 1))(X, Y), expected)
    assert_same_jacobian(value_and_jacve(fun, order, (0, 1))(X, Y)[1], expected)
    assert count_ops(fun, order, (0, 1))(X, Y) == count_ops(fun, (0, 1), order=order)(X, Y)


def test_an_order_in_second_place_leaves_the_flags_behind_the_argnums():
    found, aux = jacve(with_aux, "rev", (0,), True)(X, Y)
    assert_same_jacobian(found, jax.jacrev(with_aux, (0,), True)(X, Y)[0])
    np.testing.assert_array_equal(aux, Y)
    found, aux = filter_jacve(with_aux, "fwd", True)(X, Y)
    assert_same_jacobian(found, jax.jacrev(with_aux, has_aux=True)(X, Y)[0])
    found, _ = hessve(with_aux, "rev", 1, True)(X, Y)
    assert_same_jacobian(found, jax.hessian(with_aux, 1, True)(X, Y)[0])


def test_the_short_names_are_the_long_ones():
    graph = trace(fun, (0, 1))(X, Y)
    for short, long in (("fwd", "forward"), ("rev", "reverse")):
        assert graphax.orders.resolve_order(graph, short) == graphax.orders.resolve_order(graph, long)
    assert "12 multiplications" in graphax.draw(graph, "rev").html
    loop = lambda x: jax.lax.fori_loop(0, 3, lambda _, c: jnp.sin(c), x)  # noqa: E731
    assert_same_jacobian(jacve(loop, body_order="rev")(X), jax.jacfwd(loop)(X))


def test_decorators_take_the_same_arguments():
    @jacve(argnums=(0, 1), order="rev")
    def decorated(x, y):
        return fun(x, y)

    assert_same_jacobian(decorated(X, Y), jax.jacrev(fun, (0, 1))(X, Y))
    for derivative in (jacve, value_and_jacve, hessve, filter_jacve):
        assert isinstance(derivative(order="fwd", has_aux=True), functools.partial)


REFUSED = {
    "a sequence for has_aux": (lambda: jacve(fun, 0, (0, 1)), TypeError, "has_aux .*order=.*argnums="),
    "an order for has_aux": (lambda: value_and_jacve(fun, 0, "rev"), TypeError, "has_aux .*order=.*argnums="),
    "a number for has_aux": (lambda: hessve(fun, (0,), 1), TypeError, "has_aux .*order=.*argnums="),
    "argnums for filter_jacve": (lambda: filter_jacve(fun, (0, 1)), TypeError, "has_aux .*order="),
    "has_aux of a graph": (lambda: trace(fun, has_aux="yes"), TypeError, "has_aux"),
    "two orders": (lambda: jacve(fun, "rev", order="fwd"), TypeError, "two orders: 'rev' and 'fwd'"),
    "argnums twice": (lambda: jacve(fun, "rev", 0, argnums=0), TypeError, "argnums"),
    "too much": (lambda: jacve(fun, 0, False, False, False, "rev"), TypeError, "positional"),
    "vertex numbers": (lambda: jacve(fun, ORDER)(X, Y), ValueError, "vertex numbers by order="),
    "an order for a graph": (lambda: trace(fun, "rev")(X, Y), TypeError, "argnums must be"),
    "an unknown order": (lambda: jacve(fun, "revers")(X, Y), ValueError, "did you mean 'reverse'"),
}


@pytest.mark.parametrize("call", REFUSED)
def test_what_stands_in_the_wrong_place_is_named(call):
    wrong, error, message = REFUSED[call]
    with pytest.raises(error, match=message):
        wrong()
