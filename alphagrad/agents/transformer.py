"""A transformer layer whose attention is biased by what connects the tokens."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class TransformerLayer(eqx.Module):
    """Self-attention with a bias for every pair of tokens, then a perceptron; both residual.

    Normalisation comes before each half (Xiong et al. 2020, arXiv 2002.04745). The bias tells the attention
    what the edges of the graph are (Ying et al. 2021, arXiv 2106.05234).
    """

    attention_norm: eqx.nn.RMSNorm
    queries_keys_values: eqx.nn.Linear
    mix: eqx.nn.Linear
    perceptron_norm: eqx.nn.RMSNorm
    widen: eqx.nn.Linear
    narrow: eqx.nn.Linear
    heads: int = eqx.field(static=True)

    def __init__(self, width: int, heads: int, key: Array):
        """
        Args:
            width: features of a token, a multiple of `heads`.
            heads: attention heads.
            key: for the parameters.
        """
        keys = jax.random.split(key, 4)
        self.attention_norm = eqx.nn.RMSNorm(width, use_bias=False)
        self.queries_keys_values = eqx.nn.Linear(width, 3 * width, use_bias=False, key=keys[0])
        self.mix = eqx.nn.Linear(width, width, use_bias=False, key=keys[1])
        self.perceptron_norm = eqx.nn.RMSNorm(width, use_bias=False)
        self.widen = eqx.nn.Linear(width, 2 * width, key=keys[2])
        self.narrow = eqx.nn.Linear(2 * width, width, key=keys[3])
        self.heads = heads

    def __call__(
        self, tokens: Float[Array, "tokens width"], bias: Float[Array, "heads tokens tokens"]
    ) -> Float[Array, "tokens width"]:
        """
        Args:
            tokens: the tokens.
            bias: is added to the attention logits of every (query, key) pair.
        """
        tokens = tokens + self._attend(jax.vmap(self.attention_norm)(tokens), bias)
        hidden = jax.nn.relu(jax.vmap(self.widen)(jax.vmap(self.perceptron_norm)(tokens)))
        return tokens + jax.vmap(self.narrow)(hidden)

    def _attend(self, tokens, bias):
        count, width = tokens.shape
        parts = jax.vmap(self.queries_keys_values)(tokens).reshape(count, 3, self.heads, -1)
        queries, keys, values = parts[:, 0], parts[:, 1], parts[:, 2]
        logits = jnp.einsum("qhd,khd->hqk", queries, keys) / jnp.sqrt(width / self.heads)
        attention = jax.nn.softmax(logits + bias, axis=-1)
        gathered = jnp.einsum("hqk,khd->qhd", attention, values).reshape(count, width)
        return jax.vmap(self.mix)(gathered)
