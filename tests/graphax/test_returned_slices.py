"""Slices that a scan returns and carries: they depend on those of the same step, of earlier ones, or both."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from oracle import assert_same_jacobian

from graphax import hessve, jacve
from graphax.rules.loops._packing import Packing

C, XS = np.array([0.3, -0.7]), np.arange(1.0, 7.0).reshape(3, 2) / 5


def both(value):
    return value, value


def shifted(state, x):
    """A delay line: what is carried is this step's slice, then the slice of the step before."""
    first, second = jnp.sin(x), state[0] * 2
    return (first, second), (first, second)


BODIES = {
    "the carried value is overwritten": lambda c, x: both(jnp.sin(x)),
    "by the slice itself": lambda c, x: both(x),
    "by the slice and a constant": lambda c, x: both(x * jnp.array([2.0, 3.0])),
    "with a value of earlier steps beside": lambda c, x: (lambda y: (y, (y, c * y)))(jnp.cos(x)),
    "returned twice": lambda c, x: (lambda y: (y, (y, y, c)))(jnp.exp(x)),
    "it accumulates": lambda c, x: both(c * x),
    "the value before the step": lambda c, x: (jnp.sin(x), c),
}


def test_a_returned_slice_may_be_what_is_carried():
    def every(c, xs):
        scans = [lax.scan(body, c, xs) for body in BODIES.values()]
        scans.append(lax.scan(BODIES["by the slice itself"], c, xs, reverse=True))
        return scans, lax.scan(shifted, (c, c), xs, reverse=True)

    orders = [jacve(every, order=order, argnums=(0, 1)) for order in ("forward", "reverse")]
    expected = jax.jit(jax.jacfwd(every, (0, 1)))(C, XS)
    assert_same_jacobian(jax.jit(lambda *args: [one(*args) for one in orders])(C, XS), [expected] * 2)


def test_second_derivatives_of_returned_slices_that_are_carried():
    def fun(xs):
        scans = [
            lax.scan(BODIES[name], xs[0], xs)
            for name in ("the carried value is overwritten", "returned twice")
        ]
        return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(scans))

    assert_same_jacobian(jax.jit(hessve(fun))(XS), jax.jit(jax.hessian(fun))(XS))


def test_lanes_and_one_step():
    fun = lambda c, xs: lax.scan(BODIES["the carried value is overwritten"], c, xs)  # noqa: E731
    lanes = lambda mode: jax.jit(jax.vmap(mode(fun, argnums=(0, 1))))  # noqa: E731
    points = np.stack([C, C * 2]), np.stack([XS[:1], XS[1:2]])
    assert_same_jacobian(lanes(jacve)(*points), lanes(jax.jacrev)(*points))


def test_a_packing_gives_back_what_it_packs():
    packing = Packing({4: (2, 3), 1: (), 2: (0, 5), 7: (3,)})
    assert packing.size == 10
    assert packing.places([7, 1]) == [7, 8, 9, 6]
    arrays = {4: np.arange(6.0).reshape(2, 3), 1: np.array(6.0), 2: np.zeros((0, 5)), 7: np.arange(7.0, 10.0)}
    packed = packing.pack([arrays.get(at) for at in range(8)])
    np.testing.assert_array_equal(packed, np.arange(10.0))
    for steps in ((), (5,)):
        found = packing.unpack(jnp.broadcast_to(packed, (*steps, 10)))
        assert {at: value.shape for at, value in found.items()} == {
            at: (*steps, *value.shape) for at, value in arrays.items()
        }
        for at, value in arrays.items():
            np.testing.assert_array_equal(found[at], np.broadcast_to(value, found[at].shape))


def test_one_array_keeps_its_shape():
    packing = Packing({1: (2, 3)})
    array = np.ones((2, 3))
    assert packing.pack([None, array]) is array
    assert packing.unpack(array) == {1: array}
