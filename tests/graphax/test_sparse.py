"""The algebra of structured Jacobians, against its definition entry by entry."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_blocks import Draw, by_definition

from graphax.sparse import (
    Block,
    Digit,
    Kind,
    StructureTable,
    add,
    arranged_block,
    close_table,
    common_factors,
    compose,
    counted,
    dense,
    dense_block,
    digit_table,
    identity,
    identity_block,
    make_term,
    product,
    structure,
    total,
    unit_block,
)


def combined(outer, inner, other):
    """Products and sums, sparse and dense."""
    found = []
    for sparse in (True, False):
        both = inner.plus(other, sparse)
        chains = outer.compose(inner, sparse), outer.compose(both, sparse)
        found.append((*chains, both, other.plus(inner, sparse)))
    return found


def exits(block, vector):
    """What a block can be turned into."""
    diagonal = block.diagonal() if block.out_shape == block.in_shape else None
    return block.todense(), block.data(), block @ vector, diagonal


def check_the_algebra(seed, compiled=True):
    """Each operation by itself takes a compilation; some seeds have them so, others all in one program."""
    run = jax.jit if compiled else lambda fun: fun
    draw = Draw(seed)
    out_shape, mid_shape, in_shape = draw.shapes(3)
    outer, inner, other = (
        draw.block(*shapes)
        for shapes in ((out_shape, mid_shape), (mid_shape, in_shape), (mid_shape, in_shape))
    )
    b, a, c = map(by_definition, (outer, inner, other))
    chained = np.tensordot(b, a, len(mid_shape)), np.tensordot(b, a + c, len(mid_shape))
    vector = draw.rng.integers(-3, 4, in_shape).astype(float)

    @run
    def results():
        block = (inner + other).astype("float64")
        return inner.todense("float64"), combined(outer, inner, other), block, exits(block, vector)

    dense, combinations, block, turned = results()
    np.testing.assert_array_equal(dense, a)
    for *chains, both, swapped in combinations:
        for chain, expected in zip(chains, chained, strict=True):
            np.testing.assert_array_equal(by_definition(chain), expected)
        np.testing.assert_array_equal(by_definition(both), a + c)
        assert swapped.structure == both.structure
    check_the_exits(block, a + c, vector, *turned)


def check_the_exits(block, dense, vector, array, data, product, diagonal):
    np.testing.assert_array_equal(array, dense)
    rows, columns = block.pattern()
    flat = np.zeros((int(np.prod(block.out_shape)), int(np.prod(block.in_shape))))
    np.add.at(flat, (rows, columns), np.asarray(data))
    np.testing.assert_array_equal(flat.reshape(block.shape), dense)
    np.testing.assert_array_equal(by_definition(block.T).reshape(flat.T.shape), flat.T)
    np.testing.assert_array_equal(product, np.tensordot(dense, vector, vector.ndim))
    if diagonal is not None:
        np.testing.assert_array_equal(np.ravel(diagonal), np.diagonal(flat))


@pytest.mark.parametrize("seed", [*range(40), 1381])
def test_products_and_sums_are_the_chain_rule(seed):
    check_the_algebra(seed, compiled=seed % 8 != 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 2500))
def test_products_and_sums_are_the_chain_rule_1500_times(seed):
    check_the_algebra(seed)


@pytest.mark.parametrize("seed", range(10))
def test_the_identity_is_neutral_and_free(seed):
    draw = Draw(seed)
    out_shape, in_shape = draw.shapes(2)
    block = draw.block(out_shape, in_shape)
    for chain in (identity_block(out_shape) @ block, block @ identity_block(in_shape)):
        np.testing.assert_array_equal(by_definition(chain), by_definition(block))
    assert product(block.structure, identity(in_shape)).mults == 0


def diagonal(size, kind=Kind.VALUE, axes=(0,)):
    return make_term([[0]], [[0]], [size], kind, axes if kind is Kind.VALUE else ())


def test_equal_terms_compare_equal_however_they_are_written():
    split = make_term([[4, 2]], [[4, 2]], {4: 2, 2: 3}, Kind.VALUE, [2, 4])
    assert diagonal(6) == split and hash(diagonal(6)) == hash(split)
    shifted = make_term([[Digit(6, (0,))]], [[Digit(8, (0,), 1, 1)]], [6], Kind.UNIT)
    tabulated = make_term([[0]], [[digit_table(8, [0], np.arange(1, 7))]], [6], Kind.UNIT)
    assert shifted == tabulated
    constant = make_term([[Digit(2, (), 1), Digit(3, (), 2)]], [], [], Kind.UNIT)
    assert constant == make_term([[Digit(6, (), 5)]], [], [], Kind.UNIT)


def test_matrix_product_edges_hold_one_factor_each():
    # d(A @ B)/dA for A (2, 3), B (3, 4): out (a c), in (a b), value over (b c).
    to_left = make_term([[0], [1]], [[0], [2]], [2, 4, 3], Kind.VALUE, [1, 2])
    assert to_left.value_shape == (4, 3)
    entries = make_term([[0], [1]], [[0], [1]], [2, 3], Kind.VALUE, [0, 1])
    assert compose(to_left, entries).mults == 2 * 4 * 3
    assert compose(to_left, dense((2, 3), (5,)).terms[0]).mults == 2 * 4 * 3 * 5


def test_units_cost_nothing_and_constants_one_product_for_each_number():
    value, unit, constant = diagonal(7), diagonal(7, Kind.UNIT), diagonal(7, Kind.CONSTANT)
    assert compose(unit, value).mults == 0
    assert compose(constant, value).mults == 7
    assert compose(constant, constant).mults == 0
    assert compose(constant, constant).term.kind is Kind.CONSTANT
    table = StructureTable(counted=True)
    ones = table.intern(counted(structure(unit), copies=False))
    copy = table.intern(counted(structure(unit), copies=True))
    numbers = table.intern(counted(structure(value), copies=False))
    assert table.compose(ones, numbers)[1] == 7
    assert table.compose(copy, numbers)[1] == 0


def test_products_that_never_meet_are_zero():
    first, last = (make_term([[]], [[Digit(5, (), at)]], [], Kind.UNIT) for at in (0, 4))
    assert compose(first, make_term([[Digit(5, (), 4)]], [[]], [], Kind.UNIT)) is None
    even = make_term([[0]], [[Digit(6, (0,), 0, 2)]], [3], Kind.UNIT)
    odd = make_term([[Digit(6, (0,), 1, 2)]], [[0]], [3], Kind.UNIT)
    assert compose(even, odd) is None
    assert product(structure(first), structure(make_term([[Digit(5, (), 4)]], [], [], Kind.UNIT))).mults == 0
    assert compose(last, make_term([[Digit(5, (), 4)]], [[]], [], Kind.UNIT)) is not None


def test_progressions_meet_in_a_progression():
    left = make_term([[0]], [[Digit(40, (0,), 3, 4)]], [10], Kind.UNIT)  # 3, 7, ..., 39
    right = make_term([[Digit(40, (0,), 37, -6)]], [[0]], [7], Kind.UNIT)  # 37, 31, ..., 1
    meeting = compose(left, right).term  # 7, 19, 31
    assert meeting.sizes == (3,)
    assert str(meeting) == "(1+3a) <- (5-2a) unit"


def test_parts_of_one_diagonal_become_one():
    upper = make_term([[Digit(9, (0,), 0, 1)]], [[Digit(9, (0,), 0, 1)]], [4], Kind.VALUE, [0])
    lower = make_term([[Digit(9, (0,), 4, 1)]], [[Digit(9, (0,), 4, 1)]], [5], Kind.VALUE, [0])
    assert add(upper, lower).term == diagonal(9)
    assert add(upper, lower).adds == 0
    apart = make_term([[Digit(9, (0,), 6, 1)]], [[Digit(9, (0,), 6, 1)]], [3], Kind.VALUE, [0])
    assert add(upper, apart) is None
    corners = [make_term([[Digit(9, (), at)]], [[Digit(9, (), 7 + at)]], [], Kind.VALUE) for at in (0, 1)]
    assert str(add(*corners).term) == "(0+a) <- (7+a) value over a=2"


def test_different_diagonals_stay_apart_until_zeros_are_cheaper():
    straight, shifted = (
        structure(make_term([[Digit(99, (0,), at)]], [[Digit(99, (0,), 0)]], [90], Kind.VALUE, [0]))
        for at in (0, 9)
    )
    both = total(straight, shifted)
    assert both.structure.numbers == 180 and len(both.structure.terms) == 2
    small = make_term([[0], [1]], [[0], [1]], [3, 3], Kind.UNIT)
    crossed = make_term([[1], [0]], [[0], [1]], [3, 3], Kind.UNIT)
    assert add(small, crossed) is None
    assert add(small, crossed, sparse=False).term == dense((3, 3), (3, 3)).terms[0]
    full = dense((99,), (99,))
    assert total(full, straight).structure == full


def test_tables_that_meet_twice_are_added_up():
    # A graph's Laplacian: every edge touches its two ends.
    source, target = np.array([0, 1, 2, 2]), np.array([1, 2, 0, 1])
    at_source, at_target = (
        unit_block([[0]], [[digit_table(6, [0], ends)]], [4]) for ends in (source, target)
    )
    difference = at_source + -at_target
    weights = arranged_block([[0]], [[0]], [4], jnp.asarray([1.0, 2.0, 3.0, 4.0]), [0])
    laplacian = difference.T @ weights @ difference
    expected = np.zeros((6, 6))
    expected[:3, :3] = [[4, -1, -3], [-1, 7, -6], [-3, -6, 9]]
    np.testing.assert_array_equal(laplacian.todense("float64"), expected)
    assert laplacian.structure.numbers == 9
    assert sorted(term.value_shape for term in laplacian.structure.terms) == [(3,), (6,)]


def test_common_factors_refine_both_sides_or_do_not_exist():
    assert common_factors([12], [4, 3]) == [4, 3]
    assert common_factors([4, 3], [2, 6]) == [2, 2, 3]
    assert common_factors([4, 3], [3, 4]) is None
    assert common_factors([], []) == []


def test_mismatched_shapes_are_refused():
    with pytest.raises(ValueError, match="cannot compose"):
        product(dense((2,), (3,)), dense((4,), (2,)))
    with pytest.raises(ValueError, match="cannot add"):
        total(dense((2,), (3,)), dense((3,), (2,)))
    block = Block.zero((2,), (3,), np.dtype("float32"))
    with pytest.raises(ValueError, match=r"inputs of shape \(3,\) cannot be applied to .*\(4,\)"):
        block @ jnp.ones(4)
    with pytest.raises(ValueError, match="only a square Jacobian has a diagonal"):
        block.diagonal()
    assert block.nnz == 0 and block.todense().shape == (2, 3)
    assert (block @ jnp.ones(3)).shape == (2,)


def a_graph_of_fours(unit_edges):
    """Edges from a node 0 of two numbers to nodes 1 to 4 of four, of which 1, 2 and 3 may go."""
    first_half = make_term([[Digit(4, (0,))]], [[Digit(2, (0,))]], [2], Kind.UNIT)
    edges = {
        (0, 1): structure(first_half),
        (0, 3): dense((4,), (2,)),
        (1, 2): structure(diagonal(4, Kind.UNIT)),
        (1, 3): structure(diagonal(4)),
        (2, 3): structure(diagonal(4)),
        (1, 4): structure(diagonal(4)),
        (3, 4): dense((4,), (4,)),
    }
    if unit_edges == "counted":
        edges = {edge: counted(found, copies=False) for edge, found in edges.items()}
    return edges


@pytest.mark.parametrize("unit_edges", ["free", "counted"])
def test_closed_tables_answer_what_any_order_asks_as_the_algebra_does(unit_edges):
    start = a_graph_of_fours(unit_edges)
    table = close_table(start, range(5), {1, 2, 3}, unit_edges == "counted")
    assert table.exact and len(set(table.structures)) == len(table.structures)
    assert (table.sums[0] == np.arange(len(table.structures) + 1)).all()
    ids = {found: at + 1 for at, found in enumerate(table.structures)}
    check, asked = StructureTable(unit_edges == "counted"), 0

    def name(number):
        return ids[check.structures[number]]

    for order in itertools.permutations((1, 2, 3)):
        edges = {edge: check.intern(found) for edge, found in start.items()}
        for vertex in order:
            before = {source: edges.pop((source, to)) for source, to in list(edges) if to == vertex}
            after = {to: edges.pop((source, to)) for source, to in list(edges) if source == vertex}
            for (source, inner), (to, outer) in itertools.product(before.items(), after.items()):
                result, mults, _ = check.compose(outer, inner)
                at = name(outer), name(inner)
                assert (table.products[at], table.mults[at]) == (name(result), mults)
                if (source, to) in edges:
                    left = edges[source, to]
                    edges[source, to] = check.add(left, result)[0]
                    assert table.sums[name(left), name(result)] == name(edges[source, to])
                else:
                    edges[source, to] = result
                asked += 1
    assert asked > 18


def test_tables_hold_no_structure_that_no_order_reaches():
    square = structure(make_term([[0], [1]], [[0], [1]], [4, 3], Kind.VALUE, [0]))
    other = structure(make_term([[0], [1]], [[0], [1]], [4, 3], Kind.VALUE, [1]))
    table = close_table({(0, 1): square, (0, 2): other}, range(3), {1})
    assert table.structures == (square, other) and not table.products.any()


def test_tables_that_pass_the_limit_become_coarse_and_say_so():
    edges = {
        (at, at + 1): structure(make_term([[0], [1]], [[0], [1]], [4, 3], Kind.VALUE, [at])) for at in (0, 1)
    }
    edges[2, 3] = structure(make_term([[0], [1]], [[2], [1]], [4, 3, 4], Kind.VALUE, [2]))
    exact, coarse = (close_table(edges, range(4), {1, 2}, limit=limit) for limit in (4096, 3))
    assert exact.exact and not coarse.exact
    assert len(coarse.structures) <= len(edges) + 1


@pytest.mark.parametrize("shapes", [((), (3,), ()), ((2,), (0,), ()), ((0,), (3,), ()), ((2, 0), (3,), (2,))])
@pytest.mark.parametrize("first", [True, False])
def test_products_with_static_arrays_are_those_of_any_size(shapes, first):
    """Of one number, too, and of none."""
    out, middle, in_ = shapes if first else shapes[::-1]
    few = np.zeros((*out, *middle) if first else (*middle, *in_))
    few.reshape(-1)[1::3] = 2.0
    many = jnp.ones((*middle, *in_) if first else (*out, *middle)) * 3
    values = (few, many) if first else (many, few)
    product = dense_block(values[0], out, middle) @ dense_block(values[1], middle, in_)
    np.testing.assert_array_equal(
        product.astype(float).todense(), np.tensordot(values[0], values[1], len(middle))
    )


@pytest.mark.parametrize("place", (Digit(6, (0,), 1, 2), Digit(6, (0,), 4, -1), Digit(6, (), 3)))
@pytest.mark.parametrize("side", ("part first", "whole first"))
def test_what_stands_within_another_term_is_added_there(place, side):
    size = {2: 3, -1: 4, 1: 1}[place.step]
    part = arranged_block([[place], [1]], [[1], [place]], [size, 2], jnp.arange(1.0, 2 * size + 1), [0, 1])
    whole = arranged_block([[0], [1]], [[1], [0]], [6, 2], jnp.arange(10.0, 16.0), [0])
    both = part + whole if side == "part first" else whole + part
    np.testing.assert_array_equal(by_definition(both), by_definition(part) + by_definition(whole))
    assert both.structure.numbers == (12 if place.labels else 8)  # along b the whole holds one number for two
    assert len(both.structure.terms) == (1 if place.labels else 2)


def test_the_identity_holds_no_numbers_beside_a_few():
    few = arranged_block([[Digit(900, (0,), 3, 5)]], [[Digit(900, (0,), 3, 5)]], [20], jnp.ones(20), [0])
    both = identity_block((900,)) + few
    assert both.structure.numbers == 20
