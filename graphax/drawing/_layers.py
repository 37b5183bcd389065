"""The layers of an acyclic graph, and the bends of its long edges in the layers between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

_LANE = 4.0  # the width of a long edge that passes through a layer
_MAX_BENDS = 30_000  # long edges beyond this many bends run straight


def layers_of(
    nodes: Sequence[int],
    sources: Mapping[int, list[int]],
    targets: Mapping[int, list[int]],
    first: frozenset[int],
) -> dict[int, int]:
    """Longest paths from the top, then nodes moved down where that shortens edges."""
    layer: dict[int, int] = {}
    for node in nodes:
        layer[node] = 0 if node in first else 1 + max((layer[s] for s in sources[node]), default=0)
    last = max(layer.values(), default=0)
    movable = [node for node in nodes if node not in first and targets[node]]
    for node in nodes:
        if sources[node] and not targets[node]:
            layer[node] = last
    crowd = Counter(layer.values())
    for sweep in range(4):
        for node in movable if sweep % 2 else reversed(movable):
            at = _shortest(node, layer, sources, targets, crowd)
            crowd[layer[node]] -= 1
            crowd[at] += 1
            layer[node] = at
    return layer


def _shortest(
    node: int,
    layer: Mapping[int, int],
    sources: Mapping[int, list[int]],
    targets: Mapping[int, list[int]],
    crowd: Mapping[int, int],
) -> int:
    """The layer for a node that makes the edges around it shortest, all edges of a source being one bundle.

    Lower by one layer shortens the node's own bundle by one, and lengthens those of the sources that have
    no other target as low.
    """
    low = 1 + max(layer[s] for s in sources[node])
    high = min(layer[t] for t in targets[node]) - 1
    if low == high:
        return low
    # How low each source's other edges reach; some inputs have thousands of readers, and a few are enough.
    reach = sorted(
        max([layer[source], *(layer[t] for t in targets[source][:64] if t != node)])
        for source in sources[node]
    )
    top = min(max(reach[0], low), high)
    bottom = min(max(reach[1], low), high) if len(reach) > 1 else high
    return min(range(top, bottom + 1), key=lambda at: (crowd[at] - (at == layer[node]), at))


class Net:
    """The nodes and the bends of long edges, with connections between neighbouring layers alone.

    All edges of a node share their bends, so that they look like one line that branches.

    Attributes:
        layer: of every node and bend. Bends have numbers that no node has.
        width: of every node and bend.
        up, down: the neighbours in the layer above and below.
        bends: for every node its bends, from its own layer downwards.
    """

    def __init__(
        self, widths: Mapping[int, float], layer: Mapping[int, int], targets: Mapping[int, list[int]]
    ) -> None:
        self.layer = dict(layer)
        self.width = dict(widths)
        self.up: dict[int, list[int]] = {node: [] for node in widths}
        self.down: dict[int, list[int]] = {node: [] for node in widths}
        self.bends: dict[int, list[int]] = {node: [] for node in widths}
        self.depth = max(layer.values(), default=-1) + 1
        fresh = max(widths, default=0) + 1
        need = {node: max(layer[t] for t in ends) - layer[node] - 1 for node, ends in targets.items() if ends}
        left = _MAX_BENDS
        self.straight: set[int] = set()
        for node in sorted(need, key=lambda node: need[node]):
            left -= need[node]
            if left < 0:
                self.straight.add(node)
        for node, ends in targets.items():
            if node not in self.straight:
                for _ in range(need.get(node, 0)):
                    above = self.bends[node][-1] if self.bends[node] else node
                    self.layer[fresh] = self.layer[above] + 1
                    self.width[fresh] = _LANE
                    self.up[fresh], self.down[fresh] = [], []
                    self._connect(above, fresh)
                    self.bends[node].append(fresh)
                    fresh += 1
            for target in ends:
                above = self.above(node, target)
                if above is not None:
                    self._connect(above, target)

    def above(self, source: int, target: int) -> int | None:
        """Where the edge is in the layer above its target; None if it runs straight past the layers."""
        span = self.layer[target] - self.layer[source]
        if span == 1:
            return source
        return None if source in self.straight else self.bends[source][span - 2]

    def is_bend(self, node: int) -> bool:
        return node not in self.bends

    def _connect(self, above: int, below: int) -> None:
        self.down[above].append(below)
        self.up[below].append(above)
