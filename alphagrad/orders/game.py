"""The vertex elimination game: eliminate all vertices of a graph at the least cost.

The state is an integer matrix: for every pair of nodes the id of the structure of the edge between them, 0
for none. Products, sums and prices of structures are look-ups in tables of all that eliminations can ask for,
so the game runs under `jit` and `vmap` and its return is, to the digit, what executing the order costs.

The game is that of J. Lohoff and E. Neftci, *Optimizing Automatic Differentiation with Deep Reinforcement
Learning* (NeurIPS 2024, arXiv 2406.05027).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from graphax import ComputationalGraph
from graphax.choose import execution_nanoseconds
from graphax.sparse import (
    ClosedTable,
    Digit,
    Execution,
    Kind,
    Structure,
    close_table,
    execution_of_product,
    execution_of_sum,
)
from graphax.timing import constants_for

# Up to this many entries one table holds `sums[old, products[outer, inner]]` ready for look-up.
_JOINT_TABLE_LIMIT = 1 << 22


class VertexState(NamedTuple):
    """A partially eliminated graph.

    Attributes:
        edges: structure ids; rows are the inputs and then the vertices, columns the vertices.
        eliminated: for every action whether its vertex is gone.
    """

    edges: Int[Array, "rows columns"]
    eliminated: Bool[Array, "num_actions"]


class AdjacencyTensor(NamedTuple):
    """A three-dimensional adjacency tensor, stored as `tensor[row, column] = features[kinds[row, column]]`.

    Attributes:
        kinds: which row of `features` describes the edge; 0 where there is none.
        features: the features of every kind of edge; zero for kind 0.

    Example:
        >>> from alphagrad.orders import CompressedVertexGame
        >>> game = CompressedVertexGame(graphax.trace(lambda x: jnp.sin(x) * x)(1.0))
        >>> tensor = game.observe(game.init())
        >>> tensor.kinds.shape, tensor.dense().shape == (*tensor.kinds.shape, game.num_features)
        ((3, 2), True)
    """

    kinds: Int[Array, "rows columns"]
    features: Float[Array, "kinds features"]

    def dense(self) -> Float[Array, "rows columns features"]:
        """The tensor itself."""
        return self.features[self.kinds]


#: What games may be played for.
Objective = Literal["mults", "time"]


class VertexGame:
    """Eliminate the vertices of a computational graph one by one; the reward is minus the multiplications.

    Args:
        graph: from :func:`graphax.trace`; rewards are in its convention. Published figures are those of
            ``graph.counted()``.
        limit: how many structures there may be before the tables are made coarser.
        objective: what is to be small: ``"mults"`` multiplications, ``"time"`` nanoseconds that products and
            sums take on JAX's default device, as :func:`graphax.choose.elimination_nanoseconds` estimates
            them.

    Attributes:
        graph: the graph.
        num_inputs: rows of the state that are inputs.
        num_vertices: columns of the state, all vertices in topological order.
        num_actions: the number of eliminable vertices.
        max_steps: the length of every game, one step for every eliminable vertex.
        vertices: the vertex number of every action.
        action_columns: the column of every action's vertex.
        num_features: the features of an edge in the observation.
        exact: whether rewards are exact. If not, a warning was given: products and sums were taken for
            dense, and rewards are lower bounds of the exact ones.

    Raises:
        ValueError: when there is nothing to eliminate, for another word for the objective, and for times in
            the counted convention, which nothing executes.

    Example:
        >>> from alphagrad.orders import VertexGame
        >>> graph = graphax.trace(lambda x: jnp.sin(jnp.exp(x) * x))(1.0)
        >>> game = VertexGame(graph)
        >>> state, cost = game.init(), 0.0
        >>> for action in range(game.num_actions):  # forward mode
        ...     state, reward = game.step(state, jnp.array(action))
        ...     cost -= float(reward)
        >>> cost == graph.cost(orders.forward(graph)).mults, bool(game.is_over(state))
        (True, True)

    The game: J. Lohoff and E. Neftci, *Optimizing Automatic Differentiation with Deep Reinforcement
    Learning*, NeurIPS 2024 (arXiv 2406.05027).
    """

    def __init__(self, graph: ComputationalGraph, limit: int = 4096, objective: Objective = "mults") -> None:
        if not graph.eliminable:
            raise ValueError("the graph has no vertex to eliminate: every order is the empty one")
        if objective not in get_args(Objective):
            raise ValueError(f"objective={objective!r} must be one of {get_args(Objective)}")
        if objective == "time" and graph.is_counted:
            raise ValueError("objective='time' is for what is executed: give graph.executed()")
        self.graph = graph
        self.vertices = graph.eliminable
        self.num_inputs = len(graph.inputs)
        self.num_vertices = len(graph.vertices)
        self.num_actions = self.max_steps = len(self.vertices)
        self.num_targets = 1
        columns = {vertex: at for at, vertex in enumerate(graph.vertices)}
        self.action_columns = np.array([columns[vertex] for vertex in self.vertices], np.int32)

        nodes = graph.inputs + graph.vertices
        table = close_table(graph.edges, nodes, frozenset(self.vertices), graph.is_counted, limit)
        self.exact = table.exact
        if not table.exact:
            warnings.warn(
                f"this graph needs more than {limit} edge structures; the game takes products and sums "
                "for dense, and its costs are upper bounds",
                stacklevel=2,
            )
        ids = {structure: at + 1 for at, structure in enumerate(table.structures)}
        rows = {node: at for at, node in enumerate(nodes)}
        self._dtype = np.int8 if len(ids) < 127 else np.int16
        self._initial = np.zeros((len(rows), len(columns)), self._dtype)
        for (source, target), structure in graph.edges.items():
            self._initial[rows[source], columns[target]] = ids[structure]

        self._size = len(ids) + 1
        self._costs, self._costs_of_sums = table.mults.astype(np.float32), None
        if objective == "time":
            self._costs, self._costs_of_sums = _nanoseconds(table)
        self._products = table.products.astype(self._dtype)
        self._sums = table.sums.astype(self._dtype)
        self._joint = None
        if self._size**3 <= _JOINT_TABLE_LIMIT:
            # _joint[outer, inner, old]
            self._joint = np.moveaxis(self._sums[:, self._products], 0, -1).reshape(-1)
        # In-edges of outputs are results: they stay when the vertex goes.
        self._stays = np.array([vertex in graph.output_vertices for vertex in self.vertices])
        features = [np.zeros(len(_features(table.structures[0])))]
        features += [_features(structure) for structure in table.structures]
        self._features = np.array(features, np.float32)
        self.num_features = self._features.shape[1]

    @property
    def action(self) -> jax.ShapeDtypeStruct:
        """An action is a number: that of its vertex among the eliminable ones."""
        return jax.ShapeDtypeStruct((), jnp.int32)

    def init(self, key: Array | None = None) -> VertexState:
        """The whole graph; the game has no chance in it and ``key`` is not used."""
        del key
        return VertexState(jnp.asarray(self._initial), jnp.zeros(self.num_actions, bool))

    def step(self, state: VertexState, action: Int[Array, ""]) -> tuple[VertexState, Float[Array, ""]]:
        """Eliminate the vertex of an action; an illegal action changes nothing and costs nothing."""
        edges = state.edges
        column = jnp.asarray(self.action_columns)[action]
        inner = edges[:, column].astype(jnp.int32)
        outer = edges[self.num_inputs + column, :].astype(jnp.int32)
        reward = -(self._tally(outer) @ self._costs @ self._tally(inner))
        if self._costs_of_sums is not None:
            products = jnp.asarray(self._products)[outer, inner[:, None]]
            reward -= jnp.sum(jnp.asarray(self._costs_of_sums)[edges.astype(jnp.int32), products])
        # Illegal actions find no out-edges, hence no products; their in-edges have to stay.
        keeps = jnp.asarray(self._stays)[action] | state.eliminated[action]
        row_ids = jnp.arange(edges.shape[0])[:, None]
        column_ids = jnp.arange(edges.shape[1])[None, :]
        gone = (row_ids == self.num_inputs + column) | ((column_ids == column) & ~keeps)
        edges = jnp.where(gone, 0, self._joined(edges, inner, outer))
        return VertexState(edges.astype(self._dtype), state.eliminated.at[action].set(True)), reward

    def legal(self, state: VertexState) -> Bool[Array, "num_actions"]:
        """The actions whose vertices are still there."""
        return ~state.eliminated

    def is_over(self, state: VertexState) -> Bool[Array, ""]:
        """Whether only the Jacobian is left."""
        return jnp.all(state.eliminated)

    def observe(self, state: VertexState) -> Float[Array, "rows columns features"]:
        """The three-dimensional adjacency tensor: the features of the edge between every pair of nodes.

        All features are zero where there is no edge. Otherwise they are: 1; one of four flags for the kind
        (unit, constant, copy, value); whether output and input share a label; and the logarithms to base
        10 of one plus the sizes of output, input and the numbers held.
        """
        return jnp.asarray(self._features)[state.edges.astype(jnp.int32)]

    def target(self, start: VertexState) -> Int[Array, ""]:
        """All games are about the one graph."""
        del start
        return jnp.zeros((), jnp.int32)

    def identify(self, actions: Int[Array, "steps"], length: Int[Array, ""]) -> Int[Array, "steps"]:
        """The moves themselves."""
        del length
        return actions

    def demonstrate(self, key: Array, number: Int[Array, ""]) -> tuple[VertexState, Int[Array, "steps"]]:
        """Reverse mode, forward mode and Markowitz's heuristic in turn, all with random deviations.

        The first game of the first two kinds is exact; later on every vertex is displaced by normally
        distributed noise. Markowitz's ties are broken at random.
        """
        kind = number % 3
        key_spread, key_noise, key_ties = jax.random.split(key, 3)
        spread = jax.random.uniform(key_spread, minval=0.01, maxval=0.1) * self.num_actions
        noise = spread * jax.random.normal(key_noise, (self.num_actions,))
        place = jnp.arange(self.num_actions) + jnp.where(number < 3, 0.0, noise)
        start = self.init()

        def move(state, key):
            legal = self.legal(state)
            paid = jax.vmap(lambda action: self.step(state, action)[1])(jnp.arange(self.num_actions))
            paid = jnp.where(legal, paid, -jnp.inf)
            greedy = jnp.where(paid == jnp.max(paid), jax.random.uniform(key, paid.shape), -1.0)
            scores = jnp.select([kind == 0, kind == 1], [-place, place], greedy)
            action = jnp.argmax(jnp.where(legal, scores, -jnp.inf))
            return self.step(state, action)[0], action

        _, actions = jax.lax.scan(move, start, jax.random.split(key_ties, self.max_steps))
        return start, actions

    def reopen(
        self, key: Array, start: VertexState, actions: Int[Array, "steps"], length: Int[Array, ""]
    ) -> tuple[VertexState, Int[Array, "steps"]]:
        """The same game: the order of its moves is what it is about."""
        del key, length
        return start, actions

    def _joined(
        self, edges: Array, inner: Int[Array, "rows"], outer: Int[Array, "columns"]
    ) -> Int[Array, "rows columns"]:
        """All edges after every in-edge was joined with every out-edge."""
        size, edges = self._size, edges.astype(jnp.int32)
        if self._joint is not None:
            return jnp.asarray(self._joint)[(outer * size**2) + (inner * size)[:, None] + edges]
        products = jnp.asarray(self._products.reshape(-1))[outer * size + inner[:, None]]
        return jnp.asarray(self._sums.reshape(-1))[edges * size + products]

    def _tally(self, ids: Int[Array, "nodes"]) -> Float[Array, "size"]:
        """How often every structure occurs."""
        return jnp.zeros(self._size, jnp.float32).at[ids].add(1.0)


class CompressedVertexGame(VertexGame):
    """A :class:`VertexGame` whose observation is the same tensor in compressed form.

    A graph has a handful of different edge structures and thousands of pairs of vertices. What an agent
    computes for an edge from its features alone, it need compute only once for every structure.

    Args:
        graph, limit, objective: as for :class:`VertexGame`.

    Example:
        >>> from alphagrad.orders import CompressedVertexGame
        >>> game = CompressedVertexGame(graphax.trace(lambda x: jnp.sin(jnp.exp(x)) * x)(1.0).counted())
        >>> type(game.observe(game.init())).__name__
        'AdjacencyTensor'
    """

    # The protocol leaves open what an observation is; a subclass that shows another form is no breach of it.
    def observe(self, state: VertexState) -> AdjacencyTensor:  # type: ignore[override]
        """The adjacency tensor, compressed; `dense()` is what :class:`VertexGame` shows."""
        return AdjacencyTensor(state.edges.astype(jnp.int32), jnp.asarray(self._features))


def _nanoseconds(table: ClosedTable) -> tuple[np.ndarray, np.ndarray]:
    """What products of ``[outer, inner]`` take on the default device, and sums of ``[left, right]``."""
    constants = constants_for()

    def priced(results: np.ndarray, execution: Callable[[Structure, Structure], Execution]) -> np.ndarray:
        costs = np.zeros(results.shape, np.float32)
        for one, other in zip(*np.nonzero(results[1:, 1:]), strict=True):
            found = execution(table.structures[one], table.structures[other])
            costs[one + 1, other + 1] = execution_nanoseconds(found, constants)
        return costs

    return priced(table.products, execution_of_product), priced(table.sums, execution_of_sum)


def _features(structure: Structure) -> list[float]:
    kinds = [float(any(term.kind is kind for term in structure.terms)) for kind in Kind]
    tied = any(_labels(term.out) & _labels(term.in_) for term in structure.terms)
    sizes = (
        math.prod(structure.out_shape),
        math.prod(structure.in_shape),
        sum(term.numbers for term in structure.terms if term.axes or term.has_value),
    )
    return [1.0, *kinds, float(tied), *(math.log10(1 + n) for n in sizes)]


def _labels(dims: Sequence[Sequence[Digit]]) -> set[int]:
    return {label for dim in dims for digit in dim for label in digit.labels}
