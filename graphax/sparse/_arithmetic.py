"""Blocks as operands: ``+ - * / @`` with numbers, arrays and blocks."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, Literal, Self

import jax
import numpy as np

from ._batches import over_batches, pairwise
from ._export import Exports
from ._holes import holes_of, numbers_of, with_holes
from ._layout import entry_values, layout_of, listed
from ._rewriting import as_vector, on_diagonal, transposed, with_rows
from ._scaled import Scaled
from ._steps import reshape
from ._structure import added_label, dense, from_labels, structure
from ._sum_of_terms import SumOfTerms
from ._term import Canonical, Kind


class Arithmetic(Exports):
    """A matrix that is added, multiplied and applied.

    NumPy's and JAX's arrays on the left of an operator leave it to the block.
    """

    __array_priority__ = 1000  # JAX's and SciPy's way to be asked first
    __array_ufunc__ = None  # NumPy's

    def __add__(self, other: Any) -> Any:
        """The sum: with a block a block (parallel paths between the same two arrays), with an array or a
        number, which has no zeros to leave out, a dense array. The number 0 changes nothing."""
        if isinstance(other, SumOfTerms):
            if self.dtype is None or other.dtype is None:
                return self.plus(other)
            self._require_same_shape(other)
            return pairwise(lambda left, right: left.plus(right), *self._promoted(other))
        if _is_number(other) and other == 0:
            return self
        array = _as_array(other)
        return NotImplemented if array is None else self.todense() + array

    __radd__ = __add__

    def __neg__(self) -> Self:
        return self.with_values(Scaled.__neg__)

    def __pos__(self) -> Self:
        return self

    def __sub__(self, other: Any) -> Any:
        """The difference, as for sums."""
        if isinstance(other, SumOfTerms):
            return self + other.with_values(Scaled.__neg__)
        if _is_number(other) and other == 0:
            return self
        array = _as_array(other)
        return NotImplemented if array is None else self.todense() - array

    def __rsub__(self, other: Any) -> Any:
        return (-self).__add__(other)

    def __mul__(self, other: Any) -> Any:
        """The product, entry by entry, with a number, a block, or an array that is broadcast to the shape of
        the block; a block whose zeros are zeros whatever they meet."""
        if isinstance(other, SumOfTerms):
            self._require_same_shape(other)
            left, right = (one.located() for one in self._promoted(other))
            return pairwise(_entrywise, left, right)
        if _is_number(other):
            dtype = jax.numpy.result_type(self._require_dtype(), other)
            return _times_number(self.astype(dtype), other)
        array = _as_array(other)
        if array is None:
            return NotImplemented
        self._require_broadcast(array.shape)
        left = self.located().astype(jax.numpy.result_type(self._require_dtype(), array))
        return _times_array(left, array.astype(left.dtype))

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Any:
        """The quotient, entry by entry, by a number or an array; zeros of the block stay zeros."""
        if isinstance(other, SumOfTerms):
            raise TypeError("a block cannot be divided by a block, most of whose entries are zeros")
        if _is_number(other):
            with np.errstate(divide="ignore", invalid="ignore"):
                return self * np.true_divide(1, other).item()
        array = _as_array(other)
        return NotImplemented if array is None else self * (1 / array)

    @over_batches
    def __abs__(self) -> Self:
        one = self.located().coalesced()
        values = []
        for array, scale in one.values:
            if array is None:
                values.append(Scaled(None, abs(scale)))
            else:
                values.append(Scaled(with_holes(jax.numpy.abs(numbers_of(array)), holes_of(array))))
        dtype = self.dtype and np.empty(0, self.dtype).real.dtype
        return replace(one, values=tuple(values), dtype=dtype)

    @property
    def real(self) -> Self:
        """The real parts of the entries."""
        return self._part_of_entries("real")

    @property
    def imag(self) -> Self:
        """The imaginary parts of the entries."""
        return self._part_of_entries("imag")

    def conj(self) -> Self:
        """The complex conjugates of the entries; ``block.conj().T`` is the adjoint."""
        return self._part_of_entries("conj")

    def _part_of_entries(self, part: Literal["real", "imag", "conj"]) -> Self:
        """The block with a part of every entry, and of every number that is added up to one."""
        static, traced = getattr(np, part), getattr(jax.numpy, part)

        def change(value: Scaled) -> Scaled:
            array, scale = value
            if array is None:
                return Scaled(None, np.asarray(static(scale)).item())
            return Scaled(with_holes(traced(numbers_of(array)), holes_of(array)), scale)

        dtype = self.dtype and static(np.zeros(0, self.dtype)).dtype
        return replace(self.with_values(change), dtype=dtype)

    def __matmul__(self, other: Any) -> Any:
        """The product over all dimensions of the input.

        With a block whose output is shaped like this one's input it is the chain rule, and a block. With an
        array of shape ``in_shape + rest`` it is an array of shape ``out_shape + rest``: a vector or the
        columns of a matrix where the input is a vector. Batch dimensions, if there are any, lead.
        """
        if isinstance(other, SumOfTerms):
            if self.dtype is None or other.dtype is None:
                return self.compose(other)
            _require_composable(self, other)
            return pairwise(lambda left, right: left.compose(right), *self._promoted(other))
        array = _as_array(other)
        if array is None:
            return NotImplemented
        return applied(_times_columns, self, array, self.in_shape)

    def __rmatmul__(self, other: Any) -> Any:
        """The product of an array of shape ``rest + out_shape`` with the block, of shape
        ``rest + in_shape``."""
        array = _as_array(other)
        if array is None:
            return NotImplemented
        return applied(_times_rows, self, array, self.out_shape, leads=False)

    @property
    @over_batches
    def T(self) -> Self:
        """The transpose, of shape ``in_shape + out_shape``."""
        placed = tuple(part.T for part in self.placed)
        found = replace(self, placed=()).rewritten(self.in_shape, self.out_shape, transposed)
        return replace(found, placed=placed)

    def coalesced(self) -> Self:
        """The block, as a list of its entries where several of its numbers stand at one place."""
        one = self.with_known_places("coalesced")
        return one if layout_of(one.structure).merge is None else one.with_data(one.data())

    def with_data(self, data: Any) -> Self:
        """The block that holds these numbers, in the order of :meth:`pattern`, and nothing else.

        Args:
            data: an array of shape ``[nnz]``; batch dimensions may lead.

        Returns:
            a block with the same entries.

        Raises:
            ValueError: when they are not as many.
        """
        data = jax.numpy.asarray(data)
        one = self.with_known_places("with_data")
        found = listed(one.structure)
        return replace(one, structure=found, values=entry_values(found, data), dtype=data.dtype, finite=False)

    def _promoted(self, other: SumOfTerms) -> tuple[Any, Any]:
        if self.dtype == other.dtype:
            return self, other
        dtype = jax.numpy.promote_types(self.dtype, other.dtype)
        return self.astype(dtype), other.astype(dtype)

    def _require_same_shape(self, other: SumOfTerms) -> None:
        if (self.out_shape, self.in_shape) != (other.out_shape, other.in_shape):
            raise ValueError(
                f"cannot add or multiply, entry by entry, a block {self.out_shape} <- {self.in_shape} and "
                f"one {other.out_shape} <- {other.in_shape}"
            )

    def _require_broadcast(self, shape: tuple[int, ...]) -> None:
        own = self.out_shape + self.in_shape
        tail = shape[-len(own) :] if own else ()
        if any(one not in (1, size) for one, size in zip(tail[::-1], own[::-1], strict=False)):
            raise ValueError(
                f"an array of shape {shape} cannot be broadcast to a block of shape {self.shape}; only the "
                "array is repeated"
            )


def _is_number(value: Any) -> bool:
    return isinstance(value, bool | int | float | complex | np.number | np.bool_)


def _as_array(value: Any) -> jax.Array | None:
    """An array of JAX; None of what is none."""
    known = isinstance(value, bool | int | float | complex | list | tuple)
    if not known and not hasattr(value, "__array__") and not hasattr(value, "__jax_array__"):
        return None
    return jax.numpy.asarray(value)


# Products, entry by entry -----------------------------------------------------------------------------------


def _entrywise(left: Any, right: SumOfTerms) -> Any:
    """The product of entries: of one block as a diagonal matrix with the other as a vector."""
    shape = left.out_shape + left.in_shape
    diagonal = left.rewritten(shape, shape, on_diagonal)
    found = diagonal.compose(right.rewritten(shape, (), as_vector))
    split = functools.partial(with_rows, len(left.out_shape))
    return found.rewritten(left.out_shape, left.in_shape, split)


@over_batches
def _times_number(block: Any, number: Any) -> Any:
    """A block with all entries multiplied by a static number."""
    number = number.item() if isinstance(number, np.generic) else number
    number = int(number) if isinstance(number, bool) else number
    kind = Kind.UNIT if number in (1, -1) else Kind.CONSTANT
    found = _entrywise_everywhere(replace(block, placed=()), Scaled(None, number), kind, ())
    of_placed = block.with_values(lambda value: Scaled(value.array, value.scale * number).settled())
    return replace(found, placed=of_placed.placed)


def _times_array(block: Any, array: jax.Array) -> Any:
    """A block with its entries multiplied by those of an array, which is broadcast."""
    own = len(block.out_shape) + len(block.in_shape)

    def multiplied(one: Any, numbers: jax.Array) -> Any:
        shape = (1,) * (own - numbers.ndim) + numbers.shape
        varies = tuple(at for at, size in enumerate(shape) if size != 1)
        value = Scaled(reshape(numbers, [shape[at] for at in varies]))
        return _entrywise_everywhere(one, value, Kind.VALUE, varies)

    return pairwise(multiplied, block, array, own)


def _entrywise_everywhere(block: Any, value: Scaled, kind: Kind, varies: tuple[int, ...]) -> Any:
    """The product with a matrix that has a number everywhere, and varies along some dimensions."""
    final = _everywhere(block.out_shape, block.in_shape, kind, varies)
    value = value.arranged(range(len(varies)), final.term.value_shape)
    return _entrywise(block, replace(block, structure=structure(final.term), values=(value,), finite=False))


@functools.lru_cache(maxsize=1024)
def _everywhere(
    out_shape: tuple[int, ...], in_shape: tuple[int, ...], kind: Kind, varies: tuple[int, ...]
) -> Canonical:
    sizes: list[int] = []
    dims = [added_label(size, sizes) for size in out_shape + in_shape]
    axes = [label for at in varies for label in dims[at]]
    return from_labels(dims[: len(out_shape)], dims[len(out_shape) :], sizes, kind, axes)


# Products with arrays ---------------------------------------------------------------------------------------


def _require_composable(outer: SumOfTerms, inner: SumOfTerms) -> None:
    if outer.in_shape != inner.out_shape:
        raise ValueError(
            f"a block with inputs of shape {outer.in_shape} cannot be multiplied by one with outputs of "
            f"shape {inner.out_shape}"
        )


def applied(
    operation: Any, block: Any, array: jax.Array, side: tuple[int, ...], leads: bool = True
) -> jax.Array:
    """What an operation makes of a block and an array, with batch dimensions or without.

    Args:
        operation: on one block and an array that has the shape of a side.
        block: the block.
        array: the array; where it has no batch dimensions, it is the same for all blocks.
        side: the shape of the side.
        leads: whether the array begins with that, or ends.

    Raises:
        ValueError: when it does not.
    """
    batch = block.batch_shape

    def fits(shape: tuple[int, ...]) -> bool:
        return (shape[: len(side)] if leads else shape[max(len(shape) - len(side), 0) :]) == side

    if batch and array.shape[: len(batch)] == batch and fits(array.shape[len(batch) :]):
        return jax.vmap(lambda one, numbers: applied(operation, one, numbers, side, leads))(block, array)
    if not fits(array.shape):
        raise ValueError(
            f"a Jacobian with {'inputs' if side == block.in_shape else 'outputs'} of shape {side} cannot be "
            f"applied to an array of shape {array.shape}"
        )
    return operation(block, array)


@over_batches
def _times_columns(block: Any, array: jax.Array) -> jax.Array:
    dtype = jax.numpy.promote_types(block.dtype, array.dtype)
    rest = array.shape[len(block.in_shape) :]
    return block.compose(_dense_like(block, array.astype(dtype), block.in_shape, rest)).dense(dtype)


@over_batches
def _times_rows(block: Any, array: jax.Array) -> jax.Array:
    dtype = jax.numpy.promote_types(block.dtype, array.dtype)
    rest = array.shape[: array.ndim - len(block.out_shape)]
    return _dense_like(block, array.astype(dtype), rest, block.out_shape).compose(block).dense(dtype)


def _dense_like(block: Any, array: jax.Array, out_shape: tuple[int, ...], in_shape: tuple[int, ...]) -> Any:
    found = dense(out_shape, in_shape)
    value = Scaled(reshape(array, found.terms[0].value_shape))
    return replace(block, structure=found, values=(value,), finite=False, placed=())
