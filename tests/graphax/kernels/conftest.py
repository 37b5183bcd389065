"""Where kernels are tested that are not for every device."""

import jax
import pytest


@pytest.fixture
def on_cpu():
    """Arrays are those of the CPU, whatever else there is."""
    with jax.default_device(jax.devices("cpu")[0]):
        yield
