"""What is known to be fastest for a function on a device, because somebody measured it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args

import jax
from jax.core import Tracer

from ._fingerprint import fingerprint
from ._numbering import Numbering
from ._remembered import Remembered
from ._trace import Variable
from .choose import store_folder
from .files import read_json, write_atomically
from .timing import kind_of

#: Ways to a Jacobian: a compiled kernel, operations on arrays in an order of elimination, one of JAX's modes.
Way = Literal["kernel", "auto", "forward", "reverse", "markowitz", "jacfwd", "jacrev"]
WAYS: tuple[Way, ...] = get_args(Way)
#: A way, or operations on arrays in an order of these vertex numbers.
Chosen = Way | tuple[int, ...]


@dataclass(frozen=True)
class Place:
    """What a measurement holds for.

    Attributes:
        key: names the program with its types, the kind of device, and whether there is a batch.
        device: the kind of device.
        batched: whether the Jacobian is that of every element of a batch, under ``jax.vmap``.
    """

    key: str
    device: str
    batched: bool


@dataclass
class Trial:
    """A Jacobian that is traced for somebody who wants to know about it.

    Attributes:
        way: the way to go; None for the one that is taken with nothing said.
        place: what a measurement of it holds for.
        taken: what was taken.
        reasons: sentences that say why.
    """

    way: Chosen | None = None
    place: Place | None = None
    taken: str = ""
    reasons: list[str] = field(default_factory=list)


class NoWay(Exception):
    """A Jacobian cannot be had, or need not be finite where it should, in a way; the text says why."""


_known: Remembered[str, Chosen] = Remembered(1024)


def fastest_way(numbering: Numbering, num_outputs: int, values: Sequence[Any]) -> Chosen | None:
    """The way that was found to be fastest for a program on this device; None where nobody looked."""
    if jax.process_count() > 1 or not _may_know():  # all processes have to run one program
        return None
    return _recalled(place_of(numbering, num_outputs, values).key)


def keep_fastest(place: Place, way: Chosen, seconds: Mapping[str, float]) -> Path | None:
    """Remember what is fastest, in this process and in the order store.

    Args:
        place: what for.
        way: the way.
        seconds: of a call, for all that were measured.

    Returns:
        the file that says so; None where there is no order store.

    Raises:
        OSError: where it cannot be written.
    """
    _known.keep(place.key, way)
    path = _path(place.key)
    if path is not None:
        content = {
            "way": list(way) if isinstance(way, tuple) else way,
            **asdict(place),
            "seconds": dict(seconds),
            "jax": jax.__version__,
        }
        write_atomically(path, json.dumps(content, indent=1) + "\n")
    return path


def forget() -> None:
    """Forget what this process remembers; the store stays."""
    _known.clear()


def _may_know() -> bool:
    folder = _folder()
    return len(_known) > 0 or (folder is not None and folder.is_dir())


def _recalled(key: str) -> Chosen | None:
    known = _known.get(key)
    if known is not None:
        return known
    found = _read(key).get("way")
    if isinstance(found, list):
        return tuple(found) if all(type(vertex) is int for vertex in found) else None
    return found if found in WAYS else None


def _read(key: str) -> dict[str, Any]:
    """What the store says; nothing where it says nothing that makes sense."""
    path = _path(key)
    if path is None or not path.is_file():
        return {}
    try:
        found = read_json(path, "a file of measured run times")
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def known_seconds(place: Place) -> dict[str, float]:
    """The seconds of a call that the store holds for ways that were measured."""
    found = _read(place.key).get("seconds")
    if not isinstance(found, dict):
        return {}
    return {way: float(found[way]) for way in WAYS if isinstance(found.get(way), float)}


def place_of(numbering: Numbering, num_outputs: int, values: Sequence[Any]) -> Place:
    """What a measurement of the Jacobian of a program holds for."""
    program = numbering.program
    outputs = [
        numbering.number.get(atom) if isinstance(atom, Variable) else None
        for atom in program.outputs[:num_outputs]
    ]
    types = [str(atom.aval.dtype) for atom in (*program.inputs, *program.outputs)]
    device, batched = kind_of(), any(map(_is_batched, values))
    content = repr((fingerprint(numbering, outputs), types, device, batched))
    return Place(sha256(content.encode()).hexdigest(), device, batched)


def _is_batched(value: Any) -> bool:
    """Whether a value stands for a batch of them; JAX has no public name for what it is then."""
    return isinstance(value, Tracer) and type(value).__name__ == "BatchTracer"


def _folder() -> Path | None:
    folder = store_folder()
    return folder and folder / "tuned"


def _path(key: str) -> Path | None:
    folder = _folder()
    return folder and folder / f"{key}.json"
