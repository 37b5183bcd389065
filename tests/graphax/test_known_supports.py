"""Where products and sums of blocks may have numbers, by where their factors have some."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphax.sparse import Support, arranged_block, dense_block, met, with_support, without_zeros

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=3, unique=True)
SIZES = (2, 3, 1, 4, 2)


@settings(max_examples=60, deadline=None)
@given(LABELS, LABELS, st.data())
def test_what_meets_is_where_the_sum_of_products_is_positive(left, right, data):
    out = data.draw(st.permutations(sorted({*left, *right})))
    out = [label for label in out if data.draw(st.booleans())]
    rng = np.random.default_rng(data.draw(st.integers(0, 100)))
    density = data.draw(st.sampled_from((0.1, 0.5, 1.0)))
    x, y = (rng.random([SIZES[label] for label in axes]) < density for axes in (left, right))
    wanted = np.einsum(x.astype(int), left, y.astype(int), right, out) > 0
    np.testing.assert_array_equal(met(x, left, y, right, out), wanted)


def test_of_too_many_pairs_all_count_as_meeting_that_hold_somewhere(monkeypatch):
    monkeypatch.setattr("graphax.sparse._places._MOST_MEETINGS", 10)
    x, y = np.eye(3, dtype=bool), np.tri(3, k=-1, dtype=bool)
    wanted = np.logical_and.outer(x.any(1), y.any(0))
    np.testing.assert_array_equal(met(x, [0, 1], y, [1, 2], [0, 2]), wanted)


def matrix(rng, density, shape):
    """A matrix, and a block of it of whose zeros one knows."""
    array = rng.normal(size=shape) * (rng.random(shape) < density)
    traced = with_support(jnp.asarray(array), Support(lambda: array != 0))
    return array, dense_block(traced, shape[:1], shape[1:])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_products_and_sums_have_no_other_places_than_those_of_matrices(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    density = data.draw(st.sampled_from((0.1, 0.3, 0.6)))
    size = data.draw(st.sampled_from((3, 9, 70)))
    array, block = matrix(rng, density, (size, size))
    places = array != 0
    for step in data.draw(st.lists(st.sampled_from("@+Td"), min_size=1, max_size=4)):
        other, known = matrix(rng, density, (size, size))
        if step == "@":
            block, places = known @ block, ((other != 0).astype(float) @ places) > 0
        elif step == "+":
            block, places = block + known, places | (other != 0)
        elif step == "T":
            block, places = block.T, places.T
        else:
            diagonal = arranged_block([[0]], [[0]], [size], jnp.ones(size), [0])
            block, places = diagonal @ block + diagonal, places | np.eye(size, dtype=bool)
    found = np.zeros((size, size), bool)
    found[without_zeros(block, at_last=True).pattern()] = True
    few = 10 * places.sum() <= 9 * places.size
    np.testing.assert_array_equal(found, places if few else np.ones_like(places))


@pytest.mark.parametrize("depth", (3, 3000))
def test_supports_of_long_products_are_worked_out_one_after_another(depth):
    support = Support(lambda: np.tri(3, dtype=bool))
    for _ in range(depth):
        support = support.map(lambda array: array.T)
    np.testing.assert_array_equal(support.array, np.tri(3, dtype=bool).T if depth % 2 else np.tri(3))
