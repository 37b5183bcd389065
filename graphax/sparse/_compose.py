"""The chain rule on structures: what ``J[out, in] = sum_mid B[out, mid] A[mid, in]`` looks like and costs."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jax import lax

from ._draft import (
    Draft,
    Step,
    Value,
    align,
    match_dtypes,
    reshape,
    run_steps,
    select,
    selection_kind,
    transpose,
)
from ._structure import Kind, Labels, Structure, canonical

# Contractions of up to this many products are emitted as a product and a sum, which XLA fuses with their
# neighbours; larger ones as one `dot_general`, which it vectorises better under `vmap` (measured on
# RoeFlux_3d, Perceptron and Encoder, on the CPU; GPUs do not mind).
_FUSED_CONTRACTION = 8


@dataclass(frozen=True)
class Operand:
    """How one side's value enters a product.

    Attributes:
        steps: what rewrites the value for the refined labels.
        sums: axes that only this side has and that the product sums over; summed beforehand.
        axes: the labels of the axes that are left.
    """

    steps: tuple[Step, ...]
    sums: tuple[int, ...]
    axes: Labels

    def prepare(self, value: Value, scale: Any) -> tuple[Value, Any]:
        value, scale = run_steps(self.steps, value, scale)
        return (_sum(value, self.sums) if self.sums else value), scale


@dataclass(frozen=True)
class Composition:
    """The product of two structures: its structure, its price, and how to compute its value.

    Attributes:
        structure: the structure of the product.
        mults: multiplications executed.
        mults_counted: multiplications in the convention that holds explicit ones in unit edges.
        adds: additions executed.
        outer, inner: how the two values enter.
        multiplicity: the product of the sizes of summed labels along which neither value varies.
        kept, contracted: the labels of the product's axes, and those that it sums over.
        sizes: the sizes of these labels.
    """

    structure: Structure
    mults: int
    mults_counted: int
    adds: int
    outer: Operand
    inner: Operand
    multiplicity: int
    kept: Labels
    contracted: Labels
    sizes: dict[int, int]

    def run(self, outer: Value, outer_scale: Any, inner: Value, inner_scale: Any) -> tuple[Value, Any]:
        """The value and static scale of the product."""
        outer, outer_scale = self.outer.prepare(outer, outer_scale)
        inner, inner_scale = self.inner.prepare(inner, inner_scale)
        scale = outer_scale * inner_scale * self.multiplicity
        if outer is None and inner is None:
            return None, scale
        if outer is None or inner is None:
            value, axes = (inner, self.inner.axes) if outer is None else (outer, self.outer.axes)
            value = transpose(value, [axes.index(label) for label in self.kept])
        else:
            value = self._product(outer, inner)
        value = reshape(value, self.structure.value_shape)
        if self.structure.kind.is_selection:
            return value.astype(bool), scale  # sums of a selection's entries are 0 or 1
        if value.dtype == bool:  # a selection that has become numbers
            value = value.astype(np.float64)
        if scale in (1, -1):
            return value, scale
        return scaled(value, scale), 1

    def _product(self, outer: Value, inner: Value) -> Value:
        is_mask = [value.dtype == bool for value in (outer, inner)]
        if not any(is_mask) and self.contracted:
            outer, inner = match_dtypes(outer, inner)
            union = math.prod(self.sizes[label] for label in self.kept + self.contracted)
            if union > _FUSED_CONTRACTION:
                return self._dot(outer, inner)
        wanted = self.kept + self.contracted
        outer = _expand(outer, self.outer.axes, wanted)
        inner = _expand(inner, self.inner.axes, wanted)
        if all(is_mask):
            product = outer & inner
        elif is_mask[0]:
            product = select(outer, inner)
        elif is_mask[1]:
            product = select(inner, outer)
        else:
            product = lax.mul(*match_dtypes(outer, inner))
        axes = tuple(range(len(self.kept), len(wanted)))
        if all(is_mask):
            return np.asarray(product.any(axes)) if axes else product
        return _sum(product, axes) if axes else product

    def _dot(self, outer: Value, inner: Value) -> Value:
        shared = [label for label in self.outer.axes if label in self.inner.axes]
        batch = [label for label in shared if label not in self.contracted]
        sides = (self.outer.axes, self.inner.axes)

        def positions(labels: Iterable[int]) -> tuple[list[int], list[int]]:
            return [sides[0].index(label) for label in labels], [sides[1].index(label) for label in labels]

        free = [label for axes in sides for label in axes if label not in shared]
        product = lax.dot_general(outer, inner, (positions(self.contracted), positions(batch)))
        have = batch + free
        return transpose(product, [have.index(label) for label in self.kept])


def scaled(value: Value, scale: Any) -> Value:
    """``scale * value`` in the value's dtype."""
    if isinstance(value, np.ndarray):
        return np.asarray(value * scale)
    if scale == -1:
        return lax.neg(value)
    return lax.mul(value, np.asarray(scale, value.dtype))


