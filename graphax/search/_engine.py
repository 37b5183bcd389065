"""Compiled elimination on interned structures: eliminate a vertex, and take it back.

Edges are cells in two doubly linked lists: the out-edges of their source and the in-edges of their target. A
vertex that is eliminated leaves its cells in place and only unlinks them, so that taking it back relinks them
(the dancing links of D. E. Knuth, arXiv cs/0011047).

Products and sums of structures are looked up in hash tables that know what has been asked for so far. At a
pair that they do not know a compiled function takes back what it began and returns :data:`MISSING`; it is
called again once the tables know the pair (:meth:`Engine.call`). So nothing is worked out that no elimination
meets.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._graph import ComputationalGraph
from ..compiled import compiled
from ..sparse import ZERO

# What a compiled function returns: it is done; the tables miss something; the arrays are full.
DONE, MISSING, FULL = 0, 1, 2

# Columns of `Links.cells`, and the places of a cell that heads a node's lists: the node's own number.
_SOURCE, _TARGET, _STRUCTURE, _OUT_NEXT, _OUT_PREV, _IN_NEXT, _IN_PREV, _CELL_WIDTH = range(8)
# Columns of `Links.nodes`: the cell of the edge to a node, valid at one stamp; and random numbers.
_MARK, _SEEN, _OUT_CODE, _IN_CODE, _NODE_WIDTH = range(5)
# Columns of `Links.frames`: what it takes to take an elimination back.
_VERTEX, _FIRST_CELL, _FIRST_CHANGE, _HASH_BEFORE, _HELD_BEFORE, _FRAME_WIDTH = range(6)
# Places in `Links.top`.
CELLS, CHANGES, DEPTH, STAMP, HASH, HELD, PRICE, PEAKS, HASHING, _TOP_WIDTH = range(10)
# Columns of the tables of products and sums, and of `Tables.structures`.
_KEY, _ID, _PRICE, _ENTRY_WIDTH = range(4)
_NUMBERS, _CODE, _STRUCTURE_WIDTH = range(3)
# Places in `Tables.request`: for what table, and for which pair.
_IS_SUM, _LEFT, _RIGHT, _REQUEST_WIDTH = range(4)

_FREE = -1  # the key of a slot that is free
_UNKNOWN = -1  # the id in a free slot
_NOTHING = -2  # the id of a product that is zero
_IDENTITY = 0  # the id of the edge from an output that is also read to the result; others count from 1
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: spreads keys over a table


class Links(NamedTuple):
    """A graph being eliminated.

    Attributes:
        cells: heads of the nodes' lists, then edges.
        nodes: marks and random numbers.
        changes: cells whose structure changed, and what it was.
        frames: one for every eliminated vertex.
        top: how much of these is in use; a hash of the graph, the numbers it holds, the last price; and the
            switches whether prices are peaks of numbers held, and whether hashes are kept.
    """

    cells: np.ndarray
    nodes: np.ndarray
    changes: np.ndarray
    frames: np.ndarray
    top: np.ndarray


class Tables(NamedTuple):
    """Products and sums of structures, as far as they have been asked for.

    Attributes:
        products, sums: hash tables from a pair of ids to an id and a price.
        structures: for every id the numbers that an edge holds, and a random number.
        request: what was missing.
    """

    products: np.ndarray
    sums: np.ndarray
    structures: np.ndarray
    request: np.ndarray


@compiled
def _find(table, left, right):
    """The slot of a pair, or the free slot where it belongs."""
    key = (np.uint64(left) << np.uint64(32)) | np.uint64(right)
    mask = np.uint64(len(table) - 1)
    slot = ((key * _SPREAD) >> np.uint64(40)) & mask
    while table[slot, _KEY] != np.int64(key) and table[slot, _KEY] != _FREE:
        slot = (slot + np.uint64(1)) & mask
    return slot


@compiled
def _unlink_in(cells, cell):
    after, before = cells[cell, _IN_NEXT], cells[cell, _IN_PREV]
    cells[before, _IN_NEXT] = after
    cells[after, _IN_PREV] = before


@compiled
def _unlink_out(cells, cell):
    after, before = cells[cell, _OUT_NEXT], cells[cell, _OUT_PREV]
    cells[before, _OUT_NEXT] = after
    cells[after, _OUT_PREV] = before


@compiled
def _edge_code(links, tables, cell):
    """What an edge adds to the hash of a graph."""
    cells, nodes = links.cells, links.nodes
    ends = nodes[cells[cell, _SOURCE], _OUT_CODE] ^ nodes[cells[cell, _TARGET], _IN_CODE]
    return ends * tables.structures[cells[cell, _STRUCTURE], _CODE]


@compiled
def _link(cells, cell, source, target, structure):
    """Make a cell an edge: the first out-edge of its source, the first in-edge of its target."""
    cells[cell, _SOURCE], cells[cell, _TARGET], cells[cell, _STRUCTURE] = source, target, structure
    after = cells[source, _OUT_NEXT]
    cells[cell, _OUT_NEXT], cells[cell, _OUT_PREV] = after, source
    cells[source, _OUT_NEXT] = cells[after, _OUT_PREV] = cell
    after = cells[target, _IN_NEXT]
    cells[cell, _IN_NEXT], cells[cell, _IN_PREV] = after, target
    cells[target, _IN_NEXT] = cells[after, _IN_PREV] = cell


@compiled
def _detach(cells, vertex):
    """Unlink the edges of a vertex from its neighbours' lists; returns how many pairs they are."""
    incoming = 0
    cell = cells[vertex, _IN_NEXT]
    while cell != vertex:
        _unlink_out(cells, cell)
        incoming += 1
        cell = cells[cell, _IN_NEXT]
    outgoing = 0
    cell = cells[vertex, _OUT_NEXT]
    while cell != vertex:
        _unlink_in(cells, cell)
        outgoing += 1
        cell = cells[cell, _OUT_NEXT]
    return incoming * outgoing


