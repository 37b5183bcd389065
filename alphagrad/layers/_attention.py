"""Attention without a softmax over pairs of tokens: by block terms, and across the dimensions."""

from __future__ import annotations

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


class BlockTermAttention(eqx.Module):
    """Multi-linear self-attention: a block-term tensor of queries, keys and values, mapped to the width.

    One block is a Tucker product with a diagonal core g, a tensor with an entry for every three tokens,

        T[i, j, m] = sum_r g_r Q[i, r] K[j, r] V[m, r],

    and the output of token i is the mean of the blocks' T[i, :, :], flattened, times a matrix. The softmax of
    a parameter is the core. In the paper the blocks share their projections of queries, keys and values.
    (Ma et al. 2019, A tensorized transformer for language modeling, arXiv 1906.09777.)

    The tensors are not formed: all sums over r, j and m are contracted in the cheapest order, which takes
    O(length^2 rank width) operations. The matrix at the end has an entry for every pair of tokens, so the
    layer is made for a greatest length. Shorter sequences are treated as if zeros followed.

    Attributes:
        query_proj: from the width to all ranks of all groups; likewise `key_proj` and `value_proj`.
        output: the matrix at the end, its rows arranged by the pair (j, m).
        core_logits: the logits of each block's core.
        share_projections: whether all blocks use the same projections.

    Raises:
        ValueError: when a size is less than 1, or a sequence is longer than the layer was made for.

    Example:
        >>> from alphagrad.layers import BlockTermAttention
        >>> attention = BlockTermAttention(width=8, length=6, rank=4, key=jax.random.key(0))
        >>> tokens = jnp.ones((5, 8))
        >>> attention(tokens, tokens, tokens).shape
        (5, 8)
    """

    query_proj: eqx.nn.Linear
    key_proj: eqx.nn.Linear
    value_proj: eqx.nn.Linear
    output: Float[Array, "length length width"]
    core_logits: Float[Array, "blocks rank"]
    share_projections: bool = eqx.field(static=True)

    def __init__(
        self,
        width: int,
        length: int,
        rank: int,
        blocks: int = 2,
        share_projections: bool = True,
        dtype=jnp.float32,
        *,
        key: Array,
    ):
        """
        Args:
            width: features of a token.
            length: the greatest number of tokens.
            rank: of a block, the size of its core.
            blocks: how many blocks are averaged.
            share_projections: whether all blocks use the same queries, keys and values, as published. Their
                mean is then one block with the mean core; without sharing it is a sum of `blocks` terms.
            dtype: of the parameters.
            key: for the parameters.
        """
        if min(width, length, rank, blocks) < 1:
            raise ValueError(
                f"Width {width}, length {length}, rank {rank} and blocks {blocks} must all be at least 1."
            )
        keys = jax.random.split(key, 5)
        columns = rank if share_projections else rank * blocks
        self.query_proj, self.key_proj, self.value_proj = (
            eqx.nn.Linear(width, columns, use_bias=False, dtype=dtype, key=k) for k in keys[:3]
        )
        # The core has the sum 1 and so the norm 1 / sqrt(columns), about, which is made up for here.
        bound = math.sqrt(columns) / length
        self.output = jax.random.uniform(keys[3], (length, length, width), dtype, -bound, bound)
        self.core_logits = jax.random.normal(keys[4], (blocks, rank), dtype)
        self.share_projections = share_projections

    def __call__(
        self,
        query: Float[Array, "length width"],
        key_: Float[Array, "length width"],
        value: Float[Array, "length width"],
        mask: Bool[Array, "length length"] | Bool[Array, "length"] | None = None,
        *,
        key: Array | None = None,
        inference: bool | None = None,
    ) -> Float[Array, "length width"]:
        """
        Args:
            query: the tokens that ask, one of i.
            key_: the tokens of j.
            value: the tokens of m.
            mask: whether token i may see token j (and m); what it may not see counts as zero. With one entry
                for every j it holds for all i and costs nothing; with one for every pair it takes `length`
                times the operations.
            key: ignored; for compatibility with `equinox.nn.MultiheadAttention`.
            inference: ignored; likewise.
        """
        length, _ = _self_attention_shape(query, key_, value, mask)
        if length > len(self.output):
            raise ValueError(
                f"This layer was made for sequences up to the length {len(self.output)}, not {length}."
            )
        cores = jax.nn.softmax(self.core_logits, axis=-1) / len(self.core_logits)
        core = cores.sum(axis=0) if self.share_projections else cores.reshape(-1)
        queries, keys = jax.vmap(self.query_proj)(query), jax.vmap(self.key_proj)(key_)
        values = jax.vmap(self.value_proj)(value)
        output = self.output[:length, :length]
        if mask is not None and mask.ndim == 1:
            keys, values = jnp.where(mask[:, None], keys, 0), jnp.where(mask[:, None], values, 0)
        if mask is None or mask.ndim == 1:
            return jnp.einsum("r,ir,jr,mr,jmd->id", core, queries, keys, values, output, optimize="dp")
        seen = mask.astype(keys.dtype)
        return jnp.einsum(
            "r,ir,ij,jr,im,mr,jmd->id", core, queries, seen, keys, seen, values, output, optimize="dp"
        )


