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
from ..sparse import ZERO, Kind

# What a compiled function returns: it is done; the tables miss something; the arrays are full.
DONE, MISSING, FULL = 0, 1, 2

# Columns of `Links.cells`. The first cells head the nodes' lists and have the nodes' own numbers. A node has
# two lists, on side 0 its in-edges and on side 1 its out-edges: `cells[cell, side]` is the node to which an
# edge leads from there, and `cells[cell, NEXT + side]` the next edge.
SOURCE, TARGET, STRUCTURE = range(3)
NEXT, _PREV, _CELL_WIDTH = 3, 5, 7
# Columns of `Links.nodes`: the cell of the edge to a node, valid at one stamp; and random numbers.
_MARK, _SEEN, OUT_CODE, IN_CODE, _NODE_WIDTH = range(5)
# Columns of `Links.frames`: what it takes to take an elimination back.
VERTEX, _FIRST_CELL, _FIRST_CHANGE, _HASH_BEFORE, _HELD_BEFORE, _FRAME_WIDTH = range(6)
# Places in `Links.top`.
CELLS, CHANGES, DEPTH, STAMP, HASH, HELD, PRICE, PEAKS, HASHING, _TOP_WIDTH = range(10)
# Columns of the tables of products and sums, and of `Tables.structures`.
_KEY, _ID, _PRICE, _ENTRY_WIDTH = range(4)
_NUMBERS, KIND, _CODE, _STRUCTURE_WIDTH = range(4)
# Places in `Tables.request`: for what table, and for which pair.
_IS_SUM, _LEFT, _RIGHT, _REQUEST_WIDTH = range(4)

_FREE = -1  # the key of a slot that is free
_UNKNOWN = -1  # the id in a free slot
_NOTHING = -2  # the id of a product that is zero
_IDENTITY = 0  # the id of the edge from an output that is also read to the result; others count from 1
_KINDS = {Kind.UNIT: 0, Kind.COPY: 0, Kind.CONSTANT: 1, Kind.VALUE: 2}
_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 over the golden ratio: spreads keys over a table


class Links(NamedTuple):
    """A graph being eliminated.

    Attributes:
        cells: heads of the nodes' lists, then edges; see :func:`cells_of`.
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
        structures: for every id the numbers that an edge holds, whether it is a unit, a constant or a value
            (0, 1, 2; or -1, if it is not one of the graph's), and a random number.
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
def _ask(tables, missing):
    """Ask for a product or a sum."""
    tables.request[_IS_SUM], tables.request[_LEFT], tables.request[_RIGHT] = missing
    return MISSING


@compiled
def _unlink(cells, cell, side):
    """Take an edge out of the list on this side of a node."""
    after, before = cells[cell, NEXT + side], cells[cell, _PREV + side]
    cells[before, NEXT + side] = after
    cells[after, _PREV + side] = before


@compiled
def _edge_code(links, tables, cell):
    """What an edge adds to the hash of a graph."""
    cells, nodes = links.cells, links.nodes
    ends = nodes[cells[cell, SOURCE], OUT_CODE] ^ nodes[cells[cell, TARGET], IN_CODE]
    return ends * tables.structures[cells[cell, STRUCTURE], _CODE]


@compiled
def _link(cells, cell, source, target, structure):
    """Make a cell an edge: the first out-edge of its source, the first in-edge of its target."""
    cells[cell, SOURCE], cells[cell, TARGET], cells[cell, STRUCTURE] = source, target, structure
    for side in range(2):
        node = cells[cell, 1 - side]
        after = cells[node, NEXT + side]
        cells[cell, NEXT + side], cells[cell, _PREV + side] = after, node
        cells[node, NEXT + side] = cells[after, _PREV + side] = cell


@compiled
def cells_of(size, edges, room):
    """The cells of a graph, with room for more.

    Args:
        size: the number of nodes.
        edges: ``[edge, :]`` source, target and structure.
        room: for how many edges.
    """
    cells = np.zeros((size + room, _CELL_WIDTH), np.uint32)
    for node in range(size):
        cells[node] = node
    for at in range(len(edges), 0, -1):  # each becomes the first of its lists
        _link(cells, size + at - 1, edges[at - 1, 0], edges[at - 1, 1], edges[at - 1, 2])
    return cells


@compiled
def _detach(cells, vertex):
    """Unlink the edges of a vertex from its neighbours' lists; returns how many pairs they are."""
    pairs = 1
    for side in range(2):
        count = 0
        cell = cells[vertex, NEXT + side]
        while cell != vertex:
            _unlink(cells, cell, 1 - side)
            count += 1
            cell = cells[cell, NEXT + side]
        pairs *= count
    return pairs


