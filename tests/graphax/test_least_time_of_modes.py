"""What a mode of JAX's takes at least, by which it is told beforehand that it need not be traced."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

import graphax
from graphax._application import Application
from graphax._modes import _least_seconds, _staged_mode
from graphax.timing import flat

X = np.linspace(-0.9, 1.1, 8).astype(np.float32)
W = np.linspace(-0.5, 0.7, 64).reshape(8, 8).astype(np.float32)

PROGRAMS = {
    "layers": lambda x: jnp.tanh(W @ jnp.tanh(W @ x)),
    "a loop": lambda x: lax.fori_loop(0, 20, lambda _, y: jnp.tanh(W @ y) + x, x),
    "entries": lambda x: jnp.sin(x) * jnp.cos(x[::-1]),
}


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("mode", ["jacfwd", "jacrev"])
def test_a_mode_is_estimated_to_take_no_less(name, mode):
    traced = Application.of(PROGRAMS[name], 0, False, False, (X,), {}).trace()
    least = _least_seconds(mode, flat(traced.numbering.program), X.size)

    def staged(x):
        found.append(_staged_mode(mode, traced.numbering, traced.num_outputs, [x]).seconds)
        return x

    found = []
    jax.eval_shape(staged, X)
    value = graphax.timing.estimated_seconds(jax.make_jaxpr(PROGRAMS[name])(X))
    assert value <= least <= found[0]
