"""Progress in one line."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console

_QUIET_SECONDS = 5.0


class ProgressLine:
    """A line written over and over on a terminal; anywhere else, a new line every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed = time.perf_counter()
        self._shown = False

    def show(self, line: Callable[[], str]) -> None:
        """Print a line in place of the last, if there is something to show again."""
        terminal = self._console.is_terminal
        if not terminal and time.perf_counter() - self._printed <= _QUIET_SECONDS:
            return
        text = line().ljust(self._console.width - 1) if terminal else line()
        self._console.print(text, end="\r" if terminal else "\n", soft_wrap=True)
        self._printed = time.perf_counter()
        self._shown = True

    def end(self) -> None:
        """Leave the last line where it stands."""
        if self._console.is_terminal and self._shown:
            self._console.print()
