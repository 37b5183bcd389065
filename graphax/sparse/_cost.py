"""What Jacobians cost, and what is decided by it.

The algebra is exact in whatever form a product or a sum is written. What a form takes, in the two
conventions, and which of several forms is taken stands here; `_compose.py`, `_add.py` and the rest ask.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import jax

from ._term import Kind, Term

# Prices ---------------------------------------------------------------------------------------------------


def price_of_product(
    kinds: tuple[Kind, Kind],
    axes: tuple[Sequence[int], Sequence[int]],
    kept: Iterable[int],
    contracted: Iterable[int],
    repeats: int,
    sizes: Mapping[int, int],
    held: int,
) -> tuple[int, int, int]:
    """What the product of two terms takes, but for the additions of entries that fall together.

    Args:
        kinds: what the factors hold.
        axes: the labels that they vary along.
        kept: the labels of the product's value, before entries that fall together are added up.
        contracted: the labels of both values that the product sums over.
        repeats: how often it sums over the same numbers.
        sizes: of all labels.
        held: the numbers of the product's value after that, which is when a static number multiplies it.

    Returns:
        multiplications executed (none with a unit, nor where there is no array), multiplications in the
        counted convention (over all labels of both values), and additions.
    """

    def count(labels: Iterable[int]) -> int:
        return math.prod([sizes[label] for label in labels])

    of_result = count(kept)
    union = of_result * count(contracted)
    mults = adds = 0
    if kinds == (Kind.VALUE, Kind.VALUE):
        mults = union + (held if repeats != 1 else 0)
        adds = union - of_result
    elif Kind.VALUE in kinds and (Kind.UNIT not in kinds or repeats != 1):
        mults = held
    for kind, labels in zip(kinds, axes, strict=True):
        if kind is Kind.VALUE:  # what only one value varies along is summed before the product
            adds += count(labels) - count({*kept, *contracted}.intersection(labels))
    return mults, 0 if Kind.COPY in kinds else count({*axes[0], *axes[1]}), adds


# One term or two ------------------------------------------------------------------------------------------

# Where the Jacobian will be dense in the end, two terms that fit into so few numbers are always one: some
# zeros cost less than another operation, and fewer structures make smaller tables for games and searches.
# The second figure is for terms of labels alone, without slices and tables.
ONE_TERM, ONE_TERM_OF_LABELS = 1024, 4096

# More terms than this become one: every further product and sum looks at all of them.
MAX_TERMS = 64

# Too many terms become a list of their entries where there are at least so many places, no more than one in
# so many of them taken; elsewhere an array with zeros, which is faster to work with.
_LISTED_FROM, _LISTED_BELOW = 1 << 14, 16


def worth_one_term(left: Term, right: Term, sparse: bool) -> int:
    """How many numbers the sum of two terms may hold as one term."""
    both = left.numbers + right.numbers
    if sparse:
        return both
    return max(both, ONE_TERM_OF_LABELS if left.labels_alone and right.labels_alone else ONE_TERM)


def no_sparser_than_dense(terms: Sequence[Term]) -> bool:
    """Whether terms hold as many numbers as there are entries."""
    entries = math.prod(terms[0].out_shape + terms[0].in_shape)
    return sum(term.numbers for term in terms) >= entries


def worth_listing(entries: int, places: int) -> bool:
    """Whether so many entries at so many places are better listed than written into an array."""
    return places >= _LISTED_FROM and entries * _LISTED_BELOW <= places


# Zeros of static arrays are left out of sparse Jacobians where one entry in so many is none, or one in two of
# a small array: a list of entries times a matrix takes as long for each of them as a product of matrices does
# for some forty. From what nothing is multiplied by any more they are left out where they are a tenth.
_SUPPORTED_BELOW, _SMALL_SUPPORT = 16, 1 << 10


def worth_leaving_out(entries: int, places: int) -> bool:
    """Whether so many entries of a factor are listed, and its other places left out."""
    return entries * (2 if places <= _SMALL_SUPPORT else _SUPPORTED_BELOW) <= places


def worth_leaving_out_at_last(entries: int, places: int) -> bool:
    """Whether so many entries of a sparse Jacobian are listed, and its other places left out."""
    return 10 * entries <= 9 * places


# Labels that tables lead to are found by a static array of all places, if it is no larger than this.
LARGEST_INVERSE = 1 << 20

# The terms of a Jacobian are scattered into zeros together where there are at least so many places, and no
# more than one in so many is taken: XLA is slower by far in adding up arrays that are mostly zeros.
_SCATTERED_FROM, _SCATTERED_BELOW = 1 << 8, 8


def worth_scattering(terms: Sequence[Term]) -> bool:
    """Whether a dense Jacobian is better made by one scatter of all entries than term by term."""
    entries = sum(math.prod(term.sizes) for term in terms)
    places = math.prod(terms[0].out_shape + terms[0].in_shape)
    if are_zeros_written_at_once(places):
        return len(terms) > _FEW_TERMS
    few = len(terms) > 1 and places >= _SCATTERED_FROM and entries * _SCATTERED_BELOW <= places
    return few or worth_listing(entries, places)


# How it is emitted ----------------------------------------------------------------------------------------

# Deltas up to this size are written out by a mask, which XLA fuses with its neighbours; larger ones by a
# scatter, whose work is that of the entries. So are parts of a diagonal that leave more places than that for
# every entry.
_LARGEST_MASK, _SPARSEST_MASK = 256, 48

# Up to so many places for every entry they are gathered from the entries.
_GATHERED = 16

# On a GPU a scatter is three kernels, each of which takes as long to start as a hundred thousand entries to
# write: up to so many places are written with their zeros by the kernel that computes the entries, and up to
# so many terms are added up there, each with zeros where the others have entries.
_WRITTEN_AT_ONCE, _FEW_TERMS = 1 << 18, 8


# There, too, sums of up to so many products are kernels that share what they read with their neighbours; a
# `dot_general` does not.
_SUMMED_AT_ONCE = 1 << 12


def worth_summing(products: int) -> bool:
    """Whether so many products, too many to be fused with all else, are summed without a `dot_general`."""
    return products <= _SUMMED_AT_ONCE and jax.default_backend() != "cpu"


def are_zeros_written_at_once(places: int) -> bool:
    """Whether so many places are better written, zeros included, by the kernel that computes the entries."""
    return places <= _WRITTEN_AT_ONCE and jax.default_backend() != "cpu"


def worth_a_mask(entries: int, places: int) -> bool:
    """Whether parts of a diagonal with so many entries are written out to so many places by a mask."""
    if are_zeros_written_at_once(places):
        return True
    return entries <= _LARGEST_MASK and (places == entries**2 or places <= _SPARSEST_MASK * entries)


def worth_gathering(entries: int, places: int) -> bool:
    """Whether so many places are gathered from entries, which are at most one for each, and a zero."""
    return places <= _GATHERED * entries or are_zeros_written_at_once(places)


# Contractions of up to this many products are emitted as a product and a sum, which XLA fuses with their
# neighbours; larger ones as one `dot_general`, which it vectorises better under `vmap` (measured on
# RoeFlux_3d, Perceptron and Encoder, on the CPU).
FUSED_CONTRACTION = 8

# Products of many tiny matrices are fused, too, if each sums over no more numbers: real and imaginary parts.
UNROLLED_CONTRACTION = 2

# Products with static arrays that have zeros are emitted so up to this size: a zero of the structure stays
# zero next to a NaN.
SELECTED_CONTRACTION = 1 << 16

# The same for other values with zeros of a structure, where what they meet may not be finite, and for those
# with zeros of an order. Larger products take arguments for finite there, too: a search for what is not would
# make second derivatives slower than JAX's.
SMALL_SELECTED = 1 << 9

# Larger static places of holes are seen from the zeros: compiled programs hold them as constants.
LARGEST_STATIC = 1 << 12

# Elimination along a band is a loop over rows, each of which takes little on a CPU, while a GPU starts some
# kernels for it. It pays where the band is no wider than this part of the rows, and there at least so many.
_BAND, _LONG_BAND = 8, 1 << 13


def worth_a_band(width: int, size: int) -> bool:
    """Whether equations with a band of this width are solved along it, and not as a dense matrix."""
    return width * _BAND <= size and (size >= _LONG_BAND or jax.default_backend() == "cpu")
