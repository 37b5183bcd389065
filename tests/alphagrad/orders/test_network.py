"""The network: what it may choose, what it sees, and what it makes no difference to."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from alphagrad import tasks
from alphagrad.layers import AgentConfig
from alphagrad.orders import network as vertex
from alphagrad.orders.game import CompressedVertexGame, VertexGame
from alphagrad.zero.agent import make_agent

CONFIG = AgentConfig(width=8, heads=2, layers=2)


def graph_of(name):
    task = tasks.load(name)
    return graphax.trace(task.fun, task.argnums)(*task.args)


@eqx.filter_jit
def run(agent, *args):
    return agent(*args)


@eqx.filter_jit
def new_agent(game):
    return make_agent(game, CONFIG, jax.random.key(0))


@pytest.fixture(scope="module")
def game():
    return CompressedVertexGame(graph_of("Perceptron").counted())


@pytest.fixture(scope="module")
def agent(game):
    """With all parameters off zero, as if it had learned something."""
    made = new_agent(game)
    leaves, tree = jax.tree.flatten(made)
    random = np.random.default_rng(1)
    shaken = [
        leaf + 0.3 * random.normal(size=leaf.shape).astype(leaf.dtype) if eqx.is_inexact_array(leaf) else leaf
        for leaf in leaves
    ]
    return jax.tree.unflatten(tree, shaken)


@pytest.fixture(scope="module")
def state(game):
    """A third of the way through a game."""
    return jax.lax.scan(game.step, game.init(), jnp.arange(0, game.num_actions, 3))[0]


def test_a_new_agent_has_no_opinion(game):
    made = new_agent(game)
    state = game.init()
    prediction = run(made, game.observe(state), game.legal(state))
    np.testing.assert_allclose(jax.nn.softmax(prediction.logits), 1 / game.num_actions, rtol=1e-5)
    assert prediction.value == 0


def test_illegal_actions_have_no_probability(game, agent, state):
    legal = game.legal(state)
    policy = jax.nn.softmax(run(agent, game.observe(state), legal).logits)
    assert (policy[~legal] == 0).all() and (policy[legal] > 0).all()


def test_the_dense_and_the_compressed_tensor_look_the_same(game, agent, state, monkeypatch):
    dense = VertexGame(game.graph).observe(state)
    np.testing.assert_array_equal(dense, game.observe(state).dense())
    compressed = run(agent, game.observe(state), game.legal(state))
    assert np.std(compressed.logits[game.legal(state)]) > 0.01
    monkeypatch.setattr(vertex, "_MANY_KINDS", 0)
    looked_up = eqx.filter_jit(lambda agent, *args: agent(*args))(
        agent, game.observe(state), game.legal(state)
    )
    for other in (run(agent, dense, game.legal(state)), looked_up):
        np.testing.assert_allclose(other.logits, compressed.logits, rtol=2e-3, atol=2e-3)
        np.testing.assert_allclose(other.value, compressed.value, rtol=2e-3, atol=2e-3)


def test_eliminated_vertices_do_not_influence_the_policy(game, agent, state):
    legal = game.legal(state)
    before = run(agent, game.observe(state), legal).logits
    columns = jnp.asarray(game.action_columns)
    for chosen, changes in ((columns[~legal], False), (columns[legal], True)):
        moved = eqx.tree_at(lambda a: a.position, agent, agent.position.at[chosen].add(1.0))
        after = run(moved, game.observe(state), legal).logits
        assert bool(jnp.max(jnp.abs(after - before)[legal]) > 1e-3) is changes


def test_a_game_without_a_network_is_refused_by_name():
    with pytest.raises(TypeError, match="no network for a int"):
        make_agent(3, CONFIG, jax.random.key(0))


def test_heads_must_share_the_width_evenly():
    with pytest.raises(ValueError, match=r"agent\.width=10 must be a multiple of agent\.heads=4"):
        AgentConfig(width=10, heads=4)
