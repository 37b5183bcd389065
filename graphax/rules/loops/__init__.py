"""`scan`, with it `fori_loop` and `lax.map`, and `while_loop`: the body is eliminated, not the loop.

:mod:`._scan` chooses one of several ways, each of which has a file of its own.
"""

from . import _while  # noqa: F401  (it registers its rule)
from ._flow import follow_loop
from ._scan import worth_pulling

__all__ = ["follow_loop", "worth_pulling"]
