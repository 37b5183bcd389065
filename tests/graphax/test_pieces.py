"""Pieces of Jacobians that are put together: one after the other, along diagonals, from branches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from emitted import equations, names_in
from jax import lax
from oracle import assert_same_jacobian, together

from graphax import hessve, jacve

RANDOM = np.random.default_rng(3)
P, T, M = RANDOM.normal(size=5), RANDOM.normal(size=6), RANDOM.normal(size=(4, 4)) + 4 * np.eye(4)
ORDERS = ("forward", "reverse", "auto")


# One after the other --------------------------------------------------------------------------------------


def fit(p, t):
    return jnp.sum((p[0] * jnp.exp(-p[1] * t) + p[2] * jnp.sin(p[3] * t) - p[4]) ** 2)


def split_and_joined(p, t):
    return jnp.concatenate([jnp.sin(p[:2]) - t[:2], p[2:] * t[0], -jnp.cos(p[:3]) * p[2:]])


def test_entries_of_a_hessian_are_concatenated_and_not_padded():
    assert names_in(hessve(fit, order="forward", kernel=False), P, T)[-1] == "concatenate"


@pytest.mark.parametrize("order", ORDERS)
def test_jacobians_put_together_are_those_of_jax(order):
    found, wanted = together(
        lambda *at: (
            hessve(fit, order=order, kernel=False)(*at),
            jacve(split_and_joined, (0, 1), order=order, kernel=False)(*at),
        ),
        lambda *at: (jax.hessian(fit)(*at), jax.jacfwd(split_and_joined, (0, 1))(*at)),
    )(P, T)
    assert_same_jacobian(found, wanted)


def test_pieces_are_put_together_under_vmap_and_as_sparse_jacobians():
    ps, ts = np.stack([P, P[::-1]]), np.stack([T, -T])
    found, wanted = together(
        jax.vmap(jacve(split_and_joined, kernel=False)), jax.vmap(jax.jacfwd(split_and_joined))
    )(ps, ts)
    assert_same_jacobian(found, wanted)
    assert_same_jacobian(
        jacve(split_and_joined, sparse=True)(P, T).todense(), jax.jacfwd(split_and_joined)(P, T)
    )


def test_pieces_keep_their_own_holes():
    def fun(x):
        kept = jnp.where(x[:3] > 0, jnp.log(x[:3]), 0.0)
        return jnp.sqrt(jnp.concatenate([kept * 0 + 1, x[3:] ** 2]))[::-1] * jnp.concatenate([x[3:], kept])

    x = jnp.asarray([1.0, 0.0, -1.0, 2.0, 3.0, 4.0])
    for order in ORDERS:
        found, wanted = together(jacve(fun, order=order), jax.jacrev(fun))(x)
        finite = np.isfinite(wanted)
        np.testing.assert_allclose(np.asarray(found)[finite], np.asarray(wanted)[finite], atol=1e-12)


# Along diagonals ------------------------------------------------------------------------------------------


def every_other(x):
    """Short diagonals with gaps, summed into dense arrays."""
    left, right = x[::2], x[1::2]
    both = jnp.stack([left * right, left + jnp.sin(right)], axis=1).reshape(-1)
    return both[1:] * both[:-1] + M[0, 0] * both.sum()


def test_short_diagonals_are_written_out_by_masks():
    x = RANDOM.normal(size=16)
    for order in ORDERS:
        fun = jacve(every_other, order=order, kernel=False)
        assert "scatter-add" not in names_in(fun, x)
        found, wanted = together(fun, jax.jacfwd(every_other))(x)
        assert_same_jacobian(found, wanted)


def columns_of_a_table(p, t):
    """Three columns of a flat table: what depends on them takes turns along its Jacobian."""
    height, place, width = p.reshape(-1, 3).T
    return jnp.sum(height * jnp.exp(-(((t[:, None] - place) / width) ** 2)), axis=1)


def test_what_takes_turns_is_put_together():
    p = np.abs(RANDOM.normal(size=12)) + 1

    def loss(p, t):
        return jnp.sum(columns_of_a_table(p, t) ** 2)

    for order in ORDERS:
        found, wanted = together(
            lambda *at, order=order: (
                jacve(columns_of_a_table, order=order, kernel=False)(*at),
                hessve(loss, order=order, kernel=False)(*at),
            ),
            lambda *at: (jax.jacfwd(columns_of_a_table)(*at), jax.hessian(loss)(*at)),
        )(p, T)
        assert_same_jacobian(found, wanted)
    assert "pad" not in names_in(jacve(columns_of_a_table, order="reverse", kernel=False), p, T)


def test_few_entries_of_several_diagonals_are_scattered_at_once():
    def stencil(u):
        return u[1:-1] * u[2:] - 0.1 * u[:-2] ** 2

    x = RANDOM.normal(size=40)
    fun = jacve(stencil, kernel=False)
    names = names_in(fun, x)
    assert names.count("scatter-add") == 1 and "select_n" not in names
    batch = np.stack([x, -x])
    found, wanted = together(jax.vmap(fun), jax.vmap(jax.jacfwd(stencil)))(batch)
    assert_same_jacobian(found, wanted)


# From branches --------------------------------------------------------------------------------------------


def branched(a, x):
    """A solution for a matrix that is made in one of several ways, each of which fills the other's zeros."""
    made = lax.switch(
        (a[0, 0] > 0).astype(int) + 1,
        [lambda a: a * 2, lambda a: a @ a + jnp.eye(4), lambda a: jnp.sum(a) * a + a.T],
        a,
    )
    return jnp.linalg.solve(made, x[:4])


