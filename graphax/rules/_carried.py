"""What is known of a loop's values in any step: a fixpoint, whatever it is that is followed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Known = TypeVar("Known")


def in_every_step(
    inputs: Sequence[Known],
    num_consts: int,
    num_carry: int,
    results_of: Callable[[list[Known]], Sequence[Known]],
    join: Callable[[Known, Known], Known],
) -> list[Known]:
    """What holds of every input of a loop's body in every step.

    Args:
        inputs: what holds of the inputs of the loop, in the order of the body's.
        num_consts: how many constants the body takes.
        num_carry: how many values it carries.
        results_of: from what holds of the body's inputs to the same for its results.
        join: what holds of a value of which it is the one or the other.
    """
    found, end = list(inputs), num_consts + num_carry
    while True:
        before = found[num_consts:end]
        results = results_of(found)[:num_carry]
        found[num_consts:end] = map(join, before, results)
        if found[num_consts:end] == before:
            return found


def after_every_step(
    inputs: Sequence[Known],
    num_consts: int,
    num_carry: int,
    results_of: Callable[[list[Known]], Sequence[Known]],
    join: Callable[[Known, Known], Known],
) -> list[Known]:
    """What holds of every result of a loop, final values and stacked slices; see :func:`in_every_step`."""
    found = in_every_step(inputs, num_consts, num_carry, results_of, join)
    return [*found[num_consts : num_consts + num_carry], *results_of(found)[num_carry:]]