@compiled
def _mark_targets(cells, nodes, source, stamp):
    """Note at every target of a node the edge that leads there."""
    cell = cells[source, NEXT + TARGET]
    while cell != source:
        node = cells[cell, TARGET]
        nodes[node, _MARK] = cell
        nodes[node, _SEEN] = stamp
        cell = cells[cell, NEXT + TARGET]


@compiled
def _leave(links, tables, vertex, held, code):
    """Note the numbers held and the hash without the edges of a vertex, if either is kept."""
    cells, top = links.cells, links.top
    if top[PEAKS] == 0 and top[HASHING] == 0:
        return
    for side in range(2):
        cell = cells[vertex, NEXT + side]
        while cell != vertex:
            held -= tables.structures[cells[cell, STRUCTURE], _NUMBERS]
            code -= _edge_code(links, tables, cell)
            cell = cells[cell, NEXT + side]
    top[HELD], top[HASH] = held, code


@compiled
def _give_up(links, tables, used, missing):
    """Take back what an elimination has begun, and ask for what it lacks."""
    links.top[CELLS], links.top[CHANGES], links.top[STAMP] = used
    undo(links)
    return _ask(tables, missing)


@compiled
def multiplications(links, tables, vertex):
    """Leave the price of the products in ``top`` that eliminating a vertex would take."""
    cells, price = links.cells, 0
    inner = cells[vertex, NEXT + SOURCE]
    while inner != vertex:
        outer = cells[vertex, NEXT + TARGET]
        while outer != vertex:
            if cells[outer, STRUCTURE] != _IDENTITY:
                slot = _find(tables.products, cells[outer, STRUCTURE], cells[inner, STRUCTURE])
                if tables.products[slot, _ID] == _UNKNOWN:
                    return _ask(tables, (0, cells[outer, STRUCTURE], cells[inner, STRUCTURE]))
                price += tables.products[slot, _PRICE]
            outer = cells[outer, NEXT + TARGET]
        inner = cells[inner, NEXT + SOURCE]
    links.top[PRICE] = price
    return DONE


@compiled
def eliminate(links, tables, vertex):
    """Eliminate a vertex and leave its price in ``top``; on anything but DONE nothing has happened."""
    cells, nodes, changes, top = links.cells, links.nodes, links.changes, links.top
    products, sums = tables.products, tables.sums
    peaks, hashing = top[PEAKS] != 0, top[HASHING] != 0
    frames, depth = links.frames, np.uint64(top[DEPTH])
    frames[depth, VERTEX] = vertex
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
    inner = cells[vertex, NEXT + SOURCE]
    while inner != vertex:
        source, inner_id = cells[inner, SOURCE], cells[inner, STRUCTURE]
        inner = cells[inner, NEXT + SOURCE]
        stamp += 1
        _mark_targets(cells, nodes, source, stamp)
        outer = cells[vertex, NEXT + TARGET]
        while outer != vertex:
            target, outer_id = cells[outer, TARGET], cells[outer, STRUCTURE]
            outer = cells[outer, NEXT + TARGET]
            product = np.int64(inner_id)
            if outer_id == _IDENTITY:
                stays += tables.structures[inner_id, _NUMBERS]
            else:
                slot = _find(products, outer_id, inner_id)
                product = products[slot, _ID]
                if product == _UNKNOWN:
                    return _give_up(links, tables, (used, change, stamp), (0, outer_id, inner_id))
                price += products[slot, _PRICE]
                if product == _NOTHING:
                    continue
            if nodes[target, _SEEN] == stamp:
                cell = np.uint32(nodes[target, _MARK])
                old = cells[cell, STRUCTURE]
                slot = _find(sums, old, product)
                total = sums[slot, _ID]
                if total == _UNKNOWN:
                    return _give_up(links, tables, (used, change, stamp), (1, old, product))
                price += sums[slot, _PRICE]
                if total == old:
                    continue
                changes[change, 0], changes[change, 1] = cell, old
                change = np.uint32(change + 1)
                if hashing:
                    code -= _edge_code(links, tables, cell)
                if peaks:
                    held -= tables.structures[old, _NUMBERS]
                cells[cell, STRUCTURE] = total
            else:
                cell = used
                used = np.uint32(used + 1)
                _link(cells, cell, source, target, product)
            if hashing:
                code += _edge_code(links, tables, cell)
            if peaks:
                held += tables.structures[cells[cell, STRUCTURE], _NUMBERS]
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
    vertex = np.uint32(frames[depth, VERTEX])
    for cell in range(np.uint64(top[CELLS]), np.uint64(frames[depth, _FIRST_CELL]), -1):
        for side in range(2):
            _unlink(cells, cell - np.uint64(1), side)
    for change in range(np.uint64(top[CHANGES]), np.uint64(frames[depth, _FIRST_CHANGE]), -1):
        cells[changes[change - np.uint64(1), 0], STRUCTURE] = changes[change - np.uint64(1), 1]
    for side in range(2):
        after, before = NEXT + 1 - side, _PREV + 1 - side
        cell = cells[vertex, _PREV + side]
        while cell != vertex:
            cells[cells[cell, before], after] = cells[cells[cell, after], before] = cell
            cell = cells[cell, _PREV + side]
    top[CELLS], top[CHANGES] = frames[depth, _FIRST_CELL], frames[depth, _FIRST_CHANGE]
    top[HASH], top[HELD] = frames[depth, _HASH_BEFORE], frames[depth, _HELD_BEFORE]


