"""Layers of networks whose results see a part of their arguments each."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from ._problem import Collection, normal

layers = Collection()


@layers.problem(1024, 4)
def gated_network(samples):
    """A gated layer of every sample in a batch, by the samples."""
    gate, up, down = (0.3 * normal(*shape, seed=at) for at, shape in enumerate([(12, 24), (12, 24), (24, 6)]))

    def network(x):
        return (jax.nn.sigmoid(x @ gate) * (x @ up)) @ down

    return network, normal(samples, 12)


@layers.problem(400, 12)
def masked_network(width):
    """Two layers whose weights are masked to a band, as those of local connections."""
    offset = np.abs(np.arange(width)[:, None] - np.arange(width))
    first, second = (np.where(offset <= 3, normal(width, width, seed=at), 0.0) for at in range(2))

    def network(x):
        return second @ jnp.tanh(first @ x)

    return network, normal(width)


@layers.problem(2000, 8)
def messages_on_a_graph(nodes):
    """A layer of messages along the edges of a graph, four numbers at every node."""
    rng = np.random.default_rng(1)
    start = np.repeat(np.arange(nodes), 3)
    end = (start + rng.integers(1, nodes, 3 * nodes)) % nodes
    weights, update = 0.5 * normal(8, 4, seed=2), 0.5 * normal(4, 4, seed=3)

    def layer(x):
        messages = jnp.tanh(jnp.concatenate([x[start], x[end]], 1) @ weights)
        return x + jnp.zeros_like(x).at[end].add(messages) @ update

    return layer, normal(nodes, 4)


@layers.problem(512, 4)
def normalised_rows(rows):
    """A layer norm and a softmax of every row."""

    def layer(x):
        centred = x - x.mean(1, keepdims=True)
        scaled = centred / jnp.sqrt(1e-5 + (centred**2).mean(1, keepdims=True))
        return jax.nn.softmax(scaled, 1)

    return layer, normal(rows, 16)
