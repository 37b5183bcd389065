"""Text as pictures and pages show it: the files beside this one, words cut, counted and escaped."""

from __future__ import annotations

import functools
import json
import re
from html import escape
from importlib.resources import files
from typing import Any


@functools.cache
def shipped(file: str) -> str:
    """The text of a file that ships in this folder, such as a style sheet."""
    return files("graphax.drawing").joinpath(file).read_text(encoding="utf-8")


def shortened(text: str, length: int = 220) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def amount(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def clean(text: str) -> str:
    """Text as it may stand in XML and HTML, between tags or in quotes."""
    return escape(re.sub(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text))


def embedded(data: Any) -> str:
    """Data as JSON that may stand in a script element, whatever its strings hold."""
    text = json.dumps(data, separators=(",", ":"))  # ASCII, so line separators are escaped already
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
