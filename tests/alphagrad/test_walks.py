"""Walks from one game to the next: a result that is not worse is taken, the stragglers catch up."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alphagrad.games.tensor import TensorGame
from alphagrad.matmul import matmul_tensor, standard
from alphagrad.training.records import Records, empty, replay
from alphagrad.training.selfplay import begin_anew
from alphagrad.training.walks import Walks, follow, nowhere, reopen


@pytest.fixture(scope="module")
def game():
    """Two targets of the same sizes; some games are exercises."""
    tensor = np.ones((2, 1, 2), int)
    return TensorGame({"first": tensor, "second": 2 * tensor}, {"first": 4, "second": 4}, changed_bases=0.5)


def results(game, returns, targets=None) -> Records:
    """Games with these returns, each with moves of its own, on target 0 if nothing else is said; -1 is an
    exercise."""
    records = empty(game, len(returns))
    targets = jnp.array(targets or [0] * len(returns))
    start = records.start._replace(target=jnp.maximum(targets, 0), basis=jnp.where(targets < 0, 1, 0))
    rewards = records.rewards.at[:, 0].set(jnp.array(returns, jnp.float32))
    actions = records.actions + jnp.arange(len(returns), dtype=jnp.int8)[:, None, None]
    return records._replace(start=start, rewards=rewards, actions=actions)


_follow = eqx.filter_jit(follow)


def go(game, walks, returns, targets=None, patience=100) -> Walks:
    return _follow(game, walks, results(game, returns, targets), jax.random.key(0), patience)


def test_a_result_is_taken_unless_it_is_worse(game):
    walks = go(game, nowhere(game, 3), [-5, -5, -5])
    assert walks.returns.tolist() == [-5, -5, -5] and walks.steps.tolist() == [0, 0, 0]
    marked = walks._replace(actions=walks.actions + 10)
    after = go(game, marked, [-6, -5, -4])
    assert after.returns.tolist() == [-5, -5, -4] and after.steps.tolist() == [1, 1, 0]
    assert after.actions[:, 0, 0].tolist() == [10, 1, 2]


def test_exercises_and_other_targets_lead_nowhere(game):
    walks = go(game, nowhere(game, 3), [-5, -5, -5], [-1, 0, 1])
    assert walks.returns.tolist() == [-np.inf, -5, -5]
    after = go(game, walks, [-4, -3, -3], [-1, 1, -1])
    assert after.returns.tolist() == [-np.inf, -5, -5]
    after = go(game, walks, [-4, -3, -3], [1, 0, 1])
    assert after.returns[1:].tolist() == [-3, -3] and after.returns[0] in (-4, -3)
    assert after.start.target.tolist() == [1, 0, 1]


def test_stragglers_go_on_from_games_of_the_two_highest_returns(game):
    walks = go(game, nowhere(game, 64), [-4] + [-5] * 63)
    assert walks.returns.tolist().count(-4) > 1  # those that have just begun do so at once
    returns = jnp.array([-9.0] * 60 + [-6.0, -5.0, -4.0, -3.0])
    walks = walks._replace(returns=returns)
    worse = [-20.0] * 64
    for step in range(3):
        assert walks.returns.tolist() == returns.tolist() and set(walks.steps.tolist()) == {step}
        walks = go(game, walks, worse, patience=4)
    walks = go(game, walks, worse, patience=4)
    assert set(walks.returns[:63].tolist()) == {-4, -3} and walks.returns[63] == -3
    # The best stay where they are, however long.
    assert walks.steps.tolist() == [0] * 63 + [4]


def test_no_walk_goes_on_from_another_target(game):
    targets = [0, 0, 0, 1]
    walks = go(game, nowhere(game, 4), [-9, -9, -9, -2], targets)
    walks = go(game, walks, [-9, -9, -8, -2], targets, patience=1)
    assert walks.returns.tolist()[3] == -2 and set(walks.returns[:3].tolist()) <= {-9, -8}


def test_walks_repeat_their_games_but_for_the_last_moves():
    game = TensorGame({"m": matmul_tensor(2, 1, 2)}, {"m": 4}, changed_bases=0.0)
    scheme = standard(2, 1, 2)
    moves = jnp.array(np.concatenate([scheme.u, scheme.v, scheme.w], axis=1), jnp.int8)
    anew = begin_anew(game, jax.random.key(0), 8)
    play_again = eqx.filter_jit(lambda start, actions, lengths: replay(game, start, actions, lengths))
    records, last = play_again(anew.start, jnp.tile(moves, (8, 1, 1)), jnp.full(8, 4))
    assert not last.residual.any()
    # The first walk does not begin.
    records = records._replace(rewards=records.rewards.at[0].set(-jnp.inf))
    walks = follow(game, nowhere(game, 8), records, jax.random.key(0), 100)
    assert walks.returns.tolist() == [-np.inf] + [-4] * 7
    open_again = eqx.filter_jit(lambda key: reopen(game, walks, anew, key, share=0.75, most=3))
    met = set()
    for seed in range(20):
        openings = open_again(jax.random.key(seed))
        (left,) = set((4 - openings.lengths[1:]).tolist())
        met.add(left)
        assert openings.lengths[0] == 0
        if left == 4:  # all begin anew
            assert not openings.barred.any()
            continue
        # What is barred is what was left out; with it the game comes to its end.
        steps = np.arange(4)
        np.testing.assert_array_equal(openings.barred[1:], np.tile(steps >= 4 - left, (7, 1)))
        assert not openings.barred[0].any()
        short, _ = play_again(openings.start, openings.actions, openings.lengths)
        whole, last = play_again(openings.start, openings.actions, jnp.full(8, 4))
        assert short.lengths.tolist() == [0] + [4 - left] * 7
        assert whole.returns[1:].tolist() == [-4] * 7 and not last.residual[1:].any()
    assert met == {2, 3, 4}
