"""What a program knows of itself is what JAX computes, whoever computes it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from graphax import jacve
from graphax._known import _BY_NUMPY, KnownValues, by_numpy
from graphax._trace import inline

I32 = np.array([3, -2, 2**31 - 1], np.int32)
U8 = np.array([250, 3, 9], np.uint8)
F32 = np.array([0.1, -np.inf, np.nan], np.float32)
TRUE = np.array([True, False, True])

PROGRAMS = {
    "iota": lambda: lax.broadcasted_iota(jnp.int32, (2, 3), 1),
    "broadcast": lambda: lax.broadcast_in_dim(I32, (2, 3, 4), (1,)),
    "broadcast of one": lambda: lax.broadcast_in_dim(I32[:1], (3, 4), (0,)),
    "broadcast of a number": lambda: lax.broadcast_in_dim(np.float32(2), (3,), ()),
    "concatenate": lambda: lax.concatenate([I32, I32[:2]], 0),
    "reshape": lambda: lax.reshape(np.arange(6), (3, 2)),
    "squeeze": lambda: lax.squeeze(I32[:, None], (1,)),
    "select": lambda: lax.select(TRUE, I32, -I32),
    "select by a number": lambda: lax.select(np.bool_(True), F32, -F32),
    "integers wrap around": lambda: lax.add(I32, I32),
    "numbers wrap around": lambda: lax.mul(np.int32(2**30), np.int32(4)),
    "unsigned": lambda: lax.sub(U8, np.array([251, 3, 10], np.uint8)),
    "products": lambda: lax.mul(F32, np.float32(0.3)),
    "less": lambda: lax.lt(F32, F32[::-1]),
    "at least": lambda: lax.ge(I32, np.int32(0)),
    "equal": lambda: lax.eq(F32, F32),
    "unequal": lambda: lax.ne(U8, U8[::-1]),
    "narrower": lambda: lax.convert_element_type(I32, np.int8),
    "truth": lambda: lax.convert_element_type(I32 - 3, bool),
    "from truth": lambda: lax.convert_element_type(TRUE, np.int32),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_numpy_gives_what_jax_gives(name):
    program = inline(jax.make_jaxpr(PROGRAMS[name])())
    known = KnownValues(program)
    found = known(program.outputs[0])
    wanted = np.asarray(PROGRAMS[name]())
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    np.testing.assert_array_equal(found, wanted)
    for last in program.equations[-1:]:  # newer releases of JAX convert what is known as they trace
        assert last.primitive.name in _BY_NUMPY
        assert by_numpy(last, [np.asarray(known(atom)) for atom in last.inputs]) is not None


@pytest.mark.slow
def test_indices_that_a_function_makes_are_compiled_by_nobody(monkeypatch):
    """Cold, every operation that XLA is asked for takes tens of milliseconds."""
    compiled = []
    listening = jax.monitoring.register_event_duration_secs_listener
    listening(lambda event, *_, **__: compiled.append(event) if "backend_compile" in event else None)
    places = np.array([2, -1, 0])
    jax.clear_caches()

    def fun(x):
        return jnp.sin(x)[places] * x[jnp.arange(3) + 1] + jnp.diag(x[:3]) @ x[:3]

    x = jnp.asarray(np.linspace(0.2, 0.9, 4))
    del compiled[:]
    jax.eval_shape(jacve(fun), x)
    assert not compiled
    np.testing.assert_allclose(jax.jit(jacve(fun))(x), jax.jacrev(fun)(x), rtol=1e-12, atol=1e-14)
    assert compiled  # it is listened to
