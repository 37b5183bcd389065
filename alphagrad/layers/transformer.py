"""A transformer layer whose attention is biased by what connects the tokens."""

from __future__ import annotations

from dataclasses import dataclass, field

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ._attention import BlockTermAttention, DimensionAttention
from ._decompose import balanced_modes
from ._tensor_train import TTLinear

ILLEGAL = -1e9
"""The logit of an action that may not be taken, and of a token that may not be seen."""

_THREE_MODES = 512  # the least size that three modes of 8 divide

Bias = Float[Array, "heads tokens tokens"]
Seen = Bool[Array, "tokens tokens"] | Bool[Array, "tokens"]


@dataclass(frozen=True)
class AgentConfig:
    """The sizes of a network of transformer layers, and the kinds of these.

    Raises:
        ValueError: when a size is less than 1, the heads do not divide the width, or a word is none of its
            choices.

    Example:
        >>> from alphagrad.layers import AgentConfig
        >>> AgentConfig(width=16, attention="dimension").heads
        2
    """

    width: int = field(default=32, metadata={"help": "features of a token"})
    heads: int = field(default=2, metadata={"help": "attention heads of a layer"})
    layers: int = field(default=1, metadata={"help": "transformer layers"})
    temperature: float = field(
        default=1.0, metadata={"help": "of the draws of actions, where a menu is drawn from the policy"}
    )
    attention: str = field(
        default="softmax",
        metadata={
            "help": "how tokens attend to each other: 'softmax', 'block_term' or 'dimension'",
            "choices": ("softmax", "block_term", "dimension"),
        },
    )
    feed_forward: str = field(
        default="dense",
        metadata={
            "help": "the matrices between attentions: 'dense' or 'tensor_train'",
            "choices": ("dense", "tensor_train"),
        },
    )
    rank: int = field(default=8, metadata={"help": "of tensor trains and of block terms"})

    def __post_init__(self):
        if min(self.width, self.heads, self.layers, self.rank) < 1:
            raise ValueError("agent.width, agent.heads, agent.layers and agent.rank must be at least 1")
        if self.temperature <= 0:
            raise ValueError(f"agent.temperature={self.temperature} must be positive")
        if self.width % self.heads:
            raise ValueError(f"agent.width={self.width} must be a multiple of agent.heads={self.heads}")
        if self.attention not in ("softmax", "block_term", "dimension"):
            raise ValueError(
                f"agent.attention={self.attention} must be 'softmax', 'block_term' or 'dimension'"
            )
        if self.feed_forward not in ("dense", "tensor_train"):
            raise ValueError(f"agent.feed_forward={self.feed_forward} must be 'dense' or 'tensor_train'")


class TransformerLayer(eqx.Module):
    """Self-attention with a bias for every pair of tokens, then a perceptron; both residual.

    Normalisation comes before each half (Xiong et al. 2020, arXiv 2002.04745). The bias tells the attention
    what the edges of the graph are (Ying et al. 2021, arXiv 2106.05234). The attention is one of those below,
    the two matrices of the perceptron are dense or tensor trains, as the configuration says.

    Example:
        >>> from alphagrad.layers import AgentConfig, TransformerLayer
        >>> layer = TransformerLayer(AgentConfig(width=8, heads=2), length=6, key=jax.random.key(0))
        >>> layer(jnp.ones((6, 8))).shape
        (6, 8)
    """

    attention_norm: eqx.nn.RMSNorm
    attention: SoftmaxAttention | PairlessAttention
    perceptron_norm: eqx.nn.RMSNorm
    widen: eqx.nn.Linear | TTLinear
    narrow: eqx.nn.Linear | TTLinear

    def __init__(self, config: AgentConfig, length: int, key: Array):
        """
        Args:
            config: the sizes of the network and the kinds of its layers.
            length: the greatest number of tokens; block terms have parameters for every pair of them.
            key: for the parameters.
        """
        width = config.width
        keys = jax.random.split(key, 4)
        self.attention_norm = eqx.nn.RMSNorm(width, use_bias=False)
        if config.attention == "softmax":
            self.attention = SoftmaxAttention(width, config.heads, keys[0], keys[1])
        else:
            self.attention = PairlessAttention(config, length, keys[0])
        self.perceptron_norm = eqx.nn.RMSNorm(width, use_bias=False)
        self.widen, self.narrow = feed_forward(config, keys[2], keys[3])

    def __call__(
        self, tokens: Float[Array, "tokens width"], bias: Bias | None = None, seen: Seen | None = None
    ) -> Float[Array, "tokens width"]:
        """
        Args:
            tokens: the tokens.
            bias: of every head and (query, key) pair; 0 where nothing connects them. If `seen` is not given,
                a bias below `ILLEGAL / 2` says that the query may not see the key.
            seen: the keys that may be seen, by all queries or by each (a row for each query). Without a
                softmax over pairs, one entry for each key costs nothing, but what is said pair by pair
                takes as many times the operations as there are tokens.
        """
        tokens = tokens + self.attention(jax.vmap(self.attention_norm)(tokens), bias, seen)
        hidden = jax.nn.relu(jax.vmap(self.widen)(jax.vmap(self.perceptron_norm)(tokens)))
        return tokens + jax.vmap(self.narrow)(hidden)


