"""The compiled half of the exact search: depth first, with a memory of the states that it has seen.

A state is the graph with some vertices eliminated: nothing else bears on what those that are left will cost.
Everything lies in arrays that the caller owns, so that the search can be left at any moment, for a product or
a sum that is missing or for a look at the clock, and taken up again.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..compiled import compiled, part
from ._flow import augment, new_flow
from ._links import (
    CELLS,
    DEPTH,
    DONE,
    HASH,
    IN_CODE,
    KIND,
    NEXT,
    OUT_CODE,
    PRICE,
    STRUCTURE,
    VERTEX,
    eliminate,
    multiplications,
    rewind,
    undo,
)

# What the search returns beside DONE, MISSING and FULL: it is time to look at the clock; the memory is full.
PAUSED, CROWDED = 3, 4

# Columns of `Tree.frames`: the cost so far; what is left by the bounds of groups, and by cuts; how many moves
# there are, and how many have been tried.
COST, GROUPED, CUTS, MOVES, TRIED, FRAME_WIDTH = range(6)
UNPRICED = -1  # the price of an elimination before it is looked for
UNEXPANDED = -1  # the number of moves before they are looked for
# Places in `Tree.top`: the cost of the best order, or the limit below which one is looked for; states in
# memory; two hashes of the vertices that are gone.
BEST, KNOWN, _OUT_CODES, _IN_CODES, TOP_WIDTH = range(5)
# Columns of `Tree.memory`: hashes of the vertices that are gone, and of these and the graph; the cost, or -1.
_GONE, _GRAPH, _REACHED, _MEMORY_WIDTH = range(4)


class Tree(NamedTuple):
    """A search: the branch on which it stands, and what it knows.

    Attributes:
        vertices: those that are eliminated.
        alive: which nodes are vertices that are left.
        ends: ``[2, node]`` inputs, and outputs, at which cuts end.
        group, bit: for every node its group, and its bit in the subsets of the group.
        tables: ``[group, gone]`` the least that the others of a group cost when some are gone.
        gone: which members of each group are.
        frames: for every depth what is known of the state there.
        moves, floors: ``[depth, :]`` vertices to be eliminated, the least cost of any order through each.
        cuts: ``[depth, node, side, level]`` the least cuts, if all is scalar: before and after a vertex, of
            paths that begin with values at the vertex, and of all that begin with numbers.
        prices: ``[depth, node]`` what eliminating a vertex takes, or -1 where that is not known yet.
        reached: ``[side, node, node]`` whether paths between a node and the ends lead through another one.
        memory: the states that have been reached, and at what cost.
        best: the best order.
        top: what is best, how many states are in memory, and what vertices are gone.
    """

    vertices: np.ndarray
    alive: np.ndarray
    ends: np.ndarray
    group: np.ndarray
    bit: np.ndarray
    tables: np.ndarray
    gone: np.ndarray
    frames: np.ndarray
    moves: np.ndarray
    floors: np.ndarray
    cuts: np.ndarray
    prices: np.ndarray
    reached: np.ndarray
    memory: np.ndarray
    best: np.ndarray
    top: np.ndarray


def new_memory(size):
    """Room for states; ``size`` is a power of two."""
    memory = np.zeros((size, _MEMORY_WIDTH), np.int64)
    memory[:, _REACHED] = -1
    return memory


@part(allocates=True)
def _unit_flow(links):
    """No flow yet through a graph of which every node and edge takes 1."""
    return new_flow(len(links.nodes), np.ones(links.top[CELLS]))


@part
def _open(links, tables, flow, vertex, side, least):
    """Let flows begin with the edges of a vertex of a least kind only; returns how many they are."""
    cells, count = links.cells, 0
    cell = cells[vertex, NEXT + side]
    while cell != vertex:
        is_open = tables.structures[cells[cell, STRUCTURE], KIND] >= least
        flow.capacity[cell] = is_open
        count += is_open
        cell = cells[cell, NEXT + side]
    return count


@part
def _find_cuts(links, tables, flow, vertex, side, ends, cuts):
    """Note the least cuts between a vertex and the ends (see `Tree.cuts`)."""
    begun, flowing = 0, 0.0
    for level in range(2):
        before, begun = begun, _open(links, tables, flow, vertex, side, 2 - level)
        if begun <= 1:  # every vertex lies on a path
            cuts[level] = begun
        elif begun == before:
            cuts[level] = cuts[level - 1]
        else:
            if before <= 1:
                flow.amount[:] = 0.0
            flowing += augment(links.cells, flow, vertex, side, ends)
            cuts[level] = np.int64(flowing + 0.5)
    _open(links, tables, flow, vertex, side, -1)


@compiled(allocates=True)
def cut_bounds(links, tables, vertices, ends, cuts):
    """Note the least cuts before and after scalar vertices; returns the sum of their bounds."""
    flow = _unit_flow(links)
    total = 0
    for vertex in vertices:
        for side in range(2):
            _find_cuts(links, tables, flow, vertex, side, ends[side], cuts[vertex, side])
        total += product_of_cuts(cuts[vertex])
    return total


@compiled
def product_of_cuts(cuts):
    """What a scalar vertex costs at least (see `lower_bound`)."""
    return cuts[0, 0] * cuts[1, 1] + (cuts[0, 1] - cuts[0, 0]) * cuts[1, 0]


@part
def _renew_cuts(links, tables, flow, vertex, through, ends, before, cuts):
    """Note the least cuts of a vertex when another one has just gone; returns the bound.

    They have changed on the sides where paths to the ends led through that one. None has become less.
    """
    for side in range(2):
        if through[side]:
            _find_cuts(links, tables, flow, vertex, side, ends[side], cuts[side])
        else:
            cuts[side, 0], cuts[side, 1] = before[side, 0], before[side, 1]
    return product_of_cuts(cuts)


@compiled(allocates=True)
def group_costs(links, tables, members, ends, reached, costs):
    """For every subset of a group of scalar vertices that is gone, note the least that the others cost.

    The subsets come from the largest on, as numbers: from one to the next a member comes back, and those
    before it go. So each is reached from itself without its first member, and only what changes is looked at.
    """
    size, ends = len(members), ends.copy()
    for vertex in members:
        ends[0, vertex] = ends[1, vertex] = True
    cuts = np.zeros((size + 1, len(links.nodes), 2, 2), np.int64)
    cut_bounds(links, tables, members, ends, cuts[0])
    out = 0  # those that are eliminated
    for gone in range(len(costs) - 2, -1, -1):
        if out & ~gone:
            undo(links)
            out &= gone
        for last in range(size - 1, -1, -1):
            if (gone & ~out) >> last & 1:
                status = eliminate(links, tables, members[last])
                if status != DONE:
                    rewind(links)
                    return status
                out |= 1 << last
                before, after = cuts[links.top[DEPTH] - 1], cuts[links.top[DEPTH]]
                flow = _unit_flow(links)
                for at in range(size):
                    if not out >> at & 1:
                        vertex, through = members[at], reached[:, members[at], members[last]]
                        _renew_cuts(links, tables, flow, vertex, through, ends, before[vertex], after[vertex])
        costs[gone] = np.iinfo(np.int64).max
        for at in range(size):
            if not gone >> at & 1:
                bound = product_of_cuts(cuts[links.top[DEPTH], members[at]])
                costs[gone] = min(costs[gone], costs[gone | 1 << at] + bound)
    rewind(links)
    return DONE


@part
def _find(memory, gone, graph):
    """The place of a state in memory, or the free place where it belongs."""
    mask = len(memory) - 1
    place = (gone + graph) & mask
    while memory[place, _REACHED] >= 0 and (memory[place, _GONE] != gone or memory[place, _GRAPH] != graph):
        place = (place + 1) & mask
    return place


@part
def _remember(memory, gone, graph, cost):
    """Whether a state is new or was never reached so cheaply, and whether it is new; it is noted then."""
    place = _find(memory, gone, graph)
    reached = memory[place, _REACHED]
    if 0 <= reached <= cost:
        return False, False
    memory[place, _GONE], memory[place, _GRAPH], memory[place, _REACHED] = gone, graph, cost
    return True, reached < 0


@compiled
def move_memory(old, new):
    """Move a memory into a larger one."""
    for at in range(len(old)):
        if old[at, _REACHED] >= 0:
            _remember(new, old[at, _GONE], old[at, _GRAPH], old[at, _REACHED])


@part
def _toggle(links, tree, vertex):
    """Note that a vertex is gone, or that it is back."""
    tree.alive[vertex] = not tree.alive[vertex]
    tree.gone[tree.group[vertex]] ^= tree.bit[vertex]
    tree.top[_OUT_CODES] ^= links.nodes[vertex, OUT_CODE]
    tree.top[_IN_CODES] ^= links.nodes[vertex, IN_CODE]


@part
def _gain(tree, vertex):
    """How much less the others of a group cost at least, or more, when a vertex that is left is gone."""
    group = tree.group[vertex]
    gone = tree.gone[group]
    return tree.tables[group, gone | tree.bit[vertex]] - tree.tables[group, gone]


@part
def _is_settled(cells, alive, vertex):
    """Whether a vertex touches no other that is left."""
    for side in range(2):
        cell = cells[vertex, NEXT + side]
        while cell != vertex:
            if alive[cells[cell, side]]:
                return False
            cell = cells[cell, NEXT + side]
    return True


@part
def _expand(links, tables, tree):
    """Note the moves from a state and the least that orders through each can cost, the most promising first.

    A vertex between inputs and mere outputs costs the same whenever it goes and touches no other, so it goes
    at once.
    """
    top, depth = links.top, links.top[DEPTH]
    frame, moves, floors = tree.frames[depth], tree.moves[depth], tree.floors[depth]
    cuts, prices = tree.cuts[depth], tree.prices[depth]
    count = 0
    for vertex in tree.vertices:
        if not tree.alive[vertex]:
            continue
        if prices[vertex] == UNPRICED:
            status = multiplications(links, tables, vertex)
            if status != DONE:
                return status
            prices[vertex] = top[PRICE]
        rest = max(frame[CUTS] - product_of_cuts(cuts[vertex]), frame[GROUPED] + _gain(tree, vertex))
        floor = frame[COST] + prices[vertex] + rest
        if _is_settled(links.cells, tree.alive, vertex):
            moves[0], floors[0], count = vertex, floor, 1
            break
        place = count
        while place > 0 and floors[place - 1] > floor:
            moves[place], floors[place] = moves[place - 1], floors[place - 1]
            place -= 1
        moves[place], floors[place] = vertex, floor
        count += 1
    frame[MOVES], frame[TRIED] = count, 0
    return DONE


@part
def _keep_prices(links, tree, vertex):
    """What the elimination of a vertex changes are the prices of its neighbours; the others stay."""
    cells, depth = links.cells, links.top[DEPTH]
    prices, before = tree.prices[depth], tree.prices[depth - 1]
    for other in tree.vertices:
        prices[other] = before[other]
    for side in range(2):
        cell = cells[vertex, NEXT + side]
        while cell != vertex:
            prices[cells[cell, side]] = UNPRICED
            cell = cells[cell, NEXT + side]


@part(allocates=True)
def _within(links, tables, tree, vertex):
    """Bound what is left by cuts when a vertex has just gone; returns whether a better order is in reach."""
    depth, frame = links.top[DEPTH], tree.frames[links.top[DEPTH]]
    cuts, before = tree.cuts[depth], tree.cuts[depth - 1]
    frame[CUTS] = tree.frames[depth - 1, CUTS] - product_of_cuts(before[vertex])
    flow = _unit_flow(links)
    for other in tree.vertices:
        if tree.alive[other]:
            through = tree.reached[:, other, vertex]
            bound = _renew_cuts(links, tables, flow, other, through, tree.ends, before[other], cuts[other])
            frame[CUTS] += bound - product_of_cuts(before[other])
            if frame[COST] + frame[CUTS] >= tree.top[BEST]:
                return False
    return True


@part
def _is_known(links, tree, vertex):
    """Whether a state of scalars, which is known by what is gone, has been reached as cheaply."""
    depth = links.top[DEPTH]
    gone = tree.top[_OUT_CODES] ^ links.nodes[vertex, OUT_CODE]
    graph = tree.top[_IN_CODES] ^ links.nodes[vertex, IN_CODE]
    reached = tree.memory[_find(tree.memory, gone, graph), _REACHED]
    return 0 <= reached <= tree.frames[depth, COST] + tree.prices[depth, vertex]


@part
def _enter(links, tables, tree, vertex, scalar):
    """Note the state in which a vertex has been eliminated; returns whether to go on from there."""
    depth, top = links.top[DEPTH], tree.top
    frame, before = tree.frames[depth], tree.frames[depth - 1]
    frame[COST] = before[COST] + links.top[PRICE]
    frame[GROUPED] = before[GROUPED] + _gain(tree, vertex)
    frame[MOVES] = UNEXPANDED
    _toggle(links, tree, vertex)
    if depth == len(tree.vertices):
        if frame[COST] < top[BEST]:
            top[BEST] = frame[COST]
            for at in range(depth):
                tree.best[at] = links.frames[at, VERTEX]
        return False
    graph = top[_IN_CODES] + links.top[HASH]
    promising, new = _remember(tree.memory, top[_OUT_CODES], graph, frame[COST])
    top[KNOWN] += new
    if not promising or (scalar and not _within(links, tables, tree, vertex)):
        return False
    _keep_prices(links, tree, vertex)
    return True


@compiled
def search(links, tables, tree, scalar, steps):
    """Search until the tree is exhausted, something is missing, or so many states have been seen."""
    while True:
        depth = links.top[DEPTH]
        frame = tree.frames[depth]
        if frame[MOVES] == UNEXPANDED:
            if steps == 0:
                return PAUSED
            steps -= 1
            status = _expand(links, tables, tree)
            if status != DONE:
                return status
        at = frame[TRIED]
        if at < frame[MOVES] and tree.floors[depth, at] < tree.top[BEST]:
            vertex = tree.moves[depth, at]
            if scalar and _is_known(links, tree, vertex):
                frame[TRIED] += 1
                continue
            if 2 * tree.top[KNOWN] >= len(tree.memory):
                return CROWDED
            status = eliminate(links, tables, vertex)
            if status != DONE:
                return status
            frame[TRIED] += 1
            if _enter(links, tables, tree, vertex, scalar):
                continue
        elif depth == 0:
            return DONE
        _toggle(links, tree, np.uint32(links.frames[links.top[DEPTH] - 1, VERTEX]))
        undo(links)
