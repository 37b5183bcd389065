"""What programs of Jacobians are made of: structure that is kept, and steps that are not there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from emitted import equations, names_in
from jax import lax
from oracle import assert_same_jacobian, together

from graphax import jacve

RANDOM = np.random.default_rng(7)
X, V, A = RANDOM.normal(size=6), RANDOM.normal(size=4), RANDOM.normal(size=(3, 4))


def numbers_held(fun, *args):
    """How many numbers the blocks of a Jacobian hold."""
    blocks = jax.tree.leaves(jacve(fun, sparse=True)(*args), is_leaf=lambda leaf: hasattr(leaf, "nnz"))
    return sum(block.structure.numbers for block in blocks)


# Static updates and places ----------------------------------------------------------------------------------


def transform(x):
    """A matrix that is put together, part by part."""
    c, s = jnp.cos(x[0]), jnp.sin(x[0])
    turn = jnp.array([[c, -s], [s, c]])
    whole = jnp.eye(3).at[:2, :2].set(turn).at[:2, 2].set(turn @ x[1:3]).at[2, 2].set(x[3])
    return whole


def test_what_an_update_leaves_is_not_listed_entry_by_entry():
    before, after = (names_in(fun, X) for fun in (transform, jacve(transform)))
    assert "gather" not in after
    assert after.count("scatter") <= before.count("scatter") and "scatter-add" not in after
    assert_same_jacobian(*together(jacve(transform), jax.jacfwd(transform))(X))


@pytest.mark.parametrize("place", [1, slice(1, 3), (slice(None), 2), (1, slice(0, 2)), ([0, 2], [1, 1])])
def test_updates_of_boxes_and_of_other_places(place):
    def fun(a, v):
        return jnp.sin(a).at[place].set(jnp.cos(v[0])) * a

    found, expected = together(jacve(fun, (0, 1)), jax.jacrev(fun, (0, 1)))(A, V)
    assert_same_jacobian(found, expected)


def test_places_are_gathered_from():
    def fun(x):
        return jnp.outer(x, x)[np.array([0, 1, 2, 2, 5]), np.array([1, 1, 0, 4, 5])] * x[:5]

    assert "scatter-add" not in names_in(jacve(fun), X)
    assert_same_jacobian(*together(jacve(fun), jax.jacfwd(fun))(X))


# Broadcast operands -----------------------------------------------------------------------------------------

BROADCAST = {
    "a row is added": (lambda v: jnp.tanh(A + v), V, 12),
    "a column is added": (lambda v: jnp.tanh(A + v[:3, None]), V, 12),
    "a column is subtracted": (lambda v: A - v[:3, None], V, 0),
    "from a column": (lambda v: jnp.exp(v[:3, None] - A), V, 12),
    "differences of points": (lambda v: (v[:, None] - A[:, None, :2].reshape(1, -1)) ** 2, V, 24),
    "a single number": (lambda v: A + v[:1, None], V, 0),
}


@pytest.mark.parametrize("name", BROADCAST)
def test_sums_with_broadcast_operands_hold_a_number_for_every_result_at_most(name):
    fun, x, numbers = BROADCAST[name]
    assert numbers_held(fun, x) == numbers
    assert_same_jacobian(*together(jacve(fun), jax.jacrev(fun))(x))


# Loops ------------------------------------------------------------------------------------------------------


def recurrence(n, length=3):
    slices = RANDOM.normal(size=(length, n))

    def fun(a):
        def step(h, x):
            h = jnp.tanh(a * h + x)
            return h, h**2

        return lax.scan(step, jnp.ones(n), slices)

    return fun


@pytest.mark.parametrize("n", [8, 64, 65])
def test_a_diagonal_recurrence_stays_diagonal_at_every_size(n):
    fun, a = recurrence(n), RANDOM.normal(size=n)
    assert numbers_held(fun, a) == n + 3 * n
    if n == 8:
        assert_same_jacobian(*together(jacve(fun), jax.jacfwd(fun))(a))


def test_blocks_of_a_batch_stay_apart_in_a_loop():
    w = RANDOM.normal(size=(2, 2))

    def fun(h):
        return lax.fori_loop(0, 3, lambda _, h: jnp.tanh(h @ w), h)

    h = RANDOM.normal(size=(5, 2))
    assert numbers_held(fun, h) == 5 * 2 * 2
    assert_same_jacobian(*together(jacve(fun), jax.jacfwd(fun))(h))


def test_slices_of_a_step_alone_stay_apart():
    def fun(a, xs):
        return lax.scan(lambda h, x: (jnp.cos(a * h), jnp.sin(x) * x), a, xs)

    a, xs = RANDOM.normal(size=9), RANDOM.normal(size=(4, 3))
    block = jacve(fun, 1, sparse=True)(a, xs)[1]
    assert block.structure.numbers == 12
    assert_same_jacobian(*together(jacve(fun, (0, 1)), jax.jacrev(fun, (0, 1)))(a, xs))


@pytest.mark.parametrize("n", [2, 9])
def test_the_loop_of_a_jacobian_is_unrolled_as_its_scan_is(n):
    def fun(a):
        return lax.scan(lambda h, x: (h * a + x, None), a, jnp.arange(8.0), unroll=4)[0]

    loops = [
        e for e in equations(jax.make_jaxpr(jacve(fun))(jnp.ones(n)).jaxpr) if e.primitive.name == "scan"
    ]
    assert any(loop.params["length"] == 8 and loop.params["unroll"] == 4 for loop in loops)


# Rules of users ---------------------------------------------------------------------------------------------


@jax.custom_jvp
def safe_norm(x):
    return jnp.sqrt(jnp.sum(x**2, -1))


@safe_norm.defjvp
def _(primals, tangents):
    ((x,), (t,)), y = (primals, tangents), safe_norm(*primals)
    return y, jnp.sum(x * t, -1) / jnp.where(y == 0, 1, y)


@jax.custom_vjp
def scaled_sum(x, w):
    return jnp.sum(x * w, -1)


scaled_sum.defvjp(
    lambda x, w: (scaled_sum(x, w), (x, w)), lambda r, g: (2 * g[:, None] * r[1], g[:, None] * r[0])
)


@pytest.mark.parametrize(
    "fun", [safe_norm, lambda x: safe_norm(x) * safe_norm(x - 1), lambda x: scaled_sum(x, A)]
)
def test_rules_of_custom_derivatives_keep_rows_apart(fun):
    assert numbers_held(fun, A) == A.size
    assert_same_jacobian(*together(jacve(fun), jax.jacrev(fun))(A))