class SoftmaxAttention(eqx.Module):
    """Attention by the softmax of a logit for every pair of tokens, to which the bias is added."""

    queries_keys_values: eqx.nn.Linear
    mix: eqx.nn.Linear
    heads: int = eqx.field(static=True)

    def __init__(self, width: int, heads: int, key: Array, key_mix: Array):
        self.queries_keys_values = eqx.nn.Linear(width, 3 * width, use_bias=False, key=key)
        self.mix = eqx.nn.Linear(width, width, use_bias=False, key=key_mix)
        self.heads = heads

    def __call__(
        self, tokens: Float[Array, "tokens width"], bias: Bias | None, seen: Seen | None
    ) -> Float[Array, "tokens width"]:
        count, width = tokens.shape
        parts = jax.vmap(self.queries_keys_values)(tokens).reshape(count, 3, self.heads, -1)
        queries, keys, values = parts[:, 0], parts[:, 1], parts[:, 2]
        logits = jnp.einsum("qhd,khd->hqk", queries, keys) / jnp.sqrt(width / self.heads)
        if seen is not None:
            unseen = jnp.where(seen, 0.0, ILLEGAL)
            bias = unseen if bias is None else bias + unseen
        attention = jax.nn.softmax(logits if bias is None else logits + bias, axis=-1)
        gathered = jnp.einsum("hqk,khd->qhd", attention, values).reshape(count, width)
        return jax.vmap(self.mix)(gathered)


class PairlessAttention(eqx.Module):
    """Attention that has no logit for a pair of tokens, so that a bias cannot be added to one.

    The bias weighs a sum over the neighbours instead, as in a graph convolution without parameters of its own
    (Wu et al. 2019, arXiv 1902.07153): every head has its share of the features, and of these a token takes

        sum_k bias[q, k] token[k] / (1 + sum_k |bias[q, k]|).

    What it has gathered so is added to what attends, and to the result.
    """

    attention: BlockTermAttention | DimensionAttention

    def __init__(self, config: AgentConfig, length: int, key: Array):
        if config.attention == "block_term":
            self.attention = BlockTermAttention(
                config.width, length, config.rank, config.heads, share_projections=False, key=key
            )
        else:
            self.attention = DimensionAttention(config.heads, config.width, key=key)

    def __call__(
        self, tokens: Float[Array, "tokens width"], bias: Bias | None, seen: Seen | None
    ) -> Float[Array, "tokens width"]:
        if bias is None:
            return self.attention(tokens, tokens, tokens, seen)
        allowed = bias > ILLEGAL / 2
        if seen is None:
            seen = jnp.any(allowed, axis=0)
        weights = jnp.where(allowed & seen, bias, 0.0)
        weights /= 1 + jnp.sum(jnp.abs(weights), axis=-1, keepdims=True)
        shares = tokens.reshape(len(tokens), len(bias), -1)
        gathered = jnp.einsum("hqk,khd->qhd", weights, shares).reshape(tokens.shape)
        tokens = tokens + gathered
        return gathered + self.attention(tokens, tokens, tokens, seen)


def feed_forward(
    config: AgentConfig, key_widen: Array, key_narrow: Array
) -> tuple[eqx.nn.Linear | TTLinear, eqx.nn.Linear | TTLinear]:
    """The two matrices of a perceptron, from the width to twice of it and back, as the configuration says."""
    width = config.width
    if config.feed_forward == "dense":
        return (
            eqx.nn.Linear(width, 2 * width, key=key_widen),
            eqx.nn.Linear(2 * width, width, key=key_narrow),
        )
    narrow, wide = modes(width), modes(2 * width, len(modes(width)))
    return (
        TTLinear(narrow, wide, config.rank, key=key_widen),
        TTLinear(wide, narrow, config.rank, key=key_narrow),
    )


def modes(size: int, count: int | None = None) -> tuple[int, ...]:
    """Nearly equal factors of a layer's width, for a tensor train.

    Two of them, because matrices of a few hundred rows gain nothing from more; three for larger ones.

    Args:
        size: what they multiply to.
        count: how many, if not by this rule.
    """
    return balanced_modes(size, count or (2 if size < _THREE_MODES else 3))
