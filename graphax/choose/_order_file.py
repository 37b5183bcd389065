"""Orders as JSON files."""

from __future__ import annotations

import json
import math
import os
import re
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from .._graph import ComputationalGraph, check_graph, check_order, order_cost
from .._notebook import facts
from ..files import read_json, write_atomically

_VERSION = 2
_SHOWN = 24  # vertices of an order, in notebooks


@dataclass(frozen=True)
class Order:
    """An elimination order and where it comes from.

    Attributes:
        fingerprint: of the graph that it belongs to.
        order: vertex numbers.
        counted, free: multiplications in the two conventions, as they were counted when the order was saved.
        method: what found it.
        seed: the seed of the search, or None.
        seconds: how long the search took, or None.
        task: the name of the task, or None.
        version: of the file format.

    Example:
        >>> import os, tempfile
        >>> f = lambda x: jnp.sin(jnp.exp(x) * x)
        >>> graph = graphax.trace(f)(1.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "order.json")
        ...     saved = graphax.save_order(path, graph, graph.eliminable, method="forward")
        >>> saved.method, saved.for_graph(graph) == graph.eliminable
        ('forward', True)
    """

    fingerprint: str
    order: tuple[int, ...]
    counted: int
    free: int
    method: str
    seed: int | None = None
    seconds: float | None = None
    task: str | None = None
    version: int = _VERSION

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={fact!r}" for name, fact in self._origin())
        costs = f"{self.counted} multiplications counted, {self.free} free"
        return f"Order({len(self.order)} vertices, {costs}, {told})"

    def _repr_html_(self) -> str:
        """What notebooks show: costs, and where the order comes from."""
        some = " ".join(map(str, self.order[:_SHOWN])) + (" ..." if len(self.order) > _SHOWN else "")
        rows: list[tuple[str, object]] = [
            ("multiplications, counted", f"{self.counted:,}"),
            ("multiplications, free", f"{self.free:,}"),
            *self._origin(),
            ("vertices", len(self.order)),
            ("order", some),
            ("fingerprint", f"{self.fingerprint[:12]}..."),
        ]
        return facts("Order", rows)

    def _origin(self) -> list[tuple[str, object]]:
        told = (("task", self.task), ("method", self.method), ("seed", self.seed), ("seconds", self.seconds))
        return [(name, fact) for name, fact in told if fact is not None]

    def for_graph(self, graph: ComputationalGraph) -> tuple[int, ...]:
        """The vertex numbers.

        Args:
            graph: the graph that is to be eliminated.

        Returns:
            the order, as vertex numbers of the graph.

        Raises:
            ValueError: when the order was made for another graph.
        """
        if graph.fingerprint != self.fingerprint:
            raise ValueError(
                f"this order{f' (task {self.task})' if self.task else ''} was made for another graph: its "
                f"fingerprint is {self.fingerprint[:12]}..., the function's is {graph.fingerprint[:12]}...; "
                "the function, its shapes, its argnums, which of its arguments are Python numbers (weakly "
                "typed) or the JAX version differ; search for a new order"
            )
        return check_order(graph, self.order)

    def priced(self, graph: ComputationalGraph) -> Order:
        """The same order with its costs counted on its graph, whatever was said of them when it was saved.

        Args:
            graph: the graph that the order belongs to.

        Returns:
            an order that differs in ``counted`` and ``free`` at most.

        Raises:
            ValueError: when the order was made for another graph.
        """
        counted, free = _costs(graph, self.for_graph(graph))
        return replace(self, counted=counted, free=free)


def _costs(graph: ComputationalGraph, order: tuple[int, ...]) -> tuple[int, int]:
    """Multiplications in the two conventions, counted and free."""
    return order_cost(graph.counted(), order).mults, order_cost(graph.executed(), order).mults


def save_order(
    path: str | os.PathLike[str],
    graph: ComputationalGraph,
    order: Sequence[int],
    *,
    method: str,
    seed: int | None = None,
    seconds: float | None = None,
    task: str | None = None,
) -> Order:
    """Write an order to a JSON file, atomically.

    Args:
        path: the file; replaced if it exists.
        graph: the graph that the order belongs to.
        order: vertex numbers.
        method: what found it.
        seed: the seed of the search.
        seconds: how long the search took.
        task: the name of the task.

    Returns:
        what was written.

    Raises:
        TypeError: when ``method``, ``seed``, ``seconds`` or ``task`` is of a wrong type.
        ValueError: when the order is not one of the graph's.
        OSError: when the file cannot be written.

    Example:
        >>> import os, tempfile
        >>> graph = graphax.trace(lambda x: jnp.sin(jnp.exp(x) * x))(1.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "order.json")
        ...     saved = graphax.save_order(path, graph, orders.forward(graph), method="forward", seconds=0.1)
        >>> saved.order, saved.free
        ((1, 2), 2)
    """
    check_graph(graph, "save_order")
    saved = record(graph, order, method=method, seed=seed, seconds=seconds, task=task)
    write_atomically(Path(path), json.dumps(asdict(saved)) + "\n")
    return saved


