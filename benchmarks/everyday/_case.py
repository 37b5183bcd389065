"""A function to be differentiated: where, with respect to what, how often, and at how many points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

Function = Callable[..., Any]
Kind = Literal["jacobian", "hessian", "gradient"]


@dataclass(frozen=True)
class Case:
    """A function and its derivative that is wanted.

    Attributes:
        name: of the function; with the batch, if there is one.
        fun: the function.
        point: its arguments, pytrees of NumPy arrays.
        argnums: the differentiated arguments.
        kind: a Jacobian, or the Hessian or the gradient of a scalar function.
        batch: at how many points at once, under `jax.vmap`; None for one point and no `vmap`.
        shared: the arguments that all points of a batch have in common.
        field: where functions like it come from.
    """

    name: str
    fun: Function
    point: tuple[Any, ...]
    argnums: int | tuple[int, ...] = 0
    kind: Kind = "jacobian"
    batch: int | None = None
    shared: tuple[int, ...] = ()
    field: str = ""

    @property
    def axes(self) -> tuple[int | None, ...]:
        """The mapped axis of every argument, as `jax.vmap` takes them."""
        return tuple(None if at in self.shared else 0 for at in range(len(self.point)))

    def by_jax(self) -> dict[str, Function]:
        """The derivative by JAX, of one set of arguments, by the name of the mode."""
        fun, argnums = self.fun, self.argnums
        if self.kind == "gradient":
            return {"grad": jax.grad(fun, argnums)}
        if self.kind == "hessian":
            twice = jax.jacrev(jax.jacrev(fun, argnums), argnums)
            return {"hessian": jax.hessian(fun, argnums), "jacrev(jacrev)": twice}
        return {"jacfwd": jax.jacfwd(fun, argnums), "jacrev": jax.jacrev(fun, argnums)}

    def sample(self, seed: int = 0) -> tuple[Any, ...]:
        """The arguments: for a batch near the point, every entry changed by up to a twentieth."""
        rng = np.random.default_rng(seed)
        points = () if self.batch is None else (self.batch,)

        def drawn(leaf: Any, mapped: bool) -> jax.Array:
            array = np.asarray(leaf)
            if mapped and np.issubdtype(array.dtype, np.inexact):
                array = array * rng.uniform(0.95, 1.05, (*points, *array.shape))
            elif mapped:
                array = np.broadcast_to(array, (*points, *array.shape))
            return jnp.asarray(array, jax.dtypes.canonicalize_dtype(array.dtype))

        return tuple(
            jax.tree.map(
                lambda leaf, at=at: drawn(leaf, self.batch is not None and at not in self.shared), arg
            )
            for at, arg in enumerate(self.point)
        )


class Collection:
    """Cases in the order of their definition, by the decorator `case`."""

    def __init__(self) -> None:
        self.cases: list[Case] = []

    def case(
        self,
        *point: Any,
        argnums: int | tuple[int, ...] = 0,
        kind: Kind = "jacobian",
        batch: int | Sequence[int | None] | None = None,
        shared: tuple[int, ...] = (),
    ) -> Callable[[Function], Function]:
        """Take the function that follows into the collection, with every batch that is named.

        Args:
            point: its arguments.
            argnums, kind, batch, shared: as in `Case`.
        """

        def take(fun: Function) -> Function:
            for size in batch if isinstance(batch, Sequence) else (batch,):
                name = fun.__name__ if size is None else f"{fun.__name__}, batch {size}"
                field = (fun.__doc__ or "").strip().splitlines()[0]
                self.cases.append(Case(name, fun, point, argnums, kind, size, shared, field))
            return fun

        return take
