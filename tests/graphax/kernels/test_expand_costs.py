"""What is not expanded: what nobody needs, what adds nothing, and what there are no scalars for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from array_functions import LINE, SQUARE
from expanded import Expanded, check_derivatives, check_values
from jax import lax

import graphax
import graphax.kernels
from graphax._trace import trace_program
from graphax.kernels import NoKernel
from graphax.kernels._program import ScalarProgram
from graphax.kernels._scalars import Scalars
from graphax.kernels.expand import expand

pytestmark = pytest.mark.usefixtures("on_cpu")


def operations(fun, *args, **kwargs):
    expanded = Expanded(fun, *args, **kwargs)
    arrays = [(a.shape, a.ravel().tolist()) for a in expanded.results]
    return [
        op
        for op in ScalarProgram(expanded.scalars, expanded.operands, arrays).ops
        if op not in ("input", "const")
    ]


def test_zeros_of_a_matrix_are_no_terms_where_the_others_are_finite():
    matrix = np.array([[1.0, 0, 0], [0, 2, 0], [0, 0, 0]])
    assert operations(lambda x: matrix @ x, LINE[:3]) == ["mul"]
    assert operations(lambda x: matrix @ jnp.sin(x), LINE[:3]) == ["sin", "sin", "mul"]
    assert "mul" in operations(lambda x: matrix[2] @ (1 / x), LINE[:3])


def test_zeros_that_derivatives_are_added_to_take_no_operation():
    assert operations(jax.grad(lambda x: x[0] * x[1] + x[0] * x[2]), LINE[:3]).count("add") == 1
    assert operations(jax.grad(lambda x: jnp.sum(x[np.array([0, 0, 1])] * x)), LINE[:3]).count("add") == 3
    assert operations(lambda x: jnp.sum(jnp.pad(x, 3)), LINE[:2]) == ["add"]


def test_known_exponents_are_products_and_roots():
    assert operations(lambda x: x**2.0, LINE[0]) == ["mul"]
    assert operations(lambda x: (x * x) ** 1.5, LINE[0]) == ["mul", "sqrt", "mul"]
    assert operations(lambda x: jnp.exp(x) ** -0.5, LINE[0]) == ["exp", "sqrt", "div"]
    assert "pow" not in operations(lambda x: x**0.5, LINE[0])


def test_what_no_result_needs_is_not_expanded():
    assert operations(lambda x: (lax.lgamma(x), jnp.sin(x))[1], LINE[0]) == ["sin"]


def test_a_known_index_or_predicate_selects_nothing():
    assert operations(lambda x: x[jnp.array(2)] + lax.dynamic_slice(x, (1,), (1,))[0], LINE) == ["add"]
    assert operations(lambda x: lax.cond(jnp.array(True), jnp.sin, jnp.cos, x), LINE[0]) == ["sin"]
    assert operations(lambda x: lax.cond(x > 0, jnp.sin, jnp.cos, x), LINE[0]).count("select") == 1


def test_values_alone_hold_no_derivatives():
    for fun in (jax.nn.sigmoid, jax.nn.relu, jnp.max, jnp.linalg.norm, lambda x: x**5):
        expanded = Expanded(fun, LINE, order=0)
        assert "given" not in expanded.scalars.ops


@jax.jit
def root(x):
    """A step of Newton's method, with the derivative by a kernel."""
    return x - jnp.linalg.solve(graphax.jacve(curve, kernel=True)(x), graphax.kernels.fuse(curve)(x))


def curve(x):
    return jnp.stack([x[0] ** 3 * x[1], jnp.sin(x[1]) + x[0]])


def test_kernels_within_a_program_are_expanded_with_it():
    check_values(root, LINE[:2])
    check_derivatives(root, LINE[:2])
    check_values(jax.vmap(root), SQUARE[:, :2])
    check_derivatives(jax.vmap(root), SQUARE[:2, :2])


def test_a_number_has_a_derivative_by_a_number():
    np.testing.assert_allclose(graphax.jacve(jnp.sin, kernel=True)(0.3), np.cos(0.3))


REFUSED = {
    "lgamma": (lax.lgamma, LINE),
    "svd": (lambda a: jnp.linalg.svd(a, compute_uv=False), SQUARE),
    "eigh": (lambda a: jnp.linalg.eigh(a)[0], SQUARE),
    "qr|householder_product|geqrf": (lambda a: jnp.linalg.qr(a)[1], SQUARE),
    "while": (lambda x: lax.while_loop(lambda x: x < 9, lambda x: 2 * x, x), 1.0),
    "sort.*17": (jnp.sort, np.zeros(17)),
    "lu.*7 x 7": (jnp.linalg.inv, np.eye(7)),
    "float16": (lambda x: x.astype(jnp.float16), LINE),
    "complex128": (lambda x: jnp.abs(x * 1j), LINE),
    "callback": (lambda x: (jax.debug.callback(lambda x: None, x), x)[1], LINE),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_expanded_is_named_with_the_line_that_asks_for_it(name):
    fun, arg = REFUSED[name]
    with pytest.raises(NoKernel, match=rf"({name}).*test_expand_costs\.py:"):
        Expanded(lambda x: fun(x), arg)


LARGE = {
    "elementwise": (lambda x: jnp.sin(x) + 1, np.zeros(2000)),
    "product": (lambda x: x @ x, np.zeros((30, 30))),
    "loop": (lambda x: lax.scan(lambda c, _: (jnp.sin(c), c), x, length=10**9)[0], np.zeros(5)),
    "indices": (lambda x: x.reshape(2, -1)[:, x[:20].astype(int)], np.zeros(600)),
    "constants": (lambda x: x + jnp.arange(2000.0)[x.astype(int)], np.float64(0)),
    "in a branch": (
        lambda x: lax.cond(
            x > 0, lambda x: jnp.ones((40, 40)) @ jnp.ones((40, 40)) * x, lambda x: x * jnp.ones((40, 40)), x
        ),
        np.float64(0),
    ),
}


@pytest.mark.parametrize("case", LARGE)
def test_what_is_too_long_is_given_up_after_little_work(case):
    fun, arg = LARGE[case]
    scalars = Scalars()
    program, _ = trace_program(fun, arg)
    inputs = [np.array([scalars.input(0, k, "f8") for k in range(arg.size)], np.int64).reshape(arg.shape)]
    with pytest.raises(NoKernel, match=r"more than 1000 scalars.*test_expand_costs\.py:"):
        expand(program, scalars, inputs, limit=1000)
    assert len(scalars) < 4000


def test_the_loop_of_a_kernel_stays_one_within_another_kernel():
    def program(length):
        def fun(x):
            return lax.fori_loop(0, length, lambda i, s: s + 0.1 * jnp.sin(s * x), x)

        return graphax.kernels.program_of(graphax.jacve(fun, kernel=True), np.ones(3))

    assert program(9).operations == program(1000).operations <= program(4).operations
