"""A lower bound that is computed beside a search."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from .._graph import ComputationalGraph
from ._bound import Abandoned, group_bounds, total_bound


class BoundAside:
    """What no order costs less than: known to begin with, or computed in a thread of its own.

    Args:
        graph: whose bound is computed; None if none is.
        known: the bound until then.
    """

    def __init__(self, graph: ComputationalGraph | None, known: int | None = None) -> None:
        self._graph, self._known = graph, known
        self._enough = threading.Event()
        self._computed: Future[int | None] | None = None

    def __enter__(self) -> BoundAside:
        if self._graph is not None:
            pool = ThreadPoolExecutor(1)
            self._computed = pool.submit(self._compute, self._graph)
            pool.shutdown(wait=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._enough.set()

    @property
    def value(self) -> int | None:
        """The bound; None as long as it is not known."""
        if self._computed is not None and self._computed.done():
            return self._computed.result()
        return self._known

    def _compute(self, graph: ComputationalGraph) -> int | None:
        try:
            return total_bound(group_bounds(graph, enough=self._enough.is_set))
        except Abandoned:
            return None
