"""The console that commands print to."""

from __future__ import annotations

import errno
import os

from rich.console import Console

_ENDLESS = 2**20  # letters in a line


class CommandConsole(Console):
    """What is printed is data, brackets in it are no markup; a reader who has left raises BrokenPipeError.

    Lines are broken where a terminal ends, and nowhere else.
    """

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False, emoji=False)
        if not self.is_terminal:
            self.width = _ENDLESS

    def on_broken_pipe(self) -> None:
        """Rich would exit, and the process then wait for all that is being compiled."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