@compiled
def _run(links, tables, order, prices, hashes):
    """Eliminate from where the graph stands to the order's end, and note prices and hashes."""
    while links.top[DEPTH] < len(order):
        at = links.top[DEPTH]
        status = eliminate(links, tables, order[at])
        if status != DONE:
            return status
        prices[at], hashes[at] = links.top[PRICE], links.top[HASH]
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
            slot = _find(new, key >> 32, key & 0xFFFFFFFF)
            for column in range(_ENTRY_WIDTH):
                new[slot, column] = old[entry, column]


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
        found += [(nodes[vertex], len(nodes) + at, _IDENTITY) for at, vertex in enumerate(results)]
        edges, size = np.array(found, np.uint32).reshape(-1, 3), len(nodes) + len(results)
        self._random = np.random.default_rng(0)
        self.links = Links(
            cells=cells_of(size, edges, 4 * len(edges) + 64),
            nodes=np.zeros((size, _NODE_WIDTH), np.int64),
            changes=np.zeros((4 * len(edges) + 64, 2), np.uint32),
            frames=np.zeros((len(graph.eliminable) + 1, _FRAME_WIDTH), np.int64),
            top=np.zeros(_TOP_WIDTH, np.int64),
        )
        self.tables = Tables(
            products=_free_table(64),
            sums=_free_table(64),
            structures=np.array([[0, -1, 1]], np.int64),  # the identity
            request=np.zeros(_REQUEST_WIDTH, np.int64),
        )
        self._used, self._known = [0, 0], 1
        self._grow_structures()
        self.links.top[CELLS] = size + len(edges)
        outputs = [at for node, at in nodes.items() if node in graph.output_vertices]
        self.ends = np.zeros((2, size), np.bool_)
        self.ends[0, : len(graph.inputs)] = self.ends[1, outputs] = self.ends[1, len(nodes) :] = True
        self.links.nodes[:, OUT_CODE : IN_CODE + 1] = self._random.integers(-(2**63), 2**63, (size, 2))
        # Between scalars, what an edge is depends on the paths that it stands for, not on their order.
        self.links.top[HASHING] = any(s.out_shape or s.in_shape for s in graph.edges.values())
        self.links.top[PEAKS] = peaks
        self.held = int(self.tables.structures[edges[:, 2], _NUMBERS].sum())
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
        self.call(_run, order, prices, hashes)
        rewind(self.links)

    def call(self, fun: Callable[..., int], *args: Any) -> None:
        """Call a compiled function until it is done, and give it what it asks for."""
        while self.answer(fun(self.links, self.tables, *args)):
            pass

    def answer(self, status: int) -> bool:
        """Give a compiled function what it asks for; returns whether it has asked for anything."""
        if status == FULL:
            self._grow_links()
        elif status == MISSING:
            self._fill()
        return status in (FULL, MISSING)

    def _grow_links(self) -> None:
        cells, changes = (
            np.concatenate([old, np.zeros_like(old)]) for old in (self.links.cells, self.links.changes)
        )
        self.links = self.links._replace(cells=cells, changes=changes)

    def _fill(self) -> None:
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
        first, new, old = self._known, self._prices.structures(self._known), self.tables.structures
        self._known += len(new)
        if self._known > len(old):
            larger = np.zeros((2 * self._known, _STRUCTURE_WIDTH), np.int64)
            larger[:, _CODE] = self._random.integers(-(2**62), 2**62, len(larger)) | 1
            larger[: len(old)] = old
            self.tables = self.tables._replace(structures=larger)
        if new:
            self.tables.structures[first : self._known, [_NUMBERS, KIND]] = new


def _free_table(size: int) -> np.ndarray:
    return np.full((size, _ENTRY_WIDTH), _FREE, np.int64)
