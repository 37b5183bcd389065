"""Ctrl-C: the first is a wish to stop, the second stops."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import Any

#: What shells report of a command that Ctrl-C ended.
INTERRUPTED = 130


class Interrupts:
    """Hears Ctrl-C while it is entered; what goes on looks at `at`, and ends by itself.

    A second Ctrl-C raises KeyboardInterrupt or, where the process has nothing else to do, ends it.

    Args:
        patience: seconds after the first Ctrl-C at which the process is ended whatever it is doing; None
            where it is not ours to end.

    Attributes:
        at: when Ctrl-C was first heard, in seconds of `time.perf_counter`; None before.
    """

    def __init__(self, patience: float | None = None) -> None:
        self.at: float | None = None
        self._patience = patience
        self._previous: Any = None
        self._pipe: tuple[int, int] | None = None

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():  # no other one may ask for signals
            self._previous = signal.signal(signal.SIGINT, self._hear)
            if os.name == "posix":
                self._pipe = os.pipe()
                for end in self._pipe:
                    os.set_blocking(end, False)
                signal.set_wakeup_fd(self._pipe[1])
        return self

    def __exit__(self, *error: object) -> None:
        if self._pipe is not None:
            signal.set_wakeup_fd(-1)
            for end in self._pipe:
                os.close(end)
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.at is not None or self._came_twice():
            if self._patience is not None:
                self._exit()
            raise KeyboardInterrupt
        self.at = time.perf_counter()
        if self._patience is not None:
            last = threading.Timer(self._patience, self._exit)
            last.daemon = True
            last.start()

    def _came_twice(self) -> bool:
        """Whether two are heard as one, because no thread let go of the interpreter between them."""
        with suppress(OSError):
            return self._pipe is not None and os.read(self._pipe[0], 64).count(signal.SIGINT) > 1
        return False

    def _exit(self) -> None:
        with suppress(OSError):  # no buffers: somebody may be writing to them
            os.write(2, b"\nstopped at once\n")
        os._exit(INTERRUPTED)
