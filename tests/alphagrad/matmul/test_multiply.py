"""Products by schemes against `a @ b`."""

from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alphagrad import matmul
from alphagrad.matmul import multiply
from alphagrad.matmul._multiply import best_cut

HALVES = [[Fraction(1, 2), 1], [Fraction(1, 3), 2]]


@pytest.fixture(autouse=True)
def full_precision():
    """Some devices round the factors of float32 products unless told not to, and products are compared."""
    with jax.default_matmul_precision("highest"):
        yield


def rational():
    """Strassen's scheme in a basis that needs fractions."""
    scheme = matmul.strassen()
    scheme = matmul.Scheme(scheme.format, scheme.u, scheme.v, scheme.w, "Q")
    return matmul.change_basis(scheme, HALVES, [[2, 1], [1, 1]], [[1, 0], [Fraction(3, 2), 1]])


def wide():
    """A scheme for 2 x 2 by 2 x 3 matrices, rank 11."""
    return matmul.extend(matmul.winograd(), 2)


def random(shape, dtype: Any = np.float64, seed=0):
    rng = np.random.default_rng([seed, *shape])
    if np.issubdtype(dtype, np.integer):
        return rng.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    entries = rng.standard_normal(shape)
    if np.issubdtype(dtype, np.complexfloating):
        entries = entries + 1j * rng.standard_normal(shape)
    return entries.astype(dtype)


def random_cases(count, seed):
    rng = np.random.default_rng(seed)
    stacks = [None, matmul.strassen(), wide(), rational(), [wide(), matmul.winograd()]]
    for _ in range(count):
        sizes = tuple(map(int, rng.integers(1, 301, 3)))
        scheme = stacks[rng.integers(len(stacks))]
        levels = None if isinstance(scheme, list) else int(rng.integers(1, 3))
        yield sizes, scheme, levels


def check(sizes, scheme, levels, **options):
    n, m, p = sizes
    with jax.enable_x64(True):
        a, b = random((n, m)), random((m, p), seed=1)
        c = multiply(a, b, scheme, levels, **options)
        assert c.shape == (n, p) and c.dtype == np.float64
        np.testing.assert_allclose(c, a @ b, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("sizes", "scheme", "levels"), list(random_cases(6, seed=0)))
def test_random_shapes_agree_with_the_plain_product(sizes, scheme, levels):
    check(sizes, scheme, levels, batched=True)


@pytest.mark.slow
@pytest.mark.parametrize(("sizes", "scheme", "levels"), list(random_cases(100, seed=1)))
def test_many_random_shapes_agree_with_the_plain_product(sizes, scheme, levels):
    check(sizes, scheme, levels, batched=levels != 1)


@pytest.mark.parametrize(
    "sizes", [(1, 1, 1), (1, 300, 7), (2, 2, 2), (3, 3, 3), (300, 1, 300), (5, 2, 1), (0, 3, 2)]
)
def test_small_and_thin_matrices_agree_with_the_plain_product(sizes):
    check(sizes, None, 2)


@pytest.mark.parametrize("core", [(0, 0, 0), (1, 0, 1), (0, 1, 0), (1, 1, 1)])
def test_padding_and_peeling_agree_with_the_plain_product(core, monkeypatch):
    """Whatever the decision is, size by size."""
    from alphagrad.matmul import _multiply

    def cut(sizes, schemes):
        if not schemes:
            return 0.0, None
        return 0.0, _multiply.Cut(
            tuple(size // 2 * 2 + 2 * up for size, up in zip(sizes, core, strict=True)), 0
        )

    monkeypatch.setattr(_multiply, "best_cut", cut)
    with jax.enable_x64(True):
        a, b = random((11, 13)), random((13, 17))
        c = jax.jit(lambda a, b: _multiply._by_schemes(a, b, (matmul.winograd(),), True, jnp.matmul))(a, b)
    np.testing.assert_allclose(c, a @ b, rtol=0, atol=1e-12)


def test_cuts_are_the_cheapest():
    two, three = ((2, 2, 2), 7), ((3, 3, 3), 23)
    assert best_cut((512, 512, 512), ())[1] is None
    # Even sizes are cut as they are; 7/8 of the multiplications are left.
    cost, cut = best_cut((512, 512, 512), (two,))
    assert cut == ((512, 512, 512), 0) and cost == 512**3 * 7 / 8
    # A row of zeros costs little for large matrices, half of the whole for a vector.
    assert best_cut((511, 512, 511), (two,))[1] == ((512, 512, 512), 0)
    assert best_cut((1, 300, 300), (two,))[1] is None
    # Of two levels, the one that doesn't pay is left out.
    assert best_cut((2, 2, 2), (three, two)) == (7, ((2, 2, 2), 1))
    # Padding from 1025 to 1280 would cost more than peeling one row and column.
    assert best_cut((1025, 1025, 1025), (((256, 256, 256), 7**8),))[1] == ((1024, 1024, 1024), 0)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 20, 30), (3, 30, 11)),
        ((2, 1, 20, 30), (5, 30, 11)),
        ((20, 30), (4, 30, 11)),
        ((4, 20, 30), (30, 11)),
        ((30,), (2, 30, 11)),
        ((2, 20, 30), (30,)),
        ((30,), (30,)),
    ],
)
def test_leading_dimensions_and_vectors_are_those_of_matmul(left, right):
    with jax.enable_x64(True):
        a, b = random(left), random(right)
        np.testing.assert_allclose(
            multiply(a, b, wide(), batched=len(left) > 2), jnp.matmul(a, b), rtol=0, atol=1e-12
        )


