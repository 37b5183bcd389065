"""The schemes that ship with the package, and the best that can be put together from them."""

from __future__ import annotations

import functools
from pathlib import Path

from ._assemble import assemble, parts
from ._scheme import Format, Scheme, SchemeError, as_format, characteristic
from ._transform import reduce_modulo

#: A file for each format and ring, named after both and the rank; the sizes rise, and the ring is "Z", or
#: "Z2" where that takes fewer products. What others can be put together to has none. `benchmarks/library.py`
#: writes them.
LIBRARY = Path(__file__).parent / "library"


def best_known(format: Format, ring: str = "Z2") -> Scheme:
    """The scheme of the fewest products that this package knows without a search.

    It is put together, by block matrices and Kronecker products, from schemes of small formats that the
    package's own search has found and that ship with it; where they are of no use, it is the standard
    algorithm. That takes some milliseconds for sizes up to 8, and seconds for sizes of 16 and more.

    Args:
        format: (n, m, p), for an n x m by an m x p matrix.
        ring: "Z", "Q", or "Zp" for the integers modulo a prime p. Schemes over the integers are good for all
            rings; modulo 2 there are some of fewer products besides.

    Returns:
        the scheme, over that ring, verified.

    Raises:
        TypeError, ValueError: for a format that is not three positive sizes, or an unknown ring.

    Example:
        >>> matmul.best_known((4, 4, 4), "Z"), matmul.best_known((4, 4, 4), "Z2")
        (Scheme(4x4x4, rank 49, Z), Scheme(4x4x4, rank 47, Z2))

    The catalogue of A. Sedoglavic (fmm.univ-lille.fr) puts schemes together in these ways, too.
    """
    sizes, prime = as_format(format), characteristic(ring)
    files = _files("Z2") if prime == 2 else _files("Z")
    _, needed = parts(sizes, {part: rank for part, (rank, _) in files.items()})
    scheme = assemble(sizes, [_load(*files[part]) for part in needed])
    if prime:
        scheme = reduce_modulo(scheme, prime)
    else:
        scheme = Scheme(sizes, scheme.u, scheme.v, scheme.w, ring)
    scheme.verify()
    return scheme


@functools.cache
def _files(ring: str) -> dict[Format, tuple[int, Path]]:
    """The rank and the file of the best scheme of each format, by their names alone."""
    files: dict[Format, tuple[int, Path]] = {}
    for path in LIBRARY.glob("*.json"):
        format, of, rank = path.stem.split("_")
        n, m, p = map(int, format.split("x"))
        if of in ("Z", ring):
            files[n, m, p] = min(files.get((n, m, p), (int(rank), path)), (int(rank), path))
    return files


@functools.cache
def _load(rank: int, path: Path) -> Scheme:
    scheme = Scheme.load(path)
    if scheme.rank != rank:
        raise SchemeError(f"{path} is named after the rank {rank} and holds one of {scheme.rank}")
    return scheme
