"""The computational graph of a function: its vertices, structured edges, and what may be eliminated."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from ._describe import describe
from ._elimination import Costing, OpCount
from ._fingerprint import fingerprint
from ._notebook import facts
from ._numbering import Edge, Numbering
from ._trace import Variable
from .rules import COPYING
from .sparse import Block, Structure, StructureTable, counted

# Larger graphs are told of in notebooks, not drawn.
_MOST_DRAWN = 300


@dataclass(frozen=True, eq=False)
class ComputationalGraph:
    """Vertices and structured edges between the differentiated inputs and the outputs of a function.

    Made by :func:`graphax.trace`. Inputs are the nodes -1, -2, ... in the order of the differentiated
    array leaves; vertices are numbered from 1 by the position of their equation.

    A graph knows in which convention its structures and costs are: those of what is executed, or
    (:meth:`counted`) those of the published tables. Whatever takes a graph works in the convention of it.

    Attributes:
        numbering: the program and its vertex numbers.
        outputs: for every differentiated output leaf its node, or None if it depends on no input.
        edges: the structure of every edge ``(source, target)`` on a path from an input to an output.
        uncounted: of a graph in the counted convention the graph that is executed; else None.

    Example:
        >>> def f(x):
        ...     y = jnp.sin(x)
        ...     return y * y[::-1]
        >>> graph = graphax.trace(f)(jnp.ones(3))
        >>> graph.inputs, graph.vertices, graph.eliminable
        ((-1,), (1, 2, 3), (1, 2))
        >>> graph.cost(graph.eliminable).mults
        6
    """

    numbering: Numbering
    outputs: tuple[int | None, ...]
    edges: dict[Edge, Structure]
    uncounted: ComputationalGraph | None = field(default=None, repr=False)

    @property
    def inputs(self) -> tuple[int, ...]:
        """The nodes of the differentiated inputs."""
        return self.numbering.inputs

    @cached_property
    def vertices(self) -> tuple[int, ...]:
        """The vertices that lie on a path from an input to an output, ascending."""
        return tuple(sorted({target for _, target in self.edges}))

    @cached_property
    def eliminable(self) -> tuple[int, ...]:
        """The vertices that an order has to name: those that another vertex reads."""
        return tuple(sorted({source for source, _ in self.edges if source > 0}))

    @cached_property
    def output_vertices(self) -> frozenset[int]:
        """The vertices that are outputs."""
        return frozenset(node for node in self.outputs if node is not None and node > 0)

    @property
    def is_counted(self) -> bool:
        """Whether structures and costs are those of the counted convention."""
        return self.uncounted is not None

    def counted(self) -> ComputationalGraph:
        """The same graph in the convention of the published tables; itself if it is in it already.

        In it the edges of additions, negations and sums hold explicit ones that are multiplied like any
        number (see :func:`graphax.count_ops`). Costs, heuristics that compare them, searches, bounds, proofs,
        games and pictures of this graph are all in that convention.

        Vertices, orders and the fingerprint are those of the graph itself: an order of the one is an order of
        the other, and a file of it belongs to both. Nothing is ever executed as it is counted. So what is
        about execution takes a counted graph for the one it was made of: ``"auto"`` and the order store, and
        run times.

        Returns:
            a graph with the same vertices.
        """
        return self if self.is_counted else self._counted

    def executed(self) -> ComputationalGraph:
        """The graph whose costs are of what is executed: the one that this was counted from, or itself.

        Returns:
            a graph with the same vertices.
        """
        return self.uncounted or self

    @cached_property
    def _counted(self) -> ComputationalGraph:
        copies = {
            self.numbering.number[output]
            for equation in self.numbering.program.equations
            if equation.primitive.name in COPYING
            for output in equation.outputs
            if output in self.numbering.number
        }
        edges = {edge: counted(structure, edge[1] in copies) for edge, structure in self.edges.items()}
        return ComputationalGraph(self.numbering, self.outputs, edges, self)

    @cached_property
    def fingerprint(self) -> str:
        """What tells the graph from all others: a hash of its program.

        In it are equations, their parameters, programs inside loops, branches and derivative rules, shapes,
        literals, wiring, inputs, outputs, and those closed-over arrays that decide which entries meet. It is
        the same in every process, for all values of the arguments and for every floating type, unless JAX
        traces another program in another precision.
        """
        return fingerprint(self.numbering, self.outputs)

    def cost(self, order: Sequence[int]) -> OpCount:
        """What eliminating the vertices in this order costs, from structures alone.

        Args:
            order: vertex numbers.

        Returns:
            its multiplications and additions, in the convention of the graph.

        Raises:
            ValueError: when the order is not one of this graph's.
        """
        return order_cost(self, check_order(self, order))

    def interned(self) -> tuple[StructureTable, dict[Edge, int]]:
        """A table for products and sums of structures, and the id that it gives to every edge's structure."""
        table = StructureTable(self.is_counted)
        return table, {edge: table.intern(structure) for edge, structure in self.edges.items()}

    def costing(self, undoable: bool = False) -> Costing:
        """The graph to be eliminated on structures alone; see :class:`graphax._elimination.Costing`.

        Args:
            undoable: whether eliminations can be taken back.

        Returns:
            a graph that changes as vertices go, and counts.
        """
        return Costing(*self.interned(), self.output_vertices, undoable)

    def __str__(self) -> str:
        return describe(self.numbering, self.eliminable, self.vertices)

    def __repr__(self) -> str:
        told = ", ".join(f"{count} {name}" for name, count in self._sizes())
        return f"ComputationalGraph({told}, unit edges {'counted' if self.is_counted else 'free'})"

    def _repr_html_(self) -> str:
        """What notebooks show: a picture, if the graph is small."""
        if len(self.vertices) <= _MOST_DRAWN and _in_notebooks:
            return _in_notebooks[-1](self)
        convention = ("unit edges", "counted" if self.is_counted else "free")
        return facts("ComputationalGraph", [*self._sizes(), convention, ("picture", "graphax.draw(graph)")])

    def _sizes(self) -> list[tuple[str, int]]:
        return [
            ("vertices", len(self.vertices)),
            ("eliminable", len(self.eliminable)),
            ("edges", len(self.edges)),
            ("inputs", len(self.inputs)),
            ("outputs", len(self.outputs)),
        ]