@compiled
def _mark_targets(cells, nodes, source, stamp):
    """Note at every target of a node the edge that leads there."""
    cell = cells[source, _OUT_NEXT]
    while cell != source:
        node = cells[cell, _TARGET]
        nodes[node, _MARK] = cell
        nodes[node, _SEEN] = stamp
        cell = cells[cell, _OUT_NEXT]


@compiled
def _leave(links, tables, vertex, held, code):
    """Note the numbers held and the hash without the edges of a vertex, if either is kept."""
    cells, top = links.cells, links.top
    if top[PEAKS] == 0 and top[HASHING] == 0:
        return
    cell = cells[vertex, _IN_NEXT]
    while cell != vertex:
        held -= tables.structures[cells[cell, _STRUCTURE], _NUMBERS]
        code -= _edge_code(links, tables, cell)
        cell = cells[cell, _IN_NEXT]
    cell = cells[vertex, _OUT_NEXT]
    while cell != vertex:
        held -= tables.structures[cells[cell, _STRUCTURE], _NUMBERS]
        code -= _edge_code(links, tables, cell)
        cell = cells[cell, _OUT_NEXT]
    top[HELD], top[HASH] = held, code


@compiled
def eliminate(links, tables, vertex):
    """Eliminate a vertex and leave its price in ``top``; on anything but DONE nothing has happened."""
    cells, nodes, changes, top = links.cells, links.nodes, links.changes, links.top
    products, sums = tables.products, tables.sums
    peaks, hashing = top[PEAKS] != 0, top[HASHING] != 0
    frames, depth = links.frames, np.uint64(top[DEPTH])
    frames[depth, _VERTEX] = vertex
    frames[depth, _FIRST_CELL] = top[CELLS]
    frames[depth, _FIRST_CHANGE] = top[CHANGES]
    frames[depth, _HASH_BEFORE] = top[HASH]
    frames[depth, _HELD_BEFORE] = top[HELD]
    top[DEPTH] += 1
    pairs = _detach(cells, vertex)
    used, change = np.uint32(top[CELLS]), np.uint32(top[CHANGES])
    if used + pairs > len(cells) or change + pairs > len(changes):
        undo(links)
        return FULL

    price, held, code, stamp = 0, top[HELD], top[HASH], top[STAMP]
    stays = 0  # the in-edges of an output, which become those of the result
    inner = cells[vertex, _IN_NEXT]
    while inner != vertex:
        source, inner_id = cells[inner, _SOURCE], cells[inner, _STRUCTURE]
        inner = cells[inner, _IN_NEXT]
        stamp += 1
        _mark_targets(cells, nodes, source, stamp)
        outer = cells[vertex, _OUT_NEXT]
        while outer != vertex:
            target, outer_id = cells[outer, _TARGET], cells[outer, _STRUCTURE]
            outer = cells[outer, _OUT_NEXT]
            product = np.int64(inner_id)
            if outer_id == _IDENTITY:
                stays += tables.structures[inner_id, _NUMBERS]
            else:
                slot = _find(products, outer_id, inner_id)
                product = products[slot, _ID]
                if product == _UNKNOWN:
                    tables.request[_IS_SUM] = 0
                    tables.request[_LEFT], tables.request[_RIGHT] = outer_id, inner_id
                    top[CELLS], top[CHANGES], top[STAMP] = used, change, stamp
                    undo(links)
                    return MISSING
                price += products[slot, _PRICE]
                if product == _NOTHING:
                    continue
            if nodes[target, _SEEN] == stamp:
                cell = np.uint32(nodes[target, _MARK])
                old = cells[cell, _STRUCTURE]
                slot = _find(sums, old, product)
                total = sums[slot, _ID]
                if total == _UNKNOWN:
                    tables.request[_IS_SUM] = 1
                    tables.request[_LEFT], tables.request[_RIGHT] = old, product
                    top[CELLS], top[CHANGES], top[STAMP] = used, change, stamp
                    undo(links)
                    return MISSING
                price += sums[slot, _PRICE]
                if total == old:
                    continue
                changes[change, 0], changes[change, 1] = cell, old
                change = np.uint32(change + 1)
                if hashing:
                    code -= _edge_code(links, tables, cell)
                if peaks:
                    held -= tables.structures[old, _NUMBERS]
                cells[cell, _STRUCTURE] = total
            else:
                cell = used
                used = np.uint32(used + 1)
                _link(cells, cell, source, target, product)
            if hashing:
                code += _edge_code(links, tables, cell)
            if peaks:
                held += tables.structures[cells[cell, _STRUCTURE], _NUMBERS]
    top[CELLS], top[CHANGES], top[STAMP] = used, change, stamp
    top[PRICE] = held - stays if peaks else price
    _leave(links, tables, vertex, held, code)
    return DONE


