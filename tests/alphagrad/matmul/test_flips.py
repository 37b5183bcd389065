"""Walks through flip graphs keep the tensor, reach the known ranks, and lift to the integers."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

from alphagrad.matmul import (
    LiftError,
    Scheme,
    SchemeError,
    best_known,
    extend,
    flip_search,
    known_rank,
    kronecker,
    lift,
    lift_any,
    lift_nearby,
    matmul_tensor,
    reduce_modulo,
    standard,
    strassen,
)
from alphagrad.matmul import _flips as flips
from alphagrad.matmul import _lift_any as lifting
from alphagrad.matmul import _search as search
from alphagrad.matmul._bits import pack, unpack

FORMATS = [(2, 2, 2), (1, 3, 4), (2, 3, 4), (3, 3, 3), (4, 4, 4), (3, 5, 4), (5, 5, 5)]


def walk_from(scheme, seed=0, patience=2000, ceiling=None, room=6):
    walk = flips.new_state(scheme.rank + room, seed)
    flips.begin(walk, pack(scheme))
    walk.top[flips.PATIENCE] = patience
    walk.top[flips.CEILING] = scheme.rank if ceiling is None else ceiling
    return walk


def factors_of(walk):
    return walk.factors[:, : int(walk.top[flips.RANK])]


def rank_of(walk):
    return int(walk.top[flips.RANK])


def assert_multiplies(walk, format):
    """By the definition, with NumPy alone."""
    scheme = unpack(format, factors_of(walk))
    tensor = np.einsum("ri,rj,rk->ijk", scheme.u, scheme.v, scheme.w) % 2
    np.testing.assert_array_equal(tensor, matmul_tensor(*format))


def assert_pairs_are_known(walk):
    """The list of pairs is that of all products that share a factor, each once, and knows its places."""
    bits, count = int(walk.top[flips.BITS]), int(walk.top[flips.PAIRS])
    codes = walk.pairs[:count].tolist()
    shared = [
        (((axis << bits) | i) << bits) | j
        for axis, i, j in itertools.product(range(3), range(rank_of(walk)), range(rank_of(walk)))
        if i < j and walk.factors[axis, i] == walk.factors[axis, j]
    ]
    assert sorted(codes) == shared
    np.testing.assert_array_equal(walk.places[codes], np.arange(count))


def assert_reduced(walk):
    """No factor is zero, and no two products share two."""
    factors = factors_of(walk)
    assert factors.all()
    shared = sum((factor[:, None] == factor).astype(int) for factor in factors)
    assert (shared - 3 * np.eye(factors.shape[1], dtype=int)).max() < 2
    assert not walk.factors[:, rank_of(walk) :].any()


@pytest.mark.parametrize("format", FORMATS, ids=str)
@pytest.mark.parametrize("seed", range(2))
def test_walks_keep_the_tensor(format, seed):
    walk = walk_from(standard(*format), seed)
    for _ in range(5):
        flips.wander(walk, np.uint64(20_000), np.uint64(0))
        assert_multiplies(walk, format)
        assert_pairs_are_known(walk)
        assert_reduced(walk)


def test_every_single_flip_keeps_the_tensor_and_at_most_the_rank():
    walk = walk_from(standard(2, 3, 2), 3)
    for _ in range(500):
        rank = rank_of(walk)
        assert flips.flip(walk)
        assert rank_of(walk) <= rank
        assert_multiplies(walk, (2, 3, 2))
        assert_pairs_are_known(walk)
        assert_reduced(walk)


def test_a_flip_changes_two_products_of_a_pair_that_shares_a_factor():
    walk = walk_from(standard(3, 3, 3), 1)
    for _ in range(200):
        before = factors_of(walk).copy()
        flips.flip(walk)
        after = factors_of(walk)
        if after.shape == before.shape:
            rows = np.flatnonzero((after != before).any(axis=0))
            assert len(rows) == 2
            assert (before[:, rows[0]] == before[:, rows[1]]).sum() == 1
            assert (after != before).sum() == 2


def test_pairs_are_drawn_uniformly_in_both_ways():
    start = standard(2, 2, 2)
    outcomes = {}
    walk = walk_from(start, 5)
    for _ in range(9600):
        flips.begin(walk, pack(start))
        flips.flip(walk)
        key = factors_of(walk).tobytes()
        outcomes[key] = outcomes.get(key, 0) + 1
    # Each of 4 entries of 3 matrices is in 2 products: 12 pairs, each with 2 flips modulo 2.
    assert len(outcomes) == 24
    counts = np.array(list(outcomes.values()))
    assert ((counts - 400) ** 2 / 400).sum() < 53  # chi squared with 23 degrees of freedom: p = 0.0004


def test_plus_transitions_keep_the_tensor_and_add_one_product_at_most():
    start = unpack((2, 2, 2), pack(strassen()))
    ranks = set()
    for seed in range(50):
        walk = walk_from(start, seed)
        assert flips.plus(walk)
        ranks.add(rank_of(walk))
        assert_multiplies(walk, (2, 2, 2))
        assert_pairs_are_known(walk)
        assert_reduced(walk)
    assert max(ranks) == 8


def test_plus_transitions_stay_below_the_ceiling_and_within_the_room():
    for ceiling in (27, 29):
        walk = walk_from(standard(3, 3, 3), 0, patience=20, ceiling=ceiling)
        highest = 0
        for _ in range(2000):
            flips.wander(walk, np.uint64(10), np.uint64(0))
            highest = max(highest, rank_of(walk))
        assert highest == ceiling
    full = walk_from(standard(4, 4, 4), 0, room=0)
    assert not flips.plus(full)
    assert_multiplies(full, (4, 4, 4))


def test_products_that_share_two_factors_are_merged_and_those_that_cancel_vanish():
    u, v, w = pack(standard(2, 2, 2))
    split = np.array([[*u, u[0], u[3], u[3]], [*v, v[0], v[1], v[1]], [*w, w[1], w[2], w[2]]])
    split[2, 0] ^= w[1]
    walk = flips.new_state(16, 0)
    flips.begin(walk, split)
    assert rank_of(walk) == 8
    assert_multiplies(walk, (2, 2, 2))
    assert_pairs_are_known(walk)


@pytest.mark.parametrize(
    "format, rank",
    [
        ((2, 2, 2), 7),
        ((2, 2, 3), 11),
        ((2, 3, 3), 15),
        ((3, 2, 3), 15),
        ((2, 3, 4), 20),
        ((3, 3, 3), 23),
        ((2, 4, 4), 26),
    ],
    ids=str,
)
def test_the_known_ranks_are_reached_and_lifted_to_the_integers(format, rank):
    found = flip_search(format, steps=200_000_000, target=rank, seed=1, known=False, workers=1)
    assert (found.format, found.rank, found.ring) == (format, rank, "Z2")
    found.verify()
    lifted = lift(found)
    lifted.verify()
    assert lifted.ring in ("Z", "Q")
    assert lifted.rank == rank
    for before, after, denominator in zip(
        (found.u, found.v, found.w), (lifted.u, lifted.v, lifted.w), lifted.denominators, strict=True
    ):
        assert denominator % 2
        np.testing.assert_array_equal(after % 2, before)


@pytest.mark.slow
@pytest.mark.parametrize("format, rank", [((3, 3, 4), 29), ((3, 4, 4), 38), ((4, 4, 4), 47)], ids=str)
def test_larger_formats_reach_the_known_ranks(format, rank):
    assert flip_search(format, seconds=240, target=rank, known=False).rank == rank


def test_the_standard_algorithm_lifts_to_itself():
    lifted = lift(standard(2, 3, 4, ring="Z2"))
    assert lifted == standard(2, 3, 4)


@pytest.mark.slow
def test_a_scheme_that_holds_modulo_2_only_does_not_lift():
    # 4x4x4 with 47 products: none is known but modulo 2.
    found = flip_search((4, 4, 4), seconds=240, target=47, seed=0, known=False)
    assert found.rank == 47
    with pytest.raises(LiftError, match="no counterpart modulo 4") as caught:
        lift(found)
    assert caught.value.modulus == 2


def test_a_scheme_that_lifts_is_not_walked_away_from():
    found = unpack((2, 2, 2), pack(strassen()))
    assert lift_nearby(found, steps=1) == lift(found)
    with pytest.raises(ValueError, match="no end"):
        lift_nearby(found)


def test_another_scheme_is_found_where_one_does_not_lift(monkeypatch):
    asked = []

    def lift_later(scheme, **more):
        asked.append(scheme)
        if len(asked) < 4:
            raise LiftError("no counterpart", 2)
        return lift(scheme, **more)

    found = flip_search((2, 2, 3), target=11, seed=0, known=False, workers=1)
    monkeypatch.setattr(lifting, "lift", lift_later)
    lifted = lift_any(found, seconds=60, known=False, workers=1)
    assert (lifted.rank, lifted.ring) == (11, "Z") and len(asked) == 4
    lifted.verify()
    asked.clear()
    with pytest.raises(LiftError, match="no counterpart"):
        lift_any(found, seconds=60, stop=lambda: True)
    with pytest.raises(LiftError, match="no counterpart"):
        lift_any(found, seconds=0)


@pytest.mark.parametrize("known", [True, False])
def test_a_scheme_is_put_together_where_none_is_found_that_lifts(known, monkeypatch):
    def lift_small(scheme, **more):
        if scheme.format == (4, 4, 4):
            raise LiftError("no counterpart", 2)
        return lift(scheme, **more)

    monkeypatch.setattr(lifting, "lift", lift_small)
    monkeypatch.setattr(lifting, "_NEARBY", (0.0, 0.0))  # no time for walks that cannot find anything
    squared = reduce_modulo(kronecker(strassen(), strassen()), 2)
    found = lift_any(squared, seconds=120, known=known, workers=1)
    assert (found.format, found.rank, found.ring) == ((4, 4, 4), 49, "Z")
    found.verify()


@pytest.mark.slow
def test_a_scheme_of_a_rank_that_rarely_lifts_is_lifted():
    found = flip_search((3, 4, 5), seconds=240, target=47, known=False, lifting=True)
    assert lift_any(found, ring="Z", seconds=240, known=False).ring == "Z"


def test_a_format_on_the_way_is_left_when_its_known_rank_is_reached():
    ranks = {}

    def listen(at):
        ranks.setdefault(at.format, []).append(at.rank)

    flip_search((3, 3, 3), seconds=60, target=23, known=False, progress=listen)
    for format, seen in ranks.items():
        assert min(seen) >= known_rank(format)
    assert known_rank((2, 3, 2)) == known_rank((3, 2, 2)) == 11 and known_rank((9, 9, 9)) is None


def test_lifting_refuses_other_rings_and_wrong_schemes():
    with pytest.raises(ValueError, match="Z2"):
        lift(strassen())
    with pytest.raises(ValueError, match="steps"):
        lift(standard(2, 2, 2, ring="Z2"), steps=1)
    one = standard(2, 2, 2, ring="Z2")
    with pytest.raises(SchemeError):
        lift(Scheme((2, 2, 2), one.u[1:], one.v[1:], one.w[1:], "Z2"))


def test_lifting_ends_when_it_is_asked_to():
    scheme = reduce_modulo(strassen(), 2)
    asked = itertools.count()
    with pytest.raises(LiftError, match="was not lifted in time"):
        lift(scheme, stop=lambda: next(asked) > 100)
    assert lift(scheme, stop=lambda: False) == lift(scheme)


@pytest.mark.parametrize("format", [(4, 4, 4), (8, 8, 8)], ids=str)
def test_walks_leave_schemes_without_flips_and_come_back(format):
    """4x4x4 of rank 47 has none: plus transitions lead away, and merges back, which must not take long."""
    scheme = best_known(format)
    walk = walk_from(scheme, patience=50, ceiling=scheme.rank + 2)
    assert walk.top[flips.PAIRS] == 0
    for _ in range(5):
        flips.wander(walk, np.uint64(5000), np.uint64(0))
        unpack(format, factors_of(walk)).verify()
        assert_reduced(walk)
    assert_pairs_are_known(walk)


@pytest.mark.parametrize("known", [True, False])
def test_one_worker_and_a_count_of_steps_make_a_search_reproducible(known, monkeypatch):
    monkeypatch.setattr(search, "best_known", lambda format, ring: standard(*format, ring=ring))
    found = [
        flip_search((3, 3, 4), steps=3_000_000, seed=seed, known=known, workers=1, progress=lambda at: None)
        for seed in (4, 4, 5)
    ]
    assert found[0] == found[1]
    assert found[0] != found[2]
    assert found[0].rank < 36


def test_a_search_begins_with_what_it_is_given():
    best = flip_search((2, 2, 2), start=strassen(), steps=1000, workers=1)
    assert best.rank == 7
    rational = Scheme((2, 2, 2), strassen().u, strassen().v, strassen().w, "Q")
    wider = flip_search((2, 2, 3), start=[rational, strassen()], steps=1, workers=1)
    assert wider.rank <= 11
    narrow = flip_search((2, 2, 2), start=extend(strassen(), 1), steps=1, workers=1)
    assert (narrow.format, narrow.rank) == ((2, 2, 2), 7)


def test_two_workers_share_what_they_find():
    seen = []
    found = flip_search((3, 3, 3), seconds=60, target=23, known=False, workers=2, progress=seen.append)
    assert found.rank == 23
    found.verify()
    final = seen[-1]
    assert (final.format, final.rank, final.scheme) == ((3, 3, 3), 23, found)
    assert final.flips > 0 and final.seconds > 0


def test_a_search_ends_when_progress_says_so_and_keeps_what_it_has():
    found = flip_search(
        (4, 4, 4), seconds=600, known=False, progress=lambda at: at.rank < 64 and at.seconds > 0.5
    )
    assert found.rank < 64
    found.verify()


@pytest.mark.parametrize(
    "format", [(2, 3, 3), (4, 4, 5), (6, 6, 6), (7, 7, 7), (8, 8, 8), (2, 9, 3)], ids=str
)
@pytest.mark.parametrize("lifting", [False, True])
def test_a_search_is_never_worse_than_the_best_known(format, lifting):
    found = flip_search(format, seconds=0.5, target=2, lifting=lifting)
    assert found.rank <= best_known(format, "Z" if lifting else "Z2").rank
    found.verify()


def test_what_is_known_to_be_good_enough_needs_no_search():
    assert flip_search((4, 4, 4), target=47, workers=1) == best_known((4, 4, 4))
    assert flip_search((2, 3, 3), steps=1, target=16, lifting=True) == best_known((2, 3, 3))


def test_a_search_for_a_product_with_a_vector_ends_at_once():
    assert flip_search((1, 1, 1), seconds=600).rank == 1
    assert flip_search((1, 3, 4), seconds=600).rank == 12


@pytest.mark.parametrize("format", [(2, 2), (0, 2, 2), (2, 2, -1), (9, 8, 2), 3, "ab"], ids=repr)
def test_formats_that_make_no_sense_are_refused(format):
    with pytest.raises(ValueError, match="format"):
        flip_search(format, seconds=1)


@pytest.mark.parametrize(
    "settings",
    [
        {"seconds": 0},
        {"steps": 0},
        {"seconds": 1, "workers": 0},
        {"seconds": 1, "target": 0},
        {"seconds": 1, "seed": -1},
        {},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValueError):
        flip_search((2, 2, 2), **settings)


def test_starts_that_hold_no_scheme_modulo_2_are_refused():
    one = standard(2, 2, 2)
    with pytest.raises(SchemeError):
        flip_search((2, 2, 2), seconds=1, start=Scheme((2, 2, 2), one.u[1:], one.v[1:], one.w[1:]))
    with pytest.raises(ValueError, match="Z3"):
        flip_search((2, 2, 2), seconds=1, start=standard(2, 2, 2, ring="Z3"))
    halves = Scheme((2, 2, 2), one.u, one.v, one.w * 2, "Q", (2, 1, 1))
    with pytest.raises(ValueError, match="denominator"):
        flip_search((2, 2, 2), seconds=1, start=halves)
    for nothing in ([], "strassen"):
        with pytest.raises(TypeError, match="start"):
            flip_search((2, 2, 2), seconds=1, start=nothing)


def test_the_package_is_imported_without_the_compiler():
    code = "import sys, alphagrad.matmul; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
