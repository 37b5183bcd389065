"""Scans and loops of ten to a thousand steps: recurrent networks, filters, time series, iterations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy import special

from ._case import Collection
from .networks import weights

recurrences = Collection()
_rng = np.random.default_rng(3)


@recurrences.case(weights(32), weights(32, 32), weights(8, 32), weights(50, 8))
def recurrent_state(h, w, u, inputs):
    """Dynamical systems: the final state of a recurrent network of 32 units by the first one."""
    return lax.scan(lambda h, x: (jnp.tanh(h @ w + x @ u), None), h, inputs)[0]


@recurrences.case({"z": weights(12, 8), "r": weights(12, 8), "n": weights(12, 8)}, weights(20, 4))
def gated_recurrent_unit(params, inputs):
    """Sequence models: the final state of a gated recurrent unit by its parameters."""

    def step(h, x):
        both = jnp.concatenate([x, h])
        z, r = jax.nn.sigmoid(both @ params["z"]), jax.nn.sigmoid(both @ params["r"])
        n = jnp.tanh(jnp.concatenate([x, r * h]) @ params["n"])
        return (1 - z) * n + z * h, None

    return lax.scan(step, jnp.zeros(8), inputs)[0]


@recurrences.case(weights(20, 4), weights(20, 64), weights(64))
def long_short_term_memory(inputs, w, b):
    """Sequence models: all outputs of a memory of sixteen cells by all inputs."""

    def step(carry, x):
        h, c = carry
        i, f, g, o = jnp.split(jnp.concatenate([x, h]) @ w + b, 4)
        c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    return lax.scan(step, (jnp.zeros(16), jnp.zeros(16)), inputs)[1]


@recurrences.case(np.array([0.1, -1.0, 0.9, 0.2]), _rng.normal(size=100))
def kalman_filter(p, observed):
    """Navigation: innovations and their variances of a filter of two states by four parameters."""
    process, noise = jnp.exp(p[0]), jnp.exp(p[1])
    move = jnp.array([[1.0, 0.1], [0.0, 1.0]]) * jnp.stack([jnp.ones(()), p[2]])

    def step(carry, y):
        mean, cov = carry
        mean, cov = move @ mean, move @ cov @ move.T + process * jnp.eye(2)
        variance = cov[0, 0] + noise
        innovation = y - mean[0] - p[3]
        gain = cov[:, 0] / variance
        return (mean + gain * innovation, cov - jnp.outer(gain, cov[0])), (innovation, variance)

    return lax.scan(step, (jnp.zeros(2), jnp.eye(2)), observed)[1]


@recurrences.case(np.array(2.7), np.array(0.3), argnums=(0, 1), batch=(None, 4096))
def logistic_map(r, x):
    """Population dynamics: a thousand generations by growth rate and start."""
    return lax.fori_loop(0, 1000, lambda _, x: r * x * (1 - x), x)


@recurrences.case(np.array([1.0, 0.5, 0.6, 0.3]), np.array([1.0, 0.8]), argnums=(0, 1), batch=(None, 4096))
def predator_prey(p, state):
    """Ecology: a thousand explicit steps after Lotka and Volterra by parameters and start."""

    def step(_, s):
        prey, predator = s
        return s + 0.01 * jnp.stack([prey * (p[0] - p[1] * predator), predator * (p[2] * prey - p[3])])

    return lax.fori_loop(0, 1000, step, state)


@recurrences.case(_rng.normal(size=(8, 8)))
def power_iteration(a):
    """Linear algebra: the leading eigenvector after fifty steps by the matrix."""

    def step(_, v):
        v = (a @ a.T) @ v
        return v / jnp.linalg.norm(v)

    return lax.fori_loop(0, 50, step, jnp.ones(8) / np.sqrt(8.0))


@recurrences.case(np.array([0.05, 0.1]), _rng.normal(size=(40, 10)), _rng.normal(size=40))
def gradient_descent(p, x, y):
    """Hyperparameter optimisation: weights after a hundred steps by step size and regularisation."""

    def loss(w):
        return jnp.mean((jnp.tanh(x @ w) - y) ** 2) + p[1] * jnp.sum(w**2)

    return lax.fori_loop(0, 100, lambda _, w: w - p[0] * jax.grad(loss)(w), 0.1 * jnp.ones(10))


@recurrences.case(np.array([0.2, 0.3, 0.2, -0.5, 0.3]), _rng.normal(size=1000))
def recursive_filter(p, signal):
    """Audio: the output of a biquadratic filter on a thousand samples by its coefficients."""

    def step(carry, x):
        x1, x2, y1, y2 = carry
        y = p[0] * x + p[1] * x1 + p[2] * x2 - p[3] * y1 - p[4] * y2
        return (x, x1, y, y1), y

    zero = jnp.zeros(())
    return lax.scan(step, (zero, zero, zero, zero), signal)[1]


@recurrences.case(np.array([0.1, 0.1, 0.8]), _rng.normal(size=1000))
def conditional_variance(p, returns):
    """Econometrics: terms of the likelihood of GARCH(1, 1) on a thousand returns."""

    def step(variance, r):
        variance = p[0] + p[1] * r**2 + p[2] * variance
        return variance, jnp.log(variance) + r**2 / variance

    return lax.scan(step, jnp.ones(()), returns)[1]


@recurrences.case(
    _rng.normal(size=(4, 4)), _rng.normal(size=(4, 3)), _rng.integers(0, 3, 100), argnums=(0, 1)
)
def hidden_markov(transition, emission, observed):
    """Genomics: log-probabilities of four hidden states after a hundred symbols by all logits."""
    move = jax.nn.log_softmax(transition, axis=1)
    emit = jax.nn.log_softmax(emission, axis=1)

    def step(alpha, symbol):
        return special.logsumexp(alpha[:, None] + move, axis=0) + emit[:, symbol], None

    return lax.scan(step, jnp.zeros(4), observed)[0]


@recurrences.case(0.1 * _rng.uniform(size=64))
def survival_curve(hazard):
    """Actuarial mathematics: survival, expected loss and discounted annuity by 64 hazards."""
    survival = jnp.cumprod(1 - hazard)
    discount = jnp.exp(-0.03 * jnp.arange(1, 65))
    return survival, jnp.cumsum(survival * discount), jnp.sum(hazard * survival * discount)


@recurrences.case(_rng.uniform(1, 2, 10))
def babylonian_roots(x):
    """Numerical analysis: square roots by ten iterations in a fori_loop."""
    return lax.fori_loop(0, 10, lambda _, y: 0.5 * (y + x / y), jnp.ones(10))


@recurrences.case(np.array([1.0, 0.5, 0.8, 0.4]), 1 + 0.3 * _rng.normal(size=(40, 2)), kind="hessian")
def population_fit(rates, counts):
    """Ecology: squared residuals of predators and prey, forty steps of Heun's method, by four rates."""

    def change(u):
        growth, losses, decay, gains = rates
        return jnp.stack([growth * u[0] - losses * u[0] * u[1], gains * u[0] * u[1] - decay * u[1]])

    def step(u, _):
        slope = change(u)
        return u + 0.05 * (slope + change(u + 0.1 * slope)), u

    found = lax.scan(step, jnp.array([1.0, 0.5]), None, len(counts))[1]
    return jnp.sum((found - counts) ** 2)


@recurrences.case(
    np.array([0.05, 0.1, 2.0, 0.2, 5.0, 0.3]),
    _rng.normal(size=50),
    3.6 + 0.1 * _rng.normal(size=50),
    kind="hessian",
)
def battery_circuit(parts, current, voltage):
    """Batteries: squared residuals of a circuit with two capacitors, fifty steps, by its six parts."""
    ohmic, first, fast, second, slow, slope = parts
    resistance, capacity = jnp.stack([first, second]), jnp.stack([fast, slow])

    def step(held, i):
        held = held + 0.1 * (i / capacity - held / (resistance * capacity))
        return held, 3.7 - slope * jnp.tanh(held[0]) - held.sum() - ohmic * i

    found = lax.scan(step, jnp.zeros(2), current)[1]
    return jnp.sum((found - voltage) ** 2)
