"""Search for a good elimination order by simulated annealing, compiled."""

from __future__ import annotations

import functools
import itertools
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any, NamedTuple

from .._graph import ComputationalGraph, check_graph, check_order
from .._numbers import check_number
from ..choose import forward, markowitz, reverse
from ._aside import BoundAside
from ._objective import Objective, check_objective, estimate, fastest
from ._progress import Progress, ProgressLine

if TYPE_CHECKING:
    from ._walk import Best, Walk

_STEPS = 1_000_000  # where neither steps nor seconds are given
_CHUNK = 5_000  # orders between two looks at the clock
_PROGRESS_SECONDS = 0.2

# Temperatures are in units of the mean price of an elimination.
_HOT, _COLD = 0.5, 0.03
_QUENCH = 100  # orders for every vertex in the descent that comes before all rounds
_ROUNDS = (1_000, 2_000, 4_000, 8_000)  # the same in rounds, again and again

_SHARE = 0.5  # of the time, to search for candidates that are then measured, or estimated


def anneal(
    graph: ComputationalGraph,
    *,
    seconds: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    objective: Objective = "mults",
    start: Sequence[int] | None = None,
    workers: int = 1,
    progress: Callable[[Progress], Any] | bool = False,
    bound: int | None = None,
) -> tuple[int, ...]:
    """Search for a good elimination order by simulated annealing.

    A move takes a vertex to another place of the order; only the part of the order in between is evaluated,
    on interned structures, by compiled code that holds no lock. After a quick descent come rounds of cooling,
    short and long, that begin at the best order so far and, in turn, all over again. The search ends before
    its budget is spent when an order is proved to be the best: when its operations are no more than
    :func:`lower_bound`, which is computed beside it.

    Args:
        graph: the graph; costs are those of its convention.
        seconds: how long to search. The first search on a machine also compiles, some five seconds more.
        steps: how many orders every worker evaluates; a million if ``seconds`` is not given either. With
            ``steps`` alone the result depends on the seed and the number of workers only.
        seed: of the random moves.
        objective: what is to be small, see :func:`graphax.orders.evaluate`. For ``"time"`` and
            ``"runtime"`` some candidates with few operations are searched for, and that of them is returned
            which is estimated, or measured, to be the fastest.
        start: the order to begin with; by default the best of forward, reverse and Markowitz.
        workers: threads that search independently; one for each core, if you like.
        progress: called about five times a second with a :class:`Progress`; the search ends when it returns
            something true. True itself shows a line on stderr.
        bound: how many operations no order takes less than, if you know; :func:`lower_bound` is not computed
            then. With 0 nothing is claimed.

    Returns:
        the best order found; never a worse one than ``start``.

    Raises:
        ValueError: for budgets, seeds or workers that are not positive, an unknown objective, a bound on
            something else than ``"mults"`` or ``"flops"``, or a ``start`` that is not an order of the graph.
        TypeError: if ``progress`` is something else.

    Example:
        >>> f = lambda x: jnp.exp(jnp.sin(x) * jnp.cos(x)) * jnp.sin(x)
        >>> graph = graphax.trace(f)(1.0)
        >>> order = orders.anneal(graph, steps=1000, seed=0)  # or seconds=60, workers=2, progress=True
        >>> graph.cost(order).mults <= graph.cost(orders.markowitz(graph)).mults
        True
        >>> derivative = graphax.jacve(f, order=order)(1.0)

    Simulated annealing: S. Kirkpatrick, C. D. Gelatt and M. P. Vecchi, Science 220, 1983; for elimination
    orders U. Naumann and P. Gottschling, *Simulated annealing for optimal pivot selection in Jacobian
    accumulation*, SAGA 2003.
    """
    check_graph(graph, "anneal")
    check_objective(objective)
    for name, value in (("seconds", seconds), ("steps", steps), ("workers", workers)):
        if value is not None:
            check_number(name, value, whole=name != "seconds")
            if not value > 0:
                raise ValueError(f"{name} must be positive, got {value!r}")
    check_number("seed", seed, whole=True)
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed!r}")
    # Bounds are on multiplications, to which additions only add.
    bounded = objective in ("mults", "flops")
    if bound is not None and not bounded:
        raise ValueError(f"bound={bound} is for the objectives 'mults' and 'flops', not for {objective!r}")
    if not callable(progress) and not isinstance(progress, bool):
        raise TypeError(f"progress must be True, False or a function of a Progress, got {progress!r}")
    if seconds is None and steps is None:
        steps = _STEPS
    starts = (
        [forward(graph), reverse(graph), markowitz(graph)] if start is None else [check_order(graph, start)]
    )
    if len(graph.eliminable) < 2:
        return starts[0]
    if objective in ("time", "runtime"):
        candidates = _of_few_operations(graph, starts, seconds, steps, seed, workers, progress)
        if objective == "runtime":
            return fastest(graph, candidates)
        return min(candidates, key=functools.partial(estimate, graph))
    search = _Search(graph, starts, objective, seed, workers)
    with BoundAside(graph if bounded and bound is None else None, bound) as least:
        return search.run(_Budget(time.monotonic(), seconds, steps, least), progress)


def _of_few_operations(
    graph: ComputationalGraph,
    starts: list[tuple[int, ...]],
    seconds: float | None,
    steps: int | None,
    seed: int,
    workers: int,
    progress: Callable[[Progress], Any] | bool,
) -> list[tuple[int, ...]]:
    """The orders that a search starts with, and those that it finds by operations."""
    share = None if seconds is None else _SHARE * seconds / 2
    objectives: tuple[Objective, ...] = ("mults", "flops")
    searches = [_Search(graph, starts, objective, seed, workers) for objective in objectives]
    with BoundAside(graph) as least:
        found = [search.run(_Budget(time.monotonic(), share, steps, least), progress) for search in searches]
    return list(dict.fromkeys([*starts, *found]))


