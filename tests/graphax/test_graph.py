"""The computational graph: numbers, what is eliminable, fingerprints, printing."""

import re
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from alphagrad import tasks
from graphax.sparse import Kind

X = np.array([0.3, 1.2, 0.7])


def test_every_equation_takes_a_number_before_anything_is_pruned():
    def fun(x, y):
        a = jnp.exp(y)  # 1: depends on no differentiated input
        b = jnp.sin(x)  # 2
        c = b > 0.5  # 3: carries no derivative
        d = jnp.cos(b)  # 4: reaches no output
        e = b * a  # 5
        del c, d
        return e

    graph = graphax.trace(fun)(1.0, 2.0)
    assert graph.vertices == (2, 5) and graph.eliminable == (2,)
    assert set(graph.edges) == {(-1, 2), (2, 5)}


def test_calls_are_inlined_and_take_no_number():
    plain = graphax.trace(lambda x: jnp.sin(jnp.cos(x)) * 2)(1.0)
    inner = jax.checkpoint(jax.jit(lambda x: jnp.sin(jnp.cos(x))))
    wrapped = graphax.trace(jax.jit(lambda x: inner(x) * 2))(1.0)
    assert plain.vertices == wrapped.vertices == (1, 2, 3)
    assert plain.fingerprint == wrapped.fingerprint


def test_results_that_carry_a_derivative_take_one_number_each():
    def fun(x):
        value, index = jax.lax.top_k(x, 2)  # 1; the index has no number
        q, r = jnp.linalg.qr(jnp.outer(value, value) + jnp.eye(2))
        return jnp.sum(q) + jnp.sum(r) + jnp.take(x, index[0])

    graph = graphax.trace(fun)(X)
    numbers = [n for n in graph.numbering.number.values() if n > 0]
    assert sorted(numbers) == sorted(set(numbers))
    assert set(graph.vertices) <= set(numbers)


def test_an_output_that_others_read_is_eliminable_and_keeps_its_in_edges():
    def fun(x):
        y = jnp.sin(x)
        return y, jnp.cos(y)

    graph = graphax.trace(fun)(1.0)
    assert graph.vertices == (1, 2) and graph.eliminable == (1,)
    jacobian = graphax.jacve(fun, order=[1])(1.0)
    np.testing.assert_allclose(jacobian, jax.jacrev(fun)(1.0), rtol=1e-12)


def test_edges_without_a_derivative_do_not_exist():
    graph = graphax.trace(lambda x: jax.lax.stop_gradient(x) * x + jnp.floor(x))(1.0)
    assert all(source == -1 or target > source for source, target in graph.edges)
    # The product, and the sum; neither the constant factor nor the floor.
    assert len(graph.vertices) == 2 and len(graph.eliminable) == 1


def test_kinds_of_edges():
    def kinds(fun, *args):
        return [term.kind for s in graphax.trace(fun)(*args).edges.values() for term in s.terms]

    assert kinds(lambda x: x + 1.0, X) == [Kind.UNIT]
    assert kinds(lambda x: -x, X) == [Kind.UNIT]
    assert kinds(lambda x: 2.0 * x, X) == [Kind.CONSTANT]
    assert kinds(lambda x: x / 4.0, X) == [Kind.CONSTANT]
    assert kinds(lambda x: x[1:], X) == [Kind.UNIT]
    assert kinds(jnp.sin, X) == [Kind.VALUE]


def test_structures_of_common_operations():
    def structure(fun, *args, argnums=0):
        (edge,) = graphax.trace(fun, argnums)(*args).edges.values()
        return edge

    matrix, factor = np.ones((3, 4)), jnp.float64(2.0)
    assert str(structure(lambda s, x: s * x, factor, X)) == "(a) <- () value over a=3"
    assert str(structure(lambda s, x: s * x, factor, X, argnums=1)) == "(a) <- (a) value"
    assert str(structure(lambda m: jnp.sum(m, axis=1), matrix)) == "(a) <- (a, b) unit"
    assert str(structure(lambda a, b: a @ b, matrix, matrix.T)) == "(a, b) <- (a, c) value over b=3 c=4"
    assert str(structure(lambda m: m.T, matrix)) == "(a, b) <- (b, a) unit"
    assert str(structure(lambda m: m.reshape(12), matrix)) == "(a b) <- (a, b) unit"
    assert str(structure(lambda m: m[1:, 1::2], matrix)) == "(a, b) <- (1+a, 1+2b) unit"
    assert str(structure(lambda m: m[:, 3:], matrix)) == "(a, 1) <- (a, 3) unit"
    assert str(structure(lambda m: jnp.flip(m, 1), matrix)) == "(a, b) <- (a, 3-b) unit"
    assert re.fullmatch(r"\(a\) <- \(\w+\[a\]\) unit", str(structure(lambda x: x[np.array([2, 0, 0])], X)))


PROGRAM = """
import jax, graphax
from alphagrad import tasks
jax.config.update("jax_enable_x64", {x64})
for name in ("RoeFlux_1d", "Encoder", "CloudMicrophysics", "random_tensor"):
    task = tasks.load(name)
    args = task.sample(jax.random.key({seed}))
    print(graphax.trace(task.fun, task.argnums)(*args).fingerprint)
"""


def test_fingerprints_are_the_same_in_every_process_for_every_value_and_precision():
    def run(x64, seed):
        command = [sys.executable, "-c", PROGRAM.format(x64=x64, seed=seed)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    first, second = run(True, 0), run(False, 1)
    assert len(set(first)) == 4 and first == second


@pytest.mark.parametrize(
    "other",
    [
        lambda x: jnp.sin(x) * 3,
        lambda x: jnp.cos(x) * 2,
        lambda x: 2 * jnp.sin(x),
        lambda x: (jnp.sin(x) * 2, x),
        lambda x: jnp.sin(x)[None] * 2,
    ],
)
def test_fingerprints_tell_functions_apart(other):
    fun = lambda x: jnp.sin(x) * 2  # noqa: E731
    graph = graphax.trace(fun)(X)
    assert graph.fingerprint != graphax.trace(other)(X).fingerprint
    assert graph.fingerprint != graphax.trace(fun)(X[:2]).fingerprint


def test_graphs_print_their_numbered_equations_with_source_lines():
    task = tasks.load("PropaneCombustion")
    lines = str(graphax.trace(task.fun, task.argnums)(*task.args)).splitlines()
    assert lines[0].startswith("inputs a:") and lines[-2].startswith("outputs ")
    assert len(lines) == 62 + 3
    assert " 1 * " in lines[1] and "div 40.0" in lines[1] and "chemistry.py" in lines[1]
    assert "51 eliminable" in lines[-1]


def test_tracing_needs_shapes_only():
    shape = jax.ShapeDtypeStruct((3,), "float32")
    graph = graphax.trace(lambda x, y: jnp.sin(x) * y, (0, 1))(shape, shape)
    assert graph.eliminable == (1,)
    assert (
        graphax.count_ops(lambda x, y: jnp.sin(x) * y, order="reverse", argnums=(0, 1))(shape, shape).mults
        == 3
    )


def test_cost_grows_linearly_with_the_program():
    def seconds(length):
        def fun(x):
            for _ in range(length):
                x = jnp.sin(x)
            return x

        graph = graphax.trace(fun)(1.0)
        samples = []
        for _ in range(3):
            start = time.process_time()
            assert graph.cost(graphax.orders.markowitz(graph)).mults == length - 1
            samples.append(time.process_time() - start)
        return min(samples)

    assert seconds(1600) < 30 * seconds(200)  # 8 if linear, 64 if quadratic
