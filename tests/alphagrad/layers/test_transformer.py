"""The kinds of layers that an agent can be given: what they compute, what they see, and that they learn."""

import functools
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from alphagrad import tasks
from alphagrad.layers import AgentConfig, BlockTermAttention, TTLinear
from alphagrad.layers.transformer import ILLEGAL, TransformerLayer, modes
from alphagrad.orders.game import CompressedVertexGame
from alphagrad.zero import (
    AlphaZeroConfig,
    DemonstrationConfig,
    LearningConfig,
    ReplayConfig,
    SelfPlayConfig,
    alphazero,
    begin,
)
from alphagrad.zero.agent import make_agent
from alphagrad.zero.checkpoint import Position, load_checkpoint, save_checkpoint

LENGTH, WIDTH, HEADS = 6, 8, 2
KINDS = {
    "softmax": AgentConfig(WIDTH, HEADS),
    "tensor train": AgentConfig(WIDTH, HEADS, feed_forward="tensor_train", rank=3),
    "block term": AgentConfig(WIDTH, HEADS, attention="block_term", rank=4),
    "dimension": AgentConfig(WIDTH, HEADS, attention="dimension"),
    "both": AgentConfig(WIDTH, HEADS, attention="block_term", feed_forward="tensor_train", rank=2),
}
PAIRLESS = [name for name, config in KINDS.items() if config.attention != "softmax"]


@pytest.fixture(autouse=True)
def full_precision():
    """Some devices round the factors of float32 products unless told not to, and products are compared."""
    with jax.default_matmul_precision("highest"):
        yield


@functools.cache
def made(name):
    return TransformerLayer(KINDS[name], LENGTH, jax.random.key(0))


@eqx.filter_jit
def run(layer, *args):
    return layer(*args)


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def some_edges(seed):
    """The bias of a sparse graph: zero for most pairs."""
    rng = np.random.default_rng(seed)
    return normal(seed, HEADS, LENGTH, LENGTH) * (rng.random((LENGTH, LENGTH)) < 0.4)


def parameters(module):
    return sum(leaf.size for leaf in jax.tree.leaves(module) if hasattr(leaf, "size"))


def normalised(norm, tokens):
    scale = np.sqrt((tokens**2).mean(axis=1, keepdims=True) + norm.eps)
    return tokens / scale * np.asarray(norm.weight)


def perceptron(layer, tokens):
    widen, narrow = (
        np.asarray(half.to_matrix() if isinstance(half, TTLinear) else half.weight)
        for half in (layer.widen, layer.narrow)
    )
    hidden = np.maximum(normalised(layer.perceptron_norm, tokens) @ widen.T + np.asarray(layer.widen.bias), 0)
    return tokens + hidden @ narrow.T + np.asarray(layer.narrow.bias)


def softmax_attention(layer, tokens, bias):
    """Head by head and query by query."""
    weight = np.asarray(layer.attention.queries_keys_values.weight)
    queries, keys, values = np.split(normalised(layer.attention_norm, tokens) @ weight.T, 3, axis=1)
    size = WIDTH // HEADS
    gathered = np.zeros_like(tokens)
    for head, query in itertools.product(range(HEADS), range(len(tokens))):
        part = slice(head * size, (head + 1) * size)
        logits = keys[:, part] @ queries[query, part] / np.sqrt(size) + bias[head, query]
        shares = np.exp(logits - logits.max())
        gathered[query, part] = shares / shares.sum() @ values[:, part]
    return tokens + gathered @ np.asarray(layer.attention.mix.weight).T


def pairless_attention(layer, tokens, bias):
    """Head by head and pair by pair, with the attention itself taken as it is."""
    seen = normalised(layer.attention_norm, tokens)
    size = WIDTH // HEADS
    gathered = np.zeros_like(tokens)
    for head, query, key in itertools.product(range(HEADS), range(len(tokens)), range(len(tokens))):
        part = slice(head * size, (head + 1) * size)
        weight = bias[head, query, key] / (1 + np.abs(bias[head, query]).sum())
        gathered[query, part] += weight * seen[key, part]
    attending = jnp.asarray(seen + gathered)
    return tokens + gathered + np.asarray(run(layer.attention.attention, attending, attending, attending))