class _Search:
    """Walks side by side, one in every thread."""

    def __init__(
        self,
        graph: ComputationalGraph,
        starts: Sequence[tuple[int, ...]],
        objective: Objective,
        seed: int,
        workers: int,
    ) -> None:
        # Numba takes half a second to import, which only those who search shall pay.
        from ._engine import Engine, Prices
        from ._walk import Walk

        prices = Prices(graph, additions=objective == "flops")
        self._walks: list[Walk] = []
        for worker in range(workers):
            walk = Walk(Engine(graph, prices, peaks=objective == "memory"), starts[0], (seed, worker))
            for order in starts[1:]:
                walk.restart(order)
            walk.restart(walk.best.order)
            self._start = walk.best.order
            walk.anneal(0, 0.0, 1)  # compile, before the clock is read
            self._walks.append(walk)
        self._size = len(graph.eliminable)
        self._objective = objective
        self._stop = threading.Event()

    def run(self, budget: _Budget, progress: Callable[[Progress], Any] | bool) -> tuple[int, ...]:
        """Search to the end of the budget, or to a proof; returns the best order of all walks."""
        line = ProgressLine(self._objective) if progress is True else None
        listen = line or (progress if callable(progress) else None)
        with ThreadPoolExecutor(len(self._walks)) as pool:
            pending = {pool.submit(self._rounds, walk, budget) for walk in self._walks}
            try:
                while pending:
                    done, pending = wait(pending, _PROGRESS_SECONDS)
                    for future in done:
                        future.result()
                    if listen and not self._stop.is_set() and listen(self._progress(budget)):
                        self._stop.set()
            finally:
                self._stop.set()
                if line:
                    line.end()
        return self._best.order

    @property
    def _best(self) -> Best:
        """The best order of all walks; of equal ones that which took fewer orders to find."""
        return min((walk.best for walk in self._walks), key=lambda best: (best.energy, best.after))

    def _progress(self, budget: _Budget) -> Progress:
        seconds, evaluations = budget.spent, sum(walk.evaluations for walk in self._walks)
        best = self._best
        return Progress(seconds, evaluations, best.order, best.cost, budget.least.value)

    def _rounds(self, walk: Walk, budget: _Budget) -> None:
        """A descent, then rounds of cooling until the budget is spent."""
        # Vertices move far and near in turn: far moves find more, near ones cost less.
        far = max(64, min(256, self._size // 8))
        reaches = itertools.cycle((far // 4, far))
        self._cool(walk, budget, _QUENCH * self._size, 0.0, next(reaches))
        for number, orders in enumerate(itertools.cycle(_ROUNDS)):
            if self._over(walk, budget):
                return
            left = budget.left(walk.evaluations) / self._size
            # The last round takes what is left; one too short to recover from heat begins cooler.
            count = left if left < 2 * orders else orders
            hot = _HOT * min(1.0, count / _ROUNDS[0])
            # Every other whole round forgets what was found: it may find something else.
            walk.restart(self._start if number % 2 and count >= orders else walk.best.order)
            self._cool(walk, budget, math.ceil(count * self._size), hot, next(reaches))

    def _cool(self, walk: Walk, budget: _Budget, count: int, hot: float, reach: int) -> None:
        """Evaluate so many orders while the temperature falls."""
        unit, first = walk.mean_price, walk.evaluations
        end = first + min(count, budget.left(walk.evaluations))
        while walk.evaluations < end and not self._over(walk, budget):
            done = (walk.evaluations - first) / (end - first)
            temperature = unit * hot * (min(_COLD, hot) / hot) ** done if hot else 0.0
            walk.anneal(int(min(_CHUNK, math.ceil(end - walk.evaluations))), temperature, reach)

    def _over(self, walk: Walk, budget: _Budget) -> bool:
        return self._stop.is_set() or budget.left(walk.evaluations) <= 0 or self._decided(walk, budget)

    def _decided(self, walk: Walk, budget: _Budget) -> bool:
        """Whether an order is proved to be the best, and this walk cannot be the one to have it."""
        bound = budget.least.value
        if bound is None:
            return False
        after = min((one.best.after for one in self._walks if one.best.cost <= bound), default=math.inf)
        # Which walk comes first in time is chance; which needs the fewest orders is not.
        return after < math.inf if budget.seconds is not None else walk.evaluations >= after


class _Budget(NamedTuple):
    """How long a walk may go on.

    Attributes:
        begin: of the search.
        seconds, steps: how long it takes, and how many orders a walk evaluates.
        least: what no order costs less than.
    """

    begin: float
    seconds: float | None
    steps: int | None
    least: BoundAside

    @property
    def spent(self) -> float:
        """Seconds since the search began."""
        return time.monotonic() - self.begin

    def left(self, evaluations: int) -> float:
        """How many more orders it may evaluate, at the pace so far; 0 when the time is over."""
        left = math.inf if self.steps is None else self.steps - evaluations
        if self.seconds is not None:
            spent = self.spent
            if spent >= self.seconds:
                return 0
            pace = max(evaluations, _CHUNK) / max(spent, 1e-3)
            left = min(left, max(1, pace * (self.seconds - spent)))
        return left
