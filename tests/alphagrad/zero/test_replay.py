"""The replay buffer keeps the latest games and the best ones, and plays games again faithfully."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import graphax
from alphagrad import tasks
from alphagrad.orders.game import VertexGame
from alphagrad.zero.records import positions, roll_out
from alphagrad.zero.replay import ReplayConfig, add_latest, draw, empty_replay, keep_best

_add_latest, _keep_best, _draw, _positions = map(eqx.filter_jit, (add_latest, keep_best, draw, positions))


@pytest.fixture(scope="module")
def game():
    task = tasks.load("Hole")
    return VertexGame(graphax.trace(task.fun, task.argnums)(*task.args).counted())


def played(game, *orders):
    """Records of games with these moves."""
    return _play(game, jnp.array(orders, jnp.int32))


@eqx.filter_jit
def _play(game, actions):
    start = jax.vmap(game.init)(jax.random.split(jax.random.key(0), len(actions)))
    return roll_out(game, start, actions, jnp.full(len(actions), game.max_steps))[0]


def random_orders(count, seed=0):
    rng = np.random.default_rng(seed)
    return [tuple(rng.permutation(6).tolist()) for _ in range(count)]


def orders_in(records):
    return [tuple(order) for order in np.asarray(records.actions).tolist()]


def test_the_ring_holds_the_latest_games(game):
    orders = random_orders(7)
    replay = empty_replay(game, ReplayConfig(latest=4, best=2))
    for at in range(0, 6, 3):
        replay = _add_latest(replay, played(game, *orders[at : at + 3]))
    replay = add_latest(replay, played(game, orders[6]))
    assert replay.count == 7
    assert set(orders_in(replay.latest)) == set(orders[3:])


def test_more_games_than_the_ring_holds_are_refused(game):
    replay = empty_replay(game, ReplayConfig(latest=2, best=2))
    with pytest.raises(ValueError, match=r"raise replay\.latest"):
        add_latest(replay, played(game, *random_orders(3)))


def test_the_best_games_are_kept_in_order_and_each_only_once(game):
    orders = list(dict.fromkeys(random_orders(12)))
    replay = empty_replay(game, ReplayConfig(latest=4, best=3))
    for _ in range(2):
        for at in range(0, len(orders), 4):
            replay = _keep_best(game, replay, played(game, *orders[at : at + 4], orders[at]))
    returns = np.sort(np.asarray(played(game, *orders).returns))[::-1]
    np.testing.assert_array_equal(replay.returns, returns[None, :3])
    best = jax.tree.map(lambda leaf: leaf[0], replay.best)
    np.testing.assert_array_equal(best.returns, returns[:3])
    assert len(set(orders_in(best))) == 3
    assert replay.count == 0


@pytest.mark.parametrize("renewed", [False, True])
def test_of_equally_good_games_the_first_or_the_latest_are_kept(game, renewed):
    orders = list(dict.fromkeys(random_orders(8)))[:4]
    replay = empty_replay(game, ReplayConfig(latest=4, best=2))
    equal = played(game, *orders)
    equal = equal._replace(rewards=jnp.ones_like(equal.rewards))
    for half in (equal.take(jnp.arange(2)), equal.take(jnp.arange(2, 4))):
        replay = _keep_best(game, replay, half, renewed)
    best = jax.tree.map(lambda leaf: leaf[0], replay.best)
    assert orders_in(best) == (orders[2:] if renewed else orders[:2])


def test_a_draw_mixes_best_and_latest_games_in_the_share_asked_for(game):
    good, recent = random_orders(2)
    replay = empty_replay(game, ReplayConfig(latest=4, best=2))
    replay = _keep_best(game, _add_latest(replay, played(game, recent)), played(game, good))
    drawn = orders_in(_draw(replay, jax.random.key(0), games=8, best_share=0.25))
    assert drawn == [good] * 2 + [recent] * 6


def test_without_best_games_everything_is_drawn_from_the_ring(game):
    orders = random_orders(2)
    replay = _add_latest(empty_replay(game, ReplayConfig(latest=4, best=2)), played(game, *orders))
    drawn = orders_in(_draw(replay, jax.random.key(0), games=16, best_share=0.5))
    assert set(drawn) == set(orders)


def test_positions_are_those_that_the_game_went_through(game):
    orders = random_orders(2, seed=1)
    steps = np.array([[0, 4], [5, 2]])
    sample = _positions(game, played(game, *orders), jnp.asarray(steps))
    take, at = jax.jit(game.step), 0
    for order, picked in zip(orders, steps, strict=True):
        for step in picked:
            state, paid = game.init(), []
            for number, action in enumerate(order):
                if number == step:
                    np.testing.assert_array_equal(sample.states.edges[at], state.edges)
                    assert sample.policies[at].argmax() == action
                state, reward = take(state, jnp.array(action))
                paid.append(float(reward))
            assert sample.values[at] == sum(paid[step:])
            at += 1
