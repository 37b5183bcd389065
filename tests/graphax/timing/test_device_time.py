"""What the profiler tells of a device, and loops that a host steps through."""

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from graphax.timing import constants_for, estimated_seconds
from graphax.timing._device_time import _busy, busy_seconds


def event(name, start, end):
    return SimpleNamespace(name=name, start_ns=start, end_ns=end)


def profile(*kernels):
    host = SimpleNamespace(
        name="/host:CPU",
        lines=[
            SimpleNamespace(
                name="python", events=[event(f"graphax work {k}", 100 * k, 100 * k + 90) for k in (0, 1)]
            )
        ],
    )
    streams = [SimpleNamespace(name=f"Stream #{k}", events=found) for k, found in enumerate(kernels)]
    others = SimpleNamespace(name="XLA Ops", events=[event("all", 0, 1000)])
    return SimpleNamespace(planes=[host, SimpleNamespace(name="/device:GPU:0", lines=[*streams, others])])


def test_kernels_at_one_time_count_once_and_where_they_were_asked_for():
    found = profile([event("a", 10, 30), event("b", 150, 160)], [event("c", 20, 40), event("d", 40, 50)])
    assert _busy(found, 2) == [pytest.approx(40e-9), pytest.approx(10e-9)]


def test_nothing_is_told_of_a_device_without_kernels_or_with_work_lost():
    assert _busy(profile([]), 2) is None
    assert _busy(profile([event("a", 10, 30)]), 3) is None


def test_nothing_is_told_of_a_cpu():
    assert busy_seconds([lambda: jnp.ones(3) * 2]) is None


def test_steps_of_few_kernels_are_started_one_by_one():
    constants = replace(constants_for("cpu"), quick_bytes=0.0, launched=1e6, captured=3.0)

    def seconds(step):
        return estimated_seconds(
            jax.make_jaxpr(lambda x: lax.fori_loop(0, 10, step, x))(jnp.ones(4)), constants
        )

    def long(_, x):
        for _ in range(3):
            x = x * x.sum()
        return x

    assert seconds(lambda _, x: x * 2) > 10e-3 > seconds(long)
