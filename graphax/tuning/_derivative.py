"""A derivative to be tuned or explained: a function, the arguments that count, and the ways to go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import jax

from .._arguments import Argnums, check_callable
from .._hessian import hessian_of
from .._jacobian import with_value, without_value
from .._tuned import Trial
from .._ways import Options

Kind = Literal["jacobian", "hessian"]


@dataclass(frozen=True)
class Derivative:
    """The derivative of a function, or of every element of a batch.

    Attributes:
        fun: the function.
        argnums: its differentiated arguments.
        kind: whether the Jacobian is meant or the Hessian.
        in_axes: where arguments have the batch, as for ``jax.vmap``; None if there is none.
    """

    fun: Callable[..., Any]
    argnums: Argnums
    kind: Kind
    in_axes: Any

    def __post_init__(self) -> None:
        check_callable(self.fun)
        if self.kind not in get_args(Kind):
            raise ValueError(f"derivative must be 'jacobian' or 'hessian', got {self.kind!r}")

    @property
    def name(self) -> str:
        """The call of graphax that it is, as a user would write it."""
        call = "hessve" if self.kind == "hessian" else "jacve"
        return f"{call}({getattr(self.fun, '__name__', type(self.fun).__name__)})"

    def by(self, trial: Trial) -> Callable[..., Any]:
        """The derivative in the way that a trial says."""
        of_hessian = self.kind == "hessian"
        options = Options(
            has_aux=False,
            holomorphic=False,
            allow_int=False,
            sparse=False,
            body_order="auto",
            kernel="auto",
            value=False,
            as_hessian=of_hessian,
            trial=trial,
        )
        if of_hessian:
            return self._batched(hessian_of(self.fun, self.argnums, "auto", options))
        return self._batched(without_value(with_value(self.fun, self.argnums, "auto", options), False))

    def by_jax(self, mode: Literal["jacfwd", "jacrev"]) -> Callable[..., Any]:
        """The derivative as one takes it without graphax."""
        of_result = {"jacfwd": jax.jacfwd, "jacrev": jax.jacrev}[mode]
        inner = jax.jacrev(self.fun, self.argnums) if self.kind == "hessian" else self.fun
        return self._batched(of_result(inner, self.argnums))

    def _batched(self, fun: Callable[..., Any]) -> Callable[..., Any]:
        return fun if self.in_axes is None else jax.vmap(fun, self.in_axes)