@pytest.mark.parametrize("name", KINDS)
def test_a_layer_is_an_attention_and_a_perceptron_both_residual(name):
    layer, tokens, bias = made(name), normal(1, LENGTH, WIDTH), some_edges(2)
    attention = pairless_attention if name in PAIRLESS else softmax_attention
    for args in ((bias,), (np.zeros_like(bias),), ()):
        attended = attention(layer, tokens, args[0] if args else np.zeros_like(bias))
        expected = perceptron(layer, attended)
        np.testing.assert_allclose(run(layer, tokens, *args), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("unseen_by", ["all", "each"])
def test_what_may_not_be_seen_has_no_influence(name, unseen_by):
    layer, bias = made(name), some_edges(1)
    tokens, others = normal(2, LENGTH, WIDTH), normal(3, LENGTH, WIDTH)
    if unseen_by == "all":
        seen = np.array([True, True, False, True, False, True])
        kept = seen
    else:
        seen = np.tril(np.ones((LENGTH, LENGTH), bool))
        kept = np.arange(LENGTH) < 4
    changed = np.where(kept[:, None], tokens, others)
    before, after = run(layer, tokens, bias, seen), run(layer, changed, bias, seen)
    np.testing.assert_allclose(after[kept], before[kept], rtol=1e-5, atol=1e-6)
    assert not np.allclose(run(layer, changed, bias)[kept], run(layer, tokens, bias)[kept], atol=1e-4)
    # The same is said by a row for each query, and by a very low bias.
    rows = np.broadcast_to(seen, (LENGTH, LENGTH))
    np.testing.assert_allclose(run(layer, tokens, bias, rows), before, rtol=1e-4, atol=1e-5)
    low = np.where(rows, bias, np.float32(ILLEGAL))
    np.testing.assert_allclose(run(layer, tokens, low), before, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_tokens_and_their_edges_can_come_in_any_order(name):
    layer, tokens, bias = made(name), normal(1, LENGTH, WIDTH), some_edges(2)
    order = np.array([3, 1, 4, 0, 5, 2])
    shuffled = layer
    inner = getattr(layer.attention, "attention", None)
    if isinstance(inner, BlockTermAttention):
        # Block terms have parameters for every pair of places, which move with the tokens.
        output = inner.output[order][:, order]
        shuffled = eqx.tree_at(lambda made: made.attention.attention.output, layer, output)
    np.testing.assert_allclose(
        run(shuffled, tokens[order], bias[:, order][:, :, order]),
        run(layer, tokens, bias)[order],
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("name", KINDS)
def test_all_that_is_learned_and_the_bias_have_derivatives(name):
    layer, tokens, bias = made(name), normal(1, LENGTH, WIDTH), some_edges(2)

    @jax.jit
    def loss(layer, bias):
        return (layer(tokens, bias, jnp.ones(LENGTH, bool)) ** 2).sum()

    of_layer, of_bias = jax.jit(jax.grad(loss, argnums=(0, 1)))(layer, bias)
    assert all((leaf != 0).any() for leaf in jax.tree.leaves(of_layer))
    assert (of_bias[bias != 0] != 0).all()
    direction, step = normal(3, *bias.shape), np.float32(1e-2)
    direction *= bias != 0
    slope = (loss(layer, bias + step * direction) - loss(layer, bias - step * direction)) / (2 * step)
    assert np.vdot(of_bias, direction) == pytest.approx(float(slope), rel=0.05, abs=0.05)


def test_shorter_sequences_are_taken_too():
    for name in KINDS:
        assert run(made(name), normal(1, 4, WIDTH)).shape == (4, WIDTH)


@pytest.mark.parametrize("width", [7, 8, 96, 512])
def test_trains_have_far_fewer_parameters_than_the_matrices_that_they_stand_for(width):
    factors = modes(width)
    assert np.prod(factors) == width and len(factors) == (3 if width >= 512 else 2)
    train, dense = (
        eqx.filter_eval_shape(
            TransformerLayer, AgentConfig(width, 1, feed_forward=kind, rank=2), LENGTH, jax.random.key(0)
        )
        for kind in ("tensor_train", "dense")
    )
    assert max(train.widen.ranks) <= 2
    saved = parameters((dense.widen, dense.narrow)) - parameters((train.widen, train.narrow))
    assert saved == parameters(dense) - parameters(train)
    assert saved > 0.9 * 4 * width**2 or width < 96


def test_kinds_that_there_are_not_and_ranks_below_one_are_refused():
    with pytest.raises(ValueError, match=r"agent\.attention=linear must be 'softmax', 'block_term' or"):
        AgentConfig(attention="linear")
    with pytest.raises(ValueError, match=r"agent\.feed_forward=sparse must be 'dense' or 'tensor_train'"):
        AgentConfig(feed_forward="sparse")
    with pytest.raises(ValueError, match=r"agent\.rank must be at least 1"):
        AgentConfig(rank=0)


# --- the agent of the vertex game ---


def settings(name):
    return AlphaZeroConfig(
        KINDS[name],
        selfplay=SelfPlayConfig(games=2),
        replay=ReplayConfig(latest=8, best=2),
        learning=LearningConfig(updates=10, games=3, positions=3, rate=0.01),
        demonstrations=DemonstrationConfig(games=3, updates=300),
    )


def game_of(name):
    task = tasks.load(name)
    return CompressedVertexGame(graphax.trace(task.fun, task.argnums)(*task.args).counted())


@pytest.mark.parametrize(
    "name", [name if name == "both" else pytest.param(name, marks=pytest.mark.slow) for name in KINDS]
)
def test_an_agent_learns_and_is_read_back_from_its_checkpoint(name, tmp_path):
    game, config = game_of("Hole"), settings(name)
    turns = list(itertools.islice(alphazero(game, config, begin(game, config, 0)), 30))
    training, first, last = turns[-1].training, turns[0].losses, turns[-1].losses
    assert last.policy < 0.9 * first.policy and last.value < 0.5 * first.value

    save_checkpoint(tmp_path / "kept", training, Position(), "fingerprint")
    alike, other = (
        eqx.filter_eval_shape(begin, game, settings(kind), 0)
        for kind in (name, "softmax" if name != "softmax" else "both")
    )
    again, _ = load_checkpoint(tmp_path / "kept", alike, "fingerprint")
    for one, leaf in zip(jax.tree.leaves(training), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(one, leaf)
    with pytest.raises(ValueError, match="of other settings"):
        load_checkpoint(tmp_path / "kept", other, "fingerprint")


@pytest.mark.parametrize("name", ["block term", "dimension"])
def test_an_agent_without_pairs_sees_the_edges_and_no_eliminated_vertex(name):
    game = game_of("Perceptron")
    made = eqx.filter_jit(make_agent)(game, KINDS[name], jax.random.key(0))
    leaves, tree = jax.tree.flatten(eqx.filter(made, eqx.is_array))
    shaken = [leaf + 0.3 * normal(1 + at, *leaf.shape) for at, leaf in enumerate(leaves)]
    agent = eqx.combine(jax.tree.unflatten(tree, shaken), made)
    state, _ = jax.lax.scan(game.step, game.init(), jnp.arange(0, game.num_actions, 3))
    legal, columns = game.legal(state), np.asarray(game.action_columns)
    before = run(agent, game.observe(state), legal)
    assert (jax.nn.softmax(before.logits)[~legal] == 0).all()
    for chosen, changes in ((columns[~legal], False), (columns[legal], True)):
        moved = eqx.tree_at(lambda a: a.position, agent, agent.position.at[chosen].add(1.0))
        after = run(moved, game.observe(state), legal)
        assert bool(jnp.max(jnp.abs(after.logits - before.logits)[legal]) > 1e-3) is changes
    blind = eqx.tree_at(lambda a: a.edge_bias, agent, jnp.zeros_like(agent.edge_bias))
    after = run(blind, game.observe(state), legal)
    assert jnp.max(jnp.abs(after.logits - before.logits)[legal]) > 1e-2
