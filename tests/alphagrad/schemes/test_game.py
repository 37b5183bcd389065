"""The tensor game: its rules against NumPy and known schemes, and that neither game needs the other."""

import itertools
import subprocess
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alphagrad.matmul import change_basis, matmul_tensor, sandwiches, standard, strassen
from alphagrad.schemes.game import TensorGame, spell
from alphagrad.zero.records import roll_out
from alphagrad.zero.selfplay import begin_anew


def moves_of(scheme):
    return np.concatenate([scheme.u, scheme.v, scheme.w], axis=1).astype(np.int8)


STRASSEN, STANDARD = moves_of(strassen()), moves_of(standard(2, 2, 2))
NAME = "matmul_2x2x2"


def make(**settings):
    return TensorGame({NAME: matmul_tensor(2, 2, 2)}, {NAME: 8}, **{"changed_bases": 0.0, **settings})


@pytest.fixture(scope="module")
def game():
    return make(symmetries={NAME: sandwiches((2, 2, 2), 8)})


_begin_anew = eqx.filter_jit(begin_anew)


@pytest.fixture(scope="module")
def after(game):
    """The records and the last states of games with these moves, as many of them as `lengths` says."""

    @eqx.filter_jit
    def run(start, moves, lengths):
        return roll_out(game, start, moves, lengths)

    return run


def padded(moves, steps=8):
    return jnp.asarray(np.pad(moves, ((0, steps - len(moves)), (0, 0))))


def product(moves):
    """The sum of the products that moves stand for, by NumPy."""
    u, v, w = np.split(np.asarray(moves, int), (4, 8), axis=1)
    return np.einsum("ri,rj,rk->ijk", u, v, w)


def test_strassens_products_win_the_game_in_seven_moves(game, after):
    start = _begin_anew(game, jax.random.key(0), 1).start
    records, last = after(start, padded(STRASSEN)[None], jnp.array([8]))
    assert records.lengths == 7 and records.returns == -7
    assert game.is_over(jax.tree.map(lambda leaf: leaf[0], last)) and not last.residual.any()


def test_who_does_not_arrive_pays_the_rank_of_what_is_left(game, after):
    rng = np.random.default_rng(0)
    moves = rng.integers(-1, 2, (4, 8, 12)).astype(np.int8)
    start = _begin_anew(game, jax.random.key(0), 4).start
    records, last = after(start, jnp.asarray(moves), jnp.full(4, 8))
    for game_moves, residual, reached in zip(moves, last.residual, records.returns, strict=True):
        left = matmul_tensor(2, 2, 2) - product(game_moves)
        np.testing.assert_array_equal(residual, left)
        ranks = [np.linalg.matrix_rank(np.moveaxis(left, axis, 0).reshape(4, 16)) for axis in range(3)]
        assert reached == -8 - max(ranks)


@pytest.mark.parametrize("modulus", [None, 2])
def test_the_bound_is_the_greatest_rank_of_the_flattenings(modulus):
    game = TensorGame({"t": np.ones((3, 4, 2), int)}, modulus=modulus)
    rng = np.random.default_rng(1)
    bound = jax.jit(game.rank_bound)
    for rank in (0, 1, 2, 2, 3, 4, 4):
        factors = [rng.integers(-1, 2, (rank, size)) for size in (3, 4, 2)]
        tensor = np.einsum("ri,rj,rk->ijk", *factors)
        flat = [np.moveaxis(tensor, axis, 0).reshape(size, -1) for axis, size in enumerate((3, 4, 2))]
        if modulus:
            expected = max(rank_modulo_2(matrix) for matrix in flat)
        else:
            expected = max(np.linalg.matrix_rank(matrix) for matrix in flat)
        assert bound(jnp.asarray(tensor)) == expected


def rank_modulo_2(matrix):
    """By counting: the span of the rows has 2^rank elements."""
    rows = np.asarray(matrix) % 2
    sums = {tuple(np.asarray(c) @ rows % 2) for c in np.ndindex(*(2,) * len(rows))}
    return int(np.log2(len(sums)))


