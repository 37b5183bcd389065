"""What somebody meant who misspelt a name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A question that names what a word resembles most, for the middle of an error's text.

    Args:
        word: the word, which is not known. Its case does not matter.
        known: the names that are. One with dots may go by what follows the last of them.

    Returns:
        such as ``"did you mean 'seed'? "``, with the space; nothing if the word resembles no name.
    """
    names = list(known)
    spelt = {name.rsplit(".", 1)[-1].lower(): name for name in reversed(names)}
    spelt |= {name.lower(): name for name in names}
    close = dict.fromkeys(spelt[spelling] for spelling in difflib.get_close_matches(word.lower(), spelt))
    return f"did you mean {' or '.join(map(repr, close))}? " if close else ""
