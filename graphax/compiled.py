"""Functions as machine code, which is kept on disk where there is a place for it."""

from __future__ import annotations

import contextlib
import pathlib
import types
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
        function = numba.njit(cache=True, nogil=True, error_model="numpy")(fun)
    except RuntimeError:  # there is no such place
        return numba.njit(nogil=True, error_model="numpy")(fun)
    if function.stats.cache_path is not None:
        _forget_older(fun.__code__, pathlib.Path(function.stats.cache_path))
    return function


def _forget_older(code: types.CodeType, folder: pathlib.Path) -> None:
    """Remove what was kept for another version of a function's source, or of a source beside it.

    Of its own source Numba would not use it, but sees that only after it has read it, which fails where it
    names a class that is no longer there. Of the sources beside it Numba knows nothing, though their
    functions and constants are part of what was compiled.
    """
    source = pathlib.Path(code.co_filename)
    newest = max(beside.stat().st_mtime for beside in source.parent.glob("*.py"))
    for index in folder.glob(f"{source.stem}.{code.co_qualname}-{code.co_firstlineno}.*.nbi"):
        with contextlib.suppress(OSError):  # another process was quicker, or may write there alone
            if index.stat().st_mtime < newest:
                index.unlink()
