"""Help in lines that fit the terminal, without a name being cut."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator, Sequence

_WIDEST, _NARROWEST = 100, 30


def columns(entries: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Names and what they mean, in two columns; a narrow terminal gets one below the other."""
    indent = 4 + max((len(name) for name, _ in entries), default=0)
    below = _width() - indent < _NARROWEST
    for name, meaning in entries:
        if below:
            yield f"  {name}"
            yield from wrapped(meaning, " " * 6)
        else:
            first, *others = wrapped(meaning, " " * indent)
            yield f"  {name:{indent - 2}}{first[indent:]}"
            yield from others


def wrapped(text: str, indent: str = "") -> list[str]:
    """The lines of a text."""
    return textwrap.wrap(
        text,
        max(_width(), len(indent) + 1),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _width() -> int:
    return min(shutil.get_terminal_size().columns, _WIDEST)
