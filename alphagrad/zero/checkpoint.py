"""Training written to disk and read again. Arrays and JSON only: nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import equinox as eqx

from graphax.files import open_file, parse_json, write_atomically

from .alphazero import Training

_VERSION = 2


def save_checkpoint(path: Path, training: Training, fingerprint: str) -> None:
    """Writes a checkpoint in the place of an older one, atomically.

    Args:
        path: the file.
        training: what to keep: the agent, its optimizer, its games.
        fingerprint: of what the game is about.
    """
    leaves = BytesIO()
    eqx.tree_serialise_leaves(leaves, training)
    header = {
        "version": _VERSION,
        "fingerprint": fingerprint,
        "iteration": int(training.iteration),
        "sha256": hashlib.sha256(leaves.getbuffer()).hexdigest(),
    }

    def write(file: BinaryIO) -> None:
        file.write((json.dumps(header) + "\n").encode())
        file.write(leaves.getbuffer())

    write_atomically(path, write)


def load_checkpoint(path: Path, like: Training, fingerprint: str) -> Training:
    """Reads a checkpoint.

    Args:
        path: the file.
        like: a training of the same settings, such as `begin` makes.
        fingerprint: of what the game is about; it must be that of the checkpoint.

    Raises:
        OSError: if there is none (FileNotFoundError), or it may not be read.
        ValueError: if the file is damaged, of another version, of another game or of other settings.
    """
    with open_file(path, "a checkpoint") as file:
        line = file.readline(_HEADER)
        digest = _check_header(path, line, fingerprint)
        if digest != hashlib.file_digest(file, "sha256").hexdigest():  # pyright: ignore[reportArgumentType]
            raise ValueError(f"{path} is damaged: it does not hold what was written")
        file.seek(len(line))
        try:
            return eqx.tree_deserialise_leaves(file, like)
        # What does not fit is met by Equinox or numpy, whose complaints are of many kinds.
        except Exception as error:
            why = str(error).partition("\n")[0] or type(error).__name__
            raise ValueError(f"{path} is of other settings than these: {why}") from error


_HEADER = 4096  # bytes; more than a header takes


def _check_header(path: Path, line: bytes, fingerprint: str) -> str:
    """The digest of what follows, by a header that is right."""
    try:
        header = parse_json(line)
        version, found = header["version"], header["fingerprint"]
        digest = header["sha256"] if version == _VERSION else ""
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a checkpoint") from error
    if version != _VERSION:
        raise ValueError(
            f"{path}: checkpoints of version {version!r} are not supported (this is version {_VERSION}); "
            "begin anew, without resume="
        )
    if found != fingerprint:
        raise ValueError(f"{path} was made for another task: its graph differs from this one's")
    return digest