@pytest.mark.parametrize("modulus", [None, 2])
def test_demonstrations_end_with_nothing_left(modulus):
    game = make(modulus=modulus, demonstration_rank=5)
    numbers = jnp.arange(32)
    start, moves = jax.vmap(game.demonstrate)(jax.random.split(jax.random.key(0), 32), numbers)
    records, last = roll_out(game, start, moves, jnp.full(32, 8))
    assert not last.residual.any()
    np.testing.assert_array_equal(-records.returns, records.lengths)
    # Terms that repeat or cancel may shorten a demonstration.
    assert set(np.asarray(records.lengths).tolist()) <= {1, 2, 3, 4, 5} and records.lengths.max() == 5
    assert (jax.vmap(game.target)(start) == -1).all()
    first = np.asarray(moves[..., :4])
    leading = np.take_along_axis(first, (first != 0).argmax(-1)[..., None], -1)
    assert (leading == 1).all()


def test_a_change_of_basis_is_undone_by_its_inverse():
    game = make(changed_bases=1.0)
    start = game.init(jax.random.key(5))
    assert start.basis != 0 and game.target(start) == -1
    factors = np.split(STRASSEN.astype(int), (4, 8), axis=1)
    turned = []
    for factor, (matrix, inverse) in zip(factors, game.bases(start.basis), strict=True):
        np.testing.assert_array_equal(matrix @ inverse, np.eye(4))
        turned.append(factor @ np.asarray(matrix).T)
    np.testing.assert_array_equal(np.einsum("ri,rj,rk->ijk", *turned), start.residual)


def test_a_game_opened_again_ends_where_the_game_ended(game, after):
    start = jax.jit(game.init)(jax.random.key(0))
    reopen, seen = jax.jit(game.reopen), set()
    for seed in range(6):
        again, moves = reopen(jax.random.key(seed), start, padded(STRASSEN), jnp.array(7))
        np.testing.assert_array_equal(product(moves[:7]), matmul_tensor(2, 2, 2))
        records, last = after(jax.tree.map(lambda leaf: leaf[None], again), moves[None], jnp.array([4]))
        state = jax.tree.map(lambda leaf: leaf[0], last)
        assert records.lengths == 4 and again.limit == 7
        np.testing.assert_array_equal(product(moves[4:7]), state.residual)
        seen.add(np.asarray(moves).tobytes())
    assert len(seen) == 6


def test_games_are_alike_if_their_products_share_factors_alike(game):
    def marks(moves):
        return np.asarray(game.identify(padded(moves), jnp.array(len(moves)))).tolist()

    flipped = STRASSEN.copy()
    flipped[2, :8] *= -1
    turned = change_basis(strassen(), [[1, 1], [0, 1]], [[0, 1], [1, 0]], [[1, 0], [1, 1]])
    for other in (STRASSEN[::-1], flipped, moves_of(turned)):
        assert marks(other) == marks(STRASSEN)
    # Every factor of the standard algorithm belongs to two of its products.
    assert marks(STANDARD) == [2 * 81 + 2 * 9 + 2] * 8
    assert marks(STRASSEN) != marks(STANDARD) and marks(STRASSEN[:6]) != marks(STRASSEN)


def test_games_opened_again_end_with_products_that_share_factors():
    game = make()
    start, keys = game.init(jax.random.key(0)), jax.random.split(jax.random.key(1), 1000)
    # Two products with a common factor, and six that share none with each other.
    moves = np.concatenate([STANDARD[:2], STRASSEN[[0, 2, 3, 4, 5, 6]]])
    moves = np.asarray(spell(moves, game.sizes, game.coefficients))
    factors = moves.reshape(8, 3, 4)
    same = (factors[:, None] == factors).all(axis=3).any(axis=2)
    partners = same.sum(axis=1) > 1
    assert 0 < partners.sum() < 8
    _, again = jax.jit(jax.vmap(lambda key: game.reopen(key, start, padded(moves), jnp.array(8))))(keys)
    places = (np.asarray(again)[:, :, None] == moves).all(axis=3).argmax(axis=2)
    assert (np.sort(places, axis=1) == np.arange(8)).all()
    assert np.mean(partners[places[:, 7]]) > 0.95
    assert np.mean(same[places[:, 7], places[:, 6]]) > 0.9
    # All that begin an end are drawn alike.
    counts = np.bincount(places[:, 7], minlength=8)[partners]
    assert counts.min() > 0.7 * counts.mean()


