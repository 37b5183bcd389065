"""The manifest of the result files: what made each of them, when, on what, and of which code its figures are.

A figure is old when the code has changed that it measures: other values, not other words. So a hash is kept
of the syntax of that code, without comments, docstrings, annotations, `__all__`, what errors say and what a
notebook shows. How times are taken (`measure.py`) is no part of it.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provenance import ROOT

from graphax.files import write_atomically

RESULTS = ROOT / "benchmarks" / "results"
NAME = "manifest.json"
_SUFFIXES = (".py", ".json")
#: Definitions that show an object, and compute nothing that is measured.
_SHOWN = re.compile(r"__(repr|str)__|_repr_\w+_")

Sources = Mapping[str, bytes]


@dataclass(frozen=True)
class Result:
    """Files of figures that one command makes.

    Attributes:
        about: what is measured, in a few words.
        files: their paths below `benchmarks/results`, or patterns of them.
        command: as it is typed at the repository's root; `python` is the Python at hand.
        on: "cpu", "gpu", or "hand" for what no command makes from nothing.
        cores: how many cores of a CPU it is for.
        seconds: about how long it takes, the longest of its pieces.
        pieces: words to be added to the command, each of which makes a part of the files.
        afterwards: a command that makes what is made of the parts together.
        renamed: what the command calls a file: what it is called here.
        judges: whether the command ends with status 1 where a goal is missed.
        measures: patterns of the paths of the code that is measured; "!" leaves out, "@" names a group.
        measured: device, machine, jax, python, date, commit and command of what is there, and the hash of
            that code as `code`.
    """

    about: str
    files: list[str]
    command: str
    on: str
    measures: list[str]
    cores: int = 2
    seconds: int = 60
    pieces: list[str] = field(default_factory=list)
    afterwards: str = ""
    renamed: dict[str, str] = field(default_factory=dict)
    judges: bool = False
    measured: dict[str, Any] = field(default_factory=dict)

    def found(self, results: Path = RESULTS) -> list[Path]:
        """Its files that are there."""
        return sorted(path for pattern in self.files for path in results.glob(pattern))


@dataclass
class Manifest:
    """All results, and named groups of patterns of paths."""

    groups: dict[str, list[str]]
    results: dict[str, Result]

    @classmethod
    def load(cls, results: Path = RESULTS) -> Manifest:
        found = json.loads((results / NAME).read_text())
        return cls(found["groups"], {name: Result(**entry) for name, entry in found["results"].items()})

    def save(self, results: Path = RESULTS) -> None:
        """Write it, without what is as it mostly is."""
        blank = Result("", [], "", "", [])
        entries = {
            name: {key: value for key, value in vars(entry).items() if value != getattr(blank, key)}
            for name, entry in self.results.items()
        }
        text = json.dumps({"groups": self.groups, "results": entries}, indent=1, ensure_ascii=False)
        write_atomically(results / NAME, text + "\n")

    def patterns(self, result: Result) -> list[str]:
        """The patterns of what a result measures, with groups written out."""
        return [
            pattern
            for word in result.measures
            for pattern in (self.groups[word[1:]] if word.startswith("@") else [word])
        ]

    def code(self, result: Result, sources: Sources) -> str:
        """The hash of what a result measures."""
        return together(self.measured_files(result, sources))

    def measured_files(self, result: Result, sources: Sources) -> dict[str, str]:
        """The hash of every file that a result measures."""
        return {path: hash_of(path, sources[path]) for path in chosen(self.patterns(result), sources)}

    def stale(self, sources: Sources) -> list[str]:
        """The results that are older than the code that they measure."""
        return [
            name
            for name, result in self.results.items()
            if result.measured.get("code") != self.code(result, sources)
        ]

    def faults(self, results: Path = RESULTS) -> list[str]:
        """Files that no entry is about, entries without a file or without what has to be said."""
        entered = {path for result in self.results.values() for path in result.found(results)}
        there = {path for path in results.rglob("*") if path.is_file() and path.name != NAME}
        faults = [
            f"{path.relative_to(results)}: no entry of the manifest is about it"
            for path in sorted(there - entered)
        ]
        for name, result in self.results.items():
            faults += [f"{name}: no file is {text}" for text in result.files if not any(results.glob(text))]
            needed = ("device", "machine", "jax", "date", "commit", "command", "code")
            faults += [f"{name}: its entry lacks {key}" for key in needed if key not in result.measured]
        return faults


def sources_here(root: Path = ROOT) -> dict[str, bytes]:
    """What is in the source files of a folder, by path."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for place in ("graphax", "alphagrad", "benchmarks")
        for path in sorted((root / place).rglob("*"))
        if path.suffix in _SUFFIXES and path.is_file() and (root / "benchmarks/results") not in path.parents
    }


def sources_at(commit: str) -> dict[str, bytes]:
    """What was in the source files at a commit.

    Raises:
        subprocess.CalledProcessError: if there is no repository, or no such commit in it.
    """
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, capture_output=True, check=True).stdout
    found = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            if member.name.endswith(_SUFFIXES) and (file := archive.extractfile(member)):
                found[member.name] = file.read()
    return found


def chosen(patterns: Iterable[str], paths: Iterable[str]) -> list[str]:
    """The paths that a pattern takes, and none with "!" in front leaves out."""
    taken, left = [], []
    for pattern in patterns:
        (left if pattern.startswith("!") else taken).append(_expression(pattern.removeprefix("!")))
    return sorted(
        path
        for path in paths
        if any(one.fullmatch(path) for one in taken) and not any(one.fullmatch(path) for one in left)
    )


@functools.cache
def _expression(pattern: str) -> re.Pattern[str]:
    """`**/` is any folders or none, `*` is within a name."""
    parts = {"**/": "(?:.*/)?", "*": "[^/]*"}
    return re.compile(
        "".join(parts.get(part) or re.escape(part) for part in re.split(r"(\*\*/|\*)", pattern))
    )


def together(hashes: Mapping[str, str]) -> str:
    """One hash of those of many files."""
    return hashlib.sha256(
        "".join(f"{path} {hashes[path]}\n" for path in sorted(hashes)).encode()
    ).hexdigest()[:16]


@functools.cache
def hash_of(path: str, content: bytes) -> str:
    """The hash of a file: of Python the syntax that computes something."""
    if path.endswith(".py"):
        content = repr(_computed(ast.parse(content))).encode()
    return hashlib.sha256(content).hexdigest()


def _computed(node: Any) -> Any:
    """Syntax as nested tuples that are the same in every release of Python, without what computes nothing."""
    if isinstance(node, list):
        return tuple(found for item in node if (found := _computed(item)) is not None)
    if not isinstance(node, ast.AST):
        return node
    if _is_silent(node):
        return None
    fields = {name: value for name, value in ast.iter_fields(node) if name not in _UNUSED}
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        fields["exc"] = node.exc.func
    found = ((name, _computed(value)) for name, value in fields.items() if value not in (None, []))
    return (type(node).__name__, *found)


#: Annotations, and what parsers of some releases add.
_UNUSED = ("annotation", "returns", "type_params", "type_comment", "type_ignores", "kind", "ctx")


def _is_silent(node: ast.AST) -> bool:
    """Whether a statement says or shows something alone."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.FunctionDef(name=name):
            return _SHOWN.fullmatch(name) is not None
        case ast.Assign(targets=[ast.Name(id="__all__")]) | ast.AugAssign(target=ast.Name(id="__all__")):
            return True
        case ast.ImportFrom(module="__future__"):
            return True
    return False
