"""The counted convention: Jacobians as the published tables hold them.

In it the edges of additions, negations and sums hold explicit ones that are multiplied like any other number,
re-labellings are copies that cost nothing, and structure is what labels alone can say: diagonals and
products of labels, but neither slices nor tables.
"""

from __future__ import annotations

import functools
from dataclasses import replace

from ._add import labels_only, refine
from ._compose import compose
from ._structure import Structure, structure
from ._term import Kind, Term


@functools.lru_cache(maxsize=1 << 14)
def counted(found: Structure, copies: bool) -> Structure:
    """A local Jacobian as the counted convention holds it.

    Args:
        found: its structure.
        copies: whether its primitive only copies or sums entries.
    """
    terms = [labels_only(_explicit(term, copies)) for term in found.terms]
    return structure(functools.reduce(lambda a, b: refine(a, b).term, terms))


def _explicit(term: Term, copies: bool) -> Term:
    """The term with its ones held as numbers."""
    if term.kind is not Kind.UNIT:
        return replace(term, kind=Kind.VALUE)
    out, in_ = (
        {label for dim in side for digit in dim for label in digit.labels} for side in (term.out, term.in_)
    )
    if in_ - out:
        return replace(term, kind=Kind.VALUE, axes=tuple(sorted(in_ - out)))
    if copies:
        return replace(term, kind=Kind.COPY)
    return replace(term, kind=Kind.VALUE, axes=tuple(range(len(term.sizes))))


@functools.lru_cache(maxsize=1 << 17)
def counted_product(outer: Structure, inner: Structure) -> tuple[Structure, int]:
    """The product of two Jacobians in the counted convention, and its multiplications."""
    plan = compose(outer.terms[0], inner.terms[0])
    assert plan is not None  # labels alone always meet
    return structure(labels_only(plan.term)), plan.mults_counted


@functools.lru_cache(maxsize=1 << 17)
def counted_total(left: Structure, right: Structure) -> tuple[Structure, int]:
    """The sum of two Jacobians in the counted convention, and its additions."""
    plan = refine(left.terms[0], right.terms[0])
    return structure(plan.term), plan.adds
