"""Bilinear schemes for the product of two matrices: what they are, whether they hold, and their files."""

from __future__ import annotations

import itertools
import math
import operator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from ._additions import Additions, share
from ._scheme_file import Content, check_kind, read_content, write_content

Format = tuple[int, int, int]

# How many entries of the tensor are computed at once.
_ENTRIES_AT_ONCE = 2**22


class SchemeError(ValueError):
    """A scheme that does not multiply matrices, or a file that holds none.

    Args:
        message: what went wrong.
        entry, found, expected: as below.

    Attributes:
        entry: the indices (i, j, k) of the tensor where the scheme fails first; None if there is no scheme.
        found: what the scheme's products sum to there.
        expected: what the tensor of the multiplication has there.

    Example:
        >>> scheme = matmul.strassen()
        >>> wrong = matmul.Scheme(scheme.format, scheme.u, scheme.v, -scheme.w)
        >>> try:
        ...     wrong.verify()
        ... except matmul.SchemeError as error:
        ...     print(error.entry, error.found, error.expected)
        (0, 0, 0) -1 1
    """

    def __init__(
        self,
        message: str,
        entry: tuple[int, int, int] | None = None,
        found: Fraction | int | None = None,
        expected: int | None = None,
    ):
        super().__init__(message)
        self.entry = entry
        self.found = found
        self.expected = expected


def characteristic(ring: str) -> int:
    """The prime p of a ring "Zp", and 0 for the integers "Z" and the rationals "Q".

    Args:
        ring: the ring's name.

    Returns:
        a whole number.

    Raises:
        ValueError: for another name, and for a prime of 2**15 and more.

    Example:
        >>> matmul.characteristic("Z"), matmul.characteristic("Z2")
        (0, 2)
    """
    if ring in ("Z", "Q"):
        return 0
    digits = ring[1:] if isinstance(ring, str) and ring.startswith("Z") else ""
    prime = int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 6 else 0
    if not 2 <= prime < 2**15 or any(prime % divisor == 0 for divisor in range(2, math.isqrt(prime) + 1)):
        raise ValueError(
            f'ring is {ring!r}; expected "Z", "Q" or "Zp" with a prime p below 2**15, such as "Z2"'
        )
    return prime