def test_jit_and_vmap_change_nothing():
    with jax.enable_x64(True):
        a, b = random((4, 18, 33)), random((4, 33, 25))
        for fun in (
            jax.jit(multiply),
            jax.vmap(multiply),
            jax.jit(jax.vmap(lambda a, b: multiply(a, b, wide()))),
        ):
            np.testing.assert_allclose(fun(a, b), a @ b, rtol=0, atol=1e-12)
        outer = jax.vmap(jax.vmap(multiply, (None, 0)), (0, None))(a, b)
        np.testing.assert_allclose(outer, np.einsum("xij,yjk->xyik", a, b), rtol=0, atol=1e-12)


@pytest.mark.parametrize("scheme", [None, rational()])
def test_derivatives_are_those_of_the_plain_product(scheme):
    with jax.enable_x64(True):
        a, b, c = random((3, 13, 22)), random((22, 15)), random((3, 13, 15))

        def loss(product, a, b):
            return jnp.sum(jnp.sin(product(a, b)) * c)

        def by_scheme(a, b):
            return multiply(a, b, scheme)

        expected = jax.grad(loss, (1, 2))(jnp.matmul, a, b)
        for one, other in zip(jax.grad(loss, (1, 2))(by_scheme, a, b), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-11)
        tangents = (random(a.shape, seed=2), random(b.shape, seed=3))
        np.testing.assert_allclose(
            jax.jvp(by_scheme, (a, b), tangents)[1],
            jax.jvp(jnp.matmul, (a, b), tangents)[1],
            rtol=0,
            atol=1e-11,
        )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.complex64, np.complex128])
def test_types_and_precision_are_those_of_the_matrices(dtype):
    with jax.enable_x64(True):
        a, b = random((40, 50), dtype), random((50, 60), dtype)
        c = multiply(a, b, batched=True)
        assert c.dtype == dtype
        error = np.abs(c - a.astype(np.complex128) @ b).max()
        assert error < 500 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint32, np.int64])
def test_integers_are_exact_and_wrap_around_as_ever(dtype):
    with jax.enable_x64(True):
        a, b = random((21, 34), dtype), random((34, 17), dtype)
        assert (multiply(a, b) == jnp.matmul(a, b)).all()


def test_the_preferred_type_is_that_of_the_result():
    a, b = random((20, 30), np.int8), random((30, 10), np.int8)
    c = multiply(a, b, preferred_element_type=jnp.int32)
    assert c.dtype == np.int32 and (c == a.astype(np.int32) @ b.astype(np.int32)).all()
    a, b = random((20, 30), np.float16), random((30, 10), np.float16)
    assert multiply(a, b, preferred_element_type=jnp.float32).dtype == np.float32
    mixed = multiply(random((20, 30), np.float32), random((30, 10), np.int8))
    assert mixed.dtype == np.float32


def test_precision_reaches_the_products():
    a, b = jnp.ones((8, 8)), jnp.ones((8, 8))
    for batched in (True, False):
        with jax.default_matmul_precision("default"):
            text = str(
                jax.make_jaxpr(lambda a, b: multiply(a, b, batched=batched, precision="highest"))(a, b)  # noqa: B023
            )
        assert text.count("dot_general") == (1 if batched else 7)
        assert text.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == text.count("dot_general")


def test_levels_multiply_the_products():
    a, b = jnp.ones((8, 12)), jnp.ones((12, 12))

    def products(*args, **options):
        return str(jax.make_jaxpr(lambda a, b: multiply(a, b, *args, **options))(a, b)).count("dot_general")

    assert products(None, 0) == 1
    assert products(None, 2, batched=False) == 49
    assert products([matmul.winograd(), wide()], batched=False) == 77
    assert products(None, 2, batched=True) == 1


def test_what_cannot_be_multiplied_is_refused():
    a = jnp.ones((4, 4))
    with pytest.raises(ValueError, match=r"over Z2 only; lift"):
        multiply(a, a, matmul.reduce_modulo(matmul.strassen()))
    with pytest.raises(TypeError, match="divides"):
        multiply(a.astype(int), a.astype(int), rational())
    with pytest.raises(TypeError, match="boolean"):
        multiply(a > 0, a > 0)
    with pytest.raises(TypeError, match="expected Scheme"):
        multiply(a, a, [7])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="there are 2 schemes"):
        multiply(a, a, [matmul.strassen(), matmul.strassen()], levels=3)
    with pytest.raises(ValueError, match="levels is -1"):
        multiply(a, a, levels=-1)
    with pytest.raises(ValueError, match=r"\(4, 4\) and b of shape \(3, 4\)"):
        multiply(a, jnp.ones((3, 4)))
    strassen = matmul.strassen()
    with pytest.raises(matmul.SchemeError, match=r"entry \(i, j, k\)"):
        multiply(a, a, matmul.Scheme(strassen.format, strassen.u, strassen.v, -strassen.w))
