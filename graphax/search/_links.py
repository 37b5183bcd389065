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

from typing import NamedTuple

import numpy as np

from ..compiled import compiled, part

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
# Columns of `Tables.answers` and of `Tables.structures`.
_KEY, _ID, _PRICE, _ANSWER_WIDTH = range(4)
NUMBERS, KIND, CODE, STRUCTURE_WIDTH = range(4)

_FREE = -1  # the key of a slot that is free
_UNKNOWN = -1  # the id in a free slot
NOTHING = -2  # the id of a product that is zero
IDENTITY = 0  # the id of the edge from an output that is also read to the result; others count from 1
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
        answers: a hash table from products and sums of two ids, as keys, to an id and a price.
        structures: for every id the numbers that an edge holds, whether it is a unit, a constant or a value
            (0, 1, 2; or -1, if it is not one of the graph's), and a random number.
        request: the key of what was missing.
    """

    answers: np.ndarray
    structures: np.ndarray
    request: np.ndarray


@compiled
def slot_of(answers, key):
    """The slot of a key, or the free slot where it belongs."""
    mask = np.uint64(len(answers) - 1)
    slot = ((np.uint64(key) * _SPREAD) >> np.uint64(40)) & mask
    while answers[slot, _KEY] != key and answers[slot, _KEY] != _FREE:
        slot = (slot + np.uint64(1)) & mask
    return slot


@part
def _look_up(tables, left, right, is_sum):
    """The id and the price of a product or a sum; it is asked for if it is not known."""
    key = (np.int64(left) << 33) | (np.int64(right) << 1) | is_sum
    slot = slot_of(tables.answers, key)
    if tables.answers[slot, _ID] == _UNKNOWN:
        tables.request[0] = key
    return tables.answers[slot, _ID], tables.answers[slot, _PRICE]


def question(key: int) -> tuple[int, int, bool]:
    """The two ids of a key, and whether it asks for their sum."""
    return key >> 33, key >> 1 & 0xFFFFFFFF, bool(key & 1)


@part
def _unlink(cells, cell, side):
    """Take an edge out of the list on this side of a node."""
    after, before = cells[cell, NEXT + side], cells[cell, _PREV + side]
    cells[before, NEXT + side] = after
    cells[after, _PREV + side] = before


@part
def _link(cells, cell, source, target, structure):
    """Make a cell an edge: the first out-edge of its source, the first in-edge of its target."""
    cells[cell, SOURCE], cells[cell, TARGET], cells[cell, STRUCTURE] = source, target, structure
    for side in range(2):
        node = cells[cell, 1 - side]
        after = cells[node, NEXT + side]
        cells[cell, NEXT + side], cells[cell, _PREV + side] = after, node
        cells[node, NEXT + side] = cells[after, _PREV + side] = cell


@compiled(allocates=True)
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
        _link(cells, np.uint32(size + at - 1), edges[at - 1, 0], edges[at - 1, 1], edges[at - 1, 2])
    return cells


@part
def _weigh(links, tables, cell, held, code, sign):
    """What the numbers held and the hash become when an edge comes (sign 1) or goes (-1)."""
    cells, nodes, structures = links.cells, links.nodes, tables.structures
    ends = nodes[cells[cell, SOURCE], OUT_CODE] ^ nodes[cells[cell, TARGET], IN_CODE]
    structure = cells[cell, STRUCTURE]
    return held + sign * structures[structure, NUMBERS], code + sign * ends * structures[structure, CODE]


@part
def _begin(links, vertex):
    """Note what it takes to take the elimination of a vertex back, and unlink its edges from its neighbours'
    lists; returns how many pairs they are.
    """
    cells, frames, top = links.cells, links.frames, links.top
    depth = np.uint64(top[DEPTH])
    frames[depth, VERTEX] = vertex
    frames[depth, _FIRST_CELL], frames[depth, _FIRST_CHANGE] = top[CELLS], top[CHANGES]
    frames[depth, _HASH_BEFORE], frames[depth, _HELD_BEFORE] = top[HASH], top[HELD]
    top[DEPTH] += 1
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


@part
def _mark_targets(links, source, stamp):
    """Note at every target of a node the edge that leads there."""
    cells, nodes = links.cells, links.nodes
    cell = cells[source, NEXT + TARGET]
    while cell != source:
        node = cells[cell, TARGET]
        nodes[node, _MARK] = cell
        nodes[node, _SEEN] = stamp
        cell = cells[cell, NEXT + TARGET]


@part
def _leave(links, tables, vertex, held, code):
    """Note the numbers held and the hash without the edges of a vertex."""
    for side in range(2):
        cell = links.cells[vertex, NEXT + side]
        while cell != vertex:
            held, code = _weigh(links, tables, cell, held, code, -1)
            cell = links.cells[cell, NEXT + side]
    links.top[HELD], links.top[HASH] = held, code


@part
def _give_up(links, used, change, stamp, status):
    """Take back what an elimination has begun."""
    links.top[CELLS], links.top[CHANGES], links.top[STAMP] = used, change, stamp
    undo(links)
    return status


@compiled
def multiplications(links, tables, vertex):
    """Leave the price of the products in ``top`` that eliminating a vertex would take."""
    cells, total = links.cells, 0
    inner = cells[vertex, NEXT + SOURCE]
    while inner != vertex:
        outer = cells[vertex, NEXT + TARGET]
        while outer != vertex:
            if cells[outer, STRUCTURE] != IDENTITY:
                product, price = _look_up(tables, cells[outer, STRUCTURE], cells[inner, STRUCTURE], 0)
                if product == _UNKNOWN:
                    return MISSING
                total += price
            outer = cells[outer, NEXT + TARGET]
        inner = cells[inner, NEXT + SOURCE]
    links.top[PRICE] = total
    return DONE


@compiled
def eliminate(links, tables, vertex):
    """Eliminate a vertex and leave its price in ``top``; on anything but DONE nothing has happened."""
    cells, nodes, changes, top = links.cells, links.nodes, links.changes, links.top
    weighing = top[PEAKS] != 0 or top[HASHING] != 0
    pairs = _begin(links, vertex)
    used, change, stamp = np.uint32(top[CELLS]), np.uint32(top[CHANGES]), top[STAMP]
    if used + pairs > len(cells) or change + pairs > len(changes):
        return _give_up(links, used, change, stamp, FULL)
    price, held, code = 0, top[HELD], top[HASH]
    stays = 0  # the in-edges of an output, which become those of the result
    inner = cells[vertex, NEXT + SOURCE]
    while inner != vertex:
        source, right = cells[inner, SOURCE], np.int64(cells[inner, STRUCTURE])
        inner = cells[inner, NEXT + SOURCE]
        stamp += 1
        _mark_targets(links, source, stamp)
        outer = cells[vertex, NEXT + TARGET]
        while outer != vertex:
            target, left = cells[outer, TARGET], np.int64(cells[outer, STRUCTURE])
            outer = cells[outer, NEXT + TARGET]
            product = right
            if left == IDENTITY:
                stays += tables.structures[right, NUMBERS]
            else:
                product, mults = _look_up(tables, left, right, 0)
                if product == _UNKNOWN:
                    return _give_up(links, used, change, stamp, MISSING)
                price += mults
                if product == NOTHING:
                    continue
            if nodes[target, _SEEN] == stamp:
                cell = np.uint32(nodes[target, _MARK])
                old = np.int64(cells[cell, STRUCTURE])
                total, adds = _look_up(tables, old, product, 1)
                if total == _UNKNOWN:
                    return _give_up(links, used, change, stamp, MISSING)
                price += adds
                if total == old:
                    continue
                changes[change, 0], changes[change, 1] = cell, old
                change = np.uint32(change + 1)
                if weighing:
                    held, code = _weigh(links, tables, cell, held, code, -1)
                cells[cell, STRUCTURE] = total
            else:
                cell = used
                used = np.uint32(used + 1)
                _link(cells, cell, source, target, product)
            if weighing:
                held, code = _weigh(links, tables, cell, held, code, 1)
    top[CELLS], top[CHANGES], top[STAMP] = used, change, stamp
    top[PRICE] = held - stays if top[PEAKS] != 0 else price
    if weighing:
        _leave(links, tables, vertex, held, code)
    return DONE


@compiled
def undo(links):
    """Take the last elimination back."""
    cells, changes, frames, top = links.cells, links.changes, links.frames, links.top
    top[DEPTH] -= 1
    depth = np.uint64(top[DEPTH])
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
def evaluate(links, tables, order, prices, hashes):
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
def _move(old, new):
    for entry in range(len(old)):
        if old[entry, _KEY] != _FREE:
            slot = slot_of(new, old[entry, _KEY])
            for column in range(_ANSWER_WIDTH):
                new[slot, column] = old[entry, column]


def new_answers(size: int) -> np.ndarray:
    """A table without answers; ``size`` is a power of two."""
    return np.full((size, _ANSWER_WIDTH), _FREE, np.int64)


def larger_answers(answers: np.ndarray) -> np.ndarray:
    """The same answers with more room."""
    larger = new_answers(2 * len(answers))
    _move(answers, larger)
    return larger


def new_links(size: int, edges: np.ndarray, most: int, random: np.random.Generator) -> Links:
    """A graph of which nothing is eliminated.

    Args:
        size: the number of nodes.
        edges: ``[edge, :]`` source, target and structure.
        most: how many vertices may be eliminated.
        random: draws the codes of the nodes.
    """
    room = 4 * len(edges) + 64
    links = Links(
        cells=cells_of(size, edges, room),
        nodes=np.zeros((size, _NODE_WIDTH), np.int64),
        changes=np.zeros((room, 2), np.uint32),
        frames=np.zeros((most + 1, _FRAME_WIDTH), np.int64),
        top=np.zeros(_TOP_WIDTH, np.int64),
    )
    links.nodes[:, OUT_CODE : IN_CODE + 1] = random.integers(-(2**63), 2**63, (size, 2))
    links.top[CELLS] = size + len(edges)
    return links


def larger_links(links: Links) -> Links:
    """The same graph with more room."""
    cells, changes = (np.concatenate([old, np.zeros_like(old)]) for old in (links.cells, links.changes))
    return links._replace(cells=cells, changes=changes)
