"""`scan`, with it `fori_loop` and `lax.map`, and `while_loop`: the body is eliminated, not the loop.

:mod:`._scan` chooses one of several ways, each of which has a file of its own.
"""

from . import _scan, _while  # they register their rules
from ._flow import follow_loop

__all__ = ["follow_loop"]
