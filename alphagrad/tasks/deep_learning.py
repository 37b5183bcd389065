"""Deep learning: a perceptron with layer norm and a small transformer encoder, with losses; tensor layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax.numpy as jnp
from jax.lax import stop_gradient

from ._task import Declaration, Uniform

if TYPE_CHECKING:
    from jaxtyping import Array, Float

    Scalar = Float[Array, ""]

EPSILON = 1e-6


def perceptron(
    x: Float[Array, "4"],
    y: Float[Array, "4"],
    w1: Float[Array, "8 4"],
    b1: Float[Array, "8"],
    w2: Float[Array, "4 8"],
    b2: Float[Array, "4"],
    gamma: Scalar,
    beta: Scalar,
) -> Scalar:
    """Cross entropy between the label `y` and a perceptron with one normalised hidden layer."""
    hidden = jnp.tanh(w1 @ x + b1)
    hidden = _layer_norm(hidden, gamma, beta)
    return _cross_entropy(jnp.tanh(w2 @ hidden + b2), y)


def encoder(
    x: Float[Array, "4 4"],
    y: Float[Array, "2 4"],
    wq1: Float[Array, "4 4"],
    wk1: Float[Array, "4 4"],
    wv1: Float[Array, "4 4"],
    w1: Float[Array, "4 4"],
    b1: Float[Array, "4"],
    gamma1: Scalar,
    beta1: Scalar,
    wq2: Float[Array, "4 4"],
    wk2: Float[Array, "4 4"],
    wv2: Float[Array, "4 4"],
    w2: Float[Array, "2 4"],
    b2: Float[Array, "2 1"],
    gamma2: Scalar,
    beta2: Scalar,
) -> Float[Array, "2"]:
    """Cross entropy of each row of the label `y` under an encoder of two transformer blocks."""
    hidden = _block(x, wq1, wk1, wv1, w1, b1, gamma1, beta1)
    return _cross_entropy(_block(hidden, wq2, wk2, wv2, w2, b2, gamma2, beta2), y)


def tt_layer(
    x: Float[Array, "8"],
    g1: Float[Array, "6 2"],
    g2: Float[Array, "6 6"],
    g3: Float[Array, "2 6"],
    b: Float[Array, "8"],
) -> Float[Array, "8"]:
    """A layer of eight neurons whose matrix is a tensor train of rank 3 with three modes of 2.

    Args:
        x: the input, a tensor with three axes j1, j2 and j3.
        g1: the first core, its rows (i1, a1) and its columns j1.
        g2: the second, its rows (i2, a2) and its columns (a1, j2).
        g3: the third, its rows i3 and its columns (a2, j3).
        b: the bias.
    """
    state = (g1 @ jnp.reshape(x, (2, 4))).reshape(2, 6, 2)
    state = (g2 @ state).reshape(4, 6)
    return jnp.tanh(jnp.reshape(state @ g3.T, 8) + b)


def block_term_attention(
    x: Float[Array, "4 4"],
    wq: Float[Array, "4 3"],
    wk: Float[Array, "4 3"],
    wv: Float[Array, "4 3"],
    g: Float[Array, "2 3"],
    w: Float[Array, "16 4"],
) -> Float[Array, "4 4"]:
    """Multi-linear self-attention of four tokens: the mean of two blocks of rank 3, and the tokens.

    Args:
        x: a row for each token.
        wq, wk, wv: make queries, keys and values, which the blocks share.
        g: a row for each block, whose softmax is the diagonal of its core.
        w: from a number for each pair of tokens to the width.
    """
    pairs = jnp.expand_dims((x @ wk).T, 2) * jnp.expand_dims((x @ wv).T, 1)
    blocks = (jnp.expand_dims(_softmax(g), 1) * (x @ wq)) @ jnp.reshape(pairs, (3, 16))
    return x + jnp.sum(blocks, axis=0) / 2 @ w


def _block(x, wq, wk, wv, w, b, gamma, beta):
    q = wq @ x
    k = wk @ x
    v = wv @ x
    attended = x + _softmax(q.T @ k) @ v
    return _silu(w @ _layer_norm(attended, gamma, beta) + b)


def _softmax(x):
    exponentials = jnp.exp(x - stop_gradient(jnp.max(x, axis=-1, keepdims=True)))
    return exponentials / jnp.sum(exponentials, axis=-1, keepdims=True)


def _layer_norm(x, gamma, beta):
    size = x.shape[-1]
    mean = jnp.sum(x, axis=-1, keepdims=True) / size
    variance = jnp.sum((x - mean) ** 2, axis=-1, keepdims=True) / size
    return (x - mean) / jnp.sqrt(variance + EPSILON) * gamma + beta


def _silu(z):
    # The product with one is a vertex of the published graph.
    return z * 1.0 / (1.0 + jnp.exp(-z))


def _cross_entropy(logits, y):
    return -jnp.sum(y * jnp.log(_softmax(logits)), axis=-1)


def _weights(*shape: int) -> Uniform:
    return Uniform(-1.0, 1.0, shape)


def _label(*shape: int) -> Uniform:
    return Uniform(0.0, 1.0, shape)


_GAMMA, _BETA = Uniform(0.5, 1.5), Uniform(-0.5, 0.5)
_ATTENTION = (_weights(4, 4),) * 3

TASKS = (
    Declaration(
        name="Perceptron",
        fun=perceptron,
        inputs=(
            *(_weights(4), _label(4)),
            *(_weights(8, 4), _weights(8), _weights(4, 8), _weights(4)),
            *(_GAMMA, _BETA),
        ),
        domain="deep learning",
        published={
            "forward": 10930,
            "reverse": 392,
            "markowitz": 4796,
            "learned": 389,
            "ppo": 422,
        },
        source="J. L. Ba, J. R. Kiros and G. E. Hinton, arXiv 1607.06450 (layer norm)",
    ),
    Declaration(
        name="Encoder",
        fun=encoder,
        inputs=(
            *(_weights(4, 4), _label(2, 4)),
            *(*_ATTENTION, _weights(4, 4), _weights(4), _GAMMA, _BETA),
            *(*_ATTENTION, _weights(2, 4), _weights(2, 1), _GAMMA, _BETA),
        ),
        domain="deep learning",
        published={
            "forward": 135010,
            "reverse": 4688,
            "markowitz": 51869,
            "learned": 4656,
            "ppo": 5741,
        },
        source="A. Vaswani et al., Attention is all you need, arXiv 1706.03762",
    ),
    Declaration(
        name="TTLayer",
        fun=tt_layer,
        inputs=(_weights(8), _weights(6, 2), _weights(6, 6), _weights(2, 6), _weights(8)),
        domain="deep learning",
        source="A. Novikov et al., Tensorizing neural networks, arXiv 1509.06569",
    ),
    Declaration(
        name="BlockTermAttention",
        fun=block_term_attention,
        inputs=(_weights(4, 4), *(_weights(4, 3),) * 3, _weights(2, 3), _weights(16, 4)),
        domain="deep learning",
        source="X. Ma et al., A tensorized transformer for language modeling, arXiv 1906.09777",
    ),
)
