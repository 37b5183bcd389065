"""Places for the nodes of an acyclic graph: layers from top to bottom, few crossings, straight long edges.

The steps are those of Sugiyama, Tagawa and Toda (IEEE Transactions on Systems, Man and Cybernetics 11, 1981):
layers, an order within each layer by sweeps of barycentres, then coordinates.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import NamedTuple

from .._numbering import Edge
from ._layers import Net, layers_of

Point = tuple[float, float]

ROW = 32.0  # the height of a node
_GAP = 12.0  # between neighbours in a layer
_MARGIN = 16.0
_SMALL = 2_500  # nodes and bends up to which the slower improvements are affordable


class Layout(NamedTuple):
    """Where everything goes; y grows downwards.

    Attributes:
        layer: the layer of every node.
        centre: the centre of every node.
        route: the points that every edge passes through, from the lower side of its source to the upper side
            of its target.
        width, height: the size of it all.
    """

    layer: dict[int, int]
    centre: dict[int, Point]
    route: dict[Edge, list[Point]]
    width: float
    height: float


def lay_out(widths: Mapping[int, float], edges: Iterable[Edge], first: Sequence[int]) -> Layout:
    """Lay a graph out in layers.

    Args:
        widths: the width of every node, in an order in which sources come before targets.
        edges: pairs of nodes.
        first: the nodes of the top layer, which nothing points to. Nodes that point to nothing, and to which
            something points, go to the bottom layer.

    Returns:
        the layout; every edge points to a lower layer than it comes from.
    """
    targets: dict[int, list[int]] = {node: [] for node in widths}
    sources: dict[int, list[int]] = {node: [] for node in widths}
    for source, target in edges:
        targets[source].append(target)
        sources[target].append(source)
    layer = layers_of(list(widths), sources, targets, frozenset(first))
    net = Net(widths, layer, targets)
    order = _few_crossings(net)
    x = _coordinates(net, order)
    return _drawn(net, order, x, sources, targets)


def _few_crossings(net: Net) -> list[list[int]]:
    """The order within each layer, from left to right."""
    order: list[list[int]] = [[] for _ in range(net.depth)]
    for node, at in net.layer.items():
        order[at].append(node)
    place = {node: at for row in order for at, node in enumerate(row)}
    small = len(net.layer) <= _SMALL
    best, fewest = [row[:] for row in order], _crossings(net, order, place)
    for sweep in range(24 if small else 6):
        neighbours = net.down if sweep % 2 else net.up
        rows = reversed(order[:-1]) if sweep % 2 else order[1:]
        for row in rows:
            key = {node: _barycentre(neighbours[node], place, place[node]) for node in row}
            row.sort(key=key.__getitem__)
            place.update((node, at) for at, node in enumerate(row))
        if small:
            _swap_neighbours(net, order, place)
        found = _crossings(net, order, place)
        if found < fewest:
            best, fewest = [row[:] for row in order], found
    return best


def _barycentre(neighbours: Sequence[int], place: Mapping[int, int], default: int) -> float:
    return sum(place[n] for n in neighbours) / len(neighbours) if neighbours else default


def _crossings(net: Net, order: Sequence[Sequence[int]], place: Mapping[int, int]) -> int:
    total = 0
    for row in order:
        seen: list[int] = []
        for node in row:
            ends = [place[below] for below in net.down[node]]
            total += sum(len(seen) - bisect.bisect_right(seen, end) for end in ends)
            for end in ends:
                bisect.insort(seen, end)
    return total


def _swap_neighbours(net: Net, order: Sequence[list[int]], place: dict[int, int]) -> None:
    """Exchange neighbours while that takes crossings away."""

    def crossed(left: int, right: int) -> int:
        return sum(
            place[a] > place[b]
            for side in (net.up, net.down)
            for a, b in itertools.product(side[left], side[right])
        )

    for _ in range(8):
        better = False
        for row in order:
            for at in range(len(row) - 1):
                left, right = row[at], row[at + 1]
                if crossed(left, right) > crossed(right, left):
                    row[at], row[at + 1] = right, left
                    place[left], place[right] = at + 1, at
                    better = True
        if not better:
            return


def _coordinates(net: Net, order: Sequence[Sequence[int]]) -> dict[int, float]:
    """The x of every node and bend: each near its neighbours, none too near to the next in its layer.

    The bends of a long edge form a block that moves as one, so that the edge is straight. Blocks wander
    towards the mean of their neighbours; weights that fall with the distance make most lines vertical and a
    few oblique, rather than all a bit oblique.
    """
    block = _blocks(net, order)
    after = _constraints(net, order, block)
    turn = [*TopologicalSorter(after).static_order()][::-1]  # those to the left come first
    lowest = _pushed(dict.fromkeys(turn, 0.0), turn, after)
    room = max(lowest.values(), default=0.0)
    highest = _pulled(dict.fromkeys(turn, room), turn, after)
    near: dict[int, list[int]] = {first: [] for first in turn}
    for node, below in net.down.items():
        for other in below:
            if block[node] != block[other]:
                near[block[node]].append(block[other])
                near[block[other]].append(block[node])
    x = {first: (lowest[first] + highest[first]) / 2 for first in turn}
    for _ in range(150 if len(net.layer) <= _SMALL else 20):
        wanted = {}
        for first in turn:
            at, weight, total = x[first], 1e-9, 1e-9 * x[first]
            for other in near[first]:
                w = 1.0 / (4.0 + abs(x[other] - at))
                weight += w
                total += w * x[other]
            wanted[first] = min(max(total / weight, lowest[first]), highest[first])
        # Both keep the distances, hence so does their mean.
        right, left = _pushed(wanted, turn, after), _pulled(wanted, turn, after)
        x = {first: (right[first] + left[first]) / 2 for first in turn}
    edge = min((x[block[node]] - net.width[node] / 2 for node in net.layer), default=0.0)
    return {node: round(x[block[node]] - edge + _MARGIN) for node in net.layer}


def _blocks(net: Net, order: Sequence[Sequence[int]]) -> dict[int, int]:
    """For every node the first one of its block. Blocks do not cross.

    In large graphs nodes are their own blocks: long ones push each other aside until the graph is as wide as
    there are edges.
    """
    block = {node: node for row in order for node in row}
    if len(block) > _SMALL:
        return block
    for upper, row in itertools.pairwise(order):
        place = {node: at for at, node in enumerate(upper)}
        last = -1
        for node in row:
            above = net.up[node][0] if net.is_bend(node) else node
            if above != node and net.is_bend(above) and place[above] > last:
                block[node] = block[above]
                last = place[above]
    return block


def _constraints(
    net: Net, order: Sequence[Sequence[int]], block: Mapping[int, int]
) -> dict[int, dict[int, float]]:
    """For every block those to its right, and how far away they must be."""
    after: dict[int, dict[int, float]] = {first: {} for first in block.values()}
    for row in order:
        for left, right in itertools.pairwise(row):
            gaps = after[block[left]]
            gaps[block[right]] = max(gaps.get(block[right], 0.0), _separation(net, left, right))
    return after


def _pushed(
    wanted: Mapping[int, float], turn: Sequence[int], after: Mapping[int, Mapping[int, float]]
) -> dict[int, float]:
    """The wanted places, those too near to their left moved to the right."""
    x = dict(wanted)
    for first in turn:
        for other, gap in after[first].items():
            x[other] = max(x[other], x[first] + gap)
    return x


def _pulled(
    wanted: Mapping[int, float], turn: Sequence[int], after: Mapping[int, Mapping[int, float]]
) -> dict[int, float]:
    """The wanted places, those too near to their right moved to the left."""
    x = dict(wanted)
    for first in reversed(turn):
        for other, gap in after[first].items():
            x[first] = min(x[first], x[other] - gap)
    return x


def _separation(net: Net, left: int, right: int) -> float:
    lanes = net.is_bend(left) + net.is_bend(right)
    return (net.width[left] + net.width[right]) / 2 + _GAP - 2.0 * lanes


def _drawn(
    net: Net,
    order: Sequence[Sequence[int]],
    x: Mapping[int, float],
    sources: Mapping[int, list[int]],
    targets: Mapping[int, list[int]],
) -> Layout:
    """The points of nodes and edges."""
    top = []  # of every layer
    y = _MARGIN
    for row in order:
        top.append(y)
        slope = max((abs(x[node] - x[below]) for node in row for below in net.down[node]), default=0.0)
        y += ROW + 18.0 + min(44.0, 0.14 * slope)
    height = (top[-1] + ROW if top else 0.0) + _MARGIN
    width = max((x[node] + net.width[node] / 2 for node in x), default=0.0) + _MARGIN

    def first(source: int, target: int) -> int:
        """Where the edge is in the layer below its source."""
        near = net.layer[target] - net.layer[source] == 1 or source in net.straight
        return target if near else net.bends[source][0]

    def last(source: int, target: int) -> int:
        above = net.above(source, target)
        return source if above is None else above

    leave: dict[Edge, float] = {}
    enter: dict[Edge, float] = {}
    for node, ends in targets.items():
        out = _ports(x, node, net.width[node], {first(node, target) for target in ends})
        leave.update(((node, target), out[first(node, target)]) for target in ends)
        into = _ports(x, node, net.width[node], {last(source, node) for source in sources[node]})
        enter.update(((source, node), into[last(source, node)]) for source in sources[node])

    route: dict[Edge, list[Point]] = {}
    for source, ends in targets.items():
        trunk: list[Point] = []  # through the bends so far
        passed = 0
        for target in sorted(ends, key=net.layer.__getitem__):
            span = net.layer[target] - net.layer[source]
            for bend in net.bends[source][passed : span - 1]:
                row = top[net.layer[bend]]
                if trunk and trunk[-1][0] == x[bend]:
                    trunk[-1] = (x[bend], row + ROW)
                else:
                    trunk += [(x[bend], row), (x[bend], row + ROW)]
                passed += 1
            start = (leave[source, target], top[net.layer[source]] + ROW)
            route[source, target] = [start, *trunk, (enter[source, target], top[net.layer[target]])]
    layer = {node: net.layer[node] for node in targets}
    centre = {node: (x[node], top[at] + ROW / 2) for node, at in layer.items()}
    return Layout(layer, centre, route, width, height)


def _ports(x: Mapping[int, float], node: int, width: float, others: set[int]) -> dict[int, float]:
    """Where the lines from a node to others touch it: side by side, in the order of the others."""
    ranked = sorted(others, key=lambda other: (x[other], other))
    step = min(7.0, (width - 14.0) / max(len(ranked) - 1, 1))
    start = x[node] - step * (len(ranked) - 1) / 2
    return {other: round(start + step * at, 1) for at, other in enumerate(ranked)}
