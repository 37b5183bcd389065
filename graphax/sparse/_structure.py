"""The static half of a Jacobian: a short sum of terms, and the plans for products and sums of them."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
from jax import lax

from ._add import Sum, add, merge, refine
from ._compose import Composition, compose
from ._cost import MAX_TERMS, no_sparser_than_dense
from ._scaled import Scaled
from ._term import Canonical, Digit, Kind, Sizes, Term, canonical

Values = tuple[Scaled, ...]  # for every term its value


@dataclass(frozen=True)
class Structure:
    """What is known about a Jacobian of one array with respect to another before any number is.

    Attributes:
        out_shape: the shape of the output.
        in_shape: the shape of the input.
        terms: whose sum it is, at different places or of different kinds.

    Example:
        >>> graph = graphax.trace(lambda x: jnp.sin(x) * jnp.arange(3.0))(jnp.ones(3))
        >>> structure = graph.edges[-1, 1]  # of the sine: a diagonal
        >>> structure.out_shape, structure.in_shape, structure.numbers
        ((3,), (3,), 3)
    """

    out_shape: tuple[int, ...]
    in_shape: tuple[int, ...]
    terms: tuple[Term, ...]
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.out_shape, self.in_shape, self.terms)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def numbers(self) -> int:
        """How many numbers a Jacobian of this structure holds."""
        return sum(term.numbers for term in self.terms if term.has_value)

    def __str__(self) -> str:
        return " + ".join(map(str, self.terms))


def structure(term: Term) -> Structure:
    """The structure of a single term."""
    return Structure(term.out_shape, term.in_shape, (term,))


class Total(NamedTuple):
    """Terms added up, as far as they are better one than two.

    Attributes:
        structure: of those that are left.
        adds: additions executed.
        sums: which values are added to which, and how; each appends a value to those given.
        kept: which of all these values belong to the structure.
    """

    structure: Structure
    adds: int
    sums: tuple[tuple[int, int, Sum], ...]
    kept: tuple[int, ...]

    def run(self, values: list[Scaled]) -> Values:
        """The values of the sum, from those of the terms given."""
        for i, j, plan in self.sums:
            values.append(plan.run(values[i], values[j]))
        return tuple(values[at] for at in self.kept)


class Product(NamedTuple):
    """The product of two structures.

    Attributes:
        structure: the structure of the product; without terms where it is zero.
        mults: multiplications executed.
        adds: additions executed.
        products: which terms are multiplied, and how.
        total: what is done with the products.
    """

    structure: Structure
    mults: int
    adds: int
    products: tuple[tuple[int, int, Composition], ...]
    total: Total

    def run(self, outer: Values, inner: Values, finite: tuple[bool, bool] = (False, False)) -> Values:
        """The values of the product; ``finite`` says which of the two are known to be finite."""
        return self.total.run([plan.run(outer[i], inner[j], finite) for i, j, plan in self.products])


@functools.lru_cache(maxsize=1 << 17)
def product(outer: Structure, inner: Structure, sparse: bool = True) -> Product:
    """The structure and price of ``outer ∘ inner`` (out <- mid <- in).

    Args:
        outer: the structure of d out / d mid.
        inner: the structure of d mid / d in.
        sparse: whether a sparse Jacobian is wanted in the end (see :func:`add`).

    Raises:
        ValueError: when the outer structure's input is not shaped like the inner one's output.
    """
    pairs = itertools.product(enumerate(outer.terms), enumerate(inner.terms))
    plans = [(i, j, plan) for (i, b), (j, a) in pairs if (plan := compose(b, a)) is not None]
    found = _total(outer.out_shape, inner.in_shape, [plan.term for *_, plan in plans], sparse)
    mults, adds = sum(plan.mults for *_, plan in plans), sum(plan.adds for *_, plan in plans)
    return Product(found.structure, mults, adds + found.adds, tuple(plans), found)


@functools.lru_cache(maxsize=1 << 17)
def total(left: Structure, right: Structure, sparse: bool = True) -> Total:
    """The structure and price of the sum of two Jacobians of equal shape; ``sparse`` as for products.

    Raises:
        ValueError: when the shapes differ.
    """
    return _total(left.out_shape, left.in_shape, left.terms + right.terms, sparse)


def _total(
    out_shape: tuple[int, ...], in_shape: tuple[int, ...], given: Sequence[Term], sparse: bool
) -> Total:
    terms = list(given)
    sums: list[tuple[int, int, Sum]] = []
    kept: list[int] = []

    def append(i: int, j: int, plan: Sum) -> int:
        sums.append((i, j, plan))
        terms.append(plan.term)
        return len(terms) - 1

    def insert(at: int) -> None:
        for other in kept:
            plan = add(terms[other], terms[at], sparse)
            if plan is not None:
                kept.remove(other)
                insert(append(other, at, plan))
                return
        kept.append(at)

    for at in range(len(given)):
        insert(at)
    left_over = [terms[at] for at in kept]
    if len(kept) > 1 and no_sparser_than_dense(left_over):
        kept = [functools.reduce(lambda at, to: append(at, to, refine(terms[at], terms[to])), kept)]
    elif len(kept) > MAX_TERMS:
        while len(kept) > 1:  # by pairs of like size: lists are not copied for every term
            left, right, *kept = kept
            kept.append(append(left, right, merge(terms[left], terms[right])))
    if len(kept) > 1:
        kept.sort(key=lambda at: str(terms[at]))
    found = Structure(out_shape, in_shape, tuple(terms[at] for at in kept))
    return Total(found, sum(plan.adds for *_, plan in sums), tuple(sums), tuple(kept))


def label_dims(*shapes: Sequence[int]) -> tuple[Any, ...]:
    """One fresh label for every dimension of some shapes, none for dimensions of size 1.

    Returns:
        for every shape the labels of each dimension, and then the sizes of all these labels.
    """
    sizes: list[int] = []
    sides = [[added_label(size, sizes) for size in shape] for shape in shapes]
    return *sides, sizes


def added_label(size: int, sizes: list[int]) -> list[int]:
    """The label of one more dimension, none if its size is 1; the size is added to those of the labels."""
    if size == 1:
        return []
    sizes.append(size)
    return [len(sizes) - 1]


def from_labels(
    out: Sequence[Sequence[int | Digit]],
    in_: Sequence[Sequence[int | Digit]],
    sizes: Sizes,
    kind: Kind,
    axes: Sequence[int] = (),
) -> Canonical:
    """The canonical form of a term with these labels and digits; a label stands for a digit that it covers.

    All terms are made here or of other terms, and hold Python's integers whatever was given: NumPy's, of
    which the parameters of primitives are full, overflow, and know no modular inverse.
    """
    items = sizes.items() if isinstance(sizes, dict) else enumerate(sizes)
    sizes = {label: int(size) for label, size in items}

    def digit(item: int | Digit) -> Digit:
        if isinstance(item, Digit):
            return item._replace(radix=int(item.radix), start=int(item.start), step=int(item.step))
        return Digit(sizes[item], (int(item),))

    out_digits, in_digits = ([[digit(item) for item in dim] for dim in dims] for dims in (out, in_))
    return canonical(out_digits, in_digits, sizes, kind, axes)


def make_term(
    out: Sequence[Sequence[int | Digit]],
    in_: Sequence[Sequence[int | Digit]],
    sizes: Sizes,
    kind: Kind,
    axes: Sequence[int] = (),
) -> Term:
    """The canonical term with these labels and digits."""
    return from_labels(out, in_, sizes, kind, axes).term


def entries_of(found: Structure, values: Values, dtype: Any) -> jax.Array:
    """The entries of every term, one after another."""
    parts = []
    for term, value in zip(found.terms, values, strict=True):
        every = lax.broadcast_in_dim(value.numbers(dtype), term.sizes, term.axes)
        parts.append(lax.reshape(every, (math.prod(term.sizes),)))
    return lax.concatenate(parts, 0) if parts else lax.full((0,), 0, dtype)


def dense(out_shape: Sequence[int], in_shape: Sequence[int], kind: Kind = Kind.VALUE) -> Structure:
    """The structure without structure: a number for every pair of entries."""
    out, in_, sizes = label_dims(out_shape, in_shape)
    return structure(make_term(out, in_, sizes, kind, range(len(sizes))))


def identity(shape: Sequence[int]) -> Structure:
    """The derivative of an array with respect to itself."""
    dims, sizes = label_dims(shape)
    return structure(make_term(dims, dims, sizes, Kind.UNIT))