def test_a_product_is_spelt_in_one_way():
    sizes, coefficients = (2, 1, 2), (-1, 0, 1)
    moves = np.array(list(itertools.product(coefficients, repeat=5)), np.int8)
    moves = moves[[all(part.any() for part in np.split(move, (2, 3))) for move in moves]]
    spelt = np.asarray(spell(moves, sizes, coefficients))
    assert spelt.dtype == np.int8
    u, v, w = np.split(moves.astype(int), (2, 3), axis=1)
    products = np.einsum("ri,rj,rk->rijk", u, v, w).reshape(len(moves), -1)
    u, v, w = np.split(spelt.astype(int), (2, 3), axis=1)
    np.testing.assert_array_equal(np.einsum("ri,rj,rk->rijk", u, v, w).reshape(len(moves), -1), products)
    # There are as many ways to spell as there are products.
    assert len(np.unique(spelt, axis=0)) == len(np.unique(products, axis=0)) == len(moves) / 4
    for others in ((0, 1), (-1, 0, 1, 2)):
        np.testing.assert_array_equal(spell(moves, sizes, others), moves)


def test_smaller_targets_are_padded_and_told_apart():
    tensors = {"a": matmul_tensor(1, 2, 1), "b": matmul_tensor(2, 1, 2)}
    game = TensorGame(tensors, changed_bases=0.0)
    starts = jax.jit(jax.vmap(game.init))(jax.random.split(jax.random.key(0), 16))
    assert game.sizes == (2, 2, 4) and set(np.asarray(starts.target).tolist()) == {0, 1}
    for number, tensor in enumerate(tensors.values()):
        residual = starts.residual[np.argmax(np.asarray(starts.target) == number)]
        assert residual.sum() == tensor.sum()
        np.testing.assert_array_equal(residual[tuple(map(slice, tensor.shape))], tensor)


def test_large_targets_make_a_game_in_no_time():
    names = {"matmul_6x6x6": (6, 6, 6)}
    tensors = {name: matmul_tensor(*format) for name, format in names.items()}
    symmetries = {name: sandwiches(format, 64) for name, format in names.items()}
    start = time.perf_counter()
    assert TensorGame(tensors, symmetries=symmetries).sizes == (36, 36, 36)
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"targets": {}}, ValueError, "at least one target"),
        ({"targets": {"t": np.ones((2, 2))}}, TypeError, "'t' must be an integer array of three axes"),
        ({"targets": {"t": np.zeros((2, 2, 2), int)}}, ValueError, "not only zeros"),
        ({"modulus": 3}, ValueError, "modulus=3 must be 2"),
        ({"coefficients": (0, 2)}, ValueError, "must ascend and have 0 and 1"),
        ({"menu": 0}, ValueError, "menu=0"),
        ({"changed_bases": 2.0}, ValueError, "changed_bases=2.0"),
        ({"symmetries": {NAME: [(2 * np.eye(4, dtype=int),) * 3]}}, ValueError, "do not turn it into itself"),
    ],
)
def test_what_makes_no_game_is_refused(settings, error, message):
    targets = settings.pop("targets", {NAME: matmul_tensor(2, 2, 2)})
    with pytest.raises(error, match=message):
        TensorGame(targets, **settings)


BLOCK = """
import sys
for name in {missing}:
    sys.modules[name] = None
import alphagrad.zero, alphagrad.layers
import {game}
assert not set({missing}) & {{name for name, module in sys.modules.items() if module}}
"""


@pytest.mark.parametrize("game", ["vertex", "tensor"])
def test_each_game_does_without_the_other(game):
    package = {"vertex": "alphagrad.orders", "tensor": "alphagrad.schemes"}[game]
    missing = ["alphagrad.matmul"] if game == "vertex" else ["graphax"]
    missing.append({"vertex": "alphagrad.schemes", "tensor": "alphagrad.orders"}[game])
    kind = {"vertex": "VertexGame", "tensor": "TensorGame"}[game]
    play = {
        "vertex": "import graphax; g = VertexGame(graphax.trace(lambda x: jax.numpy.sin(x * x))(1.0))",
        "tensor": "import numpy as np; g = TensorGame({'t': np.ones((2, 2, 2), int)})",
    }[game]
    code = BLOCK.format(missing=missing, game=f"{package}.network")
    code += f"""
from {package}.game import {kind}
from alphagrad.zero import AlphaZeroConfig, begin
import jax
{play}
jax.eval_shape(lambda: begin(g, AlphaZeroConfig(), 0).replay)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