@compiled
def undo(links):
    """Take the last elimination back."""
    cells, changes, top = links.cells, links.changes, links.top
    top[DEPTH] -= 1
    frames, depth = links.frames, np.uint64(top[DEPTH])
    vertex = np.uint32(frames[depth, _VERTEX])
    for cell in range(np.uint64(top[CELLS]), np.uint64(frames[depth, _FIRST_CELL]), -1):
        _unlink_out(cells, cell - np.uint64(1))
        _unlink_in(cells, cell - np.uint64(1))
    for change in range(np.uint64(top[CHANGES]), np.uint64(frames[depth, _FIRST_CHANGE]), -1):
        cells[changes[change - np.uint64(1), 0], _STRUCTURE] = changes[change - np.uint64(1), 1]
    cell = cells[vertex, _OUT_PREV]
    while cell != vertex:
        cells[cells[cell, _IN_PREV], _IN_NEXT] = cells[cells[cell, _IN_NEXT], _IN_PREV] = cell
        cell = cells[cell, _OUT_PREV]
    cell = cells[vertex, _IN_PREV]
    while cell != vertex:
        cells[cells[cell, _OUT_PREV], _OUT_NEXT] = cells[cells[cell, _OUT_NEXT], _OUT_PREV] = cell
        cell = cells[cell, _IN_PREV]
    top[CELLS], top[CHANGES] = frames[depth, _FIRST_CELL], frames[depth, _FIRST_CHANGE]
    top[HASH], top[HELD] = frames[depth, _HASH_BEFORE], frames[depth, _HELD_BEFORE]


@compiled
def run(links, tables, order, prices):
    """Eliminate in this order, from where the graph stands to the order's end, and note the prices."""
    while links.top[DEPTH] < len(order):
        at = links.top[DEPTH]
        status = eliminate(links, tables, order[at])
        if status != DONE:
            return status
        prices[at] = links.top[PRICE]
    return DONE


@compiled
def rewind(links):
    """Take all eliminations back."""
    while links.top[DEPTH] > 0:
        undo(links)


@compiled
def _rehash(old, new):
    for entry in range(len(old)):
        key = old[entry, _KEY]
        if key != _FREE:
            new[_find(new, key >> 32, key & 0xFFFFFFFF)] = old[entry]


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

    def entry(self, is_sum: bool, left: int, right: int) -> tuple[int, int]:
        """The id and the price of a product or a sum."""
        with self._lock:
            if is_sum:
                found, adds = self._table.add(left - 1, right - 1)
                mults = 0
            else:
                found, mults, adds = self._table.compose(left - 1, right - 1)
        return _NOTHING if found == ZERO else found + 1, mults + (adds if self._additions else 0)

    def numbers(self) -> list[int]:
        """The numbers that an edge of every structure holds, from id 0 on."""
        with self._lock:
            return [0, *(structure.numbers for structure in self._table.structures)]


