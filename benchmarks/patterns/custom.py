"""Rules that users write, and primitives of which nothing else is known."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import special

from ._case import Collection

custom = Collection("custom rules", seed=6)
normal = custom.normal


@jax.custom_jvp
def _softplus(x):
    return jnp.logaddexp(x, 0.0)


@_softplus.defjvp
def _(primals, tangents):
    return _softplus(*primals), jax.nn.sigmoid(primals[0]) * tangents[0]


@jax.custom_jvp
def _row_sums(x):
    return jnp.sum(x**2, 1)


@_row_sums.defjvp
def _(primals, tangents):
    return _row_sums(*primals), 2 * jnp.sum(primals[0] * tangents[0], 1)


@jax.custom_jvp
def _reversal(x):
    return jnp.sin(x[::-1])


@_reversal.defjvp
def _(primals, tangents):
    return _reversal(*primals), jnp.cos(primals[0][::-1]) * tangents[0][::-1]


@jax.custom_jvp
def _product(a, b):
    return a @ b


@_product.defjvp
def _(primals, tangents):
    (a, b), (da, db) = primals, tangents
    return a @ b, da @ b + a @ db


@jax.custom_jvp
def _unit(x):
    return x / jnp.sqrt(jnp.sum(x**2))


@_unit.defjvp
def _(primals, tangents):
    ((x,), (dx,)), length = (primals, tangents), jnp.sqrt(jnp.sum(primals[0] ** 2))
    unit = x / length
    return unit, (dx - unit * jnp.vdot(unit, dx)) / length


@functools.partial(jax.custom_jvp, nondiff_argnums=(1,))
def _power(x, exponent):
    return x**exponent


@_power.defjvp
def _(exponent, primals, tangents):
    return _power(primals[0], exponent), exponent * primals[0] ** (exponent - 1) * tangents[0]


@jax.custom_vjp
def _clipped(x):
    return jnp.tanh(x)


_clipped.defvjp(lambda x: (jnp.tanh(x), x), lambda x, ct: (ct / jnp.cosh(x) ** 2,))


@jax.custom_vjp
def _stencil(x):
    return x * jnp.roll(x, 1)


_stencil.defvjp(
    lambda x: (x * jnp.roll(x, 1), x),
    lambda x, ct: (ct * jnp.roll(x, 1) + jnp.roll(ct * x, -1),),
)


@jax.custom_vjp
def _energy(x):
    return jnp.sum(jnp.cos(x))


_energy.defvjp(lambda x: (jnp.sum(jnp.cos(x)), x), lambda x, ct: (-ct * jnp.sin(x),))


@jax.custom_vjp
def _called_back(x):
    kind = jax.ShapeDtypeStruct(x.shape, x.dtype)
    return jax.pure_callback(np.sin, kind, x, vmap_method="expand_dims")


_called_back.defvjp(lambda x: (_called_back(x), x), lambda x, ct: (ct * jnp.cos(x),))


@custom.case(normal(12))
def custom_elementwise(x):
    """An elementwise function with a rule for tangents."""
    return _softplus(x) * x


@custom.case(normal(5, 3))
def custom_row_sums(x):
    """Sums of rows with a rule for tangents."""
    return jnp.exp(_row_sums(x))


@custom.case(normal(12))
def custom_reversal(x):
    """A reversal with a rule for tangents."""
    return _reversal(x)


@custom.case(normal(4, 3), normal(3, 5), argnums=(0, 1))
def custom_product(a, b):
    """A product of matrices with a rule for tangents."""
    return _product(a, b)


@custom.case(normal(6, 3))
def custom_units_under_vmap(x):
    """Directions of six vectors, by a rule for tangents under vmap: blocks of three."""
    return jax.vmap(_unit)(x)


@custom.case(normal(5, 3))
def custom_reversals_under_vmap(x):
    """Reversals of rows, by a rule for tangents under vmap."""
    return jax.vmap(_reversal)(x)


@custom.case(1 + normal(8) ** 2)
def custom_power(x):
    """A power whose exponent the rule for tangents takes as it is."""
    return _power(x, 2.5)


@custom.case(normal(10))
def custom_pullback(x):
    """An elementwise function with a rule for cotangents."""
    return _clipped(x) + x**2


@custom.case(normal(10))
def custom_pullback_of_stencil(x):
    """Products of neighbours with a rule for cotangents."""
    return _stencil(x)


@custom.case(normal(5, 3))
def custom_pullbacks_under_vmap(x):
    """Numbers of rows, by a rule for cotangents under vmap."""
    return jax.vmap(_energy)(x)


@custom.case(normal(4, 5))
def custom_stencils_under_vmap(x):
    """Products of neighbours in every row, by a rule for cotangents under vmap."""
    return jax.vmap(_stencil)(x)


@custom.case(normal(6))
def called_back_to_numpy(x):
    """A function of NumPy with a rule for cotangents."""
    return _called_back(x)


@custom.case(normal(8), kind="hessian")
def hessian_of_custom_elementwise(x):
    """The Hessian of a sum of an elementwise function with a rule."""
    return jnp.sum(_softplus(x) * jnp.roll(x, 1))


@custom.case(normal(12))
def activations(x):
    """Activations of jax.nn, some of which have rules."""
    return jax.nn.silu(x) + jax.nn.gelu(x) * jax.nn.relu6(x + 3) + jax.nn.logsumexp(x[:, None], 1)


@custom.case(normal(4, 5))
def normalised_rows(x):
    """Softmax and normalisation of rows."""
    centred = x - x.mean(1, keepdims=True)
    return jax.nn.softmax(centred / jnp.sqrt(jnp.mean(centred**2, 1, keepdims=True) + 1e-3), 1)


@custom.case(1 + normal(8) ** 2)
def checkpointed(x):
    """A stencil that is computed again in the backward pass."""
    return jax.checkpoint(lambda y: jnp.log(y) * jnp.roll(y, 1))(x)


@custom.case(1 + normal(6) ** 2)
def special_functions(x):
    """Gamma, digamma and error functions of every entry."""
    return special.gammaln(x) + special.digamma(x) * special.erf(x) + special.i0e(x)


@custom.case(1 + normal(6) ** 2)
def incomplete_gamma(x):
    """The incomplete gamma function of every entry."""
    return special.gammainc(2.5, x)


@custom.case(1 + normal(6) ** 2)
def root_of_each(a):
    """Roots of six equations at once, by lax.custom_root, whose tangent is solved entry by entry."""

    def solve(equation, start):
        return lax.fori_loop(0, 20, lambda _, y: y - equation(y) / (3 * y**2 + 1), start)

    return lax.custom_root(
        lambda y: y**3 + y - a, jnp.ones(6), solve, lambda linear, b: b / linear(jnp.ones(6))
    )


@custom.case(normal(6))
def implicit_step(b):
    """A diagonal system by lax.custom_linear_solve."""
    weights = np.linspace(1.0, 2.0, 6)
    return lax.custom_linear_solve(lambda x: weights * x, b, lambda _, b: b / weights, symmetric=True)


@custom.case(normal(3, 4), normal(4), argnums=(0, 1))
def implicit_decay(b, rates):
    """An implicit step of three states that decay apart, by conjugate gradients."""
    return jax.scipy.sparse.linalg.cg(lambda x: x + 0.1 * jnp.exp(rates) * x, b)[0]


@custom.case(normal(6))
def upwind_step(u):
    """An implicit step against the wind, each cell by those before it, by a solver for anything."""

    def matrix(x):
        return 2 * x - jnp.concatenate([jnp.zeros(1), x[:-1]])

    inverse = np.linalg.inv(2 * np.eye(6) - np.eye(6, k=-1))
    return lax.custom_linear_solve(matrix, jnp.sin(u), lambda _, b: inverse @ b, lambda _, b: inverse.T @ b)


@custom.case(normal(4, 6))
def transforms_there_and_back(x):
    """A filter of every row in the space of frequencies: dense in rows."""
    return jnp.fft.irfft(jnp.fft.rfft(x) * np.exp(-np.arange(4.0)), 6)


@custom.case(normal(3, 2, 2))
def exponentials_of_matrices(a):
    """Exponentials of three matrices, under vmap."""
    return jax.vmap(jax.scipy.linalg.expm)(a)


@custom.case(normal(3, 3, 2))
def singular_values_of_matrices(a):
    """Singular values of three matrices."""
    return jnp.linalg.svd(a, compute_uv=False)


@custom.case(normal(3, 3, 3))
def eigenvectors_of_matrices(a):
    """Projections on the leading eigenvectors of three symmetric matrices."""
    vectors = jnp.linalg.eigh(a + a.transpose(0, 2, 1) + np.diag([0.0, 3.0, 6.0]))[1]
    return vectors[..., -1:] * vectors[..., -1:].transpose(0, 2, 1)


@custom.case(normal(8))
def jacobian_inside(x):
    """The diagonal of an inner Jacobian that JAX takes."""
    return jnp.diagonal(jax.jacfwd(lambda y: y**3 * jnp.roll(y, 1))(x))


@custom.case(normal(8))
def gradient_inside(x):
    """The gradient of an energy of neighbours that JAX takes."""
    return jax.grad(lambda y: jnp.sum(y[1:] ** 2 * jnp.sin(y[:-1])))(x)
