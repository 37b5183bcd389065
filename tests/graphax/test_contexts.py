"""What is in force where the user's code runs is in force where its values and derivatives are computed."""

import inspect
import re
import traceback

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.experimental.compute_on import compute_on
from jax.experimental.xla_metadata import set_xla_metadata
from oracle import assert_same_jacobian

import graphax
from graphax import hessve, jacve, value_and_jacve

X = np.array([0.3, 0.5, 0.7, 0.9])
KEY = jax.random.key(3)
ORDERS = ("forward", "reverse", "auto")


def noise(shape=(4,), key=KEY):
    with jax.threefry_partitionable(False):
        return jax.random.uniform(key, shape)


@jax.jit
def called(x):
    return jnp.sin(x) * noise()


def in_a_scan(x):
    return lax.scan(lambda c, key: (jnp.sin(c) * noise((4,), key), None), x, jax.random.split(KEY, 3))[0]


RANDOM = {
    "bare": lambda x: x * noise(),
    "in a call": lambda x: called(x) * x,
    "around a call": lambda x: x * jax.jit(noise)(),
    "in a checkpoint": jax.checkpoint(lambda x: jnp.exp(x) * noise()),
    "in a scan": in_a_scan,
    "in a loop": lambda x: lax.fori_loop(0, 2, lambda i, c: c * noise((4,), jax.random.fold_in(KEY, i)), x),
    "in a branch": lambda x: lax.cond(x[0] > 0, lambda x: x * noise(), jnp.sin, x),
    "as indices": lambda x: x[jax.random.permutation(KEY, 4)] * x,
    "of two settings": lambda x: x * noise() + jnp.sin(x) * jax.random.uniform(KEY, (4,)),
}


def test_the_two_settings_differ():
    assert not np.allclose(noise(), jax.random.uniform(KEY, (4,)))


@pytest.mark.parametrize("name", RANDOM)
def test_random_numbers_are_those_of_the_function(name):
    fun = RANDOM[name]
    reference = jax.jacfwd if name == "in a loop" else jax.jacrev

    def all_ways(x):
        return [value_and_jacve(fun, order=order)(x) for order in ORDERS], (fun(x), reference(fun)(x))

    found, expected = jax.jit(all_ways)(X)
    np.testing.assert_allclose(expected[0], fun(X), rtol=1e-12)
    for way in found:
        assert_same_jacobian(way, expected)
    found, expected = jax.jit(jax.vmap(all_ways))(np.stack([X, X + 1]))
    for way in found:
        assert_same_jacobian(way, expected)


def test_random_numbers_are_those_of_the_function_without_jit():
    fun = RANDOM["in a call"]
    assert_same_jacobian(value_and_jacve(fun)(X), (fun(X), jax.jacrev(fun)(X)))


@pytest.mark.parametrize("name", ["bare", "in a call", "in a scan"])
def test_random_numbers_of_second_derivatives(name):
    scalar = lambda x: jnp.sum(RANDOM[name](x) ** 2)  # noqa: E731
    ways = jax.jit(lambda x: [d(x) for d in (hessve(scalar), jacve(jacve(scalar)), jax.hessian(scalar))])(X)
    assert_same_jacobian(ways[0], ways[2], rtol=1e-9)
    assert_same_jacobian(ways[1], ways[2], rtol=1e-9)


def test_the_setting_outside_is_no_matter():
    fun = RANDOM["of two settings"]
    with jax.threefry_partitionable(False):
        assert_same_jacobian(value_and_jacve(fun)(X), (fun(X), jax.jacrev(fun)(X)))


def test_known_indices_are_those_of_the_function():
    def fun(x):
        with jax.threefry_partitionable(False):
            return x[jax.random.randint(KEY, (6,), 0, 4)] ** 2

    assert_same_jacobian(jax.jit(jacve(fun, sparse=True))(X).todense(), jax.jit(jax.jacrev(fun))(X))


def lowered(fun, *args):
    return jax.jit(fun).lower(*args).as_text(debug_info=True)


def wrapped(context):
    def fun(x):
        with context():
            y = jnp.tanh(x)
        return y * x

    return fun


@jax.jit
def scoped(x):
    with jax.named_scope("inner"):
        return jnp.tanh(x)


CONTEXTS = {
    "metadata": (wrapped(lambda: set_xla_metadata(colour="blue")), r'tanh .*colour = "blue"'),
    "scope": (wrapped(lambda: jax.named_scope("outer")), r'"[^"]*outer/tanh"'),
    "call": (lambda x: scoped(x) * x, r'"[^"]*inner/tanh"'),
}
if "out_memory_spaces" not in inspect.signature(compute_on).parameters:  # a decorator, and no context
    CONTEXTS["compute_on"] = (
        wrapped(lambda: compute_on("device_host")),
        r'tanh .*_xla_compute_type = "host"',
    )


@pytest.mark.parametrize("name", CONTEXTS)
def test_the_program_of_a_jacobian_says_what_that_of_the_function_says(name):
    fun, mark = CONTEXTS[name]
    assert re.search(mark, lowered(fun, X))
    found = lowered(value_and_jacve(fun, order="reverse"), X)
    assert re.search(mark, found)
    assert_same_jacobian(jacve(fun)(X), jax.jacrev(fun)(X))
    # The local derivative of tanh, 1 - y^2, is computed there too.
    derivative = mark.replace("tanh", "(sub|mul|subtract|multiply|neg)", 1)
    assert re.search(derivative, found)


@pytest.mark.parametrize("name", CONTEXTS)
def test_programs_inside_loops_and_branches_keep_their_surroundings(name):
    fun, mark = CONTEXTS[name]
    loop = lambda x: lax.scan(lambda c, _: (fun(c), None), x, length=2)[0]  # noqa: E731
    branch = lambda x: lax.cond(x[0] > 0, fun, jnp.sin, x)  # noqa: E731
    for around in (loop, branch):
        assert re.search(mark, lowered(value_and_jacve(around, order="forward"), X))


def test_compiled_operations_have_the_scopes_and_lines_of_the_user():
    fun, _ = CONTEXTS["scope"]
    compiled = jax.jit(jacve(fun, order="reverse")).lower(X).compile().as_text()
    assert re.search(r'op_name="[^"]*outer', compiled)
    assert "jit(scoped)/inner/tanh" in lowered(value_and_jacve(CONTEXTS["call"][0]), X)
    text = lowered(jacve(fun, order="reverse"), X)
    assert "test_contexts.py" in text and "graphax/_" not in text.replace("tests/graphax", "")


def divides(x):
    return jnp.sum((x - x) / (x - x) * x)  # the line to be told


@pytest.mark.parametrize("derivative", [jacve, value_and_jacve, lambda f: jax.jit(jacve(f))])
def test_the_line_that_makes_a_nan_is_told(derivative):
    with jax.debug_nans(True), pytest.raises(FloatingPointError) as caught:
        derivative(divides)(X)
    told = "".join(traceback.format_exception(caught.value))
    assert "(divides)" in told and "test_contexts.py" in told


def test_operations_of_the_package_have_no_lines_but_the_user_s():
    def derivative(x):
        return jacve(divides, order="reverse")(x)

    for fun in (derivative, jacve(derivative)):
        sources = [equation.source for equation in graphax.trace(fun)(X).numbering.program.equations]
        files = {source.split(":")[0].split("/")[-1] for source in sources}
        assert "test_contexts.py" in files and files <= {"test_contexts.py", ""}
    assert "  # \n" not in str(graphax.trace(jacve(divides))(X))
