"""The console that commands print to."""

from __future__ import annotations

import errno
import os

from rich.console import Console


class CommandConsole(Console):
    """What is printed is data, brackets in it are no markup; a reader who has left raises BrokenPipeError."""

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False, emoji=False)

    def on_broken_pipe(self) -> None:
        """Rich would exit, and the process then wait for all that is being compiled."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
