"""Schemes of large formats are put together from small ones in the best of all ways."""

import itertools

import pytest

from alphagrad.matmul import rotate, standard, strassen
from alphagrad.matmul._assemble import assemble, parts

RANKS = {(2, 2, 2): 7, (2, 5, 5): 40, (3, 5, 5): 58}


@pytest.mark.parametrize("format", list(itertools.combinations_with_replacement(range(1, 6), 3)), ids=str)
def test_strassens_scheme_takes_all_blocks_of_two(format):
    rank, needed = parts(format, {(2, 2, 2): 7})
    blocks = [size // 2 for size in format]
    in_blocks = blocks[0] * blocks[1] * blocks[2]
    # 7 products in place of 8 for every block, and 7 such for 8 blocks; the standard algorithm does the rest.
    saved = in_blocks if in_blocks < 8 else 15
    assert rank == format[0] * format[1] * format[2] - saved
    assert needed == ({(2, 2, 2)} if in_blocks else set())
    for turned in set(itertools.permutations(format)):
        scheme = assemble(turned, [strassen()])
        scheme.verify()
        assert (scheme.format, scheme.rank, scheme.ring) == (turned, rank, "Z")


def test_the_known_ways_are_found():
    assert parts((5, 5, 5), RANKS) == (98, {(2, 5, 5), (3, 5, 5)})
    assert parts((4, 10, 10), RANKS) == (280, {(2, 2, 2), (2, 5, 5)})
    assert parts((8, 8, 8), RANKS) == (343, {(2, 2, 2)})
    assert parts((3, 5, 5), RANKS) == (58, {(3, 5, 5)})
    assert parts((1, 7, 9), RANKS) == (63, set())


def test_the_best_of_the_given_schemes_is_taken_in_any_orientation():
    narrow = assemble((3, 2, 2), [strassen()])
    assert assemble((2, 2, 3), [standard(2, 3, 2), rotate(narrow)]).rank == 11
    assert assemble((2, 2, 3), [standard(2, 3, 2)]).rank == 12
    assert assemble((2, 3, 4), []) == standard(2, 3, 4)
