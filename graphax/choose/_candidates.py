"""What may be taken when nothing is said, beside the orders of elimination."""

from __future__ import annotations

import os

from ..spelling import did_you_mean

_CANDIDATES = ("kernels", "modes")


def is_candidate(name: str) -> bool:
    """Whether compiled kernels (``"kernels"``) or JAX's own modes (``"modes"``) are to be considered.

    The environment variable ``GRAPHAX_CANDIDATES`` names those that are, separated by commas; both unless it
    is set, and neither if it is empty.

    Raises:
        ValueError: if it names something else.
    """
    named = os.environ.get("GRAPHAX_CANDIDATES")
    if named is None:
        return True
    found = [word.strip() for word in named.split(",") if word.strip()]
    for word in found:
        if word not in _CANDIDATES:
            raise ValueError(
                f"GRAPHAX_CANDIDATES names {word!r}; {did_you_mean(word, _CANDIDATES)}it may name "
                + ", ".join(map(repr, _CANDIDATES))
            )
    return name in found
