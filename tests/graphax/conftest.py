"""Jacobians are compared in float64, and with products in the precision of their dtype on every device."""

import collections
import itertools

import jax
import pytest


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        yield


@pytest.fixture(autouse=True)
def by_operations_on_arrays(request, monkeypatch):
    """What tests of elimination say nothing about is eliminated; other candidates have tests of their own."""
    monkeypatch.setenv("GRAPHAX_CANDIDATES", "kernels" if "kernels" in request.path.parts else "")


def pytest_terminal_summary(terminalreporter):
    """What tests have counted, in sum, those run by other processes included."""
    total = collections.Counter()
    for report in itertools.chain(*terminalreporter.stats.values()):
        if getattr(report, "when", None) == "call":
            total.update(dict(report.user_properties).get("counts", {}))
    for name, number in sorted(total.items()):
        terminalreporter.write_line(f"{name}: {number}")
