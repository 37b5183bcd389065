"""Walks from one game to the next: a result that is not worse is taken, those who fall behind start over."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alphagrad.matmul import matmul_tensor, standard
from alphagrad.schemes.game import TensorGame
from alphagrad.zero.local_search import Incumbents, accept, no_incumbents, reopen
from alphagrad.zero.records import Records, empty, roll_out
from alphagrad.zero.replay import ReplayConfig, empty_replay
from alphagrad.zero.selfplay import begin_anew


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


_accept = eqx.filter_jit(accept)


def go(game, walks, returns, targets=None, replay=None, restarts=0.0) -> Incumbents:
    replay = replay or empty_replay(game, ReplayConfig(best=2))
    return _accept(game, walks, results(game, returns, targets), replay, jax.random.key(0), restarts)


def test_a_result_is_taken_unless_it_is_worse(game):
    walks = go(game, no_incumbents(game, 3), [-5, -5, -5])
    assert walks.returns.tolist() == [-5, -5, -5]
    marked = walks._replace(actions=walks.actions + 10)
    after = go(game, marked, [-6, -5, -4])
    assert after.returns.tolist() == [-5, -5, -4]
    assert after.actions[:, 0, 0].tolist() == [10, 1, 2]


def test_walks_keep_the_types_of_their_numbers(game):
    # Else what takes them as arguments would be compiled again after the first games.
    walks = no_incumbents(game, 3)
    assert jax.tree.map(jax.typeof, go(game, walks, [-5, -5, -5])) == jax.tree.map(jax.typeof, walks)


def test_exercises_and_other_targets_lead_nowhere(game):
    walks = go(game, no_incumbents(game, 3), [-5, -5, -5], [-1, 0, 1])
    assert walks.returns.tolist() == [-np.inf, -5, -5]
    after = go(game, walks, [-4, -3, -3], [-1, 1, -1])
    assert after.returns.tolist() == [-np.inf, -5, -5]
    after = go(game, walks, [-4, -3, -3], [1, 0, 1])
    assert after.returns.tolist() == [-4, -3, -3]
    assert after.start.target.tolist() == [1, 0, 1]


def best_games(game, first, second):
    """A buffer with games of these returns on the two targets, marked by their moves."""
    replay = empty_replay(game, ReplayConfig(best=2))
    returns = jnp.array([first, second], jnp.float32)
    actions = replay.best.actions + jnp.array([[50, 51], [60, 61]], jnp.int8)[:, :, None, None]
    target = replay.best.start.target + jnp.arange(2)[:, None]
    best = replay.best._replace(actions=actions, start=replay.best.start._replace(target=target))
    return replay._replace(best=best, returns=returns)


def test_walks_worse_than_all_of_the_best_games_start_over_from_them(game):
    targets = [0] * 40 + [1] * 3
    walks = go(game, no_incumbents(game, 43), [-5] * 10 + [-4] * 30 + [-9, -3, -2], targets)
    replay = best_games(game, [-3, -4], [-2, -np.inf])
    after = go(game, walks, [-20] * 43, targets, replay)
    assert set(after.returns[:10].tolist()) == {-3, -4} and set(after.actions[:10, 0, 0].tolist()) == {50, 51}
    # As good as one of them is good enough; and while there are fewer than the buffer holds, all are.
    assert after.returns[10:].tolist() == [-4] * 30 + [-9, -3, -2]
    np.testing.assert_array_equal(after.actions[10:], walks.actions[10:])


def test_now_and_then_a_walk_starts_over_from_a_best_game_on_its_target(game):
    targets = [0, 1] * 200 + [-1] * 2
    walks = go(game, no_incumbents(game, 402), [-3] * 402, targets)
    replay = best_games(game, [-4, -5], [-6, -np.inf])
    after = go(game, walks, [-20] * 402, targets, replay, restarts=0.25)
    over = np.asarray(after.returns) < -3
    assert 0.15 < over[:400].mean() < 0.35
    marks, where = np.asarray(after.actions[:, 0, 0]), np.arange(402) % 2
    assert set(marks[:400][over[:400] & (where[:400] == 0)].tolist()) == {50, 51}
    assert set(marks[:400][over[:400] & (where[:400] == 1)].tolist()) == {60}
    # Those that have none yet stay without.
    assert after.returns[400:].tolist() == [-np.inf] * 2


def test_walks_repeat_their_games_but_for_the_last_moves():
    game = TensorGame({"m": matmul_tensor(2, 1, 2)}, {"m": 4}, changed_bases=0.0)
    scheme = standard(2, 1, 2)
    moves = jnp.array(np.concatenate([scheme.u, scheme.v, scheme.w], axis=1), jnp.int8)
    anew = eqx.filter_jit(begin_anew)(game, jax.random.key(0), 8)
    play_again = eqx.filter_jit(lambda start, actions, lengths: roll_out(game, start, actions, lengths))
    records, last = play_again(anew.start, jnp.tile(moves, (8, 1, 1)), jnp.full(8, 4))
    assert not last.residual.any()
    # The first walk does not begin.
    records = records._replace(rewards=records.rewards.at[0].set(-jnp.inf))
    buffer = empty_replay(game, ReplayConfig())
    walks = _accept(game, no_incumbents(game, 8), records, buffer, jax.random.key(0), 0.0)
    assert walks.returns.tolist() == [-np.inf] + [-4] * 7
    open_again = eqx.filter_jit(lambda key: reopen(game, walks, anew, key, share=0.75, most=3))
    met = set()
    for seed in range(20):
        openings = open_again(jax.random.key(seed))
        (left,) = set((4 - openings.lengths[1:]).tolist())
        met.add(left)
        assert openings.lengths[0] == 0
        if left == 4:  # all begin anew
            assert not openings.forbidden.any()
            continue
        # What is forbidden is what was left out; with it the game comes to its end.
        steps = np.arange(4)
        np.testing.assert_array_equal(openings.forbidden[1:], np.tile(steps >= 4 - left, (7, 1)))
        assert not openings.forbidden[0].any()
        short, _ = play_again(openings.start, openings.actions, openings.lengths)
        whole, last = play_again(openings.start, openings.actions, jnp.full(8, 4))
        assert short.lengths.tolist() == [0] + [4 - left] * 7
        assert whole.returns[1:].tolist() == [-4] * 7 and not last.residual[1:].any()
    assert met == {2, 3, 4}


def test_shares_may_be_written_as_whole_numbers():
    game = TensorGame({"m": matmul_tensor(1, 1, 2)}, {"m": 2}, changed_bases=1)
    anew = eqx.filter_jit(begin_anew)(game, jax.random.key(0), 4)
    assert (anew.start.basis > 0).all()
    walks = no_incumbents(game, 4)
    assert not reopen(game, walks, anew, jax.random.key(0), share=1, most=2).forbidden.any()
    assert (go(game, walks, [-2, -2, -2, -2], restarts=1).returns == -2).all()
