"""The algebra of structured Jacobians, against its definition entry by entry."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphax.sparse import (
    Block,
    Kind,
    add,
    close_table,
    common_factors,
    compose,
    dense,
    identity,
    make_structure,
)

SHAPES = [(), (1,), (2,), (4,), (6,), (2, 3), (3, 2), (4, 3), (3, 4), (1, 6), (12,), (2, 2, 3)]
FACTORS = {1: [()], 2: [(2,)], 3: [(3,)], 4: [(4,), (2, 2)], 6: [(6,), (2, 3), (3, 2)]}
FACTORS[12] = [(12,), (4, 3), (3, 4), (2, 6), (2, 2, 3)]


@st.composite
def structures(draw, out_shape, in_shape):
    """Any structure between two shapes: factorised dimensions, deltas between labels of equal size."""
    sizes, sides = [], []
    for shape in (out_shape, in_shape):
        dims = []
        for size in shape:
            factors = draw(st.sampled_from(FACTORS[size]))
            dims.append([len(sizes) + at for at in range(len(factors))])
            sizes += factors
        sides.append(dims)
    out, in_ = sides
    free = {label for dim in out for label in dim}
    for dim in in_:
        for at, label in enumerate(dim):
            partners = sorted(other for other in free if sizes[other] == sizes[label])
            partner = draw(st.sampled_from([None, *partners]))
            if partner is not None:
                dim[at] = partner
                free.remove(partner)
    labels = sorted({label for dim in out + in_ for label in dim})
    axes = [label for label in labels if draw(st.booleans())]
    kind = draw(st.sampled_from([Kind.UNIT, Kind.CONSTANT, Kind.VALUE]))
    return make_structure(out, in_, sizes, kind, axes if kind is Kind.VALUE else ())


@st.composite
def blocks(draw, out_shape, in_shape):
    structure = draw(structures(out_shape, in_shape))
    if structure.kind is Kind.UNIT:
        return Block(structure, None, draw(st.sampled_from([1, -1])))
    if structure.kind is Kind.CONSTANT:
        return Block(structure, None, draw(st.sampled_from([2.0, -0.5, 1.0])))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    value = jnp.asarray(rng.integers(-4, 5, structure.value_shape).astype(float))
    return Block(structure, value, draw(st.sampled_from([1, -1])))


def by_definition(block):
    """Walk through all label values and add up what stands at each pair of entries."""
    s = block.structure
    jacobian = np.zeros(s.out_shape + s.in_shape)
    value = np.ones(s.value_shape) if block.value is None else np.asarray(block.value, float)
    for index in itertools.product(*map(range, s.sizes)):
        place = []
        for dim in s.out + s.in_:
            position = 0
            for label in dim:
                position = position * s.sizes[label] + index[label]
            place.append(position)
        jacobian[tuple(place)] += block.scale * value[tuple(index[label] for label in s.axes)]
    return jacobian


shape = st.sampled_from(SHAPES)


@settings(deadline=None, max_examples=60)
@given(st.data(), shape, shape)
def test_densified_blocks_are_what_their_structure_says(data, out_shape, in_shape):
    block = data.draw(blocks(out_shape, in_shape))
    np.testing.assert_array_equal(block.todense("float64"), by_definition(block))


@settings(deadline=None, max_examples=120)
@given(st.data(), shape, shape, shape)
def test_composition_is_the_chain_rule(data, out_shape, mid_shape, in_shape):
    outer = data.draw(blocks(out_shape, mid_shape))
    inner = data.draw(blocks(mid_shape, in_shape))
    product = outer @ inner
    expected = np.tensordot(by_definition(outer), by_definition(inner), len(mid_shape))
    np.testing.assert_array_equal(by_definition(product), expected)
    np.testing.assert_array_equal(product.todense("float64"), expected)


@settings(deadline=None, max_examples=120)
@given(st.data(), shape, shape)
def test_sums_are_sums_and_commute(data, out_shape, in_shape):
    left = data.draw(blocks(out_shape, in_shape))
    right = data.draw(blocks(out_shape, in_shape))
    total = left + right
    expected = by_definition(left) + by_definition(right)
    np.testing.assert_array_equal(by_definition(total), expected)
    assert (right + left).structure == total.structure


@settings(deadline=None, max_examples=40)
@given(st.data(), shape, shape)
def test_the_identity_is_neutral_and_free(data, out_shape, in_shape):
    block = data.draw(blocks(out_shape, in_shape))
    for product in (identity_of(out_shape) @ block, block @ identity_of(in_shape)):
        np.testing.assert_array_equal(by_definition(product), by_definition(block))
    plan = compose(block.structure, identity(in_shape))
    assert plan.mults == plan.mults_counted == 0


def identity_of(shape):
    return Block(identity(shape))


def test_equal_structures_compare_equal_however_they_are_written():
    merged = make_structure([[0]], [[0]], [6], Kind.VALUE, [0])
    split = make_structure([[4, 2]], [[4, 2]], {4: 2, 2: 3}, Kind.VALUE, [2, 4])
    assert merged == split and hash(merged) == hash(split)


def test_matrix_product_edges_hold_one_factor_each():
    # d(A @ B)/dA for A (2, 3), B (3, 4): out (a c), in (a b), value over (b c).
    to_left = make_structure([[0], [1]], [[0], [2]], [2, 4, 3], Kind.VALUE, [1, 2])
    assert to_left.value_shape == (4, 3)
    diagonal = make_structure([[0], [1]], [[0], [1]], [2, 3], Kind.VALUE, [0, 1])
    assert compose(to_left, diagonal).mults == 2 * 4 * 3
    assert compose(to_left, dense((2, 3), (5,))).mults == 2 * 4 * 3 * 5


def test_units_cost_nothing_and_constants_one_product_for_each_number():
    value = make_structure([[0]], [[0]], [7], Kind.VALUE, [0])
    unit = make_structure([[0]], [[0]], [7], Kind.UNIT, held=[0])
    constant = make_structure([[0]], [[0]], [7], Kind.CONSTANT)
    assert compose(unit, value).mults == 0
    assert compose(unit, value).mults_counted == 7
    assert compose(constant, value).mults == 7
    assert compose(constant, constant).mults == 0
    assert compose(constant, constant).structure.kind is Kind.CONSTANT


def test_a_sum_of_different_diagonals_is_their_common_refinement():
    straight = make_structure([[0], [1]], [[0], [1]], [3, 3], Kind.UNIT)
    crossed = make_structure([[1], [0]], [[0], [1]], [3, 3], Kind.UNIT)
    assert add(straight, crossed).structure == dense((3, 3), (3, 3))
    half = make_structure([[0], [1]], [[0], [2]], [3, 3, 3], Kind.VALUE, [1, 2])
    assert add(straight, half).structure.value_shape == (3, 3)


def test_common_factors_refine_both_sides_or_do_not_exist():
    assert common_factors([12], [4, 3]) == [4, 3]
    assert common_factors([4, 3], [2, 6]) == [2, 2, 3]
    assert common_factors([4, 3], [3, 4]) is None
    assert common_factors([], []) == []


def test_mismatched_shapes_are_refused():
    with pytest.raises(ValueError, match="cannot compose"):
        compose(dense((2,), (3,)), dense((4,), (2,)))
    with pytest.raises(ValueError, match="cannot add"):
        add(dense((2,), (3,)), dense((3,), (2,)))


def test_closed_tables_are_closed_and_agree_with_the_algebra():
    start = [
        make_structure([[0]], [[0]], [4], Kind.VALUE, [0]),
        make_structure([[0]], [[0]], [4], Kind.UNIT, held=[0]),
        make_structure([[0]], [], [4], Kind.UNIT, copy=True),
        dense((4,), (4,)),
    ]
    table = close_table(start)
    size = len(table.structures)
    assert table.exact and len(set(table.structures)) == size
    ids = {structure: at + 1 for at, structure in enumerate(table.structures)}
    for outer, inner in itertools.product(table.structures, repeat=2):
        at = ids[outer], ids[inner]
        if outer.in_shape == inner.out_shape:
            plan = compose(outer, inner)
            assert table.products[at] == ids[plan.structure]
            assert (table.mults[at], table.mults_counted[at]) == (plan.mults, plan.mults_counted)
        else:
            assert table.products[at] == 0
        if (outer.out_shape, outer.in_shape) == (inner.out_shape, inner.in_shape):
            assert table.sums[at] == ids[add(outer, inner).structure]
    assert (table.sums[0] == np.arange(size + 1)).all()


def test_tables_that_pass_the_limit_become_coarse_and_say_so():
    start = [make_structure([[0], [1]], [[0], [1]], [4, 3], Kind.VALUE, [at]) for at in (0, 1)]
    start.append(make_structure([[0], [1]], [[2], [1]], [4, 3, 4], Kind.VALUE, [2]))
    exact, coarse = close_table(start), close_table(start, limit=3)
    assert exact.exact and not coarse.exact
    assert len(coarse.structures) <= len(start) + 1
