"""The network that plays the vertex game: a transformer over the three-dimensional adjacency tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float

from ..layers import AgentConfig, TransformerLayer
from ..layers.transformer import ILLEGAL
from ..zero.agent import Lesson, Losses, Prediction, make_agent
from .game import AdjacencyTensor, VertexGame

_FREQUENCIES = 4
_LEARNED_SUMS = 3
_TOKEN_FEATURES = 2 * (2 + _LEARNED_SUMS) + 6 + 2 + 1 + 2 * _FREQUENCIES
_MANY_KINDS = 16

Observation = AdjacencyTensor | Float[Array, "rows columns features"]


class VertexAgent(eqx.Module):
    """One token for every vertex, attention along and against the edges, a policy and a value.

    A token is made from the sums over the in-edges and over the out-edges of its vertex of some channels of
    the edge features, from the logarithms of its degrees and Markowitz costs, and from its place in the
    topological order. Edge features bias the attention: half of the heads look at the predecessors of a
    vertex, the other half at its successors. The policy scores every token; the value is read off the mean
    token and off the Markowitz costs that are left.

    The game and a first network of this kind are those of Lohoff and Neftci (2024, arXiv 2406.05027).

    Example:
        >>> import equinox as eqx
        >>> from alphagrad.layers import AgentConfig
        >>> from alphagrad.orders import VertexGame
        >>> from alphagrad.zero import make_agent
        >>> game = VertexGame(graphax.trace(lambda x: jnp.sin(jnp.exp(x) * x))(1.0))
        >>> agent = make_agent(game, AgentConfig(width=8), jax.random.key(0))  # a VertexAgent
        >>> state = game.init()
        >>> prediction = eqx.filter_jit(agent)(game.observe(state), game.legal(state))
        >>> prediction.logits.shape, prediction.value.shape
        ((2,), ())
    """

    edge_sums: Float[Array, "features sums"]
    edge_bias: Float[Array, "features biases"]
    position: Float[Array, "columns width"]
    embed: eqx.nn.Linear
    layers: tuple[TransformerLayer, ...]
    norm: eqx.nn.RMSNorm
    policy: eqx.nn.Linear
    preference: Float[Array, "columns"]
    value: eqx.nn.MLP
    num_inputs: int = eqx.field(static=True)
    action_columns: tuple[int, ...] = eqx.field(static=True)
    reference: float = eqx.field(static=True)

    def __init__(
        self,
        action_columns: Sequence[int],
        tensor: Float[np.ndarray, "rows columns features"],
        config: AgentConfig,
        key: Array,
    ):
        """
        Args:
            action_columns: the column of the tensor that each action eliminates.
            tensor: the dense adjacency tensor of the whole graph.
            config: the sizes of the network.
            key: for the parameters.
        """
        rows, columns, num_features = tensor.shape
        keys = iter(jax.random.split(key, 6 + config.layers))
        width, biases = config.width, config.heads * config.layers
        self.num_inputs = rows - columns
        self.action_columns = tuple(int(column) for column in action_columns)
        self.edge_sums = _normal(next(keys), (num_features, _LEARNED_SUMS), num_features**-0.5)
        self.edge_bias = _normal(next(keys), (num_features, biases), num_features**-0.5)
        self.position = _normal(next(keys), (columns, width), 0.02)
        self.embed = eqx.nn.Linear(_TOKEN_FEATURES, width, key=next(keys))
        self.layers = tuple(TransformerLayer(config, columns, next(keys)) for _ in range(config.layers))
        self.norm = eqx.nn.RMSNorm(width, use_bias=False)
        self.policy = _zeroed(eqx.nn.Linear(width, 1, use_bias=False, key=next(keys)))
        self.preference = jnp.zeros(columns)
        head = eqx.nn.MLP(2 * width + 3, "scalar", width, depth=1, key=next(keys))
        self.value = eqx.tree_at(lambda m: m.layers[-1], head, _zeroed(head.layers[-1]))
        sizes = _sizes(tensor)[..., 0]
        costs = sizes.sum(axis=0) * sizes[self.num_inputs :].sum(axis=1)
        self.reference = float(costs[list(self.action_columns)].sum())

    def __call__(
        self, observation: Observation, legal: Bool[Array, "num_actions"], key: Array | None = None
    ) -> Prediction:
        """
        Args:
            observation: the adjacency tensor, dense or compressed.
            legal: the actions that may be taken.
            key: not used; the menu holds all actions.
        """
        del key
        actions = jnp.array(self.action_columns)
        remaining = jnp.zeros(len(self.preference)).at[actions].set(legal.astype(jnp.float32))
        sums, degrees = self._edge_sums(observation)
        costs, logarithms = self._costs(sums)
        present = (degrees[0] > 0).astype(jnp.float32)

        tokens = jnp.concatenate(
            [sums.reshape(-1, len(present)) / 4, logarithms, remaining[None], present[None], self._waves()]
        ).T
        tokens = jax.vmap(self.embed)(tokens) + self.position
        for layer, bias in zip(self.layers, self._biases(observation), strict=True):
            tokens = layer(tokens, bias, present > 0)
        tokens = jax.vmap(self.norm)(tokens)

        scores = jax.vmap(self.policy)(tokens)[:, 0] + self.preference
        logits = jnp.where(legal, scores[actions], ILLEGAL)
        left = jnp.sum(costs * remaining) / self.reference
        count = jnp.sum(remaining)
        summary = jnp.concatenate(
            [
                jnp.mean(tokens, axis=0),
                remaining @ tokens / (1 + count),
                jnp.stack([count / len(actions), left, jnp.log1p(left)]),
            ]
        )
        return Prediction(logits, self.value(summary))

    def losses(
        self,
        observation: Observation,
        legal: Bool[Array, "num_actions"],
        lesson: Lesson,
        key: Array | None = None,
    ) -> Losses:
        """The cross-entropy to the lesson's policy, and the Huber loss of the value."""
        prediction = self(observation, legal, key)
        logits = jax.nn.log_softmax(prediction.logits)
        # Of an illegal action the logarithm is huge and the share is none.
        cross = -jnp.sum(jnp.where(legal, lesson.policy * logits, 0.0))
        entropy = -jnp.sum(jnp.where(legal, jnp.exp(logits) * logits, 0.0))
        # Linear for large errors: of a game that went wrong only so much is to be learned.
        error = optax.huber_loss(prediction.value, lesson.value, delta=0.2)
        return Losses(cross, 2 * error, entropy)

    def _edge_sums(self, observation):
        """Channels of the edges summed over the in-edges and the out-edges of every vertex.

        The channels are: 1, the numbers that the edge holds (at least 1), and learned ones.

        Returns:
            sums: `Float[Array, "2 channels columns"]`
            degrees: its first channel, `Float[Array, "2 columns"]`
        """

        def channels(features):
            return jnp.concatenate([features[..., :1], _sizes(features), features @ self.edge_sums], axis=-1)

        edges = _per_edge(observation, channels)
        into = [jnp.sum(channel, axis=0) for channel in edges]
        out_of = [jnp.sum(channel[self.num_inputs :], axis=1) for channel in edges]
        sums = jnp.stack([jnp.stack(into), jnp.stack(out_of)])
        return sums, sums[:, 0]

    @staticmethod
    def _costs(sums):
        """Markowitz costs as far as the tensor shows them, and the logarithms that tokens are made from.

        Returns:
            costs: the product of the numbers held by the in-edges and by the out-edges of every vertex,
                exact for scalar vertices; `Float[Array, "columns"]`
            logarithms: of degrees and costs; `Float[Array, "6 columns"]`
        """
        degrees, sizes = sums[:, 0], sums[:, 1]
        costs = sizes[0] * sizes[1]
        products = jnp.stack([degrees[0] * degrees[1], costs])
        return costs, jnp.log1p(jnp.concatenate([degrees, sizes, products]))

    def _biases(self, observation) -> list[Float[Array, "heads columns columns"]]:
        """For every layer the bias of the attention from every vertex (rows) to every vertex (columns)."""
        edges = _per_edge(observation, lambda features: features @ self.edge_bias)
        edges = [channel[self.num_inputs :] for channel in edges]
        directed = [channel.T if at % 2 else channel for at, channel in enumerate(edges)]
        heads = len(edges) // len(self.layers)
        return [jnp.stack(directed[at : at + heads]) for at in range(0, len(edges), heads)]

    def _waves(self) -> Float[np.ndarray, "waves columns"]:
        """The place in the topological order, and sines and cosines of it."""
        place = np.linspace(0, 1, len(self.preference), dtype=np.float32)
        angles = np.pi * 2.0 ** np.arange(_FREQUENCIES, dtype=np.float32)[:, None] * place
        return np.concatenate([place[None], np.sin(angles), np.cos(angles)])


