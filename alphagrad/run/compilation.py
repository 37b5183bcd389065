"""Programs that XLA has compiled, kept for later runs."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import jax

from graphax.files import kept_folder

_MOST_BYTES = 2**30
_WORTH_SECONDS = 0.1


def keep_compiled() -> None:
    """Have compiled programs kept in the folder `graphax/xla` of the user's cache directory.

    What a user has said to JAX (`JAX_COMPILATION_CACHE_DIR`) comes first; `GRAPHAX_COMPILED` names another
    folder, and `off` none. Those not used for longest go when there is more than a gigabyte.
    """
    folder = kept_folder("xla", "GRAPHAX_COMPILED")
    if folder is None or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    with suppress(OSError):
        _prune(folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _WORTH_SECONDS)


def _prune(folder: Path) -> None:
    kept = 0
    found = [(file, file.stat()) for file in folder.glob("*") if file.is_file()]
    for file, stat in sorted(found, key=lambda one: max(one[1].st_atime, one[1].st_mtime), reverse=True):
        kept += stat.st_size
        if kept > _MOST_BYTES:
            file.unlink(missing_ok=True)
