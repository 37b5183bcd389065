"""Sparse Jacobians as linear operators of Lineax, and a solver that goes by their structure."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp

from .sparse import Block, Pattern, Structure

try:
    import equinox as eqx
    import lineax as lx
except ModuleNotFoundError as error:
    raise ImportError(
        "graphax.lineax needs Lineax, which is not installed: pip install 'alphagrad[solvers]'"
    ) from error

__all__ = ["BlockOperator", "BlockSolver"]


class BlockOperator(lx.AbstractLinearOperator):
    """A block as a linear operator, from arrays of the shape of its input to those of its output.

    That it is diagonal, tridiagonal or triangular is read off its pattern, as a matrix with a row for every
    output and a column for every input entry, so that ``lineax.AutoLinearSolver`` takes the fitting solver.
    Lineax has none for block-diagonal matrices and bands: :class:`BlockSolver` is one.

    Attributes:
        arrays: the leaves of the block, which transformations of Equinox may put None in the place of.
        tree: the rest of it.
        tags: what is known beside the pattern, as for ``lineax.MatrixLinearOperator``: that it is symmetric
            or definite.

    Example:
        >>> import lineax as lx
        >>> from graphax.lineax import BlockOperator
        >>> block = graphax.jacve(lambda x: x**2, sparse=True)(jnp.array([1.0, 2.0]))
        >>> operator = BlockOperator(block)
        >>> lx.is_diagonal(operator)
        True
        >>> print(lx.linear_solve(operator, jnp.ones(2)).value)
        [0.5  0.25]
    """

    arrays: list[jax.Array]
    tree: Any = eqx.field(static=True)
    tags: frozenset[object] = eqx.field(static=True)

    def __init__(self, block: Block, tags: object | Iterable[object] = ()):
        """Args:
            block: the block; integers become floating numbers.
            tags: a tag of Lineax, or several.

        Raises:
            TypeError: when it is no block.
            ValueError: when it has batch dimensions, or no type yet; or a tag says that it is symmetric or
                definite, while output and input differ.
        """
        if not isinstance(block, Block):
            raise TypeError(
                f"BlockOperator takes a graphax.sparse.Block, got {type(block).__name__}; "
                "jacve(fun, sparse=True) returns blocks"
            )
        if block.batch_shape:
            raise ValueError(
                f"BlockOperator takes one matrix, but this block has batch dimensions {block.batch_shape}; "
                "make the operator of each of them under jax.vmap"
            )
        if block.dtype is None:
            raise ValueError(
                "BlockOperator takes blocks of some type; give it one, as in block.astype(float)"
            )
        if not jnp.issubdtype(block.dtype, jnp.inexact):
            block = block.astype(jnp.result_type(float))
        leaves, self.tree = jax.tree.flatten(block)
        self.arrays = [jnp.asarray(leaf) for leaf in leaves]  # those of NumPy would be static to Equinox
        self.tags = frozenset(tags if isinstance(tags, Iterable) else [tags])

    @property
    def block(self) -> Block:
        """The block; it holds inexact numbers."""
        return jax.tree.unflatten(self.tree, self.arrays)

    def __repr__(self) -> str:
        return f"BlockOperator({', '.join(map(repr, [self.block, *self.tags]))})"

    def mv(self, vector: jax.Array) -> jax.Array:
        """The product with an array of the shape of the input."""
        return self.block @ vector

    def as_matrix(self) -> jax.Array:
        """The dense matrix, with a row for every output and a column for every input entry."""
        block = self.block
        return block.todense().reshape(block.matrix_shape)

    def transpose(self) -> BlockOperator:
        """The operator of the transposed block."""
        return self if lx.is_symmetric(self) else BlockOperator(self.block.T, lx.transpose_tags(self.tags))

    def in_structure(self) -> jax.ShapeDtypeStruct:
        """The shape and the type of what it is applied to."""
        return jax.ShapeDtypeStruct(self.block.in_shape, self.block.dtype)

    def out_structure(self) -> jax.ShapeDtypeStruct:
        """The shape and the type of what it gives."""
        return jax.ShapeDtypeStruct(self.block.out_shape, self.block.dtype)


class BlockSolver(lx.AbstractLinearSolver[BlockOperator]):
    """Solves systems of a :class:`BlockOperator` by :meth:`graphax.sparse.Block.solve`.

    Permutations, block-diagonal matrices and narrow bands are recognised, too, in some order of the rows.
    Operators have to be square, with an entry in every row and column.

    Raises:
        TypeError: when the operator is no :class:`BlockOperator`.
        ValueError: when it is not square, or a row or column has no entry.

    Example:
        >>> import lineax as lx
        >>> from graphax.lineax import BlockOperator, BlockSolver
        >>> operator = BlockOperator(sparse.diag(jnp.array([1.0, 2.0, 4.0])))
        >>> print(lx.linear_solve(operator, jnp.ones(3), BlockSolver()).value)
        [1.   0.5  0.25]
    """

    def init(self, operator: lx.AbstractLinearOperator, options: dict[str, Any]) -> BlockOperator:
        """The operator itself, if it is one of blocks."""
        del options
        if not isinstance(operator, BlockOperator):
            raise TypeError(
                f"BlockSolver solves systems of a BlockOperator, got a {type(operator).__name__}; do "
                "arithmetic with blocks, and make the operator of what comes of it"
            )
        return operator

    def compute(
        self, state: BlockOperator, vector: jax.Array, options: dict[str, Any]
    ) -> tuple[jax.Array, lx.RESULTS, dict[str, Any]]:
        """The solution for a vector, and that it was found."""
        del options
        return state.block.solve(vector), lx.RESULTS.successful, {}

    def transpose(
        self, state: BlockOperator, options: dict[str, Any]
    ) -> tuple[BlockOperator, dict[str, Any]]:
        """What solves the transposed system."""
        return state.transpose(), options

    def conj(self, state: BlockOperator, options: dict[str, Any]) -> tuple[BlockOperator, dict[str, Any]]:
        """What solves the system with complex conjugate entries."""
        return _conjugate(state), options

    def assume_full_rank(self) -> bool:
        """That the operator is taken for regular."""
        return True


# What Lineax asks of operators ------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _reach(of: Structure) -> tuple[int, int]:
    """How far entries are below the diagonal and above it, at most; negative where all are beyond it."""
    found = Pattern.of(of)
    above = found.columns - found.rows
    return (int(-above.min()), int(above.max())) if found.nnz else (0, 0)


def _is_within(operator: BlockOperator, below: float, above: float) -> bool:
    """Whether it is square with entries at most so far from the diagonal."""
    if operator.in_size() != operator.out_size():
        return False
    reach = _reach(operator.block.located().structure)
    return reach[0] <= below and reach[1] <= above


@lx.is_diagonal.register(BlockOperator)
def _(operator: BlockOperator) -> bool:
    return lx.diagonal_tag in operator.tags or _is_within(operator, 0, 0)


@lx.is_tridiagonal.register(BlockOperator)
def _(operator: BlockOperator) -> bool:
    return lx.tridiagonal_tag in operator.tags or lx.is_diagonal(operator) or _is_within(operator, 1, 1)


@lx.is_lower_triangular.register(BlockOperator)
def _(operator: BlockOperator) -> bool:
    return lx.lower_triangular_tag in operator.tags or _is_within(operator, math.inf, 0)


@lx.is_upper_triangular.register(BlockOperator)
def _(operator: BlockOperator) -> bool:
    return lx.upper_triangular_tag in operator.tags or _is_within(operator, 0, math.inf)


@lx.is_symmetric.register(BlockOperator)
def _(operator: BlockOperator) -> bool:
    if lx.symmetric_tag in operator.tags:
        return True
    if lx.is_positive_semidefinite(operator) or lx.is_negative_semidefinite(operator):
        return not jnp.issubdtype(operator.block.dtype, jnp.complexfloating)
    return operator.block.in_shape == operator.block.out_shape and lx.is_diagonal(operator)


def _register_tag(ask: Any, tag: object) -> None:
    """Let a question about operators be answered by a tag alone."""
    ask.register(BlockOperator)(lambda operator: tag in operator.tags)


_register_tag(lx.is_positive_semidefinite, lx.positive_semidefinite_tag)
_register_tag(lx.is_negative_semidefinite, lx.negative_semidefinite_tag)
_register_tag(lx.has_unit_diagonal, lx.unit_diagonal_tag)


@lx.linearise.register(BlockOperator)
@lx.materialise.register(BlockOperator)
def _(operator: BlockOperator) -> BlockOperator:
    return operator


def _conjugate(operator: BlockOperator) -> BlockOperator:
    block = operator.block
    if not jnp.issubdtype(block.dtype, jnp.complexfloating):
        return operator
    return BlockOperator(block.located().conj(), operator.tags)


lx.conj.register(BlockOperator, _conjugate)


@lx.diagonal.register(BlockOperator)
def _(operator: BlockOperator) -> jax.Array:
    return _diagonal(operator.block, 0)


@lx.tridiagonal.register(BlockOperator)
def _(operator: BlockOperator) -> tuple[jax.Array, jax.Array, jax.Array]:
    return _diagonal(operator.block, 0), _diagonal(operator.block, -1), _diagonal(operator.block, 1)


def _diagonal(block: Block, k: int) -> jax.Array:
    """A diagonal of the matrix; as :meth:`Block.diagonal`, of sides of any shape."""
    block = block.located()
    rows, columns = block.pattern()
    (places,) = (columns - rows == k).nonzero()
    first, (height, width) = max(0, -k), block.matrix_shape
    count = max(min(height - first, width - max(0, k)), 0)
    zeros = jnp.zeros(count, block.dtype)
    return zeros.at[rows[places] - first].set(block.data()[places], unique_indices=True)
