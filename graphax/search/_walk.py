"""Compiled local search over elimination orders.

A walk stands at a place of an order, the vertices before it being eliminated. It tries other sequences of the
next few vertices, keeps what helps or chance allows, and moves on to the next place; so only the part of an
order that changes is ever evaluated. What comes after that part costs what it did, for the graph is the same:
between scalars always, between arrays unless the hash of the graph tells otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..compiled import compiled, part
from ._engine import Engine
from ._links import DEPTH, DONE, HASH, PEAKS, PRICE, eliminate, undo

# Places in `Arrays.state`.
_STEP, _TRIES, _ENERGY, _BEST_ENERGY, _BEST_PEAK, _BEST_AFTER, _EVALUATIONS, _STATE_WIDTH = range(8)

_TRIES_AT_A_PLACE = 4
_PEAK_WEIGHT = 16  # so many times the mean, a peak comes first and the mean decides between equal ones


class Arrays(NamedTuple):
    """What a walk knows.

    Attributes:
        order, price, hash: the order, the price of each of its eliminations, the hash of the graph after it.
        peak_before, peak_after: the largest price before a place, and from it on.
        trial, trial_price, trial_hash: the sequence that is being tried.
        best: the best order so far.
        state: the direction in which the walk goes, tries left at this place, the energy of the order and of
            the best one, the largest price of the best one, orders evaluated until it was found, and so far.
        random: the state of the random generator.
    """

    order: np.ndarray
    price: np.ndarray
    hash: np.ndarray
    peak_before: np.ndarray
    peak_after: np.ndarray
    trial: np.ndarray
    trial_price: np.ndarray
    trial_hash: np.ndarray
    best: np.ndarray
    state: np.ndarray
    random: np.ndarray


@part
def _draw(walk):
    """The next 63 random bits (xorshift64*, S. Vigna, ACM Transactions on Mathematical Software 42, 2016)."""
    x = walk.random[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    walk.random[0] = x
    return np.int64((x * np.uint64(2685821657736338717)) >> np.uint64(1))


@part
def _propose(walk, begin, reach):
    """Write another sequence of the next vertices to ``trial``; returns how many they are.

    The first goes last, or the last goes first, over a distance that is about log-uniform.
    """
    bits = _draw(walk)
    span = min(reach, len(walk.order) - 1 - begin)
    doublings = 0
    while (2 << doublings) <= span:
        doublings += 1
    low = 1 << ((bits >> 1) % (doublings + 1))
    distance = min(span, low + (bits >> 8) % low)
    order, trial = walk.order, walk.trial
    if bits & 1:
        for at in range(distance):
            trial[at] = order[begin + 1 + at]
        trial[distance] = order[begin]
    else:
        trial[0] = order[begin + distance]
        for at in range(distance):
            trial[1 + at] = order[begin + at]
    return distance + 1


@part
def _move_on(links, tables, walk):
    """Go to the next place, back and forth along the order."""
    state, begin = walk.state, links.top[DEPTH]
    last = len(walk.order) - 2
    if state[_STEP] > 0 and begin < last:
        status = eliminate(links, tables, walk.order[begin])
        if status != DONE:
            return status
        walk.peak_before[begin + 1] = max(walk.peak_before[begin], walk.price[begin])
    elif state[_STEP] < 0 and begin > 0:
        undo(links)
        walk.peak_after[begin - 1] = max(walk.price[begin - 1], walk.peak_after[begin])
    else:
        state[_STEP] = -state[_STEP]
    state[_TRIES] = _TRIES_AT_A_PLACE
    return DONE


@part
def _take(walk, begin, tried):
    """Make the sequence that was tried a part of the order."""
    for at in range(tried):
        walk.order[begin + at] = walk.trial[at]
        walk.price[begin + at] = walk.trial_price[at]
        walk.hash[begin + at] = walk.trial_hash[at]
    for at in range(begin + tried - 1, begin - 1, -1):
        walk.peak_after[at] = max(walk.price[at], walk.peak_after[at + 1])


@compiled
def _anneal(links, tables, walk, evaluations, temperature, reach):
    """Try sequences until so many orders have been evaluated.

    One is taken if it raises the energy by less than an exponentially distributed number with the temperature
    as its mean, which is the rule of Metropolis. The energy is the sum of the prices; where these are peaks,
    the largest is added so many times that it decides.
    """
    state, order, top = walk.state, walk.order, links.top
    size = len(order)
    weight = _PEAK_WEIGHT * size if top[PEAKS] else 0
    while state[_EVALUATIONS] < evaluations:
        if state[_TRIES] <= 0:
            status = _move_on(links, tables, walk)
            if status != DONE:
                return status
            continue
        begin, random = top[DEPTH], walk.random[0]
        count = _propose(walk, begin, reach)
        slack = -temperature * np.log((_draw(walk) + 1) * 2.0**-63)
        end = begin + count
        before, peak = 0, walk.peak_before[begin]
        for at in range(begin, end):
            before += walk.price[at]
            peak = max(peak, walk.price[at])
        before += weight * max(peak, walk.peak_after[end])
        after, peak = 0, walk.peak_before[begin]
        tried, status, accepted = 0, DONE, True
        while tried < count or (end < size and top[HASH] != walk.hash[end - 1]):
            if tried >= count:  # the graph is another one: look at what comes after, too
                walk.trial[tried] = order[end]
                before += walk.price[end]
                end += 1
            status = eliminate(links, tables, walk.trial[tried])
            if status != DONE:
                break
            walk.trial_price[tried], walk.trial_hash[tried] = top[PRICE], top[HASH]
            after += top[PRICE]
            peak = max(peak, top[PRICE])
            tried += 1
            if after + weight * peak > before + slack:
                accepted = False
                break
        while top[DEPTH] > begin:
            undo(links)
        if status != DONE:
            walk.random[0] = random  # the same sequence is tried again
            return status
        state[_TRIES] -= 1
        state[_EVALUATIONS] += 1
        peak = max(peak, walk.peak_after[end])
        after += weight * peak
        if not accepted or after > before + slack:
            continue
        _take(walk, begin, tried)
        state[_ENERGY] += after - before
        if state[_ENERGY] < state[_BEST_ENERGY]:
            state[_BEST_ENERGY], state[_BEST_PEAK] = state[_ENERGY], peak
            state[_BEST_AFTER] = state[_EVALUATIONS]
            for at in range(size):
                walk.best[at] = order[at]
    return DONE


class Best(NamedTuple):
    """The best order of a walk.

    Attributes:
        energy: what it is judged by.
        cost: the sum of its prices, or their peak.
        after: how many orders had been evaluated when it was found.
        order: its vertex numbers.
    """

    energy: int
    cost: int
    after: int
    order: tuple[int, ...]


class Walk:
    """A local search over the orders of a graph.

    Args:
        engine: the graph; a walk has it for itself.
        order: where to start.
        seed: of the random moves.
    """

    def __init__(self, engine: Engine, order: Sequence[int], seed: Sequence[int]) -> None:
        self._engine = engine
        size = len(order)
        nodes = engine.indices(order)
        self._arrays = Arrays(
            order=nodes,
            price=np.zeros(size, np.int64),
            hash=np.zeros(size, np.int64),
            peak_before=np.zeros(size + 1, np.int64),
            peak_after=np.zeros(size + 1, np.int64),
            trial=np.zeros_like(nodes),
            trial_price=np.zeros(size, np.int64),
            trial_hash=np.zeros(size, np.int64),
            best=nodes.copy(),
            state=np.zeros(_STATE_WIDTH, np.int64),
            # Any state but zero will do.
            random=np.random.SeedSequence(list(seed)).generate_state(1, np.uint64) | np.uint64(1),
        )
        self._arrays.state[_BEST_ENERGY] = np.iinfo(np.int64).max
        self.restart(order)

    def restart(self, order: Sequence[int]) -> None:
        """Go on from another order."""
        arrays, engine = self._arrays, self._engine
        arrays.order[:] = engine.indices(order)
        engine.evaluate(arrays.order, arrays.price, arrays.hash)
        arrays.peak_before[0] = engine.held
        arrays.peak_after[:-1] = np.maximum.accumulate(arrays.price[::-1])[::-1]
        energy, peak = int(arrays.price.sum()), int(max(engine.held, arrays.peak_after[0]))
        if engine.links.top[PEAKS]:
            energy += _PEAK_WEIGHT * len(order) * peak
        arrays.state[[_STEP, _TRIES, _ENERGY]] = 1, _TRIES_AT_A_PLACE, energy
        if energy < arrays.state[_BEST_ENERGY]:
            arrays.state[[_BEST_ENERGY, _BEST_PEAK, _BEST_AFTER]] = energy, peak, self.evaluations
            arrays.best[:] = arrays.order
            self._note_best()

    def anneal(self, evaluations: int, temperature: float, reach: int) -> None:
        """Try so many orders at a temperature, moving vertices by up to ``reach`` places."""
        if len(self._arrays.order) > 1:
            self._engine.call(
                _anneal, self._arrays, self.evaluations + evaluations, float(temperature), reach
            )
            if self._arrays.state[_BEST_ENERGY] < self._best.energy:
                self._note_best()

    def _note_best(self) -> None:
        # Others look at the best order while compiled code, which waits for nobody, writes the next one.
        state = self._arrays.state
        cost = state[_BEST_PEAK if self._engine.links.top[PEAKS] else _BEST_ENERGY]
        order = self._engine.order(self._arrays.best)
        self._best = Best(int(state[_BEST_ENERGY]), int(cost), int(state[_BEST_AFTER]), order)

    @property
    def evaluations(self) -> int:
        """How many orders have been evaluated."""
        return int(self._arrays.state[_EVALUATIONS])

    @property
    def mean_price(self) -> float:
        """The mean price of an elimination now."""
        return float(self._arrays.price.mean()) if len(self._arrays.price) else 0.0

    @property
    def best(self) -> Best:
        """The best order when the walk began or last came to an end; it may be asked for from any thread."""
        return self._best