@dataclass(frozen=True, eq=False)
class Scheme:
    """A way to multiply an n x m by an m x p matrix with `rank` products of linear forms.

    Product r is (u[r] . vec A)(v[r] . vec B), and the transpose of A B, which is p x n, gets w[r] times it;
    all matrices are row-major. In other words, sum_r u[r, i] v[r, j] w[r, k] is the tensor of trace(A B C):
    the form in which the three factors may be rotated (de Groote, "On varieties of optimal algorithms for the
    computation of bilinear mappings", 1978).

    Factors may be given as integers or, over "Q", as arrays of `fractions.Fraction`. They are kept as
    read-only int64 arrays; over "Q" these are the numerators over one common denominator for each of u, v and
    w, in lowest terms. Modulo a prime p they are 0 ... p - 1. Nothing is verified until `verify`, `save` or
    `load`.

    Attributes:
        format: (n, m, p).
        u, v, w: the factors, with one row for each product.
        ring: "Z", "Q", or "Zp" for the integers modulo a prime p: "Z2", "Z3" ...
        denominators: of u, v and w.

    Raises:
        ValueError, TypeError: for factors whose shapes, entries or denominators don't suit format and ring.

    Example:
        >>> scheme = matmul.strassen()
        >>> scheme, scheme.rank, scheme.additions()
        (Scheme(2x2x2, rank 7, Z), 7, 18)
        >>> scheme.verify()  # silent: it multiplies matrices, exactly
        >>> a, b = np.arange(4).reshape(2, 2), np.arange(4, 8).reshape(2, 2)
        >>> products = (scheme.u @ a.ravel()) * (scheme.v @ b.ravel())
        >>> print((products @ scheme.w).reshape(2, 2).T - a @ b)
        [[0 0]
         [0 0]]
    """

    format: Format
    u: Int[np.ndarray, "rank n*m"]
    v: Int[np.ndarray, "rank m*p"]
    w: Int[np.ndarray, "rank p*n"]
    ring: str = "Z"
    denominators: tuple[int, int, int] = (1, 1, 1)

    def __post_init__(self) -> None:
        format = as_format(self.format)
        prime = characteristic(self.ring)
        n, m, p = format
        if len(self.denominators) != 3:
            raise ValueError(f"denominators are {self.denominators}; expected three, of u, v and w")
        denominators = []
        rank = len(self.u)
        for name, width, denominator in zip("uvw", (n * m, m * p, p * n), self.denominators, strict=True):
            numerators, denominator = _lowest_terms(name, getattr(self, name), denominator)
            if numerators.shape != (rank, width):
                raise ValueError(
                    f"{name} has the shape {numerators.shape}; the format {n}x{m}x{p} and rank {rank} "
                    f"need {(rank, width)}"
                )
            if denominator != 1 and self.ring != "Q":
                raise ValueError(
                    f'{name} has the denominator {denominator} in the ring {self.ring}; use ring="Q"'
                )
            if prime:
                numerators %= prime
            numerators.setflags(write=False)
            object.__setattr__(self, name, numerators)
            denominators.append(denominator)
        object.__setattr__(self, "format", format)
        object.__setattr__(self, "denominators", tuple(denominators))

    @property
    def rank(self) -> int:
        """The number of products."""
        return len(self.u)

    @property
    def matrices(
        self,
    ) -> tuple[Int[np.ndarray, "rank n m"], Int[np.ndarray, "rank m p"], Int[np.ndarray, "rank p n"]]:
        """The factors as matrices (their numerators)."""
        n, m, p = self.format
        return self.u.reshape(-1, n, m), self.v.reshape(-1, m, p), self.w.reshape(-1, p, n)

    @cached_property
    def _key(self) -> tuple[Any, ...]:
        factors = tuple(factor.tobytes() for factor in (self.u, self.v, self.w))
        return self.format, self.ring, self.denominators, *factors

    def __eq__(self, other: object) -> bool:
        """The same factors in the same order; `equivalent` asks for less."""
        return isinstance(other, Scheme) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    def __repr__(self) -> str:
        return f"Scheme({'x'.join(map(str, self.format))}, rank {self.rank}, {self.ring})"

    def verify(self) -> None:
        """Check, exactly, that the products sum to the tensor of the multiplication.

        Raises:
            SchemeError: names the first entry (i, j, k) at fault, what is there and what should be.
        """
        n, m, p = self.format
        prime = characteristic(self.ring)
        scale = math.prod(self.denominators)
        largest = [max(int(f.max(initial=0)), -int(f.min(initial=0))) for f in (self.u, self.v, self.w)]
        # Sums of integers below 2**53 are exact in float64, whose matrix products are the fast ones.
        dtype = np.float64 if max(math.prod(largest) * self.rank, scale) < 2**53 else object
        u, v, w = (factor.astype(dtype) for factor in (self.u, self.v, self.w))
        rows = max(1, _ENTRIES_AT_ONCE // (p * n))
        for i, low in itertools.product(range(n * m), range(0, m * p, rows)):
            used = np.flatnonzero(self.u[:, i])
            found = (u[used, i, None] * v[used, low : low + rows]).T @ w[used]
            if prime:
                found = found % prime
            expected = np.zeros(found.shape, dtype)
            a, b = divmod(i, m)
            for j in range(max(low, b * p), min(low + rows, (b + 1) * p)):
                expected[j - low, (j - b * p) * n + a] = scale
            wrong = np.argwhere(found != expected)
            if len(wrong):
                row, k = map(int, wrong[0])
                j = low + row
                value = Fraction(int(found[row, k]), scale)
                right = int(expected[row, k] != 0)
                raise SchemeError(
                    f"entry (i, j, k) = ({i}, {j}, {k}) of the {n}x{m}x{p} scheme of rank {self.rank} over "
                    f"{self.ring} is {value} and should be {right}: the coefficient of A[{a}, {b}] "
                    f"B[{j // p}, {j % p}] in (A B)[{k % n}, {k // n}]",
                    (i, j, k),
                    value,
                    right,
                )

    def additions(self, shared: bool = False) -> int:
        """How many additions and subtractions of blocks one level of the scheme takes.

        Args:
            shared: count them after common subexpressions have been removed, as `multiply` evaluates the
                scheme; otherwise each linear form is summed by itself.

        Returns:
            their number.
        """
        if shared:
            return sum(additions.count for additions in additions_of(self))
        forms = (self.u, self.v, self.w.T)
        return sum(int(np.maximum(np.count_nonzero(form, axis=1) - 1, 0).sum()) for form in forms)

    def save(self, path: str | Path) -> None:
        """Verify the scheme and write it, whole or not at all.

        Args:
            path: a file that ends in .json or .npz.

        Raises:
            SchemeError: for a scheme that is wrong; nothing is written.
            ValueError: for another kind of file, or a scheme that is too large for it.
        """
        path = Path(path)
        check_kind(path)
        self.verify()
        write_content(path, Content(self.format, self.u, self.v, self.w, self.ring, self.denominators))

    @classmethod
    def load(cls, path: str | Path) -> Scheme:
        """Read a scheme and verify it.

        Args:
            path: a file that `save` wrote.

        Returns:
            the scheme.

        Raises:
            SchemeError: for a file that holds no scheme or cannot be read, and for a wrong scheme, with the
                entry at fault.
            FileNotFoundError: if there is no such file.
        """
        path = Path(path)
        try:
            content = read_content(path)
        except FileNotFoundError:
            raise
        except (ValueError, OSError) as error:
            raise SchemeError(str(error)) from error
        try:
            scheme = cls(*content)
            scheme.verify()
        except SchemeError as error:
            raise SchemeError(f"{path}: {error}", error.entry, error.found, error.expected) from None
        except (ValueError, TypeError) as error:
            raise SchemeError(f"{path} holds no scheme: {error}") from error
        return scheme


@lru_cache(maxsize=256)
def additions_of(scheme: Scheme) -> tuple[Additions, Additions, Additions]:
    """The additions before and after the products of a scheme.

    Returns:
        programs for the `rank` forms in the blocks of A, for those in the blocks of B, and for the blocks of
        A B, row by row, from the products.
    """
    n, _, p = scheme.format
    prime = characteristic(scheme.ring)
    outputs = scheme.w.T.reshape(p, n, -1).swapaxes(0, 1).reshape(n * p, -1)
    factors = (scheme.u, scheme.v, outputs)
    if prime:
        factors = tuple(np.where(factor > prime // 2, factor - prime, factor) for factor in factors)
    left, right, out = (share(*pair) for pair in zip(factors, scheme.denominators, strict=True))
    return left, right, out


def matmul_tensor(n: int, m: int, p: int) -> Int[np.ndarray, "n*m m*p p*n"]:
    """The tensor of trace(A B C) for A: n x m, B: m x p, C: p x n: T[(a, b), (b, c), (c, a)] = 1.

    Args:
        n: rows of A.
        m: columns of A, rows of B.
        p: columns of B.

    Returns:
        zeros and ones.

    Raises:
        TypeError, ValueError: for what is not a positive size.

    Example:
        >>> tensor = matmul.matmul_tensor(2, 2, 2)
        >>> scheme = matmul.strassen()
        >>> bool((np.einsum("ri,rj,rk->ijk", scheme.u, scheme.v, scheme.w) == tensor).all())
        True
    """
    n, m, p = as_format((n, m, p))
    a, b, c = np.indices((n, m, p)).reshape(3, -1)
    tensor = np.zeros((n * m, m * p, p * n), np.int64)
    tensor[a * m + b, b * p + c, c * n + a] = 1
    return tensor


def standard(n: int, m: int, p: int, ring: str = "Z") -> Scheme:
    """Rows times columns: n m p products, each of two entries.

    Args:
        n: rows of A.
        m: columns of A, rows of B.
        p: columns of B.
        ring: "Z", "Q" or "Zp".

    Returns:
        the scheme.

    Raises:
        TypeError, ValueError: for what is not a positive size, or an unknown ring.

    Example:
        >>> matmul.standard(2, 3, 4)
        Scheme(2x3x4, rank 24, Z)
    """
    n, m, p = as_format((n, m, p))
    a, b, c = np.indices((n, m, p)).reshape(3, -1)
    u, v, w = np.eye(n * m, dtype=np.int64), np.eye(m * p, dtype=np.int64), np.eye(p * n, dtype=np.int64)
    return Scheme((n, m, p), u[a * m + b], v[b * p + c], w[c * n + a], ring)


def strassen() -> Scheme:
    """Two by two matrices with 7 products and 18 additions.

    Strassen, "Gaussian elimination is not optimal" (1969).

    Returns:
        the scheme, over the integers.

    Example:
        >>> matmul.strassen(), matmul.strassen().additions()
        (Scheme(2x2x2, rank 7, Z), 18)
    """
    a11, a12, a21, a22 = b11, b12, b21, b22 = c11, c12, c21, c22 = np.eye(4, dtype=np.int64)
    return _two_by_two(
        (a11 + a22, b11 + b22, c11 + c22),
        (a21 + a22, b11, c21 - c22),
        (a11, b12 - b22, c12 + c22),
        (a22, b21 - b11, c11 + c21),
        (a11 + a12, b22, c12 - c11),
        (a21 - a11, b11 + b12, c22),
        (a12 - a22, b21 + b22, c11),
    )


def winograd() -> Scheme:
    """Two by two matrices with 7 products and, when sums are shared, 15 additions.

    Winograd's variant, with the fewest additions that 7 products allow in the given basis (Probert, "On the
    additive complexity of matrix multiplication", 1976).

    Returns:
        the scheme, over the integers.

    Example:
        >>> matmul.winograd(), matmul.winograd().additions(shared=True)
        (Scheme(2x2x2, rank 7, Z), 15)
    """
    a11, a12, a21, a22 = b11, b12, b21, b22 = c11, c12, c21, c22 = np.eye(4, dtype=np.int64)
    return _two_by_two(
        (a11, b11, c11 + c12 + c21 + c22),
        (a12, b21, c11),
        (a11 + a12 - a21 - a22, b22, c12),
        (a22, b11 - b12 - b21 + b22, -c21),
        (a21 + a22, b12 - b11, c12 + c22),
        (a21 + a22 - a11, b11 - b12 + b22, c12 + c21 + c22),
        (a11 - a21, b22 - b12, c21 + c22),
    )


def _two_by_two(*products: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Scheme:
    """A scheme from its products, each a form in A, a form in B, and its share in the entries of A B."""
    u, v, w = (np.stack(factor) for factor in zip(*products, strict=True))
    return Scheme((2, 2, 2), u, v, w.reshape(-1, 2, 2).swapaxes(1, 2).reshape(-1, 4))


def sorted_format(format: Format) -> Format:
    """The format of the same sizes, rising; symmetries lead from the one to the other."""
    n, m, p = sorted(format)
    return n, m, p


def as_format(format: Any) -> Format:
    """Three positive sizes, whatever they are given in; TypeError or ValueError for anything else."""
    try:
        sizes = tuple(operator.index(size) for size in format)
    except TypeError:
        raise TypeError(f"the format is {format!r}; expected three positive sizes (n, m, p)") from None
    if len(sizes) != 3 or min(sizes) < 1:
        raise ValueError(f"the format is {tuple(format)}; expected three positive sizes (n, m, p)")
    return sizes


def _lowest_terms(name: str, factor: Any, denominator: int) -> tuple[np.ndarray, int]:
    """A factor as int64 numerators over a common denominator."""
    array = np.asarray(factor)
    try:
        denominator = operator.index(denominator)
    except TypeError:
        denominator = 0
    if denominator < 1:
        raise ValueError(f"the denominator of {name} is {denominator}; expected a positive integer")
    if array.dtype == object:
        if not all(isinstance(entry, int | np.integer | Fraction) for entry in array.flat):
            raise TypeError(f"{name} has entries that are neither integers nor fractions")
        own = math.lcm(*(Fraction(entry).denominator for entry in array.flat))
        array = np.array([int(entry * own) for entry in array.flat], dtype=object).reshape(array.shape)
        denominator *= own
    elif array.size == 0:
        array = array.astype(np.int64)
    elif array.dtype.kind not in "iub":
        raise TypeError(f"{name} has entries of type {array.dtype}; expected integers or fractions")
    if denominator != 1:
        common = math.gcd(denominator, *map(int, array.flat))
        array, denominator = array // common, denominator // common
    largest = max(map(abs, (int(array.max(initial=0)), int(array.min(initial=0)))))
    if largest >= 2**63:
        raise ValueError(f"{name} has an entry of size {largest}; expected what 64 bits hold")
    return array.astype(np.int64), denominator
