"""A graph that compiled functions eliminate, and the prices of what they ask for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._graph import ComputationalGraph
from ..sparse import ZERO, Kind
from ._links import (
    CELLS,
    CODE,
    FULL,
    HASHING,
    HELD,
    IDENTITY,
    KIND,
    MISSING,
    NOTHING,
    NUMBERS,
    PEAKS,
    STRUCTURE_WIDTH,
    Tables,
    evaluate,
    larger_answers,
    larger_links,
    new_answers,
    new_links,
    question,
    rewind,
    slot_of,
)

_KINDS = {Kind.UNIT: 0, Kind.COPY: 0, Kind.CONSTANT: 1, Kind.VALUE: 2}


class Prices:
    """Structures by number with the prices of their products and sums; may be shared by threads.

    Args:
        graph: whose edges' structures are looked at; prices are those of its convention.
        additions: whether prices count additions too.
    """

    def __init__(self, graph: ComputationalGraph, additions: bool) -> None:
        self._table, edges = graph.interned()
        self._additions = additions
        self._lock = threading.Lock()
        self.edges = {edge: structure + 1 for edge, structure in edges.items()}

    def entry(self, left: int, right: int, is_sum: bool) -> tuple[int, int]:
        """The id and the price of a product or a sum."""
        with self._lock:
            if is_sum:
                found, adds = self._table.add(left - 1, right - 1)
                mults = 0
            else:
                found, mults, adds = self._table.compose(left - 1, right - 1)
        return NOTHING if found == ZERO else found + 1, mults + (adds if self._additions else 0)

    def structures(self, first: int) -> list[tuple[int, int]]:
        """The numbers that an edge of each structure holds, and its kind; from an id on."""
        with self._lock:
            return [(one.numbers, _KINDS[one.terms[0].kind]) for one in self._table.structures[first - 1 :]]


class Engine:
    """A graph that compiled functions eliminate.

    Args:
        graph: the graph.
        prices: of products and sums of its edges' structures.
        peaks: whether the price of an elimination is not its operations, but the numbers that the graph holds
            when the products and sums are in and the vertex's own edges not yet dropped.

    Attributes:
        links, tables: the arrays.
        ends: ``[2, node]`` which nodes are inputs; and which are outputs, or the results of some.
        held: the numbers that the graph holds before anything is eliminated.
    """

    def __init__(self, graph: ComputationalGraph, prices: Prices, peaks: bool = False) -> None:
        self._prices = prices
        self._vertices = graph.eliminable
        nodes = self._nodes = {node: at for at, node in enumerate(graph.inputs + graph.vertices)}
        found = [(nodes[u], nodes[w], structure) for (u, w), structure in prices.edges.items()]
        # An output that is also read goes on as a result of its own, which nobody eliminates.
        results = [vertex for vertex in graph.eliminable if vertex in graph.output_vertices]
        found += [(nodes[vertex], len(nodes) + at, IDENTITY) for at, vertex in enumerate(results)]
        edges, size = np.array(found, np.uint32).reshape(-1, 3), len(nodes) + len(results)
        self._random = np.random.default_rng(0)
        self.links = new_links(size, edges, len(graph.eliminable), self._random)
        # The identity holds nothing and is a constant.
        self.tables = Tables(new_answers(64), np.array([[0, -1, 1]], np.int64), np.zeros(1, np.int64))
        self._known, self._answered = 1, 0
        self._grow_structures()
        outputs = [at for node, at in nodes.items() if node in graph.output_vertices]
        self.ends = np.zeros((2, size), np.bool_)
        self.ends[0, : len(graph.inputs)] = self.ends[1, outputs] = self.ends[1, len(nodes) :] = True
        # Between scalars, what an edge is depends on the paths that it stands for, not on their order.
        self.links.top[HASHING] = any(s.out_shape or s.in_shape for s in graph.edges.values())
        self.links.top[PEAKS] = peaks
        self.held = int(self.tables.structures[edges[:, 2], NUMBERS].sum())
        self.links.top[HELD] = self.held

    def reached(self) -> np.ndarray:
        """Whether paths that begin with the edges into a node, or out of it, come to another one, in a graph
        in which nothing is eliminated: ``[2, node, node]``.
        """
        size = len(self.links.nodes)
        found = np.zeros((2, size, size), np.bool_)
        edges = self.links.cells[size : self.links.top[CELLS], :2]
        for source, target in edges[np.argsort(edges[:, 1])]:
            found[0, target] |= found[0, source]
            found[0, target, source] = True
        found[1] = found[0].T
        return found

    def indices(self, order: Sequence[int]) -> np.ndarray:
        """The nodes of vertex numbers, as compiled functions take them."""
        return np.array([self._nodes[vertex] for vertex in order], np.uint32)

    def order(self, indices: np.ndarray) -> tuple[int, ...]:
        """The vertex numbers of nodes."""
        numbers = {self._nodes[vertex]: vertex for vertex in self._vertices}
        return tuple(numbers[int(at)] for at in indices)

    def prices(self, order: Sequence[int]) -> np.ndarray:
        """The price of every elimination of an order."""
        found = np.zeros((2, len(order)), np.int64)
        self.evaluate(self.indices(order), *found)
        return found[0]

    def evaluate(self, order: np.ndarray, prices: np.ndarray, hashes: np.ndarray) -> None:
        """Note the price of every elimination of an order, and the hash of the graph after it."""
        rewind(self.links)
        self.call(evaluate, order, prices, hashes)
        rewind(self.links)

    def call(self, fun: Callable[..., int], *args: Any) -> None:
        """Call a compiled function until it is done, and give it what it asks for."""
        while self.answer(fun(self.links, self.tables, *args)):
            pass

    def answer(self, status: int) -> bool:
        """Give a compiled function what it asks for; returns whether it has asked for anything."""
        if status == FULL:
            self.links = larger_links(self.links)
        elif status == MISSING:
            self._fill()
        return status in (FULL, MISSING)

    def _fill(self) -> None:
        """Put into the tables what was missing."""
        key = int(self.tables.request[0])
        found, price = self._prices.entry(*question(key))
        self._answered += 1
        if 2 * self._answered > len(self.tables.answers):
            self.tables = self.tables._replace(answers=larger_answers(self.tables.answers))
        self.tables.answers[slot_of(self.tables.answers, key)] = key, found, price
        self._grow_structures()

    def _grow_structures(self) -> None:
        first, new, old = self._known, self._prices.structures(self._known), self.tables.structures
        self._known += len(new)
        if self._known > len(old):
            larger = np.zeros((2 * self._known, STRUCTURE_WIDTH), np.int64)
            larger[:, CODE] = self._random.integers(-(2**62), 2**62, len(larger)) | 1
            larger[: len(old)] = old
            self.tables = self.tables._replace(structures=larger)
        if new:
            self.tables.structures[first : self._known, [NUMBERS, KIND]] = new
