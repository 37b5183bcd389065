"""What carrying out products and sums consists of, for which devices take different times."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable
from typing import NamedTuple

from ._compose import Composition, Factor
from ._cost import FUSED_CONTRACTION, worth_summing
from ._steps import Gather, Scatter, Step
from ._structure import Structure, Total, product, total
from ._term import Term


class Execution(NamedTuple):
    """Counts of what products and sums consist of.

    Attributes:
        entries: operations entry by entry, which a compiler fuses with their neighbours.
        products: products of matrices, each a kernel of its own.
        multiplied: multiplications in these, with their additions.
        reductions: sums of what only one factor varies along, each a kernel of its own.
        reduced: entries that these read.
        gathered: entries that are read at indices.
        scatters: accumulations at indices, each a kernel of its own.
        scattered: entries that these write.
    """

    entries: int = 0
    products: int = 0
    multiplied: int = 0
    reductions: int = 0
    reduced: int = 0
    gathered: int = 0
    scatters: int = 0
    scattered: int = 0


@functools.lru_cache(maxsize=1 << 16)
def execution_of_product(outer: Structure, inner: Structure) -> Execution:
    """What the product of two structures consists of, as it is emitted for a dense Jacobian."""
    found = product(outer, inner, sparse=False)
    parts = [_of_composition(plan, outer.terms[i], inner.terms[j]) for i, j, plan in found.products]
    return _together([*parts, _of_total(found.total)])


@functools.lru_cache(maxsize=1 << 16)
def execution_of_sum(left: Structure, right: Structure) -> Execution:
    """What the sum of two structures consists of."""
    return _of_total(total(left, right, sparse=False))


def _of_composition(plan: Composition, outer: Term, inner: Term) -> Execution:
    kept, summed = (math.prod(plan.sizes[x] for x in labels) for labels in (plan.kept, plan.contracted))
    parts = [_of_factor(plan.outer, outer), _of_factor(plan.inner, inner), _of_steps(plan.steps, kept)]
    if outer.has_value and inner.has_value:
        count = kept * summed
        if not plan.contracted or count <= FUSED_CONTRACTION:
            parts.append(Execution(entries=count))
        elif worth_summing(count):
            parts.append(Execution(entries=count, reductions=1, reduced=count))
        else:
            parts.append(Execution(products=1, multiplied=count))
    return _together(parts)


def _of_factor(factor: Factor, term: Term) -> Execution:
    if not term.has_value:
        return Execution()
    found = _of_steps(factor.steps, term.numbers)
    return found._replace(reductions=1, reduced=term.numbers) if factor.sums else found


def _of_steps(steps: Iterable[Step], numbers: int) -> Execution:
    kinds = [type(step) for step in steps]
    gathers, scatters = kinds.count(Gather), kinds.count(Scatter)
    return Execution(gathered=gathers * numbers, scatters=scatters, scattered=scatters * numbers)


def _of_total(found: Total) -> Execution:
    return Execution(entries=sum(plan.term.numbers for *_, plan in found.sums))


def _together(parts: Iterable[Execution]) -> Execution:
    return Execution(*map(sum, zip(*parts, strict=True)))