def test_no_product_looks_for_infinity_where_no_branch_has_zeros():
    whole = jax.make_jaxpr(jacve(branched, order="forward", kernel=False))(jnp.asarray(M), jnp.asarray(P))
    scopes = [str(e.source_info.name_stack) for e in equations(whole.jaxpr) if "dot" in e.primitive.name]
    assert not any("spoilt" in scope for scope in scopes)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_jacobians_of_branches_are_those_of_jax(sign):
    every = [jacve(branched, (0, 1), order=order, kernel=False) for order in ORDERS]
    wanted, *found = together(jax.jacrev(branched, (0, 1)), *every)(sign * M, P)
    for jacobian in found:
        assert_same_jacobian(jacobian, wanted)


def test_a_branch_that_depends_on_nothing_stays_zero_next_to_infinity():
    def fun(x):
        taken = lax.cond(x[0] > 0, jnp.zeros_like, jnp.sin, x)
        return M @ jnp.sqrt(taken[:4])

    x = jnp.asarray(np.abs(P))
    for order in ORDERS:
        found, wanted = together(jacve(fun, order=order), jax.jacrev(fun))(x)
        finite = np.isfinite(wanted)
        np.testing.assert_array_equal(np.asarray(found)[finite], np.asarray(wanted)[finite])


# Complex factors that are known ---------------------------------------------------------------------------


def spectral(u):
    wave = 1j * jnp.fft.rfftfreq(6, 1 / 6)
    spectrum = jnp.fft.rfft(u)
    slope, bend = jnp.fft.irfft(wave * spectrum, 6), jnp.fft.irfft(wave**2 * spectrum * 2j, 6)
    return u * slope + bend * jnp.abs(jnp.sum(spectrum * (1 + 2j))) + (1j * spectrum[1]).real


def test_known_complex_factors_make_no_products_of_small_matrices():
    names = names_in(jacve(spectral, order="reverse", kernel=False), T)
    assert "dot_general" in names  # with the transforms
    sizes = [
        equation.params["dimension_numbers"][1][0]
        for equation in jax.make_jaxpr(
            jacve(
                lambda u: jnp.fft.irfft(1j * jnp.fft.rfftfreq(6, 1 / 6) * jnp.fft.rfft(u), 6),
                order="reverse",
                kernel=False,
            )
        )(T).eqns
        if equation.primitive.name == "dot_general"
    ]
    assert not any(sizes)


def test_jacobians_with_known_complex_factors_are_those_of_jax():
    every = [jacve(spectral, order=order, kernel=False) for order in ORDERS]
    wanted, *found = together(jax.jacrev(spectral), *every, jacve(spectral, sparse=False))(T)
    for jacobian in found:
        assert_same_jacobian(jacobian, wanted)
    second = together(jax.jacfwd(jax.jacrev(spectral)), jacve(jacve(spectral)))(T)
    assert_same_jacobian(second[1], second[0], rtol=1e-8)
