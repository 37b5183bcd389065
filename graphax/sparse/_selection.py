"""Parts of blocks."""

from __future__ import annotations

import functools

import jax
from jax import lax

from ._compose import accumulate_duplicates
from ._draft import Workspace
from ._equate import equate
from ._export import Exports
from ._scaled import Scaled
from ._steps import Step
from ._sum_of_terms import densify
from ._term import Kind, Term, canonical


class Selections(Exports):
    """A matrix of which parts can be taken."""

    def diagonal(self) -> jax.Array:
        """The entries ``J[i..., i...]``, for an output and an input of one shape.

        Raises:
            ValueError: when the shapes differ.
        """
        if self.out_shape != self.in_shape:
            raise ValueError(
                f"only a square Jacobian has a diagonal; this one has outputs of shape {self.out_shape} and "
                f"inputs of shape {self.in_shape}"
            )
        dtype = self._require_dtype()
        found = lax.full(self.out_shape, 0, dtype)
        for term, value in self._terms():
            plan = _diagonal(term)
            if plan is not None:
                diagonal, steps, final = plan
                value = Scaled(value.numbers(dtype)).after(steps).arranged(final, diagonal.value_shape)
                found = lax.add(found, densify(diagonal, value, dtype))
        return found


@functools.lru_cache(maxsize=1024)
def _diagonal(term: Term) -> tuple[Term, tuple[Step, ...], tuple[int, ...]] | None:
    """The diagonal of a term as a term without inputs, and what makes its value; None where it is zero."""
    space = Workspace()
    out, in_, operand = space.load(term)
    if not equate(space, out, in_):
        return None
    accumulate_duplicates(space, out, in_, operand)
    final = canonical(out.dims, (), space.sizes, Kind.VALUE, operand.axes)
    return final.term, tuple(operand.steps), tuple(operand.axes.index(label) for label in final.axes)
