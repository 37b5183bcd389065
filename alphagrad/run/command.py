"""The skeleton of a command that works on a task: its kind, its time, its folder, its last words."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from graphax.files import write_atomically

from .._interrupts import Interrupts
from .aside import aside
from .environment import device, versions
from .folder import RunFolder, run_path
from .page import ELIMINATION, write_report
from .plain import plain
from .progress import ProgressLine
from .result import Findings, Result, command_line, save_result
from .settings import ConfigError, to_yaml
from .table import Rows

_LOOK_SECONDS = 0.1  # between two looks at the work, the user and the clock
_CHECK_SECONDS = 1.0  # between two looks at the folder
_PATIENCE = 1.0  # in which work that is over may end by itself
_PAGE_SECONDS = 2.5  # after Ctrl-C, from when on there is no time for a page


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every run is told."""

    task: str = field(metadata={"help": "what to work on"})
    seed: int = field(default=0, metadata={"help": "of all chance"})
    seconds: float | None = field(
        default=60.0, metadata={"help": "how long the whole command may take, compiling included"}
    )
    run_dir: str | None = field(
        default=None, metadata={"help": "the run's folder; by default runs/<task>/<time>"}
    )

    def __post_init__(self):
        if self.seconds is not None and not self.seconds > 0:
            raise ConfigError(f"seconds={self.seconds} must be positive")
        if not 0 <= self.seed < 2**31:
            raise ConfigError(f"seed={self.seed} must lie between 0 and 2**31 - 1")

    @property
    def time_limit(self) -> float:
        """Seconds that the command may take."""
        return math.inf if self.seconds is None else self.seconds


class Invocation(NamedTuple):
    """How a command was called.

    Attributes:
        start: when, in seconds of `time.perf_counter`.
        console: for progress and the table.
        interrupts: tells whether the user has asked to stop.
        alone: whether the process has nothing else to do.
    """

    start: float
    console: Console
    interrupts: Interrupts
    alone: bool


class Kind(NamedTuple):
    """A kind of task that a command works on.

    Attributes:
        about: what is looked for.
        task: what such tasks are called, for help.
        accepts: whether a task's name is of this kind; the last kind of a command is asked for any.
        config: the class of its settings.
        work: does it, given the settings and how the command was called; returns False if the user asked it
            to stop.
        on_accelerator: settings that have other defaults where JAX computes on something else than a CPU.
    """

    about: str
    task: str
    accepts: Callable[[str], bool]
    config: type
    work: Callable[[Any, Invocation], bool]
    on_accelerator: Mapping[str, Any] = {}


