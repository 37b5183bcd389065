"""Schemes from schemes: symmetries, products, sums, extensions and projections, and when two are the same."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ._scheme import Format, Scheme, as_format, characteristic, standard


def change_basis(scheme: Scheme, p: Any, q: Any, r: Any) -> Scheme:
    """The scheme for A, B and C replaced by p A q^-1, q B r^-1 and r C p^-1, which leave trace(A B C) alone.

    De Groote's sandwiching: for the 2 x 2 matrices it leads from Strassen's scheme to every other of rank 7
    ("On varieties of optimal algorithms for the computation of bilinear mappings II", 1978).

    Args:
        scheme: for an n x m by an m x p matrix.
        p, q, r: square matrices of sizes n, m and p, invertible in the scheme's ring, of integers (over "Z"
            with determinants 1 or -1) or, over "Q", of integers or fractions.

    Returns:
        a scheme of the same format, ring and rank.

    Raises:
        ValueError: for matrices of other shapes, or not invertible.
        TypeError: for entries that are not in the ring.

    Example:
        >>> shear, one = [[1, 1], [0, 1]], np.eye(2, dtype=int)
        >>> scheme = matmul.change_basis(matmul.strassen(), shear, one, one)
        >>> scheme.verify()
        >>> matmul.equivalent(scheme, matmul.strassen())
        False
    """
    names = {"p": (p, scheme.format[0]), "q": (q, scheme.format[1]), "r": (r, scheme.format[2])}
    pairs = [_with_inverse(name, matrix, size, scheme.ring) for name, (matrix, size) in names.items()]
    factors = [
        _exact(before).T @ factor @ after_inverse.T
        for factor, (before, _), (_, after_inverse) in zip(
            _matrices(scheme), pairs, pairs[1:] + pairs[:1], strict=True
        )
    ]
    return _from_matrices(scheme.format, factors, scheme.ring)


def sandwiches(format: Format, count: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Random integer matrices that turn the tensor of a multiplication into itself.

    Those of `change_basis` with small p, q and r, as matrices that act on the three axes of the tensor: on a
    scheme's rows u, v and w from the right, transposed.

    Args:
        format: (n, m, p).
        count: how many triples.
        seed: they are a function of.

    Returns:
        as many triples of square matrices, of sizes n m, m p and p n.

    Example:
        >>> ((a, b, c),) = matmul.sandwiches((2, 2, 2), count=1)
        >>> tensor = matmul.matmul_tensor(2, 2, 2)
        >>> bool((np.einsum("ai,bj,ck,ijk->abc", a, b, c, tensor) == tensor).all())
        True
    """
    random = np.random.default_rng(seed)
    triples = []
    for _ in range(count):
        pairs = [_unimodular(size, random) for size in format]
        ends = pairs[1:] + pairs[:1]
        triples.append(
            tuple(np.kron(matrix, inverse.T) for (matrix, _), (_, inverse) in zip(pairs, ends, strict=True))
        )
    return triples


