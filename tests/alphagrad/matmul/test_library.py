"""The best known schemes are put together from those that ship, and are right in every ring."""

import itertools

import pytest

from alphagrad.matmul import Scheme, best_known, characteristic, known_rank, standard
from alphagrad.matmul._assemble import parts
from alphagrad.matmul._library import LIBRARY

RINGS = ["Z2", "Z", "Q", "Z3"]
# By how much the library falls short of the literature modulo 2.
BEHIND = {(3, 5, 5): 1, (4, 4, 5): 2, (4, 5, 5): 3, (5, 5, 5): 6}


@pytest.mark.parametrize("format", list(itertools.combinations_with_replacement(range(2, 6), 3)), ids=str)
def test_small_formats_have_the_ranks_of_the_literature(format):
    assert best_known(format).rank <= known_rank(format) + BEHIND.get(format, 0)


@pytest.mark.parametrize("ring", RINGS)
@pytest.mark.parametrize(
    "format", [(1, 1, 1), (1, 4, 2), (3, 2, 4), (4, 4, 4), (5, 3, 6), (7, 7, 7)], ids=str
)
def test_they_multiply_over_the_ring_that_was_asked_for(format, ring):
    scheme = best_known(format, ring)
    scheme.verify()
    assert (scheme.format, scheme.ring) == (format, ring)
    assert scheme.rank <= standard(*format).rank


@pytest.mark.parametrize(
    "format, rank, integral",
    [
        ((4, 4, 4), 47, 49),
        ((6, 6, 6), 161, 161),
        ((7, 7, 7), 272, 273),
        ((8, 8, 8), 329, 343),
        ((2, 1, 9), 18, 18),
    ],
    ids=str,
)
def test_large_formats_are_put_together(format, rank, integral):
    assert best_known(format).rank <= rank
    assert best_known(format, "Z").rank <= integral


def test_orientations_do_not_matter_and_fewer_rings_never_help():
    for turned in itertools.permutations((4, 5, 6)):
        assert best_known(turned).rank == best_known((4, 5, 6)).rank <= best_known(turned, "Z").rank


def test_long_formats_are_no_deep_recursion():
    assert best_known((2, 2, 300), "Z").rank == 1050
    assert best_known((1, 1, 500)).rank == 500


def test_every_file_is_named_after_what_it_holds_and_is_needed():
    names = sorted(path.name for path in LIBRARY.iterdir())
    schemes = [Scheme.load(LIBRARY / name) for name in names]
    ranks = {}
    for name, scheme in zip(names, schemes, strict=True):
        assert name == f"{'x'.join(map(str, scheme.format))}_{scheme.ring}_{scheme.rank}.json"
        assert list(scheme.format) == sorted(scheme.format) and scheme.ring in ("Z", "Z2")
        ranks[scheme.ring, scheme.format] = scheme.rank
    assert len(ranks) == len(names)
    integral = {format: rank for (ring, format), rank in ranks.items() if ring == "Z"}
    lowest = integral | {format: rank for (ring, format), rank in ranks.items() if ring == "Z2"}
    for (ring, format), rank in ranks.items():
        others = {other: least for other, least in (lowest if characteristic(ring) else integral).items()}
        assert parts(format, {other: others[other] for other in others if other != format})[0] > rank
        assert ring == "Z" or rank < integral.get(format, rank + 1)


@pytest.mark.parametrize("format", [(2, 2), (0, 2, 2), "ab", None], ids=repr)
def test_formats_that_make_no_sense_are_refused(format):
    with pytest.raises((ValueError, TypeError), match="format"):
        best_known(format)


def test_unknown_rings_are_refused():
    with pytest.raises(ValueError, match="ring"):
        best_known((2, 2, 2), "R")
