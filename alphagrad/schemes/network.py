"""The network that plays the tensor game: axial attention over three grids, moves spelt piece by piece."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from itertools import product
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from ..layers import AgentConfig, TransformerLayer, TTLinear
from ..layers.transformer import ILLEGAL, feed_forward
from ..zero.agent import Lesson, Losses, Prediction, make_agent
from .game import TensorGame, TensorView, spell

_PIECE = 4  # entries of a factor that are chosen at once, at most
_QUANTILES = 8
_RISK = 0.75  # values are means of the quantiles from here on

ModuleT = TypeVar("ModuleT", bound=eqx.Module)


class TensorAgent(eqx.Module):
    """Three grids of tokens, a decoder that spells moves, and quantiles of the value.

    The tensor is seen from its three sides: a token for each pair of indices of two axes, made from the fibre
    along the third. Two grids share an axis, and tokens attend to those of the same index on it. The factors
    of a move are cut into pieces of a few entries; a decoder chooses one after the other, looking at the
    tokens and at the pieces chosen before. The value is the mean of the upper quantiles of the return.

    After AlphaTensor (Fawzi et al. 2022).

    Example:
        >>> from alphagrad.layers import AgentConfig
        >>> from alphagrad.schemes import TensorGame
        >>> from alphagrad.zero import make_agent
        >>> game = TensorGame({"1x1x2": matmul.matmul_tensor(1, 1, 2)}, menu=4)
        >>> agent = make_agent(game, AgentConfig(width=8), jax.random.key(0))  # a TensorAgent
    """

    embed: tuple[eqx.nn.Linear, ...]
    places: tuple[Float[Array, "rows columns width"], ...]
    layers: tuple[TransformerLayer, ...]
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
        keys = iter(jax.random.split(key, 11))
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
            _stack(partial(TransformerLayer, config, after + before), config.layers, next(keys))
            for before, after in zip(_rotated(self.sizes, 2), _rotated(self.sizes, 1), strict=True)
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
        menu = self.decoder.moves(self.decoder.draw(tokens, self.menu, self.temperature, key))
        menu = spell(menu, self.sizes, self.decoder.coefficients)
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
        logs = jax.nn.log_softmax(self.decoder.logits(tokens, wanted))
        policy = -jnp.sum(jnp.take_along_axis(logs, wanted[:, None], axis=1))
        entropy = -jnp.sum(jnp.exp(logs) * logs)
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

        def attend(grids, layer, _):
            grids = list(grids)
            for axis, attention in enumerate(layer):
                # Grid `axis` has this axis as its rows, the grid before it as its columns.
                before = (axis - 1) % 3
                rows, columns = grids[axis], jnp.swapaxes(grids[before], 0, 1)
                count = rows.shape[1]
                both = jax.vmap(attention)(jnp.concatenate([rows, columns], axis=1))
                grids[axis] = both[:, :count]
                grids[before] = jnp.swapaxes(both[:, count:], 0, 1)
            return tuple(grids), None

        grids, _ = _scan(attend, tuple(grids), self.layers)
        width = grids[0].shape[-1]
        tokens = jnp.concatenate([grid.reshape(-1, width) for grid in grids])
        return jax.vmap(self.norm)(tokens)


class Decoder(eqx.Module):
    """Spells moves, piece by piece: causal attention to the pieces before, attention to the tokens.

    Pieces are numbers; those of shorter pieces do not use up all that there are.
    """

    begin: Float[Array, "width"]
    place: Float[Array, "pieces width"]
    written: Float[Array, "pieces options width"]
    layers: DecoderLayer
    norm: eqx.nn.RMSNorm
    head: Float[Array, "pieces options width"]
    coefficients: tuple[int, ...] = eqx.field(static=True)
    lengths: tuple[int, ...] = eqx.field(static=True)

    def __init__(self, game: TensorGame, config: AgentConfig, key: Array):
        self.coefficients = game.coefficients
        self.lengths = tuple(length for size in game.sizes for length in _cut(size))
        options = len(self.coefficients) ** max(self.lengths)
        shape = (len(self.lengths), options, config.width)
        keys = jax.random.split(key, 5)
        self.begin = 0.1 * jax.random.normal(keys[0], shape[2:])
        self.place = 0.1 * jax.random.normal(keys[1], (shape[0], shape[2]))
        self.written = 0.3 * jax.random.normal(keys[2], shape)
        self.layers = _stack(partial(DecoderLayer, config), config.layers, keys[3])
        self.norm = eqx.nn.RMSNorm(config.width, use_bias=False)
        bound = config.width**-0.5
        self.head = jax.random.uniform(keys[4], shape, minval=-bound, maxval=bound)

    def logits(
        self, tokens: Float[Array, "tokens width"], pieces: Int[Array, "pieces"]
    ) -> Float[Array, "pieces options"]:
        """What each piece may be, given all before it.

        Args:
            tokens: of the torso.
            pieces: of a move.
        """
        chosen = self.written[jnp.arange(len(pieces) - 1), pieces[:-1]]
        states = self.begin + self.place + jnp.pad(chosen, [(1, 0), (0, 0)])
        states, _ = self._attend(states[None], self._look(tokens), self._nothing(1), 0)
        return self._choices(states[0], self.head, jnp.array(self.lengths))

    def draw(
        self, tokens: Float[Array, "tokens width"], samples: int, temperature: float, key: Array
    ) -> Int[Array, "samples pieces"]:
        """Moves drawn from the policy.

        Args:
            tokens: of the torso.
            samples: how many.
            temperature: that logits are divided by.
            key: for the draws.
        """
        memories = self._look(tokens)

        def spell(carry, piece):
            last, pasts = carry
            at, key, place, written, head, length = piece
            states, pasts = self._attend((self.begin + place + last)[:, None], memories, pasts, at)
            logits = self._choices(states[:, 0], head, length)
            chosen = jax.random.categorical(key, logits / temperature)
            return (written[chosen], pasts), chosen

        count = len(self.lengths)
        places = (self.place, self.written, self.head, jnp.array(self.lengths))
        begin = (jnp.zeros((samples, len(self.begin))), self._nothing(samples))
        _, pieces = jax.lax.scan(spell, begin, (jnp.arange(count), jax.random.split(key, count), *places))
        return pieces.T

    def moves(self, pieces: Int[Array, "samples pieces"]) -> Int[Array, "samples a+b+c"]:
        """The entries that pieces stand for."""
        columns = []
        for at, length in enumerate(self.lengths):
            table = np.array(list(product(self.coefficients, repeat=length)), np.int8)
            columns.append(jnp.asarray(table)[pieces[:, at]])
        return jnp.concatenate(columns, axis=1)

    def pieces(self, move: Int[Array, "a+b+c"]) -> Int[Array, "pieces"]:
        """The pieces that spell a move; the inverse of `moves`."""
        digits = jnp.searchsorted(jnp.array(self.coefficients), move.astype(jnp.int32))
        cuts = np.cumsum(self.lengths)[:-1].tolist()
        base = len(self.coefficients)
        parts = jnp.split(digits, cuts)
        return jnp.stack([jnp.dot(part, base ** np.arange(len(part) - 1, -1, -1)) for part in parts])

    def _look(self, tokens):
        """For each layer what it sees of the tokens."""
        return eqx.filter_vmap(lambda layer: layer.look(tokens))(self.layers)

    def _nothing(self, samples):
        """For each layer what is known of the pieces before the first."""
        layers, heads = len(self.layers.own.weight), self.layers.heads
        past = jnp.zeros((layers, samples, len(self.lengths), heads, len(self.begin) // heads))
        return past, past

    def _attend(self, states, memories, pasts, at):
        """Through all layers."""

        def attend(states, layer, seen):
            return layer(states, *seen, at)

        return _scan(attend, states, self.layers, (memories, pasts))

    def _choices(self, states, head, lengths):
        """Logits of all options for a piece; for several pieces, one after the other."""
        logits = jnp.einsum("...w,...ow->...o", jax.vmap(self.norm)(states), head)
        used = len(self.coefficients) ** lengths
        return jnp.where(jnp.arange(logits.shape[-1]) < used[..., None], logits, ILLEGAL)


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

    def __call__(self, states, memory, past, at):
        """
        Args:
            states: a token for each sample and each of its new pieces; `Float[Array, "samples new width"]`.
            memory: from `look`.
            past: keys and values of all pieces, each `Float[Array, "samples pieces heads size"]`; those from
                the first new one on are not looked at.
            at: the number of the first new piece.

        Returns:
            the states and the past, to which the new pieces now belong.
        """
        samples, new, _ = states.shape
        own = _each(self.own, _each(self.norms[0], states)).reshape(samples, new, 3, self.heads, -1)
        keys, values = past = tuple(
            jax.lax.dynamic_update_slice_in_dim(old, own[:, :, part], at, axis=1)
            for part, old in zip((1, 2), past, strict=True)
        )
        # A piece sees itself and those before it.
        seen = jnp.arange(keys.shape[1]) <= at + jnp.arange(new)[:, None]
        logits = jnp.einsum("snhd,sphd->shnp", own[:, :, 0], keys) * keys.shape[-1] ** -0.5
        weights = jax.nn.softmax(jnp.where(seen, logits, ILLEGAL))
        gathered = jnp.einsum("shnp,sphd->snhd", weights, values)
        states = states + _each(self.own_mix, gathered.reshape(states.shape))
        queries = _each(self.query, _each(self.norms[1], states)).reshape(samples, new, self.heads, -1)
        keys, values = memory
        weights = jax.nn.softmax(jnp.einsum("snhd,thd->shnt", queries, keys) * keys.shape[-1] ** -0.5)
        gathered = jnp.einsum("shnt,thd->snhd", weights, values)
        states = states + _each(self.memory_mix, gathered.reshape(states.shape))
        hidden = jax.nn.relu(_each(self.widen, _each(self.norms[2], states)))
        return states + _each(self.narrow, hidden), past


def _each(layer, states):
    """The layer applied to every token of every sample."""
    return jax.vmap(jax.vmap(layer))(states)


def _stack(make: Callable[[Array], ModuleT], count: int, key: Array) -> ModuleT:
    """Several modules of one kind, each of their arrays with a leading axis, for `_scan`."""
    return eqx.filter_vmap(make)(jax.random.split(key, count))


def _scan(apply, carry, layers, inputs=None):
    """`jax.lax.scan` over stacked layers: compiled once, however many there are.

    Args:
        apply: from (carry, layer, input) to (carry, output).
        carry: at the beginning.
        layers: from `_stack`, or several of them.
        inputs: with a leading axis, too.
    """
    arrays, rest = eqx.partition(layers, eqx.is_array)

    def body(carry, entry):
        arrays, own = entry
        return apply(carry, eqx.combine(arrays, rest), own)

    return jax.lax.scan(body, carry, (arrays, inputs))


def _rotated(sizes: Sequence[int], by: int) -> tuple[int, ...]:
    return tuple(sizes[(axis + by) % 3] for axis in range(3))


def _cut(size: int) -> list[int]:
    """The lengths of the pieces of a factor, as even as can be."""
    count = math.ceil(size / _PIECE)
    return [size // count + (at < size % count) for at in range(count)]


@make_agent.register
def _(game: TensorGame, config: AgentConfig, key: Array) -> TensorAgent:
    return TensorAgent(game, config, key)
