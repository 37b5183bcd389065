"""The files of schemes, JSON or npz: nothing in them is believed unchecked, and nothing unpickled."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int
from numpy.lib import format as npy

from graphax.files import parse_json, read_bytes, write_atomically

_KIND = "a scheme file"
_LARGEST = 2**27  # bytes of a file
_MOST_ENTRIES = 2**26  # of the factors together
_LONGEST_RING = 16


class Content(NamedTuple):
    """What a file says of a scheme; the factors have the shapes that format and rank demand.

    Attributes:
        format: the three sizes.
        u, v, w: the factors.
        ring: the name of the ring.
        denominators: of the three factors.
    """

    format: tuple[int, int, int]
    u: Int[np.ndarray, "rank n*m"]
    v: Int[np.ndarray, "rank m*p"]
    w: Int[np.ndarray, "rank p*n"]
    ring: str
    denominators: tuple[int, int, int]


def check_kind(path: Path) -> None:
    """Refuse files that are, by their name, of another kind.

    Raises:
        ValueError: for a name that ends in neither .json nor .npz.
    """
    if path.suffix not in (".json", ".npz"):
        raise ValueError(f"{path} ends in {path.suffix!r}; scheme files end in .json or .npz")


def write_content(path: Path, content: Content) -> None:
    """Write a scheme, whole or not at all.

    Raises:
        ValueError: for one too large to be read again.
    """
    check_kind(path)
    rank = len(content.u)
    head = {
        "format": list(content.format),
        "rank": rank,
        "ring": content.ring,
        "denominators": list(content.denominators),
    }
    factors = {"u": content.u, "v": content.v, "w": content.w}
    _check_size(content.format, rank)
    if path.suffix == ".npz":
        if max(content.denominators) >= 2**63:
            raise ValueError(f"{path} cannot hold denominators above 2**63; save the scheme as .json")
        arrays: dict[str, Any] = {**head, **factors}
        write_atomically(path, lambda file: np.savez_compressed(file, **arrays))
        return
    lines = [f" {json.dumps(name)}: {json.dumps(value)}" for name, value in head.items()]
    for name, factor in factors.items():
        rows = ",\n".join(f"  {json.dumps(row)}" for row in factor.tolist())
        lines.append(f' "{name}": [\n{rows}\n ]')
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    if len(text) > _LARGEST:
        raise ValueError(f"{path} would hold {len(text)} bytes, of {_LARGEST} at most; save it as .npz")
    write_atomically(path, text)


def read_content(path: Path) -> Content:
    """Read a scheme.

    Raises:
        FileNotFoundError: if there is no such file.
        OSError, ValueError: for a file that cannot be read, or holds something else; with its name.
    """
    check_kind(path)
    content = read_bytes(path, _KIND, _LARGEST)
    read = _read_json if path.suffix == ".json" else _read_npz
    try:
        return read(content)
    # Of what is damaged, zipfile, zlib and numpy complain in a dozen ways.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"{path} holds no scheme: {reason}; expected what Scheme.save writes") from error


def _content(read: Callable[[str], Any], factor: Callable[[str, tuple[int, int]], np.ndarray]) -> Content:
    """The content by its parts: first what is small, by which the factors are then judged."""
    format, denominators = (_triple(name, read(name)) for name in ("format", "denominators"))
    (rank,) = _integers("rank", [read("rank")])
    if rank < 1:
        raise ValueError(f"rank is {rank}; expected at least 1")
    ring = read("ring")
    if not isinstance(ring, str):
        raise ValueError(f"ring is {ring!r} and should be a name")
    _check_size(format, rank)
    n, m, p = format
    u, v, w = (factor(name, (rank, width)) for name, width in zip("uvw", (n * m, m * p, p * n), strict=True))
    return Content(format, u, v, w, ring, denominators)


def _check_size(format: tuple[int, ...], rank: int) -> None:
    n, m, p = format
    entries = rank * (n * m + m * p + p * n)
    if entries > _MOST_ENTRIES:
        raise ValueError(f"its factors have {entries} entries; files hold {_MOST_ENTRIES} at most")


def _integers(name: str, values: Any) -> tuple[int, ...]:
    """The elements of a list, if they are integers and nothing that is taken for them."""
    if not isinstance(values, list) or any(type(value) is not int for value in values):
        raise ValueError(f"{name} is {str(values)[:50]}; expected integers")
    return tuple(values)


def _triple(name: str, values: Any) -> tuple[int, int, int]:
    integers = _integers(name, values)
    if len(integers) != 3 or min(integers) < 1:
        raise ValueError(f"{name} is {str(integers)[:50]}; expected three positive integers")
    return integers[0], integers[1], integers[2]


def _read_json(content: bytes) -> Content:
    table = parse_json(content.decode())
    if not isinstance(table, dict):
        raise ValueError("it is not a table")

    def factor(name: str, shape: tuple[int, int]) -> np.ndarray:
        rows = _entry(table, name)
        if not isinstance(rows, list):
            raise ValueError(f"{name} is no list of rows")
        widths = {len(_integers(f"a row of {name}", row)) for row in rows}
        if len(rows) != shape[0] or widths != {shape[1]}:
            raise _misshapen(name, (len(rows), *widths), shape)
        try:
            return np.array(rows, np.int64)
        except OverflowError:
            raise ValueError(f"{name} has entries of more than 64 bits") from None

    return _content(lambda name: _entry(table, name), factor)


def _misshapen(name: str, found: tuple[int, ...], shape: tuple[int, ...]) -> ValueError:
    demand = f", for the format and rank {shape[0]}," if len(shape) == 2 else ""
    return ValueError(f"{name} has the shape {found} and should{demand} have {shape}")


def _entry(table: Mapping[str, Any], name: str) -> Any:
    if name not in table:
        raise ValueError(f"{name!r} is missing")
    return table[name]


def _read_npz(content: bytes) -> Content:
    with zipfile.ZipFile(BytesIO(content)) as archive:
        heads = {"format": ((3,), "iu"), "denominators": ((3,), "iu"), "rank": ((), "iu"), "ring": ((), "U")}
        return _content(
            lambda name: _read_array(archive, name, *heads[name]).tolist(),
            lambda name, shape: _read_array(archive, name, shape, "iu"),
        )


def _read_array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], kinds: str) -> np.ndarray:
    """An array of a known shape, whose head is looked at before room is made for the rest."""
    info = _entry(archive.NameToInfo, f"{name}.npy")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name} is compressed in a way that numpy does not use")
    with archive.open(info) as member:
        version = npy.read_magic(member)
        read_head = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        found, by_columns, dtype = read_head(member)
        if found != shape:
            raise _misshapen(name, found, shape)
        if dtype.kind not in kinds or dtype.itemsize > 4 * _LONGEST_RING:
            raise ValueError(f"{name} has entries of type {dtype}")
        size = math.prod(shape) * dtype.itemsize
        data = member.read(size + 1)  # to the end, where the checksum is compared
    if len(data) != size:
        raise ValueError(
            f"{name} should have {size} bytes and has {'more' if len(data) > size else len(data)}"
        )
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_columns else "C")
