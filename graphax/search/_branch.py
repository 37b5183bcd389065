"""The compiled half of the exact search: depth first, with a memory of the states that it has seen.

A state is a matrix of edges, `edges[source, target]` being 0 or a structure's number, counted from 1. Nothing
else bears on what the vertices that are left will cost. Everything lies in arrays that the caller owns, so
that the search can be left at any moment, for a table entry that is missing or for a look at the clock, and
taken up again.
"""

from __future__ import annotations

import numpy as np

from ..compiled import compiled

DONE, PAUSED, NO_PRODUCT, NO_SUM, MEMORY_FULL = range(5)
UNKNOWN = -1  # a table's entry that is not filled in yet
_INFINITE = np.int64(1) << 62


@compiled
def _mixed(x):
    """A 64-bit hash (the finaliser of splitmix64)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@compiled
def _set(edges, key, source, target, structure):
    """Put an edge into the matrix and into the state's 128-bit key."""
    old = edges[source, target]
    edges[source, target] = structure
    place = np.uint64(source * edges.shape[0] + target) << np.uint64(32)
    for part in range(2):
        salt = np.uint64(0x9E3779B97F4A7C15) * np.uint64(part + 1)
        if old:
            key[part] ^= _mixed((place | np.uint64(old)) + salt)
        if structure:
            key[part] ^= _mixed((place | np.uint64(structure)) + salt)


@compiled
def eliminate(edges, key, vertex, is_output, products, sums, missing):
    """Eliminate a vertex in place; False where a table's entry is missing, which is then named."""
    n = edges.shape[0]
    for source in range(n):
        inner = edges[source, vertex]
        if not inner:
            continue
        for target in range(n):
            outer = edges[vertex, target]
            if not outer:
                continue
            product = products[outer, inner]
            if product == UNKNOWN:
                missing[0], missing[1], missing[2] = NO_PRODUCT, outer, inner
                return False
            if not product:
                continue
            old = edges[source, target]
            if old:
                product = sums[old, product]
                if product == UNKNOWN:
                    missing[0], missing[1], missing[2] = NO_SUM, old, products[outer, inner]
                    return False
            if product != old:
                _set(edges, key, source, target, product)
        if not is_output[vertex]:
            _set(edges, key, source, vertex, 0)
    for target in range(n):
        if edges[vertex, target]:
            _set(edges, key, vertex, target, 0)
    return True


@compiled
def _cost(edges, vertex, mults, missing):
    """The multiplications that eliminating a vertex takes now; -1 where a table's entry is missing."""
    n = edges.shape[0]
    total = 0
    for source in range(n):
        inner = edges[source, vertex]
        if inner:
            for target in range(n):
                outer = edges[vertex, target]
                if outer:
                    price = mults[outer, inner]
                    if price == UNKNOWN:
                        missing[0], missing[1], missing[2] = NO_PRODUCT, outer, inner
                        return -1
                    total += price
    return total


@compiled
def _augmenting(start, vertex, near, degree, ends, before, after, parent, stack):
    """Look for a path from a neighbour of a vertex to an end, round the paths that there are or against them.

    A state of the search is twice a node, plus one when its capacity has been passed. Returns the state at
    the end, from which ``parent`` leads back, or -1.
    """
    parent[: 2 * degree.shape[0]] = -1
    parent[2 * start] = -2
    stack[0] = 2 * start
    size = 1
    while size:
        size -= 1
        state = stack[size]
        node = state // 2
        if state % 2:
            if ends[node] and after[node] != vertex:
                return state
            for at in range(degree[node]):
                other = near[node, at]
                if after[node] != other and parent[2 * other] == -1:
                    parent[2 * other] = state
                    stack[size] = 2 * other
                    size += 1
            if before[node] >= 0 and parent[2 * node] == -1:
                parent[2 * node] = state
                stack[size] = 2 * node
                size += 1
        else:
            move = -1
            if before[node] < 0:
                move = 2 * node + 1
            elif before[node] != vertex:
                move = 2 * before[node] + 1
            if move >= 0 and parent[move] == -1:
                parent[move] = state
                stack[size] = move
                size += 1
    return -1


