"""Orders as JSON files."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .._elimination import order_cost
from .._graph import ComputationalGraph
from ..files import write_atomically
from ._check import check_order

_VERSION = 1


@dataclass(frozen=True)
class Order:
    """An elimination order and where it comes from.

    Attributes:
        fingerprint: of the graph that it belongs to.
        order: vertex numbers.
        counted, free: multiplications in the two conventions.
        method: what found it.
        seed: the seed of the search, or None.
        seconds: how long the search took, or None.
        task: the name of the task, or None.
        version: of the file format.
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

    def for_graph(self, graph: ComputationalGraph) -> tuple[int, ...]:
        """The vertex numbers.

        Raises:
            ValueError: when the order was made for another graph.
        """
        if graph.fingerprint != self.fingerprint:
            raise ValueError(
                f"this order{f' (task {self.task})' if self.task else ''} was made for another graph: its "
                f"fingerprint is {self.fingerprint[:12]}..., the function's is {graph.fingerprint[:12]}...; "
                "the function, its shapes, its argnums or the JAX version differ; search for a new order"
            )
        return check_order(graph, self.order)


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
        ValueError: when the order is not one of the graph's.
    """
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
    return Order(
        fingerprint=graph.fingerprint,
        order=vertices,
        counted=order_cost(graph, vertices, "counted").mults,
        free=order_cost(graph, vertices, "free").mults,
        method=method,
        seed=seed,
        seconds=seconds,
        task=task,
    )


def load_order(path: str | os.PathLike[str]) -> Order:
    """Read an order that :func:`save_order` wrote.

    Returns:
        the order, to be given to ``jacve(f, order=...)``.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file is not an order, or of a newer version.
    """
    text = Path(path).read_text(encoding="utf-8")
    try:
        return _parse(json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{os.fspath(path)} is not an order file: {error}") from error


def _parse(data: Any) -> Order:
    if not isinstance(data, dict):
        raise TypeError("expected a JSON object")
    wanted = Order.__dataclass_fields__.keys()
    if missing := sorted(wanted - data.keys()):
        raise KeyError(f"missing keys: {', '.join(missing)}")
    if data["version"] != _VERSION:
        raise ValueError(f"version {data['version']} is not supported (this is version {_VERSION})")
    order = data["order"]
    if not isinstance(order, list) or not all(type(vertex) is int for vertex in order):
        raise TypeError("'order' must be a list of integers")
    if not isinstance(data["fingerprint"], str):
        raise TypeError("'fingerprint' must be a string")
    fields: dict[str, Any] = {key: data[key] for key in wanted}
    fields["order"] = tuple(order)
    return Order(**fields)
