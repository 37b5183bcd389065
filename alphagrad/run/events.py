"""Metrics as TensorBoard reads them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
from tensorboardX.summary import scalar


class Events:
    """A file of events. They are written at once: the usual writer has a thread for it, and when a full disk
    has ended that, whoever hands it an event waits for ever.

    Args:
        path: the folder.

    Raises:
        OSError: here and later, if the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        # What stands before a colon would be taken for the name of a cloud.
        self._writer = EventsWriter(str(path.resolve() / "events"))
        self._writer.flush()

    def write(self, step: int, values: Mapping[str, float | None]) -> None:
        """Add what is known of the values at a step."""
        for name, value in values.items():
            if value is not None:
                event = Event(wall_time=time.time(), step=step, summary=scalar(name, value))
                self._writer.write_event(event)

    def flush(self) -> None:
        """Write what has been added."""
        self._writer.flush()

    def close(self) -> None:
        """Finish the file; what cannot be written is lost, of which `write` and `flush` have told."""
        with suppress(OSError):
            self._writer.close()
