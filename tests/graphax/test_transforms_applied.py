"""Fourier transforms are applied, not multiplied by; what has been pushed through one goes on as it is."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core
from oracle import assert_same_jacobian, together

import graphax
from graphax import _matrix_free, _pushed_columns

jacve = functools.partial(graphax.jacve, kernel=False)
RANDOM = np.random.default_rng(2)
X = RANDOM.normal(size=16)
FILTER = np.exp(-np.linspace(0, 3, 9)) * (1 + 0.5j)


@pytest.fixture(autouse=True)
def without_modes(monkeypatch):
    monkeypatch.setenv("GRAPHAX_CANDIDATES", "kernels")


def filtered(x):
    return jnp.tanh(jnp.fft.irfft(jnp.fft.rfft(x) * FILTER, 16)) * x


def spectral_step(x):
    wave = 1j * jnp.fft.rfftfreq(16, 1 / 16)
    spectrum = jnp.fft.rfft(x)
    return x - 0.1 * x * jnp.fft.irfft(wave * spectrum, 16) + jnp.fft.irfft(wave**2 * spectrum / 7, 16)


def of_rows(x):
    """Every row is transformed by itself, and mixed with the others before and after."""
    rows = jnp.sin(x).reshape(2, 8)
    mixed = rows + rows[::-1] ** 2
    return jnp.abs(jnp.fft.ifft(jnp.fft.fft(mixed * 1j + rows) * mixed)) ** 2


def of_a_field(x):
    return jnp.real(jnp.fft.ifft2(jnp.fft.fft2(x.reshape(4, 4)) / (1 + jnp.fft.fftfreq(4) ** 2)))


def longer(x):
    """Of more results than arguments."""
    return jnp.concatenate([filtered(x), x[:1], spectral_step(x)[:3]])


FUNCTIONS = [filtered, spectral_step, of_rows, of_a_field, longer]


@pytest.mark.parametrize("fun", FUNCTIONS)
def test_jacobians_through_transforms_are_those_of_jax(fun):
    orders = [jacve(fun, order=order) for order in ("forward", "reverse", "auto")]
    sparse = graphax.jacve(fun, sparse=True)
    few = jacve(lambda x: jnp.stack([jnp.sum(fun(x)), jnp.sum(fun(x) ** 2)]))
    wanted, *found = together(jax.jacrev(fun), *orders, lambda x: sparse(x).todense())(X)
    for jacobian in found:
        assert_same_jacobian(jacobian, wanted)
    value, pulled = together(fun, few)(X)
    expected = [jnp.tensordot(by, wanted, value.ndim) for by in (jnp.ones_like(value), 2 * value)]
    assert_same_jacobian(pulled, jnp.stack(expected))


def test_jacobians_through_transforms_are_those_of_jax_under_vmap():
    xs = np.stack([X, X[::-1]])
    for order in ("auto", "reverse"):
        ours = [jax.vmap(jacve(fun, order=order)) for fun in (filtered, of_rows)]
        found = together(*ours, *(jax.vmap(jax.jacfwd(fun)) for fun in (filtered, of_rows)))(xs)
        assert_same_jacobian(found[:2], found[2:])


def primitives(jaxpr):
    for equation in jaxpr.eqns:
        yield equation
        for inner in core.jaxprs_in_params(equation.params):
            yield from primitives(inner)


@pytest.mark.parametrize("order", ["auto", "forward", "reverse"])
def test_no_large_product_is_made_with_the_matrix_of_a_transform(order):
    jaxpr = jax.make_jaxpr(jacve(filtered, order=order))(X)
    sizes = [equation.outvars[0].aval.size for equation in primitives(jaxpr.jaxpr) if "dot" in str(equation)]
    assert max(sizes, default=0) <= 16 * 9 * 2


@pytest.fixture
def went(monkeypatch):
    """The primitives that were reached, and whether columns went through them as they were."""
    names, further = [], _pushed_columns.Moved.further

    def spy(moved, call, equation, edges):
        results = further(moved, call, equation, edges)
        names.append((equation.primitive.name, results is not None))
        return results

    monkeypatch.setattr(_pushed_columns.Moved, "further", spy)
    return names


def test_columns_go_on_until_something_else_is_read(went, monkeypatch):
    monkeypatch.setattr(_pushed_columns, "_JOINED", 8)
    jax.make_jaxpr(jacve(lambda x: jnp.concatenate([filtered(x), x[:1]])))(X)
    names = [name for name, on in went if on]
    assert names[-2:] == ["fft", "tanh"] and ("mul", False) in went


def test_columns_stop_before_a_pole(went):
    def fun(x):
        return jnp.concatenate([jnp.sin(jnp.sqrt(jnp.real(jnp.fft.fft(x)) * 2)), x[:1]])

    jax.make_jaxpr(jacve(fun))(X)
    steps = [step for step in went if step[0] in ("real", "mul", "sqrt", "sin")]
    assert steps == [("real", True), ("mul", True), ("sqrt", False), ("sin", False)]


def test_rows_stay_complex_between_transforms(monkeypatch):
    names, pulled = [], _matrix_free._pulled

    def spy(numbering, outputs, edges, one, *others):
        names.append(one.equation.primitive.name)
        return pulled(numbering, outputs, edges, one, *others)

    monkeypatch.setattr(_matrix_free, "_pulled", spy)
    jax.make_jaxpr(jacve(filtered))(X)
    assert names == ["fft", "pad", "mul", "fft"]
    names.clear()
    jax.make_jaxpr(jacve(of_rows))(X)  # its transforms are shorter than the results are many
    assert not names


def test_identities_of_some_hundred_entries_are_no_scatters():
    jaxpr = jax.make_jaxpr(jacve(lambda x: jnp.sin(x) * jnp.sum(x**2)))(np.ones(100))
    assert not any(equation.primitive.name.startswith("scatter") for equation in primitives(jaxpr.jaxpr))


@pytest.mark.parametrize("fun", [jnp.fft.rfft, lambda x: jnp.fft.fft(x).real, jnp.cumsum, lambda x: x @ x.mT])
def test_arrays_without_entries_have_jacobians_without_entries(fun):
    x = jnp.ones((3, 0, 5))
    found = jacve(fun)(x)
    assert found.shape == (*fun(x).shape, *x.shape) and not found.size
