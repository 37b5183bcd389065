"""What is known of values beside which columns are pushed forward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ._entry_dependence import AT_LEAST, AT_MOST, Dependent


class State(NamedTuple):
    """What is known of a value beside which columns are pushed.

    Attributes:
        least: on which columns its entries depend at least.
        later: on which they do in all steps but the first ones of the loop around them.
        most: on which they may depend.
        exposed: in which columns entries that are not finite may meet zeros: where they need not have made
            the column infinite, too.
        moves: whether it carries a derivative.
        finite: whether it is known to be finite.
        known: whether it depends on no argument: then structures may know where it is zero.
        fixed: whether it is the same in all steps of the loop around it.
    """

    least: Dependent
    later: Dependent
    most: Dependent
    exposed: Dependent
    moves: bool
    finite: bool
    known: bool = False
    fixed: bool = False

    @classmethod
    def moving(cls, least: Dependent, most: Dependent, *, finite: bool, known: bool = False) -> State:
        """That of a value that depends on columns; where it is not finite, they are not either."""
        exposed = none_like(least) if finite else ~least
        return cls(least, least, most, exposed, True, finite, known)

    @classmethod
    def resting(cls, shape: Sequence[int], count: int, *, finite: bool, known: bool = False) -> State:
        """That of a value of a shape that depends on none of so many columns."""
        nothing = Dependent.throughout(shape, count, False)
        return cls(nothing, nothing, nothing, nothing if finite else ~nothing, False, finite, known)

    def if_finite(self, holds: bool) -> State:
        """The same where that is known."""
        return self._replace(exposed=none_like(self.least), finite=True) if holds else self

    def entering(self, *, fixed: bool) -> State:
        """The same at the start of a program that may be another loop's."""
        return self._replace(later=self.least, fixed=fixed)

    def of_some_slice(self) -> State:
        """That of a slice, whichever it is."""
        least, most = self.least.of_some_slice(AT_LEAST), self.most.of_some_slice(AT_MOST)
        exposed = self.exposed.of_some_slice(AT_MOST)
        return State(least, least, most, exposed, self.moves, self.finite)

    def stacked(self, length: int) -> State:
        """That of as many slices."""
        least, later, most, exposed = (on.stacked(length) for on in self[:4])
        return self._replace(least=least, later=later, most=most, exposed=exposed)

    def joined(self, other: State) -> State:
        """That of a value that may be the one or the other."""
        return State(
            self.least & other.least,
            self.later & other.later,
            self.most | other.most,
            self.exposed | other.exposed,
            self.moves or other.moves,
            self.finite and other.finite,
            self.known and other.known,
            self.fixed and other.fixed,
        )

    def zeros_beside(self, factor: State) -> Dependent:
        """In which columns it may be zero, and is not lost anyway, where a factor is infinite.

        A factor that stays the same is infinite in the steps that follow, too. If columns have arrived by
        then, they are lost in either of JAX's modes: backwards they meet it there.
        """
        return ~(self.later if factor.fixed else self.least)


def none_like(dependent: Dependent) -> Dependent:
    """Dependence on none of as many columns as another."""
    return Dependent.throughout(dependent.shape, dependent.count, False)
