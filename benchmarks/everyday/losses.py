"""Scalar losses, of which a gradient is wanted: what `jax.grad` is for."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ._case import Collection
from .networks import layers, mlp, weights

losses = Collection()
_rng = np.random.default_rng(6)


@losses.case(layers(16, 64, 64, 10), weights(32, 16), _rng.integers(0, 10, 32), kind="gradient")
def mlp_loss(params, x, labels):
    """Classification: cross-entropy of a network of two hidden layers on 32 samples."""
    logits = jax.nn.log_softmax(mlp(params, x, jax.nn.relu))
    return -jnp.mean(jnp.take_along_axis(logits, labels[:, None], axis=1))


_BLOCK = {
    "project": weights(32, 3, 4, 8),
    "out": weights(32, 32),
    "up": weights(32, 128),
    "down": weights(128, 32),
    "scale": np.ones((2, 32)),
}


@losses.case(_BLOCK, weights(16, 32), weights(16, 32), kind="gradient")
def transformer_loss(params, x, y):
    """Language models: a block of four heads on sixteen tokens of width 32."""

    def norm(x, scale):
        centred = x - jnp.mean(x, axis=-1, keepdims=True)
        return centred * lax.rsqrt(jnp.mean(centred**2, axis=-1, keepdims=True) + 1e-5) * scale

    q, k, v = jnp.moveaxis(jnp.einsum("td,dchk->tchk", norm(x, params["scale"][0]), params["project"]), 1, 0)
    logits = jnp.einsum("qhd,khd->hqk", q, k) / np.sqrt(8.0)
    logits = jnp.where(np.tril(np.ones((16, 16), bool)), logits, -1e9)
    mixed = jnp.einsum("hqk,khd->qhd", jax.nn.softmax(logits, axis=-1), v).reshape(16, 32)
    x = x + mixed @ params["out"]
    x = x + jax.nn.gelu(norm(x, params["scale"][1]) @ params["up"]) @ params["down"]
    return jnp.mean((x - y) ** 2)


@losses.case(
    (weights(32, 32), weights(8, 32), weights(32, 4)), weights(30, 8), weights(30, 4), kind="gradient"
)
def recurrent_loss(params, inputs, targets):
    """Sequence models: squared errors of all outputs of a recurrent network of 32 units."""
    w, u, out = params

    def step(h, x):
        h = jnp.tanh(h @ w + x @ u)
        return h, h

    states = lax.scan(step, jnp.zeros(32), inputs)[1]
    return jnp.mean((states @ out - targets) ** 2)


_IMAGES = weights(8, 16, 16, 1)


@losses.case(
    (0.5 * weights(3, 3, 1, 8), 0.5 * weights(3, 3, 8, 16), weights(256, 10)),
    _IMAGES,
    _rng.integers(0, 10, 8),
    kind="gradient",
)
def convolutional_loss(params, images, labels):
    """Classification: cross-entropy of two convolutions with max pooling on eight images."""
    x = images
    for kernel in params[:2]:
        x = lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = lax.reduce_window(jax.nn.relu(x), -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
    logits = jax.nn.log_softmax(x.reshape(8, -1) @ params[2])
    return -jnp.mean(jnp.take_along_axis(logits, labels[:, None], axis=1))