def record(
    graph: ComputationalGraph,
    order: Sequence[int],
    *,
    method: str,
    seed: int | None = None,
    seconds: float | None = None,
    task: str | None = None,
) -> Order:
    """An order with what it costs; arguments are those of :func:`save_order`."""
    vertices = check_order(graph, order)
    counted, free = _costs(graph, vertices)
    recorded = Order(
        fingerprint=graph.fingerprint,
        order=vertices,
        counted=counted,
        free=free,
        method=method,
        seed=seed,
        seconds=seconds,
        task=task,
    )
    if misfit := _misfit(asdict(recorded) | {"order": list(vertices)}):
        raise TypeError(misfit)
    return recorded


def load_order(path: str | os.PathLike[str]) -> Order:
    """Read an order that :func:`save_order` wrote.

    Its costs are what the file says; :meth:`Order.priced` counts them.

    Args:
        path: the file.

    Returns:
        the order, to be given to ``jacve(f, order=...)``.

    Raises:
        OSError: when there is no such file (FileNotFoundError), or it may not be read.
        ValueError: when the file is not an order, or of another version.

    Example:
        >>> import os, tempfile
        >>> f = lambda x: jnp.sin(jnp.exp(x) * x)
        >>> graph = graphax.trace(f)(1.0)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "order.json")
        ...     _ = graphax.save_order(path, graph, orders.reverse(graph), method="reverse")
        ...     order = graphax.load_order(path)
        >>> derivative = graphax.jacve(f, order=order)(1.0)
    """
    data = read_json(path, _KIND)
    try:
        return _parse(data)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)} is not {_KIND}: {error}") from error


_KIND = "an order file"


def _parse(data: Any) -> Order:
    if not isinstance(data, dict):
        raise ValueError("expected a JSON object")
    version = data.get("version", _VERSION)
    if version == 1 and type(version) is int:
        raise ValueError(
            f"version 1 is not supported (this is version {_VERSION}), because its fingerprints do not tell "
            "all graphs apart; search for the order again"
        )
    if type(version) is not int or version != _VERSION:
        raise ValueError(f"version {version!r} is not supported (this is version {_VERSION})")
    if missing := sorted(Order.__dataclass_fields__.keys() - data.keys()):
        raise ValueError(f"missing keys: {', '.join(missing)}")
    if misfit := _misfit(data):
        raise ValueError(misfit)
    fields: dict[str, Any] = {key: data[key] for key in Order.__dataclass_fields__}
    fields["order"] = tuple(data["order"])
    return Order(**fields)


def _misfit(data: dict[str, Any]) -> str | None:
    """Which value of an order file is of the wrong kind; None if none is."""
    for key, (expected, holds) in _FIELDS.items():
        if not holds(data[key]):
            return f"{key!r} must be {expected}, got {reprlib.repr(data[key])}"
    return None


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_time(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _are_vertices(value: Any) -> bool:
    integers = isinstance(value, list) and all(type(vertex) is int and vertex > 0 for vertex in value)
    return integers and len(set(value)) == len(value)


# What the keys of an order file hold; "version" is looked at first.
_FIELDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "fingerprint": ("64 hexadecimal digits", lambda x: isinstance(x, str) and bool(_HASH.fullmatch(x))),
    "order": ("a list of integers, vertex numbers that differ", _are_vertices),
    "counted": ("a number of multiplications", _is_count),
    "free": ("a number of multiplications", _is_count),
    "method": ("a string", lambda x: isinstance(x, str)),
    "seed": ("an integer or null", lambda x: x is None or type(x) is int),
    "seconds": ("a time or null", lambda x: x is None or _is_time(x)),
    "task": ("a string or null", lambda x: x is None or isinstance(x, str)),
}
_HASH = re.compile("[0-9a-f]{64}")
