"""Games that the agents play.

The games themselves are in the modules `vertex`, `compressed` and `tensor`; neither game needs the other.
"""

from ._game import Game, State, advance

__all__ = ["Game", "State", "advance"]
