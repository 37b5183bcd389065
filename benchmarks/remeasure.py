"""Results measured anew: commands side by side, each on its own cores, and what they wrote in its place.

Every command runs in a folder that looks like the repository, but for its results, which are empty there;
so it is typed as ever, and its parts can run at the same time. What several pieces wrote is joined.
"""

from __future__ import annotations

import json
import math
import os
import queue
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import provenance
from manifest import RESULTS, Manifest, Result, sources_here

from graphax.files import write_atomically

#: What the head of a result file holds, which the manifest takes over.
_HEAD = ("device", "machine", "jax", "python", "date", "commit", "changed")
#: How much longer than expected a piece may take.
_PATIENCE = 3


@dataclass(frozen=True)
class Piece:
    """A part of a result: a command, and the folder that it runs in."""

    name: str
    result: Result
    words: str
    folder: Path

    def __str__(self) -> str:
        return f"{self.name}{self.words and f' ({self.words})'}:"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def run(self, cores: Sequence[int], deadline: float) -> str | None:
        """Run it on these cores until a time of the monotonic clock; returns what went wrong."""
        seconds = min(_PATIENCE * self.result.seconds, deadline - time.monotonic())
        if seconds <= 0:
            return "its turn did not come in time"
        _like_the_repository(self.folder)
        mine = list(cores)[: self.result.cores] if self.result.on == "cpu" else list(cores)
        command = _in_bash(f"{self.result.command} {self.words}")
        pinned = ["taskset", "-c", ",".join(map(str, mine)), *command]
        with self.log.open("w") as log:
            log.write(f"{shlex.join(pinned)}\n")
            log.flush()
            process = subprocess.Popen(
                pinned,
                cwd=self.folder,
                env=_environment(self.result),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            try:
                status = process.wait(seconds)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()
                return f"was not ready after {seconds:.0f} seconds"
        return None if status == 0 or (status == 1 and self.result.judges) else f"ended with status {status}"


def _in_bash(command: str) -> list[str]:
    """A command as it is typed, with the Python at hand."""
    with_python = command.replace("python ", f"{shlex.quote(sys.executable)} ")
    return ["bash", "-euo", "pipefail", "-c", with_python]


def _environment(result: Result) -> dict[str, str]:
    """With the code of this repository, and nothing of what earlier runs have found."""
    path = f"{provenance.ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)
    settings = {"PYTHONPATH": path, "GRAPHAX_ORDER_STORE": "off", "PYTHONUNBUFFERED": "1"}
    return os.environ | settings | ({"JAX_PLATFORMS": "cpu"} if result.on == "cpu" else {})


def _like_the_repository(folder: Path) -> None:
    """Links to all that is in the repository, but for what is in its results."""
    for place in ("", "benchmarks"):
        (folder / place).mkdir(parents=True, exist_ok=True)
        for path in (provenance.ROOT / place).iterdir():
            if path.name not in ("benchmarks", "results", "runs", ".git"):
                (folder / place / path.name).symlink_to(path)
    (folder / "benchmarks" / "results").mkdir()


def remeasure(names: Sequence[str], lanes: int, scratch: Path, within: float = math.inf) -> list[str]:
    """Measure results anew, and note each in the manifest as soon as its last piece is done.

    Args:
        names: of results.
        lanes: how many pieces run at once, each on an equal part of the cores that this process may use.
        scratch: a folder for the pieces and their logs.
        within: seconds after which all that is not done is given up.

    Returns:
        what went wrong, a sentence each; a result that lacks a piece stays as it was.

    Raises:
        ValueError: when a name is none, or there are more lanes than cores.
    """
    manifest, deadline = Manifest.load(), time.monotonic() + within
    for name in names:
        if name not in manifest.results:
            raise ValueError(f"no result is called {name!r}: there are {', '.join(manifest.results)}")
    cores = sorted(os.sched_getaffinity(0))
    if not 0 < lanes <= len(cores):
        raise ValueError(f"{lanes} lanes are not between 1 and the {len(cores)} cores that there are")
    width = len(cores) // lanes
    free: queue.Queue[Sequence[int]] = queue.Queue()
    for lane in range(lanes):
        free.put(cores[lane * width : (lane + 1) * width])
    # Those that take long begin first.
    pieces = sorted(_pieces(names, manifest, scratch), key=lambda piece: -piece.result.seconds)
    code, taking = sources_here(), threading.Lock()
    done: dict[str, list[Piece]] = {name: [] for name in names}
    faults: list[str] = []

    def run(piece: Piece) -> None:
        lane = free.get()
        begun, where = time.monotonic(), ",".join(map(str, lane))
        try:
            error = piece.run(lane, deadline)
        finally:
            free.put(lane)
        taken = time.monotonic() - begun
        print(f"{piece} {error or 'done'} after {taken:.0f} s on cores {where}; {piece.log}", flush=True)
        with taking:
            if error:
                faults.append(f"{piece} {error}")
                return
            done[piece.name].append(piece)
            if len(done[piece.name]) == sum(other.name == piece.name for other in pieces):
                try:
                    _take(manifest, piece.name, done[piece.name], code)
                    manifest.save()
                except (OSError, ValueError, subprocess.CalledProcessError) as error:
                    faults.append(f"{piece.name}: {error}")

    with ThreadPoolExecutor(lanes) as pool:
        list(pool.map(run, pieces))
    return faults


def _pieces(names: Sequence[str], manifest: Manifest, scratch: Path) -> Iterator[Piece]:
    for at, name in enumerate(names):
        result = manifest.results[name]
        for number, words in enumerate(result.pieces or [""]):
            yield Piece(name, result, words, scratch.resolve() / f"{at}-{number}")


def _take(manifest: Manifest, name: str, pieces: Sequence[Piece], code: Mapping[str, bytes]) -> None:
    """Put what the pieces of a result wrote into its place, and say in the manifest where it is from.

    Raises:
        ValueError: when a file that the result is about was not written, or lacks a part that it had.
    """
    result = manifest.results[name]
    written: dict[str, list[Path]] = {}
    for piece in sorted(pieces, key=lambda piece: piece.folder):
        results = piece.folder / "benchmarks" / "results"
        for before, after in result.renamed.items():
            if (results / before).exists():
                (results / before).rename(results / after)
        for path in result.found(results):
            written.setdefault(str(path.relative_to(results)), []).append(path)
    before = {str(path.relative_to(RESULTS)) for path in result.found(RESULTS)}
    if not written or before - written.keys():
        raise ValueError(f"did not write {', '.join(sorted(before - written.keys()) or result.files)}")
    tables = {
        place: joined([json.loads(path.read_text()) for path in paths])
        for place, paths in written.items()
        if place.endswith(".json")
    }
    for place in before & tables.keys():
        # As where a package is missing that is compared with.
        lost = json.loads((RESULTS / place).read_text()).keys() - tables[place].keys() - set(_HEAD)
        if lost:
            raise ValueError(f"{place} lacks what it had: {', '.join(sorted(lost))}")
    head: dict[str, Any] = {}
    for place, paths in written.items():
        table = tables.get(place, {})
        if "command" in table:
            table["command"] = result.command
            head = head or {key: table[key] for key in _HEAD if key in table}
            write_atomically(RESULTS / place, json.dumps(table, indent=1) + "\n")
        else:
            content = paths[-1].read_bytes()
            write_atomically(RESULTS / place, lambda file, content=content: file.write(content))
    if result.afterwards:
        subprocess.run(_in_bash(result.afterwards), cwd=provenance.ROOT, env=_environment(result), check=True)
    if "device" not in head:
        head = _head_of_this_machine(result) | head
    result.measured.clear()
    result.measured.update(head)
    result.measured["command"] = result.command
    result.measured["code"] = manifest.code(result, code)


def joined(tables: Sequence[Any]) -> Any:
    """Tables as one: entries side by side, lists one after another, and of what else differs the first."""
    first, *rest = tables
    if isinstance(first, dict):
        keys = dict.fromkeys(key for table in tables for key in table)
        return {key: joined([table[key] for table in tables if key in table]) for key in keys}
    if (
        isinstance(first, list)
        and first
        and isinstance(first[0], dict)
        and any(table != first for table in rest)
    ):
        return [item for table in tables for item in table]
    return first


def _head_of_this_machine(result: Result) -> dict[str, Any]:
    """For what is written by commands that say nothing of themselves."""
    asked = "import jax; print(jax.devices()[0].device_kind, jax.__version__, sep=';')"
    command = [sys.executable, "-c", asked]
    said = subprocess.run(command, env=_environment(result), capture_output=True, text=True, check=True)
    device, jax = said.stdout.strip().split(";")
    head = provenance.head() | {"device": "CPU, x86_64" if device == "cpu" else device, "jax": jax}
    return {key: head[key] for key in _HEAD if key in head}
