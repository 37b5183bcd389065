"""Terms written anew, with other dimensions on their sides."""

from __future__ import annotations

import functools

from ._term import Canonical, Digit, Term, canonical


@functools.lru_cache(maxsize=1024)
def transposed(term: Term) -> Canonical:
    """Output and input exchanged."""
    return canonical(term.in_, term.out, term.sizes, term.kind, term.axes)


@functools.lru_cache(maxsize=1024)
def on_diagonal(term: Term) -> Canonical:
    """On the diagonal of a matrix whose sides are both all of its dimensions."""
    both = (*term.out, *term.in_)
    return canonical(both, both, term.sizes, term.kind, term.axes)


@functools.lru_cache(maxsize=1024)
def as_vector(term: Term) -> Canonical:
    """All dimensions as those of the output, and no input."""
    return canonical((*term.out, *term.in_), (), term.sizes, term.kind, term.axes)


@functools.lru_cache(maxsize=1024)
def with_rows(dims: int, term: Term) -> Canonical:
    """A vector as a matrix, of which its first dimensions are the rows."""
    return canonical(term.out[:dims], term.out[dims:], term.sizes, term.kind, term.axes)


@functools.lru_cache(maxsize=1024)
def extended(term: Term, size: int) -> Canonical:
    """One more dimension of this size on both sides, tied together."""
    label = Digit(size, (len(term.sizes),))
    sizes = (*term.sizes, size)
    return canonical((*term.out, (label,)), (*term.in_, (label,)), sizes, term.kind, term.axes)


@functools.lru_cache(maxsize=1024)
def stacked(term: Term, length: int, tied: bool) -> Canonical:
    """One more dimension at the front of the output and, where it is tied, of the input."""
    label = Digit(length, (len(term.sizes),))
    in_ = ((label,), *term.in_) if tied else term.in_
    axes = (len(term.sizes), *term.axes) if term.has_value else ()
    return canonical(((label,), *term.out), in_, (*term.sizes, length), term.kind, axes)
