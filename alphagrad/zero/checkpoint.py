"""Training written to disk and read again. Arrays and JSON only: nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import equinox as eqx

from graphax.files import open_file, parse_json, write_atomically

from .alphazero import Training

_VERSION = 3
_HEADER = 4096  # bytes; more than a header takes
_DIGEST = hashlib.sha256().digest_size


class DamagedError(ValueError):
    """A file that does not hold what was written."""


@dataclass(frozen=True)
class Position:
    """How far a run was.

    Attributes:
        turns: of its training, as many as its metrics have lines.
        games: that were played.
        seconds: that it took.
    """

    turns: int = 0
    games: int = 0
    seconds: float = 0.0


class Checkpoints:
    """The two latest checkpoints of a run.

    Args:
        path: the run's folder.
        fingerprint: of what the game is about.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self._path, self._fingerprint = path / "checkpoints", fingerprint

    @property
    def files(self) -> Sequence[Path]:
        """The latest and the one before, whether or not they are there."""
        return [self._path / "latest.eqx", self._path / "previous.eqx"]

    def save(self, training: Training, position: Position) -> None:
        """Write a checkpoint, atomically; the latest so far becomes the one before."""
        latest, previous = self.files
        self._path.mkdir(exist_ok=True)  # though not the run's folder, if that is gone
        fresh = self._path / "next.eqx"
        save_checkpoint(fresh, training, position, self._fingerprint)
        with suppress(FileNotFoundError):
            os.replace(latest, previous)
        os.replace(fresh, latest)

    def load(self, like: Training) -> tuple[Training, Position, str]:
        """Read the latest checkpoint that is whole.

        Args:
            like: a training of the same settings, or its shapes.

        Returns:
            the training, how far it was, and what is to be said of a damaged file; "" if there is none.

        Raises:
            FileNotFoundError: if there is none.
            OSError, ValueError: as for `load_checkpoint`.
        """
        errors: list[FileNotFoundError | DamagedError] = []
        for path in self.files:
            try:
                found = load_checkpoint(path, like, self._fingerprint)
            except (FileNotFoundError, DamagedError) as error:
                errors.append(error)
                continue
            remarks = [f"{error}; going on from {path}" for error in errors if isinstance(error, ValueError)]
            return *found, "".join(remarks)
        raise next((error for error in errors if isinstance(error, DamagedError)), errors[0])


def save_checkpoint(path: Path, training: Training, position: Position, fingerprint: str) -> None:
    """Write a checkpoint in the place of an older one, atomically.

    A line of JSON is followed by the arrays, and by the SHA-256 of both.

    Args:
        path: the file.
        training: what to keep: the agent, its optimizer, its games.
        position: how far it is.
        fingerprint: of what the game is about.
    """
    header = {"version": _VERSION, "fingerprint": fingerprint, **asdict(position)}

    def write(file: BinaryIO) -> None:
        digested = _Digested(file)
        digested.write((json.dumps(header) + "\n").encode())
        try:  # Equinox writes arrays to whatever has a `write`
            eqx.tree_serialise_leaves(cast(BinaryIO, digested), training)
        except Exception as error:
            raise digested.error or error from None
        file.write(digested.digest())

    write_atomically(path, write)


class _Digested:
    """A file whose content is digested while it is written; `error` is what the disk has said."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, content: Any) -> int:
        self._hash.update(content)
        try:
            return self._file.write(content)
        except OSError as error:  # it would come out of Equinox as an error of another kind
            self.error = error
            raise

    def digest(self) -> bytes:
        return self._hash.digest()


def load_checkpoint(path: Path, like: Training, fingerprint: str) -> tuple[Training, Position]:
    """Read a checkpoint.

    Args:
        path: the file.
        like: a training of the same settings, such as `begin` makes, or its shapes.
        fingerprint: of what the game is about; it must be that of the checkpoint.

    Returns:
        the training, and how far it was.

    Raises:
        OSError: if there is none (FileNotFoundError), or it may not be read.
        ValueError: if the file is damaged (DamagedError), of another version, of another game or of other
            settings.
    """
    with open_file(path, "a checkpoint") as file:
        line = file.readline(_HEADER)
        header = _read_header(path, line)
        _check_digest(path, file)
        if header["fingerprint"] != fingerprint:
            raise ValueError(
                f"{path} was made for another task: its graph is another, or its costs count something else"
            )
        file.seek(len(line))
        try:
            training = eqx.tree_deserialise_leaves(file, like)
        # What does not fit is met by Equinox or numpy, whose complaints are of many kinds.
        except Exception as error:
            why = str(error).partition("\n")[0] or type(error).__name__
            raise ValueError(f"{path} is of other settings than these: {why}") from error
        if len(file.read(_DIGEST + 1)) != _DIGEST:
            raise ValueError(f"{path} is of other settings than these: it holds more arrays")
    return training, Position(header["turns"], header["games"], header["seconds"])


def _read_header(path: Path, line: bytes) -> dict[str, Any]:
    try:
        header = parse_json(line)
        version = header["version"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedError(f"{path} is not a checkpoint, or is damaged") from error
    if version != _VERSION:
        raise DamagedError(
            f"{path}: checkpoints of version {version!r} are not supported (this is version {_VERSION}); "
            "begin anew, without resume="
        )
    return header


def _check_digest(path: Path, file: BinaryIO) -> None:
    """Make sure that the file ends with the digest of all before."""
    length = file.seek(0, os.SEEK_END) - _DIGEST
    file.seek(0)
    found = hashlib.sha256()
    while length > 0 and (block := file.read(min(length, 2**20))):
        found.update(block)
        length -= len(block)
    if file.read() != found.digest():
        raise DamagedError(f"{path} is damaged: it does not hold what was written")
