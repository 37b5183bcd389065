"""Kernels for GPUs, carried out step by step where there is none."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from graphax import jacve
from graphax.kernels import _triton, program_of

pytestmark = pytest.mark.usefixtures("on_cpu")
SPECIAL = np.array([0.0, -0.0, 1.0, -2.5, np.inf, -np.inf, np.nan, 1e300, 1e-300])


def run(fun, *operands, batched=None):
    """A function of one row by a kernel, over a batch."""
    batched = tuple(True for _ in operands) if batched is None else batched
    first = [x[0] if has_rows else x for x, has_rows in zip(operands, batched, strict=True)]
    batch = next(len(x) for x, has_rows in zip(operands, batched, strict=True) if has_rows)
    (found,) = _triton.call(program_of(fun, *first), batched, batch, interpret=True)(*operands)
    return found


@pytest.mark.parametrize("fun", [jnp.maximum, jnp.minimum], ids=["max", "min"])
def test_the_greater_and_the_lesser_of_nothing_are_nothing(fun):
    x, y = (a.ravel() for a in np.meshgrid(SPECIAL, SPECIAL))
    np.testing.assert_array_equal(run(fun, x, y), fun(x, y))


@pytest.mark.parametrize("batch", [1, 32, 70])
def test_rows_are_whole_at_any_size_of_the_batch(batch):
    rows, shared = np.random.default_rng(0).uniform(0.5, 1.5, (batch, 3)), np.array([0.5, 2.0])

    def fun(x, p):
        return jnp.concatenate([jnp.sin(x) * p[0], x[:2] ** p[1], jnp.zeros(4)])

    found = run(jacve(fun, kernel=True), rows, shared, batched=(True, False))
    np.testing.assert_allclose(found, jax.vmap(jax.jacrev(fun), (0, None))(rows, shared), rtol=1e-12)


def test_loops_hand_on_values_and_derivatives():
    rows = np.random.default_rng(0).uniform(0.5, 1.5, (3, 2))

    def fun(x):
        return lax.fori_loop(0, 12, lambda i, s: s + 0.1 * jnp.sin(s * x[::-1]), x)

    np.testing.assert_allclose(
        run(jacve(fun, kernel=True), rows), jax.vmap(jax.jacfwd(fun))(rows), rtol=1e-12
    )


def test_rows_that_are_mostly_zero_are_whole():
    rows = np.random.default_rng(0).uniform(0.5, 1.5, (5, 20))
    found = run(jacve(lambda x: jnp.sin(x) * x[0], kernel=True), rows)
    np.testing.assert_allclose(found, jax.vmap(jax.jacfwd(lambda x: jnp.sin(x) * x[0]))(rows), rtol=1e-12)


def test_long_programs_are_compiled_for_many_rows_alone():
    def fun(x):
        return jnp.sum(jnp.tanh(x * jnp.arange(1.0, 30.0)[:, None]) ** 3, 0)

    def called(rows, kernel):
        x = jax.ShapeDtypeStruct((rows, 3), np.float32)
        traced = jax.jit(jax.vmap(jacve(fun, kernel=kernel))).trace(x)
        return "triton" in traced.lower(lowering_platforms=("cuda",)).as_text()

    assert not called(8, "auto")
    assert called(8, True)
    assert called(1 << 20, "auto")


@pytest.mark.parametrize("check", [True, False])
def test_types_of_results_say_along_which_axes_of_a_mesh_arrays_differ(check):
    mesh = jax.make_mesh((1,), ("i",), axis_types=(AxisType.Auto,))
    program = program_of(lambda v, w: jnp.sin(v * w) @ jnp.cos(v) * v, jnp.ones(3), jnp.ones(3))
    kernel = _triton.call(program, (True, False), 40)
    shards = jax.shard_map(kernel, mesh=mesh, in_specs=(P("i"), P()), out_specs=P("i"), check_vma=check)
    (found,) = jax.eval_shape(shards, jnp.ones((40, 3)), jnp.ones(3))
    assert found.shape == (40, 3)
