"""What is zero along all paths is left out of a Jacobian: sets of places against products of matrices."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphax._paths import Paths
from graphax.sparse import dense_block, with_holes, without_zeros


def matrices(data, sizes):
    """Random local Jacobians between nodes of these sizes, each of which follows all before it."""
    density = data.draw(st.sampled_from((0.05, 0.3, 1.0)))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    edges = [(i, j) for j in range(len(sizes)) for i in range(j) if i == j - 1 or rng.random() < 0.3]
    return {(i, j): (rng.random((sizes[j], sizes[i])) < density) * rng.normal() for i, j in edges}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_places_are_those_of_the_product_of_absolute_values(data):
    sizes = data.draw(st.lists(st.sampled_from((1, 3, 40, 70)), min_size=2, max_size=5))
    edges = matrices(data, sizes)
    total = {0: np.eye(sizes[0])}
    for node in range(1, len(sizes)):
        total[node] = sum(abs(edges[i, j]) @ total[i] for i, j in edges if j == node)
    wanted = total[len(sizes) - 1] != 0

    # Static zeros of the one kind, and holes beside numbers of the other.
    blocks = {}
    for (source, target), matrix in edges.items():
        array = matrix if (source + target) % 2 else with_holes(traced(matrix), matrix != 0)
        # Inputs have negative numbers, vertices positive ones in the order of the program.
        blocks[source - (source == 0), target] = without_zeros(
            dense_block(array, matrix.shape[:1], matrix.shape[1:])
        )
    whole = dense_block(traced(np.ones(wanted.shape)), wanted.shape[:1], wanted.shape[1:])
    narrowed = Paths(blocks).narrowed(whole, -1, len(sizes) - 1)
    found = np.zeros(wanted.shape, bool)
    found[narrowed.pattern()] = True
    few = wanted.size > 1 and 10 * wanted.sum() <= 9 * wanted.size
    np.testing.assert_array_equal(found, wanted if few else np.ones_like(wanted))


def traced(matrix):
    """An array of which nothing but its type is static."""
    return jnp.asarray(matrix)


def test_a_block_with_few_entries_stays_as_it_is():
    block = without_zeros(dense_block(np.eye(9), (9,), (9,)))
    assert Paths({}).narrowed(block, -1, 1) is block


@pytest.mark.parametrize("limit", (0, 1 << 31))
def test_what_takes_too_long_is_left_dense(monkeypatch, limit):
    monkeypatch.setattr("graphax._paths._LONGEST", limit)
    triangle = without_zeros(dense_block(np.tri(9), (9,), (9,)))
    whole = dense_block(traced(np.ones((9, 9))), (9,), (9,))
    assert Paths({(-1, 1): triangle}).narrowed(whole, -1, 1).nnz == (45 if limit else 81)
