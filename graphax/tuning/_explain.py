"""Which way to a Jacobian is taken with nothing said, and why."""

from __future__ import annotations

import html
import math
from collections.abc import Callable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import jax

from .. import _notebook
from .._arguments import Argnums
from .._tuned import WAYS, NoWay, Trial, known_seconds
from ..files import write_atomically
from ..timing import estimated_seconds, kind_of, seconds_by_line
from ._derivative import Derivative, Kind
from ._table import in_words, table

# So many lines of the user's code are named.
_LINES = 8


@dataclass(frozen=True)
class Candidate:
    """A way to a derivative.

    Attributes:
        estimate: seconds of a call for one element of a batch, as estimated; NaN where the way is none.
        operations: how many operations on arrays it is.
        measured: seconds of a call, as :func:`graphax.tune` measured them; NaN if nobody asked for that.
        why_not: why it cannot be taken, if so.

    Example:
        >>> explanation = graphax.explain(lambda x: jnp.sin(x) * x[::-1])(jnp.ones(100))
        >>> reverse = explanation.ways["reverse"]
        >>> reverse.estimate > 0, reverse.operations > 0, reverse.why_not
        (True, True, '')
    """

    estimate: float = math.nan
    operations: int = 0
    measured: float = math.nan
    why_not: str = ""


@dataclass(frozen=True)
class Explanation:
    """What :func:`explain` found; printed, it is a table, and in a notebook a page.

    Attributes:
        function: the call that is explained.
        device: the kind of device.
        ways: the candidates, by name.
        taken: the one that is taken with nothing said.
        why: the reason for that, a sentence.
        lines: for lines of the user's code the estimated seconds of a call that they are responsible for.

    Example:
        >>> import os, tempfile
        >>> explanation = graphax.explain(lambda x: jnp.sin(x) * x[::-1])(jnp.ones(100))
        >>> explanation.taken in explanation.ways
        True
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     explanation.save(os.path.join(folder, "why.html")).name
        'why.html'
    """

    function: str
    device: str
    ways: dict[str, Candidate]
    taken: str
    why: str
    lines: dict[str, float]

    def __str__(self) -> str:
        parts = [f"{self.function} on {self.device}: {self.taken}. {self.why}", "", table(*self._ways())]
        if self.lines:
            parts += ["", table(*self._lines())]
        return "\n".join(parts)

    def _ways(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        head = ("way", "estimated", "measured", "operations", "")
        rows = [
            (
                name,
                in_words(found.estimate),
                in_words(found.measured),
                str(found.operations or ""),
                "<- taken" if name == self.taken else found.why_not,
            )
            for name, found in self.ways.items()
        ]
        return head, rows

    def _lines(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        total = sum(self.lines.values()) or 1.0
        longest = list(self.lines.items())[:_LINES]
        rows = [(line or "(no line)", in_words(t), f"{100 * t / total:.0f} %") for line, t in longest]
        return ("line", "estimated", "share"), rows

    def _repr_html_(self) -> str:
        """The same as tables of HTML."""
        heading = html.escape(f"{self.function} on {self.device}: {self.taken}")
        parts = [f"<h2>{heading}</h2><p>{html.escape(self.why)}</p>", _notebook.table(*self._ways())]
        if self.lines:
            parts += ["<h3>Where the time goes</h3>", _notebook.table(*self._lines())]
        return "".join(parts)

    def save(self, path: str | PathLike[str]) -> Path:
        """Write a page that needs nothing else, atomically.

        Args:
            path: the file, which is replaced if it exists.

        Returns:
            its path.

        Raises:
            OSError: where it cannot be written; what was there stays.
        """
        target = Path(path)
        title = html.escape(self.function)
        write_atomically(target, _PAGE.format(title=title, body=self._repr_html_()))
        return target


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
:root {{ color-scheme: light dark; font-family: system-ui, sans-serif; line-height: 1.5 }}
body {{ margin: 2rem auto; max-width: 60rem; padding: 0 1rem }}
table {{ border-collapse: collapse }}
th, td {{ padding: .3rem .8rem; text-align: left; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent) }}
</style>
{body}
</html>
"""  # noqa: E501


def explain(
    fun: Callable[..., Any], argnums: Argnums = 0, *, derivative: Kind = "jacobian", in_axes: Any = None
) -> Callable[..., Explanation]:
    """Which way to a Jacobian ``jacve(fun)`` takes with nothing said, and why; nothing is compiled.

    Args:
        fun: the function.
        argnums: the differentiated arguments.
        derivative: ``"jacobian"`` for :func:`graphax.jacve`, ``"hessian"`` for :func:`graphax.hessve`.
        in_axes: for the derivative at every element of a batch, where arguments have it, as for ``jax.vmap``.

    Returns:
        a function with the arguments of ``fun`` (of a batch, with ``in_axes``; shapes and dtypes alone will
        do) that returns an :class:`graphax.tuning.Explanation`: print it, or ``save("page.html")``.

    Raises:
        TypeError, ValueError: as for :func:`graphax.jacve`.

    Example:
        >>> f = lambda x, scale: scale * jnp.sin(x)
        >>> explanation = graphax.explain(f)(jnp.ones(1000), 2.0)  # print it to read it
        >>> sorted(explanation.ways)
        ['auto', 'forward', 'jacfwd', 'jacrev', 'kernel', 'markowitz', 'reverse']
    """
    asked = Derivative(fun, argnums, derivative, in_axes)

    def explained(*args: Any, **kwargs: Any) -> Explanation:
        ways: dict[str, Candidate] = {}
        measured = dict[str, float]()
        trial = Trial()
        programs: dict[str, Any] = {}
        for way in WAYS:
            trial.way = way
            try:
                programs[way] = jax.make_jaxpr(asked.by(trial))(*args, **kwargs)
            except NoWay as reason:
                ways[way] = Candidate(why_not=str(reason))
                continue
            assert trial.place is not None
            measured = measured or known_seconds(trial.place)
            ways[way] = _candidate(programs[way], measured.get(way, math.nan))
        taken, why = _taken(asked, args, kwargs)
        lines = seconds_by_line(programs[taken]) if taken in programs and taken != "kernel" else {}
        return Explanation(asked.name, kind_of(), ways, taken, why, lines)

    return explained


def _candidate(program: Any, measured: float) -> Candidate:
    return Candidate(estimated_seconds(program), _equations(program.jaxpr), measured)


def _equations(jaxpr: Any) -> int:
    """How many operations a program is; calls are none, what they call is."""
    inner = [
        getattr(value, "jaxpr", value) for eqn in jaxpr.eqns if (value := eqn.params.get("jaxpr")) is not None
    ]
    calls = sum(eqn.primitive.name in ("jit", "pjit") for eqn in jaxpr.eqns)
    return len(jaxpr.eqns) - calls + sum(_equations(one) for one in inner if hasattr(one, "eqns"))


def _taken(asked: Derivative, args: Any, kwargs: Any) -> tuple[str, str]:
    """What is taken with nothing said, and the reason in a sentence."""
    trial = Trial()
    jax.make_jaxpr(asked.by(trial))(*args, **kwargs)
    return trial.taken, " ".join(trial.reasons)
