"""A window that slides along a dimension: which entries of an input meet in a result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np


class Meetings(NamedTuple):
    """Results, inputs and places in a window that meet, as many of each."""

    results: np.ndarray
    inputs: np.ndarray
    places: np.ndarray

    def of_entry(self, place: int) -> Meetings:
        """Those at one place of the window."""
        return Meetings(*(array[self.places == place] for array in self))


@dataclass(frozen=True)
class Window:
    """A window that slides along one dimension."""

    in_size: int
    out_size: int
    size: int
    stride: int
    padding: tuple[int, int]
    base_dilation: int
    dilation: int

    @property
    def is_tiling(self) -> bool:
        """Whether the windows cut the input into tiles, so that each result has an input tile of its own."""
        return (
            self.base_dilation == 1
            and tuple(self.padding) == (0, 0)
            and (self.size - 1) * self.dilation < self.stride
            and self.in_size == self.out_size * self.stride
        )

    @property
    def parts(self) -> tuple[int, ...]:
        """The parts of the input dimension: which tile, and where in it."""
        return (self.out_size, self.stride) if self.is_tiling else (self.in_size,)

    @property
    def meetings(self) -> Meetings:
        """What meets, in the order of the results and places."""
        results, places = np.indices((self.out_size, self.size)).reshape(2, -1)
        padded = self.stride * results + self.dilation * places - self.padding[0]
        inputs, rest = np.divmod(padded, self.base_dilation)
        meets = (rest == 0) & (inputs >= 0) & (inputs < self.in_size)
        return Meetings(results[meets], inputs[meets], places[meets])

    def pattern(self) -> np.ndarray:
        """Whether an input (last axis) lies in the window of a result (first axis); of a tile in its own."""
        if self.is_tiling:
            return replace(self, in_size=self.stride, out_size=1, stride=self.stride + 1).pattern()[0]
        place = self.padding[0] + self.base_dilation * np.arange(self.in_size)
        first = self.stride * np.arange(self.out_size)
        step, rest = np.divmod(place[None, :] - first[:, None], self.dilation)
        return (rest == 0) & (step >= 0) & (step < self.size)
