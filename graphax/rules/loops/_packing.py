"""Several arrays as one row of numbers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax.numpy as jnp


@dataclass(frozen=True, eq=False)
class Packing:
    """Named arrays whose numbers lie one after another.

    Attributes:
        shapes: those of the arrays by name, in the order in which they lie. Names are positions, as those of
            a body's inputs are.
    """

    shapes: dict[int, tuple[int, ...]]

    @cached_property
    def size(self) -> int:
        """How many numbers there are."""
        return sum(map(math.prod, self.shapes.values()))

    @cached_property
    def spans(self) -> dict[int, slice]:
        """For every array where its numbers lie."""
        ends = itertools.accumulate(map(math.prod, self.shapes.values()), initial=0)
        return dict(zip(self.shapes, itertools.starmap(slice, itertools.pairwise(ends)), strict=True))

    def places(self, names: Sequence[int]) -> list[int]:
        """Where the numbers of some of the arrays lie, one by one."""
        return [at for name in names for at in range(self.size)[self.spans[name]]]

    def pack(self, arrays: Sequence[Any]) -> Any:
        """One array of those that these are the names of; where there is only one, it keeps its shape."""
        if len(self.shapes) == 1:
            (name,) = self.shapes
            return arrays[name]
        return jnp.concatenate([arrays[name].reshape(-1) for name in self.shapes])

    def unpack(self, packed: Any) -> dict[int, Any]:
        """The arrays by name; leading dimensions of what :meth:`pack` returned, such as steps, are theirs."""
        if len(self.shapes) == 1:
            return dict.fromkeys(self.shapes, packed)
        return {
            name: packed[..., span].reshape(*packed.shape[:-1], *self.shapes[name])
            for name, span in self.spans.items()
        }
