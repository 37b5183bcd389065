"""Schemes put together from those of smaller formats, by block matrices and Kronecker products."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple

from ._scheme import Format, Scheme, as_format, sorted_format, standard
from ._transform import concatenate, kronecker, rotate, transpose


def assemble(format: Format, schemes: Iterable[Scheme]) -> Scheme:
    """The scheme of the lowest rank that given ones can be put together to.

    Each stands for all formats that its symmetries lead to; the standard algorithm does the rest.

    Args:
        format: (n, m, p), for an n x m by an m x p matrix.
        schemes: over the integers or rationals, each right.
    """
    given: dict[Format, Scheme] = {}
    for scheme in schemes:
        key = sorted_format(scheme.format)
        if key not in given or scheme.rank < given[key].rank:
            given[key] = scheme
    way = _ways({key: scheme.rank for key, scheme in given.items()})

    def made(format: Format) -> Scheme:
        best = way(sorted_format(format))
        if best.by == "standard":
            return standard(*format)
        if best.by == "given":
            return _turned(given[sorted_format(format)], format)
        first, second = map(made, best.parts)
        whole = kronecker(first, second) if best.by == "kronecker" else concatenate(first, second, best.axis)
        return _turned(whole, format)

    return made(format)


def parts(format: Format, ranks: Mapping[Format, int]) -> tuple[int, set[Format]]:
    """The rank of what `assemble` would make, and of which of the formats it would be made.

    Args:
        format: of the whole.
        ranks: of schemes of other formats, whose sizes rise.
    """
    way, needed = _ways(ranks), set[Format]()

    def gather(format: Format) -> None:
        best = way(format)
        if best.by == "given":
            needed.add(format)
        for part in best.parts:
            gather(sorted_format(part))

    whole = sorted_format(format)
    gather(whole)
    return way(whole).rank, needed


class _Way(NamedTuple):
    """How a scheme is made.

    Attributes:
        rank: what it has then.
        by: what makes it.
        parts: the formats of the two schemes that it is made of, if it is.
        axis: along which they are concatenated.
    """

    rank: int
    by: Literal["standard", "given", "concatenate", "kronecker"]
    parts: tuple[Format, ...] = ()
    axis: int = 0


def _ways(ranks: Mapping[Format, int]) -> Callable[[Format], _Way]:
    """What gives the best way to make a scheme of a format, whose sizes rise, from ones of these ranks."""

    def rank(format: Format) -> int:
        return way(sorted_format(format)).rank

    @functools.cache
    def way(format: Format) -> _Way:
        n, m, p = format
        ways = [_Way(n * m * p, "standard")]
        if n == 1:  # a product with a vector takes no fewer
            return ways[0]
        if format in ranks:
            ways.append(_Way(ranks[format], "given"))
        for axis, size in enumerate(format):
            for cut in range(size // 2, 0, -1):  # halves first: no chain of formats gets long
                first, second = (
                    as_format(part if at == axis else whole for at, whole in enumerate(format))
                    for part in (cut, size - cut)
                )
                ways.append(_Way(rank(first) + rank(second), "concatenate", (first, second), axis))
        for first in itertools.product(_divisors(n), _divisors(m), _divisors(p)):
            if first not in ((1, 1, 1), format):
                second = (n // first[0], m // first[1], p // first[2])
                ways.append(_Way(rank(first) * rank(second), "kronecker", (first, second)))
        return min(ways, key=lambda one: one.rank)

    return way


def _turned(scheme: Scheme, format: Format) -> Scheme:
    """The scheme that its symmetries make of it for a format of the same sizes."""
    turned = [scheme, rotate(scheme), rotate(rotate(scheme))]
    mirrored = [transpose(one) for one in turned]
    return next(one for one in turned + mirrored if one.format == format)


def _divisors(size: int) -> list[int]:
    return [divisor for divisor in range(1, size + 1) if size % divisor == 0]
