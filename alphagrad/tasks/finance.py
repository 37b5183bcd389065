"""Finance: the Black-Scholes price of a European call, and its first-order greeks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax.scipy.special import erf

from ._task import Declaration, Uniform

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    Scalar = Float[Array, ""]


def black_scholes(spot: Scalar, strike: Scalar, rate: Scalar, volatility: Scalar, maturity: Scalar) -> Scalar:
    """The price of a European call option (Black & Scholes 1973), through the forward price.

    Args:
        spot: price of the stock now.
        strike: price at which the stock may be bought at maturity.
        rate: riskless interest rate per year, continuously compounded.
        volatility: standard deviation of the logarithm of the price over one year.
        maturity: years until the option expires.
    """
    forward = jnp.exp(rate * maturity) * spot
    return _black_76(forward, strike, rate, volatility, maturity)


def black_scholes_greeks(
    spot: Scalar, strike: Scalar, rate: Scalar, volatility: Scalar, maturity: Scalar
) -> tuple[Scalar, Scalar, Scalar, Scalar, Scalar]:
    """The five first derivatives of `black_scholes`, accumulated in reverse order.

    The Jacobian of this function holds all second-order greeks.
    """
    import graphax  # Here, so that the other tasks can be loaded without it.

    # Operations on arrays are the vertices of this function.
    jacobian = graphax.jacve(black_scholes, order="reverse", argnums=(0, 1, 2, 3, 4), kernel=False)
    return jacobian(spot, strike, rate, volatility, maturity)


def _black_76(forward, strike, rate, volatility, maturity):
    """The same price from the forward price of the stock (Black 1976)."""
    d1 = (jnp.log(forward / strike) + volatility**2 / 2.0 * maturity) / (volatility * jnp.sqrt(maturity))
    d2 = d1 - volatility * jnp.sqrt(maturity)
    return jnp.exp(-rate * maturity) * (forward * _normal_cdf(d1) - strike * _normal_cdf(d2))


def _normal_cdf(z):
    return (1.0 + erf(z / math.sqrt(2.0))) / 2.0


_INPUTS = (
    Uniform(80.0, 120.0),
    Uniform(80.0, 120.0),
    Uniform(0.01, 0.08),
    Uniform(0.15, 0.5),
    Uniform(0.3, 2.0),
)
_SOURCE = "F. Black and M. Scholes, J. Political Economy 81 (1973) 637-654"

TASKS = (
    Declaration(
        name="BlackScholes",
        fun=black_scholes,
        inputs=_INPUTS,
        domain="finance",
        source=_SOURCE,
    ),
    Declaration(
        name="BlackScholes_Jacobian",
        fun=black_scholes_greeks,
        inputs=_INPUTS,
        domain="finance",
        published={"forward": 545, "reverse": 572, "markowitz": 350, "learned": 311, "ppo": 308},
        source=_SOURCE,
    ),
)
