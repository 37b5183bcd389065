"""Tensor-train layers against the dense layers that they stand for, and attention against plain sums."""

import itertools
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphagrad.layers import (
    BlockTermAttention,
    DimensionAttention,
    TTEmbedding,
    TTLinear,
    balanced_modes,
    feasible_ranks,
    tt_svd,
)

shapes = st.lists(st.integers(1, 5), min_size=1, max_size=4)
seeds = st.integers(0, 2**31 - 1)
relaxed = settings(deadline=None, max_examples=30)


@pytest.fixture(autouse=True)
def full_precision():
    """Some devices round the factors of float32 products unless told not to, and products are compared."""
    with jax.default_matmul_precision("highest"):
        yield


def parameters(module):
    return sum(leaf.size for leaf in jax.tree.leaves(eqx.filter(module, eqx.is_array)))


def normal(seed, shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@eqx.filter_jit
def run(layer, *args, **kwargs):
    return layer(*args, **kwargs)


def unfolding_values(tensor, bond):
    """The singular values of a tensor as a matrix of its first `bond` axes by the others."""
    return np.linalg.svd(tensor.reshape(math.prod(tensor.shape[:bond]), -1), compute_uv=False)


# --- modes ---


@given(st.integers(1, 2000), st.integers(1, 4))
@settings(deadline=None)
def test_modes_multiply_to_the_size_and_the_largest_comes_first(size, count):
    modes = balanced_modes(size, count)
    assert math.prod(modes) == size and len(modes) == count
    assert list(modes) == sorted(modes, reverse=True)


@given(st.integers(1, 60), st.integers(1, 3))
@settings(deadline=None)
def test_no_factorisation_has_a_smaller_sum(size, count):
    all_factorisations = (
        f for f in itertools.product(range(1, size + 1), repeat=count) if math.prod(f) == size
    )
    assert sum(balanced_modes(size, count)) == min(map(sum, all_factorisations))


def test_powers_divide_evenly_and_primes_not_at_all():
    assert balanced_modes(512, 3) == (8, 8, 8)
    assert balanced_modes(96, 2) == (12, 8)
    assert balanced_modes(13, 3) == (13, 1, 1)
    with pytest.raises(ValueError, match="at least 1"):
        balanced_modes(0, 2)


# --- decomposition ---


@relaxed
@given(shapes, seeds)
def test_at_full_rank_a_train_is_the_tensor(shape, seed):
    tensor = np.random.default_rng(seed).normal(size=shape)
    train = tt_svd(tensor)
    np.testing.assert_allclose(train.to_tensor(), tensor, atol=1e-12)
    assert train.error_bound < 1e-12


@relaxed
@given(shapes, seeds, st.integers(1, 4))
def test_the_error_of_a_train_is_at_most_the_root_of_the_squares_cut_off(shape, seed, rank):
    tensor = np.random.default_rng(seed).normal(size=shape)
    train = tt_svd(tensor, max_rank=rank)
    error = np.linalg.norm(train.to_tensor() - tensor)
    assert error <= train.error_bound * (1 + 1e-9) + 1e-12
    # What is cut off is no more than what the best matrices of these ranks leave of the unfoldings.
    best = [np.linalg.norm(unfolding_values(tensor, bond)[rank:]) for bond in range(1, len(shape))]
    assert error <= math.hypot(*best) + 1e-12
    assert error >= max(best, default=0) - 1e-12


@relaxed
@given(shapes, seeds, st.floats(0, 0.9))
def test_a_tolerance_is_kept_and_no_rank_exceeds_that_of_the_unfoldings(shape, seed, tolerance):
    rng = np.random.default_rng(seed)
    tensor = rng.normal(size=shape) * np.exp(rng.normal(size=shape))
    train = tt_svd(tensor, tolerance=tolerance)
    error = np.linalg.norm(train.to_tensor() - tensor)
    assert error <= tolerance * np.linalg.norm(tensor) + 1e-12
    for bond, core in enumerate(train.cores[1:], start=1):
        assert core.shape[0] <= len(unfolding_values(tensor, bond))


def test_a_tensor_of_low_rank_is_found_to_be_one():
    rng = np.random.default_rng(0)
    u, v, w = rng.normal(size=(3, 2, 6))
    tensor = np.einsum("ri,rj,rk->ijk", u, v, w)
    train = tt_svd(tensor, tolerance=1e-10)
    assert [core.shape for core in train.cores] == [(1, 6, 2), (2, 6, 2), (2, 6, 1)]
    np.testing.assert_allclose(train.to_tensor(), tensor, atol=1e-9)


def test_ranks_are_reduced_to_what_the_modes_can_use():
    assert feasible_ranks((2, 5, 3, 2), 100) == (2, 6, 2)
    assert feasible_ranks((2, 5, 3, 2), (1, 4, 9)) == (1, 4, 2)
    assert feasible_ranks((7,), 3) == ()
    with pytest.raises(ValueError, match="2 ranks"):
        feasible_ranks((2, 2, 2), (1, 2, 3))
    with pytest.raises(ValueError, match="tolerance"):
        tt_svd(np.ones((2, 2)), tolerance=2.0)
    with pytest.raises(ValueError, match="shape"):
        tt_svd(np.ones(()))


# --- linear layers ---

LAYERS = [
    ((6,), (4,), 1),
    ((4, 3), (2, 5), 3),
    ((2, 3, 4), (4, 1, 3), (3, 4)),
    ((4, 4, 4, 2), (2, 2, 2, 2), 5),
]


@pytest.fixture(params=LAYERS, ids=str, scope="module")
def layer(request):
    return TTLinear(*request.param, key=jax.random.key(0))


def test_a_matrix_product_operator_has_the_entries_of_its_definition():
    layer = TTLinear((2, 3, 2), (3, 2, 2), (3, 2), key=jax.random.key(0))
    first, second, third = layer.cores
    matrix = np.einsum("aijb,bklc,cmnd->ikmjln", first, second, third).reshape(12, 12)
    np.testing.assert_allclose(matrix_of(layer), matrix, rtol=1e-5, atol=1e-6)


def matrix_of(layer):
    return np.asarray(eqx.filter_jit(lambda layer: layer.to_matrix())(layer))


def test_a_tensor_train_layer_is_the_dense_layer_of_its_matrix(layer):
    x = np.random.default_rng(0).normal(size=(7, math.prod(layer.in_modes))).astype(np.float32)
    expected = x @ matrix_of(layer).T + np.asarray(layer.bias)
    np.testing.assert_allclose(jax.jit(jax.vmap(layer))(x), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(layer, x[0]), expected[0], rtol=1e-4, atol=1e-5)


def test_gradients_are_those_of_the_dense_layer_by_the_chain_rule(layer):
    x = np.random.default_rng(0).normal(size=math.prod(layer.in_modes)).astype(np.float32)
    weight = np.cos(np.arange(len(layer.bias)))

    def loss(layer, x):
        return weight @ jnp.sin(layer(x))

    @jax.jit
    def by_chain_rule(layer, x):
        def to_matrix(cores):
            return eqx.tree_at(lambda made: made.cores, layer, cores).to_matrix()

        def dense_loss(matrix, bias, x):
            return weight @ jnp.sin(matrix @ x + bias)

        matrix, to_cores = jax.vjp(to_matrix, layer.cores)
        of_matrix, of_bias, of_input = jax.grad(dense_loss, argnums=(0, 1, 2))(matrix, layer.bias, x)
        return (*to_cores(of_matrix)[0], of_bias), of_input

    of_layer, of_x = jax.jit(jax.grad(loss, argnums=(0, 1)))(layer, x)
    expected, of_input = by_chain_rule(layer, x)
    for one, other in zip((*of_layer.cores, of_layer.bias, of_x), (*expected, of_input), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_parameters_are_those_of_the_cores_and_the_bias():
    layer = TTLinear((8, 8), (4, 16), 5, key=jax.random.key(0))
    assert parameters(layer) == 4 * 8 * 5 + 5 * 16 * 8 + 64
    assert layer.ranks == (5,)
    without = TTLinear((8, 8), (4, 16), 5, use_bias=False, key=jax.random.key(0))
    assert parameters(without) == parameters(layer) - 64


@pytest.mark.parametrize("modes, ranks", [((64,), 1), ((8, 8), 4), ((4, 4, 4), 8)])
def test_new_outputs_have_the_variance_of_a_dense_layers(modes, ranks):
    x = normal(0, (64,))
    keys = jax.random.split(jax.random.key(1), 150)
    trains = np.stack([TTLinear(modes, modes, ranks, key=key)(x) for key in keys])
    dense = eqx.nn.Linear(64, 4096, key=jax.random.key(2))(x)
    assert trains.var() == pytest.approx(float(dense.var()), rel=0.15)
    assert abs(trains.mean()) < 0.05


def test_the_matrix_is_never_formed_and_the_cheaper_direction_is_taken():
    layer = TTLinear((8, 8, 8), (8, 8, 8), 4, use_bias=False, key=jax.random.key(0))
    compiled = jax.jit(lambda x: layer(x)).lower(jnp.ones(512)).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 4 * 512 * 512 / 8
    widening = TTLinear((2, 2, 16), (2, 2, 16), 4, use_bias=False, key=jax.random.key(0))

    def flops(function, *args):
        return jax.jit(lambda *args: function(*args)).lower(*args).compile().cost_analysis()["flops"]

    def from_the_left(cores, x):
        state = x.reshape(1, 1, -1)  # rows so far, bond, columns left
        for core in cores:
            state = state.reshape(len(state), core.shape[0], core.shape[2], -1)
            state = jnp.einsum("mbnx,bpnc->mpcx", state, core).reshape(-1, core.shape[-1], state.shape[-1])
        return state.reshape(-1)

    def from_the_right(cores, x):
        return from_the_left(
            [core.transpose(3, 1, 2, 0) for core in cores[::-1]], x.reshape(2, 2, 16).transpose().reshape(-1)
        )

    x = normal(1, (64,))
    swept = from_the_right(widening.cores, x).reshape(16, 2, 2).transpose().reshape(-1)
    np.testing.assert_allclose(from_the_left(widening.cores, x), widening(x), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(swept, widening(x), rtol=1e-4, atol=1e-5)
    sweeps = [flops(sweep, widening.cores, x) for sweep in (from_the_left, from_the_right)]
    assert flops(widening, x) <= 1.05 * min(sweeps)


@relaxed
@given(seeds, st.integers(1, 6))
def test_compressing_a_matrix_makes_no_greater_error_than_the_values_cut_off(seed, rank):
    matrix = np.random.default_rng(seed).normal(size=(12, 8)).astype(np.float32)
    layer = TTLinear.from_matrix(matrix, (2, 2, 2), (3, 2, 2), max_rank=rank)
    assert max(layer.ranks) <= rank
    pairs = matrix.reshape(3, 2, 2, 2, 2, 2).transpose(0, 3, 1, 4, 2, 5).reshape(6, 4, 4)
    cut_off = [np.linalg.norm(unfolding_values(pairs, bond)[rank:]) for bond in (1, 2)]
    compressed = np.einsum("aijb,bklc,cmnd->ikmjln", *layer.cores).reshape(12, 8)
    assert np.linalg.norm(compressed - matrix) <= math.hypot(*cut_off) + 1e-4


def test_a_compressed_dense_layer_computes_what_it_computed():
    dense = eqx.nn.Linear(24, 30, key=jax.random.key(0))
    x = normal(1, (24,))
    exact = TTLinear.from_matrix(dense.weight, (6, 4), (5, 6), bias=dense.bias)
    np.testing.assert_allclose(run(exact, x), run(dense, x), rtol=1e-4, atol=1e-5)
    rough = TTLinear.from_matrix(dense.weight, (6, 4), (5, 6), tolerance=0.5, bias=dense.bias)
    assert parameters(rough) < parameters(exact)
    assert np.linalg.norm(matrix_of(rough) - dense.weight) <= 0.5 * np.linalg.norm(dense.weight)
    assert TTLinear.from_matrix(dense.weight, (6, 4), (5, 6)).bias is None


def test_modes_that_do_not_fit_are_refused():
    matrix = np.ones((6, 4), np.float32)
    with pytest.raises(ValueError, match=r"shape \(6, 8\), not \(6, 4\)"):
        TTLinear.from_matrix(matrix, (4, 2), (3, 2))
    with pytest.raises(ValueError, match="do not pair"):
        TTLinear((2, 2), (4,), 2, key=jax.random.key(0))
    with pytest.raises(ValueError, match="bias"):
        TTLinear.from_matrix(matrix, (2, 2), (3, 2), bias=jnp.ones(4))
    with pytest.raises(ValueError, match="vmap"):
        TTLinear((2, 2), (2, 2), 2, key=jax.random.key(0))(jnp.ones((3, 4)))


def test_a_tensor_train_layer_learns():
    target = normal(0, (12, 12)) / 3
    layer = TTLinear((4, 3), (4, 3), 12, key=jax.random.key(1))
    x = normal(2, (64, 12))

    @jax.jit
    def improve(layer):
        value, slope = jax.value_and_grad(lambda made: ((jax.vmap(made)(x) - x @ target.T) ** 2).mean())(
            layer
        )
        return jax.tree.map(lambda p, s: p - 0.3 * s, layer, slope), value

    _, before = improve(layer)
    for _ in range(300):
        layer, after = improve(layer)
    assert after < before / 100


# --- embeddings ---


def test_an_embedding_looks_up_the_rows_of_its_table():
    layer = TTEmbedding(50, (4, 5, 3), (2, 3, 2), (3, 4), key=jax.random.key(0))
    table = matrix_of(layer)
    assert table.shape == (50, 12)
    rows = jax.jit(jax.vmap(layer))(jnp.arange(50))
    np.testing.assert_allclose(rows, table, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run(layer, jnp.int32(-3)), table[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(run(layer, jnp.int32(50)), table[49], rtol=1e-5, atol=1e-6)


def test_a_row_is_the_product_of_the_slices_of_its_digits():
    layer = TTEmbedding(24, (2, 3, 4), (2, 2, 2), 3, key=jax.random.key(0))
    first, second, third = (np.asarray(core) for core in layer.cores)
    for index, (i, j, k) in enumerate(itertools.product(range(2), range(3), range(4))):
        row = np.einsum("apb,bqc,crd->pqr", first[:, i], second[:, j], third[:, k]).reshape(-1)
        np.testing.assert_allclose(run(layer, np.int32(index)), row, rtol=1e-5, atol=1e-6)


def test_gradients_of_an_embedding_are_those_of_its_table():
    layer = TTEmbedding(11, (4, 3), (2, 2), 3, key=jax.random.key(0))
    indices = jnp.array([0, 3, 3, 10])

    def through_lookup(cores):
        return jnp.sin(jax.vmap(eqx.tree_at(lambda made: made.cores, layer, cores))(indices)).sum()

    def through_table(cores):
        return jnp.sin(eqx.tree_at(lambda made: made.cores, layer, cores).to_matrix()[indices]).sum()

    got, expected = (jax.jit(jax.grad(f))(layer.cores) for f in (through_lookup, through_table))
    for one, other in zip(got, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("num", [24, 19])
def test_a_table_at_full_rank_is_kept_and_a_tolerance_too(num):
    table = normal(0, (num, 6))
    np.testing.assert_allclose(matrix_of(TTEmbedding.from_matrix(table, (6, 4), (2, 3))), table, atol=1e-5)
    rough = TTEmbedding.from_matrix(table, (6, 4), (2, 3), tolerance=0.4)
    assert np.linalg.norm(matrix_of(rough) - table) <= 0.4 * np.linalg.norm(table)


def test_entries_of_a_new_embedding_have_variance_one():
    keys = jax.random.split(jax.random.key(0), 150)
    tables = np.stack([TTEmbedding(60, (8, 8), (4, 4), 4, key=key).to_matrix() for key in keys])
    assert tables.var() == pytest.approx(1, rel=0.1)


def test_embeddings_refuse_tables_and_indices_that_do_not_fit():
    layer = TTEmbedding(6, (3, 2), (2, 2), 2, key=jax.random.key(0))
    with pytest.raises(ValueError, match="one integer"):
        layer(1.5)
    with pytest.raises(ValueError, match="one integer"):
        layer(jnp.arange(3))
    with pytest.raises(ValueError, match="not enough"):
        TTEmbedding(7, (3, 2), (2, 2), 2, key=jax.random.key(0))
    with pytest.raises(ValueError, match="width 5"):
        TTEmbedding.from_matrix(jnp.ones((6, 5)), (3, 2), (2, 2))


# --- attention ---

LENGTH, WIDTH = 5, 6


def tokens(seed, length=LENGTH):
    return normal(seed, (3, length, WIDTH))


def projected(layer, query, key_, value):
    pairs = ((layer.query_proj, query), (layer.key_proj, key_), (layer.value_proj, value))
    return [
        np.asarray(tokens, float) @ np.asarray(projection.weight, float).T for projection, tokens in pairs
    ]


def naive_block_terms(layer, query, key_, value, mask):
    """All blocks' tensors over triples of tokens, averaged, flattened and mapped."""
    logits = np.asarray(layer.core_logits, float)
    cores = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    blocks, rank = cores.shape
    length = len(query)
    groups = [
        part.reshape(length, -1, rank).repeat(blocks if layer.share_projections else 1, axis=1)
        for part in projected(layer, query, key_, value)
    ]
    mean = np.zeros((length, length, length))
    for block in range(blocks):
        q, k, v = (group[:, block] for group in groups)
        core = np.zeros((rank, rank, rank))
        core[np.arange(rank), np.arange(rank), np.arange(rank)] = cores[block]
        mean += np.einsum("abc,ia,jb,mc->ijm", core, q, k, v) / blocks
    mean = np.where(mask[:, :, None] & mask[:, None, :], mean, 0)
    output = np.asarray(layer.output, float)[:length, :length].reshape(length * length, -1)
    return mean.reshape(length, -1) @ output


def naive_dimensions(layer, query, key_, value, mask):
    """Token by token and head by head."""
    q, k, v = projected(layer, query, key_, value)
    size = WIDTH // layer.num_heads
    mixed = np.zeros((len(query), WIDTH))
    for token, head in itertools.product(range(len(query)), range(layer.num_heads)):
        part = slice(head * size, (head + 1) * size)
        scores = k[mask[token], part].T @ q[mask[token], part] / math.sqrt(mask[token].sum())
        weights = np.exp(scores) / np.exp(scores).sum(0)
        mixed[token, part] = v[token, part] @ weights
    return mixed @ np.asarray(layer.output_proj.weight, float).T


ATTENTIONS = [
    (lambda key: BlockTermAttention(WIDTH, LENGTH, 4, 3, key=key), naive_block_terms),
    (
        lambda key: BlockTermAttention(WIDTH, LENGTH, 4, 3, share_projections=False, key=key),
        naive_block_terms,
    ),
    (lambda key: DimensionAttention(2, WIDTH, key=key), naive_dimensions),
    (lambda key: DimensionAttention(1, WIDTH, key=key), naive_dimensions),
]


@pytest.fixture(
    params=ATTENTIONS, ids=["shared blocks", "own blocks", "two heads", "one head"], scope="module"
)
def attention(request):
    """A layer, and the function that computes it by plain sums."""
    make, naive = request.param
    return make(jax.random.key(0)), naive


@pytest.mark.parametrize("length", [LENGTH, 3])
def test_attention_is_what_the_plain_sums_yield(attention, length):
    layer, naive = attention
    query, key_, value = tokens(1, length)
    everything = np.ones((length, length), bool)
    expected = naive(layer, query, key_, value, everything)
    np.testing.assert_allclose(run(layer, query, key_, value), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(run(layer, query, key_, value, everything), expected, rtol=1e-4, atol=1e-5)
    some = np.tril(np.random.default_rng(0).random((length, length)) < 0.7) | np.eye(length, dtype=bool)
    expected = naive(layer, query, key_, value, some)
    np.testing.assert_allclose(run(layer, query, key_, value, some), expected, rtol=1e-4, atol=1e-5)
    for_all = np.arange(length) != 1
    expected = naive(layer, query, key_, value, np.tile(for_all, (length, 1)))
    np.testing.assert_allclose(run(layer, query, key_, value, for_all), expected, rtol=1e-4, atol=1e-5)


def test_attention_is_called_as_equinox_calls_its_own(attention):
    (layer, _), equinox = attention, eqx.nn.MultiheadAttention(2, WIDTH, key=jax.random.key(0))
    x = tokens(1)[0]
    mask = np.ones((LENGTH, LENGTH), bool)
    for module in (layer, equinox):
        out = run(module, x, x, x, mask=mask, key=jax.random.key(0), inference=True)
        assert out.shape == x.shape and out.dtype == x.dtype


def test_attention_behind_a_causal_mask_does_not_see_the_future(attention):
    layer, _ = attention
    x, other, _ = tokens(1)
    mask = np.tril(np.ones((LENGTH, LENGTH), bool))
    changed = np.concatenate([x[:3], other[3:]])
    before, after = run(layer, x, x, x, mask), run(layer, changed, changed, changed, mask)
    np.testing.assert_allclose(before[:3], after[:3], rtol=1e-5, atol=1e-6)
    assert not np.allclose(before[3:], after[3:])


def test_attention_is_batched_compiled_and_differentiated(attention):
    layer, _ = attention
    batch = np.stack([tokens(seed)[0] for seed in range(3)])
    together = eqx.filter_jit(jax.vmap(lambda x: layer(x, x, x)))(batch)
    for x, out in zip(batch, together, strict=True):
        np.testing.assert_allclose(run(layer, x, x, x), out, rtol=1e-4, atol=1e-5)
    x = batch[0]

    def loss(layer, x):
        return (layer(x, x, x) ** 2).sum()

    of_layer, of_x = jax.jit(jax.grad(loss, argnums=(0, 1)))(layer, x)
    assert all((leaf != 0).any() for leaf in jax.tree.leaves(of_layer))
    with jax.enable_x64(True):
        exact = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), layer)
        at, direction = np.asarray(x, np.float64), np.random.default_rng(0).normal(size=x.shape)
        lower, upper = (jax.jit(loss)(exact, at + step * direction) for step in (-1e-5, 1e-5))
    assert np.vdot(of_x, direction) == pytest.approx(float(upper - lower) / 2e-5, rel=1e-3)


def test_dimension_attention_does_not_care_for_the_order_of_tokens():
    layer = DimensionAttention(2, WIDTH, key=jax.random.key(0))
    x = tokens(1)[0]
    order = np.array([3, 1, 4, 0, 2])
    shuffled = x[order]
    np.testing.assert_allclose(
        run(layer, shuffled, shuffled, shuffled), run(layer, x, x, x)[order], rtol=1e-4, atol=1e-5
    )


def test_a_shorter_sequence_in_block_term_attention_is_one_followed_by_zeros():
    layer = BlockTermAttention(WIDTH, LENGTH, 4, key=jax.random.key(0))
    x = tokens(1)[0][:3]
    padded = np.pad(x, ((0, LENGTH - 3), (0, 0)))
    np.testing.assert_allclose(
        run(layer, x, x, x), run(layer, padded, padded, padded)[:3], rtol=1e-4, atol=1e-5
    )


def test_parameters_of_the_attentions_are_those_of_their_matrices():
    shared = BlockTermAttention(WIDTH, LENGTH, 4, 3, key=jax.random.key(0))
    assert parameters(shared) == 3 * WIDTH * 4 + 3 * 4 + LENGTH**2 * WIDTH
    own = BlockTermAttention(WIDTH, LENGTH, 4, 3, share_projections=False, key=jax.random.key(0))
    assert parameters(own) == 3 * WIDTH * 12 + 3 * 4 + LENGTH**2 * WIDTH
    assert parameters(DimensionAttention(2, WIDTH, key=jax.random.key(0))) == 4 * WIDTH**2


def test_attentions_refuse_shapes_that_do_not_fit():
    blocks = BlockTermAttention(WIDTH, LENGTH, 4, key=jax.random.key(0))
    x, longer = tokens(1)[0], tokens(1, LENGTH + 1)[0]
    with pytest.raises(ValueError, match="up to the length 5, not 6"):
        blocks(longer, longer, longer)
    with pytest.raises(ValueError, match="one shape"):
        blocks(x, longer, x)
    with pytest.raises(ValueError, match="mask"):
        blocks(x, x, x, jnp.ones((2, 2), bool))
    with pytest.raises(ValueError, match="multiple"):
        DimensionAttention(4, WIDTH, key=jax.random.key(0))
    with pytest.raises(ValueError, match="at least 1"):
        BlockTermAttention(WIDTH, LENGTH, 0, key=jax.random.key(0))
