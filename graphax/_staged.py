"""Computations that are traced aside, so that they can be judged before one of them is run."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
from jax.extend import core

from .timing import Estimated, estimate_of


@dataclass(frozen=True)
class Staged:
    """A computation that has been traced, so that it can be judged before it is run.

    Attributes:
        program: the arrays among its results, as a function of those among its arguments.
        arrays: the arguments.
        leaves: its results, what is no array of JAX; None in the places of the others.
        tree: that of the results.
    """

    program: core.ClosedJaxpr
    arrays: list[Any]
    leaves: list[Any]
    tree: Any

    @classmethod
    def of(cls, fun: Callable[..., Any], *args: Any) -> Staged:
        """Trace a function of arrays."""
        found: list[tuple[list[Any], Any]] = []

        def traced(*args: Any) -> list[Any]:
            leaves, tree = jax.tree.flatten(fun(*args))
            moves = [isinstance(leaf, jax.Array) for leaf in leaves]
            found.append(
                ([None if dynamic else leaf for dynamic, leaf in zip(moves, leaves, strict=True)], tree)
            )
            return list(itertools.compress(leaves, moves))

        program = jax.make_jaxpr(traced)(*args)
        return cls(program, jax.tree.leaves(args), *found[0])

    @cached_property
    def estimate(self) -> Estimated:
        """How long it is estimated to take, and to wait."""
        return estimate_of(self.program)

    @property
    def seconds(self) -> float:
        """How long it is estimated to take."""
        return self.estimate.seconds

    @property
    def outline(self) -> Any:
        """The results without their arrays."""
        return self.tree.unflatten(self.leaves)

    def run(self) -> Any:
        """The results."""
        remaining = iter(core.jaxpr_as_fun(self.program)(*self.arrays))
        return self.tree.unflatten([next(remaining) if leaf is None else leaf for leaf in self.leaves])
