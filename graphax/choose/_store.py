"""Orders that are known already: those of this process, and files in a folder that processes share."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

import jax

from .._graph import ComputationalGraph, order_cost
from .._remembered import Remembered
from ..files import kept_folder, remove_leftovers, write_atomically
from ._order_file import Order, load_order

_VARIABLE = "GRAPHAX_ORDER_STORE"


class Found(NamedTuple):
    """An order that a search, or somebody, found.

    Attributes:
        order: vertex numbers.
        cost: the multiplications executed; infinity where it takes too long to count them.
        method: what found it.
    """

    order: tuple[int, ...]
    cost: float
    method: str


_known: Remembered[str, Found] = Remembered(1024)


def recall(
    graph: ComputationalGraph, is_beaten: Callable[[float], bool] = lambda cost: False
) -> Found | None:
    """The order kept for a graph, in this process or in the store.

    Args:
        graph: the graph.
        is_beaten: is told what an order in the store costs, and says whether it is too much to take it.
    """
    key = graph.fingerprint
    known = _known.get(key)
    if known is not None:
        return known
    known = _read(graph)
    return None if known is None or is_beaten(known.cost) else _put(key, known)


def keep(
    graph: ComputationalGraph, found: Found, file: Order | None = None, *, insist: bool = False
) -> Found:
    """Keep an order, unless this process knows one that costs no more, or the store holds a cheaper one.

    Args:
        graph: the graph.
        found: the order.
        file: what to write of it into the store; None to keep it in this process alone.
        insist: whether somebody asked for that, who is warned if it cannot be done.

    Returns:
        what is kept now.
    """
    stored = _read(graph) if file else None  # another process may have found a cheaper one meanwhile
    if stored is not None and stored.cost < found.cost:
        return _put(graph.fingerprint, stored)
    known = _put(graph.fingerprint, found)
    if file is not None and known.order == found.order:
        _write(file, insist)
    return known


def forget() -> None:
    """Forget what this process remembers; the store stays."""
    _known.clear()


def _put(key: str, known: Found) -> Found:
    return _known.keep(key, known, unless=lambda before: before.cost <= known.cost)


def _read(graph: ComputationalGraph) -> Found | None:
    """The order in the store, with what it costs; None where there is none, or not one of this graph.

    Processes that run one program together have to find the same order: they read none.
    """
    path = _path(graph.fingerprint)
    if path is None or jax.process_count() > 1:
        return None
    try:
        stored = load_order(path)
        vertices = stored.for_graph(graph)
    except (OSError, ValueError):
        return None  # whatever it is, what is found instead replaces it
    return Found(vertices, order_cost(graph, vertices).mults, stored.method)


def _write(order: Order, insist: bool) -> None:
    path = _path(order.fingerprint)
    if path is None:
        if insist and _VARIABLE not in os.environ:
            _warn(f"there is no folder to keep orders in; {_VARIABLE} names one", insist)
        return
    try:
        write_atomically(path, json.dumps(asdict(order)) + "\n")
        _tidy(path.parent)
    except OSError as error:
        # Without a store orders are found again in every process: no harm to those who did not ask for one.
        if insist or os.environ.get(_VARIABLE):
            _warn(f"cannot keep orders in {path.parent} ({error}); {_VARIABLE} names the folder", insist)


@cache
def _tidy(folder: Path) -> None:
    """Remove what killed processes left in the store, once a process: it may hold very many files."""
    remove_leftovers(folder)


_warned = False


def _warn(text: str, insist: bool) -> None:
    global _warned
    if insist or not _warned:
        _warned = True
        warnings.warn(f"{text}; this process alone remembers them", stacklevel=5)


def _path(fingerprint: str) -> Path | None:
    """The file of a graph in the store; None where there is no store."""
    folder = store_folder()
    return folder and folder / f"{fingerprint}.json"


def store_folder() -> Path | None:
    """The folder of the order store, which need not exist; None where it is disabled, or there is no home."""
    return kept_folder("orders", _VARIABLE)
