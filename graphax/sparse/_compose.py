"""The chain rule on terms: what ``J[out, in] = sum_mid B[out, mid] A[mid, in]`` looks like and costs."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax import lax

from ._cost import (
    FUSED_CONTRACTION,
    SELECTED_CONTRACTION,
    SMALL_SELECTED,
    UNROLLED_CONTRACTION,
    price_of_product,
    worth_summing,
)
from ._draft import Operand, Side, Workspace, components
from ._equate import equate, partners
from ._holes import (
    Holed,
    Holes,
    Mask,
    Support,
    Zeros,
    chosen,
    holes_of,
    holes_of_product,
    numbers_of,
    parts,
    raw_parts,
    seen_of,
    spared,
    support_of,
    with_holes,
    with_support,
)
from ._places import distinct_places, met, place_keys
from ._scaled import Scaled, expand, match_dtypes, summed, summed_holes
from ._steps import Gather, Step, Value, reshape, run_steps, transpose
from ._term import Digit, Kind, Labels, Table, Term, canonical, digit_table


@dataclass(frozen=True)
class Factor:
    """How one side's value enters a product.

    Attributes:
        steps: what rewrites the value for the common labels.
        sums: axes that only this side has and that the product sums over; summed beforehand.
        axes: the labels of the axes that are left.
    """

    steps: tuple[Step, ...]
    sums: tuple[int, ...]
    axes: Labels

    def prepare(self, value: Scaled) -> Scaled:
        value = value.after(self.steps)
        return value.map(lambda array: summed(array, self.sums)) if self.sums else value


@dataclass(frozen=True)
class Composition:
    """The product of two terms: its term, its price, and how to compute its value.

    Attributes:
        term: the product.
        mults: multiplications executed.
        mults_counted: multiplications in the counted convention, over all labels of both values.
        adds: additions executed.
        outer, inner: how the two values enter.
        multiplicity: the product of the sizes of summed labels along which neither value varies.
        kept, contracted: the labels of the product's axes, and those that it sums over.
        sizes: the sizes of these labels.
        steps: what is done to the product.
        arrangement: the order of its axes in the end.
    """

    term: Term
    mults: int
    mults_counted: int
    adds: int
    outer: Factor
    inner: Factor
    multiplicity: int
    kept: Labels
    contracted: Labels
    sizes: dict[int, int]
    steps: tuple[Step, ...]
    arrangement: Labels

    def run(self, outer: Scaled, inner: Scaled, finite: tuple[bool, bool]) -> Scaled:
        """The value of the product.

        Args:
            outer, inner: the values.
            finite: which of the two are known to be finite.
        """
        outer, inner = self.outer.prepare(outer), self.inner.prepare(inner)
        if outer.array is not None and inner.array is not None:
            array = self._product(outer.array, inner.array, finite)
        elif outer.array is None and inner.array is None:
            array = None
        else:
            array, axes = (
                (inner.array, self.inner.axes) if outer.array is None else (outer.array, self.outer.axes)
            )
            array = transpose(array, [axes.index(label) for label in self.kept])
        product = Scaled(array, outer.scale * inner.scale * self.multiplicity).after(self.steps)
        return product.arranged(self.arrangement, self.term.value_shape).settled()

    def _product(self, outer: Value, inner: Value, finite: tuple[bool, bool]) -> Value:
        found = self._numbers(outer, inner, finite)
        return with_support(found, self._support(outer, inner))

    def _support(self, outer: Value, inner: Value) -> Support | None:
        """Where the product may have numbers, before the steps."""
        sides = support_of(outer), support_of(inner)
        if sides == (None, None):
            return None
        shapes = outer.shape, inner.shape

        def found(*arrays: np.ndarray) -> np.ndarray:
            known = iter(arrays)
            x, y = (
                np.broadcast_to(True, shape) if support is None else next(known)
                for support, shape in zip(sides, shapes, strict=True)
            )
            return met(x, self.outer.axes, y, self.inner.axes, self.kept)

        return Support(found, *(support for support in sides if support is not None))

    def _numbers(self, outer: Value, inner: Value, finite: tuple[bool, bool]) -> Value:
        union = math.prod(self.sizes[label] for label in self.kept + self.contracted)
        if union > SMALL_SELECTED and (applied := self._applied(outer, inner, finite)) is not None:
            return applied
        if self.contracted and union > FUSED_CONTRACTION and not self._selects(outer, inner, finite, union):
            return self._contraction(outer, inner, finite)
        if (taken := self._taken(outer, inner, finite)) is not None:
            return taken
        wanted = self.kept + self.contracted
        outer = expand(outer, self.outer.axes, wanted)
        inner = expand(inner, self.inner.axes, wanted)
        return summed(multiplied(outer, inner, finite), range(len(self.kept), len(wanted)))

    def _applied(self, outer: Value, inner: Value, finite: tuple[bool, bool]) -> Value | None:
        """The product by the map of one side; None where none has one for all that is summed over.

        Entries are not scattered where a product of matrices does as well.
        """
        axes = self.outer.axes, self.inner.axes
        for at, (value, other) in enumerate(((outer, inner), (inner, outer))):
            if not isinstance(value, Holed) or value.map is None:
                continue
            if finite[1 - at] and value.map.quick not in ("both", "pull" if at else "push"):
                continue
            rows, columns = axes[at][: value.map.outputs], axes[at][value.map.outputs :]
            summed_over, own = (rows, columns) if at else (columns, rows)
            rest = [label for label in axes[1 - at] if label not in self.contracted]
            if set(summed_over) != set(self.contracted) or not set(own).isdisjoint(rest):
                continue
            if other.dtype == bool or isinstance(other, np.ndarray):
                continue
            have = [*rest, *summed_over] if at else [*summed_over, *rest]
            numbers = transpose(numbers_of(other), [axes[1 - at].index(label) for label in have])
            middle, many = (math.prod(self.sizes[label] for label in some) for some in (summed_over, rest))
            apply, shape = (value.map.pull, (many, middle)) if at else (value.map.push, (middle, many))
            found = [*rest, *own] if at else [*own, *rest]
            product = reshape(apply(reshape(numbers, shape)), [self.sizes[label] for label in found])
            product = transpose(product, [found.index(label) for label in self.kept])
            holes = value.holes, holes_of(other)
            return with_holes(product, seen_of(*holes) if any(one is not None for one in holes) else None)
        return None

    def _taken(self, outer: Value, inner: Value, finite: tuple[bool, bool]) -> Value:
        """The product with a static array that has no two numbers to add up; None where there is none.

        What these few numbers are multiplied by is taken from the other side.
        """
        sides = [(outer, self.outer.axes), (inner, self.inner.axes)]
        known = 0 if isinstance(outer, np.ndarray) else 1
        (static, axes), (other, others) = sides[known], sides[1 - known]
        own, rest = ([label for label in labels if label not in self.contracted] for labels in (axes, others))
        if not self.contracted or not isinstance(static, np.ndarray) or not set(own).isdisjoint(rest):
            return None
        if not static.size:
            return None
        rows = static.transpose([axes.index(label) for label in (*own, *self.contracted)])
        shape = rows.shape[: len(own)]
        rows = rows.reshape(math.prod(shape), -1)
        if other.dtype == bool or isinstance(other, np.ndarray) or (np.count_nonzero(rows, 1) > 1).any():
            return None
        places = np.argmax(rows != 0, 1)
        merged = tuple(others.index(label) for label in self.contracted)
        taken = run_steps([Gather(merged, Table(places), shape)], other)
        factors = rows[np.arange(len(rows)), places].reshape((*shape, *[1] * len(rest)))
        product = multiplied(factors, taken, (True, finite[1 - known]))
        return transpose(product, [[*own, *rest].index(label) for label in self.kept])

    def _selects(self, outer: Value, inner: Value, finite: tuple[bool, bool], union: int) -> bool:
        """Whether zeros of a structure or an order are selected product by product."""
        if union <= SELECTED_CONTRACTION and any(
            isinstance(value, np.ndarray) and not value.all() for value in (outer, inner)
        ):
            return True
        return union <= SMALL_SELECTED and any(
            value.holes is Zeros.OF_ORDER or not (known or isinstance(value.holes, Zeros))
            for value, known in ((outer, finite[1]), (inner, finite[0]))
            if isinstance(value, Holed) and value.holes is not None
        )

    def _contraction(self, outer: Value, inner: Value, finite: tuple[bool, bool]) -> Value:
        """A product of matrices.

        Where one side has holes, zeros stand in for what is not finite on the other. A second product finds
        the places that this has spoilt; it is no part of the price.
        """
        (x, x_holes), (y, y_holes) = parts(outer), parts(inner)
        values, holes, spoilt = list(match_dtypes(x, y)), (x_holes, y_holes), []
        for at, other in enumerate((y_holes, x_holes)):
            missing = self._missing(other, 1 - at)
            if missing is not None:
                values[at] = chosen(missing, values[at])
            if other is not None and not finite[at]:
                there = lax.is_finite(values[at])
                values[at] = lax.select(there, values[at], lax.full_like(values[at], 0))
                pair = [lax.bitwise_not(there), lax.ne(values[1 - at], lax.full_like(values[1 - at], 0))]
                spoilt.append(pair[::-1] if at else pair)
        product = self._dot(*values)
        if spoilt:
            clean = self._unhit(spoilt, product.dtype)
            product = lax.select(clean, product, lax.full_like(product, np.nan))
        x_holes, y_holes = map(self._summed_holes, holes, (self.outer.axes, self.inner.axes))
        return with_holes(product, holes_of_product(x_holes, y_holes))

    def _unhit(self, spoilt: Sequence[Sequence[Value]], dtype: Any) -> Value:
        """Where nothing that is not finite meets a number.

        Args:
            spoilt: for each side that is not known to be finite the places, in the outer factor and in the
                inner one, that must not meet.
            dtype: a type to count with. All are counted by one product.
        """
        first = self.contracted[0]

        def joined(places: Sequence[Value], axes: Labels) -> Value:
            places = [lax.convert_element_type(one, dtype) for one in places]
            return lax.concatenate(places, axes.index(first)) if len(places) > 1 else places[0]

        with jax.named_scope("spoilt"):
            outer = joined([places[0] for places in spoilt], self.outer.axes)
            inner = joined([places[1] for places in spoilt], self.inner.axes)
            hits = self._dot(outer, inner)
            return lax.eq(hits, lax.full_like(hits, 0))

    def _summed_holes(self, holes: Holes, axes: Labels) -> Holes:
        """The holes of one side over the labels of the product."""
        wanted = self.kept + self.contracted
        if isinstance(holes, Mask):
            holes = holes._replace(taken=expand(holes.taken, axes, wanted))
        elif isinstance(holes, np.ndarray):
            holes = expand(holes, axes, wanted)
        return summed_holes(holes, range(len(self.kept), len(wanted)))

    def _missing(self, holes: Holes, at: int) -> Any:
        """What one side says is missing in the other, over the axes of that; None if it says nothing."""
        if not (isinstance(holes, Mask) and holes.missing):
            return None
        axes, others = (self.outer.axes, self.inner.axes)[:: -1 if at else 1]
        varies = [label for label, size in zip(axes, holes.taken.shape, strict=True) if size != 1]
        if not set(varies) <= set(others):
            return None
        taken = reshape(holes.taken, [holes.taken.shape[axes.index(label)] for label in varies])
        return expand(taken, varies, others)

    def _dot(self, outer: Value, inner: Value) -> Value:
        shared = [label for label in self.outer.axes if label in self.inner.axes]
        batch = [label for label in shared if label not in self.contracted]
        sides = (self.outer.axes, self.inner.axes)

        def positions(labels: Iterable[int]) -> tuple[list[int], list[int]]:
            return [sides[0].index(label) for label in labels], [sides[1].index(label) for label in labels]

        if worth_summing(math.prod(self.sizes[label] for label in self.kept + self.contracted)):
            wanted = self.kept + self.contracted
            pairs = zip((outer, inner), sides, strict=True)
            products = lax.mul(*(expand(value, axes, wanted) for value, axes in pairs))
            return summed(products, range(len(self.kept), len(wanted)))
        if batch and math.prod(self.sizes[label] for label in self.contracted) <= UNROLLED_CONTRACTION:
            return self._unrolled(outer, inner)
        free = [label for axes in sides for label in axes if label not in shared]
        product = lax.dot_general(outer, inner, (positions(self.contracted), positions(batch)))
        have = batch + free
        return transpose(product, [have.index(label) for label in self.kept])

    def _unrolled(self, outer: Value, inner: Value) -> Value:
        """The sum over very few products, which is fused with its neighbours."""
        (label,) = self.contracted
        parts = []
        for at in range(self.sizes[label]):
            sides = []
            for value, axes in ((outer, self.outer.axes), (inner, self.inner.axes)):
                axis = axes.index(label)
                part = lax.index_in_dim(value, at, axis, keepdims=False)
                rest = [other for other in axes if other != label]
                sides.append(expand(part, rest, self.kept))
            parts.append(lax.mul(*sides))
        return functools.reduce(lax.add, parts)


def multiplied(outer: Value, inner: Value, finite: tuple[bool, bool]) -> Value:
    """The product, entry by entry, of values with as many axes."""
    if outer.dtype == bool and inner.dtype == bool:
        if isinstance(outer, np.ndarray) and isinstance(inner, np.ndarray):
            return np.asarray(outer & inner)
        both = lax.bitwise_and(numbers_of(outer), numbers_of(inner))
        return with_holes(both, holes_of_product(holes_of(outer), holes_of(inner)))
    for mask, value in ((outer, inner), (inner, outer)):
        if mask.dtype == bool and not isinstance(value, np.ndarray):
            holes = holes_of_product(holes_of(mask), holes_of(value))
            return with_holes(chosen(numbers_of(mask), numbers_of(value)), holes)
    (x, x_holes, x_filled), (y, y_holes, y_filled) = map(raw_parts, (outer, inner))
    x, y = match_dtypes(x, y)
    if isinstance(x, np.ndarray) and isinstance(y, np.ndarray):
        return np.asarray(x * y)
    holes = holes_of_product(x_holes, y_holes)
    if isinstance(holes, np.ndarray):
        product = lax.mul(x, y)
        filled = x_filled or y_filled or not all(finite)
        return with_holes(product, holes, filled)
    x, y = match_dtypes(numbers_of(outer), numbers_of(inner))
    finite = finite[0] and x_holes is not Zeros.OF_ORDER, finite[1] and y_holes is not Zeros.OF_ORDER
    return with_holes(lax.mul(spared(x, inner, finite[0]), spared(y, outer, finite[1])), holes)


@functools.lru_cache(maxsize=1 << 17)
def compose(outer: Term, inner: Term) -> Composition | None:
    """The term and price of ``outer ∘ inner`` (out <- mid <- in); None where the product is zero.

    Raises:
        ValueError: when the outer term's input is not shaped like the inner one's output.
    """
    if outer.in_shape != inner.out_shape:
        raise ValueError(
            f"cannot compose: the outer Jacobian takes an input of shape {outer.in_shape}, "
            f"the inner one gives an output of shape {inner.out_shape}"
        )
    space = Workspace()
    out, b_mid, b = space.load(outer)
    a_mid, in_, a = space.load(inner, partners(outer, inner))
    if not equate(space, b_mid, a_mid):
        return None
    sizes = space.sizes
    result = {*out.labels(), *in_.labels()}
    summed_labels = {*b_mid.labels(), *a_mid.labels()} - result
    # What only one value varies along is summed before the product.
    b_only, a_only = (
        [label for label in mine.axes if label in summed_labels and label not in other.axes]
        for mine, other in ((b, a), (a, b))
    )
    contracted = tuple(label for label in b.axes if label in summed_labels and label in a.axes)
    multiplicity = math.prod(sizes[label] for label in summed_labels.difference(b.axes, a.axes))
    kept = tuple(label for label in dict.fromkeys([*b.axes, *a.axes]) if label not in summed_labels)
    # Labels that fewer places have than entries are accumulated after the product.
    product = Operand(_product_kind(b.kind, a.kind, multiplicity), kept, sizes)
    additions = accumulate_duplicates(space, out, in_, product)
    final = canonical(out.dims, in_.dims, sizes, product.kind, product.axes)

    mults, mults_counted, adds = price_of_product(
        (b.kind, a.kind),
        (b.axes, a.axes),
        kept,
        contracted,
        multiplicity,
        sizes,
        math.prod(sizes[label] for label in product.axes),
    )
    return Composition(
        term=final.term,
        mults=mults,
        mults_counted=mults_counted,
        adds=adds + additions,
        outer=_factor(b, b_only),
        inner=_factor(a, a_only),
        multiplicity=multiplicity,
        kept=kept,
        contracted=contracted,
        sizes={label: sizes[label] for label in kept + contracted},
        steps=tuple(product.steps),
        arrangement=tuple(product.axes.index(label) for label in final.axes),
    )


def _factor(operand: Operand, sums: list[int]) -> Factor:
    return Factor(
        tuple(operand.steps),
        tuple(operand.axes.index(label) for label in sums),
        tuple(label for label in operand.axes if label not in sums),
    )


def _product_kind(outer: Kind, inner: Kind, multiplicity: int) -> Kind:
    if Kind.VALUE in (outer, inner):
        return Kind.VALUE
    if Kind.COPY in (outer, inner):
        return Kind.COPY
    return Kind.UNIT if outer is inner is Kind.UNIT and multiplicity == 1 else Kind.CONSTANT


def accumulate_duplicates(space: Workspace, out: Side, in_: Side, value: Operand) -> int:
    """Let no two entries of a term stand at the same place.

    Labels that only tables see may point to one place many times. They become one label that runs through
    the places in order, and what goes to the same place is added up.

    Returns:
        the additions that this takes.
    """
    every = out.digits() + in_.digits()
    if all(digit.table is None for digit in every):
        return 0
    determined = {digit.labels[0] for digit in every if digit.table is None and digit.labels}
    additions = 0
    for labels in components(digit for digit in every if digit.table is not None):
        if determined.issuperset(labels):
            continue
        grids = space.grids(labels)
        concerned = [digit for digit in every if not set(labels).isdisjoint(digit.labels)]
        radices = [digit.radix for digit in concerned]
        columns = [space.digit_at(digit, grids) for digit in concerned]
        places, inverse = distinct_places(place_keys(columns, radices))
        total, size = len(inverse), len(places)
        if size == math.prod(radices) and len(concerned) > 1:
            # All places are taken: every digit is a label.
            new = [space.new_label(radix) for radix in radices]
            digits = [Digit(space.sizes[label], (label,)) for label in new]
        elif size == total and (
            not determined.isdisjoint(labels) or (len(labels) == 1 and (np.diff(inverse) == 1).all())
        ):
            continue
        else:
            new = [space.new_label(size)]
            digits = [
                digit_table(radix, new, column[places])
                for radix, column in zip(radices, columns, strict=True)
            ]
        if size < total:
            additions += (total - size) * math.prod(space.sizes[x] for x in value.axes if x not in labels)
            value.scatter(labels, new, inverse)
        else:
            value.gather({label: grid[places] for label, grid in grids.items()}, new)
        replaced = dict(zip(map(id, concerned), digits, strict=True))
        for side in (out, in_):
            for dim in side.dims:
                dim[:] = [replaced.get(id(digit), digit) for digit in dim]
    return additions
