"""AlphaZero on a small graph: it begins with demonstrations, learns from its own games and repeats itself."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from alphagrad import tasks
from alphagrad.layers import AgentConfig
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
from alphagrad.zero.alphazero import _AGENT, _chance, _improve, _key
from alphagrad.zero.demonstrations import demonstrate
from alphagrad.zero.replay import add_latest
from alphagrad.zero.tree import SearchConfig

CONFIG = AlphaZeroConfig(
    AgentConfig(width=8, heads=2, layers=1),
    SearchConfig(simulations=8, considered=6),
    SelfPlayConfig(games=4),
    ReplayConfig(latest=16, best=4),
    LearningConfig(updates=2, games=4, positions=3, rate=0.01),
    DemonstrationConfig(games=6, updates=4),
)


@pytest.fixture(scope="module")
def game():
    task = tasks.load("Hole")
    return CompressedVertexGame(graphax.trace(task.fun, task.argnums)(*task.args).counted())


@pytest.fixture(scope="module")
def turns(game):
    """Two turns with demonstrations and ten of self-play."""
    return list(itertools.islice(alphazero(game, CONFIG, begin(game, CONFIG, 0)), 12))


def test_demonstrations_are_forward_reverse_and_markowitz(game):
    shown = eqx.filter_jit(demonstrate)(game, jax.random.key(0), 9)
    assert (jnp.sort(shown.actions, axis=1) == jnp.arange(6)).all()
    orders = [tuple(game.vertices[a] for a in moves) for moves in np.asarray(shown.actions)]
    assert orders[0] == graphax.orders.forward(game.graph)
    assert orders[1] == graphax.orders.reverse(game.graph)
    for order, reached in zip(orders, shown.returns, strict=True):
        assert game.graph.cost(order).mults == -reached
    # The greedy games: no move could have paid more at once.
    rewards = jax.jit(jax.vmap(lambda state, action: game.step(state, action)[1], (None, 0)))
    step = jax.jit(game.step)
    for actions in shown.actions[2::3]:
        state = game.init()
        for action in actions:
            paid = rewards(state, jnp.arange(6))
            state, reward = step(state, action)
            assert reward == jnp.max(jnp.where(paid == 0, -jnp.inf, paid))


def test_demonstrations_never_count_as_the_agents_own_games(turns):
    introduction, first = turns[1], turns[2]
    assert introduction.returns is None and introduction.training.replay.count == 6
    assert introduction.training.best_returns == -jnp.inf
    assert first.training.best_returns == first.returns.max()


def test_self_play_finds_an_optimal_order(game, turns):
    training = turns[-1].training
    best = min(game.graph.cost(order).mults for order in itertools.permutations(game.vertices))
    order = [game.vertices[action] for action in np.asarray(training.best_games.actions[0])]
    assert game.graph.cost(order).mults == -training.best_returns == best
    assert training.iteration == 10 and training.replay.count == 6 + 10 * 4


def test_the_same_seed_plays_the_same_games(game, turns):
    again = list(itertools.islice(alphazero(game, CONFIG, begin(game, CONFIG, 0)), 4))
    for turn, other in zip(turns[2:4], again[2:], strict=True):
        np.testing.assert_array_equal(turn.returns, other.returns)
        np.testing.assert_array_equal(
            turn.training.replay.latest.actions, other.training.replay.latest.actions
        )


@pytest.mark.parametrize("turn", [0, 1, 4])  # in the introduction, at its end, in play
def test_training_goes_on_from_where_it_stood(game, turns, turn):
    resumed = next(alphazero(game, CONFIG, turns[turn].training))
    for leaf, other in zip(
        jax.tree.leaves(eqx.filter(resumed.training, eqx.is_array)),
        jax.tree.leaves(eqx.filter(turns[turn + 1].training, eqx.is_array)),
        strict=True,
    ):
        np.testing.assert_array_equal(leaf, other)


def test_no_random_key_is_used_twice(turns):
    drawn = jax.vmap(lambda clock: _chance(turns[0].training._replace(clock=clock))[1])(jnp.arange(50))
    roots = jnp.concatenate([_key(0, _AGENT)[None], drawn])
    # A key that is split is as good as used up, and so are those that come of it.
    keys = jnp.concatenate([roots, jax.vmap(lambda root: jax.random.split(root, 50))(roots).reshape(-1)])
    assert len(np.unique(jax.random.key_data(keys), axis=0)) == 51 * 51


def test_learning_brings_the_agent_closer_to_the_games(game, turns):
    training = begin(game, CONFIG, 0)
    three = turns[0].training.replay.latest.take(jnp.arange(3))
    training = training._replace(
        replay=add_latest(training.replay, three), reward_scale=turns[0].training.reward_scale
    )
    measured = []
    for _ in range(200):
        training, losses = _improve(game, CONFIG, training)
        measured.append((losses.policy, losses.value))
    first, last = np.mean(measured[:10], axis=0), np.mean(measured[-10:], axis=0)
    assert (last < 0.7 * first).all()


def test_a_ring_too_small_for_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"replay\.latest=4 must hold the 8 games"):
        AlphaZeroConfig(
            selfplay=SelfPlayConfig(games=8),
            replay=ReplayConfig(latest=4),
            demonstrations=DemonstrationConfig(games=0),
        )
