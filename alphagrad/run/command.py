"""The skeleton of a command that works on a task: its kind, its time, its folder, its last words."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from .folder import RunFolder, run_path
from .page import Section, Text, write_page
from .progress import ProgressLine
from .settings import ConfigError, to_yaml


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every run is told."""

    task: str = field(metadata={"help": "what to work on"})
    seed: int = field(default=0, metadata={"help": "of all chance"})
    seconds: float = field(default=60.0, metadata={"help": "how long the whole command may take"})
    run_dir: str | None = field(
        default=None, metadata={"help": "the run's folder; by default runs/<task>/<time>"}
    )

    def __post_init__(self):
        if not self.seconds > 0:
            raise ConfigError(f"seconds={self.seconds} must be positive")
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"seed={self.seed} must lie between 0 and 2**31 - 1")


class Kind(NamedTuple):
    """A kind of task that a command works on.

    Attributes:
        about: what is looked for.
        task: what such tasks are called, for help.
        accepts: whether a task's name is of this kind; the last kind of a command is asked for any.
        config: the class of its settings.
        work: does it, given the settings, the start of the command in seconds of `time.perf_counter`, and a
            console for progress and the table; returns False if a user asked it to stop.
        on_accelerator: settings that have other defaults where JAX computes on something else than a CPU.
    """

    about: str
    task: str
    accepts: Callable[[str], bool]
    config: type
    work: Callable[[Any, float, Console], bool]
    on_accelerator: Mapping[str, Any] = {}


class Run:
    """A run: it begins with a line on the console and ends with a table, a page and the names of files.

    Args:
        config: its settings.
        name: of the task.
        size: how large the task is, in some words.
        start: of the command, in seconds of `time.perf_counter`.
        console: for progress and the table.
        advice: what to do if the run's folder is not empty.

    Attributes:
        config: its settings.
        name: of the task.
        folder: of the run.
        start: of the command.
        deadline: when to begin with the table and the page.
        asked: whether a user has asked to stop.

    Raises:
        OSError: when the folder cannot be used.
    """

    def __init__(
        self,
        config: RunConfig,
        name: str,
        size: str,
        start: float,
        console: Console,
        advice: str = "name another folder",
    ) -> None:
        self.config, self.name, self.start = config, name, start
        self.deadline = start + config.seconds
        self.asked = False
        self._console, self._progress = console, ProgressLine(console)
        self.folder = RunFolder(run_path(config.run_dir, name), to_yaml(config), advice)
        console.print(f"{name}: {size}; writing to {self.folder.path}", soft_wrap=True)

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self.start

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.perf_counter()

    def leave(self, seconds: float) -> None:
        """Have the deadline so long before all time is over, though not in the first half of it."""
        self.deadline = self.start + self.config.seconds - min(seconds, self.config.seconds / 2)

    def note(self, **values: Any) -> None:
        """Add a line to the metrics."""
        self.folder.write({"seconds": round(self.seconds, 3), **values})

    def show(self, line: Callable[[], str]) -> None:
        """Show progress, if it is time to, between the seconds gone and the seconds left."""
        left = max(0.0, self.config.seconds - self.seconds)
        self._progress.show(lambda: f"{self.seconds:5.0f} s  {line()}  {left:.0f} s left")

    @contextmanager
    def working(self, stopping: str) -> Generator[None]:
        """Takes Ctrl-C for a wish to stop, which `asked` tells of; a second one interrupts at once.

        Args:
            stopping: what is said to the first.
        """

        def stop(number: int, frame: FrameType | None) -> None:
            self.asked = True
            signal.signal(signal.SIGINT, previous)
            self._console.print(f"{stopping}; Ctrl-C again to stop at once")

        previous = signal.signal(signal.SIGINT, stop)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)
            self.folder.close()
            self._progress.end()

    def report(self, title: str, table: Table, sections: Sequence[Section], verdict: str = "") -> None:
        """Print the table, and a verdict if there is one; write the page."""
        self._console.print(table)
        if verdict:
            self._console.print(verdict, soft_wrap=True)
        page = (*sections, Text("Settings", to_yaml(self.config)))
        write_page(self.folder.report, f"{self.name}, {title} {self.config.seed}", page)

    def end(self, *words: str) -> bool:
        """Print the last words; returns whether the run came to its own end, and was not asked to stop."""
        self._console.print("\n".join(words), soft_wrap=True)
        return not self.asked
