"""Files that are either whole or not there."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, content: str | Callable[[BinaryIO], object]) -> None:
    """Write a file in the place of an older one, which stays if anything goes wrong.

    Whoever reads it meanwhile, in another process too, finds the old content or the new one.

    Args:
        path: the file; its folder is made if it is not there.
        content: text, or a function that is given a binary file to write to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Made as any new file is, so that those may read it who may read its neighbours.
    part = path.with_name(f"{path.name}.{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            file.write(content.encode()) if isinstance(content, str) else content(file)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
