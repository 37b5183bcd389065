"""Names of tasks: "matmul_4x5x5" is the product of a 4 x 5 by a 5 x 5 matrix."""

from __future__ import annotations

import re

from ._scheme import Format

_PREFIX = "matmul"


def is_matmul(task: str) -> bool:
    """Whether a name asks for a matrix multiplication, be it well written or not.

    Such a name begins with "matmul" and is not that of a Python file.

    Args:
        task: the name.

    Returns:
        True for a name of that kind.

    Example:
        >>> matmul.is_matmul("matmul_2x2x2"), matmul.is_matmul("matmul_two"), matmul.is_matmul("Encoder")
        (True, True, False)
    """
    return task.startswith(_PREFIX) and ".py" not in task


def read_format(task: str) -> Format | None:
    """The format that a task is named after.

    Args:
        task: a name such as "matmul_2x3x4", in which case the format is (2, 3, 4).

    Returns:
        the format, or None for a name of another kind.

    Raises:
        ValueError: for a name that begins with "matmul" but does not go on with three positive sizes.

    Example:
        >>> matmul.read_format("matmul_2x3x4"), matmul.read_format("Encoder")
        ((2, 3, 4), None)
    """
    if not is_matmul(task):
        return None
    match = re.fullmatch(rf"{_PREFIX}_([1-9]\d*)x([1-9]\d*)x([1-9]\d*)", task, re.ASCII)
    if match is None:
        raise ValueError(
            f"{task!r} names no matrix multiplication; write {_PREFIX}_NxMxP with three positive sizes, such "
            f"as {_PREFIX}_2x3x4 for the product of a 2 x 3 by a 3 x 4 matrix"
        )
    n, m, p = map(int, match.groups())
    return n, m, p