def _unimodular(size: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A signed permutation after a row operation or two, and the inverse."""
    order, signs = random.permutation(size), random.choice((-1, 1), size)
    matrix = np.eye(size, dtype=np.int64)[order] * signs
    inverse = matrix.T.copy()
    for _ in range(random.integers(0, 3) if size > 1 else 0):
        to, of = random.choice(size, 2, replace=False)
        sign = random.choice((-1, 1))
        matrix[to] += sign * matrix[of]
        inverse[:, of] -= sign * inverse[:, to]
    return matrix, inverse


def rotate(scheme: Scheme) -> Scheme:
    """The cyclic symmetry, trace(A B C) = trace(B C A): a scheme for (n, m, p) becomes one for (m, p, n).

    Args:
        scheme: the scheme.

    Returns:
        one of the same rank.

    Example:
        >>> matmul.rotate(matmul.standard(2, 3, 4))
        Scheme(3x4x2, rank 24, Z)
    """
    n, m, p = scheme.format
    u, v, w = _matrices(scheme)
    return _from_matrices((m, p, n), (v, w, u), scheme.ring)


def transpose(scheme: Scheme) -> Scheme:
    """The symmetry (A B)^T = B^T A^T: a scheme for (n, m, p) becomes one for (p, m, n).

    Args:
        scheme: the scheme.

    Returns:
        one of the same rank.

    Example:
        >>> matmul.transpose(matmul.standard(2, 3, 4))
        Scheme(4x3x2, rank 24, Z)
    """
    n, m, p = scheme.format
    u, v, w = (factor.swapaxes(1, 2) for factor in _matrices(scheme))
    return _from_matrices((p, m, n), (v, u, w), scheme.ring)


def kronecker(first: Scheme, second: Scheme) -> Scheme:
    """The scheme for matrices of `first`'s format whose entries are blocks of `second`'s format.

    Formats and ranks multiply.

    Args:
        first, second: the schemes of the outer and of the inner format.

    Returns:
        the scheme.

    Raises:
        ValueError: for rings that have nothing in common.

    Example:
        >>> matmul.kronecker(matmul.strassen(), matmul.strassen())
        Scheme(4x4x4, rank 49, Z)
    """
    ring = _common_ring(first, second)
    format = as_format(a * b for a, b in zip(first.format, second.format, strict=True))
    factors = [
        (outer[:, None, :, None, :, None] * inner[None, :, None, :, None, :]).reshape(
            first.rank * second.rank, outer.shape[1] * inner.shape[1], outer.shape[2] * inner.shape[2]
        )
        for outer, inner in zip(_matrices(first), _matrices(second), strict=True)
    ]
    return _from_matrices(format, factors, ring)


def concatenate(first: Scheme, second: Scheme, axis: int) -> Scheme:
    """The scheme for matrices put together from blocks, one multiplied by `first` and one by `second`.

    Formats add along one size and ranks add: along n the blocks of A stand below each other, along p those of
    B beside each other, and along m the blocks of A stand beside each other, those of B below each other.

    Args:
        first, second: schemes whose formats agree but for one size.
        axis: which size: 0, 1 or 2 for n, m or p.

    Returns:
        the scheme.

    Raises:
        ValueError: for other formats, or rings that have nothing in common.

    Example:
        >>> matmul.concatenate(matmul.strassen(), matmul.standard(2, 2, 1), axis=2)
        Scheme(2x2x3, rank 11, Z)
    """
    axis = _as_axis(axis)
    if any(first.format[other] != second.format[other] for other in range(3) if other != axis):
        raise ValueError(
            f"formats {first.format} and {second.format} can't be joined along {'nmp'[axis]}: "
            "the two other sizes must agree"
        )
    ring = _common_ring(first, second)
    format = as_format(size + second.format[at] * (at == axis) for at, size in enumerate(first.format))
    shift = [size * (at == axis) for at, size in enumerate(first.format)]
    parts = zip(_embedded(first, format, (0, 0, 0)), _embedded(second, format, shift), strict=True)
    return _from_matrices(format, [np.concatenate(pair) for pair in parts], ring)


def direct_sum(first: Scheme, second: Scheme) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The factors of the direct sum of two schemes' tensors: two products of matrices that share nothing.

    That is no multiplication of matrices of one format, hence no `Scheme`; Schönhage's theorem speaks of it
    ("Partial and total matrix multiplication", 1981).

    Args:
        first, second: schemes over rings that have something in common.

    Returns:
        u, v and w, block-diagonal, with `first.rank + second.rank` rows; over "Q" of fractions.

    Raises:
        ValueError: for rings that have nothing in common.

    Example:
        >>> u, v, w = matmul.direct_sum(matmul.strassen(), matmul.standard(1, 1, 1))
        >>> u.shape, v.shape, w.shape
        ((8, 5), (8, 5), (8, 5))
    """
    characteristic(_common_ring(first, second))
    factors = []
    for one, other in zip(_matrices(first), _matrices(second), strict=True):
        one, other = one.reshape(first.rank, -1), other.reshape(second.rank, -1)
        right = np.zeros((first.rank, other.shape[1]), np.int64)
        left = np.zeros((second.rank, one.shape[1]), np.int64)
        factors.append(np.block([[one, right], [left, other]]))
    u, v, w = factors
    return u, v, w


def extend(scheme: Scheme, axis: int, by: int = 1) -> Scheme:
    """The scheme for a format with `by` more in one size, which the standard algorithm takes care of.

    Args:
        scheme: any.
        axis: 0, 1 or 2 for n, m or p.
        by: at least 1.

    Returns:
        the scheme.

    Raises:
        ValueError: for another axis.

    Example:
        >>> matmul.extend(matmul.strassen(), axis=0)
        Scheme(3x2x2, rank 11, Z)
    """
    sizes = list(scheme.format)
    sizes[_as_axis(axis)] = by
    return concatenate(scheme, standard(*sizes, ring=scheme.ring), axis)


def project(scheme: Scheme, axis: int, index: int = -1) -> Scheme:
    """The scheme for a format with one less in one size, by striking out a row or column.

    Products of which a factor vanishes are left out.

    Args:
        scheme: one with at least 2 in that size.
        axis: 0, 1 or 2 for n, m or p.
        index: which row or column; negative ones count from the end.

    Returns:
        the scheme, of as many products or fewer.

    Raises:
        ValueError: for a size of 1, or an index beyond the size.

    Example:
        >>> matmul.project(matmul.strassen(), axis=0)
        Scheme(1x2x2, rank 4, Z)
    """
    axis = _as_axis(axis)
    size = scheme.format[axis]
    if size < 2 or not -size <= index < size:
        raise ValueError(f"can't strike out {index} of {'nmp'[axis]} in a scheme for {scheme.format}")
    factors = _matrices(scheme)
    # Size n is that of the rows of u and the columns of w; m and p follow by rotation.
    factors[axis] = np.delete(factors[axis], index, axis=1)
    factors[axis - 1] = np.delete(factors[axis - 1], index, axis=2)
    format = as_format(size - (at == axis) for at, size in enumerate(scheme.format))
    return _without_zeros(_from_matrices(format, factors, scheme.ring))


def reduce_modulo(scheme: Scheme, prime: int = 2) -> Scheme:
    """The scheme modulo a prime; products of which a factor vanishes are left out.

    Args:
        scheme: over the integers or rationals, or modulo the prime already.
        prime: the prime.

    Returns:
        a scheme over "Zp", of as many products or fewer.

    Raises:
        ValueError: for a number that is no prime, and for denominators that it divides.

    Example:
        >>> matmul.reduce_modulo(matmul.strassen())
        Scheme(2x2x2, rank 7, Z2)
    """
    ring = f"Z{prime}"
    if characteristic(scheme.ring) not in (0, characteristic(ring)):
        raise ValueError(f"a scheme over {scheme.ring} can't be reduced to {ring}")
    factors = []
    for name, factor, denominator in zip(
        "uvw", (scheme.u, scheme.v, scheme.w), scheme.denominators, strict=True
    ):
        if denominator % prime == 0:
            raise ValueError(f"{name} has the denominator {denominator}, which vanishes modulo {prime}")
        factors.append(factor % prime * pow(denominator, -1, prime))
    u, v, w = factors
    return _without_zeros(Scheme(scheme.format, u, v, w, ring))


def canonical(scheme: Scheme) -> Scheme:
    """The same products in a fixed order, with fixed scales.

    Over "Z" and "Q" each u and v consists of integers without a common divisor, the first that is not zero
    being positive; modulo a prime that first entry is 1. w takes what is left. Rows are sorted, and products
    that are zero are left out.

    Args:
        scheme: the scheme.

    Returns:
        a scheme of as many products or fewer, equal for all that :func:`equivalent` takes for one.

    Example:
        >>> scheme = matmul.strassen()
        >>> turned = matmul.Scheme(scheme.format, -scheme.u[::-1], -scheme.v[::-1], scheme.w[::-1])
        >>> matmul.canonical(turned) == matmul.canonical(scheme)
        True
    """
    prime = characteristic(scheme.ring)
    scheme = _without_zeros(scheme)
    u, v, w = (factor.astype(object) for factor in (scheme.u, scheme.v, scheme.w))
    for row in range(scheme.rank):
        for factor in (u, v):
            first = next(entry for entry in factor[row] if entry)
            if prime:
                scale = first
                factor[row] = factor[row] * pow(first, -1, prime) % prime
            else:
                scale = math.gcd(*factor[row]) * (1 if first > 0 else -1)
                factor[row] //= scale
            w[row] *= scale
    w = w % prime if prime else w * Fraction(1, math.prod(scheme.denominators))
    order = sorted(range(scheme.rank), key=lambda row: (*u[row], *v[row], *w[row]))
    return Scheme(scheme.format, u[order], v[order], w[order], scheme.ring)


def equivalent(first: Scheme, second: Scheme) -> bool:
    """Whether two schemes consist of the same rank-one tensors.

    The group that is divided out permutes the products and scales the factors of a product by numbers whose
    product is 1; nothing else: schemes that differ by `change_basis`, `rotate` or `transpose` count as
    different. Whether some change of basis leads from one to the other is a hard question; `rank_triples`
    often answers it with no, never with yes.

    Args:
        first, second: the schemes.

    Returns:
        True if they are one but for order and scales.

    Example:
        >>> scheme = matmul.strassen()
        >>> matmul.equivalent(scheme, matmul.Scheme(scheme.format, -scheme.u, scheme.v, -scheme.w))
        True
        >>> matmul.equivalent(scheme, matmul.winograd())
        False
    """
    return canonical(first) == canonical(second)


def rank_triples(scheme: Scheme) -> Counter[tuple[int, int, int]]:
    """How many products have factors that are matrices of such ranks.

    Ranks are taken in the ring's field of fractions. No change of basis alters them; `rotate` turns the
    triples and `transpose` exchanges their first two. Schemes that differ in it after each of the six
    symmetries these make are not equivalent in de Groote's sense; schemes that agree in it may be or not.

    Args:
        scheme: the scheme.

    Returns:
        how often each triple of ranks, of the factors of A, B and C, occurs.

    Example:
        >>> sorted(matmul.rank_triples(matmul.strassen()).items())
        [((1, 1, 1), 6), ((2, 2, 2), 1)]
    """
    prime = characteristic(scheme.ring)
    u, v, w = ([_echelon(matrix, prime)[1] for matrix in factor] for factor in scheme.matrices)
    return Counter(zip(u, v, w, strict=True))


def _matrices(scheme: Scheme) -> list[np.ndarray]:
    """The factors as stacks of matrices of integers, or of fractions over "Q"."""
    if scheme.ring != "Q":
        return list(scheme.matrices)
    pairs = zip(scheme.matrices, scheme.denominators, strict=True)
    return [factor.astype(object) * Fraction(1, denominator) for factor, denominator in pairs]


def _from_matrices(format: Format, factors: Any, ring: str) -> Scheme:
    u, v, w = (factor.reshape(len(factor), -1) for factor in factors)
    return Scheme(format, u, v, w, ring)


def _embedded(scheme: Scheme, format: Format, shift: Sequence[int]) -> list[np.ndarray]:
    """The factors within matrices of a larger format, from the indices `shift` on."""
    larger = []
    for factor, at in zip(_matrices(scheme), ((0, 1), (1, 2), (2, 0)), strict=True):
        padding = [(shift[size], format[size] - shift[size] - scheme.format[size]) for size in at]
        larger.append(np.pad(factor, [(0, 0), *padding]))
    return larger


def _without_zeros(scheme: Scheme) -> Scheme:
    factors = (scheme.u, scheme.v, scheme.w)
    kept = np.logical_and.reduce([factor.any(axis=1) for factor in factors])
    u, v, w = (factor[kept] for factor in factors)
    return Scheme(scheme.format, u, v, w, scheme.ring, scheme.denominators)


def _common_ring(first: Scheme, second: Scheme) -> str:
    """The smallest of the two rings that both schemes can be read in."""
    rings = {first.ring, second.ring}
    if len(rings) > 1:
        rings.discard("Z")
    if len(rings) > 1:
        raise ValueError(f"schemes over {first.ring} and {second.ring} don't mix; use reduce_modulo first")
    return rings.pop()


def _as_axis(axis: int) -> int:
    if axis not in (0, 1, 2):
        raise ValueError(f"axis is {axis!r}; expected 0, 1 or 2, for n, m or p")
    return axis


def _exact(matrix: Any) -> np.ndarray:
    """A matrix of Python's integers and fractions, which know no overflow."""
    return np.asarray(matrix).astype(object)


def _with_inverse(name: str, matrix: Any, size: int, ring: str) -> tuple[np.ndarray, np.ndarray]:
    matrix = _exact(matrix)
    if matrix.shape != (size, size):
        raise ValueError(f"{name} has the shape {matrix.shape}; expected {(size, size)}")
    if not all(isinstance(entry, int | Fraction if ring == "Q" else int) for entry in matrix.flat):
        raise TypeError(f"{name} has entries that are not in {ring}")
    one = _exact(np.eye(size, dtype=int))
    both = _echelon(np.concatenate([matrix, one], axis=1), characteristic(ring))[0]
    inverse = both[:, size:]
    whole = ring != "Z" or all(Fraction(entry).denominator == 1 for entry in inverse.flat)
    if (both[:, :size] != one).any() or not whole:
        raise ValueError(f"{name} is not invertible over {ring}")
    return matrix, inverse


def _echelon(matrix: Any, prime: int) -> tuple[np.ndarray, int]:
    """The reduced row echelon form, in the rationals or modulo a prime, and the rank."""
    rows = _exact(matrix)
    if prime:
        rows = rows % prime
    rank = 0
    for column in range(rows.shape[1]):
        pivot = next((row for row in range(rank, len(rows)) if rows[row, column]), None)
        if pivot is None:
            continue
        rows[[rank, pivot]] = rows[[pivot, rank]]
        first = rows[rank, column]
        rows[rank] = rows[rank] * (pow(first, -1, prime) if prime else Fraction(1, first))
        for row in range(len(rows)):
            if row != rank:
                rows[row] = rows[row] - rows[row, column] * rows[rank]
        if prime:
            rows %= prime
        rank += 1
        if rank == len(rows):
            break
    return rows, rank
