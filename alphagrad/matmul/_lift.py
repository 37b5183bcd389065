"""Schemes over the integers or rationals from schemes modulo 2, by Hensel lifting.

A scheme modulo 2^k whose error is 2^k e is corrected by 2^k (du, dv, dw) where, modulo 2,

    sum over r of  du[r] (x) v[r] (x) w[r] + u[r] (x) dv[r] (x) w[r] + u[r] (x) v[r] (x) dw[r]  =  e.

The matrix of these equations is the same at every step, so that it is eliminated once. Vectors of bits are
Python's long integers: to add two modulo 2 is one exclusive or, and the leading bit is known at once.

M. Kauers and J. Moosbauer, "Flip graphs for matrix multiplication", 2022 (arXiv 2212.01175), section 5.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from ._scheme import Scheme, SchemeError, matmul_tensor

_ATTEMPTS = 8  # orders of the unknowns, which decide which of them stay as they are


class LiftError(ValueError):
    """A scheme modulo 2 for which no scheme over the integers or rationals was found.

    Args:
        message: what went wrong.
        modulus: as below.

    Attributes:
        modulus: the highest power of 2 modulo which there is one along the way that was tried.

    Example:
        >>> scheme = matmul.best_known((4, 4, 4), "Z2")
        >>> scheme.rank
        47
        >>> try:
        ...     matmul.lift(scheme)
        ... except matmul.LiftError as error:
        ...     print(error.modulus)  # it has no counterpart modulo 4
        2
    """

    def __init__(self, message: str, modulus: int):
        super().__init__(message)
        self.modulus = modulus


def lift(scheme: Scheme, *, steps: int = 20, seed: int = 0, stop: Callable[[], Any] | None = None) -> Scheme:
    """The scheme over the integers, or else the rationals, that is a given one modulo 2.

    Of all solutions of a step, one is taken that changes zeros last. Some orders of the unknowns are tried
    until one leads to entries -1, 0 and 1; otherwise the simplest scheme is returned: one over the integers
    rather than the rationals, with small entries.

    Args:
        scheme: over "Z2".
        steps: up to which power of 2 to go, at most 60.
        seed: of the orders of the unknowns.
        stop: asked many times; it is over when it returns something true. Large formats take minutes.

    Returns:
        a scheme over "Z", or over "Q" with odd denominators, verified exactly.

    Raises:
        LiftError: if the scheme has no counterpart modulo 4 (then there is none over the integers, nor over
            the rationals with odd denominators), or none was found later on, or it was stopped before.
        SchemeError: if the scheme is wrong.
        ValueError: for a scheme over another ring, or steps out of range.

    Example:
        >>> modulo_2 = matmul.reduce_modulo(matmul.strassen())
        >>> matmul.lift(modulo_2)
        Scheme(2x2x2, rank 7, Z)

    M. Kauers and J. Moosbauer, "Flip graphs for matrix multiplication", 2022 (arXiv 2212.01175).
    """
    if scheme.ring != "Z2":
        raise ValueError(f'scheme is over {scheme.ring}; expected one over "Z2"')
    if not 2 <= steps <= 60:
        raise ValueError(f"steps must be between 2 and 60, got {steps!r}")
    scheme.verify()
    random = np.random.default_rng(seed)
    found: list[Scheme] = []
    failures: list[LiftError] = []
    for attempt in range(_ATTEMPTS):
        try:
            found.append(_lift_once(scheme, steps, random if attempt else None, stop))
        except LiftError as error:
            failures.append(error)
            if error.modulus == 2:
                break
        else:
            if _plainness(found[-1])[:2] == (1, 1):
                break
    if not found:
        raise max(failures, key=lambda error: error.modulus)
    return min(found, key=_plainness)


def lifts_once(scheme: Scheme, stop: Callable[[], Any] | None = None) -> bool:
    """Whether a scheme modulo 2 has a counterpart modulo 4, as far as that is known when `stop` ends it."""
    tensor = matmul_tensor(*scheme.format)
    error = (tensor - _product((scheme.u, scheme.v, scheme.w))) >> 1 & 1
    try:
        return _System(scheme, None, stop).solve(error) is not None
    except LiftError:
        return False


def _lift_once(
    scheme: Scheme, steps: int, random: np.random.Generator | None, stop: Callable[[], Any] | None
) -> Scheme:
    system = _System(scheme, random, stop)
    tensor = matmul_tensor(*scheme.format)
    factors: Sequence[np.ndarray] = (scheme.u, scheme.v, scheme.w)
    for step in range(1, steps):
        # Sums of int64 are right modulo 2**64, which is a multiple of every modulus here.
        error = (tensor - _product(factors)) >> step & 1
        correction = system.solve(error)
        if correction is None:
            raise LiftError(
                f"{scheme!r} has no counterpart modulo {2 ** (step + 1)}"
                + ("" if step == 1 else f" that continues the one found modulo {2**step}"),
                2**step,
            )
        factors = [factor + (change << step) for factor, change in zip(factors, correction, strict=True)]
        found = _over_integers(scheme, factors, step + 1) or _over_rationals(scheme, factors, step + 1)
        if found is not None:
            return found
    raise LiftError(
        f"{scheme!r} has a counterpart modulo {2**steps}, but it is not that of small rational numbers",
        2**steps,
    )


def _plainness(scheme: Scheme) -> tuple[int, int, int]:
    """Small for schemes with small denominators, then for small entries."""
    factors = (scheme.u, scheme.v, scheme.w)
    largest = max(int(np.abs(factor).max()) for factor in factors)
    return math.prod(scheme.denominators), largest, sum(int(np.abs(factor).sum()) for factor in factors)


class _System:
    """The linear equations of a step, eliminated.

    Every unknown is a long integer: the bits of its column, and below them one bit that names it.
    Combinations of these with different leading bits are a basis of what the left side can be.
    """

    def __init__(
        self, scheme: Scheme, random: np.random.Generator | None, stop: Callable[[], Any] | None
    ) -> None:
        factors = (scheme.u, scheme.v, scheme.w)
        self._shapes = [factor.shape for factor in factors]
        entries = np.concatenate([factor.ravel() for factor in factors])
        self._unknowns = len(entries)
        columns = list[int]()
        for column in itertools.chain.from_iterable(_columns(factors, axis) for axis in range(3)):
            _ask(stop, scheme)
            columns.append(column)
        # Those that come first take part in the solution: ones, so that zeros stay zeros.
        order = np.argsort(-entries, kind="stable")
        if random is not None:
            order = np.lexsort((random.random(self._unknowns), -entries))
        self._basis: dict[int, int] = {}
        for unknown in order.tolist():
            _ask(stop, scheme)
            rest = self._reduce(columns[unknown] << self._unknowns | 1 << unknown)
            if rest >> self._unknowns:
                self._basis[rest.bit_length()] = rest

    def solve(self, right: np.ndarray) -> list[np.ndarray] | None:
        """What to add to u, v and w, in bits, that gives the right side; None if nothing does."""
        rest = self._reduce(_integer(right.ravel()) << self._unknowns)
        if rest >> self._unknowns:
            return None
        octets = np.frombuffer(rest.to_bytes(self._unknowns // 8 + 1, "little"), np.uint8)
        bits = np.unpackbits(octets, bitorder="little")[: self._unknowns].astype(np.int64)
        ends = np.cumsum([math.prod(shape) for shape in self._shapes])
        parts = np.split(bits, ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)]

    def _reduce(self, vector: int) -> int:
        basis, unknowns = self._basis, self._unknowns
        while (length := vector.bit_length()) > unknowns:
            pivot = basis.get(length)
            if pivot is None:
                break
            vector ^= pivot
        return vector


def _ask(stop: Callable[[], Any] | None, scheme: Scheme) -> None:
    if stop is not None and stop():
        raise LiftError(f"{scheme!r} was not lifted in time", 2)


def _columns(factors: Sequence[np.ndarray], axis: int) -> Iterator[int]:
    """For every entry of a factor the tensor that the sum gains with it, as bits."""
    one, two = (factor for i, factor in enumerate(factors) if i != axis)
    width = factors[axis].shape[1]
    for row, other in zip(one, two, strict=True):
        matrix = np.multiply.outer(row, other)
        for index in range(width):
            tensor = np.zeros((width, *matrix.shape), np.uint8)
            tensor[index] = matrix
            yield _integer(np.moveaxis(tensor, 0, axis).ravel())


def _integer(bits: np.ndarray) -> int:
    """Bits as one long integer."""
    return int.from_bytes(np.packbits(bits.astype(np.uint8)).tobytes(), "big")


def _product(factors: Sequence[np.ndarray]) -> np.ndarray:
    """The sum of the products, (n m, m p, p n), modulo 2**64."""
    u, v, w = factors
    return np.tensordot((u[:, :, None] * v[:, None, :]), w, ((0,), (0,)))


def _over_integers(scheme: Scheme, factors: Sequence[np.ndarray], power: int) -> Scheme | None:
    """The scheme of the representatives that are nearest to zero, if it is right."""
    half = 1 << (power - 1)
    u, v, w = ((factor + half - 1) % (1 << power) - half + 1 for factor in factors)
    return _verified(Scheme(scheme.format, u, v, w, "Z"))


def _over_rationals(scheme: Scheme, factors: Sequence[np.ndarray], power: int) -> Scheme | None:
    """The scheme of the fractions of small numerators and denominators, if there are such and it is right."""
    modulus = 1 << power
    table: dict[int, Fraction | None] = {}
    fractions: list[np.ndarray] = []
    for factor in factors:
        entries = (factor % modulus).ravel().tolist()
        for entry in set(entries) - table.keys():
            table[entry] = _fraction(entry, modulus)
        if any(table[entry] is None for entry in entries):
            return None
        array = np.empty(len(entries), object)
        array[:] = [table[entry] for entry in entries]
        fractions.append(array.reshape(factor.shape))
    try:
        u, v, w = fractions
        return _verified(Scheme(scheme.format, u, v, w, "Q"))
    except OverflowError:  # a common denominator beyond what a scheme holds
        return None


def _fraction(residue: int, modulus: int) -> Fraction | None:
    """The fraction of a residue with numerator and denominator below the root of half the modulus.

    P. S. Wang, "A p-adic algorithm for univariate partial fractions", 1981.
    """
    bound = math.isqrt(modulus // 2)
    before, now = modulus, residue
    factor_before, factor = 0, 1
    while now > bound:
        quotient = before // now
        before, now = now, before - quotient * now
        factor_before, factor = factor, factor_before - quotient * factor
    if abs(factor) > bound or math.gcd(now, factor) != 1:
        return None
    return Fraction(now, factor)


def _verified(scheme: Scheme) -> Scheme | None:
    try:
        scheme.verify()
    except SchemeError:
        return None
    return scheme
