"""Files that are either whole or not there, and files of which nothing is believed before it is read."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import re
import secrets
import stat
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

#: How many bytes a file may hold that is read as a whole.
LARGEST = 16 * 2**20


def open_file(path: str | os.PathLike[str], kind: str) -> BinaryIO:
    """Open a file that somebody named, to read its bytes; never waits, whatever is in its place.

    Args:
        path: the file.
        kind: what it should be, such as ``"an order file"``, for the error.

    Raises:
        OSError: when there is no such file, or it may not be read.
        ValueError: when it is no file but a folder, a pipe, a device, a loop of links.
    """
    name = os.fspath(path)
    try:
        what = os.stat(path).st_mode
        if stat.S_ISREG(what):
            # Should it have become a pipe by now, opening it does not wait for a writer.
            flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
            file = os.fdopen(os.open(path, flags), "rb")
            what = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(what):
                return file
            file.close()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise ValueError(f"{name} is not {kind}: its links lead round in a circle") from error
    except ValueError as error:  # a name that no file can have
        raise ValueError(f"{name!r} is not {kind}: {error}") from error
    raise ValueError(f"{name} is not {kind}: it is {_name_of(what)}")


def read_bytes(path: str | os.PathLike[str], kind: str, limit: int = LARGEST) -> bytes:
    """What is in a file that somebody named.

    Args:
        path: the file.
        kind: what it should be, for the error.
        limit: how many bytes it may hold.

    Raises:
        OSError, ValueError: as for :func:`open_file`; ValueError also when the file is larger.
    """
    with open_file(path, kind) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise ValueError(f"{os.fspath(path)} is not {kind}: it holds more than {limit} bytes")
    return content


def read_text(path: str | os.PathLike[str], kind: str, limit: int = LARGEST) -> str:
    """The text, in UTF-8, of a file that somebody named; arguments and errors as for :func:`read_bytes`."""
    try:
        return read_bytes(path, kind, limit).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{os.fspath(path)} is not {kind}: it is no text in UTF-8 ({error})") from error


def read_json(path: str | os.PathLike[str], kind: str, limit: int = LARGEST) -> Any:
    """What a JSON file that somebody named says; arguments and errors as for :func:`read_bytes`."""
    text = read_text(path, kind, limit)
    try:
        return parse_json(text)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} is not {kind}: {error}") from error


def parse_json(text: str | bytes) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: whatever is wrong with it.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _name_of(mode: int) -> str:
    names = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return names.get(stat.S_IFMT(mode), "no regular file")


def write_atomically(
    path: Path, content: str | Callable[[BinaryIO], object], *, make_folder: bool = True
) -> None:
    """Write a file in the place of an older one, which stays if anything goes wrong.

    Whoever reads it meanwhile, in another process too, finds the old content or the new one. A process that
    is killed meanwhile leaves a file ``*.part``, for :func:`remove_leftovers`.

    Args:
        path: the file.
        content: text, or a function that is given a binary file to write to.
        make_folder: whether its folder is made if it is not there.

    Raises:
        OSError: when it cannot be written; FileNotFoundError when there is no folder and none is to be made.
    """
    if make_folder:
        path.parent.mkdir(parents=True, exist_ok=True)
    # Made as any new file is, so that those may read it who may read its neighbours. Names have at most 255
    # bytes, of which a character takes up to four.
    part = path.with_name(f"{path.name[:50]}.{_machine()}-{os.getpid()}-{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            file.write(content.encode()) if isinstance(content, str) else content(file)
        os.replace(part, path)
    except BaseException as error:
        with contextlib.suppress(OSError):  # what went wrong first is what is told
            part.unlink()
        if isinstance(error, OSError) and error.filename is None:  # a full disk does not say whose
            error.filename = os.fspath(path)
        raise


_PART = re.compile(r"\.(?P<machine>[0-9a-f]{8})-(?P<process>\d{1,9})-[0-9a-f]{16}\.part$")
_ABANDONED = 86_400  # seconds; nobody writes a file for so long


def remove_leftovers(folder: Path) -> None:
    """Remove what :func:`write_atomically` left unfinished in a folder when processes were killed.

    Those are files ``*.part`` of processes of this machine that are no more, and any that are older than a
    day. What cannot be removed stays; folders below are not looked into.

    Args:
        folder: it need not exist.
    """
    try:
        entries = [entry for entry in os.scandir(folder) if entry.name.endswith(".part")]
    except OSError:
        return
    for entry in entries:
        found = _PART.search(entry.name)
        with contextlib.suppress(OSError):
            if found and entry.is_file(follow_symlinks=False):
                gone = found["machine"] == _machine() and not _is_alive(int(found["process"]))
                if gone or time.time() - entry.stat().st_mtime > _ABANDONED:
                    os.unlink(entry.path)


def _machine() -> str:
    """What tells this machine from others that share its folders: the numbers of processes are its own."""
    return f"{zlib.crc32(platform.node().encode(errors='replace')):08x}"


def _is_alive(process: int) -> bool:
    """Whether a process of this machine is there; True where that cannot be told."""
    if sys.platform == "win32":  # where the signal 0 kills
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def kept_folder(name: str, variable: str) -> Path | None:
    """A folder in which graphax keeps something for later processes; it need not exist.

    Args:
        name: of the folder, in the folder ``graphax`` of the user's cache directory.
        variable: the environment variable that names another place; ``off`` and nothing are none.

    Returns:
        None where it is disabled, or there is no home.
    """
    named = os.environ.get(variable)
    if named is not None:
        return None if named.strip().lower() in ("", "off") else Path(named).expanduser()
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if sys.platform == "win32":
        cache = os.environ.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        cache = "~/Library/Caches"
    elif not os.path.isabs(cache):
        cache = "~/.cache"
    folder = os.path.expanduser(cache)
    return Path(folder, "graphax", name) if os.path.isabs(folder) else None
