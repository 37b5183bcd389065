"""Terms that are seen at once to have no sum as one term, or no entries at one place, have none."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from random_blocks import Draw

from graphax.sparse import Digit, Kind, make_term
from graphax.sparse import _add as sums
from graphax.sparse._meeting import are_apart
from graphax.sparse._sum_of_terms import term_places

SIZES = (6, 2, 6)


@st.composite
def terms(draw):
    """Of an output with two dimensions and an input with one: boxes, points and lines anywhere."""
    sizes, dims, labels = [], [], []
    for radix in SIZES:
        kind = draw(st.sampled_from(["new", "old", "point"]))
        step = draw(st.sampled_from([1, 1, -1, 2]))
        if kind == "old" and labels:
            label = draw(st.sampled_from(labels))
        elif kind == "point":
            dims.append([Digit(radix, (), draw(st.integers(0, radix - 1)))])
            continue
        else:
            sizes.append(draw(st.integers(1, (radix - 1) // abs(step) + 1)))
            label = len(sizes) - 1
        last = step * (sizes[label] - 1)
        low, high = max(0, -last), radix - 1 - max(0, last)
        if low > high:
            dims.append([Digit(radix, (), draw(st.integers(0, radix - 1)))])
            continue
        labels.append(label)
        dims.append([Digit(radix, (label,), draw(st.integers(low, high)), step)])
    used = sorted({label for dim in dims for digit in dim for label in digit.labels})
    return make_term(dims[:2], dims[2:], sizes, Kind.VALUE, used)


@settings(max_examples=400, deadline=None)
@given(terms(), terms(), st.sampled_from([4, 20, 80]))
def test_terms_that_pass_by_each_other_have_no_small_sum(left, right, most):
    if sums._pass_by(left, right, most):
        pair = sums._Pair(left, right)
        assert (pair.equal() or pair.joined() or pair.united() or pair.contained()) is None
        assert pair.refined_numbers() > most


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10**6))
def test_terms_are_apart_where_no_place_has_entries_of_both(seed):
    draw = Draw(seed)
    out_shape, in_shape = draw.shapes(2)
    left, right = (draw.block(out_shape, in_shape).structure.terms for _ in range(2))
    for one in left:
        for other in right:
            places = [
                set(zip(*map(np.ndarray.tolist, term_places(term)), strict=True)) for term in (one, other)
            ]
            if all(
                len(found) == np.prod(term.sizes) for found, term in zip(places, (one, other), strict=True)
            ):
                assert are_apart(one, other) == places[0].isdisjoint(places[1])
