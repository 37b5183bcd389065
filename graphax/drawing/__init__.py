"""Graphs and eliminations as pictures, and as pages that step through them.

The folder is not named after :func:`graphax.draw`, so that ``graphax.draw`` is the function and nothing else.
"""

from ._draw import Drawing, draw
from ._text import embedded as embedded  # named twice: for alphagrad

__all__ = ["Drawing", "draw"]
