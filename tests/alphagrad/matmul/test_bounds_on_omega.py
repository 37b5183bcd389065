"""Bounds on the exponent of matrix multiplication, against the published ones and against brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphagrad import matmul
from alphagrad.matmul import _bounds

CW = matmul.coppersmith_winograd
TAUS = [0.67, 0.75, 0.79, 0.9, 1.0]


def trace_tensor(n, m, p):
    """The tensor of trace(A B C), entry by entry."""
    tensor = np.zeros((n * m, m * p, p * n), int)
    for a, b, c in itertools.product(range(n), range(m), range(p)):
        tensor[a * m + b, b * p + c, c * n + a] = 1
    return tensor


def shuffled(tensor, seed):
    rng = np.random.default_rng(seed)
    return tensor[np.ix_(*(rng.permutation(size) for size in tensor.shape))]


# --- exponents ---


def test_the_exponents_of_known_schemes_are_the_published_ones():
    assert matmul.exponent(7, 2, 2, 2) == pytest.approx(math.log2(7))
    assert matmul.exponent(23, 3, 3, 3) == pytest.approx(2.854, abs=5e-4)  # Laderman 1976
    assert matmul.exponent(8, 2, 2, 2) == pytest.approx(3)


@settings(deadline=None)
@given(st.tuples(*[st.integers(1, 6)] * 3), st.integers(36, 80))
def test_one_product_alone_has_the_same_exponent_as_a_sum_of_one(format, rank):
    if math.prod(format) > 1:
        expected = matmul.exponent(rank, *format)
        assert matmul.direct_sum_exponent([format], rank) == pytest.approx(expected)


@settings(deadline=None)
@given(st.integers(2, 5))
def test_copies_of_a_product_at_a_price_each_are_worth_one_of_them(copies):
    bound = matmul.direct_sum_exponent([(2, 2, 2)] * copies, 7 * copies)
    assert bound == pytest.approx(math.log2(7))


def test_schoenhages_sum_shows_that_omega_is_less_than_2_55():
    bound = matmul.direct_sum_exponent([(4, 1, 4), (1, 9, 1)], 17)
    assert 16 ** (bound / 3) + 9 ** (bound / 3) == pytest.approx(17)
    assert 2.5479 < bound < 2.548


@pytest.mark.parametrize("formats, rank", [([], 3), ([(1, 1, 1)], 3), ([(2, 2, 2), (2, 1, 1)], 2)])
def test_a_sum_that_bounds_nothing_is_refused(formats, rank):
    with pytest.raises(ValueError, match="bounds nothing"):
        matmul.direct_sum_exponent(formats, rank)


def test_a_scheme_for_numbers_is_refused():
    with pytest.raises(ValueError, match="says nothing"):
        matmul.exponent(1, 1, 1, 1)


# --- tensors ---


@pytest.mark.parametrize("q", [1, 2, 3, 5])
def test_the_coppersmith_winograd_tensors_are_sums_of_their_terms(q):
    rng = np.random.default_rng(q)
    x, y, z = rng.integers(-9, 9, (3, q + 2))
    small = sum(x[0] * y[i] * z[i] + x[i] * y[0] * z[i] + x[i] * y[i] * z[0] for i in range(1, q + 1))
    extra = x[0] * y[0] * z[-1] + x[0] * y[-1] * z[0] + x[-1] * y[0] * z[0]
    assert np.einsum("xyz,x,y,z->", CW(q).tensor, x, y, z) == small + extra
    small_tensor = matmul.small_coppersmith_winograd(q).tensor
    assert np.einsum("xyz,x,y,z->", small_tensor, x[:-1], y[:-1], z[:-1]) == small


@pytest.mark.parametrize("q", [1, 2, 3, 6, 8])
def test_the_coppersmith_winograd_tensors_have_border_rank_at_most_q_plus_2(q):
    for small, tensor in ((False, CW(q)), (True, matmul.small_coppersmith_winograd(q))):
        scheme = matmul.border_coppersmith_winograd(q, small)
        assert scheme.rank == q + 2
        scheme.verify(tensor.tensor)


@pytest.mark.parametrize("k, n", [(2, 2), (2, 4), (3, 3), (4, 4)])
def test_schoenhages_sum_has_border_rank_at_most_k_n_plus_1(k, n):
    scheme = matmul.border_schoenhage(k, n)
    assert scheme.rank == k * n + 1
    tensor = matmul.schoenhage_sum(k, n)
    scheme.verify(tensor)
    assert matmul.matmul_format(tensor[:k, :n, :-1]) == (k, 1, n)
    assert matmul.matmul_format(tensor[k:, n:, -1:]) == (1, (k - 1) * (n - 1), 1)
    assert tensor[:k, :n, :-1].sum() + tensor[k:, n:, -1:].sum() == tensor.sum()


def test_an_approximation_approaches_its_tensor_as_the_parameter_vanishes():
    scheme = matmul.border_coppersmith_winograd(3)

    def error(e):
        u, v, w = (f @ e ** np.arange(f.shape[2]) for f in (scheme.u, scheme.v, scheme.w))
        return np.abs(np.einsum("rx,ry,rz->xyz", u, v, w) / e**scheme.order - CW(3).tensor).max()

    assert error(1e-2) < 0.1 and error(1e-3) < error(1e-2) / 5


def test_a_wrong_approximation_is_refused_with_the_entry_at_fault():
    scheme = matmul.border_coppersmith_winograd(2)
    wrong = CW(2).tensor.copy()
    wrong[1, 0, 1] = 5
    with pytest.raises(ValueError, match=r"\(1, 0, 1\).* 1, .* 5"):
        scheme.verify(wrong)
    spoilt = matmul.BorderScheme(scheme.u, scheme.v, np.roll(scheme.w, 1, axis=0), scheme.order)
    with pytest.raises(ValueError, match="do not cancel"):
        spoilt.tensor()


@settings(deadline=None, max_examples=30)
@given(st.tuples(*[st.integers(1, 4)] * 3), st.integers(0, 99))
def test_a_matrix_multiplication_is_known_whatever_its_variables_are_called(format, seed):
    tensor = shuffled(trace_tensor(*format), seed)
    assert matmul.matmul_format(tensor) == format
    assert matmul.matmul_format(np.pad(tensor, ((0, 2), (1, 0), (0, 1)))) == format


@settings(deadline=None, max_examples=30)
@given(st.tuples(*[st.integers(2, 3)] * 3), st.integers(0, 99))
def test_what_is_no_matrix_multiplication_is_not_taken_for_one(format, seed):
    tensor = shuffled(trace_tensor(*format), seed)
    rng = np.random.default_rng(seed)
    tensor[tuple(rng.integers(tensor.shape))] ^= 1
    assert matmul.matmul_format(tensor) is None
    assert matmul.matmul_format(2 * trace_tensor(*format)) is None
    assert matmul.matmul_format(CW(2).tensor) is None


# --- blocks ---


@pytest.mark.parametrize("tensor", [CW(2), CW(3), matmul.small_coppersmith_winograd(3)])
@pytest.mark.parametrize("power, coarse", [(1, False), (2, False), (2, True), (3, True)])
def test_the_blocks_of_a_power_hold_every_entry_once_and_their_labels_sum_to_the_same(tensor, power, coarse):
    whole = tensor.power(power)
    assert whole.tensor.shape == tuple(size**power for size in tensor.tensor.shape)
    blocks = whole.blocks(coarse)
    assert sum(block.tensor.sum() for block in blocks.values()) == whole.tensor.sum()
    assert {sum(map(sum, labels)) for labels in blocks} == {2 * power}


def test_the_kronecker_product_multiplies_the_forms_that_the_tensors_stand_for():
    rng = np.random.default_rng(0)
    first, second = CW(2), matmul.small_coppersmith_winograd(3)
    left, right = (rng.integers(-5, 5, (3, len(t.tensor))) for t in (first, second))
    product = first.kronecker(second).tensor
    both = np.einsum("xyz,x,y,z->", product, *(np.kron(a, b) for a, b in zip(left, right, strict=True)))
    apart = [np.einsum("xyz,x,y,z->", t.tensor, *factors) for t, factors in ((first, left), (second, right))]
    assert both == math.prod(apart)


@pytest.mark.parametrize("q", [1, 2, 3, 4])
def test_the_blocks_of_the_square_are_those_of_coppersmith_and_winograd(q):
    expected = {(0, 0, 4): 1, (0, 1, 3): 2 * q, (0, 2, 2): q * q + 2, (1, 1, 2): None}
    blocks = CW(q).power(2).blocks(coarse=True)
    assert len(blocks) == 15
    for labels, block in blocks.items():
        flat = tuple(label for (label,) in labels)
        format = matmul.matmul_format(block.tensor)
        assert (format and math.prod(format)) == expected[tuple(sorted(flat))]


def test_blocks_that_cannot_be_taken_apart_are_refused():
    tensor = CW(2).tensor
    alike = np.zeros((4, 1), int)
    with pytest.raises(ValueError, match="finer labels"):
        matmul.partition(matmul.BlockTensor(tensor, (alike, alike, alike)))
    each = np.arange(4)[:, None]
    with pytest.raises(ValueError, match="sum to the same"):
        matmul.partition(matmul.BlockTensor(tensor, (each, each, each)))
    with pytest.raises(ValueError, match="one row"):
        matmul.BlockTensor(tensor, (each, each, each[:2]))


# --- values ---


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize("q", [2, 6])
def test_the_value_of_the_middle_block_of_the_square_is_the_published_one(q, tau):
    block = CW(q).power(2).blocks(coarse=True)[(1,), (1,), (2,)]
    published = (4 * q ** (3 * tau) * (q ** (3 * tau) + 2)) ** (1 / 3)
    assert math.exp(matmul.log_value(matmul.partition(block), tau)) == pytest.approx(published, rel=1e-9)


@pytest.mark.parametrize("tau", TAUS)
def test_the_chosen_distribution_of_cw_is_the_best_on_a_fine_grid(tau):
    q = 6
    inner = np.linspace(1e-9, 1 / 3 - 1e-9, 200_001)  # of each of the blocks with two labels 1
    outer = 1 / 3 - inner
    marginals = np.stack([inner + 2 * outer, 2 * inner, outer])
    best = (-(marginals * np.log(marginals)).sum(0) + 3 * inner * tau * math.log(q)).max()
    assert matmul.log_value(matmul.partition(CW(q)), tau) == pytest.approx(best, abs=1e-9)


def entropy(probabilities):
    positive = probabilities[probabilities > 0]
    return -(positive * np.log(positive)).sum()


def objective(support, log_values, chosen):
    marginals = (np.bincount(support[:, axis], chosen) for axis in range(3))
    return sum(map(entropy, marginals)) / 3 + chosen @ log_values


@pytest.mark.parametrize("seed", range(3))
def test_no_distribution_over_the_blocks_of_the_square_is_better_than_the_chosen_one(seed):
    """Concave as it is, the objective lies below its tangent plane at the optimum."""
    rng = np.random.default_rng(seed)
    square = matmul.partition(CW(6).power(2), coarse=True)
    log_values = np.array([matmul.log_value(part, 0.79) for (part,) in square.parts])
    chosen = _bounds._best_distribution(square.support, log_values, symmetric=True)
    assert chosen.sum() == pytest.approx(1)
    best = objective(square.support, log_values, chosen)
    assert matmul.log_value(square, 0.79) == pytest.approx(best, abs=1e-12)
    for _ in range(200):
        other = rng.dirichlet(np.ones(len(chosen)))
        mixed = (1 - (step := rng.uniform(0, 1))) * chosen + step * other
        assert objective(square.support, log_values, mixed) <= best + 1e-9
    alone = _bounds._best_distribution(square.support, log_values, symmetric=False)
    assert objective(square.support, log_values, alone) == pytest.approx(best, abs=1e-9)


def test_among_distributions_with_its_marginals_the_chosen_one_has_the_greatest_entropy():
    fourth = matmul.coppersmith_winograd_power(5, 2)
    log_values = np.array([matmul.log_value(part, 0.79) for (part,) in fourth.parts])
    chosen = _bounds._best_distribution(fourth.support, log_values, symmetric=True)
    marginal_map = np.concatenate(
        [(fourth.support[:, axis, None] == np.arange(9)).T for axis in range(3)]
    ).astype(float)
    singular_values = np.linalg.svd(marginal_map)
    idle = singular_values.Vh[(singular_values.S > 1e-9).sum() :]
    assert len(idle) > 0
    for direction in idle:
        for step in (-0.1, 0.1):
            other = chosen + step * direction * (chosen / np.abs(direction)).min()
            assert entropy(other) < entropy(chosen) + 1e-12


@pytest.mark.parametrize("q, tau", [(3, 0.8), (6, 0.79)])
def test_the_square_put_together_from_blocks_is_the_square_taken_apart(q, tau):
    from_entries = matmul.partition(CW(q).power(2), coarse=True)
    from_blocks = matmul.coppersmith_winograd_power(q, 1)
    expected = matmul.log_value(from_entries, tau)
    assert matmul.log_value(from_blocks, tau) == pytest.approx(expected, abs=1e-9)


def test_the_fourth_power_has_the_inner_products_that_its_entries_show():
    """With q = 1 the entries of the fourth power still fit in memory."""
    entries = CW(1).power(4)
    blocks = {
        tuple(label for (label,) in labels): block for labels, block in entries.blocks(coarse=True).items()
    }
    fourth = matmul.coppersmith_winograd_power(1, 2)
    assert {tuple(labels) for labels in fourth.support.tolist()} == set(blocks)
    for labels, (part,) in zip(fourth.support.tolist(), fourth.parts, strict=True):
        format = matmul.matmul_format(blocks[tuple(labels)].tensor)
        assert (0 in labels) == (format is not None)
        if format is not None:
            assert part == math.prod(format)


# --- omega ---


def test_the_table_agrees_with_the_literature_to_the_digits_given():
    digits = [4, 3, 3, 4, 4, 4]
    table = matmul.omega_table()
    assert [row.literature for row in table] == [2.8074, 2.548, 2.404, 2.3872, 2.3755, 2.3729]
    for row, decimals in zip(table, digits, strict=True):
        assert round(row.computed, decimals) == row.literature, row
    # Further digits: Le Gall 2014, table 1.
    assert table[4].computed == pytest.approx(2.3754770, abs=1e-6)
    assert table[5].computed == pytest.approx(2.3729269, abs=1e-6)


def test_the_parameters_of_the_table_are_the_best_ones():
    def small(q):
        return matmul.laser_exponent(matmul.partition(matmul.small_coppersmith_winograd(q)), q + 2)

    def big(q):
        return matmul.laser_exponent(matmul.partition(CW(q)), q + 2)

    def square(q):
        return matmul.laser_exponent(matmul.coppersmith_winograd_power(q, 1), (q + 2) ** 2)

    assert min(range(3, 12), key=small) == 8
    assert min(range(3, 12), key=big) == 6
    assert min(range(3, 9), key=square) == 6


def test_border_ranks_that_no_tensor_has_or_that_bound_nothing_are_refused():
    with pytest.raises(ValueError, match="does not even show"):
        matmul.laser_exponent(matmul.partition(CW(3)), 1000)
    with pytest.raises(ValueError, match="below 2"):
        matmul.laser_exponent(matmul.partition(CW(3)), 3)
    with pytest.raises(ValueError, match="q >= 1"):
        matmul.coppersmith_winograd(0)
