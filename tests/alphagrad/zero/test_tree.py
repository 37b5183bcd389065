"""The search follows the true game and finds its optimum."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from alphagrad import tasks
from alphagrad.orders.game import CompressedVertexGame
from alphagrad.zero.agent import Prediction
from alphagrad.zero.selfplay import begin_anew, play
from alphagrad.zero.tree import Forbidden, SearchConfig, search


class Ignorant(eqx.Module):
    """Knows what is legal, and nothing else."""

    def __call__(self, observation, legal, key):
        return Prediction(jnp.where(legal, 0.0, -1e9), jnp.zeros(()))


@pytest.fixture(scope="module")
def game():
    """Six vertices: 25 of the 720 orders are optimal, neither forward nor reverse mode is."""
    task = tasks.load("Hole")
    return CompressedVertexGame(graphax.trace(task.fun, task.argnums)(*task.args).counted())


@eqx.filter_jit
def without(game, actions):
    """A state for each of the actions, after it has been taken."""
    states = jax.vmap(game.init)(jax.random.split(jax.random.key(0), len(actions)))
    return jax.vmap(game.step)(states, actions)[0]


def test_search_alone_finds_an_optimal_order(game):
    costs = [game.graph.cost(o).mults for o in itertools.permutations(game.vertices)]
    config = SearchConfig(simulations=128, considered=6, value_scale=1.0)
    records = eqx.filter_jit(play)(
        game, Ignorant(), jax.random.key(0), begin_anew(game, jax.random.key(1), 8), config, 18.0
    )
    assert -records.returns.max() == min(costs)
    assert -records.returns.mean() < np.quantile(costs, 0.1)


def test_what_self_play_reports_is_what_the_order_costs(game):
    openings = begin_anew(game, jax.random.key(0), 4)
    config = SearchConfig(simulations=2)
    records = eqx.filter_jit(play)(game, Ignorant(), jax.random.key(1), openings, config, 1.0)
    for actions, reached in zip(np.asarray(records.actions), np.asarray(records.returns), strict=True):
        order = [game.vertices[action] for action in actions]
        assert game.graph.cost(order).mults == -reached


def test_search_never_suggests_an_illegal_action(game):
    gone = jnp.array([0, 3, 5])
    states = without(game, gone)
    config = SearchConfig(simulations=4)
    plan = eqx.filter_jit(search)(game, Ignorant(), states, jax.random.key(2), config, 1.0)
    assert (plan.action != gone).all()
    np.testing.assert_allclose(plan.policy.sum(axis=1), 1.0, rtol=1e-5)
    np.testing.assert_array_equal(plan.policy[jnp.arange(3), gone], 0.0)


@pytest.mark.parametrize("method", ["gumbel", "visits"])
def test_forbidden_actions_are_taken_only_if_there_is_no_other(game, method):
    states = without(game, jnp.array([0, 3, 5]))
    actions = jnp.tile(jnp.arange(6), (3, 1))
    whether = jnp.array([[True] * 5 + [False], [False] * 6, [True] * 6])
    config = SearchConfig(simulations=4, method=method)
    taken = [
        eqx.filter_jit(search)(
            game, Ignorant(), states, jax.random.key(seed), config, 1.0, Forbidden(actions, whether)
        ).action.tolist()
        for seed in range(8)
    ]
    first, second, third = zip(*taken, strict=True)
    assert set(first) == {5}
    assert len(set(second)) > 1 and 3 not in second
    assert len(set(third)) > 1 and 5 not in third  # all are forbidden, so that none is


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        SearchConfig(simulations=0)
    with pytest.raises(ValueError, match="value_scale"):
        SearchConfig(value_scale=0.0)
    with pytest.raises(ValueError, match=r"search\.method=puct must be one of gumbel, visits"):
        SearchConfig(method="puct")
    with pytest.raises(ValueError, match=r"search\.noise"):
        SearchConfig(noise=2.0)
    with pytest.raises(ValueError, match=r"search\.smooth_from"):
        SearchConfig(smooth_from=1)