class Engine:
    """A graph that compiled functions eliminate.

    Args:
        graph: the graph.
        prices: of products and sums of its edges' structures.
        peaks: whether the price of an elimination is not its operations, but the numbers that the graph holds
            when the products and sums are in and the vertex's own edges not yet dropped.

    Attributes:
        links, tables: the arrays.
        held: the numbers that the graph holds before anything is eliminated.
    """

    def __init__(self, graph: ComputationalGraph, prices: Prices, peaks: bool = False) -> None:
        self._prices = prices
        self._vertices = graph.eliminable
        nodes = {node: at for at, node in enumerate(graph.inputs + graph.vertices)}
        self._nodes = nodes
        edges = [(nodes[u], nodes[w], found) for (u, w), found in prices.edges.items()]
        # An output that is also read goes on as a result of its own, which nobody eliminates.
        results = [vertex for vertex in graph.eliminable if vertex in graph.output_vertices]
        edges += [(nodes[vertex], len(nodes) + at, _IDENTITY) for at, vertex in enumerate(results)]
        size = len(nodes) + len(results)
        self._random = np.random.default_rng(0)
        self.links = Links(
            cells=np.zeros((size + 4 * len(edges) + 64, _CELL_WIDTH), np.uint32),
            nodes=np.zeros((size, _NODE_WIDTH), np.int64),
            changes=np.zeros((4 * len(edges) + 64, 2), np.uint32),
            frames=np.zeros((len(graph.eliminable) + 1, _FRAME_WIDTH), np.int64),
            top=np.zeros(_TOP_WIDTH, np.int64),
        )
        self.tables = Tables(
            products=_free_table(64),
            sums=_free_table(64),
            structures=np.zeros((0, _STRUCTURE_WIDTH), np.int64),
            request=np.zeros(_REQUEST_WIDTH, np.int64),
        )
        self._used = [0, 0]
        self._grow_structures()
        self._link(size, edges)
        self.links.nodes[:, _OUT_CODE : _IN_CODE + 1] = self._random.integers(-(2**62), 2**62, (size, 2))
        # Between scalars, what an edge is depends on the paths that it stands for, not on their order.
        self.links.top[HASHING] = any(s.out_shape or s.in_shape for s in graph.edges.values())
        self.links.top[PEAKS] = peaks
        self.held = sum(int(self.tables.structures[found, _NUMBERS]) for *_, found in edges)
        self.links.top[HELD] = self.held

    def indices(self, order: Sequence[int]) -> np.ndarray:
        """The nodes of vertex numbers, as compiled functions take them."""
        return np.array([self._nodes[vertex] for vertex in order], np.uint32)

    def order(self, indices: np.ndarray) -> tuple[int, ...]:
        """The vertex numbers of nodes."""
        numbers = {self._nodes[vertex]: vertex for vertex in self._vertices}
        return tuple(numbers[int(at)] for at in indices)

    def prices(self, order: Sequence[int]) -> np.ndarray:
        """The price of every elimination of an order."""
        found = np.zeros(len(order), np.int64)
        rewind(self.links)
        self.call(run, self.indices(order), found)
        rewind(self.links)
        return found

    def call(self, fun: Callable[..., int], *args: Any) -> None:
        """Call a compiled function until it is done, and give it what it asks for."""
        while True:
            status = fun(self.links, self.tables, *args)
            if status == DONE:
                return
            if status == FULL:
                self._grow_links()
            else:
                self._answer()

    def _link(self, size: int, edges: Sequence[tuple[int, int, int]]) -> None:
        cells = self.links.cells
        for column in range(_CELL_WIDTH):
            if column != _STRUCTURE:
                cells[:size, column] = np.arange(size)
        for cell, (source, target, structure) in enumerate(edges, size):
            cells[cell, [_SOURCE, _TARGET, _STRUCTURE]] = source, target, structure
            for head, after, before in ((source, _OUT_NEXT, _OUT_PREV), (target, _IN_NEXT, _IN_PREV)):
                last = cells[head, before]
                cells[last, after] = cells[head, before] = cell
                cells[cell, before], cells[cell, after] = last, head
        self.links.top[CELLS] = size + len(edges)

    def _grow_links(self) -> None:
        cells, changes = (
            np.concatenate([old, np.zeros_like(old)]) for old in (self.links.cells, self.links.changes)
        )
        self.links = self.links._replace(cells=cells, changes=changes)

    def _answer(self) -> None:
        """Put into the tables what was missing."""
        is_sum, left, right = map(int, self.tables.request)
        found, price = self._prices.entry(bool(is_sum), left, right)
        table = self.tables[is_sum]
        self._used[is_sum] += 1
        if 2 * self._used[is_sum] > len(table):
            larger = _free_table(2 * len(table))
            _rehash(table, larger)
            table = larger
            self.tables = self.tables._replace(**{Tables._fields[is_sum]: table})
        table[_find(table, left, right)] = left << 32 | right, found, price
        self._grow_structures()

    def _grow_structures(self) -> None:
        numbers, old = self._prices.numbers(), self.tables.structures
        if len(numbers) > len(old):
            new = np.zeros((2 * len(numbers), _STRUCTURE_WIDTH), np.int64)
            new[:, _CODE] = self._random.integers(-(2**62), 2**62, len(new)) | 1
            new[: len(old)] = old
            self.tables = self.tables._replace(structures=new)
        self.tables.structures[: len(numbers), _NUMBERS] = numbers


def _free_table(size: int) -> np.ndarray:
    return np.full((size, _ENTRY_WIDTH), _FREE, np.int64)
