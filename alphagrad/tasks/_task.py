"""A task: a function, the inputs it makes sense for, and what is known about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Uniform(NamedTuple):
    """An array argument whose entries are valid anywhere between `low` and `high`."""

    low: float
    high: float
    shape: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Task:
    """A function with example inputs, to be differentiated.

    Attributes:
        name: what `alphagrad.tasks.load` calls it.
        fun: the function, written so that its jaxpr has one equation per written operation.
        args: example inputs; anything that is not a JAX array yet becomes one of the default dtype.
        argnums: the positions of the arguments that are differentiated.
        domain: the field the function comes from.
        published: published multiplications with unit edges counted, by method (`forward`,
            `reverse`, `markowitz`, `learned`, `ppo`), or `None`.
        source: where the formula was published.
        bounds: for each argument the lowest and highest valid value of its entries. Without it,
            `sample` scales the example inputs by factors between 0.9 and 1.1.

    Raises:
        TypeError: if `name` is no text, or `fun` no function.
        ValueError: if `argnums` or `bounds` do not fit `args`.

    Example:
        >>> task = tasks.Task("mine", lambda x, y: jnp.sin(x) * y, args=(1.0, 2.0), argnums=(0, 1))
        >>> graphax.trace(task.fun, task.argnums)(*task.args).eliminable
        (1,)
        >>> x, y = task.sample(jax.random.key(0), batch=8)
        >>> x.shape
        (8,)
    """

    name: str
    fun: Callable[..., Any]
    args: tuple[Any, ...]
    argnums: tuple[int, ...]
    domain: str = "unknown"
    published: Mapping[str, int] | None = None
    source: str = ""
    bounds: tuple[tuple[float, float], ...] | None = None

    def __post_init__(self):
        if not isinstance(self.name, str):
            raise TypeError(f"name={self.name!r} of a task must be a text")
        if not callable(self.fun):
            raise TypeError(f"fun={self.fun!r} of task {self.name!r} must be a function")
        if any(not 0 <= number < len(self.args) for number in self.argnums):
            raise ValueError(
                f"argnums={self.argnums} of task {self.name!r} must lie between 0 and "
                f"{len(self.args) - 1}, the positions of its {len(self.args)} arguments"
            )
        if self.bounds is not None and len(self.bounds) != len(self.args):
            raise ValueError(
                f"task {self.name!r} has {len(self.args)} arguments but {len(self.bounds)} bounds; "
                "give one (low, high) pair for each argument"
            )
        object.__setattr__(self, "args", jax.tree.map(_as_array, tuple(self.args)))

    def sample(self, key: jax.Array, batch: int | None = None) -> tuple[Any, ...]:
        """Draws random inputs at which the function and its derivatives are finite.

        Args:
            key: a JAX random key; equal keys give equal inputs.
            batch: if given, the size of a leading axis of independent draws on every array.

        Returns:
            Arrays of the same structure and dtypes as `args`. Integer arrays are repeated, not
            drawn.
        """
        lead = () if batch is None else (batch,)
        leaves, treedef = jax.tree.flatten(self.args)
        keys = jax.random.split(key, len(leaves))
        if self.bounds is None:
            drawn = [_perturb(k, leaf, lead) for k, leaf in zip(keys, leaves, strict=True)]
        else:
            drawn = [
                _between(k, leaf, low, high, lead)
                for k, leaf, (low, high) in zip(keys, leaves, self.bounds, strict=True)
            ]
        return jax.tree.unflatten(treedef, drawn)


def _as_array(x: Any) -> jax.Array:
    # Through NumPy, because a JAX array made from a Python number would be weakly typed.
    return x if isinstance(x, jax.Array) else jnp.asarray(np.asarray(x))


def _between(key: jax.Array, example: jax.Array, low: Any, high: Any, lead: tuple[int, ...]) -> jax.Array:
    return jax.random.uniform(key, lead + example.shape, example.dtype, low, high)


def _perturb(key: jax.Array, example: jax.Array, lead: tuple[int, ...]) -> jax.Array:
    if not jnp.issubdtype(example.dtype, jnp.floating):
        return jnp.broadcast_to(example, lead + example.shape)
    return example * _between(key, example, 0.9, 1.1, lead)


@dataclass(frozen=True)
class Declaration:
    """A task on paper: no array exists before `task` is called.

    Attributes:
        name, fun, domain, source, published: as in `Task`.
        inputs: the valid inputs, one entry for each argument.
        argnums: the differentiated arguments; `None` means all.
    """

    name: str
    fun: Callable[..., Any]
    inputs: tuple[Uniform, ...]
    domain: str
    source: str
    published: Mapping[str, int] | None = None
    argnums: tuple[int, ...] | None = None

    def task(self) -> Task:
        """The task, its example inputs being one fixed draw in the default dtype of this moment."""
        rng = np.random.default_rng(0)
        return Task(
            name=self.name,
            fun=self.fun,
            args=tuple(rng.uniform(low, high, shape) for low, high, shape in self.inputs),
            argnums=tuple(range(len(self.inputs))) if self.argnums is None else self.argnums,
            domain=self.domain,
            published=self.published,
            source=self.source,
            bounds=tuple((low, high) for low, high, _ in self.inputs),
        )
