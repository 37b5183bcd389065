"""A short local search in plain Python: one vertex after another moves within a window of the order."""

from __future__ import annotations

import contextlib
import math
import random
from collections.abc import Sequence
from typing import NamedTuple

from .._elimination import Costing, OutOfWork

# Temperatures at the start and at the end, as parts of what an elimination costs on average.
_HOT, _COLD = 0.3, 0.03
# A vertex moves at most so far at a time.
_WINDOW = 128
# A move that costs so many temperatures more is hopeless: its chance is one in 3000.
_HOPELESS = 8.0


def sweeps(costing: Costing, order: Sequence[int], work: int) -> tuple[tuple[int, ...], int]:
    """A cheaper order, if the search finds one, and what it costs.

    Sweeps through the order, to and fro, move every vertex to a place that is drawn by the costs of the
    places in reach (heat-bath annealing). Only places next to a neighbour differ: vertices that share no
    edge can be eliminated in either order. One pass over the window prices all of them, because what comes
    after the window depends only on the set of vertices eliminated; where structures tell more than that, the
    next sweep, which eliminates all vertices anew, sets the costs right.

    Args:
        costing: of the graph, with nothing eliminated, undoable. Its allowance may end the search.
        order: where to start.
        work: how much work to do, in the unit of :attr:`Costing.work`. It is the only limit, so the result is
            the same on every machine.
    """
    search = _Sweeps(costing, order)
    with contextlib.suppress(OutOfWork):
        search.run(work)
    return search.best, search.best_cost


class _Place(NamedTuple):
    """A place to which a vertex may be moved.

    Attributes:
        at: the position.
        more: how much more the order costs with the vertex there.
        cost: what eliminating the vertex there costs.
    """

    at: int
    more: int
    cost: int


class _Sweeps:
    """An order under change; the costing has eliminated the vertices before some position of it.

    Attributes:
        order: the order.
        costs: what each of its vertices costs.
    """

    def __init__(self, costing: Costing, order: Sequence[int]) -> None:
        self.costing = costing
        self.order = list(order)
        self.costs = [costing.eliminate(vertex) for vertex in order]
        costing.rewind()
        self.best, self.best_cost = tuple(order), sum(self.costs)
        self.random = random.Random(0)
        self.temperature = 0.0

    def run(self, work: int) -> None:
        costing, length = self.costing, len(self.order)
        start = costing.work
        mean = max(self.best_cost / max(length, 1), 1.0)
        forth = True
        while length > 1 and (done := (costing.work - start) / work) < 1:
            self.temperature = mean * _HOT * (_COLD / _HOT) ** done
            for position in range(length) if forth else range(length - 1, -1, -1):
                if forth:
                    self.move_later(position)
                    self.costs[position] = costing.eliminate(self.order[position])
                else:
                    costing.undo()
                    self.move_earlier(position)
                if costing.work - start > work:
                    break
            else:
                if forth:
                    self.record()
                forth = not forth
        costing.rewind()
        self.costs = [costing.eliminate(vertex) for vertex in self.order]
        costing.rewind()
        self.record()

    def record(self) -> None:
        """Remember the order if it is the best so far. The costs must be those of one run through it."""
        cost = sum(self.costs)
        if cost < self.best_cost:
            self.best, self.best_cost = tuple(self.order), cost

    def move_later(self, position: int) -> None:
        """Draw a place at or after the position for the vertex there. All before it are eliminated."""
        costing, order, costs = self.costing, self.order, self.costs
        vertex = order[position]
        places = [_Place(position, 0, costs[position])]
        others: list[int] = []  # what the vertices in between cost while the vertex is still there
        more = -costs[position]
        hopeless = _HOPELESS * self.temperature
        for at in range(position + 1, min(position + 1 + self.reach(), len(order))):
            other = order[at]
            meets = costing.adjacent(vertex, other)
            others.append(costing.eliminate(other))
            more += others[-1] - costs[at]
            if meets:
                cost = costing.degree(vertex)
                places.append(_Place(at, more + cost, cost))
                if more > hopeless:
                    break
        for _ in others:
            costing.undo()
        place = self.draw(places)
        if place.at > position:
            order[position : place.at + 1] = [*order[position + 1 : place.at + 1], vertex]
            costs[position : place.at + 1] = [*others[: place.at - position], place.cost]

    def move_earlier(self, position: int) -> None:
        """Draw a place at or before the position for the vertex there. All before it are eliminated."""
        costing, order, costs = self.costing, self.order, self.costs
        vertex = order[position]
        places = [_Place(position, 0, costs[position])]
        others: list[int] = []  # what the vertices in between cost once the vertex is gone, latest first
        more = -costs[position]
        hopeless = _HOPELESS * self.temperature
        for at in range(position - 1, max(position - 1 - self.reach(), -1), -1):
            costing.undo()
            other = order[at]
            if not costing.adjacent(vertex, other):
                others.append(costs[at])
                continue
            cost = costing.eliminate(vertex)
            others.append(costing.degree(other))
            costing.undo()
            more += others[-1] - costs[at]
            places.append(_Place(at, more + cost, cost))
            if more > hopeless:
                break
        place = self.draw(places)
        if place.at < position:
            order[place.at : position + 1] = [vertex, *order[place.at : position]]
            costs[place.at : position + 1] = [place.cost, *others[: position - place.at][::-1]]
        for at in range(position - len(others), position):
            costs[at] = costing.eliminate(order[at])

    def reach(self) -> int:
        """How far to look for a place this time."""
        return 1 + int(self.random.random() * _WINDOW)

    def draw(self, places: Sequence[_Place]) -> _Place:
        """A place, by the chances that its cost gives it at this temperature."""
        if len(places) == 1:
            return places[0]
        least = min(place.more for place in places)
        chances = [math.exp((least - place.more) / self.temperature) for place in places]
        drawn = self.random.random() * sum(chances)
        for place, chance in zip(places, chances, strict=True):
            drawn -= chance
            if drawn < 0:
                return place
        return places[chances.index(max(chances))]
