"""Layers whose matrices are tensor trains, in place of Equinox's `Linear` and `Embedding`."""

from __future__ import annotations

import math
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ._decompose import feasible_ranks, tt_svd

Cores = tuple[Float[Array, "left row column right"], ...]


class _Train(eqx.Module):
    """A matrix as a tensor train."""

    cores: Cores

    @property
    def ranks(self) -> tuple[int, ...]:
        """The ranks at the bonds between the cores."""
        return tuple(core.shape[0] for core in self.cores[1:])


class TTLinear(_Train):
    """An affine map y = W x + b whose matrix is a matrix product operator.

    With rows i = (i_1, ..., i_d) and columns j = (j_1, ..., j_d) counted in mixed radix, the first digit the
    most significant,

        W[i, j] = G_1[i_1, j_1] G_2[i_2, j_2] ... G_d[i_d, j_d],

    a product of matrices of the size of the ranks. (Novikov et al. 2015, Tensorizing neural networks.)

    Attributes:
        cores: G_k, of shape (ranks[k - 1], out_modes[k], in_modes[k], ranks[k]).
        bias: b, or None.
        in_modes: sizes of the digits of a column.
        out_modes: sizes of the digits of a row.

    Raises:
        ValueError: when modes do not pair, or ranks do not fit them.

    Example:
        >>> from alphagrad.layers import TTLinear
        >>> layer = TTLinear((4, 4), (8, 4), ranks=3, key=jax.random.key(0))  # from 16 to 32 features
        >>> layer(jnp.ones(16)).shape, layer.ranks
        ((32,), (3,))
        >>> dense = TTLinear.from_matrix(jnp.ones((32, 16)), (4, 4), (8, 4), tolerance=1e-3)
        >>> dense.ranks
        (1,)
    """

    bias: Float[Array, " outputs"] | None
    in_modes: tuple[int, ...] = eqx.field(static=True)
    out_modes: tuple[int, ...] = eqx.field(static=True)

    def __init__(
        self,
        in_modes: Sequence[int],
        out_modes: Sequence[int],
        ranks: int | Sequence[int],
        use_bias: bool = True,
        dtype=jnp.float32,
        *,
        key: Array,
    ):
        """
        The matrix has the mean (zero) and the variance of `equinox.nn.Linear`'s, and so have the outputs.

        Args:
            in_modes: the input has the size of their product.
            out_modes: as many modes; the output has the size of their product.
            ranks: for all bonds or for each; reduced to what the modes can use.
            use_bias: whether there is a bias.
            dtype: of the parameters.
            key: for the parameters.
        """
        in_modes, out_modes = _paired(in_modes, out_modes)
        ranks = feasible_ranks(_products(in_modes, out_modes), ranks)
        inputs = math.prod(in_modes)
        core_key, bias_key = jax.random.split(key)
        self.cores = _random_cores(out_modes, in_modes, ranks, 1 / (3 * inputs), dtype, core_key)
        bound = 1 / math.sqrt(inputs)
        self.bias = (
            jax.random.uniform(bias_key, (math.prod(out_modes),), dtype, -bound, bound) if use_bias else None
        )
        self.in_modes, self.out_modes = in_modes, out_modes

    @classmethod
    def from_matrix(
        cls,
        matrix: Float[Array, "outputs inputs"],
        in_modes: Sequence[int],
        out_modes: Sequence[int],
        max_rank: int | Sequence[int] | None = None,
        tolerance: float = 0.0,
        bias: Float[Array, " outputs"] | None = None,
    ) -> TTLinear:
        """Compresses a matrix by TT-SVD.

        Args:
            matrix: the weight of a dense layer.
            in_modes: factors of its number of columns.
            out_modes: factors of its number of rows.
            max_rank: greatest rank, for all bonds or for each; None leaves it to `tolerance`.
            tolerance: the relative error in Frobenius norm that may be made where `max_rank` does not force
                a greater one: ||W - to_matrix()|| <= tolerance ||W||. In any case the error is at most
                the root of the sum of squares of the singular values cut off (see `tt_svd`).
            bias: is kept as it is.

        Returns:
            the layer.

        Raises:
            ValueError: when the modes do not multiply to the shape of the matrix, or the bias has another.
        """
        in_modes, out_modes = _paired(in_modes, out_modes)
        shape = (math.prod(out_modes), math.prod(in_modes))
        if matrix.shape != shape:
            raise ValueError(
                f"The modes {out_modes} by {in_modes} belong to a matrix of shape {shape}, "
                f"not {matrix.shape}; give factors of its rows and of its columns."
            )
        if bias is not None and bias.shape != shape[:1]:
            raise ValueError(f"The bias of a layer with {shape[0]} outputs has not the shape {bias.shape}.")
        cores = _compressed(matrix, out_modes, in_modes, max_rank, tolerance)
        shaped = eqx.filter_eval_shape(
            lambda: cls(in_modes, out_modes, 1, use_bias=bias is not None, key=jax.random.key(0))
        )
        return eqx.tree_at(
            lambda made: (made.cores, made.bias), shaped, (cores, bias), is_leaf=lambda leaf: leaf is None
        )

    def __call__(self, x: Float[Array, " inputs"], *, key: Array | None = None) -> Float[Array, " outputs"]:
        """Applies the layer without forming its matrix.

        The pairwise contractions of x with the cores are made in the order that takes the fewest
        multiplications for one vector, found by dynamic programming when the call is traced.

        Args:
            x: one input; use `jax.vmap` for several.
            key: ignored; for compatibility with other layers.

        Returns:
            one output.

        Raises:
            ValueError: for an input of another shape.
        """
        if x.shape != (size := (math.prod(self.in_modes),)):
            raise ValueError(
                f"The input of this layer has the shape {size}, not {x.shape}; vmap over batches."
            )
        modes = len(self.cores)
        columns, rows = list(range(modes)), list(range(modes, 2 * modes))
        bonds = list(range(2 * modes, 3 * modes + 1))
        operands: list = [x.reshape(self.in_modes), columns]
        for k, core in enumerate(self.cores):
            operands += [core, [bonds[k], rows[k], columns[k], bonds[k + 1]]]
        y = jnp.einsum(*operands, [bonds[0], *rows, bonds[-1]], optimize="dp").reshape(-1)
        return y if self.bias is None else y + self.bias

    def to_matrix(self) -> Float[Array, "outputs inputs"]:
        """The matrix that the cores stand for."""
        return _matrix_of(self.cores)


