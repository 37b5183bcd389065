"""Functions as machine code, which is kept on disk where there is a place for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    import numba
except ModuleNotFoundError as error:
    raise ImportError(
        "annealing, bounds, proofs and walks in flip graphs are compiled by Numba, which is not installed: "
        "pip install 'alphagrad[search]'"
    ) from error


def compiled(fun: Callable[..., Any]) -> Any:
    """Compile a function of numbers and arrays; it holds no lock while it runs.

    Machine code is kept beside the source or in the user's cache directory (``NUMBA_CACHE_DIR`` names another
    place). Where nothing can be written, as in a read-only installation without a home, every process
    compiles anew.
    """
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy")(fun)
    except RuntimeError:  # there is no such place
        return numba.njit(nogil=True, error_model="numpy")(fun)
