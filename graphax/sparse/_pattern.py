"""Where the entries of a Jacobian are, without numbers: to be looked at, kept in files, and filled later."""

from __future__ import annotations

import functools
import io
import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import jax
import numpy as np

from .._notebook import facts
from ..files import read_bytes, write_atomically
from ._block import Block
from ._display import Spy, spied
from ._layout import Compressed, compressed, entries_at, entry_values, layout_of
from ._structure import Structure

_VERSION = 1
_LARGEST_FILE = 1 << 32


@dataclass(frozen=True, eq=False)
class Pattern:
    """Where the structural nonzeros of a Jacobian are. Equal patterns have equal shapes and entries.

    Attributes:
        out_shape, in_shape: of the differentiated array, and of the one it is differentiated with respect to.
        rows, columns: for every entry its row-major position in the output and in the input, in row-major
            order; no pair occurs twice.

    Example:
        >>> pattern = graphax.jacobian_structure(lambda x: x[1:] - x[:-1])(jnp.ones(4))
        >>> pattern
        Pattern((3,) <- (4,), nnz 6, density 0.5)
        >>> print(pattern.todense().astype(int))
        [[1 1 0 0]
         [0 1 1 0]
         [0 0 1 1]]
    """

    out_shape: tuple[int, ...]
    in_shape: tuple[int, ...]
    rows: np.ndarray = field(repr=False)
    columns: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, block: Block | Structure) -> Pattern:
        """The pattern of a block.

        Args:
            block: the block, or its structure.

        Returns:
            its pattern.
        """
        found = (
            block
            if isinstance(block, Structure)
            else (block.located().structure if block.places_are_known else block.known_structure)
        )
        layout = layout_of(found)
        return cls(found.out_shape, found.in_shape, layout.rows, layout.columns)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the dense Jacobian."""
        return self.out_shape + self.in_shape

    @property
    def matrix_shape(self) -> tuple[int, int]:
        """The numbers of rows, entries of the output, and of columns, entries of the input."""
        return math.prod(self.out_shape), math.prod(self.in_shape)

    @property
    def nnz(self) -> int:
        """The number of structural nonzeros."""
        return len(self.rows)

    @property
    def density(self) -> float:
        """The share of structural nonzeros; 0 where there are no entries."""
        entries = math.prod(self.matrix_shape)
        return self.nnz / entries if entries else 0.0

    @property
    def T(self) -> Pattern:
        """The pattern of the transpose."""
        order = np.argsort(self.columns, kind="stable")
        return Pattern(self.in_shape, self.out_shape, self.columns[order], self.rows[order])

    def csr(self) -> tuple[np.ndarray, np.ndarray]:
        """``(indptr, indices)``, row by row."""
        return self._by_rows.indptr, self._by_rows.indices

    def csc(self) -> tuple[np.ndarray, np.ndarray]:
        """``(indptr, indices)``, column by column."""
        return self.T.csr()

    def todense(self) -> np.ndarray:
        """An array of booleans of shape ``out_shape + in_shape``."""
        found = np.zeros(self.matrix_shape, bool)
        found[self.rows, self.columns] = True
        return found.reshape(self.shape)

    def to_scipy(self) -> Any:
        """A ``scipy.sparse.csr_array`` of ones, as SciPy wants ``jac_sparsity``."""
        from scipy import sparse

        indptr, indices = self.csr()
        ones = np.ones(self.nnz)
        return sparse.csr_array((ones, indices.copy(), indptr.copy()), shape=self.matrix_shape)

    def filled(self, data: Any) -> Block:
        """The block that has these numbers at its entries.

        Args:
            data: an array of shape ``[nnz]``, in row-major order of the entries; batch dimensions may lead.

        Returns:
            a block of shape ``out_shape + in_shape``.

        Raises:
            ValueError: when they are not as many.
        """
        data = jax.numpy.asarray(data)
        return Block(self._structure, entry_values(self._structure, data), data.dtype)

    def spy(self) -> Spy:
        """A picture, as of :meth:`Block.spy`."""
        return spied(self.rows, self.columns, self.matrix_shape)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the pattern to an ``.npz`` file of NumPy, atomically.

        Args:
            path: the file, which is replaced if it exists.

        Raises:
            ValueError: for another suffix.
        """
        if Path(path).suffix.lower() != ".npz":
            raise ValueError(f"path must end in .npz, got {os.fspath(path)!r}")
        indptr, indices = self.csr()
        out_shape, in_shape = (np.asarray(shape, np.int64) for shape in (self.out_shape, self.in_shape))

        def write(file: BinaryIO) -> None:
            np.savez_compressed(
                file, version=_VERSION, out_shape=out_shape, in_shape=in_shape, indptr=indptr, indices=indices
            )

        write_atomically(Path(path), write)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Pattern:
        """Read a pattern that :meth:`save` has written; nothing in the file is executed.

        Args:
            path: the file.

        Returns:
            the pattern.

        Raises:
            OSError: when there is no such file, or it may not be read.
            ValueError: when it holds no pattern.
        """
        content = read_bytes(path, "a pattern", _LARGEST_FILE)
        try:
            with np.load(io.BytesIO(content), allow_pickle=False) as file:
                names = ("version", "out_shape", "in_shape", "indptr", "indices")
                version, *arrays = (file[name] for name in names)
        except Exception as error:  # whatever a file that is none makes of its readers
            raise ValueError(f"{os.fspath(path)} is not a pattern: {error}") from error
        if version.shape or version != _VERSION:
            raise ValueError(f"{os.fspath(path)} is not a pattern of version {_VERSION}")
        try:
            return _checked(*arrays)
        except ValueError as error:
            raise ValueError(f"{os.fspath(path)} is not a pattern: {error}") from error

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Pattern)
            and (self.out_shape, self.in_shape) == (other.out_shape, other.in_shape)
            and np.array_equal(self.rows, other.rows)
            and np.array_equal(self.columns, other.columns)
        )

    def __hash__(self) -> int:
        return hash((self.out_shape, self.in_shape, self.nnz))

    def __repr__(self) -> str:
        return f"Pattern({self.out_shape} <- {self.in_shape}, nnz {self.nnz}, density {self.density:.2g})"

    def _repr_html_(self) -> str:
        """What notebooks show: facts and a picture."""
        rows = [("output", self.out_shape), ("input", self.in_shape)]
        rows += [("nonzeros", self.nnz), ("density", f"{self.density:.2g}")]
        return facts("Pattern", rows, self.spy().svg)

    @functools.cached_property
    def _by_rows(self) -> Compressed:
        return compressed(self.rows, self.columns, self.matrix_shape)

    @functools.cached_property
    def _structure(self) -> Structure:
        return entries_at(self.out_shape, self.in_shape, self.rows, self.columns)


def _checked(out_shape: Any, in_shape: Any, indptr: Any, indices: Any) -> Pattern:
    """The pattern of arrays of which nothing is known."""
    if any(array.ndim != 1 or array.dtype.kind != "i" for array in (out_shape, in_shape, indptr, indices)):
        raise ValueError("it holds other arrays")
    shapes = [tuple(map(int, shape)) for shape in (out_shape, in_shape)]
    rows, columns = map(math.prod, shapes)
    counts = np.diff(indptr)
    if (
        any(size < 0 for shape in shapes for size in shape)
        or len(indptr) != rows + 1
        or indptr[0] != 0
        or indptr[-1] != len(indices)
        or (counts < 0).any()
        or ((indices < 0) | (indices >= columns)).any()
    ):
        raise ValueError("its indices do not fit its shapes")
    of_rows, of_columns = np.repeat(np.arange(rows), counts), indices.astype(np.intp)
    if (np.diff(of_rows * columns + of_columns) <= 0).any():
        raise ValueError("its indices are not in order")
    return Pattern(shapes[0], shapes[1], of_rows, of_columns)
