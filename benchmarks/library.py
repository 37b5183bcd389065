"""Take schemes that a search has found into the library that ships with the package.

A scheme is taken if it has fewer products than what the library puts together for its format and ring so far,
or as many as the library's own and fewer additions. Schemes that others then replace are dropped.

    python benchmarks/schemes.py --seconds 90 --lift-seconds 60 --out FOUND
    python benchmarks/library.py FOUND/*-Z*.json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from alphagrad.matmul import Scheme, reduce_modulo
from alphagrad.matmul._assemble import assemble, parts
from alphagrad.matmul._library import LIBRARY
from alphagrad.matmul._scheme import sorted_format

Format = tuple[int, int, int]


def best(schemes: Iterable[Scheme]) -> dict[Format, Scheme]:
    """Of each format the scheme of the fewest products, and of these one of the fewest additions."""
    ranked = sorted(schemes, key=lambda scheme: (scheme.rank, scheme.additions(shared=True)), reverse=True)
    return {scheme.format: scheme for scheme in ranked}


def needed(schemes: dict[Format, Scheme]) -> list[Scheme]:
    """Those that cannot be put together from the others."""
    ranks = {format: scheme.rank for format, scheme in schemes.items()}
    return [
        scheme
        for format, scheme in schemes.items()
        if parts(format, {other: rank for other, rank in ranks.items() if other != format})[0] > scheme.rank
    ]


def library(schemes: Sequence[Scheme]) -> list[Scheme]:
    """What the library holds: schemes over the integers, and those modulo 2 that have fewer products."""
    turned = [assemble(sorted_format(scheme.format), [scheme]) for scheme in schemes]
    integral = needed(best(scheme for scheme in turned if scheme.ring == "Z"))
    reduced = [reduce_modulo(scheme) for scheme in integral]
    modulo_2 = needed(best([*(scheme for scheme in turned if scheme.ring == "Z2"), *reduced]))
    ranks = {scheme.format: scheme.rank for scheme in integral}
    return integral + [
        scheme for scheme in modulo_2 if scheme.rank < ranks.get(scheme.format, scheme.rank + 1)
    ]


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("files", nargs="+", type=Path, help="schemes over Z or Z2")
    options = parser.parse_args(argv)
    before = sorted(LIBRARY.glob("*.json"))
    kept = library([Scheme.load(path) for path in (*before, *options.files)])
    names = {
        f"{'x'.join(map(str, scheme.format))}_{scheme.ring}_{scheme.rank}.json": scheme for scheme in kept
    }
    LIBRARY.mkdir(exist_ok=True)
    for name, scheme in sorted(names.items()):
        scheme.save(LIBRARY / name)
        print(name)
    for path in before:
        if path.name not in names:
            path.unlink()


if __name__ == "__main__":
    main()