class DimensionAttention(eqx.Module):
    """Self-attention across dimensions: which features, rather than which tokens, attend to each other.

    For every head, with queries, keys and values of shape (length, size),

        out = V softmax(K^T Q / sqrt(length)),

    where the softmax makes every column of the size x size matrix a distribution over the features of V. The
    cost grows with length size^2 instead of length^2 size, and no parameter depends on the length.
    (After Zhang et al. 2020, TensorCoder: dimension-wise attention via tensor representation for natural
    language modeling, arXiv 2008.01547. The square root is of what the products are summed over, as in
    attention between tokens.)

    Attributes:
        query_proj: from the width to the sizes of all heads; likewise `key_proj` and `value_proj`.
        output_proj: from there to the width.
        num_heads: heads, which divide the width.

    Raises:
        ValueError: when the heads do not divide the width.

    Example:
        >>> from alphagrad.layers import DimensionAttention
        >>> attention = DimensionAttention(num_heads=2, width=8, key=jax.random.key(0))
        >>> tokens = jnp.ones((5, 8))
        >>> attention(tokens, tokens, tokens).shape
        (5, 8)
    """

    query_proj: eqx.nn.Linear
    key_proj: eqx.nn.Linear
    value_proj: eqx.nn.Linear
    output_proj: eqx.nn.Linear
    num_heads: int = eqx.field(static=True)

    def __init__(self, num_heads: int, width: int, dtype=jnp.float32, *, key: Array):
        """
        Args:
            num_heads: heads, a divisor of the width.
            width: features of a token.
            dtype: of the parameters.
            key: for the parameters.
        """
        if num_heads < 1 or width < 1 or width % num_heads:
            raise ValueError(f"The width {width} is no multiple of the number of heads {num_heads}.")
        self.query_proj, self.key_proj, self.value_proj, self.output_proj = (
            eqx.nn.Linear(width, width, use_bias=False, dtype=dtype, key=k) for k in jax.random.split(key, 4)
        )
        self.num_heads = num_heads

    def __call__(
        self,
        query: Float[Array, "length width"],
        key_: Float[Array, "length width"],
        value: Float[Array, "length width"],
        mask: Bool[Array, "length length"] | Bool[Array, "length"] | None = None,
        *,
        key: Array | None = None,
        inference: bool | None = None,
    ) -> Float[Array, "length width"]:
        """
        Args:
            query: the tokens that queries are made of.
            key_: the tokens that keys are made of; their products are summed over the length.
            value: the tokens that the features are taken from.
            mask: whether token i may see token j. The attention matrix then sums over the tokens that may be
                seen, and counts them in place of the length. With one entry for every j it holds for all i;
                with one for every pair each token has an attention matrix of its own.
            key: ignored; for compatibility with `equinox.nn.MultiheadAttention`.
            inference: ignored; likewise.
        """
        length, width = _self_attention_shape(query, key_, value, mask)
        queries, keys, values = (
            jax.vmap(project)(tokens).reshape(length, self.num_heads, -1)
            for project, tokens in (
                (self.query_proj, query),
                (self.key_proj, key_),
                (self.value_proj, value),
            )
        )
        if mask is None or mask.ndim == 1:
            count = length
            if mask is not None:
                keys = jnp.where(mask[:, None, None], keys, 0)
                count = jnp.maximum(mask.sum(), 1).astype(keys.dtype)
            scores = jnp.einsum("nhk,nhq->hkq", keys, queries) / jnp.sqrt(count)
            mixed = jnp.einsum("nhk,hkq->nhq", values, jax.nn.softmax(scores, axis=1))
        else:
            seen = mask.astype(keys.dtype)
            scores = jnp.einsum("in,nhk,nhq->ihkq", seen, keys, queries)
            counts = jnp.maximum(seen.sum(axis=1), 1)
            weights = jax.nn.softmax(scores / jnp.sqrt(counts)[:, None, None, None], axis=2)
            mixed = jnp.einsum("ihk,ihkq->ihq", values, weights)
        return jax.vmap(self.output_proj)(mixed.reshape(length, width))


def _self_attention_shape(query, key_, value, mask) -> tuple[int, int]:
    if query.ndim != 2 or not query.shape == key_.shape == value.shape:
        raise ValueError(
            f"Queries, keys and values of self-attention have one shape (length, width); those given have "
            f"{query.shape}, {key_.shape} and {value.shape}."
        )
    length, width = query.shape
    if mask is not None and mask.shape not in ((length,), (length, length)):
        raise ValueError(
            f"The mask of {length} tokens has the shape {(length,)} or {(length, length)}, not {mask.shape}."
        )
    return length, width
