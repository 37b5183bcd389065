"""The network of the tensor game, sampled menus in the search, and learning from its own play."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alphagrad.cli import main
from alphagrad.layers import AgentConfig
from alphagrad.matmul import Scheme, matmul_tensor
from alphagrad.schemes.game import TensorGame, spell
from alphagrad.zero import (
    AlphaZeroConfig,
    DemonstrationConfig,
    LearningConfig,
    ReplayConfig,
    SelfPlayConfig,
    alphazero,
    begin,
)
from alphagrad.zero.agent import Lesson, make_agent
from alphagrad.zero.tree import SearchConfig, _smoothed, predict, search

NAME = "matmul_1x2x1"


@pytest.fixture(scope="module")
def game():
    """Two products, of which none can be saved."""
    return TensorGame({NAME: matmul_tensor(1, 2, 1)}, {NAME: 3}, menu=12, changed_bases=0.0, history=1)


@pytest.fixture(scope="module")
def agent(game):
    return eqx.filter_jit(make_agent)(game, AgentConfig(width=8, heads=2), jax.random.key(0))


@pytest.fixture(scope="module")
def policy(game, agent):
    """The probability of every move at the first state, by teacher forcing."""
    state = game.init(jax.random.key(0))
    moves = np.array(list(itertools.product((-1, 0, 1), repeat=5)), np.int8)

    @jax.jit
    @jax.vmap
    def surprise(move):
        lesson = Lesson(jnp.ones(1), move[None], jnp.zeros(()))
        return agent.losses(game.observe(state), game.legal(state), lesson, jax.random.key(0)).policy

    return {move.tobytes(): p for move, p in zip(moves, np.exp(-surprise(moves)), strict=True)}


@eqx.filter_jit
def menus(game, agent, draws):
    """Menus drawn at the first state."""
    state, keys = game.init(jax.random.key(0)), jax.random.split(jax.random.key(1), draws)
    return jax.vmap(lambda key: agent(game.observe(state), game.legal(state), key))(keys)


def test_the_probabilities_of_all_moves_sum_to_one(policy):
    assert len(policy) == 3**5
    assert abs(sum(policy.values()) - 1) < 1e-4


def test_moves_are_drawn_as_often_as_the_policy_says(game, agent, policy):
    drawn = np.asarray(menus(game, agent, 2000).menu).reshape(-1, 5)
    expected, found = {}, {}
    for move in drawn:
        found[move.tobytes()] = found.get(move.tobytes(), 0) + 1
    for key, probability in policy.items():
        # On the menu a move stands as the game spells it.
        spelt = np.asarray(spell(np.frombuffer(key, np.int8), game.sizes, game.coefficients)).tobytes()
        expected[spelt] = expected.get(spelt, 0) + probability * len(drawn)
    assert found.keys() <= expected.keys() and len(expected) == 57
    # Pearson's statistic of 56 degrees of freedom is below 105 but for one time in ten thousand.
    assert sum((found.get(key, 0) - share) ** 2 / share for key, share in expected.items()) < 105


def test_what_is_drawn_twice_counts_twice_and_stands_once(game, agent):
    made = menus(game, agent, 50)
    for menu, logits in zip(np.asarray(made.menu), np.asarray(made.logits), strict=True):
        shares = np.exp(logits)
        assert abs(shares.sum() - len(menu)) < 1e-3
        for at, move in enumerate(menu):
            alike = (menu == move).all(axis=1)
            first = np.argmax(alike)
            assert abs(shares[at] - (alike.sum() if at == first else 0)) < 1e-3


def test_pieces_spell_every_move(game, agent):
    decoder = agent.decoder
    moves = np.array(list(itertools.product((-1, 0, 1), repeat=5)), np.int8)
    pieces = jax.vmap(decoder.pieces)(jnp.asarray(moves[::7]))
    np.testing.assert_array_equal(decoder.moves(pieces), moves[::7])


@pytest.mark.parametrize("method", ["visits", "gumbel"])
def test_the_search_takes_moves_from_its_menu(game, agent, method):
    states = jax.jit(jax.vmap(game.init))(jax.random.split(jax.random.key(0), 6))
    config = SearchConfig(simulations=6, considered=6, method=method)
    plan = eqx.filter_jit(search)(game, agent, states, jax.random.key(1), config, 1.0)
    np.testing.assert_allclose(plan.policy.sum(axis=1), 1.0, rtol=1e-5)
    alike = (plan.menu == plan.action[:, None]).all(axis=-1)
    assert ((plan.policy * alike).sum(axis=1) > 0).all()
    assert plan.menu.shape == (6, 12, 5)
    assert eqx.filter_eval_shape(predict, game, agent, states, jax.random.key(0)).value.shape == (6,)


def test_many_visits_are_smoothed_and_few_are_not():
    counts = jnp.array([[1.0, 3.0], [10.0, 90.0]])
    smoothed = np.asarray(_smoothed(counts, 10))
    np.testing.assert_allclose(smoothed[0], [0.25, 0.75], rtol=1e-6)
    # 100 visits are 10 squared: the temperature is 2.
    np.testing.assert_allclose(smoothed[1], np.sqrt([10, 90]) / np.sqrt([10, 90]).sum(), rtol=1e-6)


@pytest.mark.slow
def test_the_agent_learns_to_play_a_small_game(game):
    config = AlphaZeroConfig(
        AgentConfig(width=16, heads=2),
        SearchConfig(simulations=4, method="visits"),
        SelfPlayConfig(games=16, reopened=0.5, reopened_moves=2),
        ReplayConfig(latest=64, best=8, best_share=0.0),
        LearningConfig(updates=50, games=32, positions=2, rate=5e-3, value_weight=1.0),
        DemonstrationConfig(games=8, updates=400, share=0.8),
    )
    turns = list(itertools.islice(alphazero(game, config, begin(game, config, 0)), 12))
    introduction, played = turns[:8], turns[8:]
    assert introduction[-1].losses.policy < 0.5 * introduction[0].losses.policy
    assert played[-1].training.best_returns == -2
    best = jax.tree.map(lambda leaf: np.asarray(leaf[0]), played[-1].training.best_games)
    u, v, w = np.split(best.actions[: best.lengths].astype(int), (2, 4), axis=1)
    np.testing.assert_array_equal(np.einsum("ri,rj,rk->ijk", u, v, w), matmul_tensor(1, 2, 1))


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_training_finds_seven_products_on_a_cpu(seed, tmp_path):
    """As the command line does it, with its defaults; minutes on two cores."""
    assert main(["train", "task=matmul_2x2x2", f"seed={seed}", f"run_dir={tmp_path / 'run'}"]) == 0
    scheme = Scheme.load(tmp_path / "run" / "scheme.json")
    assert scheme.format == (2, 2, 2) and scheme.rank == 7 and scheme.ring == "Z"
    assert all(np.isin(factor, (-1, 0, 1)).all() for factor in (scheme.u, scheme.v, scheme.w))
