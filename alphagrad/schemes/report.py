"""What is reported of schemes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..matmul import Scheme, characteristic
from ..run.charts import Line, Panel, Series
from ..run.result import Factor, Factors

TASK = "matmul_NxMxP"
"""What tasks are called that ask for schemes."""


def counts_of(scheme: Scheme) -> tuple[str, str, str]:
    """The products of a scheme, its additions, and those that are left when common sums are shared."""
    return str(scheme.rank), str(scheme.additions()), str(scheme.additions(shared=True))


def scheme_words(paths: Sequence[Path], ring: str) -> tuple[str, ...]:
    """The last words of a run: where its schemes over a ring are, and how to use one."""
    load = f"matmul.Scheme.load({str(paths[0])!r})"
    if ring == "Z2":  # `multiply` refuses it
        use = f"{load}, which multiplies matrices modulo 2; ring=Z looks for one of numbers"
    else:
        use = f"matmul.multiply(a, b, {load})"
    return f"scheme: {', '.join(map(str, paths))}", f"to use it: from alphagrad import matmul; {use}"


def scheme_use(path: Path, scheme: Scheme) -> str:
    """Python that uses the scheme in a file."""
    load = f"from alphagrad import matmul\n\nscheme = matmul.Scheme.load({str(path)!r})\n"
    if scheme.ring == "Z2":
        return f"{load}print(matmul.formulas(scheme))  # they hold modulo 2"
    n, m, p = scheme.format
    return (
        f"import jax\n{load}a = jax.random.normal(jax.random.key(0), ({64 * n}, {64 * m}))\n"
        f"b = jax.random.normal(jax.random.key(1), ({64 * m}, {64 * p}))\n"
        "print(matmul.multiply(a, b, scheme) - a @ b)  # what rounding leaves"
    )


def picture(scheme: Scheme, name: str = "") -> Factors:
    """The factors of a scheme, for a picture.

    Args:
        scheme: the scheme.
        name: of the task, where there are several.
    """
    n, m, p = scheme.format
    shares = scheme.matrices[2].swapaxes(1, 2).reshape(scheme.rank, n * p)  # of C, as A and B row by row
    prime = characteristic(scheme.ring)
    factors: list[Factor] = []
    for what, numbers, letter, rows, columns, denominator in zip(
        ("u, in A", "v, in B", "w, in C"),
        (scheme.u, scheme.v, shares),
        "abc",
        (n, m, n),
        (m, p, p),
        scheme.denominators,
        strict=True,
    ):
        centred = np.where(numbers > prime // 2, numbers - prime, numbers) if prime > 2 else numbers
        between = "_" if max(rows, columns) > 9 else ""
        names = tuple(f"{letter}{i + 1}{between}{j + 1}" for i in range(rows) for j in range(columns))
        factors.append(Factor(what, names, tuple(map(tuple, centred.tolist())), denominator))
    return Factors(f"Factors of {name}" if name else "Factors", tuple(factors))


def rank_panels(known: int | None, ring: str) -> tuple[Panel, ...]:
    """Curves of a search: the lowest rank, and how fast it walks.

    Args:
        known: the lowest rank modulo 2 in the literature, or None.
        ring: that schemes are looked for over.
    """
    over = ("seconds", "flips")
    best = Series("modulo 2", "best", steps=True)
    series = (best,) if ring == "Z2" else (Series("lifted to numbers", "lifted", steps=True), best)
    lines = () if known is None else (Line("literature, modulo 2", known),)
    return (
        Panel("Rank", "products", series, over, lines),
        Panel("Throughput", "flips / s", (Series("all workers", "flips", rate=True),), over),
    )