_in_notebooks: list[Callable[[ComputationalGraph], str]] = []


def register_picture(picture: Callable[[ComputationalGraph], str]) -> Callable[[ComputationalGraph], str]:
    """Has notebooks show small graphs by what draws them, which stands above graphs; a decorator.

    Args:
        picture: from a graph to HTML.
    """
    _in_notebooks.append(picture)
    return picture


def order_cost(graph: ComputationalGraph, order: Sequence[int]) -> OpCount:
    """What accumulating the Jacobian in this order costs, from structures alone; the order is not checked."""
    costing = graph.costing()
    costing.run(order)
    return OpCount(costing.mults, costing.adds)


def check_graph(graph: object, taker: str) -> None:
    """Raises TypeError for what is no graph, such as the function that one is made of.

    Args:
        graph: what was given.
        taker: the function that takes a graph, for the text of the error.
    """
    if not isinstance(graph, ComputationalGraph):
        raise TypeError(
            f"{taker} takes a graph, got {type(graph).__name__}; "
            "make one with graphax.trace(fun, argnums)(*args)"
        )


def check_order(graph: ComputationalGraph, order: Iterable[int]) -> tuple[int, ...]:
    """The order as a tuple, if it is one of the graph's.

    Args:
        graph: the graph.
        order: vertex numbers.

    Returns:
        the vertex numbers.

    Raises:
        TypeError: when an entry is not an integer, or the graph is none.
        ValueError: when a vertex is missing, repeated, unknown or not eliminable.

    Example:
        >>> graph = graphax.trace(lambda x: jnp.sin(jnp.exp(x) * x))(1.0)
        >>> orders.check_order(graph, [2, 1])
        (2, 1)
        >>> orders.check_order(graph, [2])
        Traceback (most recent call last):
            ...
        ValueError: order misses 1 of 2 eliminable vertices: 1
    """
    check_graph(graph, "check_order")
    try:
        vertices = tuple(operator.index(vertex) for vertex in order)
    except TypeError:
        raise TypeError(
            "order must be 'auto', 'forward', 'reverse', 'markowitz', a loaded order, or a sequence of "
            f"vertex numbers (integers), got {order!r}"
        ) from None
    eliminable = set(graph.eliminable)
    seen: set[int] = set()
    for vertex in vertices:
        if vertex in seen:
            raise ValueError(f"order names vertex {vertex} twice; every vertex is eliminated once")
        if vertex not in eliminable:
            why = (
                "it is an output that no other vertex reads"
                if vertex in graph.vertices
                else "no vertex of this graph has that number, or no derivative passes through it"
            )
            raise ValueError(
                f"order names vertex {vertex}, which cannot be eliminated: {why}; "
                "the vertices to name are graphax.trace(fun, argnums)(*args).eliminable"
            )
        seen.add(vertex)
    missing = [vertex for vertex in graph.eliminable if vertex not in seen]
    if missing:
        some = ", ".join(map(str, missing[:10])) + (", ..." if len(missing) > 10 else "")
        raise ValueError(f"order misses {len(missing)} of {len(eliminable)} eliminable vertices: {some}")
    return vertices


def build_graph(
    numbering: Numbering, num_outputs: int, blocks: dict[Edge, Block]
) -> tuple[ComputationalGraph, dict[Edge, Block]]:
    """The graph of a linearised program, and the blocks of its edges; what is on no path is pruned."""
    outputs = tuple(
        numbering.number[atom] if isinstance(atom, Variable) and atom in numbering.active else None
        for atom in numbering.program.outputs[:num_outputs]
    )
    down = reachable(numbering.inputs, blocks)
    up = reachable([node for node in outputs if node is not None], [(w, v) for v, w in blocks])
    alive = {edge: block for edge, block in blocks.items() if edge[0] in down and edge[1] in up}
    reached = down | set(numbering.inputs)
    outputs = tuple(node if node in reached else None for node in outputs)
    structures = {edge: block.known_structure for edge, block in alive.items()}
    return ComputationalGraph(numbering, outputs, structures), alive


def reachable(sources: Iterable[int], edges: Iterable[Edge]) -> set[int]:
    """Some nodes, and those to which edges lead from them."""
    successors: dict[int, list[int]] = {}
    for source, target in edges:
        successors.setdefault(source, []).append(target)
    seen = set(sources)
    stack = list(seen)
    while stack:
        for target in successors.get(stack.pop(), ()):
            if target not in seen:
                seen.add(target)
                stack.append(target)
    return seen
