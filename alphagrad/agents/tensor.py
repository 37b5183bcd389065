"""The network that plays the tensor game: axial attention over three grids, moves spelt piece by piece."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..games.tensor import TensorGame, TensorView
from ..tensor_trains import TTLinear
from ._agent import AgentConfig, Lesson, Losses, Prediction, register_network
from .transformer import ILLEGAL, TransformerLayer, feed_forward

_PIECE = 4  # entries of a factor that are chosen at once, at most
_QUANTILES = 8
_RISK = 0.75  # values are means of the quantiles from here on

Choose = Callable[[int, Float[Array, "samples options"]], Int[Array, "samples"]]


class TensorAgent(eqx.Module):
    """Three grids of tokens, a decoder that spells moves, and quantiles of the value.

    The tensor is seen from its three sides: a token for each pair of indices of two axes, made from the fibre
    along the third. Two grids share an axis, and tokens attend to those of the same index on it. The factors
    of a move are cut into pieces of a few entries; a decoder chooses one after the other, looking at the
    tokens and at the pieces chosen before. The value is the mean of the upper quantiles of the return.

    After AlphaTensor (Fawzi et al. 2022).
    """

    embed: tuple[eqx.nn.Linear, ...]
    places: tuple[Float[Array, "rows columns width"], ...]
    layers: tuple[tuple[TransformerLayer, ...], ...]
    norm: eqx.nn.RMSNorm
    decoder: Decoder
    value: eqx.nn.MLP
    sizes: tuple[int, ...] = eqx.field(static=True)
    menu: int = eqx.field(static=True)
    temperature: float = eqx.field(static=True)

    def __init__(self, game: TensorGame, config: AgentConfig, key: Array):
        """
        Args:
            game: whose tensors are seen and whose moves are made.
            config: the sizes of the network.
            key: for the parameters.
        """
        keys = iter(jax.random.split(key, 8 + 3 * config.layers))
        view = jax.eval_shape(lambda: game.observe(game.init(jax.random.key(0))))
        channels = 1 + len(view.history)
        self.sizes, self.menu = game.sizes, game.num_actions
        self.temperature = config.temperature
        width = config.width
        self.embed = tuple(
            eqx.nn.Linear(channels * size + 1, width, key=next(keys)) for size in _rotated(self.sizes, 2)
        )
        self.places = tuple(
            0.1 * jax.random.normal(next(keys), (rows, columns, width))
            for rows, columns in zip(self.sizes, _rotated(self.sizes, 1), strict=True)
        )
        self.layers = tuple(
            tuple(
                TransformerLayer(config, after + before, next(keys))
                for before, after in zip(_rotated(self.sizes, 2), _rotated(self.sizes, 1), strict=True)
            )
            for _ in range(config.layers)
        )
        self.norm = eqx.nn.RMSNorm(width, use_bias=False)
        self.decoder = Decoder(game, config, next(keys))
        head = eqx.nn.MLP(width, _QUANTILES, width, depth=1, key=next(keys))
        self.value = eqx.tree_at(lambda m: m.layers[-1], head, jax.tree.map(jnp.zeros_like, head.layers[-1]))

    def __call__(self, observation: TensorView, legal: Bool[Array, "num_actions"], key: Array) -> Prediction:
        """A menu of moves drawn from the policy, each with its share of the draws for a prior.

        Args:
            observation: what is left, the last moves, and the time.
            legal: all moves are.
            key: for the draws.
        """
        tokens = self._tokens(observation)
        keys = jax.random.split(key, self.decoder.num_pieces)

        def draw(piece, logits):
            return jax.random.categorical(keys[piece], logits / self.temperature)

        pieces, _ = self.decoder(tokens, self.menu, draw)
        menu = self.decoder.moves(pieces)
        alike = jnp.all(menu[:, None] == menu[None], axis=-1)
        first = ~jnp.any(jnp.tril(alike, k=-1), axis=1)
        logits = jnp.where(first & legal, jnp.log(jnp.sum(alike, axis=1)), ILLEGAL)
        quantiles = self.value(jnp.mean(tokens, axis=0))
        return Prediction(logits, jnp.mean(quantiles[math.ceil(_RISK * _QUANTILES) :]), menu)

    def losses(
        self, observation: TensorView, legal: Bool[Array, "num_actions"], lesson: Lesson, key: Array
    ) -> Losses:
        """The cross-entropy to one move drawn from the lesson's policy, and the quantile regression's loss
        (Dabney et al. 2018, arXiv 1710.10044)."""
        del legal
        tokens = self._tokens(observation)
        move = lesson.menu[jax.random.categorical(key, jnp.log(lesson.policy))]
        wanted = self.decoder.pieces(move)
        _, logits = self.decoder(tokens, 1, lambda piece, _: wanted[piece][None])
        logs = [jax.nn.log_softmax(piece[0]) for piece in logits]
        policy = -jnp.sum(jnp.stack([log[at] for log, at in zip(logs, wanted, strict=True)]))
        entropy = -jnp.sum(jnp.stack([jnp.sum(jnp.exp(log) * log) for log in logs]))
        error = lesson.value - self.value(jnp.mean(tokens, axis=0))
        levels = (jnp.arange(_QUANTILES) + 0.5) / _QUANTILES
        value = jnp.mean(jnp.where(error > 0, levels, 1 - levels) * jnp.abs(error))
        return Losses(policy, value, entropy)

    def _tokens(self, observation: TensorView) -> Float[Array, "tokens width"]:
        seen = jnp.concatenate([observation.residual[None], observation.history])
        grids = []
        for axis, (embed, places) in enumerate(zip(self.embed, self.places, strict=True)):
            # From (channel, a, b, c) to (rows, columns, channels of the fibre).
            side = jnp.moveaxis(seen, [1 + axis, 1 + (axis + 1) % 3, 1 + (axis + 2) % 3], [0, 1, 3])
            fibres = side.reshape(*side.shape[:2], -1)
            time = jnp.broadcast_to(observation.time, (*fibres.shape[:2], 1))
            fibres = jnp.concatenate([fibres, time], axis=-1)
            grids.append(jax.vmap(jax.vmap(embed))(fibres) + places)
        for layer in self.layers:
            for axis, attend in enumerate(layer):
                # Grid `axis` has this axis as its rows, the grid before it as its columns.
                before = (axis - 1) % 3
                rows, columns = grids[axis], jnp.swapaxes(grids[before], 0, 1)
                count = rows.shape[1]
                both = jnp.concatenate([rows, columns], axis=1)
                both = jax.vmap(attend)(both)
                grids[axis] = both[:, :count]
                grids[before] = jnp.swapaxes(both[:, count:], 0, 1)
        width = grids[0].shape[-1]
        tokens = jnp.concatenate([grid.reshape(-1, width) for grid in grids])
        return jax.vmap(self.norm)(tokens)


class Decoder(eqx.Module):
    """Spells moves, piece by piece: causal attention to the pieces before, attention to the tokens."""

    begin: Float[Array, "width"]
    written: tuple[Float[Array, "options width"], ...]
    layers: tuple[DecoderLayer, ...]
    norm: eqx.nn.RMSNorm
    heads: tuple[eqx.nn.Linear, ...]
    place: Float[Array, "pieces width"]
    coefficients: tuple[int, ...] = eqx.field(static=True)
    lengths: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, game: TensorGame, config: AgentConfig, key: Array):
        self.coefficients = game.coefficients
        self.lengths = tuple(length for size in game.sizes for length in _cut(size))
        options = [len(self.coefficients) ** length for length in self.lengths]
        keys = iter(jax.random.split(key, 3 + 2 * len(options) + config.layers))
        width = config.width
        self.begin = 0.1 * jax.random.normal(next(keys), (width,))
        self.place = 0.1 * jax.random.normal(next(keys), (len(options), width))
        self.written = tuple(0.3 * jax.random.normal(next(keys), (count, width)) for count in options[:-1])
        self.layers = tuple(DecoderLayer(config, next(keys)) for _ in range(config.layers))
        self.norm = eqx.nn.RMSNorm(width, use_bias=False)
        self.heads = tuple(eqx.nn.Linear(width, count, key=next(keys)) for count in options)

    @property
    def num_pieces(self) -> int:
        """Pieces of a move."""
        return len(self.lengths)

    def __call__(
        self, tokens: Float[Array, "tokens width"], samples: int, choose: Choose
    ) -> tuple[Int[Array, "samples pieces"], list[Float[Array, "samples options"]]]:
        """
        Args:
            tokens: of the torso.
            samples: how many moves are spelt side by side.
            choose: given the number of a piece and the logits of what it may be, says what it is.

        Returns:
            the pieces of each move, and the logits that they were chosen by.
        """
        seen = [layer.look(tokens) for layer in self.layers]
        pasts: list[list] = [[] for _ in self.layers]
        state = jnp.broadcast_to(self.begin, (samples, len(self.begin)))
        chosen, all_logits = [], []
        for piece, head in enumerate(self.heads):
            state = state + self.place[piece]
            for layer, memory, past in zip(self.layers, seen, pasts, strict=True):
                state = layer(state, memory, past)
            logits = jax.vmap(head)(jax.vmap(self.norm)(state))
            chosen.append(choose(piece, logits))
            all_logits.append(logits)
            if piece + 1 < self.num_pieces:
                state = self.begin + self.written[piece][chosen[-1]]
        return jnp.stack(chosen, axis=1), all_logits

    def moves(self, pieces: Int[Array, "samples pieces"]) -> Int[Array, "samples a+b+c"]:
        """The entries that pieces stand for."""
        columns = []
        for at, length in enumerate(self.lengths):
            table = np.array(list(product(self.coefficients, repeat=length)), np.int8)
            columns.append(jnp.asarray(table)[pieces[:, at]])
        return jnp.concatenate(columns, axis=1)

    def pieces(self, move: Int[Array, "a+b+c"]) -> list[Int[Array, ""]]:
        """The pieces that spell a move; the inverse of `moves`."""
        digits = jnp.searchsorted(jnp.array(self.coefficients), move.astype(jnp.int32))
        cuts = np.cumsum(self.lengths)[:-1].tolist()
        base = len(self.coefficients)
        return [
            jnp.dot(part, base ** np.arange(length - 1, -1, -1))
            for part, length in zip(jnp.split(digits, cuts), self.lengths, strict=True)
        ]


class DecoderLayer(eqx.Module):
    """Attention to the pieces before, attention to the tokens, and a perceptron; all residual."""

    norms: tuple[eqx.nn.RMSNorm, ...]
    own: eqx.nn.Linear
    own_mix: eqx.nn.Linear
    query: eqx.nn.Linear
    memory: eqx.nn.Linear
    memory_mix: eqx.nn.Linear
    widen: eqx.nn.Linear | TTLinear
    narrow: eqx.nn.Linear | TTLinear
    heads: int = eqx.field(static=True)

    def __init__(self, config: AgentConfig, key: Array):
        width = config.width
        keys = jax.random.split(key, 7)
        self.norms = tuple(eqx.nn.RMSNorm(width, use_bias=False) for _ in range(3))
        self.own = eqx.nn.Linear(width, 3 * width, use_bias=False, key=keys[0])
        self.own_mix = eqx.nn.Linear(width, width, use_bias=False, key=keys[1])
        self.query = eqx.nn.Linear(width, width, use_bias=False, key=keys[2])
        self.memory = eqx.nn.Linear(width, 2 * width, use_bias=False, key=keys[3])
        self.memory_mix = eqx.nn.Linear(width, width, use_bias=False, key=keys[4])
        self.widen, self.narrow = feed_forward(config, keys[5], keys[6])
        self.heads = config.heads

    def look(self, tokens):
        """Keys and values of the tokens, each `Float[Array, "tokens heads size"]`."""
        both = jax.vmap(self.memory)(tokens).reshape(len(tokens), 2, self.heads, -1)
        return both[:, 0], both[:, 1]

    def __call__(self, state, memory, past):
        """
        Args:
            state: one token for each sample; `Float[Array, "samples width"]`.
            memory: from `look`.
            past: keys and values of the pieces before; those of this one are appended.
        """
        samples, width = state.shape
        own = jax.vmap(self.own)(jax.vmap(self.norms[0])(state)).reshape(samples, 3, self.heads, -1)
        past.append((own[:, 1], own[:, 2]))
        keys, values = (jnp.stack(parts, axis=1) for parts in zip(*past, strict=True))
        weights = jax.nn.softmax(jnp.einsum("shd,sphd->shp", own[:, 0], keys) * keys.shape[-1] ** -0.5)
        gathered = jnp.einsum("shp,sphd->shd", weights, values).reshape(samples, width)
        state = state + jax.vmap(self.own_mix)(gathered)
        queries = jax.vmap(self.query)(jax.vmap(self.norms[1])(state)).reshape(samples, self.heads, -1)
        keys, values = memory
        weights = jax.nn.softmax(jnp.einsum("shd,thd->sht", queries, keys) * keys.shape[-1] ** -0.5)
        gathered = jnp.einsum("sht,thd->shd", weights, values).reshape(samples, width)
        state = state + jax.vmap(self.memory_mix)(gathered)
        hidden = jax.nn.relu(jax.vmap(self.widen)(jax.vmap(self.norms[2])(state)))
        return state + jax.vmap(self.narrow)(hidden)


def _rotated(sizes: Sequence[int], by: int) -> tuple[int, ...]:
    return tuple(sizes[(axis + by) % 3] for axis in range(3))


def _cut(size: int) -> list[int]:
    """The lengths of the pieces of a factor, as even as can be."""
    count = math.ceil(size / _PIECE)
    return [size // count + (at < size % count) for at in range(count)]


@register_network
def _(game: TensorGame, config: AgentConfig, key: Array) -> TensorAgent:
    return TensorAgent(game, config, key)
