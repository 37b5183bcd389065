"""Sparse Jacobians with complex arguments or results have JAX's values, and work as NumPy's arrays do."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

import graphax
from graphax.sparse import eye

RNG = np.random.default_rng(0)
N = 6
NEAR = abs(np.arange(N)[:, None] - np.arange(N)) <= 1


@pytest.fixture(autouse=True)
def in_double_precision():
    with jax.enable_x64(True):
        yield


def numbers(*shape):
    return RNG.normal(size=shape) + 1j * RNG.normal(size=shape)


BAND = np.where(NEAR, numbers(N, N), 0)
REAL_BAND, IMAGINARY_BAND = BAND.real + 0j, BAND.imag * 1j


@jax.custom_jvp
def squared(z):
    return z**2


squared.defjvp(lambda primals, tangents: (squared(*primals), 2 * primals[0] * tangents[0]))

# Functions that are holomorphic, and how many of the derivative's entries are nonzero.
HOLOMORPHIC = {
    "entrywise": (lambda z: jnp.sin(z) * z / (2 + z**2), N),
    "neighbours": (lambda z: z * jnp.roll(z, 1) + jnp.exp(1j * z), 2 * N),
    "band": (lambda z: BAND @ z, 3 * N - 2),
    "real band": (lambda z: jnp.exp(REAL_BAND @ z), 3 * N - 2),
    "imaginary band": (lambda z: (z @ IMAGINARY_BAND.T) * 2j, 3 * N - 2),
    "two bands": (lambda z: BAND @ jnp.tanh(BAND @ z), 5 * N - 6),
    "real band of complex numbers": (lambda z: BAND.real @ z, 3 * N - 2),
    "diagonal of complex numbers": (lambda z: (jnp.diag(z) @ np.ones((N, 2))).sum(1), N),
    "masked": (lambda z: jnp.sin(z) * np.where(np.arange(N) % 2, 1j, 0), N // 2),
    "identity": (lambda z: z, N),
    "times i": (lambda z: 1j * z[::-1], N),
    "sum": (lambda z: z.sum(), N),
    "made of a vector": (lambda z: jnp.diag(z) @ z[::-1], 2 * N),
    "running sum": (lambda z: jnp.cumsum(z), N * (N + 1) // 2),
    "no entries": (lambda z: jnp.zeros(3, complex), 0),
    "convolution": (lambda z: jnp.convolve(z, np.array([1, 2j, 1 - 1j]), "same"), 3 * N - 2),
    "of two arrays": (lambda z: jnp.convolve(z, z[:3] * 1j, "same"), 24),
    "gathered": (lambda z: z[np.array([3, 1, 1])] ** 2, 3),
    "loop": (lambda z: lax.scan(lambda c, _: (c * c / 2, None), z, None, length=3)[0], N),
    "long loop": (lambda z: lax.scan(lambda c, _: (jnp.sin(c) / 2, None), z, None, length=500)[0], N),
    "returned steps": (
        lambda z: lax.scan(lambda c, x: (c * x, c + x), z[0], z)[1],
        N * (N + 1) // 2,
    ),
    "mapped": (lambda z: lax.map(lambda x: x * x, z), N),
    "until done": (lambda z: lax.while_loop(lambda c: jnp.abs(c).sum() > 1, lambda c: c / 2, z), N),
    "rule": (lambda z: squared(z) * 1j, N),
    "branch": (lambda z: lax.cond(z[0].real > 0, jnp.sin, lambda z: z * 1j, z), N),
}
TO_COMPLEX = {
    "phases": (lambda x: jnp.exp(1j * x) * x, N),
    "shifted": (lambda x: lax.complex(x, jnp.roll(x, 1)), 2 * N),
    "real parts alone": (lambda x: x + 0j, N),
    "band": (lambda x: BAND @ x, 3 * N - 2),
    "real band": (lambda x: (BAND.real @ x) + 0j, 3 * N - 2),
    "band of real numbers": (lambda x: jnp.diag(x) @ BAND @ np.ones(N), N),
    "masked": (lambda x: x * np.where(np.arange(N) > 2, 2j, 0), 3),
}
TO_REAL = {
    "intensities": (lambda z: jnp.abs(z) ** 2, N),
    "imaginary parts": (lambda z: jnp.imag(z), N),
    "powers": (lambda z: jnp.real(z * jnp.conj(BAND @ z)), 3 * N - 2),
    "phases": (lambda z: jnp.angle(z * jnp.roll(z, 1)), 2 * N),
}


def check(fun, x, entries, by_jax, holomorphic=False):
    wanted = by_jax(fun, holomorphic=holomorphic)(x)
    for order in ("forward", "reverse", "auto"):
        found = graphax.jacve(fun, holomorphic=holomorphic, order=order, sparse=True)(x)
        assert found.dtype == wanted.dtype and found.shape == wanted.shape and found.nnz == entries
        np.testing.assert_allclose(found.todense(), wanted, rtol=1e-11, atol=1e-13)
    of_jit = jax.jit(graphax.jacve(fun, holomorphic=holomorphic, sparse=True))
    np.testing.assert_allclose(of_jit(x).todense(), wanted, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(
        jax.vmap(of_jit)(jnp.stack([x, x / 2]))[1].todense(),
        by_jax(fun, holomorphic=holomorphic)(x / 2),
        rtol=1e-11,
        atol=1e-13,
    )
    assert graphax.jacobian_structure(fun, holomorphic=holomorphic)(x).nnz == entries
    dense = graphax.jacve(fun, holomorphic=holomorphic)(x)
    assert dense.dtype == wanted.dtype
    np.testing.assert_allclose(dense, wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", HOLOMORPHIC)
@pytest.mark.filterwarnings("ignore::graphax.DenseWarning")
def test_a_holomorphic_function_has_the_complex_derivative(name):
    fun, entries = HOLOMORPHIC[name]
    check(fun, jnp.asarray(numbers(N)), entries, jax.jacfwd, holomorphic=True)


@pytest.mark.parametrize("name", TO_COMPLEX)
def test_the_derivative_of_a_complex_result_by_real_numbers_is_that_of_jacfwd(name):
    fun, entries = TO_COMPLEX[name]
    check(fun, jnp.asarray(RNG.normal(size=N)), entries, jax.jacfwd)


@pytest.mark.parametrize("name", TO_REAL)
def test_the_derivative_of_a_real_result_by_complex_numbers_is_that_of_jacrev(name):
    fun, entries = TO_REAL[name]
    check(fun, jnp.asarray(numbers(N)), entries, jax.jacrev)


def test_a_block_holds_one_complex_number_for_every_entry():
    z = jnp.asarray(numbers(N))
    for fun, held in ((lambda z: jnp.sin(z) * z, N), (lambda z: BAND @ z, 3 * N - 2), (lambda z: 2j * z, 1)):
        assert graphax.jacve(fun, holomorphic=True, sparse=True)(z).structure.numbers == held


def test_the_hessian_of_a_holomorphic_function_is_complex():
    z = jnp.asarray(numbers(N))

    def fun(z):
        return (z**3).sum() + z[0] * z[1]

    found = graphax.hessve(fun, holomorphic=True, sparse=True)(z)
    np.testing.assert_allclose(found.todense(), jax.hessian(fun, holomorphic=True)(z), rtol=1e-12)
    assert found.nnz == graphax.hessian_structure(fun, holomorphic=True)(z).nnz == N + 2


def test_single_precision_stays_single():
    z = jnp.asarray(numbers(N), jnp.complex64)
    found = graphax.jacve(lambda z: jnp.sin(BAND.astype(np.complex64) @ z), holomorphic=True, sparse=True)(z)
    assert found.dtype == jnp.complex64 and found.data().dtype == jnp.complex64


def matrices():
    def fun(z):
        return jnp.sin(BAND @ z) * 3j

    of_band = graphax.jacve(fun, holomorphic=True, sparse=True)(jnp.asarray(numbers(N)))
    wide = graphax.jacve(lambda z: jnp.tanh(BAND @ fun(z)), holomorphic=True, sparse=True)(
        jnp.asarray(numbers(N) / 5)
    )
    return {"band": of_band, "wide band": wide, "numbers": eye(N) * (1 - 2j)}


V = numbers(N)
SCIPY = ("csr", "csc", "coo")
# What is done with a block, and the same with an array of NumPy.
OPERATIONS = {
    "transpose": (lambda b: b.T, lambda a: a.T),
    "conj": (lambda b: b.conj(), lambda a: a.conj()),
    "adjoint": (lambda b: b.conj().T, lambda a: a.conj().T),
    "real": (lambda b: b.real, lambda a: a.real),
    "imag": (lambda b: b.imag, lambda a: a.imag),
    "negative": (lambda b: -b, lambda a: -a),
    "product": (lambda b: b @ b, lambda a: a @ a),
    "columns": (lambda b: b @ V, lambda a: a @ V),
    "rows": (lambda b: V @ b, lambda a: V @ a),
    "real columns": (lambda b: b @ V.real, lambda a: a @ V.real),
    "entrywise": (lambda b: b * b.T, lambda a: a * a.T),
    "number": (lambda b: (1 + 2j) * b, lambda a: (1 + 2j) * a),
    "quotient": (lambda b: b / 2j, lambda a: a / 2j),
    "array": (lambda b: b * V, lambda a: a * V),
    "sum of blocks": (lambda b: b + eye(N), lambda a: a + np.eye(N)),
    "difference": (lambda b: eye(N) - b, lambda a: np.eye(N) - a),
    "absolute values": (abs, abs),
    "sum": (lambda b: b.sum(), lambda a: a.sum()),
    "sum of rows": (lambda b: b.sum(1), lambda a: a.sum(1)),
    "norm": (lambda b: b.norm(), np.linalg.norm),
    "largest column": (lambda b: b.norm(1), lambda a: np.linalg.norm(a, 1)),
    "trace": (lambda b: b.trace(), np.trace),
    "diagonal": (lambda b: b.diagonal(), np.diag),
    "triangle": (lambda b: b.tril(), np.tril),
    "part": (lambda b: b[1:4], lambda a: a[1:4]),
    "solution": (lambda b: b.solve(jnp.asarray(V)), lambda a: np.linalg.solve(a, V)),
    "numpy": (np.asarray, lambda a: a),
    "bcoo": (lambda b: b.to_bcoo(), lambda a: a),
    "bcsr": (lambda b: b.to_bcsr(), lambda a: a),
    **{f"scipy {one}": (lambda b, one=one: b.to_scipy(one), lambda a: a) for one in SCIPY},
    "filled": (lambda b: graphax.sparse.Pattern.of(b).filled(b.data()), lambda a: a),
    "under jit": (lambda b: jax.jit(lambda b: b.conj() @ b)(b), lambda a: a.conj() @ a),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_is_done_with_complex_blocks_is_what_numpy_does(name):
    ours, theirs = OPERATIONS[name]
    for block in matrices().values():
        found, wanted = ours(block), np.asarray(theirs(np.asarray(block.todense())))
        found = found.todense() if hasattr(found, "todense") else found
        np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-9, atol=1e-11)
        assert np.asarray(found).dtype == wanted.dtype


def test_parts_of_real_blocks_are_themselves_and_zero():
    block = graphax.jacve(jnp.sin, sparse=True)(jnp.arange(3.0))
    np.testing.assert_array_equal(block.conj().todense(), block.todense())
    np.testing.assert_array_equal(block.real.todense(), block.todense())
    assert not block.imag.todense().any() and block.imag.dtype == block.dtype


def test_a_batch_of_complex_blocks_leads():
    z = jnp.asarray(numbers(3, N))
    found = jax.vmap(graphax.jacve(lambda z: jnp.sin(BAND @ z), holomorphic=True, sparse=True))(z)
    wanted = jax.vmap(jax.jacfwd(lambda z: jnp.sin(BAND @ z), holomorphic=True))(z)
    np.testing.assert_allclose(found.conj().todense(), wanted.conj(), rtol=1e-12)
    np.testing.assert_allclose(found @ z, jnp.einsum("bij,bj->bi", wanted, z), rtol=1e-11)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_made_up_functions_of_complex_numbers_have_the_values_of_jax(data):
    steps = data.draw(st.lists(st.sampled_from("sb*rgipm"), min_size=1, max_size=5))
    last = data.draw(st.sampled_from(["z", "abs", "imag"]))
    made = {
        "s": jnp.sin,
        "b": lambda z: BAND @ z / 4,
        "*": lambda z: z * jnp.roll(z, 1),
        "r": lambda z: z * np.where(np.arange(N) % 3, 0.5, 0),
        "g": lambda z: z[np.array([0, 2, 2, 5, 1, 4])],
        "i": lambda z: 1j * z,
        "p": lambda z: lax.pad(z[1:], 0j, ((0, 1, 0),)),
        "m": lambda z: jnp.where(np.arange(N) > 2, z, z[::-1]),
    }

    def fun(z):
        for step in steps:
            z = made[step](z)
        return {"z": lambda z: z, "abs": lambda z: jnp.abs(z) ** 2, "imag": jnp.imag}[last](z)

    z = jnp.asarray(np.random.default_rng(1).normal(size=(2, N)) @ np.eye(N)).T @ jnp.asarray([1, 1j])
    holomorphic = last == "z"
    mode = jax.jacfwd if holomorphic else jax.jacrev
    wanted = np.asarray(mode(fun, holomorphic=holomorphic)(z))
    found = graphax.jacve(fun, holomorphic=holomorphic, sparse=True)(z)
    np.testing.assert_allclose(found.todense(), wanted, rtol=1e-10, atol=1e-12)


def test_what_is_neither_is_told_what_to_do():
    z = jnp.asarray(numbers(3))
    with pytest.raises(TypeError, match="pass holomorphic=True"):
        graphax.jacve(jnp.sin, sparse=True)(z)
    with pytest.raises(TypeError, match="takes complex arguments and results"):
        graphax.jacve(jnp.abs, holomorphic=True, sparse=True)(z)
    with pytest.raises(TypeError, match="check the function of real and imaginary parts"):
        graphax.check_jacobian(jnp.abs)(z)
    with pytest.raises(TypeError, match="the result has dtype complex128"):
        graphax.check_jacobian(lambda x: x * 1j)(z.real)
