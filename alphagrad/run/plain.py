"""Names and texts of others, as they may be printed: nothing in them acts on whatever shows them."""

from __future__ import annotations

import re

# Control characters (C0, DEL, C1), separators of lines and paragraphs, what changes the direction of text,
# what is invisible, and surrogates, by which Python spells the bytes of file names that are no UTF-8.
_ACTS = re.compile(
    "[\0-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def plain(text: str, keep: str = "") -> str:
    r"""A text with the characters escaped that are no letters to look at but tell a terminal or a page to do
    something: `plain("\x1b[31mred")` is `r"\x1b[31mred"`.

    What has been escaped stays as it is if it is escaped again.

    Args:
        text: whatever a user, a file or an error said.
        keep: characters that stay in any case, such as newlines and tabs of a text of lines.
    """
    return _ACTS.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