class TTEmbedding(_Train):
    """A table of vectors whose rows are looked up in a tensor train.

    The index of a row is written in mixed radix, the first digit the most significant; each digit chooses a
    slice of a core, and the slices are multiplied. The table is never formed. (Hrinchuk et al. 2020,
    Tensorized embedding layers.)

    Attributes:
        cores: of shape (ranks[k - 1], num_modes[k], width_modes[k], ranks[k]).
        num_embeddings: rows of the table; the digits may count further.

    Raises:
        ValueError: when modes do not pair or count too few rows, or ranks do not fit them.

    Example:
        >>> from alphagrad.layers import TTEmbedding
        >>> embedding = TTEmbedding(1000, (10, 10, 10), (4, 2, 2), ranks=4, key=jax.random.key(0))
        >>> embedding(jnp.array(731)).shape
        (16,)
        >>> sum(core.size for core in embedding.cores)  # in the place of 16,000 numbers
        560
    """

    num_embeddings: int = eqx.field(static=True)

    def __init__(
        self,
        num_embeddings: int,
        num_modes: Sequence[int],
        width_modes: Sequence[int],
        ranks: int | Sequence[int],
        dtype=jnp.float32,
        *,
        key: Array,
    ):
        """
        The entries have mean zero and variance one, as those of `equinox.nn.Embedding`.

        Args:
            num_embeddings: rows of the table.
            num_modes: sizes of the digits of a row's index; their product is at least `num_embeddings`.
            width_modes: as many modes; the vectors have the size of their product.
            ranks: for all bonds or for each; reduced to what the modes can use.
            dtype: of the parameters.
            key: for the parameters.
        """
        num_modes, width_modes = _paired(num_modes, width_modes)
        if not 1 <= num_embeddings <= math.prod(num_modes):
            raise ValueError(
                f"The modes {num_modes} count {math.prod(num_modes)} rows, which is not enough for "
                f"{num_embeddings}; give larger modes (and at least one row)."
            )
        ranks = feasible_ranks(_products(num_modes, width_modes), ranks)
        self.cores = _random_cores(num_modes, width_modes, ranks, 1.0, dtype, key)
        self.num_embeddings = num_embeddings

    @classmethod
    def from_matrix(
        cls,
        table: Float[Array, "num width"],
        num_modes: Sequence[int],
        width_modes: Sequence[int],
        max_rank: int | Sequence[int] | None = None,
        tolerance: float = 0.0,
    ) -> TTEmbedding:
        """Compresses a table by TT-SVD; the error is as in `TTLinear.from_matrix`.

        Args:
            table: a row for each index; rows of zeros are added to what `num_modes` count.
            num_modes: sizes of the digits of a row's index; their product is at least the number of rows.
            width_modes: factors of the width of the table.
            max_rank: greatest rank, for all bonds or for each; None leaves it to `tolerance`.
            tolerance: the relative error in Frobenius norm that may be made.

        Returns:
            the layer.

        Raises:
            ValueError: when the modes do not fit the table.
        """
        num_modes, width_modes = _paired(num_modes, width_modes)
        num, width = table.shape
        shaped = eqx.filter_eval_shape(lambda: cls(num, num_modes, width_modes, 1, key=jax.random.key(0)))
        if width != math.prod(width_modes):
            raise ValueError(f"The modes {width_modes} do not multiply to the width {width} of the table.")
        padded = np.pad(np.asarray(table), ((0, math.prod(num_modes) - num), (0, 0)))
        cores = _compressed(padded, num_modes, width_modes, max_rank, tolerance)
        return eqx.tree_at(lambda made: made.cores, shaped, cores)

    def __call__(self, index: Int[Array, ""], *, key: Array | None = None) -> Float[Array, " width"]:
        """The row of an index.

        Args:
            index: of a row; what is out of range is taken for the first or the last row.
            key: ignored; for compatibility with other layers.

        Returns:
            the row.

        Raises:
            ValueError: for what is not one integer.
        """
        index = jnp.asarray(index)
        if index.shape != () or not jnp.issubdtype(index.dtype, jnp.integer):
            raise ValueError(f"An index is one integer, not {index.dtype}{index.shape}; vmap over several.")
        digits = jnp.unravel_index(
            jnp.clip(index.astype(jnp.int32), 0, self.num_embeddings - 1),
            tuple(core.shape[1] for core in self.cores),
        )
        row = jnp.ones((1, 1), self.cores[0].dtype)
        for core, digit in zip(self.cores, digits, strict=True):
            row = jnp.tensordot(row, core[:, digit], axes=1).reshape(-1, core.shape[-1])
        return row.reshape(-1)

    def to_matrix(self) -> Float[Array, "num width"]:
        """The table that the cores stand for."""
        return _matrix_of(self.cores)[: self.num_embeddings]


