"""Curve fits, regressions and likelihoods: Jacobians of residuals, Hessians of losses."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import linalg, special

from ._case import Collection

fits = Collection()
_rng = np.random.default_rng(1)


def _noise(*shape: int) -> np.ndarray:
    return _rng.normal(size=shape)


_TIMES = np.linspace(0.0, 4.0, 50)


@fits.case(np.array([2.0, 0.8, 0.3]), _TIMES, 2 * np.exp(-0.7 * _TIMES) + 0.3 + 0.02 * _noise(50))
def exponential_decay(p, t, y):
    """Physics laboratory: residuals of a decay onto a background."""
    return p[0] * jnp.exp(-p[1] * t) + p[2] - y


_WAVES = np.linspace(0.0, 10.0, 200)
_PEAKS = np.array([1.0, 2.5, 0.5, 0.7, 5.0, 0.8, 1.3, 7.5, 0.4])


def _peaks(p, x):
    height, centre, width = p.reshape(3, 3).T
    return jnp.sum(height * jnp.exp(-0.5 * ((x[:, None] - centre) / width) ** 2), axis=1)


@fits.case(_PEAKS, _WAVES, 0.1 * _noise(200))
def gaussian_peaks(p, x, y):
    """Spectroscopy: residuals of three peaks."""
    return _peaks(p, x) - y


@fits.case(_PEAKS, _WAVES, 0.1 * _noise(200), kind="hessian")
def gaussian_peaks_loss(p, x, y):
    """Spectroscopy: sum of squares of three peaks."""
    return jnp.sum((_peaks(p, x) - y) ** 2)


@fits.case(0.3 * _noise(20), _noise(500, 20), (_noise(500) > 0) * 1.0, kind="hessian")
def logistic_regression(w, x, y):
    """Statistics: cross-entropy of twenty weights on 500 samples."""
    logits = x @ w
    return jnp.mean(jnp.logaddexp(0.0, logits) - y * logits) + 0.01 * jnp.sum(w**2)


@fits.case(0.2 * _noise(10), _noise(300, 10), _rng.poisson(2.0, 300) * 1.0, kind="hessian")
def poisson_regression(w, x, y):
    """Epidemiology: negative log-likelihood of counts."""
    rate = x @ w
    return jnp.sum(jnp.exp(rate) - y * rate)


@fits.case(
    np.array([2.0, 0.5]), np.linspace(0.1, 3, 8), np.linspace(0.4, 1.7, 8), batch=(None, 4096), shared=(1,)
)
def michaelis_menten(p, substrate, rate):
    """Biochemistry: residuals of an enzyme's kinetics at eight concentrations."""
    return p[0] * substrate / (p[1] + substrate) - rate


@fits.case(np.linspace(-1.2, 1.4, 20), kind="hessian")
def rosenbrock(x):
    """Optimisation: the function of Rosenbrock in twenty variables."""
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


@fits.case(np.array([0.5, -0.3, 0.2, 0.7, 0.1, 1.4]), _noise(200, 4), _noise(200), kind="hessian")
def student_regression(p, x, y):
    """Econometrics: robust regression with heavy tails, scale and degrees of freedom."""
    scale, freedom = jnp.exp(p[4]), jnp.exp(p[5])
    z = (y - x @ p[:4]) / scale
    normal = special.gammaln((freedom + 1) / 2) - special.gammaln(freedom / 2) - 0.5 * jnp.log(freedom)
    return -jnp.sum(normal - jnp.log(scale) - (freedom + 1) / 2 * jnp.log1p(z**2 / freedom))


@fits.case(np.array([1.5, 2.0]), _rng.weibull(1.5, 30) * 2, kind="hessian", batch=(None, 4096))
def weibull(p, lifetimes):
    """Reliability: negative log-likelihood of thirty lifetimes."""
    shape, scale = p
    z = lifetimes / scale
    return -jnp.sum(jnp.log(shape / scale) + (shape - 1) * jnp.log(z) - z**shape)


@fits.case(
    np.array([0.04, -0.02, 0.01, 1.5]),
    np.array([0.25, 0.5, 1, 2, 3, 5, 7, 10, 20, 30.0]),
    batch=4096,
    shared=(1,),
)
def nelson_siegel(p, maturities):
    """Finance: a yield curve at ten maturities by level, slope, curvature and decay."""
    scaled = maturities / p[3]
    loading = (1 - jnp.exp(-scaled)) / scaled
    return p[0] + p[1] * loading + p[2] * (loading - jnp.exp(-scaled))


@fits.case(np.array([0.1, -0.5, -1.0]), np.sort(_noise(40)), _noise(40), kind="hessian")
def gaussian_process(p, x, y):
    """Machine learning: negative marginal likelihood of a Gaussian process, three hyperparameters."""
    length, scale, noise = jnp.exp(p)
    kernel = scale * jnp.exp(-0.5 * (x[:, None] - x[None]) ** 2 / length**2) + (noise + 1e-3) * jnp.eye(40)
    factor = jnp.linalg.cholesky(kernel)
    alpha = linalg.cho_solve((factor, True), y)
    return 0.5 * y @ alpha + jnp.sum(jnp.log(jnp.diagonal(factor)))


@fits.case(0.3 * _noise(12), np.linspace(0, 1, 64), _noise(64), kind="hessian")
def softmax_mixture(p, x, y):
    """Machine learning: loss of a mixture of four experts on a line, each of slope and offset and gate."""
    slope, offset, gate = p.reshape(3, 4)
    weight = jax.nn.softmax(gate * x[:, None], axis=1)
    return jnp.mean((jnp.sum(weight * (slope * x[:, None] + offset), axis=1) - y) ** 2)
