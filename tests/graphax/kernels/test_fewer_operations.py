"""Derivatives in kernels take fewer operations where parts of them are there already, and stay JAX's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from graphax import jacve
from graphax.kernels import program_of
from graphax.kernels._derivatives import plus, times
from graphax.kernels._eliminate import operations
from graphax.kernels._scalars import Scalars
from graphax.kernels._simplify import simplify


@pytest.fixture
def table():
    """A table of expressions and eight inputs."""
    s = Scalars()
    return s, [s.input(0, k, "f8") for k in range(8)]


def simplified(s, roots, values=None):
    return simplify(s, roots, len(s) if values is None else values)


# ---- selections


def test_of_a_selection_by_the_same_predicate_one_arm_is_left(table):
    s, (a, b, c, *_) = table
    p = s.compare("lt", a, b)
    inner, q = s.select(p, a, b), s.function("not", p)
    assert s.select(p, inner, c) == s.select(p, a, c)
    assert s.select(p, c, inner) == s.select(p, c, b)
    assert s.select(q, inner, c) == s.select(p, c, b)
    assert s.select(q, s.select(q, a, b), c) == s.select(p, c, a)
    other = s.compare("lt", b, c)
    assert s.ops[s.args[s.select(other, inner, c)][1]] == "select"


def test_opposites_are_true_together_and_never_both(table):
    s, (a, b, *_) = table
    p = s.compare("lt", a, b)
    q = s.function("not", p)
    for pair in ((p, q), (q, p)):
        assert s.value(s.logical("or", *pair)) is np.True_
        assert s.value(s.logical("and", *pair)) is np.False_


def test_what_both_arms_have_is_left_out_nowhere(table):
    s, (a, b, c, *_) = table
    p, zero = s.compare("lt", a, b), s.zero("f8")
    both = plus(s, s.select(p, a, zero), s.neg(s.select(p, zero, b)))
    assert both == s.select(p, a, s.neg(b))
    product = times(s, both, c)
    assert s.ops[product] == "mul"  # and no selection around it


def test_the_negative_of_a_selection_is_one(table):
    s, (a, b, *_) = table
    p, zero = s.compare("lt", a, b), s.zero("f8")
    found = plus(s, s.select(p, zero, a), s.neg(s.select(p, zero, b)))
    assert found == s.select(p, zero, s.sub(a, b))


def guarded(x):
    """Entries that are safe at the origin, and selected more than once."""
    square = jnp.dot(x, x)
    small = square < 1e-8
    theta = jnp.sqrt(jnp.where(small, 1.0, square))
    a = jnp.where(small, 1 - square / 6, jnp.sin(theta) / theta)
    b = jnp.where(small, 0.5 - square / 24, (1 - jnp.cos(theta)) / jnp.where(small, 1.0, square))
    return a * x + b * jnp.cross(x, x[::-1])


def test_a_guarded_function_selects_no_more_than_it_has_guards():
    program = program_of(jacve(guarded, kernel=True), jax.ShapeDtypeStruct((3,), np.float64))
    # Five values, and of four of them a derivative by the square alone.
    assert sum(op == "select" for op in program.ops) <= 9
    with jax.enable_x64(True):
        points = jnp.array([[0.5, 0.4, -0.3], [0.0, 0.0, 0.0], [1e-5, 0.0, 2e-5]])
        wanted = jax.vmap(jax.jacfwd(guarded))(points)
        found = jax.jit(jax.vmap(jacve(guarded, kernel=True)))(points)
        np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-14)


# ---- sums of products


def test_a_sum_that_is_there_is_multiplied_by_the_common_factor(table):
    s, (a, b, c, d, f, *_) = table
    there = s.add(s.mul(a, b), s.mul(c, d))
    values = len(s)
    found = s.add(s.mul(a, s.mul(b, f)), s.mul(c, s.mul(d, f)))
    (simple, _) = simplified(s, [found, there], values)
    assert simple == s.mul(f, there)


def test_a_factor_of_a_factor_is_taken_out_where_its_products_are_there(table):
    s, (a, b, c, d, f, *_) = table
    beside = [s.mul(a, b), s.mul(c, d)]
    values = len(s)
    found = s.sub(s.mul(a, s.mul(b, f)), s.mul(c, s.mul(d, f)))
    simple = simplified(s, [found, *beside], values)[0]
    assert simple == s.mul(f, s.sub(*beside))


def test_a_common_factor_stays_where_taking_it_out_costs_as_much(table):
    s, (a, b, c, d, f, *_) = table
    inner = s.mul(b, f), s.mul(d, f)
    values = len(s)
    found = s.add(s.mul(a, inner[0]), s.mul(c, inner[1]))
    roots = [found, *inner]
    assert operations(s, simplified(s, roots, values)) == operations(s, roots) == 5


def test_products_that_others_take_are_kept(table):
    s, (a, b, c, d, *_) = table
    values = len(s)
    products = s.mul(a, b), s.mul(a, c)
    roots = [s.add(*products), s.sub(products[0], d), s.sub(products[1], d)]
    assert operations(s, simplified(s, roots, values)) == operations(s, roots) == 5
    found = s.mul(d, s.add(b, c))  # with the sum there, one of the products is enough
    assert operations(s, simplified(s, [*roots[:2], found], values)) == 5


def test_a_difference_is_the_negative_of_the_opposite_that_is_there(table):
    s, (a, b, c, *_) = table
    there = s.sub(a, b)
    values = len(s)
    (simple, _) = simplified(s, [s.add(c, s.sub(b, a)), there], values)
    assert simple == s.sub(c, there)


@pytest.mark.parametrize("seed", range(8))
def test_simpler_derivatives_are_the_same_numbers_for_no_more_operations(seed):
    s, random = Scalars(), np.random.default_rng(seed)
    points = random.uniform(0.5, 2, 5)
    x = [s.input(0, k, "f8") for k in range(5)]
    found = list(x)
    for _ in range(40):
        op = random.choice(["add", "sub", "mul", "mul"])
        found.append(s.binary(str(op), *(int(y) for y in random.choice(found[-12:], 2))))
        values = len(s) if len(found) == 15 else locals().get("values", 0)
    roots = found[-6:]
    simple = simplified(s, roots, values)
    assert operations(s, simple) <= operations(s, roots)
    np.testing.assert_allclose(_numbers(s, simple, points), _numbers(s, roots, points), rtol=1e-9, atol=1e-9)


def _numbers(s, roots, points):
    known = {}
    for x in range(max(roots) + 1):
        op, args = s.ops[x], s.args[x]
        if op in ("input", "const"):
            known[x] = points[args[1]] if op == "input" else args[0]
        elif op != "zero":
            operands = [known[y] for y in args]
            known[x] = (
                -operands[0]
                if op == "neg"
                else {"add": np.add, "sub": np.subtract}.get(op, np.multiply)(*operands)
            )
    return [known[x] for x in roots]


# ---- whole functions


def chain(x):
    """The position of the hand of an arm, by products of transforms whose constants are no zeros."""
    pose = jnp.eye(4)
    for k, alpha in enumerate((-np.pi / 2, np.pi / 2, 0.0)):
        c, s, ca, sa = jnp.cos(x[k]), jnp.sin(x[k]), float(np.cos(alpha)), float(np.sin(alpha))
        link = jnp.array(
            [[c, -s * ca, s * sa, 0.0], [s, c * ca, -c * sa, 0.0], [0.0, sa, ca, 0.4], [0.0, 0.0, 0.0, 1.0]]
        )
        pose = pose @ link
    return pose[:3].reshape(-1)


def test_a_chain_of_transforms_multiplies_what_it_has():
    program = program_of(jacve(chain, kernel=True), jax.ShapeDtypeStruct((3,), np.float64))
    assert program.operations <= 130
    with jax.enable_x64(True):
        points = jnp.array([[0.2, 0.8, 1.4], [0.0, 0.0, 0.0], [3.0, -2.0, jnp.inf], [jnp.nan, 1.0, 1.0]])
        wanted = jax.vmap(jax.jacfwd(chain))(points)
        found = jax.jit(jax.vmap(jacve(chain, kernel=True)))(points)
        np.testing.assert_allclose(found[:2], wanted[:2], rtol=1e-13, atol=1e-14)
        assert not np.any(np.isnan(found) & ~np.isnan(wanted))


def test_a_zero_of_the_user_s_is_multiplied_with_whatever_there_is():
    def fun(x):
        a, b, c, d = x
        return jnp.stack([a * (0.0 * b) - c * (0.0 * d), a * b - c * d])

    points = jnp.array([[1.0, 2.0, 3.0, 4.0], [1.0, jnp.inf, 3.0, 4.0], [1.0, 2.0, 3.0, jnp.nan]])
    found = jax.vmap(jacve(fun, kernel=True))(points)
    np.testing.assert_array_equal(found[0], jax.jacfwd(fun)(points[0]))
    assert np.isnan(found[1, 0, 0]) and np.isnan(found[2, 0, 2])


def test_kernels_in_loops_share_what_is_there():
    def fun(x):
        def step(s, _):
            return jnp.stack([s[0] * x[0] - s[1] * x[1], s[0] * x[1] + s[1] * x[0]]), None

        return lax.scan(step, x, None, length=3)[0]

    x = jnp.array([0.4, 0.7])
    np.testing.assert_allclose(jacve(fun, kernel=True)(x), jax.jacfwd(fun)(x), rtol=1e-6)
