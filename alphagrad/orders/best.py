"""The best order that a run knows of, whatever found it, kept in the run's folder."""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import graphax
from graphax import ComputationalGraph

from ..run.command import Run


class BestOrder:
    """The best order so far; several threads may know of better ones.

    Args:
        run: what it is for.
        graph: whose vertices are eliminated.
        path: the file that it is kept in.

    Attributes:
        path: as given.
        order: the order; empty before the first.
        cost: what it costs.
        method: what found it.
    """

    def __init__(self, run: Run, graph: ComputationalGraph, path: Path) -> None:
        self._run, self._graph, self.path = run, graph, path
        self._lock = threading.Lock()
        self._unsaved = self._awaited = False
        self._saved, self._save_seconds = -math.inf, 0.0
        self.order: tuple[int, ...] = ()
        self.cost = math.inf
        self.method = ""

    def offer(self, order: tuple[int, ...], cost: float, method: str) -> bool:
        """Take an order if it is better than all before, and not too late; returns whether it was taken.

        Raises:
            OSError: if it cannot be saved.
        """
        with self._lock:
            if (self.order and cost >= self.cost) or self._run.left_behind:
                return False
            self.order, self.cost, self.method = order, cost, method
            self._unsaved = True
            # Saving an order of thousands of vertices takes a while, so it is not done at every step; but it
            # is done before long, for the run may be killed.
            wait = self._saved + 10 * self._save_seconds - time.perf_counter()
            if wait <= 0:
                self._save()
            elif not self._awaited:
                self._awaited = True
                later = threading.Timer(wait, self._save_later)
                later.daemon = True
                later.start()
            return True

    def save(self) -> None:
        """Have the file hold the best order, if there is one."""
        with self._lock:
            if self._unsaved:
                self._save()

    def _save_later(self) -> None:
        with self._lock:
            self._awaited = False
            if self._unsaved and not self._run.left_behind:
                with suppress(OSError):  # whoever saves next meets it again
                    self._save()

    def _save(self) -> None:
        begun = time.perf_counter()
        self._run.folder.check()  # saving would make it again
        graphax.save_order(self.path, self._graph, self.order, method=self.method, **self.origin)
        self._saved, self._unsaved = time.perf_counter(), False
        self._save_seconds = self._saved - begun

    @property
    def origin(self) -> dict[str, Any]:
        """What files say of where an order came from, beside what found it."""
        seconds = round(self._run.seconds, 3)
        return {"seed": self._run.config.seed, "seconds": seconds, "task": self._run.name}
