"""Tables on the console: in a frame that fits a terminal, or plain rows for other programs."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from .plain import plain

_LONG = 12  # letters of a word


@dataclass(frozen=True)
class Rows:
    """A table, which takes its form when it is printed.

    On a terminal it has a frame, and texts in it are broken between words, so that it fits. Where that cannot
    be without cutting a word, and where the output goes elsewhere, every row is a line, with tabs between its
    cells, its title and caption behind a `#`.

    Attributes:
        title: of the table.
        rows: the names of the columns first.
        left: the columns of words, which begin at the left.
        caption: below the table.
    """

    title: str
    rows: Sequence[Sequence[str]]
    left: Collection[str]
    caption: str = ""

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> Iterator[RenderableType | Segment]:
        """What Rich prints."""
        rows = [[plain(cell) for cell in row] for row in self.rows]
        words = [head in self.left for head in self.rows[0]]
        widths = _widths(rows, words, options.max_width) if console.is_terminal else None
        if widths is not None:
            yield self._framed(rows, words, widths)
            return
        gap = "  " if console.is_terminal else "\t"
        remarks = [f"# {plain(text)}" for text in (self.title, self.caption) if text]
        for line in (remarks[0], *map(gap.join, rows), *remarks[1:]):
            if console.is_terminal:
                yield from _broken(line, options.max_width)
            else:  # as a text its tabs would become spaces
                yield Segment(f"{line}\n")

    def _framed(self, rows: Sequence[Sequence[str]], words: Sequence[bool], widths: Sequence[int]) -> Table:
        # Words have no markup: brackets, and colons around the name of a picture, are what they are.
        table = Table(title=Text(plain(self.title), "table.title"))
        if self.caption:
            table.caption = Text(plain(self.caption), "table.caption")
        for name, text, width in zip(rows[0], words, widths, strict=True):
            table.add_column(Text(name), justify="left" if text else "right", overflow="fold", width=width)
        for row in rows[1:]:
            table.add_row(*map(Text, row))
        return table


def _widths(rows: Sequence[Sequence[str]], words: Sequence[bool], most: int) -> list[int] | None:
    """How wide the columns of a framed table are; None where it does not fit."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(cell_len, column)) for column in columns]
    least = [max(cell_len(word) for cell in column for word in cell.split() or [""]) for column in columns]
    # Names are whole, and so are numbers; a long word of a text may go on in the next line.
    least[1:] = [
        min(width, _LONG) if text else width for width, text in zip(least[1:], words[1:], strict=True)
    ]
    room = most - 3 * len(columns) - 1  # the frame, and a space on either side
    if sum(least) > room:
        return None
    while sum(widths) > room:  # the widest gives way
        _, at = max((width, at) for at, width in enumerate(widths) if width > least[at])
        widths[at] -= 1
    return widths


def _broken(line: str, width: int) -> Iterator[Text]:
    """A line for a narrow terminal, which breaks words if one is longer than that is wide."""
    for part in textwrap.wrap(
        line, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
    ):
        yield Text(part, overflow="fold")
