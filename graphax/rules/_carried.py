"""What is known of a loop's values in any step: a fixpoint, whatever it is that is followed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Known = TypeVar("Known")


def through_steps(
    inputs: Sequence[Known],
    num_consts: int,
    num_carry: int,
    results_of: Callable[[list[Known]], Sequence[Known]],
    join: Callable[[Known, Known], Known],
) -> tuple[list[Known], list[Known]]:
    """What holds of every input of a loop's body in every step, and of every result of the loop.

    Results are the final values and then the stacked slices.

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
        results = results_of(found)
        found[num_consts:end] = map(join, before, results[:num_carry])
        if found[num_consts:end] == before:
            return found, [*before, *results[num_carry:]]
