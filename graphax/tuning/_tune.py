"""Measure the ways to a Jacobian on this device, and remember the fastest."""

from __future__ import annotations

import contextlib
import html
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from .. import _notebook
from .._arguments import Argnums
from .._numbers import check_number
from .._tuned import WAYS, Chosen, NoWay, Trial, keep_fastest
from ._derivative import Derivative, Kind
from ._measure import Arguments, compiled_with_seconds, interleaved
from ._table import in_words, table

# A way that is preferred for being simple is left for one that is so much faster.
_MARGIN = 0.97


@dataclass(frozen=True)
class Measured:
    """What was measured of one way to a derivative.

    Attributes:
        seconds: of a call, the median; NaN where the way is none.
        compile_seconds: of the first call, in which it is traced and compiled.
        difference: of results from those by arrays, in parts of their largest entry.
        why_not: why it is not taken, whatever it takes.

    Example:
        >>> from graphax.tuning import Measured
        >>> Measured(seconds=2e-6, compile_seconds=0.1).seconds
        2e-06
    """

    seconds: float = np.nan
    compile_seconds: float = np.nan
    difference: float = np.nan
    why_not: str = ""


@dataclass(frozen=True)
class Tuning:
    """What :func:`tune` measured.

    Attributes:
        function: the call that was tuned.
        device: the kind of device.
        ways: for every way to the derivative what was measured, by its name.
        fastest: the name of the way that is taken from now on.
        path: the file that says so; None where there is no order store.

    Example:
        >>> f = lambda x: x * x[::-1]
        >>> tuning = graphax.tune(f, seconds=0.1)(jnp.ones(2))
        jacve(<lambda>) on cpu
        way ...
        >>> tuning.ways[tuning.fastest].seconds > 0
        True
    """

    function: str
    device: str
    ways: dict[str, Measured]
    fastest: str
    path: Path | None = field(repr=False)

    def __str__(self) -> str:
        return f"{self.function} on {self.device}\n{table(*self._table())}"

    def _repr_html_(self) -> str:
        """The same as a table of HTML."""
        return f"<p>{html.escape(f'{self.function} on {self.device}')}</p>{_notebook.table(*self._table())}"

    def _table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        rows = []
        for name, found in sorted(
            self.ways.items(), key=lambda item: (np.isnan(item[1].seconds), item[1].seconds)
        ):
            mark = "<- taken" if name == self.fastest else found.why_not
            rows.append((name, in_words(found.seconds), in_words(found.compile_seconds), mark))
        return ("way", "a call", "first call", ""), rows


def tune(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    *,
    derivative: Kind = "jacobian",
    in_axes: Any = None,
    seconds: float = 2.0,
    orders: Mapping[str, Sequence[int]] | None = None,
) -> Callable[..., Tuning]:
    """Measure which way to a Jacobian is fastest on this device, and take it from now on.

    The ways are a compiled kernel, operations on arrays in the orders that :func:`graphax.jacve` knows by
    name, and JAX's own modes. ``jacve(fun)`` (``hessve(fun)``) with nothing said takes the fastest of them
    for the same program with the same shapes and dtypes on this kind of device, in this process and, by the
    order store, in later ones; under ``jax.vmap`` what was tuned with ``in_axes``. Modes are measured
    everywhere, and taken where they give the same: not where a zero may meet what is not finite. In a program
    of several processes nothing that was measured is taken, so that all run one program.

    Args:
        fun: the function.
        argnums: the differentiated arguments.
        derivative: ``"jacobian"`` for :func:`graphax.jacve`, ``"hessian"`` for :func:`graphax.hessve`.
        in_axes: for the derivative at every element of a batch, where arguments have it, as for ``jax.vmap``.
        seconds: how long to measure, compiling aside.
        orders: further orders of elimination, by name: vertex numbers as :func:`graphax.trace` prints them.

    Returns:
        a function with the arguments of ``fun`` (of a batch, with ``in_axes``) that measures, prints a table
        and returns what it measured, a :class:`graphax.tuning.Tuning`.

    Raises:
        TypeError, ValueError: as for :func:`graphax.jacve`; when ``seconds`` is not positive.

    Example:
        >>> f = lambda x, scale: scale * x * x[::-1]
        >>> states = jnp.ones((64, 2))
        >>> tuning = graphax.tune(f, in_axes=(0, None), seconds=0.1)(states, 2.0)
        jacve(<lambda>) on cpu
        way ...
        >>> jacobians = jax.jit(jax.vmap(graphax.jacve(f), (0, None)))  # goes the way that was fastest
        >>> jacobians(states, 2.0).shape
        (64, 2, 2)
    """
    asked = Derivative(fun, argnums, derivative, in_axes)
    check_number("seconds", seconds)
    if not seconds > 0:
        raise ValueError(f"seconds={seconds!r} must be positive")
    ways: dict[str, Chosen] = {way: way for way in WAYS}
    for name, order in (orders or {}).items():
        if name in ways:
            raise ValueError(f"orders has {name!r}, which is the name of a way that is measured anyway")
        ways[name] = tuple(order)

    def tuned(*args: Any, **kwargs: Any) -> Tuning:
        given = Arguments(args, kwargs)
        found: dict[str, Measured] = {}
        compiled: dict[str, Callable[..., Any]] = {}
        trial = Trial()
        for name, way in ways.items():
            trial.way, why_not = way, ""
            try:
                compiled[name], taken = compiled_with_seconds(asked.by(trial), given)
            except NoWay as reason:
                why_not, taken = str(reason), np.nan
                if way in ("jacfwd", "jacrev"):  # nobody takes it, everybody wants to know
                    with contextlib.suppress(Exception):
                        compiled[name], taken = compiled_with_seconds(asked.by_jax(way), given)
            found[name] = Measured(compile_seconds=taken, why_not=why_not)
        assert trial.place is not None
        first = compiled["auto"](*args, **kwargs)
        for name, times in interleaved(compiled, given, seconds).items():
            apart = _difference(compiled[name](*args, **kwargs), first)
            found[name] = replace(found[name], seconds=statistics.median(times), difference=apart)
        fastest = _fastest(found)
        measured = {name: found[name].seconds for name in compiled}
        path = keep_fastest(trial.place, ways[fastest], measured)
        result = Tuning(asked.name, trial.place.device, found, fastest, path)
        print(result)
        return result

    return tuned


def _fastest(found: Mapping[str, Measured]) -> str:
    """The fastest way that is right; of those that are as fast the one that is named first."""
    right = [name for name, one in found.items() if not one.why_not]
    least = min(found[name].seconds for name in right)
    return next(name for name in right if _MARGIN * found[name].seconds <= least)


def _difference(found: Any, wanted: Any) -> float:
    """The largest difference of any leaf, in parts of its largest entry."""
    worst = 0.0
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        one, other = np.asarray(one), np.asarray(other)
        largest = float(np.abs(other).max(initial=0.0))
        worst = max(worst, float(np.abs(one - other).max(initial=0.0)) / (largest or 1.0))
    return worst
