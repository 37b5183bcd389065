"""Functions as machine code, which is kept on disk where there is a place for it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import pathlib
from collections.abc import Callable
from typing import Any

try:
    import numba
except ModuleNotFoundError as error:
    raise ImportError(
        "annealing, bounds, proofs and walks in flip graphs are compiled by Numba, which is not installed: "
        "pip install 'alphagrad[search]'"
    ) from error

# No function is called from C, for which Numba would wrap each once more.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}


def compiled(fun: Callable[..., Any] | None = None, *, allocates: bool = False) -> Any:
    """Compile a function of numbers and arrays; it holds no lock while it runs.

    Machine code is kept beside the source or in the user's cache directory (``NUMBA_CACHE_DIR`` names another
    place). Where nothing can be written, as in a read-only installation without a home, every process
    compiles anew.

    Args:
        fun: the function; without it, what compiles functions so is returned.
        allocates: whether it makes arrays. Others need not count the references to their arguments' arrays,
            which would take as long as all that they do.
    """
    if fun is None:
        return functools.partial(compiled, allocates=allocates)
    source, name = pathlib.Path(fun.__code__.co_filename), fun.__qualname__
    options: dict[str, Any] = {**_OPTIONS, "_nrt": allocates}
    # Numba keeps it under this name, and knows nothing of the sources beside the function's own, though their
    # functions and constants are part of what is compiled.
    fun.__qualname__ = f"{name}_{_version(source.parent)}"
    try:
        function = numba.njit(cache=True, **options)(fun)
    except RuntimeError:  # there is no such place
        return numba.njit(**options)(fun)
    if function.stats.cache_path is not None:
        _forget_others(pathlib.Path(function.stats.cache_path), source.stem, name, fun.__qualname__)
    return function


def part(fun: Callable[..., Any] | None = None, *, allocates: bool = False) -> Any:
    """The same for a function that compiled functions alone call: it becomes part of their machine code.

    It has none of its own, nor what Python needs to call it: for functions of many arrays these would take as
    long to compile as all the rest.
    """
    if fun is None:
        return functools.partial(part, allocates=allocates)
    options: dict[str, Any] = {**_OPTIONS, "_nrt": allocates, "no_cpython_wrapper": True, "forceinline": True}
    return numba.njit(**options)(fun)


@functools.cache
def _version(folder: pathlib.Path) -> str:
    """A hash of the sources in a folder: when they were written says less, for clocks differ."""
    found = hashlib.blake2b(repr(_OPTIONS).encode(), digest_size=8)
    for source in sorted(folder.glob("*.py")):
        with contextlib.suppress(OSError):  # such as an editor's link to nowhere
            found.update(source.read_bytes())
    return found.hexdigest()


def _forget_others(folder: pathlib.Path, module: str, name: str, kept: str) -> None:
    """Remove the machine code of other versions of a function."""
    for path in folder.glob(f"{module}.{name}_{'[0-9a-f]' * 16}-*.nb[ci]"):
        if not path.name.startswith(f"{module}.{kept}-"):
            with contextlib.suppress(OSError):  # another process was quicker, or may write there alone
                path.unlink()
