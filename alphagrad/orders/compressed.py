"""The vertex game seen through a compressed adjacency tensor.

A graph has a handful of different edge structures and thousands of pairs of vertices. What an agent computes
for an edge from its features alone, it need compute only once for every structure.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .game import VertexGame, VertexState


class AdjacencyTensor(NamedTuple):
    """A three-dimensional adjacency tensor, stored as `tensor[row, column] = features[kinds[row, column]]`.

    Attributes:
        kinds: which row of `features` describes the edge; 0 where there is none.
        features: the features of every kind of edge; zero for kind 0.
    """

    kinds: Int[Array, "rows columns"]
    features: Float[Array, "kinds features"]

    def dense(self) -> Float[Array, "rows columns features"]:
        """The tensor itself."""
        return self.features[self.kinds]


class CompressedVertexGame(VertexGame):
    """A :class:`VertexGame` whose observation is the same tensor in compressed form."""

    # The protocol leaves open what an observation is; a subclass that shows another form is no breach of it.
    def observe(self, state: VertexState) -> AdjacencyTensor:  # type: ignore[override]
        """The adjacency tensor, compressed; `dense()` is what :class:`VertexGame` shows."""
        return AdjacencyTensor(state.edges.astype(jnp.int32), jnp.asarray(self._features))