@compiled
def _augment(start, end, vertex, before, after, parent):
    """Add the path that was found: give up the arcs that it runs against, then take up those along it."""
    state = end
    while parent[state] >= 0:
        previous = parent[state]
        if previous // 2 != state // 2 and state % 2:
            after[state // 2] = -1
            before[previous // 2] = -1
        state = previous
    after[end // 2] = vertex
    state = end
    while parent[state] >= 0:
        previous = parent[state]
        if previous // 2 != state // 2 and not state % 2:
            after[previous // 2] = state // 2
            before[state // 2] = previous // 2
        state = previous
    before[start] = vertex


@compiled
def _disjoint(vertex, kinds, least, near, degree, ends, before, after, parent, stack):
    """How many paths there are from a vertex to ends that share nothing else, by augmentation.

    The first edges are of the ``least`` kind or a higher one.
    """
    count = 0
    before[:] = -1
    after[:] = -1
    for way in range(degree[vertex]):
        start = near[vertex, way]
        if kinds[vertex, way] < least or before[start] == vertex:
            continue
        end = _augmenting(start, vertex, near, degree, ends, before, after, parent, stack)
        if end >= 0:
            _augment(start, end, vertex, before, after, parent)
            count += 1
    return count


@compiled
def _scalar_bounds(edges, kind_of, left, num_left, is_input, is_output, bounds):
    """The cut bounds of the vertices that are left, in a graph of scalars (see `lower_bound`)."""
    n = edges.shape[0]
    near = np.empty((2, n, n), np.int32)
    kinds = np.empty((2, n, n), np.int8)
    degree = np.zeros((2, n), np.int32)
    for source in range(n):
        for target in range(n):
            if edges[source, target]:
                kind = kind_of[edges[source, target]]
                near[0, target, degree[0, target]] = source
                kinds[0, target, degree[0, target]] = kind
                degree[0, target] += 1
                near[1, source, degree[1, source]] = target
                kinds[1, source, degree[1, source]] = kind
                degree[1, source] += 1
    before, after = np.empty(n, np.int32), np.empty(n, np.int32)
    parent, stack = np.empty(2 * n, np.int32), np.empty(2 * n, np.int32)
    cuts = np.empty((2, 2), np.int64)
    total = 0
    for at in range(num_left):
        vertex = left[at]
        for side in range(2):
            ends = is_input if side == 0 else is_output
            counts = np.zeros(3, np.int64)
            for way in range(degree[side, vertex]):
                counts[kinds[side, vertex, way]] += 1
            for level in range(2):
                first = counts[2] + counts[1] * level
                if first <= 1:
                    cuts[side, level] = first
                elif level and not counts[1]:
                    cuts[side, 1] = cuts[side, 0]
                else:
                    cuts[side, level] = _disjoint(
                        vertex, kinds[side], 2 - level, near[side], degree[side], ends,
                        before, after, parent, stack,
                    )  # fmt: skip
        bound = cuts[0, 0] * cuts[1, 1] + (cuts[0, 1] - cuts[0, 0]) * cuts[1, 0]
        bounds[vertex] = bound
        total += bound
    return total


@compiled
def scalar_group(edges, kind_of, members, is_input, is_output, products, sums):
    """For every subset of a group of vertices that is gone, the least that the others cost, for scalars."""
    n, k = edges.shape[0], members.shape[0]
    table = np.zeros(1 << k, np.int64)
    key, missing = np.zeros(2, np.uint64), np.zeros(3, np.int64)
    left, bounds = np.empty(k, np.int32), np.zeros(n, np.int64)
    for gone in range((1 << k) - 2, -1, -1):
        state = edges.copy()
        sources, sinks = is_input.copy(), is_output.copy()
        size = 0
        for at in range(k):
            if gone >> at & 1:
                eliminate(state, key, members[at], is_output, products, sums, missing)
            else:
                sources[members[at]] = sinks[members[at]] = True
                left[size] = members[at]
                size += 1
        _scalar_bounds(state, kind_of, left, size, sources, sinks, bounds)
        best = _INFINITE
        for at in range(k):
            if not gone >> at & 1:
                best = min(best, bounds[members[at]] + table[gone | 1 << at])
        table[gone] = best
    return table


@compiled
def remember(keys, costs, key, cost):
    """Whether a state is new or was never reached so cheaply; it is noted then."""
    mask = np.uint64(costs.shape[0] - 1)
    at = key[0] & mask
    while costs[at] >= 0:
        if keys[at, 0] == key[0] and keys[at, 1] == key[1]:
            if costs[at] <= cost:
                return False, False
            costs[at] = cost
            return True, False
        at = (at + np.uint64(1)) & mask
    keys[at, 0], keys[at, 1], costs[at] = key[0], key[1], cost
    return True, True


@compiled
def rehash(old_keys, old_costs, keys, costs):
    """Move a memory into a larger one."""
    for at in range(old_costs.shape[0]):
        if old_costs[at] >= 0:
            remember(keys, costs, old_keys[at], old_costs[at])


@compiled
def _expand(
    edges, cost, left, num_left, bounds, gone, group, bit, tables, is_input, mults, missing, moves, floors
):  # fmt: skip
    """The moves from a state and the least that orders through each can cost, the most promising first.

    A vertex between inputs and mere outputs costs the same whenever it goes and touches no other, so it goes
    at once. Returns the number of moves, or -1 where a table's entry is missing.
    """
    n = edges.shape[0]
    rest = 0  # by the bounds of the vertices, and by those of the groups
    alive = np.zeros(n, np.bool_)
    for at in range(num_left):
        rest += bounds[left[at]]
        alive[left[at]] = True
    grouped = 0
    for at in range(gone.shape[0]):
        grouped += tables[at, gone[at]]
    for at in range(num_left):
        vertex = left[at]
        price = _cost(edges, vertex, mults, missing)
        if price < 0:
            return -1
        mine = gone[group[vertex]]
        table = tables[group[vertex]]
        floor = cost + price + max(
            rest - bounds[vertex], grouped - table[mine] + table[mine | bit[vertex]]
        )  # fmt: skip
        settled = True
        for node in range(n):
            if (edges[node, vertex] and alive[node]) or (edges[vertex, node] and alive[node]):
                settled = False
                break
        if settled:
            moves[0], floors[0] = vertex, floor
            return 1
        place = at
        while place > 0 and floors[place - 1] > floor:
            moves[place], floors[place] = moves[place - 1], floors[place - 1]
            place -= 1
        moves[place], floors[place] = vertex, floor
    return num_left


@compiled
def _without(vertex, left, num_left, rest):
    """Write the vertices that are left but for one to ``rest``; returns how many they are."""
    size = 0
    for at in range(num_left):
        if left[at] != vertex:
            rest[size] = left[at]
            size += 1
    return size


@compiled
def search(
    edges, keys, costs, bounds, left, num_left, moves, floors, num_moves, next_move,
    gone, group, bit, tables, is_input, is_output, kind_of, products, mults, sums,
    memory_keys, memory_costs, best_order, counters, missing, scalar, steps,
):  # fmt: skip
    """Search until the tree is exhausted, something is missing, or so many states have been seen.

    Args:
        edges: ``[depth, node, node]``; likewise ``keys`` (128 bits), ``costs`` so far and ``bounds`` of the
            vertices.
        left: ``[depth, :]`` the vertices that are left, ``num_left`` their number.
        moves: ``[depth, :]`` vertices to be eliminated, ``floors`` the least cost of any order through each;
            ``num_moves`` is -1 where a state is not expanded yet; ``next_move`` says where to go on.
        gone: ``[depth, group]`` which members of each group are gone, as bits; ``group`` and ``bit`` of every
            vertex, and ``tables[group, gone]``, the least that the others of a group cost then.
        kind_of: for scalars, 0, 1 or 2 for structures that are units, constants or values.
        counters: depth, best cost, states in memory.
    """
    depth, best, known = counters[0], counters[1], counters[2]
    status = DONE
    while depth >= 0:
        if num_moves[depth] < 0:
            if steps == 0:
                status = PAUSED
                break
            steps -= 1
            count = _expand(
                edges[depth], costs[depth], left[depth], num_left[depth], bounds[depth],
                gone[depth], group, bit, tables, is_input, mults, missing, moves[depth], floors[depth],
            )  # fmt: skip
            if count < 0:
                status = missing[0]
                break
            num_moves[depth], next_move[depth] = count, 0
        at = next_move[depth]
        if at >= num_moves[depth] or floors[depth, at] >= best:
            depth -= 1
            continue
        vertex = moves[depth, at]
        if 2 * known >= memory_costs.shape[0]:
            status = MEMORY_FULL
            break
        below = depth + 1
        edges[below] = edges[depth]
        keys[below] = keys[depth]
        if not eliminate(edges[below], keys[below], vertex, is_output, products, sums, missing):
            status = missing[0]
            break
        next_move[depth] += 1
        price = _cost(edges[depth], vertex, mults, missing)
        size = _without(vertex, left[depth], num_left[depth], left[below])
        num_left[below] = size
        costs[below] = costs[depth] + price
        if size == 0:
            if costs[below] < best:
                best = costs[below]
                for up in range(below):
                    best_order[up] = moves[up, next_move[up] - 1]
            continue
        promising, new = remember(memory_keys, memory_costs, keys[below], costs[below])
        known += new
        if not promising:
            continue
        gone[below] = gone[depth]
        gone[below, group[vertex]] |= bit[vertex]
        if scalar:
            rest = _scalar_bounds(
                edges[below], kind_of, left[below], size, is_input, is_output, bounds[below]
            )
            if costs[below] + rest >= best:
                continue
        num_moves[below] = -1
        depth = below
    counters[0], counters[1], counters[2] = depth, best, known
    return status
