"""What is said of the way that is taken."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest

import graphax
from graphax import _tuned


@pytest.fixture(autouse=True)
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("GRAPHAX_ORDER_STORE", str(tmp_path))
    monkeypatch.delenv("GRAPHAX_CANDIDATES", raising=False)
    _tuned.forget()


def small(x):
    return jnp.sin(x) * x[0]


def transformed(x):
    return jnp.abs(jnp.fft.fft(x)) ** 2 / jnp.sum(x)


def loss(w, x):
    return jnp.mean(jnp.tanh(x @ w) ** 2)


def test_a_small_function_has_a_kernel():
    found = graphax.explain(small)(jnp.arange(3.0))
    assert found.taken == "kernel"
    assert "compiles no slower" in found.why
    assert "<- taken" in str(found).splitlines()[3]


def test_where_there_is_no_kernel_it_says_why_and_which_lines_take_the_time():
    found = graphax.explain(transformed)(jax.ShapeDtypeStruct((64,), jnp.float32))
    assert "'fft' is not expanded" in found.ways["kernel"].why_not
    assert found.taken == "auto"
    assert "need not be finite" in found.why
    assert any("(transformed)" in line for line in found.lines)
    assert list(found.lines.values()) == sorted(found.lines.values(), reverse=True)
    assert all(found.ways[way].estimate > 0 for way in ("auto", "forward", "reverse"))


def test_a_loss_is_pulled_back():
    found = graphax.explain(loss)(jnp.ones((40, 40)), jnp.ones((30, 40)))
    assert found.taken == "jacrev"
    assert "gradient of a number" in found.why


def test_what_was_tuned_is_said(capsys):
    x = jnp.arange(3.0)
    tuning = graphax.tune(small, seconds=0.01)(x)
    found = graphax.explain(small)(x)
    assert found.taken == tuning.fastest
    assert "measured to be the fastest" in found.why
    assert found.ways[tuning.fastest].measured == tuning.ways[tuning.fastest].seconds


def test_a_page_stands_alone(tmp_path):
    path = graphax.explain(transformed)(jnp.arange(1.0, 9.0)).save(tmp_path / "page.html")
    text = path.read_text()
    assert text.startswith("<!doctype html>")
    assert "Where the time goes" in text
    assert "http" not in text


def test_a_batch_and_a_hessian_are_explained():
    x = jnp.ones((4, 3))
    assert graphax.explain(small, in_axes=0)(x).ways["auto"].operations > 0
    assert graphax.explain(lambda x: jnp.sum(small(x)), derivative="hessian")(x[0]).taken
