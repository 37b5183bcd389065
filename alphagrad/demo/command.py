"""The command: what it is told, what it measures, what it prints."""

from __future__ import annotations

import math
import os
import sys
import time
import webbrowser
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.numpy as jnp

import graphax
from alphagrad import tasks
from graphax import ComputationalGraph, orders
from graphax.files import write_atomically

from ..orders.task import TASK, TaskConfig, load_task, trace_task
from ..run.command import Invocation, Kind
from ..run.plain import plain
from ..run.settings import ConfigError, check_counts
from ..run.table import Rows
from .page import Dense, Sparse, demo_page
from .phase_field import residual
from .ways import Timed, timed

_DRAWN = 1_000  # vertices of a graph that is drawn
_ENTRIES = 2**23  # of all Jacobians of a batch
_SECONDS = 1.0  # to measure each way
_GRID, _DRAWN_GRID = 40, 12  # points along a side


@dataclass(frozen=True, kw_only=True)
class DemoConfig(TaskConfig):
    """All settings of `alphagrad demo`."""

    task: str = field(default="RobotArm_6DOF", metadata={"help": TASK})
    batch: int = field(default=1024, metadata={"help": "at how many points at once Jacobians are computed"})
    out: str = field(
        default="alphagrad_demo.html", metadata={"help": "the page, which is replaced if it is there"}
    )
    open: bool = field(default=True, metadata={"help": "whether the page is opened in the browser"})

    def __post_init__(self):
        check_counts(batch=self.batch)
        if Path(self.out).suffix != ".html":
            raise ConfigError(f"out={self.out} must end in .html")


def demo(config: DemoConfig, call: Invocation) -> bool:
    """Measure, write the page, open it; see :class:`alphagrad.run.command.Kind`.

    Raises:
        ConfigError: when the task cannot be used.
        OSError: when the page cannot be written.
    """

    def say(text: str) -> None:
        call.console.print(plain(text), soft_wrap=True)

    task = load_task(config)
    graph = trace_task(task)
    if not graph.eliminable:
        raise ConfigError(f"task {task.name}: there is no vertex to eliminate, hence nothing to show")
    say(
        f"1 of 3: {task.name} is a graph of {len(graph.vertices)} vertices; looking for an order to "
        "eliminate them in"
    )
    order = orders.auto(graph)
    costs = _costs(graph, order)
    picture = graphax.draw(graph, "auto").html if len(graph.vertices) <= _DRAWN else None
    batch, args = _batch(config, task)
    say(f"2 of 3: compiling and timing three ways to its Jacobian, at {batch} points at once")
    dense = Dense(task.name, batch, costs, _dense(task, args), picture, _usage(config, task))
    call.console.print(_table(f"the Jacobians of {task.name} at {batch} points", dense.times))
    say(f"3 of 3: the same for a sparse Jacobian, that of a grid of {_GRID} x {_GRID} points")
    sparse = _sparse()
    call.console.print(
        _table(f"a Jacobian of {_GRID**2} x {_GRID**2}, {sparse.nonzeros} nonzeros", sparse.times)
    )
    path = Path(config.out).absolute()
    write_atomically(
        path,
        demo_page(dense, sparse, f"{jax.devices()[0].device_kind}, with JAX {jax.__version__}"),
        make_folder=False,
    )
    say(f"written to {path} after {time.perf_counter() - call.start:.0f} s")
    if config.open and _has_display():
        webbrowser.open(path.as_uri())
    return True


def _costs(graph: ComputationalGraph, order: Sequence[int]) -> dict[str, int]:
    """Multiplications that are executed, by what orders are called."""
    named = {
        "forward order": orders.forward(graph),
        "reverse order": orders.reverse(graph),
        "Markowitz order": orders.markowitz(graph),
        "order='auto'": order,
    }
    return {name: graph.cost(each).mults for name, each in named.items()}


def _batch(config: DemoConfig, task: tasks.Task) -> tuple[int, tuple[jax.Array, ...]]:
    """How many points, and these; fewer than asked for where their Jacobians were too large."""
    outs = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(jax.eval_shape(task.fun, *task.args)))
    ins = sum(math.prod(leaf.shape) for at in task.argnums for leaf in jax.tree.leaves(task.args[at]))
    batch = max(1, min(config.batch, _ENTRIES // max(outs * ins, 1)))
    return batch, task.sample(jax.random.key(0), batch)


def _dense(task: tasks.Task, args: Sequence[jax.Array]) -> dict[str, Timed]:
    ways = {
        "jax.jacrev": jax.jacrev,
        "jax.jacfwd": jax.jacfwd,
        "graphax.jacve": graphax.jacve,
    }
    return timed({name: jax.vmap(way(task.fun, task.argnums)) for name, way in ways.items()}, args, _SECONDS)


def _sparse() -> Sparse:
    x, small = (
        jnp.sin(jnp.arange(size**2, dtype=float)).reshape(size, size) for size in (_GRID, _DRAWN_GRID)
    )
    ways = {
        "jax.jacrev": jax.jacrev(residual),
        "jax.jacfwd": jax.jacfwd(residual),
        "graphax.jacve, sparse=True": graphax.jacve(residual, sparse=True),
    }
    structure = graphax.jacobian_structure(residual)
    return Sparse(
        _GRID**2, structure(x).nnz, timed(ways, [x], _SECONDS), structure(small).spy().svg, _DRAWN_GRID
    )


def _usage(config: DemoConfig, task: tasks.Task) -> str:
    """The program that computes one of these Jacobians."""
    if config.task.partition(":")[0].endswith(".py"):
        words = [repr(word) for word in (config.task, config.args) if word is not None]
        load = f"tasks.load({', '.join(words)})"
    else:
        load = f"tasks.load({config.task!r})"
    argnums = "" if task.argnums == (0,) else f", argnums={task.argnums}"
    return (
        "import jax\nfrom alphagrad import tasks\nfrom graphax import jacve\n\n"
        f"task = {load}\njacobian = jax.jit(jacve(task.fun{argnums}))\njacobian(*task.args)"
    )


def _table(title: str, times: Mapping[str, Timed]) -> Rows:
    rows = [("way", "microseconds", "compiling, s", "deviation")]
    for name, one in times.items():
        if one.seconds is None:
            rows.append((f"{name}: {one.reason}", "-", "-", "-"))
        else:
            rows.append(
                (
                    name,
                    f"{1e6 * one.seconds:.1f}",
                    f"{one.compiling:.1f}",
                    f"{one.deviation:.0e}" if one.deviation else "0",
                )
            )
    return Rows(title, rows, rows[0][:1])


def _has_display() -> bool:
    """Whether there is a screen: without one, some browsers of texts would take the terminal."""
    return sys.platform in ("win32", "darwin") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ))


DEMO = Kind("a demonstration", "NAME", bool, DemoConfig, demo)
