"""The page of `alphagrad demo`: one HTML file that needs nothing else."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from string import Template
from typing import NamedTuple

from ..run.document import escaped
from .phase_field import residual
from .ways import Timed


class Dense(NamedTuple):
    """What is told of a task.

    Attributes:
        name: of the task.
        batch: at how many points its Jacobians are.
        costs: multiplications of orders, by what they are called.
        times: of ways to the Jacobians.
        picture: the page of its elimination; None if it is too large to be drawn.
        usage: a program that computes one of them.
    """

    name: str
    batch: int
    costs: Mapping[str, int]
    times: Mapping[str, Timed]
    picture: str | None
    usage: str


class Sparse(NamedTuple):
    """What is told of the sparse Jacobian.

    Attributes:
        size: its rows, and its columns.
        nonzeros: how many of its entries are computed.
        times: of ways to it.
        picture: where they are on a small grid, as SVG.
        side: points along the side of that grid.
    """

    size: int
    nonzeros: int
    times: Mapping[str, Timed]
    picture: str
    side: int


def demo_page(dense: Dense, sparse: Sparse, device: str) -> str:
    """The page, as HTML.

    Args:
        dense: of the task.
        sparse: of the sparse example.
        device: on which it was measured.
    """
    if dense.picture is None:
        picture = "<p>The graph has too many vertices for a picture that one can read.</p>"
    else:
        picture = (
            f'<iframe srcdoc="{escape(dense.picture)}" title="vertex elimination" sandbox="allow-scripts" '
            'loading="lazy"></iframe>'
        )
    text = files("alphagrad.demo").joinpath("page.html").read_text(encoding="utf-8")
    return Template(text).substitute(
        name=escaped(dense.name),
        batch=f"{dense.batch:,}",
        headline=escaped(_headline(dense)),
        costs=_bars({name: (cost, f"{cost:,}") for name, cost in dense.costs.items()}),
        times=_times(dense.times),
        elimination=picture,
        usage=escaped(dense.usage),
        size=f"{sparse.size:,}",
        nonzeros=f"{sparse.nonzeros:,}",
        part=f"{100 * sparse.nonzeros / sparse.size**2:.2g}",
        sparse_times=_times(sparse.times),
        spy=sparse.picture,
        side=sparse.side,
        source=escaped(inspect.getsource(residual)),
        device=escaped(device),
    )


def _headline(dense: Dense) -> str:
    """The result in a sentence."""
    *others, (own, ours) = dense.times.items()
    known = [(one.seconds, name) for name, one in others if one.seconds is not None]
    if ours.seconds is None or not known:
        return f"{own} could not be compared: {ours.reason or 'the other ways do not work'}."
    seconds, name = min(known)
    ratio = seconds / ours.seconds
    verdict = (
        f"{ratio:.1f} times as fast as" if ratio >= 1.05 else "as fast as" if ratio > 0.95 else "slower than"
    )
    return (
        f"{dense.batch:,} Jacobians take {own} {_microseconds(ours.seconds)}: {verdict} {name}, the faster "
        f"of JAX's modes here, with {_microseconds(seconds)}."
    )


def _times(times: Mapping[str, Timed]) -> str:
    failed = "".join(
        f"<p>{escaped(name)} does not work here: {escaped(one.reason)}</p>"
        for name, one in times.items()
        if one.seconds is None
    )
    shown = {
        name: (one.seconds, _microseconds(one.seconds))
        for name, one in times.items()
        if one.seconds is not None
    }
    worst = max((one.deviation for one in times.values()), default=0.0)
    agree = (
        f"<p class=hint>The results differ by at most {worst:.0e} of the largest entry.</p>" if shown else ""
    )
    return _bars(shown) + agree + failed


def _microseconds(seconds: float) -> str:
    return f"{1e6 * seconds:,.0f} µs" if seconds >= 1e-5 else f"{1e6 * seconds:.2g} µs"


def _bars(values: Mapping[str, tuple[float, str]]) -> str:
    """Bars, the last of which is ours."""
    most = max((value for value, _ in values.values()), default=0) or 1
    last = len(values) - 1
    rows = "".join(
        f"<tr{' class=ours' if at == last else ''}><th scope=row>{escaped(name)}</th>"
        f'<td class=bar><span style="width:{100 * value / most:.2f}%"></span></td>'
        f"<td>{escaped(text)}</td></tr>"
        for at, (name, (value, text)) in enumerate(values.items())
    )
    return f"<table class=bars>{rows}</table>"
