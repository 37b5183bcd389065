"""What a run came to, as `result.json`: all that its report shows beside the metrics."""

from __future__ import annotations

import json
import math
import shlex
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from graphax.files import read_json, write_atomically

from .charts import Panel
from .settings import settings

_FILE, _KIND = "result.json", "the result of a run"

T = TypeVar("T")


@dataclass(frozen=True)
class Cells:
    """A table.

    Attributes:
        heading: above it.
        rows: the names of the columns first.
        remarks: what is to be said below it.
    """

    heading: str
    rows: tuple[tuple[str, ...], ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Text:
    """A text with its heading, in lines.

    Attributes:
        heading: above it.
        text: the lines.
        places: whether what a line has behind two spaces and a # is a place in a file.
        folded: whether it is shown when it is asked for.
    """

    heading: str
    text: str
    places: bool = False
    folded: bool = False


@dataclass(frozen=True)
class Factor:
    """A matrix of few different numbers with a row for each entry that it is about.

    Attributes:
        name: of the factor.
        entries: the names of the rows.
        columns: the columns, of numerators.
        denominator: of all of them.
    """

    name: str
    entries: tuple[str, ...]
    columns: tuple[tuple[int, ...], ...]
    denominator: int = 1


@dataclass(frozen=True)
class Factors:
    """The factors of a bilinear scheme, as a picture in which column r is about product r."""

    heading: str
    factors: tuple[Factor, ...]


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a run has found.

    Attributes:
        best: what the best found costs; None if nothing is known of it.
        quantity: what that is of.
        method: what found it.
        bound: what nothing is below; None if none is known.
        verdict: how good it is, in a sentence.
        use: Python that uses what was found.
        on_jax: whether JAX's device computed what counts, not the processor alone.
        panels: curves of the run; the first curve of the first panel is that of the best.
        tables: what was found beside what else is known.
        factors: of the schemes found.
        texts: what was found, and what it is for.
    """

    best: float | None
    quantity: str
    method: str
    bound: float | None
    verdict: str
    use: str
    on_jax: bool
    panels: tuple[Panel, ...]
    tables: tuple[Cells, ...]
    factors: tuple[Factors, ...] = ()
    texts: tuple[Text, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Result:
    """A run that has ended.

    Attributes:
        task: what it worked on.
        command: `search` or `train`.
        again: words for the command line that do the same.
        settings: of the run, as YAML.
        seed: of all chance.
        seconds: that the run took.
        ended: when, as ISO 8601 has it.
        device: what it ran on.
        versions: of what it ran with, by name.
        findings: what it found.
    """

    task: str
    command: str
    again: str
    settings: str
    seed: int
    seconds: float
    ended: str
    device: str
    versions: Mapping[str, str]
    findings: Findings


def save_result(folder: Path, result: Result) -> None:
    """Write the result into a run's folder, atomically.

    Raises:
        OSError: if it cannot be written.
    """
    write_atomically(folder / _FILE, json.dumps(asdict(result), allow_nan=False) + "\n")


def load_result(folder: Path) -> Result:
    """The result in a run's folder.

    Raises:
        FileNotFoundError: if there is none: the run has not ended, or it was killed.
        OSError: if it cannot be read.
        ValueError: if it is something else; says what.
    """
    path = folder / _FILE
    content = read_json(path, _KIND)
    try:
        return _read(Result, content, "it")
    except ValueError as error:
        raise ValueError(f"{path} is not {_KIND}: {error}") from error


def command_line(command: str, config: Any) -> str:
    """Words for the command line that ask for these settings: those that are not usual, in a new folder."""
    words = ["alphagrad", command]
    for setting in settings(type(config)):
        value = config
        for name in setting.key.split("."):
            value = getattr(value, name)
        asked = setting.key in ("task", "seed") or value != setting.default
        if asked and setting.key != "run_dir":
            words.append(shlex.quote(f"{setting.key}={_written(value)}"))
    return " ".join(words)


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _read(kind: type[T], value: Any, name: str) -> T:
    """A value of a type, read from JSON.

    Raises:
        ValueError: if it is of another one.
    """
    made: Any
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        rest = next(each for each in inner if each is not types.NoneType)
        made = None if value is None else _read(rest, value, name)
    elif is_dataclass(kind):
        made = _read_fields(kind, value, name)
    elif origin is tuple:
        made = tuple(_read(inner[0], each, name) for each in _checked(list, value, name))
    elif origin is not None:  # a mapping of texts
        made = {key: _read(str, each, name) for key, each in _checked(dict, value, name).items()}
    elif kind is float and type(value) in (int, float) and math.isfinite(value):
        made = value
    else:
        made = _checked(kind, value, name)
    return made


def _read_fields(kind: type[T], value: Any, name: str) -> T:
    given = _checked(dict, value, name)
    kinds = typing.get_type_hints(kind)
    made: dict[str, Any] = {}
    for entry in fields(typing.cast(Any, kind)):
        if entry.name in given:
            made[entry.name] = _read(kinds[entry.name], given[entry.name], entry.name)
        elif entry.default is MISSING:
            raise ValueError(f"{name} has no {entry.name}")
    return kind(**made)


def _checked(kind: type[T], value: Any, name: str) -> T:
    if type(value) is not kind:
        raise ValueError(f"{name} is {str(value)[:50]!r}; expected {kind.__name__}")
    return value
