"""Derivatives of random programs beside JAX's, and what a failure is brought down to."""

from __future__ import annotations

import functools
import re
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from program_text import Program

from graphax import FallbackWarning, gradient, hessve, jacve, trace

ORDERS = ("forward", "reverse", "auto", "random")
#: How loop bodies are eliminated, by the order of what surrounds them.
BODY_ORDERS = {"random": "markowitz"}
TOLERANCE = {True: 1e-9, False: 2e-3}  # by whether all is of double precision
#: Smaller derivatives may be what rounding leaves of larger terms.
SMALLEST = 1e-3
#: Of programs with larger derivatives rounding alone may pass the tolerance, and products may overflow.
STEEPEST = 1e6
#: Compiling takes longer than running does.
_QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@dataclass(frozen=True)
class Outcome:
    """What a comparison found.

    Attributes:
        kind: ``"equal"``, ``"different"``, ``"not finite"``, ``"refused"``, or why nothing was compared.
        detail: the error, or how far the result is off.
    """

    kind: str
    detail: str = ""

    @property
    def failed(self) -> bool:
        return self.kind in ("different", "not finite", "refused")

    @property
    def cause(self) -> str:
        """The same for failures that look alike."""
        return (
            f"{self.kind}: {re.sub(r'[0-9]+', '#', self.detail)[:160]}"
            if self.kind == "refused"
            else self.kind
        )


@dataclass(frozen=True)
class Derivative:
    """A derivative of programs.

    Attributes:
        of_jax: functions of the program that make it by JAX, one for each composition of modes.
        ours: a function of the program and an order.
    """

    of_jax: tuple[Callable[[Program], Any], ...]
    ours: Callable[[Program, str], Any]


def _jacobian(program: Program, order: str) -> Any:
    def fun(*args: Any) -> Any:
        return jacve(
            program.fun,
            order=_order(program.fun, program, args, order),
            argnums=program.argnums,
            body_order=BODY_ORDERS.get(order, order),
        )(*args)

    return fun


def _hessian(program: Program, order: str) -> Any:
    scalar = total(program)

    def fun(*args: Any) -> Any:
        return hessve(
            scalar,
            order=_order(gradient(scalar, program.argnums), program, args, order),
            argnums=program.argnums,
            body_order=BODY_ORDERS.get(order, order),
        )(*args)

    return fun


def _nested(program: Program, order: str) -> Any:
    def inner(*args: Any) -> Any:
        named = "reverse" if order == "random" else order
        return jacve(total(program), order=named, argnums=program.argnums, body_order=named)(*args)

    def fun(*args: Any) -> Any:
        return jacve(
            inner,
            order=_order(inner, program, args, order),
            argnums=program.argnums,
            body_order=BODY_ORDERS.get(order, order),
        )(*args)

    return fun


def _order(fun: Callable[..., Any], program: Program, args: Any, order: str) -> Any:
    """The order by its name, or some permutation of the vertices."""
    if order != "random":
        return order
    vertices = trace(fun, program.argnums)(*args).eliminable
    return np.random.default_rng(len(vertices)).permutation(vertices).tolist()


def total(program: Program) -> Callable[..., Any]:
    """The program followed by a weighted sum of its results."""

    def fun(*args: Any) -> Any:
        return sum(
            jnp.sum(jnp.cos(1.0 + jnp.arange(y.size, dtype=float).reshape(y.shape)) * y)
            for y in map(jnp.asarray, program.fun(*args))
        )

    return fun


def _twice(outer: Any, inner: Any) -> Callable[[Program], Any]:
    return lambda program: outer(inner(total(program), program.argnums), program.argnums)


_MODES = (jax.jacfwd, jax.jacrev)
_OF_GRADIENT = tuple(_twice(way, jax.jacrev) for way in _MODES)
_OF_PUSHED = tuple(_twice(way, jax.jacfwd) for way in _MODES)
DERIVATIVES = {
    "jacobian": Derivative(
        tuple(lambda program, way=way: way(program.fun, program.argnums) for way in _MODES), _jacobian
    ),
    "hessve": Derivative(_OF_GRADIENT + _OF_PUSHED, _hessian),
    "jacve of jacve": Derivative(_OF_GRADIENT + _OF_PUSHED, _nested),
}


def compare(program: Program, derivative: str, orders: tuple[str, ...] = ORDERS) -> dict[str, Outcome]:
    """What comes of every order."""
    wanted = DERIVATIVES[derivative]
    references = _References(program, wanted.of_jax)
    if references.first is None:
        return dict.fromkeys(orders, Outcome("JAX has none"))
    if not all(np.abs(x[np.isfinite(x)]).max(initial=0) < STEEPEST for x in references.first):
        return dict.fromkeys(orders, Outcome("too steep"))
    return {order: _judge(found, references) for order, found in _ours(program, wanted, orders).items()}