def _expand(value: Value, axes: Labels, wanted: Labels) -> Value:
    """Order the axes as in ``wanted``, with axes of size 1 for labels that the value lacks."""
    have = [label for label in wanted if label in axes]
    value = transpose(value, [axes.index(label) for label in have])
    sizes = dict(zip(have, value.shape, strict=True))
    return reshape(value, [sizes.get(label, 1) for label in wanted])


def _sum(value: Value, axes: tuple[int, ...]) -> Value:
    if isinstance(value, np.ndarray):
        return np.asarray(value.astype(np.float64).sum(axes))
    return lax.reduce_sum(value, axes)


@functools.lru_cache(maxsize=1 << 17)
def compose(outer: Structure, inner: Structure) -> Composition:
    """The structure and price of ``outer ∘ inner`` (out <- mid <- in).

    Raises:
        ValueError: when the outer structure's input is not shaped like the inner one's output.
    """
    if outer.in_shape != inner.out_shape:
        raise ValueError(
            f"cannot compose: the outer Jacobian takes an input of shape {outer.in_shape}, "
            f"the inner one gives an output of shape {inner.out_shape}"
        )
    sizes: dict[int, int] = {}
    b, a = Draft(outer, sizes), Draft(inner, sizes)
    for b_dim, a_dim in zip(b.in_, a.out, strict=True):
        align(b, b_dim, a, a_dim)
    a.rename(dict(zip(a.labels(a.out), b.labels(b.in_), strict=True)))

    result = {*b.labels(b.out), *a.labels(a.in_)}
    summed = set(b.labels(b.in_)) - result
    # What only one value varies along is summed before the product; but a selection stays one until then,
    # so that the other value is selected from and not multiplied by zeros and ones.
    selects = Kind.VALUE in (b.kind, a.kind)
    b_only, a_only = (
        [
            label
            for label in mine.axes
            if label in summed and label not in other.axes and not (selects and mine.kind.is_selection)
        ]
        for mine, other in ((b, a), (a, b))
    )
    contracted = tuple(
        label
        for label in dict.fromkeys([*b.axes, *a.axes])
        if label in summed and label not in b_only and label not in a_only
    )
    multiplicity = math.prod(sizes[label] for label in summed.difference(b.axes, a.axes))
    axes = {*b.axes, *a.axes} - summed

    kind = _product_kind(b, a, multiplicity)
    held = (b.held | a.held) - summed
    final = canonical(b.out, a.in_, sizes, kind, axes, held, b.copy and a.copy)

    def count(labels: Any) -> int:
        return math.prod(sizes[label] for label in labels)

    union, kept = count(axes | set(contracted)), count(axes)
    kinds = (b.kind, a.kind)
    mults = adds = 0
    if kinds == (Kind.VALUE, Kind.VALUE):
        mults = union + (kept if multiplicity != 1 else 0)
        adds = union - kept
    elif Kind.VALUE in kinds:
        if not any(kind.is_unit for kind in kinds) or multiplicity != 1:
            mults = kept
        if any(kind.is_selection for kind in kinds):
            adds = union - kept
    if Kind.VALUE in kinds:
        adds += count(b.axes) - count(set(b.axes).difference(b_only))
        adds += count(a.axes) - count(set(a.axes).difference(a_only))
    return Composition(
        structure=final.structure,
        mults=mults,
        mults_counted=0 if b.copy or a.copy else count(b.held | a.held),
        adds=adds,
        outer=_operand(b, b_only),
        inner=_operand(a, a_only),
        multiplicity=multiplicity,
        kept=final.axes,
        contracted=contracted,
        sizes={label: sizes[label] for label in axes | set(contracted)},
    )


def _operand(draft: Draft, sums: list[int]) -> Operand:
    return Operand(
        tuple(draft.steps),
        tuple(draft.axes.index(label) for label in sums),
        tuple(label for label in draft.axes if label not in sums),
    )


def _product_kind(b: Draft, a: Draft, multiplicity: int) -> Kind:
    if Kind.VALUE in (b.kind, a.kind):
        return Kind.VALUE
    is_unit = b.kind.is_unit and a.kind.is_unit and multiplicity == 1
    if b.kind.is_selection or a.kind.is_selection:
        copies = b.copies_entries and a.copies_entries
        return selection_kind(is_unit) if copies else Kind.VALUE
    return Kind.UNIT if is_unit else Kind.CONSTANT
