"""Numbers that somebody writes: how many seconds, steps, workers."""

from __future__ import annotations

import numbers


def check_number(name: str, value: object, *, whole: bool = False) -> None:
    """Raises TypeError for what is no number, such as a text.

    Args:
        name: the argument's name, for the text of the error.
        value: what was given.
        whole: whether it has to be an integer.
    """
    if not isinstance(value, numbers.Integral if whole else numbers.Real):
        raise TypeError(f"{name} must be {'an integer' if whole else 'a number'}, got {value!r}")
