"""Progress in one line."""

from __future__ import annotations

import time

from rich.console import Console

_QUIET_SECONDS = 5.0


class ProgressLine:
    """A line written over and over on a terminal; anywhere else, a new line every few seconds."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._printed = time.perf_counter()
        self._shown = False

    @property
    def due(self) -> bool:
        """Whether there is something to show again."""
        return self._console.is_terminal or time.perf_counter() - self._printed > _QUIET_SECONDS

    def show(self, line: str) -> None:
        """Print the line in place of the last."""
        if self._console.is_terminal:
            self._console.print(line.ljust(self._console.width - 1), end="\r", soft_wrap=True)
        else:
            self._console.print(line, soft_wrap=True)
        self._printed = time.perf_counter()
        self._shown = True

    def end(self) -> None:
        """Leave the last line where it stands."""
        if self._console.is_terminal and self._shown:
            self._console.print()
