"""Ranks of schemes in the literature."""

from __future__ import annotations

from ._scheme import Format, sorted_format

# The lowest ranks modulo 2 in the literature, from the catalogue at fmm.univ-lille.fr and M. Kauers and
# J. Moosbauer, arXiv 2212.01175; 4x5x5 from Y. Arai et al., arXiv 2312.16960; 5x5x5 from J. Moosbauer and
# M. Poole, arXiv 2502.04514.
KNOWN = {
    (2, 2, 2): 7,
    (2, 2, 3): 11,
    (2, 2, 4): 14,
    (2, 2, 5): 18,
    (2, 3, 3): 15,
    (2, 3, 4): 20,
    (2, 3, 5): 25,
    (2, 4, 4): 26,
    (2, 4, 5): 33,
    (2, 5, 5): 40,
    (3, 3, 3): 23,
    (3, 3, 4): 29,
    (3, 3, 5): 36,
    (3, 4, 4): 38,
    (3, 4, 5): 47,
    (3, 5, 5): 58,
    (4, 4, 4): 47,
    (4, 4, 5): 60,
    (4, 5, 5): 73,
    (5, 5, 5): 93,
}

# The same over the integers, which is more for some: 4x4x4 is Strassen's scheme twice, 4x4x5 from A. Novikov
# et al., arXiv 2506.13131, 4x5x5 from A. Fawzi et al., Nature 610 (2022).
KNOWN_OVER_INTEGERS = {**KNOWN, (4, 4, 4): 49, (4, 4, 5): 61, (4, 5, 5): 76}


def known_rank(format: Format, ring: str = "Z2") -> int | None:
    """The lowest rank in the literature, for small formats; None for others.

    Args:
        format: (n, m, p).
        ring: "Z2", or anything else for the integers.

    Returns:
        the rank, or None.

    Example:
        >>> matmul.known_rank((4, 4, 4)), matmul.known_rank((4, 4, 4), "Z"), matmul.known_rank((9, 9, 9))
        (47, 49, None)
    """
    return (KNOWN if ring == "Z2" else KNOWN_OVER_INTEGERS).get(sorted_format(format))