def _ours(program: Program, wanted: Derivative, orders: tuple[str, ...]) -> dict[str, Any]:
    """The arrays for every order, or an error; a program that is left to JAX's own mode counts as refused."""
    ways = {order: wanted.ours(program, order) for order in orders}
    try:
        with warnings.catch_warnings(action="error", category=FallbackWarning):
            together = _run(lambda *args: [ways[order](*args) for order in orders], program)
        each = len(together) // len(orders)
        return {order: together[at * each : (at + 1) * each] for at, order in enumerate(orders)}
    except Exception as error:
        if len(orders) == 1:
            return {orders[0]: error}
    return {order: found for one in orders for order, found in _ours(program, wanted, (one,)).items()}


def _run(fun: Callable[..., Any], program: Program) -> list[np.ndarray]:
    found = jax.jit(fun, compiler_options=_compiler_options())(*program.point)
    return [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(found)]


@functools.cache
def _compiler_options() -> dict[str, Any] | None:
    """Those that make compilation quick, if there are such: options of XLA come and go."""
    try:
        jax.jit(lambda x: x, compiler_options=_QUICKLY)(0.0)
    except Exception:
        return None
    return _QUICKLY


class _References:
    """JAX's results, computed when they are needed.

    Attributes:
        first: the arrays of the first composition of modes that works, or None.
        exact: whether all is of double precision.
    """

    def __init__(self, program: Program, ways: tuple[Callable[[Program], Any], ...]):
        self.exact = "float32" not in program.features
        self._program, self._ways = program, iter(ways)
        self._known: list[list[np.ndarray]] = []
        self.first = next(iter(self), None)

    def __iter__(self) -> Iterator[list[np.ndarray]]:
        yield from self._known
        for way in self._ways:
            try:
                self._known.append(_run(way(self._program), self._program))
            except (TypeError, ValueError, NotImplementedError):
                continue  # JAX lacks the mode
            yield self._known[-1]


def _judge(found: Any, references: _References) -> Outcome:
    """Every entry is that of some composition of JAX's modes, and finite where one of theirs is."""
    if isinstance(found, Exception):
        return Outcome("refused", f"{type(found).__name__}: {found}")
    right = [np.zeros(x.shape, bool) for x in found]
    finite = [np.zeros(x.shape, bool) for x in found]
    worst = 0.0
    for expected in references:
        off = _excess(found, expected, TOLERANCE[references.exact])
        for at, (one, e) in enumerate(zip(off, expected, strict=True)):
            right[at] |= one <= 1
            finite[at] |= np.isfinite(e)
        if all((r | ~(np.isfinite(x) | f)).all() for r, f, x in zip(right, finite, found, strict=True)):
            if all(r.all() for r in right):
                return Outcome("equal")
        worst = worst or max(float(np.max(one, initial=0)) for one in off)
    if any((f & ~np.isfinite(x)).any() for f, x in zip(finite, found, strict=True)):
        return Outcome("not finite")
    if any((f & ~r).any() for f, r in zip(finite, right, strict=True)):
        return Outcome("different", f"by {worst * TOLERANCE[references.exact]:.1e}")
    return Outcome("equal where JAX is finite")


def _excess(found: list[np.ndarray], expected: list[np.ndarray], tolerance: float) -> list[np.ndarray]:
    """How far entries are off, in units of what is allowed; inf where one is not finite."""
    scale = max([SMALLEST, *(np.abs(e[np.isfinite(e)]).max(initial=0.0) for e in expected)])
    off = [np.abs(a - e) / (tolerance * (np.abs(e) + scale)) for a, e in zip(found, expected, strict=True)]
    return [np.where(np.isfinite(one), one, np.inf) for one in off]


def shrink(program: Program, derivative: str, order: str, seconds: float = 60.0) -> tuple[Program, Outcome]:
    """The least program found that fails in the same way, and how it fails."""
    cause = (outcome := compare(program, derivative, (order,))[order]).cause
    end = time.monotonic() + seconds
    tried = set()
    improved = True
    while improved:
        improved = False
        for simpler in program.simpler():
            if time.monotonic() > end:
                return program, outcome
            if simpler.text + str(simpler.argnums) in tried:
                continue
            tried.add(simpler.text + str(simpler.argnums))
            try:
                found = compare(simpler, derivative, (order,))[order]
            except Exception:
                continue  # what is left is no program
            if found.cause == cause:
                program, outcome, improved = simpler, found, True
                break
    return program, outcome
