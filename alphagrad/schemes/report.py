"""What is reported of schemes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..matmul import Scheme
from ..run.page import Picture, figure, picture

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


def rank_curve(metrics: Sequence[Mapping[str, Any]], known: int | None) -> Picture:
    """The lowest rank over time, with a line for the literature's.

    Args:
        metrics: the lines of the run's metrics.
        known: the lowest rank modulo 2 in the literature, or None.
    """
    drawn, axes = figure("rank")
    seconds = [line["seconds"] for line in metrics]
    for key, colour, label in (("best", "tab:blue", "modulo 2"), ("lifted", "tab:orange", "lifted")):
        ranks = [line[key] for line in metrics]
        if any(rank is not None for rank in ranks):
            axes.step(
                seconds,
                [math.nan if rank is None else rank for rank in ranks],
                where="post",
                color=colour,
                label=label,
            )
    if known is not None:
        axes.axhline(known, color="black", linestyle=":", label="literature, modulo 2")
    axes.legend()
    return picture("Search", "rank of the best scheme over time", drawn)