class Run:
    """A run: it begins with a line on the console and ends with a table, a page and the names of files.

    Args:
        config: its settings.
        name: of the task.
        size: how large the task is and what is looked for, in some words.
        call: how the command was called.
        advice: what to do if the run's folder is not empty.
        earlier: lines of the metrics of the run that this one goes on from.
        prepare: writes what the folder begins with besides.

    Attributes:
        config: its settings.
        name: of the task.
        folder: of the run.
        start: of the command.
        deadline: when to begin with the table and the page.

    Raises:
        OSError: when the folder cannot be used.
    """

    def __init__(
        self,
        config: RunConfig,
        name: str,
        size: str,
        call: Invocation,
        advice: str = "name another folder",
        earlier: Sequence[Mapping[str, Any]] = (),
        prepare: Callable[[Path], None] = lambda path: None,
    ) -> None:
        self.config, self.name, self.start = config, name, call.start
        self.deadline = self.start + config.time_limit
        self._console, self._interrupts = call.console, call.interrupts
        self._progress = ProgressLine(call.console)
        self._line: Callable[[], str] = lambda: "beginning"
        self._left = self._enough = False
        self._watching = threading.current_thread()
        self._said = False
        path = run_path(config.run_dir, name)
        self.folder = RunFolder(path, to_yaml(config), advice, earlier, prepare)
        self.say(f"{name}: {size}; writing to {self.folder.path}")

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.perf_counter() - self.start

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.perf_counter()

    @property
    def asked(self) -> bool:
        """Whether the user has asked to stop."""
        return self._interrupts.at is not None

    @property
    def over(self) -> bool:
        """Whether work has to end: the time is over, nothing more is wanted, or nobody waits for it."""
        return self._left or self._enough or self.asked or self.left <= 0

    @property
    def left_behind(self) -> bool:
        """Whether this is work that nobody has waited for: what it finds comes too late to be kept."""
        return self._left and threading.current_thread() is not self._watching

    def enough(self) -> None:
        """Say that nothing more is wanted."""
        self._enough = True

    def leave(self, seconds: float) -> None:
        """Have the deadline so long before all time is over, though not in the first half of it."""
        limit = self.config.time_limit
        self.deadline = self.start + limit - min(seconds, limit / 2)

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(plain(text), soft_wrap=True)

    def note(self, **values: Any) -> None:
        """Add a line to the metrics."""
        self.folder.write({"seconds": round(self.seconds, 3), **values})

    def show(self, line: Callable[[], str]) -> None:
        """Have this shown as progress from now on, between the seconds gone and the seconds left."""
        self._line = line

    def watch(self, work: Callable[[], None]) -> None:
        """Have work done in a thread of its own, while this one shows progress and hears the user.

        Compiling, which nothing can interrupt, is left behind soon after the run is over: what it does then
        is lost.

        Args:
            work: ends by itself, as soon as it can, when the run is `over`.

        Raises:
            OSError: if the run's folder is gone.
            Exception: what the work raises.
        """
        done = aside(work)
        checked, over = time.perf_counter(), None
        try:
            while not wait([done], _LOOK_SECONDS).done:
                now = time.perf_counter()
                if now > checked + _CHECK_SECONDS:
                    self.folder.check()
                    checked = now
                if self.asked:
                    self._confirm()
                if self.over:
                    over = over or now
                    if now > over + _PATIENCE:
                        return
                else:
                    self._progress.show(self._written)
            done.result()
        finally:
            self._left = True
            self.folder.close()
            self._progress.end()

    def _written(self) -> str:
        left = max(0.0, self.config.time_limit - self.seconds)
        words = [f"{self.seconds:5.0f} s", plain(self._line())]
        return "  ".join([*words, f"{left:.0f} s left"] if math.isfinite(left) else words)

    def _confirm(self) -> None:
        if not self._said:
            self._said = True
            self._progress.end()
            self.say("stopping; Ctrl-C again to stop at once")

    def end(
        self,
        command: str,
        table: Rows,
        findings: Findings,
        words: Sequence[str],
        elimination: Callable[[bool], str | None] = lambda hurry: None,
    ) -> bool:
        """Print the table, the verdict and the last words; then write the result and, in time, the report.

        Args:
            command: that this is a run of.
            table: of what was found.
            findings: what was found.
            words: where it is and how it is used, in lines.
            elimination: makes a page to be shown in the report, given whether there is a hurry.

        Returns:
            whether the run came to its own end, and was not asked to stop.

        Raises:
            OSError: if the folder is gone, or something cannot be written.
        """
        self._console.print(table)
        for line in (findings.verdict, *words):
            self.say(line)
        self.folder.check()
        save_result(self.folder.path, self._result(command, findings))
        if self._interrupts.at is None or time.perf_counter() < self._interrupts.at + _PAGE_SECONDS:
            page = elimination(self.asked)
            self.folder.check()
            if page is not None:
                write_atomically(self.folder.path / ELIMINATION, page)
            write_report(self.folder.path)
            self.say(f"report: {self.folder.report}")
        return not self.asked

    def _result(self, command: str, findings: Findings) -> Result:
        return Result(
            task=self.name,
            command=command,
            again=command_line(command, self.config),
            settings=to_yaml(self.config).rstrip(),
            seed=self.config.seed,
            seconds=round(self.seconds, 3),
            ended=datetime.now().isoformat(timespec="seconds"),
            device=device(findings.on_jax),
            versions=versions(),
            findings=findings,
        )
