"""A function of one array whose Jacobian, or Hessian, is sparse, and where it is evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

Function = Callable[[jax.Array], jax.Array]
Kind = Literal["jacobian", "hessian"]


@dataclass(frozen=True)
class Problem:
    """A function and its derivative that is wanted.

    Attributes:
        name: of the function, in words.
        make: from a size to the function and the point, an array of NumPy.
        size: that it is measured at.
        smoke: a size for a test of the benchmark itself.
        kind: a Jacobian, or the Hessian of a number.
    """

    name: str
    make: Callable[[int], tuple[Function, np.ndarray]]
    size: int
    smoke: int
    kind: Kind = "jacobian"

    def at(self, size: int | None = None) -> tuple[Function, jax.Array]:
        """The function, a new one that JAX has not seen, and its argument."""
        fun, point = self.make(self.size if size is None else size)
        return lambda x: fun(x), jnp.asarray(point)

    def flat(self, size: int | None = None) -> tuple[Function, jax.Array]:
        """The same from a vector to a vector, or to a number, as some want it."""
        fun, point = self.at(size)
        result_shape = () if self.kind == "hessian" else (-1,)
        return lambda x: fun(x.reshape(point.shape)).reshape(result_shape), point.reshape(-1)


class Collection:
    """Problems of one subject in the order of their definition, by the decorator `problem`.

    Attributes:
        problems: themselves.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def problem(self, size: int, smoke: int, kind: Kind = "jacobian") -> Callable[[Any], Any]:
        """Take what makes a function of a size into the collection."""

        def take(make: Any) -> Any:
            self.problems.append(Problem(make.__name__.replace("_", " "), make, size, smoke, kind))
            return make

        return take


def uniform(*shape: int, seed: int = 0) -> np.ndarray:
    """Entries between 0.5 and 1.5."""
    return np.random.default_rng(seed).uniform(0.5, 1.5, shape)


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)
