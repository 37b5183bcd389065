"""One walk through a flip graph and its random choices. Numba takes half a second to import: only those who
search import this module, and not before they do."""

from __future__ import annotations

import numpy as np

from . import _flips
from ._bits import pack
from ._scheme import standard

_PATIENCE = (1e3, 1e5)  # flips until a plus transition; drawn for every walk
_MARGIN = 4  # products above a walk's lowest rank to which plus transitions may lead, at most


class FlipWalk:
    """One walk and its random choices."""

    def __init__(self, seed: int, number: int) -> None:
        self.random = np.random.default_rng((seed, number))
        self._state = _flips.new_state(2, int(self.random.integers(2**62)))

    @property
    def rank(self) -> int:
        return int(self._state.top[_flips.RANK])

    @property
    def flips(self) -> int:
        return int(self._state.top[_flips.FLIPS])

    def factors(self) -> np.ndarray:
        return self._state.factors[:, : self.rank].copy()

    def compile(self) -> None:
        self.begin(pack(standard(1, 1, 2)))
        self.wander(0, 2)

    def reduced(self, factors: np.ndarray) -> np.ndarray:
        self.begin(factors)
        return self.factors()

    def begin(self, factors: np.ndarray) -> None:
        """Go to a scheme, and draw when plus transitions are made."""
        need = factors.shape[1] + _MARGIN + 2
        # The tables are the faster the smaller they are.
        if not need <= self._state.factors.shape[1] <= max(64, 2 * need):
            top = self._state.top
            self._state = _flips.new_state(need, 0)
            self._state.top[_flips.RANDOM] = top[_flips.RANDOM]
            self._state.top[_flips.FLIPS] = top[_flips.FLIPS]
        _flips.begin(self._state, factors)
        lower, upper = np.log(_PATIENCE)
        self._state.top[_flips.PATIENCE] = int(np.exp(self.random.uniform(lower, upper)))
        self._margin = int(self.random.integers(1, _MARGIN + 1))

    def wander(self, flips: int, rank: int) -> bool:
        """Walk for some flips or until the rank is below the given one; False at a dead end."""
        top = self._state.top
        top[_flips.CEILING] = rank + self._margin
        return bool(_flips.wander(self._state, np.uint64(flips), np.uint64(rank - 1)))
