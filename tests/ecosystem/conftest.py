"""Libraries are compared in float64; what they lack is installed by `pip install '.[ecosystem]'`."""

import jax
import jax.numpy as jnp
import pytest

from graphax import jacve


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


@pytest.fixture(scope="session", autouse=True)
def the_first_search_compiles():
    """What searching for an order compiles once in a process is charged to no case."""
    jacve(lambda x: jnp.sin(jnp.stack([x[0] * x[1], x[1] * x[2]])) @ jnp.ones((2, 3)))(jnp.ones(3))
