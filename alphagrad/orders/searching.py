"""How an order is looked for without an agent: heuristics, annealing, bounds and proofs."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from functools import partial

from alphagrad.tasks import Task
from graphax import ComputationalGraph, orders
from graphax.orders import Objective, Progress

from ..run.aside import aside
from .best import BestOrder
from .report import CLASSICAL, SECONDS, Row, cost_rows, write_value

_EXACT_VERTICES = 15  # up to which all orders can be gone through
_EXACT_SECONDS = 10.0
_BOUND_SECONDS = 1.0  # in which the search waits for the bound
_LEAST_SECONDS = 0.2  # that a search gets however late it is
_RUNS_SHARE = 1 / 6  # of the time, for each of two searches for orders that are then run
#: What costs are of, by the objective.
QUANTITIES: dict[Objective, str] = {
    "mults": "multiplications",
    "flops": "multiplications and additions",
    "memory": "numbers held at once",
    "time": "a run, as estimated",
    "runtime": "a run",
}


class OrderSearch:
    """Looks for a good order as long as it may, and offers what it finds.

    Args:
        graph: whose vertices are eliminated.
        objective: what is to be small.
        best: is offered every order.
        over: says whether to stop.
        seed: of all chance.
        workers: threads that search side by side.
        listen: is called several times a second while the search goes on.
        evaluate: what an order costs; by default what `graphax.orders.evaluate` says.

    Attributes:
        graph, objective, best: as given.
        candidates: the classical orders, that of `auto`, and others, by name.
        costs: of these and of what was found, by name; infinite before they are known.
        found: the best order that the search knows.
        evaluations: orders evaluated so far.
    """

    def __init__(
        self,
        graph: ComputationalGraph,
        objective: Objective,
        best: BestOrder,
        over: Callable[[], bool],
        seed: int,
        workers: int = 1,
        listen: Callable[[], None] = lambda: None,
        evaluate: Callable[[tuple[int, ...]], float] | None = None,
    ) -> None:
        self.graph, self.best, self._over = graph, best, over
        self.objective: Objective = objective
        self._seed, self._workers, self._listen = seed, workers, listen
        self._evaluate = evaluate or partial(orders.evaluate, graph, objective=objective)
        self._lower: Future[int] | None = None
        self._proved_bound: int | None = None
        self._pace = 0.0
        self.candidates: dict[str, tuple[int, ...]] = {}
        self.costs: dict[str, float] = {}
        self.found: tuple[int, ...] = ()
        self.evaluations = 0

    def begin(self) -> None:
        """Offer the order that `auto` takes and the classical ones, and begin to look for a bound.

        Whatever is measured is not measured yet.
        """
        graph = self.graph
        methods: dict[str, Callable[[ComputationalGraph], tuple[int, ...]]] = {
            "forward": orders.forward,
            "reverse": orders.reverse,
            "markowitz": orders.markowitz,
            "auto": lambda graph: orders.auto(graph.executed()),
        }
        for name, method in methods.items():
            self.candidates[name] = method(graph)
            if self.objective != "runtime":
                self.costs[name] = self._evaluate(self.candidates[name])
        self.settle()
        if self.objective in ("mults", "flops"):
            # That of a large graph takes its time.
            self._lower = aside(orders.lower_bound, graph)

    def settle(self) -> None:
        """Make sure that an order has been offered, even if the time was over before any was looked at."""
        if self.found:
            return
        if not self.costs:
            reverse = orders.reverse(self.graph)
            cost = math.inf if self.objective in SECONDS else self._evaluate(reverse)
            self.best.offer(reverse, cost, "reverse")
        for name, cost in reversed(list(self.costs.items())):  # of equal ones that of `auto` is named
            if name in self.candidates:
                self.best.offer(self.candidates[name], cost, name)
        self.found, self.costs["search"] = self.best.order, self.best.cost

    def search(self, seconds: float, steps: int | None = None) -> None:
        """Look for better orders until the time is over or one is proved to be the best.

        Args:
            seconds: how long; infinite if `steps` alone are to count.
            steps: how many orders every worker evaluates at most.
        """
        if self.objective in SECONDS:
            self._run_times(seconds, steps)
            return
        if self._lower is not None:
            wait([self._lower], min(_BOUND_SECONDS, 0.1 * seconds))
        self.prove(seconds)
        if not self.proved and not self._over():
            order = self._annealed(self.objective, seconds, steps)
            self.offer(order, self._evaluate(order))

    def prove(self, seconds: float) -> None:
        """Go through all orders of a small graph, unless the best is proved already."""
        few = len(self.graph.eliminable) <= _EXACT_VERTICES
        if self.objective == "mults" and few and not self.proved:
            seconds = min(_EXACT_SECONDS, max(_LEAST_SECONDS, seconds / 2))
            proof = orders.exact(self.graph, seconds=seconds, start=self.best.order)
            self._proved_bound = proof.bound
            self.offer(proof.order, proof.cost)

    def _run_times(self, seconds: float, steps: int | None) -> None:
        """Take the fastest of the candidates and of orders of least cost, each in its way.

        A run that is measured is compiled, which takes seconds: there is no time to try many orders.
        """
        candidates = self.candidates
        searches: dict[str, Objective] = {"fewest flops": "flops", "least memory": "memory"}
        for name, objective in searches.items():
            if not self._over():
                candidates[name] = self._annealed(objective, seconds * _RUNS_SHARE, steps)
        if self._over():
            return
        if self.objective == "runtime":
            taken = orders.measure(self.graph, list(candidates.values()))
        else:
            taken = map(self._evaluate, candidates.values())
        self.costs |= zip(candidates, taken, strict=True)
        for name, order in candidates.items():
            self.offer(order, self.costs[name], name)

    def _annealed(self, objective: Objective, seconds: float, steps: int | None) -> tuple[int, ...]:
        """The best order of a search by annealing."""
        before, own = self.evaluations, objective == self.objective
        # A search that has to be compiled first begins its own count of time after that.
        seconds = max(_LEAST_SECONDS, seconds)
        end = time.perf_counter() + seconds

        def listen(progress: Progress) -> bool:
            self.evaluations = before + progress.evaluations
            self._pace = progress.evaluations / max(progress.seconds, 1e-3)
            if own:
                self.offer(progress.order, progress.cost)
            self._listen()
            return self._over() or (own and self.proved) or time.perf_counter() > end

        return orders.anneal(
            self.graph,
            seconds=None if math.isinf(seconds) and steps else min(seconds, threading.TIMEOUT_MAX),
            steps=steps,
            seed=self._seed,
            objective=objective,
            start=self.best.order if own else None,
            workers=self._workers,
            progress=listen,
            # It is computed here, for whatever is offered.
            bound=0 if objective in ("mults", "flops") else None,
        )

    def offer(self, order: tuple[int, ...], cost: float, method: str = "search") -> None:
        """Take an order that a search, this one or another, has found."""
        self.best.offer(order, cost, method)
        if self.best.cost <= cost < self.costs["search"]:  # what comes too late for the best is not found
            self.found, self.costs["search"] = order, cost

    @property
    def bound(self) -> int | None:
        """What no order is below, as far as it is known."""
        lower = self._lower.result() if self._lower and self._lower.done() else None
        return max((bound for bound in (self._proved_bound, lower) if bound is not None), default=None)

    @property
    def proved(self) -> bool:
        """Whether no order is better than the best."""
        bound = self.bound
        return bound is not None and self.best.cost <= bound

    @property
    def quantity(self) -> str:
        """What costs are of."""
        if self.objective in SECONDS:
            return QUANTITIES[self.objective]
        return f"{QUANTITIES[self.objective]} ({'counted' if self.graph.is_counted else 'free'})"

    @property
    def quality(self) -> str:
        """What the best order costs, and how far it can be from the best of all."""
        cost, bound = self.best.cost, self.bound
        words = f"{write_value(cost, self.objective)} {self.quantity}"
        if self.proved:
            return f"{words}, optimal (proved)"
        if bound is None:
            return f"{words}, no lower bound known"
        return f"{words}, lower bound {write_value(bound)}, gap {100 * (cost - bound) / cost:.1f} %"

    @property
    def line(self) -> str:
        """Progress, in some words."""
        pace = f"{self._pace:,.0f} orders/s" if self._pace else "beginning"
        return f"{pace}  best {self.quality}"

    def rows(self, task: Task, learned: Sequence[int] | None = None) -> list[Row]:
        """The table of costs.

        Args:
            task: what the orders are for.
            learned: an order that an agent has found; None if there is no agent.
        """
        found: dict[str, Sequence[int]] = {
            name: order for name, order in list(self.candidates.items()) if name not in CLASSICAL
        }
        found["search"] = self.found
        if learned is not None:
            found["learned"] = learned
        rows = cost_rows(self.graph, task, found, self.candidates.get("markowitz"))
        if self.objective != "mults":
            rows = [row._replace(value=self.costs.get(row.method)) for row in rows]
        if self._lower is not None:
            of = "value" if self.objective != "mults" else "counted" if self.graph.is_counted else "free"
            rows.append(Row("lower bound", None, None)._replace(**{of: self.bound}))
        return rows
