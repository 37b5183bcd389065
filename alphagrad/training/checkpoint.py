"""Training written to disk and read again. Arrays and JSON only: nothing is unpickled."""

from __future__ import annotations

import json
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
    header = {"version": _VERSION, "fingerprint": fingerprint, "iteration": int(training.iteration)}

    def write(file: BinaryIO) -> None:
        file.write((json.dumps(header) + "\n").encode())
        eqx.tree_serialise_leaves(file, training)

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
        _check_header(path, file.readline(_HEADER), fingerprint)
        try:
            training = eqx.tree_deserialise_leaves(file, like)
        except (ValueError, EOFError, RuntimeError, OSError) as error:
            raise _damaged(path, str(error).partition("\n")[0]) from error
        if file.read(1):
            raise _damaged(path, "it goes on after its end")
    return training


_HEADER = 4096  # bytes; more than a header takes


def _check_header(path: Path, line: bytes, fingerprint: str) -> None:
    try:
        header = parse_json(line)
        version, found = header["version"], header["fingerprint"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a checkpoint") from error
    if version != _VERSION:
        raise ValueError(
            f"{path}: checkpoints of version {version!r} are not supported (this is version {_VERSION}); "
            "begin anew, without resume="
        )
    if found != fingerprint:
        raise ValueError(f"{path} was made for another task: its graph differs from this one's")


def _damaged(path: Path, why: str) -> ValueError:
    return ValueError(f"{path} is damaged, or of other settings than these: {why}")
