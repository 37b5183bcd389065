"""Progress in one line."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console

_TERMINAL_SECONDS, _QUIET_SECONDS = 0.5, 3.0


class ProgressLine:
    """A line written over and over on a terminal; anywhere else, a new line every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._next = time.perf_counter()
        self._shown = False

    def show(self, line: Callable[[], str]) -> None:
        """Print a line in place of the last, if it is time to."""
        if time.perf_counter() < self._next:
            return
        terminal, text = self._console.is_terminal, line()
        if terminal:  # a line that is broken cannot be written over
            width = self._console.width - 1
            text = text[:width].ljust(width)
        self._console.print(text, end="\r" if terminal else "\n", soft_wrap=True)
        self._next = time.perf_counter() + (_TERMINAL_SECONDS if terminal else _QUIET_SECONDS)
        self._shown = True

    def end(self) -> None:
        """Leave the last line where it stands."""
        if self._console.is_terminal and self._shown:
            self._console.print()
            self._shown = False