def _paired(first: Sequence[int], second: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if len(first) != len(second) or not first or min(*first, *second) < 1:
        raise ValueError(
            f"The modes {tuple(first)} and {tuple(second)} do not pair; give as many of each, all at least 1."
        )
    return tuple(first), tuple(second)


def _products(rows: Sequence[int], columns: Sequence[int]) -> list[int]:
    return [row * column for row, column in zip(rows, columns, strict=True)]


def _random_cores(rows, columns, ranks, variance, dtype, key) -> Cores:
    """Normal cores; an entry of the matrix is a sum of prod(ranks) products, each with a factor of a core."""
    deviation = (variance / math.prod(ranks)) ** (0.5 / len(rows))
    shapes = list(zip((1, *ranks), rows, columns, (*ranks, 1), strict=True))
    # One draw for all cores: each size drawn takes its own compilation.
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    parts = jnp.split(deviation * jax.random.normal(key, (ends[-1],), dtype), ends[:-1])
    return tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))


def _compressed(matrix, rows, columns, max_rank, tolerance) -> Cores:
    """The cores of a matrix, as a tensor with one mode for each pair of a row's and a column's digit."""
    digits = np.asarray(matrix).reshape(*rows, *columns)
    count = len(rows)
    pairs = digits.transpose([axis for k in range(count) for axis in (k, count + k)])
    train = tt_svd(pairs.reshape(_products(rows, columns)), max_rank, tolerance)
    return tuple(
        jnp.asarray(core.reshape(core.shape[0], row, column, core.shape[2]), matrix.dtype)
        for core, row, column in zip(train.cores, rows, columns, strict=True)
    )


def _matrix_of(cores: Cores) -> Float[Array, "rows columns"]:
    matrix = jnp.ones((1, 1, 1), cores[0].dtype)
    for core in cores:
        rows, columns = (matrix.shape[axis] * core.shape[axis + 1] for axis in (0, 1))
        matrix = jnp.einsum("ija,abcd->ibjcd", matrix, core).reshape(rows, columns, -1)
    return matrix[:, :, 0]
