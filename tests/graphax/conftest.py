"""Jacobians are compared in float64, and with products in the precision of their dtype on every device."""

import jax
import pytest


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield
