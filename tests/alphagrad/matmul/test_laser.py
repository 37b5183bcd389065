"""What the laser method yields is a bound: its steps against arguments that depend on no optimiser."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphagrad import matmul
from alphagrad.matmul import _bounds

CW = matmul.coppersmith_winograd


def entropy(probabilities):
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log(positive)).sum())


def marginal_map(support):
    """Takes a distribution over the blocks to its three marginals, one below the other."""
    return np.concatenate(
        [np.arange(labels.max() + 1)[:, None] == labels[None, :] for labels in support.T]
    ).astype(float)


def greatest_entropy(support, chosen):
    """An upper bound on the entropy of all distributions with the marginals of the chosen one.

    By Gibbs' inequality -sum_b a'_b log g_b is one for any distribution g; with g = exp(f + g + h) it is the
    same for all a' with these marginals. The potentials come from iterative proportional fitting.
    """
    matrix = marginal_map(support)
    target = matrix @ chosen
    logs = np.zeros(len(matrix))
    for _ in range(3000):
        for axis_rows in np.split(np.arange(len(matrix)), np.cumsum(support.max(0) + 1)[:-1]):
            found = matrix[axis_rows] @ np.exp(matrix.T @ logs)
            fits = found > 0
            logs[axis_rows[fits]] += np.log(target[axis_rows[fits]] / found[fits])
    scores = matrix.T @ logs
    return float(np.log(np.exp(scores).sum()) - logs @ target)


@pytest.fixture(scope="module")
def eighth():
    """The bound from the eighth power, and every distribution over blocks that it rests on."""
    used = []
    best = _bounds._best_distribution

    def noting(support, log_values, symmetric):
        used.append((support, best(support, log_values, symmetric)))
        return used[-1][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_bounds, "_best_distribution", noting)
        bound = matmul.laser_exponent(matmul.coppersmith_winograd_power(5, 3), 7**8)
    return bound, used


@pytest.mark.parametrize("q, doublings, published", [(6, 0, 2.38719), (6, 1, 2.3754770), (5, 2, 2.3729269)])
def test_the_first_powers_give_the_published_bounds(q, doublings, published):
    bound = matmul.laser_exponent(matmul.coppersmith_winograd_power(q, doublings), (q + 2) ** 2**doublings)
    assert bound == pytest.approx(published, abs=1.5e-7)


def test_the_eighth_power_lies_between_the_published_bound_and_the_limit_of_the_method(eighth):
    # Le Gall 2014; Ambainis, Filmus and Le Gall 2015: no power of CW_q leads below 2.3725.
    assert 2.3725 < eighth[0] < 2.3728642
    assert eighth[0] == pytest.approx(2.3728623, abs=1e-7)


def test_no_distribution_of_the_eighth_power_owes_anything_to_others_with_its_marginals(eighth):
    """log a = f + g + h makes -sum a' log a the same for all a' with the marginals of a: H(a') <= H(a)."""
    assert len({support.tobytes() for support, _ in eighth[1]}) == 27
    for support, chosen in eighth[1]:
        matrix = marginal_map(support)
        assert chosen.min() > 0 and chosen.sum() == pytest.approx(1, abs=1e-12)
        potentials = np.linalg.lstsq(matrix.T, np.log(chosen))[0]
        above = np.log(np.exp(matrix.T @ potentials).sum()) - potentials @ (matrix @ chosen)
        assert above == pytest.approx(entropy(chosen), abs=1e-9)


def test_the_entropy_that_is_left_is_the_greatest_by_another_computation(eighth):
    for support, chosen in eighth[1][-3:]:
        assert greatest_entropy(support, chosen) == pytest.approx(entropy(chosen), abs=1e-7)


@pytest.mark.parametrize("doublings", [0, 1, 2, 3])
@pytest.mark.parametrize("q", [1, 2, 5])
def test_the_blocks_of_a_power_hold_the_entries_that_its_polynomial_counts(q, doublings):
    """q (x y + y z + z x) + x^2 + y^2 + z^2 counts the entries of CW_q by their labels; z = 1 here."""
    once = np.zeros((3, 3), object)
    for x, y in itertools.product(range(3), repeat=2):
        once[x, y] = (q if 1 in (x, y) else 1) if x + y <= 2 else 0
    counted = once
    for _ in range(doublings):
        size = 2 * len(counted) - 1
        square = np.zeros((size, size), object)
        for x, y in np.ndindex(*counted.shape):
            square[x : x + len(counted), y : y + len(counted)] += counted[x, y] * counted
        counted = square

    def entries(component, known):
        if not isinstance(component, _bounds.Partition):
            return component  # <n, m, p> has n m p entries
        if component not in known:
            known[component] = sum(math.prod(entries(c, known) for c in parts) for parts in component.parts)
        return known[component]

    power, known = matmul.coppersmith_winograd_power(q, doublings), {}
    assert len(power.support) == np.count_nonzero(counted)
    for (x, y, _), (part,) in zip(power.support.tolist(), power.parts, strict=True):
        assert entries(part, known) == counted[x, y]


@pytest.mark.parametrize("seed", range(4))
def test_a_bound_from_any_potentials_is_one_and_no_better_than_the_optimum(seed, monkeypatch):
    """Where an optimiser stops changes how good a bound is, not whether it is one."""
    best = _bounds._best_distribution
    rng = np.random.default_rng(seed)
    power = matmul.coppersmith_winograd_power(5, 2)
    optimum = matmul.laser_exponent(power, 7**4)

    def careless(support, log_values, symmetric):
        counts = _bounds._counts(support, symmetric)
        chosen = best(support, log_values, symmetric) * np.exp(
            counts @ rng.normal(size=counts.shape[1]) * 0.02
        )
        return chosen / chosen.sum()

    monkeypatch.setattr(_bounds, "_best_distribution", careless)
    assert optimum < matmul.laser_exponent(power, 7**4) < optimum + 1e-2


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6))
def test_a_value_obeys_the_bounds_that_flattenings_set(seed):
    """At tau = 2/3 the value sum (n m p)^(2/3) of products <n, m, p> is at most the geometric mean of the
    ranks of its three flattenings (Hölder), which multiply over powers and don't grow in degenerations."""
    rng = np.random.default_rng(seed)
    size, total = int(rng.integers(2, 5)), int(rng.integers(2, 6))
    tensor = np.zeros((size, size, size), int)
    for x, y in itertools.product(range(size), repeat=2):
        if 0 <= total - x - y < size:
            tensor[x, y, total - x - y] = rng.integers(2)
    if not tensor.any():
        return
    labels = np.arange(size)[:, None]
    part = matmul.partition(matmul.BlockTensor(tensor, (labels, labels, labels)))
    ranks = [np.linalg.matrix_rank(np.moveaxis(tensor, axis, 0).reshape(size, -1)) for axis in range(3)]
    assert matmul.log_value(part, 2 / 3) <= sum(map(math.log, ranks)) / 3 + 1e-9


@pytest.mark.parametrize("q", [1, 2, 5])
def test_the_values_of_the_powers_obey_their_border_rank(q):
    for doublings in range(3):
        power = matmul.coppersmith_winograd_power(q, doublings)
        assert matmul.log_value(power, 2 / 3) <= 2**doublings * math.log(q + 2) + 1e-9


def test_the_bound_is_where_the_value_reaches_the_border_rank():
    power = matmul.coppersmith_winograd_power(6, 1)
    tau = matmul.laser_exponent(power, 64) / 3
    assert matmul.log_value(power, tau) == pytest.approx(math.log(64), abs=1e-9)
    assert matmul.log_value(power, tau - 1e-6) < math.log(64)


def test_a_partition_that_is_wrongly_called_symmetric_is_not_worth_more():
    support = np.array([[0, 0, 2], [0, 1, 1], [1, 0, 1], [0, 2, 0]])
    parts = ((3,), (5,), (2,), (7,))
    for tau in (0.7, 0.9):
        plain = matmul.log_value(_bounds.Partition(support, parts), tau)
        assert matmul.log_value(_bounds.Partition(support, parts, symmetric=True), tau) <= plain + 1e-9


# --- what is no bound ---


@pytest.mark.parametrize(
    "component, rank, reason",
    [
        (1, 1, "bounds nothing"),
        (8, 0, "at least 1"),
        (8, 3, "below 2"),
        (8, 9, "does not even show"),
        (0, 4, "volume"),
        (2.5, 4, "volume"),
        (True, 4, "volume"),
    ],
)
def test_what_bounds_nothing_is_refused(component, rank, reason):
    with pytest.raises(ValueError, match=reason):
        matmul.laser_exponent(component, rank)


def test_independent_products_of_one_entry_bound_nothing():
    unit = _bounds.Partition(np.array([[0, 0, 2], [1, 1, 0], [2, 2, 1]]), ((1,),) * 3)
    with pytest.raises(ValueError, match="bounds nothing"):
        matmul.laser_exponent(unit, 3)


def test_one_product_of_matrices_has_the_exponent_of_its_rank():
    assert matmul.laser_exponent(8, 7) == pytest.approx(math.log2(7), abs=1e-10)
    assert matmul.laser_exponent(8, 4) == pytest.approx(2, abs=1e-10)


@pytest.mark.parametrize(
    "support, parts, reason",
    [
        # Of the blocks of <2, 2, 2> all eight: x_00 y_00 z_00, x_00 y_01 z_10 ... with the entries as labels.
        ([[0, 0, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 1, 1]], ((1,),) * 5, "not tight"),
        ([[0, 0, 0], [0, 0, 1]], ((2,),) * 2, "not tight"),
        ([[0, 0, 0], [0, 0, 0]], ((2,),) * 2, "twice"),
        ([[0, 0, 1], [0, 1, 0]], ((2,),), "have parts"),
        ([[0, 0, 1], [0, 1, 0]], ((2,), ()), "have parts"),
        ([[0, 1], [1, 0]], ((2,),) * 2, "three labels"),
        ([[0, -1, 1]], ((2,),), "three labels"),
        ([[0, 0, 1], [0, 1, 0]], ((2,), (0,)), "volume"),
    ],
)
def test_a_partition_that_the_method_does_not_apply_to_is_refused(support, parts, reason):
    with pytest.raises(ValueError, match=reason):
        _bounds.Partition(np.array(support), parts)


@pytest.mark.parametrize("rank, format", [(3, (2, 2, 2)), (1, (1, 1, 2)), (8, (3, 3, 3)), (19, (4, 5, 2))])
def test_a_rank_that_no_scheme_can_have_is_refused(rank, format):
    with pytest.raises(ValueError, match="at least"):
        matmul.exponent(rank, *format)
    for formats, least in (([format], rank), ([format, (1, 2, 1)], rank + 1)):
        with pytest.raises(ValueError, match=r"at least|bounds nothing"):
            matmul.direct_sum_exponent(formats, least)


def test_a_tensor_is_squared_a_whole_number_of_times():
    with pytest.raises(ValueError, match="not -1 times"):
        matmul.coppersmith_winograd_power(5, -1)
    with pytest.raises(TypeError):
        matmul.coppersmith_winograd_power(5, 1.0)  # pyright: ignore[reportArgumentType]
