"""The folder of a run: what is written while it goes on."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from graphax.files import parse_json, read_text, write_atomically

from .plain import plain
from .settings import ConfigError

REPORT = "report.html"


class RunFolder:
    """`config.yaml`, `metrics.jsonl`, and the places of everything else.

    Args:
        path: the folder; made if it is not there.
        config: the settings of the run, as YAML.
        advice: what to do if the folder holds anything already, where {path} stands for the folder.
        earlier: lines that the metrics begin with.
        prepare: writes what else the run begins with, given the folder.

    Attributes:
        path: the folder.
        order, scheme: the best known of what is looked for.
        learned: the best that an agent has found by itself.
        report: the report on the whole run.

    Raises:
        FileExistsError: if the folder holds anything already.
        NotADirectoryError: if it is something else.
        OSError: if it cannot be written to.
    """

    def __init__(
        self,
        path: Path,
        config: str,
        advice: str = "name another folder",
        earlier: Sequence[Mapping[str, Any]] = (),
        prepare: Callable[[Path], None] = lambda path: None,
    ) -> None:
        if os.path.lexists(path) and not path.is_dir():
            raise NotADirectoryError(f"run_dir={path} is no folder; name another one")
        if path.exists() and any(path.iterdir()):
            raise FileExistsError(f"run_dir={path} exists and is not empty; {advice.format(path=path)}")
        path.mkdir(parents=True, exist_ok=True)
        self.path = path
        self.order, self.scheme = path / "order.json", path / "scheme.json"
        self.learned, self.report = path / "learned.json", path / REPORT
        self._file = path / "metrics.jsonl"
        # Nothing is buffered: what could not be written is known at once, and not tried again.
        self._metrics = self._file.open("xb", buffering=0)
        self._identity = os.fstat(self._metrics.fileno())
        for line in earlier:
            self.write(line)
        prepare(path)
        # Settings make a run of a folder, from which one can go on: then nothing may be missing any more.
        write_atomically(path / "config.yaml", config)

    def write(self, values: Mapping[str, Any]) -> bool:
        """Add a line to the metrics, and say so; once they are closed, nothing is added.

        Raises:
            OSError: if it cannot be written as a whole.
        """
        line = (json.dumps(values) + "\n").encode()
        if self._metrics.closed:
            return False
        try:
            written = self._metrics.write(line)
        except OSError as error:
            error.filename = str(self._file)
            raise
        if written != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._file))
        return True

    def check(self) -> None:
        """Make sure that the folder is still there.

        Raises:
            FileNotFoundError: if it is not, or another has taken its place.
        """
        try:
            same = os.path.samestat(os.stat(self._file), self._identity)
        except OSError:
            same = False
        if not same:
            raise FileNotFoundError(f"the run's folder {self.path} was removed while the run went on")

    def close(self) -> None:
        """Finish the metrics."""
        self._metrics.close()


def run_path(run_dir: str | None, task: str) -> Path:
    """The folder that a run was given; for none a new one, `runs/<task>/<time>`.

    Args:
        run_dir: the folder, as a user wrote it.
        task: a name, which may hold anything: what no name of a folder should hold becomes `_`.

    Raises:
        ConfigError: for a name that no folder can have.
    """
    if run_dir:
        if "\0" in run_dir:
            raise ConfigError(f"run_dir={plain(run_dir)} holds a null character, as no folder's name does")
        return Path(run_dir)
    letters = "".join(letter if letter.isalnum() or letter in "._-" else "_" for letter in task)
    # Dots alone lead out of `runs`; a name has at most 255 bytes.
    name = letters.strip(".").encode()[:255].decode(errors="ignore") or "_"
    base = Path("runs") / name / datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    candidates = (base.with_name(f"{base.name}-{at}") if at else base for at in range(1000))
    return next(path for path in candidates if not path.exists())


def read_metrics(path: Path) -> list[Mapping[str, Any]]:
    """The lines of a run's `metrics.jsonl`; a last one that was cut short is left out.

    Args:
        path: the run's folder.

    Returns:
        tables with the same columns: of texts, or of numbers and None where there is nothing to tell.

    Raises:
        OSError: if there are none, or they cannot be read.
        ValueError: for lines of another kind; with the name of the file and the number of the line.
    """
    file = path / "metrics.jsonl"
    lines: list[Mapping[str, Any]] = []
    *texts, _ = read_text(file, "a file of metrics", _LONGEST).split("\n")
    for number, text in enumerate(texts, 1):
        try:
            line = parse_json(text)
            _check_columns(line, lines[0] if lines else line)
        except ValueError as error:
            raise ValueError(f"{file}, line {number}: {error}") from error
        lines.append(line)
    return lines


def _check_columns(line: Any, first: Mapping[str, Any]) -> None:
    """Refuse a line that does not go with the first one."""
    if not isinstance(line, dict):
        raise ValueError("expected a JSON object")
    if line.keys() != first.keys():
        raise ValueError(f"its columns are {', '.join(line)}, those of the first line {', '.join(first)}")
    for name, value in line.items():
        kinds = (str,) if isinstance(first[name], str) else (int, float, type(None))
        if type(value) not in kinds:
            raise ValueError(
                f"{name} is {str(value)[:50]!r}, which is no {'text' if str in kinds else 'number'}"
            )


_LONGEST = 2**31  # bytes of metrics: a line a second for a year
