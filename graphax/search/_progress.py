"""Where a search is, and a line on the screen that tells of it."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import NamedTuple

_QUIET_SECONDS = 5.0  # between two lines where they cannot be written over


class Progress(NamedTuple):
    """Where a search is.

    Attributes:
        seconds: since it began.
        evaluations: orders evaluated so far, by all workers.
        order: the best one.
        cost: what it costs.
        bound: what no order costs less than, as soon as that is known.

    Example:
        >>> graph = graphax.trace(lambda x: jnp.exp(jnp.sin(x) * jnp.cos(x)))(1.0)
        >>> def enough(progress):  # called some five times a second; the search ends where it is true
        ...     return progress.cost <= 4 or progress.seconds > 10
        >>> order = orders.anneal(graph, steps=1000, progress=enough)
    """

    seconds: float
    evaluations: int
    order: tuple[int, ...]
    cost: int
    bound: int | None = None


class ProgressLine:
    """Progress on stderr: a line written over and over on a terminal; elsewhere one every few seconds.

    Args:
        objective: what costs are of.
    """

    def __init__(self, objective: str) -> None:
        self._objective = objective
        self._written = time.monotonic()
        self._longest = 0
        self._last = ""
        self._terminal = sys.stderr is not None and not sys.stderr.closed and sys.stderr.isatty()

    def __call__(self, now: Progress) -> None:
        speed = now.evaluations / max(now.seconds, 1e-3)
        bound, gap = "-", "-"
        if now.bound is not None:
            bound, gap = f"{now.bound:,}", f"{100 * (now.cost - now.bound) / max(now.cost, 1):.1f} %"
        self._last = (
            f"{now.seconds:5.0f} s  {speed:,.0f} orders/s  best {now.cost:,} {self._objective}  "
            f"bound {bound}  gap {gap}"
        )
        if self._terminal:
            self._longest = max(self._longest, len(self._last))
            _write("\r" + self._last.ljust(self._longest))
        elif time.monotonic() - self._written >= _QUIET_SECONDS:
            self._write_line()

    def end(self) -> None:
        """Leave the last line where it stands."""
        if self._terminal:
            _write("\n" if self._last else "")
        elif self._last:
            self._write_line()

    def _write_line(self) -> None:
        _write(self._last + "\n")
        self._written, self._last = time.monotonic(), ""


def _write(text: str) -> None:
    # A search goes on when nobody can read of it any more.
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()