def _sizes(features):
    """How many numbers an edge holds, at least 1; 0 where there is no edge."""
    return (10 ** features[..., -1:] - 1).clip(features[..., :1])


def _per_edge(
    observation: Observation, channels: Callable[[Array], Array]
) -> list[Float[Array, "rows columns"]]:
    """Applies a function of the features of an edge to all edges; once per kind if they are compressed.

    Args:
        observation: the adjacency tensor.
        channels: acts on the last axis and maps zeros, the features of no edge, to zeros.

    Returns:
        one matrix for every channel.
    """
    if not isinstance(observation, AdjacencyTensor):
        tensor = channels(observation)
        return [tensor[..., at] for at in range(tensor.shape[-1])]
    kinds, table = observation.kinds, channels(observation.features)
    if len(table) > _MANY_KINDS:
        return [column[kinds] for column in table.T]
    # The same as indexing, but vectorised on a CPU, and its derivative scatters nothing.
    masks = [kinds == kind for kind in range(1, len(table))]
    return [
        sum(
            (jnp.where(mask, entry, 0.0) for mask, entry in zip(masks, column[1:], strict=True)),
            jnp.zeros(()),
        )
        for column in table.T
    ]


def _normal(key: Array, shape: tuple[int, ...], scale: float) -> Array:
    return scale * jax.random.normal(key, shape)


def _zeroed(linear: eqx.nn.Linear) -> eqx.nn.Linear:
    return cast(eqx.nn.Linear, jax.tree.map(jnp.zeros_like, linear))


@make_agent.register
def _(game: VertexGame, config: AgentConfig, key: Array) -> VertexAgent:
    with jax.ensure_compile_time_eval():
        seen = game.observe(game.init(key))
        tensor = np.asarray(seen.dense() if isinstance(seen, AdjacencyTensor) else seen)
    return VertexAgent(game.action_columns.tolist(), tensor, config, key)
