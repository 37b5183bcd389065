"""A function whose pattern of nonzeros is looked for: where, and with respect to what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Function = Callable[..., Any]
Kind = Literal["jacobian", "hessian"]
#: How many points are probed near the point, and how many anywhere.
_NEAR, _WIDE = 6, 400


@dataclass(frozen=True)
class Case:
    """A function and its derivative whose pattern is wanted.

    The true pattern of a derivative is where it is not zero for some arguments of these shapes. By default
    every entry of the arguments is moved by up to a quarter to find it.

    Attributes:
        name: of the function.
        fun: the function.
        point: its arguments, pytrees of NumPy arrays.
        argnums: the differentiated arguments.
        kind: a Jacobian, or the Hessian of a scalar function.
        holomorphic: whether the derivative is a complex one, as `jax.jacfwd` takes the word.
        wide: whether a function that selects is to be probed at arguments of any sign and order, integers
            (from zero to one above the largest) included.
        by_values: whether the pattern that is wanted is that at the point, as where integers that are
            arguments say what is taken.
        cancelling: how many entries are sums that are always zero, or products with a zero of a loop's start.
        reason: why the pattern that is found has more than the true one, where it does.
        field: what is differentiated.
    """

    name: str
    fun: Function
    point: tuple[Any, ...]
    argnums: int | tuple[int, ...] = 0
    kind: Kind = "jacobian"
    holomorphic: bool = False
    wide: bool = False
    by_values: bool = False
    cancelling: int = 0
    reason: str = ""
    field: str = ""

    def by_jax(self) -> list[Function]:
        """The derivative by JAX's modes, of which some may not apply."""
        fun, argnums = self.fun, self.argnums
        if self.kind == "hessian":
            return [jax.hessian(fun, argnums), jax.jacfwd(jax.jacfwd(fun, argnums), argnums)]
        modes = [mode(fun, argnums, holomorphic=self.holomorphic) for mode in (jax.jacfwd, jax.jacrev)]
        return modes if isinstance(argnums, tuple) else [*modes, partial(_column_by_column, fun, argnums)]

    def arguments(self) -> tuple[Any, ...]:
        """The point, as arrays of JAX."""
        return jax.tree.map(_as_array, self.point)

    def probes(self, seed: int = 0) -> list[tuple[Any, ...]]:
        """Arguments at which some of all that may be nonzero is."""
        rng = np.random.default_rng(seed)
        near = [jax.tree.map(lambda leaf: _moved(leaf, rng), self.point) for _ in range(_NEAR)]
        count = _WIDE if self.wide else 0
        return near + [jax.tree.map(lambda leaf: _anywhere(leaf, rng), self.point) for _ in range(count)]


def _column_by_column(fun: Function, argnum: int, *args: Any) -> jax.Array:
    """The Jacobian by one array without `jax.vmap`, through which some operations of JAX do not pass."""

    def moved(x: jax.Array) -> Any:
        return fun(*args[:argnum], x, *args[argnum + 1 :])

    x = args[argnum]
    directions = jnp.eye(x.size, dtype=x.dtype).reshape(x.size, *x.shape)
    columns = lax.map(lambda direction: jax.jvp(moved, (x,), (direction,))[1], directions)
    return jnp.moveaxis(columns, 0, -1).reshape(*columns.shape[1:], *x.shape)


def _as_array(leaf: Any) -> jax.Array:
    array = np.asarray(leaf)
    return jnp.asarray(array, jax.dtypes.canonicalize_dtype(array.dtype))


def _moved(leaf: Any, rng: np.random.Generator) -> jax.Array:
    array = np.asarray(leaf)
    if np.issubdtype(array.dtype, np.inexact):
        array = array * rng.uniform(0.75, 1.25, array.shape)
    return _as_array(array)


def _anywhere(leaf: Any, rng: np.random.Generator) -> jax.Array:
    """Like it in shape and size, but of any sign; integers from zero to one above the largest."""
    array = np.asarray(leaf)
    if np.issubdtype(array.dtype, np.inexact):
        return _as_array(rng.normal(size=array.shape) * np.abs(array).max(initial=1e-3))
    return _as_array(rng.integers(0, int(array.max()) + 2, array.shape, array.dtype))


class Collection:
    """Cases of one subject in the order of their definition, by the decorator `case`.

    Attributes:
        subject: what they have in common.
        rng: what their arguments and constants are drawn from.
        cases: themselves.
    """

    def __init__(self, subject: str, seed: int) -> None:
        self.subject = subject
        self.rng = np.random.default_rng(seed)
        self.cases: list[Case] = []

    def normal(self, *shape: int) -> np.ndarray:
        """Normal entries in an array of this shape."""
        return self.rng.normal(size=shape)

    def case(
        self,
        *point: Any,
        argnums: int | tuple[int, ...] = 0,
        kind: Kind = "jacobian",
        holomorphic: bool = False,
        wide: bool = False,
        by_values: bool = False,
        cancelling: int = 0,
        reason: str = "",
    ) -> Callable[[Function], Function]:
        """Take the function that follows into the collection; the arguments are those of `Case`."""

        def take(fun: Function) -> Function:
            field = (fun.__doc__ or "").strip().splitlines()[0]
            flags = holomorphic, wide, by_values
            case = Case(fun.__name__, fun, point, argnums, kind, *flags, cancelling, reason, field)
            self.cases.append(case)
            return fun

        return take
